//! Changes of who and what is known.

use domain::principal::Principal;

use super::World;
use super::testing::{arrival, person};
use crate::StoreError;

pub(super) async fn changes_are_all_or_none(world: World) {
    let World { store, .. } = &world;
    let (ada, bob) = (person(), person());
    let first = store.change(0, vec![arrival(ada, "Ada"), arrival(bob, "Bob")]).await.unwrap();
    assert_eq!(*first.get(), 2);
    assert_eq!(store.directory().version(), 2);
    assert_eq!(store.directory().person(bob).unwrap().name, "Bob");
    let size = store.head().await.unwrap().size;
    assert_eq!(first.position().index + 1, size);

    let stale = store.change(1, vec![arrival(person(), "Eve")]).await;
    assert!(matches!(stale, Err(StoreError::Stale)), "{stale:?}");
    let twice = store.change(2, vec![arrival(person(), "Eve"), arrival(person(), "Ada")]).await;
    assert!(matches!(twice, Err(StoreError::Refused(_))), "{twice:?}");
    assert!(store.change(2, Vec::new()).await.is_err(), "nothing is no change");
    assert_eq!(store.directory().version(), 2);
    assert_eq!(store.head().await.unwrap().size, size);
    assert!(!store.directory().people().any(|person| person.name == "Eve"));

    let entries = store.directory_entries(&Principal::Person(ada).to_string()).await.unwrap();
    assert_eq!(entries, [size - 2]);
    assert_eq!(store.directory_entries("policy").await.unwrap(), Vec::<u64>::new());
}

pub(super) async fn survive_reopening(mut world: World) {
    for version in 0..3 {
        world.clock().forward(std::time::Duration::from_secs(1));
        let change = vec![arrival(person(), &format!("person {version}"))];
        world.store.change(version, change).await.unwrap();
    }
    let before = world.store.directory();
    world.reopen().await;
    assert_eq!(world.store.directory(), before);
    world.store.audit().await.unwrap();
}
