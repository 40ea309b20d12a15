//! Many at once, and one outcome.

use std::sync::Arc;

use domain::action::Point;
use domain::statement::Verdict;
use gateway::hold::Heard;

use crate::house::{Call, House, PATIENCE, held_by};

/// **Binding**, "Replay: atomic claim; 100 parallel redemptions, one runs".
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_redemptions_are_one_run() {
    let house = House::usual(&held_by("dba:1")).await;
    // Approved and waiting for its caller: each of these redeems, or tries to.
    let id = house.approved(&Call::delete("orders")).await;
    let tries: Vec<_> = (0..100)
        .map(|_| {
            let gateway = Arc::clone(&house.gateway);
            tokio::spawn(async move { gateway.wait(id, PATIENCE).await.unwrap() })
        })
        .collect();
    for one in tries {
        assert!(matches!(one.await.unwrap(), Heard::Ran { .. }));
    }
    assert_eq!(house.runner.runs(), 1);
}

/// **Binding**, "Replay": the same where callers run it themselves.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_callers_who_run_it_themselves_are_one() {
    let house = House::usual(&held_by("dba:1")).await;
    let mut call = Call::delete("orders");
    call.point = Point::Rest;
    let id = house.approved(&call).await;
    let caller = house.caller("bot").await;
    let tries: Vec<_> = (0..100)
        .map(|_| {
            let (gateway, caller) = (Arc::clone(&house.gateway), caller.clone());
            tokio::spawn(async move { gateway.redeem_for_caller(id, &caller).await.is_ok() })
        })
        .collect();
    let mut spent = 0;
    for one in tries {
        spent += usize::from(one.await.unwrap());
    }
    assert_eq!(spent, 1);
}

/// **Authority**, "Approve races deny: one serializable write; deny wins".
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn approve_races_deny_a_hundred_times() {
    let house = Arc::new(House::usual(&held_by("dba:1")).await);
    let (bob, cyd) = (house.human("bob").await, house.human("cyd").await);
    let (mut denied, mut ran) = (0, 0);
    for n in 0..100 {
        let id = house.held(&Call::delete(&format!("orders-{n}")).though_gone()).await.id;
        let yes = house.prepare(&bob, id, Verdict::Approve, None).await.unwrap();
        let no = house.prepare(&cyd, id, Verdict::Deny, Some("no")).await.unwrap();
        let (yes_signed, no_signed) =
            (house.passkey("bob").get(&yes.options), house.passkey("cyd").get(&no.options));
        let approve = tokio::spawn({
            let (gateway, bob) = (Arc::clone(&house.gateway), bob.clone());
            async move { gateway.submit_review(id, &bob, &yes.statement, &yes_signed).await.is_ok() }
        });
        let deny = tokio::spawn({
            let (gateway, cyd) = (Arc::clone(&house.gateway), cyd.clone());
            async move { gateway.submit_review(id, &cyd, &no.statement, &no_signed).await.is_ok() }
        });
        let (approved, refused) = (approve.await.unwrap(), deny.await.unwrap());
        match house.hear(id).await {
            Heard::Refused { state: "denied", .. } => {
                assert!(refused, "nobody denied it");
                assert_eq!(house.runner.runs_of(id), 0);
                denied += 1;
            }
            Heard::Ran { .. } => {
                assert!(approved && !refused, "a denial that was taken is a denial");
                assert_eq!(house.runner.runs_of(id), 1);
                ran += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((denied + ran, house.runner.runs()), (100, ran));
}

/// **Authority**, "deny wins": first or second, until it is spent.
#[tokio::test]
async fn a_denial_stands_whether_it_comes_first_or_second() {
    let house = House::usual(&held_by("dba:1")).await;
    let first = house.held(&Call::delete("first").though_gone()).await.id;
    let late = house.human("bob").await;
    let yes = house.prepare(&late, first, Verdict::Approve, None).await.unwrap();
    house.deny("cyd", first, "no").await.unwrap();
    let signed = house.passkey("bob").get(&yes.options);
    house.gateway.submit_review(first, &late, &yes.statement, &signed).await.unwrap_err();
    house.never_runs(first).await;

    // Approved already, and not spent: another one, and even the same one, may still say no.
    for (n, name) in ["cyd", "bob"].into_iter().enumerate() {
        let second = house.approved(&Call::delete(&format!("second-{n}"))).await;
        house.deny(name, second, "wait").await.unwrap();
        assert_eq!(house.state(second).await, "denied");
        house.never_runs(second).await;
    }
}
