//! **Authority**, "Clock moved: one clock, monotonic, an hour either way".

use domain::time::Timestamp;
use gateway::hold::Heard;

use crate::house::{Call, House, held_by};

const HOUR: u64 = 3_600;

fn an_hour_back(house: &House) {
    use gateway::store::Clock as _;
    house.clock.set(Timestamp::from_micros(house.clock.now().micros() - HOUR * 1_000_000));
}

async fn times_never_fall(house: &House) {
    let leaves = house.leaves().await;
    assert!(leaves.is_sorted_by_key(|leaf| leaf.time), "a time fell");
    house.audit().await;
}

/// **Authority**, "Clock moved … an hour either way": back, at every step, also over a restart.
#[tokio::test]
async fn an_hour_back_nothing_runs_early_or_twice() {
    let mut house = House::usual(&held_by("dba:2")).await;
    let held = house.held(&Call::delete("orders").though_gone()).await;
    an_hour_back(&house);
    house.approve("bob", held.id).await.unwrap();
    house.never_runs(held.id).await;
    an_hour_back(&house);
    house.restart().await;
    house.never_runs(held.id).await;
    assert!(house.held(&Call::delete("orders").though_gone()).await.attached);
    house.approve("cyd", held.id).await.unwrap();
    house.until(held.id, "finished").await;
    an_hour_back(&house);
    house.restart().await;
    assert!(house.held(&Call::delete("orders").though_gone()).await.attached);
    assert!(matches!(house.hear(held.id).await, Heard::Ran { .. }));
    assert_eq!(house.runner.runs(), 0, "it ran before the restart, and not again");
    times_never_fall(&house).await;
}

/// **Authority**, "Clock moved": a clock set back does not bring back what has lapsed.
#[tokio::test]
async fn an_hour_back_brings_nothing_back() {
    let house = House::usual(&held_by("dba:1")).await;
    let pending = house.held(&Call::delete("pending").though_gone()).await.id;
    let approved = house.approved(&Call::delete("approved")).await;
    house.later(HOUR);
    house.until(pending, "expired").await;
    house.until(approved, "expired").await;
    an_hour_back(&house);
    for id in [pending, approved] {
        assert!(house.approve("bob", id).await.is_err());
        house.never_runs(id).await;
    }
    times_never_fall(&house).await;
}

/// **Authority**, "Clock moved": forward, what waited has lapsed, and does not run.
#[tokio::test]
async fn an_hour_forward_lapses_and_runs_nothing() {
    let house = House::usual(&held_by("dba:1")).await;
    let approved = house.approved(&Call::delete("approved")).await;
    let pending = house.held(&Call::delete("pending").though_gone()).await.id;
    house.later(HOUR);
    // Before the sweep has said so, it is so.
    let _ = house.approve("bob", pending).await;
    house.never_runs(pending).await;
    house.never_runs(approved).await;
    let fresh = house.held(&Call::delete("fresh").though_gone()).await.id;
    house.approve("bob", fresh).await.unwrap();
    house.until(fresh, "finished").await;
    times_never_fall(&house).await;
}
