//! Values that are sealed at rest, lapse, and are claimed at most once.

use std::time::Duration;

use domain::time::Span;

use super::World;
use crate::{StoreError, limits};

const MINUTE: Span = Span::from_seconds(60);

pub(super) async fn values_are_kept_looked_at_and_taken(world: World) {
    let World { store, .. } = &world;
    assert_eq!(store.look("a").await.unwrap(), None);
    assert_eq!(store.take("a").await.unwrap(), None);
    store.keep("a", b"one", MINUTE).await.unwrap();
    store.keep("a", b"two", MINUTE).await.unwrap();
    store.keep("b", b"", MINUTE).await.unwrap();
    assert_eq!(store.look("a").await.unwrap().unwrap(), b"two");
    assert_eq!(store.look("b").await.unwrap().unwrap(), b"");
    assert_eq!(store.take("a").await.unwrap().unwrap(), b"two");
    assert_eq!(store.take("a").await.unwrap(), None);
    assert_eq!(store.look("a").await.unwrap(), None);
}

pub(super) async fn values_lapse(world: World) {
    let World { store, .. } = &world;
    store.keep("a", b"one", MINUTE).await.unwrap();
    store.keep("long", b"two", Span::from_seconds(600)).await.unwrap();
    world.clock().forward(Duration::from_secs(60) - Duration::from_micros(1));
    assert!(store.look("a").await.unwrap().is_some());
    world.clock().forward(Duration::from_micros(1));
    assert_eq!(store.look("a").await.unwrap(), None);
    assert_eq!(store.take("a").await.unwrap(), None);
    // Later writes sweep; what has not lapsed stays.
    for round in 0..10 {
        store.keep(&format!("n{round}"), b"", MINUTE).await.unwrap();
    }
    assert_eq!(store.look("long").await.unwrap().unwrap(), b"two");
}

pub(super) async fn claims_lapse(world: World) {
    let World { store, .. } = &world;
    assert!(store.claim("n", MINUTE).await.unwrap());
    assert!(!store.claim("n", MINUTE).await.unwrap());
    assert!(store.claim("m", MINUTE).await.unwrap());
    assert_eq!(store.look("n").await.unwrap(), None, "claims and values are apart");
    world.clock().forward(Duration::from_secs(60) - Duration::from_micros(1));
    assert!(!store.claim("n", MINUTE).await.unwrap());
    world.clock().forward(Duration::from_micros(1));
    assert!(store.claim("n", MINUTE).await.unwrap());
    assert!(!store.claim("n", MINUTE).await.unwrap());
}

pub(super) async fn prefixes_are_forgotten(world: World) {
    let World { store, .. } = &world;
    for key in
        ["session:1:a", "session:1:b", "session:1", "session:10", "session:2", "s%_", "session\u{10ffff}"]
    {
        store.keep(key, b"x", MINUTE).await.unwrap();
    }
    assert!(store.claim("session:1:a", MINUTE).await.unwrap());
    assert_eq!(store.forget("session:1:").await.unwrap(), 2);
    assert_eq!(store.forget("session:1:").await.unwrap(), 0);
    assert_eq!(store.forget("%").await.unwrap(), 0);
    assert!(!store.claim("session:1:a", MINUTE).await.unwrap(), "claims are not forgotten");
    for (key, there) in
        [("session:1", true), ("session:10", true), ("session:2", true), ("session:1:a", false)]
    {
        assert_eq!(store.look(key).await.unwrap().is_some(), there, "{key}");
    }
    assert_eq!(store.forget("session\u{10ffff}").await.unwrap(), 1);
    assert_eq!(store.forget("session").await.unwrap(), 3);
    assert_eq!(store.forget("").await.unwrap(), 1);
}

pub(super) async fn large_values_are_refused(world: World) {
    let World { store, .. } = &world;
    let limit = limits::VAULT_VALUE_LIMIT_BYTES;
    store.keep("full", &vec![7; limit], MINUTE).await.unwrap();
    assert_eq!(store.look("full").await.unwrap().unwrap().len(), limit);
    let refused = store.keep("over", &vec![7; limit + 1], MINUTE).await;
    assert!(matches!(refused, Err(StoreError::Refused(_))), "{refused:?}");
    assert_eq!(store.look("over").await.unwrap(), None);
}
