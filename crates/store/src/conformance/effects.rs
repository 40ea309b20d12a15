//! What a command changes beside its approval lands with its event or not at all.

use domain::approval::Command;
use domain::time::Span;

use super::World;
use super::testing::{arrival, person, worked};
use crate::{Effect, StoreError};

pub(super) async fn land_with_their_event(world: World) {
    let World { store, desk, .. } = &world;
    let id = desk.approved(store.as_ref(), "orders").await;
    desk.redeem(store, id).await;
    let ada = person();
    let effect = Effect {
        changes: vec![arrival(ada, "Ada"), arrival(person(), "Bob")],
        directory: Some(0),
        keep: Some(("result:1".to_owned(), b"204".to_vec(), Span::from_seconds(60))),
    };
    let recorded = store.advance(id, Command::Finish(worked()), effect).await.unwrap();
    assert_eq!(store.directory().version(), 2);
    assert_eq!(store.directory().person(ada).unwrap().since, recorded.position().time);
    assert_eq!(store.look("result:1").await.unwrap().unwrap(), b"204");
    let head = store.head().await.unwrap();
    assert_eq!(head.size, recorded.position().index + 3, "one event and two changes");
}

pub(super) async fn or_not_at_all(world: World) {
    let World { store, desk, .. } = &world;
    let id = desk.approved(store.as_ref(), "orders").await;
    desk.redeem(store, id).await;
    let size = store.head().await.unwrap().size;
    let ada = person();
    let keep = || Some(("result:1".to_owned(), b"204".to_vec(), Span::from_seconds(60)));

    let stale = Effect { changes: vec![arrival(ada, "Ada")], directory: Some(1), keep: keep() };
    let refused = store.advance(id, Command::Finish(worked()), stale).await;
    assert!(matches!(refused, Err(StoreError::Stale)), "{refused:?}");
    let senseless =
        Effect { changes: vec![arrival(ada, "Ada"), arrival(ada, "Ada")], directory: Some(0), keep: keep() };
    let refused = store.advance(id, Command::Finish(worked()), senseless).await;
    assert!(matches!(refused, Err(StoreError::Refused(_))), "{refused:?}");

    assert_eq!(store.head().await.unwrap().size, size);
    assert_eq!(store.directory().version(), 0);
    assert_eq!(store.look("result:1").await.unwrap(), None);
    assert_eq!(store.approval(id).await.unwrap().approval.word(), "executing");
    store.audit().await.unwrap();
}

pub(super) async fn stale_answers_are_refused(world: World) {
    let World { store, desk, .. } = &world;
    let id = desk.approved(store.as_ref(), "orders").await;
    let summary = store.approval(id).await.unwrap();
    let stale_request = desk.request(store.as_ref(), "invoices");
    let permit = desk.permit(&summary, 0).unwrap();
    let evaluation = desk.evaluation(&summary.action, 0, 1);
    store.change(0, vec![arrival(person(), "Ada")]).await.unwrap();

    assert!(matches!(store.open(stale_request).await, Err(StoreError::Stale)));
    for command in [Command::Redeem(permit), Command::Reevaluate(evaluation)] {
        let refused = store.advance(id, command, Effect::default()).await;
        assert!(matches!(refused, Err(StoreError::Stale)), "{refused:?}");
    }
    assert_eq!(store.approval(id).await.unwrap().approval, summary.approval);
    let permit = desk.permit(&summary, 1).unwrap();
    store.advance(id, Command::Redeem(permit), Effect::default()).await.unwrap();
}
