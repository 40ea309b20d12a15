//! Who gets the result: one caller, once.

use std::sync::Arc;
use std::time::Duration;

use domain::outcome::Ending;
use gateway::hold::Heard;
use gateway::limits::RESULT_LIMIT_BYTES;
use gateway::ports::RunResult;

use crate::house::{Call, House, PATIENCE, eventually, held_by};
use crate::runner::Answer;

#[tokio::test]
async fn the_second_collector_hears_that_it_was_collected() {
    let house = House::usual(&held_by("dba:1")).await;
    let held = house.held(&Call::delete("orders").though_gone()).await;
    house.approve("bob", held.id).await.unwrap();
    house.until(held.id, "finished").await;
    assert!(matches!(house.hear(held.id).await, Heard::Ran { result: Some(RunResult::Whole(_)), .. }));
    let Heard::Ran { outcome, result: None } = house.hear(held.id).await else { panic!("handed out twice") };
    assert_eq!(outcome.ending, Ending::Succeeded);
}

#[tokio::test]
async fn a_result_that_nobody_collects_lapses() {
    let house = House::usual(&held_by("dba:1")).await;
    let held = house.held(&Call::delete("orders").though_gone()).await;
    house.approve("bob", held.id).await.unwrap();
    house.until(held.id, "finished").await;
    house.later(3_600);
    assert!(matches!(house.hear(held.id).await, Heard::Ran { result: None, .. }));
}

/// **Binding**, "Replay": a hundred who wait are one run, and one of them gets the result.
#[tokio::test]
async fn a_hundred_waiters_are_one_run_and_one_result() {
    let house = House::usual(&held_by("dba:1")).await;
    let held = house.held(&Call::delete("orders")).await;
    let waiters: Vec<_> = (0..100)
        .map(|_| {
            let gateway = Arc::clone(&house.gateway);
            tokio::spawn(async move { gateway.wait(held.id, PATIENCE).await.unwrap() })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(50)).await;
    house.approve("bob", held.id).await.unwrap();
    let mut results = 0;
    for waiter in waiters {
        match waiter.await.unwrap() {
            Heard::Ran { outcome, result } => {
                assert_eq!(outcome.ending, Ending::Succeeded);
                results += usize::from(result.is_some());
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((house.runner.runs(), results), (1, 1));
}

#[tokio::test]
async fn a_stream_goes_to_whoever_waits_and_to_nobody_later() {
    let house = House::usual(&held_by("dba:1")).await;
    house.runner.answer(Answer::Live("a stream"));
    let held = house.held(&Call::delete("orders")).await;
    let waiter = tokio::spawn({
        let gateway = Arc::clone(&house.gateway);
        async move { gateway.wait(held.id, PATIENCE).await.unwrap() }
    });
    tokio::time::sleep(Duration::from_millis(20)).await;
    house.approve("bob", held.id).await.unwrap();
    assert!(matches!(waiter.await.unwrap(), Heard::Ran { result: Some(RunResult::Live(_)), .. }));

    let held = house.held(&Call::delete("invoices").though_gone()).await;
    house.approve("bob", held.id).await.unwrap();
    house.until(held.id, "finished").await;
    assert!(matches!(house.hear(held.id).await, Heard::Ran { result: None, .. }));
}

#[tokio::test]
async fn a_result_too_large_to_keep_still_ends_its_run() {
    let house = House::usual(&held_by("dba:1")).await;
    house.runner.answer(Answer::Bytes(vec![0; RESULT_LIMIT_BYTES + 1]));
    let held = house.held(&Call::delete("orders").though_gone()).await;
    house.approve("bob", held.id).await.unwrap();
    house.until(held.id, "finished").await;
    assert!(matches!(house.hear(held.id).await, Heard::Ran { result: None, .. }));
}

/// A run that breaks off is an outcome that nobody knows, as soon as it breaks off.
#[tokio::test]
async fn a_runner_that_panics_leaves_an_unknown_outcome() {
    let house = House::usual(&held_by("dba:1")).await;
    house.runner.answer(Answer::Panic);
    let held = house.held(&Call::delete("orders").though_gone()).await;
    house.approve("bob", held.id).await.unwrap();
    house.until(held.id, "finished").await;
    let Heard::Ran { outcome, result: None } = house.hear(held.id).await else { panic!("no outcome") };
    assert_eq!(outcome.ending, Ending::Unknown);
    assert_eq!(house.runner.runs(), 1);
    eventually("nothing is left running", async || house.state(held.id).await == "finished").await;
}
