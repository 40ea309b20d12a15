//! **Shell, MCP, operations**, "Store, channel or clock fails: deny".

use std::sync::Arc;

use domain::directory::{Change, DirectoryEvent};
use domain::outcome::Ending;
use gateway::GatewayError;
use gateway::decide::RecordPermit;
use gateway::hold::Heard;
use gateway::store::Wake;

use crate::house::{Call, DENIED, House, PATIENCE, PERMIT, eventually, held_by};

fn unavailable<T: std::fmt::Debug>(result: Result<T, GatewayError>) {
    assert!(matches!(result, Err(GatewayError::Unavailable(_))), "{result:?}");
}

#[tokio::test]
async fn what_cannot_be_recorded_does_not_run() {
    let house = House::usual(&held_by("dba:1")).await;
    let id = house.approved(&Call::delete("approved")).await;
    let caller = house.caller("bot").await;
    let mut recorded = Call::get("orders");
    recorded.record = RecordPermit::BeforeRun;
    let bob = house.human("bob").await;
    let other = house.held(&Call::delete("pending").though_gone()).await.id;
    let prepared = house.prepare(&bob, other, domain::statement::Verdict::Approve, None).await.unwrap();
    let response = house.passkey("bob").get(&prepared.options);

    house.between.fail(true);
    unavailable(house.decide(&caller, &Call::delete("orders")).await);
    unavailable(house.decide(&caller, &recorded).await);
    unavailable(house.gateway.submit_review(other, &bob, &prepared.statement, &response).await);
    unavailable(house.gateway.cancel(other, house.principal("bot"), String::new()).await);
    house.never_runs(id).await;
    house.never_runs(other).await;

    // Once it can be written again, what was approved runs for its caller, once.
    house.between.fail(false);
    assert!(matches!(house.hear(id).await, Heard::Ran { .. }));
    assert_eq!(house.runner.runs(), 1);
}

#[tokio::test]
async fn with_the_store_closed_nothing_runs() {
    let house = House::usual(&held_by("dba:1")).await;
    let id = house.approved(&Call::delete("approved")).await;
    let caller = house.caller("bot").await;
    house.between.inner.close(PATIENCE).await;
    unavailable(house.decide(&caller, &Call::delete("orders")).await);
    let mut recorded = Call::get("orders");
    recorded.record = RecordPermit::BeforeRun;
    unavailable(house.decide(&caller, &recorded).await);
    let _ = house.gateway.wait(id, std::time::Duration::from_millis(200)).await;
    assert_eq!(house.runner.runs(), 0);
}

/// **Binding**, "Crash between run and log": the outcome could not be written. It is not run again.
#[tokio::test]
async fn an_outcome_that_cannot_be_recorded_is_unknown_and_not_run_again() {
    let mut house = House::usual(&held_by("dba:1")).await;
    let held = house.held(&Call::delete("orders").though_gone()).await;
    let between = Arc::clone(&house.between);
    house.runner.when_run(move || between.fail(true));
    house.approve("bob", held.id).await.unwrap();
    eventually("it runs", async || house.runner.runs() == 1).await;
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    assert_eq!(house.state(held.id).await, "executing");
    let first = Arc::clone(&house.runner);
    house.restart().await;
    let Heard::Ran { outcome, .. } = house.hear(held.id).await else { panic!("no outcome") };
    assert_eq!(outcome.ending, Ending::Unknown);
    assert_eq!((first.runs(), house.runner.runs()), (1, 0));
}

#[tokio::test]
async fn a_permit_whose_line_cannot_be_written_is_none() {
    let house = House::usual(PERMIT).await;
    std::fs::remove_dir(house.activity_folder()).unwrap();
    let caller = house.caller("bot").await;
    for _ in 0..2 {
        unavailable(house.decide(&caller, &Call::get("orders")).await);
    }
}

#[tokio::test]
async fn a_stored_policy_that_does_not_load_is_no_start() {
    let mut house = House::usual(PERMIT).await;
    house.change(DirectoryEvent::PolicyApplied { text: "permit (".to_owned() }).await;
    house.kill().await;
    unavailable(house.reopen());
}

#[tokio::test]
async fn without_randomness_nothing_is_decided() {
    let house = House::usual(PERMIT).await;
    let caller = house.caller("bot").await;
    house.entropy.dry_up();
    unavailable(house.decide(&caller, &Call::get("orders")).await);
}

/// Wakes that were missed are made up for: approvals are looked at, and policy is asked again.
#[tokio::test]
async fn missed_wakes_are_made_up_for() {
    let mut house = House::usual(&held_by("dba:1")).await;
    let held = house.held(&Call::delete("orders")).await;
    house.fall_still();
    let (sender, _keep) = tokio::sync::broadcast::channel(1);
    house.between.speak_through(sender.clone());
    house.start().await;
    let event = DirectoryEvent::PolicyApplied { text: DENIED.to_owned() };
    let change = Change { event, by: None, approval: None };
    house.store().change(house.store().directory().version(), vec![change]).await.unwrap();
    // Thousands at once, in a buffer of one, and the one about the directory is not among what is left.
    for _ in 0..2_000 {
        let _ = sender.send(Wake::Approval(held.id));
    }
    house.until(held.id, "denied").await;
}
