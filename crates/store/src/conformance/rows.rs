//! What of an approval's row no event repeats is bound to that row: whoever writes to the database moves no retry key to
//! another approval, and has nothing run unattended.

use domain::id::ActionId;
use domain::statement::Verdict;

use super::World;
use super::testing::{RETRY_WINDOW, TTL};
use crate::{Opened, RunWhenGone, StoreError};

/// Two approvals change places in these columns. Doing it twice undoes it.
fn swap(columns: &[&str]) -> String {
    let others = columns
        .iter()
        .map(|column| format!("{column} = (SELECT was.{column} FROM was WHERE was.id <> approval.id)"));
    let others = others.collect::<Vec<_>>().join(", ");
    format!("CREATE TEMP TABLE was AS SELECT * FROM approval; UPDATE approval SET {others}")
}

async fn call(world: &World, queue: &str) -> Result<Option<ActionId>, StoreError> {
    let request = world.desk.request(world.store.as_ref(), queue);
    Ok(match world.store.open(request).await? {
        Opened::New(_) => None,
        Opened::Attached(attached) => Some(attached.id),
    })
}

pub(super) async fn nobody_attaches_by_anothers_key(world: World) {
    let World { store, desk, .. } = &world;
    let pending = desk.open(store.as_ref(), "orders").await;
    let approved = desk.approved(store.as_ref(), "invoices").await;
    assert_eq!(call(&world, "orders").await.unwrap(), Some(pending));
    for columns in
        [&["retry"][..], &["retry", "bound"], &["retry", "bound", "retry_window", "run_when_gone", "shape"]]
    {
        world.deployment.behind_its_back(&swap(columns));
        // Neither the call that was never reviewed runs on the other's approval, nor the other way round.
        for queue in ["orders", "invoices"] {
            let refused = call(&world, queue).await;
            assert!(matches!(refused, Err(StoreError::Corrupt(_))), "{columns:?} {queue}: {refused:?}");
        }
        for id in [pending, approved] {
            let refused = store.approval(id).await.err();
            assert!(matches!(refused, Some(StoreError::Corrupt(_))), "{columns:?}: {refused:?}");
        }
        assert!(store.audit().await.is_err(), "{columns:?}");
        world.deployment.behind_its_back(&swap(columns));
        store.audit().await.unwrap();
    }
    assert_eq!(call(&world, "orders").await.unwrap(), Some(pending));
    assert_eq!(call(&world, "invoices").await.unwrap(), Some(approved));
}

pub(super) async fn what_no_event_says_cannot_be_edited(world: World) {
    let World { store, desk, .. } = &world;
    let denied = desk.open(store.as_ref(), "orders").await;
    desk.decide(store.as_ref(), denied, Verdict::Deny).await;
    for (edit, undo) in [
        ("run_when_gone = (1 = 1)", "run_when_gone = (1 = 0)"),
        ("shape = 'harmless'", "shape = 'broker http.delete'"),
        // Both columns that say how long: they fit each other.
        (
            "retry_window = retry_window + 1, retry_until = retry_until + 1000000",
            "retry_window = retry_window - 1, retry_until = retry_until - 1000000",
        ),
    ] {
        world.deployment.behind_its_back(&format!("UPDATE approval SET {edit}"));
        let refused = store.approval(denied).await.err();
        assert!(matches!(refused, Some(StoreError::Corrupt(_))), "{edit}: {refused:?}");
        assert!(call(&world, "orders").await.is_err(), "{edit}");
        assert!(store.audit().await.is_err(), "{edit}");
        world.deployment.behind_its_back(&format!("UPDATE approval SET {undo}"));
    }
    store.audit().await.unwrap();
}

/// As rows stand that were written before rows were sealed, and as they stand once somebody took the seal away.
pub(super) async fn a_row_without_its_seal_is_attached_to_by_nobody(world: World) {
    let World { store, desk, .. } = &world;
    let approved = desk.approved(store.as_ref(), "orders").await;
    world.deployment.behind_its_back("UPDATE approval SET bound = NULL, run_when_gone = (1 = 1)");
    let summary = store.approval(approved).await.unwrap();
    assert_eq!((summary.approval.word(), summary.run_when_gone), ("approved", RunWhenGone::No));
    assert_eq!(call(&world, "orders").await.unwrap(), None, "an identical call is held anew");
    // It lapses in its time, and whoever looks it up by its id is told.
    world.clock().forward(TTL.duration() + RETRY_WINDOW.duration());
    assert_eq!(store.lapsed(10).await.unwrap().len(), 2);
    store.audit().await.unwrap();
}
