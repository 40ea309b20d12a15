//! Identical calls find what stands.

use domain::approval::Command;
use domain::id::ActionId;
use domain::statement::Verdict;

use super::World;
use super::testing::{RETRY_WINDOW, TTL, worked};
use crate::{Attached, Effect, Opened};

/// Calls again; answers the approval that it attached to, or `None` where a new one was opened.
async fn again(world: &World, queue: &str) -> Option<Attached> {
    let request = world.desk.request(world.store.as_ref(), queue);
    match world.store.open(request).await.unwrap() {
        Opened::New(_) => None,
        Opened::Attached(attached) => Some(attached),
    }
}

async fn attached(world: &World, queue: &str, id: ActionId, word: &str) {
    let found = again(world, queue).await.expect("a standing approval");
    assert_eq!((found.id, found.approval.word()), (id, word));
}

pub(super) async fn identical_calls_attach(world: World) {
    let World { store, desk, .. } = &world;
    let id = desk.open(store.as_ref(), "orders").await;
    let size = store.head().await.unwrap().size;
    attached(&world, "orders", id, "pending").await;
    assert_eq!(store.head().await.unwrap().size, size, "attaching writes nothing");
    assert!(again(&world, "invoices").await.is_none(), "other bytes are another call");

    desk.decide(store.as_ref(), id, Verdict::Approve).await;
    attached(&world, "orders", id, "approved").await;
    desk.redeem(store, id).await;
    attached(&world, "orders", id, "executing").await;
    // However long it runs.
    world.clock().forward(TTL.duration() * 10);
    attached(&world, "orders", id, "executing").await;
}

pub(super) async fn an_ended_one_is_found_within_its_window(world: World) {
    let World { store, desk, .. } = &world;
    let finished = desk.finished(store, "orders").await;
    let denied = desk.open(store.as_ref(), "invoices").await;
    desk.decide(store.as_ref(), denied, Verdict::Deny).await;

    world.clock().forward(RETRY_WINDOW.duration() - std::time::Duration::from_micros(1));
    attached(&world, "orders", finished, "finished").await;
    attached(&world, "invoices", denied, "denied").await;
    world.clock().forward(std::time::Duration::from_micros(1));
    assert!(again(&world, "orders").await.is_none(), "the window is over");
    assert!(again(&world, "invoices").await.is_none(), "the window is over");
    // And from now on the new one is found.
    let found = again(&world, "orders").await.unwrap();
    assert_ne!(found.id, finished);
    assert_eq!(found.approval.word(), "pending");
}

pub(super) async fn a_lapsed_one_is_ended_first(world: World) {
    let World { store, desk, .. } = &world;
    let pending = desk.open(store.as_ref(), "orders").await;
    let approved = desk.approved(store.as_ref(), "invoices").await;
    world.clock().forward(TTL.duration());
    for (queue, id) in [("orders", pending), ("invoices", approved)] {
        attached(&world, queue, id, "expired").await;
        let history = store.history(id).await.unwrap();
        assert_eq!(history.last().unwrap().0.word(), "expired", "the end is on record");
    }
    world.clock().forward(RETRY_WINDOW.duration());
    assert!(again(&world, "orders").await.is_none());

    // Without a window there is nothing to find.
    let mut fleeting = desk.request(store.as_ref(), "fleeting");
    fleeting.retry_window = domain::time::Span::from_seconds(0);
    let id = fleeting.action.id();
    store.open(fleeting).await.unwrap();
    world.clock().forward(TTL.duration());
    assert!(again(&world, "fleeting").await.is_none());
    assert_eq!(store.approval(id).await.unwrap().approval.word(), "expired");
    let finish = store.advance(id, Command::Finish(worked()), Effect::default()).await;
    assert!(finish.is_err());
    store.audit().await.unwrap();
}
