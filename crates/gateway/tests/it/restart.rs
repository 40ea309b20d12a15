//! What a restart finds. **Binding**, "Crash between run and log: intent first, never retried by us".

use domain::approval::Approval;
use domain::entry::Kind;
use domain::outcome::Ending;
use gateway::hold::Heard;

use crate::house::{Call, House, eventually, held_by};

#[tokio::test]
async fn what_was_pending_is_pending_and_can_be_approved() {
    let mut house = House::usual(&held_by("dba:2")).await;
    let held = house.held(&Call::delete("orders").though_gone()).await;
    house.approve("bob", held.id).await.unwrap();
    house.restart().await;
    assert_eq!(house.state(held.id).await, "pending");
    assert_eq!(
        house.summary(held.id).await.approval.case().reviews.len(),
        1,
        "a verdict that was taken stands"
    );
    let again = house.held(&Call::delete("orders").though_gone()).await;
    assert!(again.attached && again.id == held.id);
    house.approve("cyd", held.id).await.unwrap();
    house.until(held.id, "finished").await;
    assert_eq!(house.runner.runs(), 1);
    house.audit().await;
}

/// **Binding**, "Crash between run and log": it is known that it began and not what came of it.
#[tokio::test]
async fn what_was_running_is_unknown_and_never_run_again() {
    let mut house = House::usual(&held_by("dba:1")).await;
    house.runner.block();
    let held = house.held(&Call::delete("orders").though_gone()).await;
    house.approve("bob", held.id).await.unwrap();
    eventually("it runs", async || house.runner.runs() == 1).await;
    assert_eq!(house.state(held.id).await, "executing");
    assert!(house.told(held.id).await.contains(&Kind::Execution), "intent is in the log before it runs");

    house.restart().await;
    let Heard::Ran { outcome, result: None } = house.hear(held.id).await else { panic!("no outcome") };
    assert_eq!(outcome.ending, Ending::Unknown);
    // Neither by itself nor by its caller's next try.
    let again = house.held(&Call::delete("orders").though_gone()).await;
    assert!(again.attached && again.id == held.id);
    house.restart().await;
    assert!(matches!(house.hear(held.id).await, Heard::Ran { .. }));
    assert_eq!(house.runner.runs(), 0);
}

#[tokio::test]
async fn what_was_approved_and_needs_no_caller_runs_once() {
    let mut house = House::usual(&held_by("dba:1")).await;
    let gone = house.held(&Call::delete("gone").though_gone()).await.id;
    let waits = house.held(&Call::delete("waits")).await.id;
    house.fall_still();
    for id in [gone, waits] {
        assert!(matches!(house.approve("bob", id).await.unwrap().approval, Approval::Approved(_)));
    }
    house.restart().await;
    house.until(gone, "finished").await;
    assert_eq!(house.state(waits).await, "approved", "it waits for its caller");
    assert_eq!(house.runner.runs(), 1);
    house.restart().await;
    assert!(matches!(house.hear(waits).await, Heard::Ran { .. }));
    assert_eq!(house.runner.runs_of(gone), 0, "not a second time");
}

/// **Authority**, "check … at redemption": a restart is no way round.
#[tokio::test]
async fn what_was_approved_is_asked_about_again_after_a_restart() {
    let mut house = House::usual(&held_by("dba:1")).await;
    let id = house.held(&Call::delete("orders").though_gone()).await.id;
    house.fall_still();
    house.approve("bob", id).await.unwrap();
    house.leave("bob", "dba").await;
    house.restart().await;
    house.never_runs(id).await;
}

/// **Binding**, "kill -9 at each step": killed at any moment on the way, nothing acknowledged is lost and
/// nothing runs twice. (Processes are killed in the binary's own tests.)
#[tokio::test]
async fn killed_at_any_moment_nothing_is_lost_and_nothing_runs_twice() {
    let mut house = House::usual(&held_by("dba:1")).await;
    for n in 0..16_u64 {
        let call = Call::delete(&format!("orders-{n}")).though_gone();
        let held = house.held(&call).await;
        let first = std::sync::Arc::clone(&house.runner);
        let approved = house.approve("bob", held.id).await.is_ok();
        assert!(approved);
        tokio::time::sleep(std::time::Duration::from_micros(n * 600)).await;
        house.restart().await;
        house.until(held.id, "finished").await;
        let runs = first.runs_of(held.id) + house.runner.runs_of(held.id);
        let Heard::Ran { outcome, .. } = house.hear(held.id).await else { panic!("lost") };
        match outcome.ending {
            Ending::Succeeded => assert_eq!(runs, 1),
            Ending::Unknown => assert!(runs <= 1),
            Ending::Failed => panic!("it did not fail"),
        }
    }
    house.audit().await;
}

/// A report by its caller is still taken after a restart, where no point of ours runs it.
#[tokio::test]
async fn what_a_caller_runs_themself_they_still_report() {
    let mut house = House::usual(&held_by("dba:1")).await;
    let mut call = Call::delete("orders");
    call.point = domain::action::Point::Rest;
    let id = house.approved(&call).await;
    let caller = house.caller("bot").await;
    Box::pin(house.gateway.redeem_for_caller(id, &caller)).await.unwrap();
    house.restart().await;
    assert_eq!(house.state(id).await, "executing");
    house.gateway.report(id, &caller, Ending::Failed, "404").await.unwrap();
    assert_eq!(house.state(id).await, "finished");

    // Who never reports leaves an outcome that nobody knows.
    let mut call = Call::delete("silent");
    call.point = domain::action::Point::Rest;
    let id = house.approved(&call).await;
    Box::pin(house.gateway.redeem_for_caller(id, &caller)).await.unwrap();
    house.later(24 * 3_600);
    house.until(id, "finished").await;
}
