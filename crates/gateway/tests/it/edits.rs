//! **Authority**, "Policy edited while pending: evaluate anew"; **Binding**, "policy asked again at redemption"
//! and "Tool or target definition swapped".

use domain::directory::Change;
use domain::directory::DirectoryEvent;
use domain::entry::Kind;
use domain::statement::Verdict;
use gateway::GatewayError;
use gateway::hold::Heard;

use crate::house::{Call, DENIED, House, PERMIT, held_by};

/// **Authority**, "Policy edited while pending": more is asked.
#[tokio::test]
async fn one_more_is_asked_while_it_is_pending() {
    let house = House::usual(&held_by("dba:1")).await;
    let held = house.held(&Call::delete("orders").though_gone()).await;
    house.apply(&held_by("dba:2")).await;
    // At once or in a moment: one is not enough in any case.
    while let Err(error) = house.approve("bob", held.id).await {
        assert!(
            matches!(error, GatewayError::Stale(_) | GatewayError::Refused(domain::Refusal::Stale)),
            "{error}"
        );
    }
    house.never_runs(held.id).await;
    house.approve("cyd", held.id).await.unwrap();
    house.until(held.id, "finished").await;
    assert!(house.told(held.id).await.contains(&Kind::Reevaluation));
}

/// **Authority**, "Policy edited while pending": approved, and then more is asked. People are asked again.
#[tokio::test]
async fn one_more_is_asked_once_it_is_approved() {
    let house = House::usual(&held_by("dba:1")).await;
    let id = house.approved(&Call::delete("orders")).await;
    house.apply(&held_by("dba:2")).await;
    house.until(id, "pending").await;
    house.never_runs(id).await;
    house.approve("cyd", id).await.unwrap();
    assert!(matches!(house.hear(id).await, Heard::Ran { .. }));
    assert_eq!(house.runner.runs(), 1);
}

/// **Authority**, "Policy edited while pending": another group is asked; who approved for the old one counts no more.
#[tokio::test]
async fn another_group_is_asked_once_it_is_approved() {
    let house = House::usual(&held_by("dba:1")).await;
    let id = house.approved(&Call::delete("orders")).await;
    house.apply(&held_by("ops:1")).await;
    house.until(id, "pending").await;
    house.never_runs(id).await;
    house.approve("eve", id).await.unwrap();
    assert!(matches!(house.hear(id).await, Heard::Ran { .. }));
}

/// **Authority**, "Policy edited while pending": it becomes a denial.
#[tokio::test]
async fn policy_comes_to_deny_what_waits_and_what_was_approved() {
    let house = House::usual(&held_by("dba:1")).await;
    let pending = house.held(&Call::delete("pending").though_gone()).await.id;
    let approved = house.approved(&Call::delete("approved")).await;
    house.apply(DENIED).await;
    for id in [pending, approved] {
        let Heard::Refused { state, why } = house.hear(id).await else { panic!("not refused") };
        assert_eq!((state, why.as_str()), ("denied", "policy denies it now: deletions are frozen"));
        house.never_runs(id).await;
    }
}

/// **Authority**, "Policy edited while pending": it becomes a permit, and what people were asked about stays theirs
/// to decide. A policy that is loosened must not be a way round those who were asked.
#[tokio::test]
async fn policy_comes_to_permit_and_what_waits_still_waits() {
    let house = House::usual(&held_by("dba:1")).await;
    let held = house.held(&Call::delete("orders").though_gone()).await;
    house.apply(PERMIT).await;
    house.never_runs(held.id).await;
    assert_eq!(house.state(held.id).await, "pending");
    house.approve("bob", held.id).await.unwrap();
    house.until(held.id, "finished").await;
    assert_eq!(house.runner.runs(), 1);
}

#[tokio::test]
async fn less_is_asked_and_who_has_approved_is_enough() {
    let house = House::usual(&held_by("dba:2")).await;
    let held = house.held(&Call::delete("orders").though_gone()).await;
    house.approve("bob", held.id).await.unwrap();
    house.never_runs(held.id).await;
    house.apply(&held_by("dba:1")).await;
    house.until(held.id, "finished").await;
}

/// **Authority**, "Policy edited while pending": what was signed under another evaluation is not taken.
#[tokio::test]
async fn a_statement_signed_under_another_policy_is_stale() {
    let house = House::usual(&held_by("dba:1")).await;
    let held = house.held(&Call::delete("orders").though_gone()).await;
    let bob = house.human("bob").await;
    let prepared = house.prepare(&bob, held.id, Verdict::Approve, None).await.unwrap();
    house.apply(&held_by("dba:1 | ops:1")).await;
    crate::house::eventually("it was evaluated again", async || {
        house.told(held.id).await.contains(&Kind::Reevaluation)
    })
    .await;
    let response = house.passkey("bob").get(&prepared.options);
    let refused = house.gateway.submit_review(held.id, &bob, &prepared.statement, &response).await;
    assert_eq!(crate::house::refusal(refused), "stale");
    house.never_runs(held.id).await;
}

/// **Binding**, "policy asked again at redemption": the edit comes while it is being redeemed.
#[tokio::test]
async fn a_policy_edited_while_it_is_redeemed_decides() {
    let house = House::usual(&held_by("dba:1")).await;
    for n in 1..=3 {
        house.apply(&held_by("dba:1")).await;
        let id = house.approved(&Call::delete(&format!("orders-{n}"))).await;
        tokio::time::sleep(std::time::Duration::from_millis(30)).await;
        house.between.at_look(n, move |store| async move {
            let event = DirectoryEvent::PolicyApplied { text: DENIED.to_owned() };
            let change = Change { event, by: None, approval: None };
            store.change(store.directory().version(), vec![change]).await.unwrap();
        });
        let Heard::Refused { state: "denied", .. } = house.hear(id).await else { panic!("not denied") };
        assert_eq!(house.runner.runs(), 0);
    }
}

/// **Binding**, "Tool or target definition swapped: part of the digest", and no approval of the old one runs
/// against the new one.
#[tokio::test]
async fn a_target_defined_otherwise_since_is_not_touched() {
    let house = House::usual(&held_by("dba:1")).await;
    let id = house.approved(&Call::delete("orders")).await;
    house.runner.target_changed("the route now points at another broker");
    let Heard::Refused { state, why } = house.hear(id).await else { panic!("not refused") };
    assert_eq!(state, "denied");
    assert!(why.contains("the route now points at another broker"), "{why}");
    house.never_runs(id).await;
    assert_eq!(house.told(id).await, [Kind::Request, Kind::Review, Kind::Reevaluation]);
}
