//! Old values and old keys: what went by the log's own word is told from what was taken away.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use audit::{Checkpoint, Ed25519Signer, NoteSigner as _};

use super::super::{EmbeddedConfig, EmbeddedStore, restore};
use super::place::{Place, signer};
use crate::conformance::testing::{Desk, arrival, note, person};
use crate::{Leaves, Ledger as _, Pruning, Store, StoreError};

async fn notes(store: &Arc<dyn Store>, count: usize) {
    let records = (0..count).map(|n| {
        let store = Arc::clone(store);
        tokio::spawn(async move { store.record(note(&n.to_string())).await.unwrap() })
    });
    for record in records.collect::<Vec<_>>() {
        record.await.unwrap();
    }
}

fn next_key() -> Ed25519Signer {
    Ed25519Signer::new("countersign.example.com/log".parse().unwrap(), &[4; 32])
}

fn under(place: &Place, key: Ed25519Signer) -> Result<EmbeddedStore, StoreError> {
    EmbeddedStore::open(EmbeddedConfig { signer: Box::new(key), ..place.config() })
}

fn copy(of: &Place) -> Place {
    let place = Place::new();
    for file in fs::read_dir(of.dir.path()).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), place.dir.path().join(file.file_name())).unwrap();
    }
    place
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leaf_that_does_not_read_back_is_not_signed() {
    for lie in [
        "CREATE TRIGGER lie AFTER INSERT ON entry BEGIN UPDATE entry SET leaf = x'7b7d' WHERE idx = NEW.idx; END",
        "CREATE TRIGGER lie AFTER INSERT ON entry BEGIN UPDATE entry SET leaf_hash = zeroblob(32) WHERE idx = NEW.idx; END",
        "CREATE TRIGGER lie AFTER INSERT ON entry BEGIN DELETE FROM entry WHERE idx = NEW.idx; END",
    ] {
        let place = Place::new();
        let store = place.open_store();
        store.record(note("one")).await.unwrap();
        let head = store.head().await.unwrap();
        let anchor = fs::read(place.dir.path().join("anchor.latest")).unwrap();
        place.connection().execute_batch(&format!("PRAGMA foreign_keys = OFF; {lie}")).unwrap();
        let refused = store.record(note("two")).await;
        assert!(matches!(refused, Err(StoreError::LogStopped(_))), "{lie}: {refused:?}");
        assert_eq!(store.head().await.unwrap(), head);
        assert_eq!(fs::read(place.dir.path().join("anchor.latest")).unwrap(), anchor, "nothing was signed");
        drop(store);
        place.connection().execute_batch("DROP TRIGGER lie").unwrap();
        let store = place.open_store();
        assert_eq!(store.audit().await.unwrap(), head);
        store.record(note("two")).await.unwrap();
    }
}

/// A log whose first 512 entries were pruned with their leaves, and the next 256 of their values.
async fn pruned() -> Place {
    let place = Place::new();
    let store: Arc<dyn Store> = Arc::new(place.open_store());
    let desk = Desk::new(store.origin().clone());
    desk.finished(&store, "orders").await;
    store.change(0, vec![arrival(person(), "Ada")]).await.unwrap();
    notes(&store, 600).await;
    for leaves in [Leaves::Drop, Leaves::Keep] {
        place.clock.forward(Duration::from_secs(60));
        let before = store.now();
        notes(&store, 300).await;
        let pruning = Pruning { before, leaves, by: "the suite".to_owned(), policy: "a minute".to_owned() };
        while store.prune(pruning.clone()).await.unwrap().is_some() {}
    }
    store.audit().await.unwrap();
    place
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_taken_away_is_told_from_what_was_pruned() {
    let whole = pruned().await;
    copy(&whole).open_store().audit().await.unwrap();
    for statement in [
        // Beside what the log says went.
        "UPDATE entry SET leaf = x'', subject = NULL WHERE idx = 600; DELETE FROM field WHERE id >> 10 = 600",
        "UPDATE entry SET leaf = x'', subject = NULL WHERE idx = 800; DELETE FROM field WHERE id >> 10 = 800",
        "UPDATE field SET sealed = NULL WHERE id >> 10 = 800",
        // What the log says stayed.
        "UPDATE entry SET leaf = x'', subject = NULL WHERE idx = 5; DELETE FROM field WHERE id >> 10 = 5",
        "UPDATE entry SET leaf = x'', subject = NULL WHERE idx = 0; DELETE FROM field WHERE id >> 10 = 0",
        "UPDATE field SET sealed = NULL WHERE id >> 10 = 5",
        // What should be gone, and is not.
        "UPDATE entry SET subject = 'somebody' WHERE idx = 100",
        "INSERT INTO field SELECT 100 << 10, path, commitment, sealed FROM field WHERE id = 800 << 10",
        "INSERT INTO payload SELECT 100 << 10, path, commitment, sealed FROM field WHERE id = 800 << 10",
        // The hashes that stand for it, and what the rows say of it.
        "UPDATE entry SET leaf_hash = zeroblob(32) WHERE idx = 100",
        "UPDATE pruning SET below = below + 256 WHERE first = 0",
        "UPDATE pruning SET leaves = 1 - leaves",
        "DELETE FROM pruning WHERE first = 0",
        "INSERT INTO pruning VALUES (900, 768, 1024, 1)",
        "UPDATE approval SET erased = 0",
    ] {
        let place = copy(&whole);
        place.tamper(&format!("PRAGMA foreign_keys = OFF; {statement}"));
        let found = match place.try_open() {
            Ok(store) => store.audit().await.map(|_| ()),
            Err(error) => Err(error),
        };
        assert!(matches!(found, Err(StoreError::Corrupt(_))), "{statement}: {found:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pruned_log_restores() {
    let whole = pruned().await;
    let backup = whole.dir.path().join("copy.backup");
    let store = whole.open_store();
    store.backup(&backup).await.unwrap();
    let head = store.head().await.unwrap();
    drop(store);
    let place = Place::new();
    fs::copy(whole.anchor(), place.anchor()).unwrap();
    let restored = restore(&backup, place.config(), None).unwrap();
    assert_eq!((restored.head, restored.loss), (head.clone(), None));
    assert_eq!(place.open_store().audit().await.unwrap(), head);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_change_of_the_key_is_taken_away_or_made_up() {
    let whole = Place::new();
    let store = whole.open_store();
    store.record(note("one")).await.unwrap();
    let backup = whole.dir.path().join("before.backup");
    store.backup(&backup).await.unwrap();
    let older = fs::read(whole.dir.path().join("anchor.latest")).unwrap();
    let changed = store.rotate(Box::new(next_key()), "once a year").await.unwrap().position();
    drop(store);

    // Right behind the change the old key's checkpoint is the head; the new key goes on from it.
    let place = copy(&whole);
    assert!(matches!(under(&place, signer()), Err(StoreError::Corrupt(_))));
    let store = under(&place, next_key()).unwrap();
    store.record(note("two")).await.unwrap();
    store.audit().await.unwrap();
    let new = store.head().await.unwrap();
    drop(store);
    // The process ended before the anchor knew of the change.
    for file in ["anchor", "anchor.latest"] {
        fs::write(place.dir.path().join(file), &older).unwrap();
    }
    drop(under(&place, next_key()).unwrap());

    // The old key says nothing more about this log, not even to the anchor.
    let forged =
        Checkpoint::new("countersign.example.com/log", new.size + 5, audit::leaf_hash(b"forged"), Vec::new());
    let forged = forged.unwrap().sign(&[&signer()]).unwrap().note().to_string();
    fs::write(place.anchor(), forged).unwrap();
    assert!(matches!(under(&place, next_key()), Err(StoreError::LogStopped(_))));
    fs::write(place.anchor(), &older).unwrap();

    for statement in [
        "DELETE FROM rotation".to_owned(),
        "UPDATE rotation SET note = replace(note, 'countersign', 'contersign')".to_owned(),
        format!("UPDATE rotation SET note = '{}'", String::from_utf8(older.clone()).unwrap()),
        format!("UPDATE rotation SET note = '{}'", new.checkpoint),
        "UPDATE rotation SET entry = entry - 1".to_owned(),
        format!("INSERT INTO rotation SELECT entry + 1, '{}' FROM rotation", new.checkpoint),
        format!("UPDATE field SET path = 'other' WHERE id >> 10 = {} AND path = 'reason'", changed.index),
        format!("UPDATE field SET sealed = NULL WHERE id >> 10 = {}", changed.index),
    ] {
        let place = copy(&place);
        place.tamper(&format!("PRAGMA foreign_keys = OFF; {statement}"));
        let refused = under(&place, next_key());
        assert!(matches!(refused, Err(StoreError::Corrupt(_))), "{statement}: {refused:?}");
    }

    // A backup from before the change is an old backup, under either key.
    let elsewhere = Place::new();
    fs::copy(place.dir.path().join("anchor.latest"), elsewhere.anchor()).unwrap();
    fs::write(elsewhere.anchor(), &new.checkpoint).unwrap();
    for key in [signer(), next_key()] {
        let config = EmbeddedConfig { signer: Box::new(key), ..elsewhere.config() };
        assert!(restore(&backup, config, Some("disk lost")).is_err());
        assert!(!elsewhere.path().exists());
    }
    assert_eq!(next_key().verifier().name().as_str(), "countersign.example.com/log");
}
