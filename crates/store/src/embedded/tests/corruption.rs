//! Whatever is altered behind the store's back is found.

use std::fs;
use std::sync::Arc;

use domain::principal::Principal;
use domain::time::Span;

use super::place::Place;
use crate::conformance::testing::{Desk, arrival, note, person};
use crate::seal::SealingKey;
use crate::{Approvals as _, Ledger as _, Store, StoreError, Vault as _};

/// A log with something of everything, past one tile; closed.
async fn full() -> Place {
    let place = Place::new();
    let store: Arc<dyn Store> = Arc::new(place.open_store());
    let desk = Desk::new(store.origin().clone());
    desk.finished(&store, "orders").await;
    desk.open(store.as_ref(), "invoices").await;
    store.change(0, vec![arrival(person(), "Ada")]).await.unwrap();
    store.keep("a", b"one", Span::from_seconds(600)).await.unwrap();
    store.keep("b", b"two", Span::from_seconds(600)).await.unwrap();
    let notes: Vec<_> = (0..300)
        .map(|n| {
            let store = Arc::clone(&store);
            tokio::spawn(async move { store.record(note(&n.to_string())).await.unwrap() })
        })
        .collect();
    for note in notes {
        note.await.unwrap();
    }
    drop(store);
    place
}

/// The same files in another place.
fn copy(of: &Place) -> Place {
    let place = Place::new();
    for file in fs::read_dir(of.dir.path()).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), place.dir.path().join(file.file_name())).unwrap();
    }
    place
}

/// At open, or by `audit`.
async fn found(place: &Place) -> Result<(), StoreError> {
    place.try_open()?.audit().await.map(|_| ())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_altered_row_is_found() {
    let whole = full().await;
    found(&copy(&whole)).await.unwrap();
    // A blob's last byte becomes another one.
    let flip = |table: &str, column: &str, which: &str| {
        format!(
            "UPDATE {table} SET {column} = CAST (substr({column}, 1, length({column}) - 1)
                 || CASE substr({column}, -1) WHEN x'00' THEN x'01' ELSE x'00' END AS BLOB) WHERE {which}"
        )
    };
    let first_event = "approval = (SELECT approval FROM event ORDER BY approval LIMIT 1)";
    for statement in [
        flip("entry", "leaf", "idx = 7"),
        flip("entry", "leaf", "idx = 0"),
        flip("entry", "leaf", "idx = (SELECT max(idx) FROM entry)"),
        flip("entry", "leaf_hash", "idx = 7"),
        flip("entry", "leaf_hash", "idx = (SELECT max(idx) FROM entry)"),
        flip("tile", "hash", "level = 1 AND position = 0"),
        flip("checkpoint", "root", "id = 1"),
        flip("field", "commitment", "id = 7 << 10"),
        flip("field", "sealed", "id = 7 << 10"),
        flip("payload", "sealed", "rowid = (SELECT min(id) FROM payload)"),
        flip("payload", "commitment", "rowid = (SELECT min(id) FROM payload)"),
        "UPDATE entry SET kind = 'gap/1' WHERE idx = 7".to_owned(),
        "UPDATE entry SET subject = 'nobody' WHERE idx = 7".to_owned(),
        "UPDATE entry SET time = time + 1 WHERE idx = 7".to_owned(),
        "UPDATE entry SET kind = 'gap/1' WHERE kind = 'directory/1'".to_owned(),
        "DELETE FROM field WHERE id = 7 << 10".to_owned(),
        "UPDATE field SET path = 'other' WHERE id = 7 << 10".to_owned(),
        "DELETE FROM tile".to_owned(),
        "INSERT INTO tile VALUES (1, 1, zeroblob(32))".to_owned(),
        "UPDATE checkpoint SET size = size - 1".to_owned(),
        "UPDATE checkpoint SET time = time + 1".to_owned(),
        "UPDATE checkpoint SET note = replace(note, 'countersign', 'contersign')".to_owned(),
        "DELETE FROM checkpoint".to_owned(),
        "DELETE FROM entry WHERE idx = (SELECT max(idx) FROM entry)".to_owned(),
        "UPDATE entry SET idx = 1000 WHERE idx = (SELECT max(idx) FROM entry)".to_owned(),
        format!(
            "DELETE FROM event WHERE {first_event} AND seq = (SELECT max(seq) FROM event WHERE {first_event})"
        ),
        "DELETE FROM event".to_owned(),
        "UPDATE event SET entry = 5 - entry WHERE seq IN (2, 3)".to_owned(),
        "UPDATE event SET entry = 5 WHERE seq = 4".to_owned(),
        "UPDATE approval SET state = 'denied' WHERE state = 'finished'".to_owned(),
        "UPDATE approval SET deadline = deadline + 1 WHERE state = 'pending'".to_owned(),
        "UPDATE approval SET ended = ended + 1 WHERE state = 'finished'".to_owned(),
        "UPDATE approval SET retry_until = retry_until + 1 WHERE state = 'finished'".to_owned(),
        "UPDATE approval SET caller = 'agent:00000000-0000-7000-8000-000000000000'".to_owned(),
        "UPDATE approval SET erased = 1".to_owned(),
        "UPDATE field SET sealed = NULL WHERE id = 7 << 10".to_owned(),
        "UPDATE payload SET sealed = NULL".to_owned(),
        "UPDATE tally SET ran = ran + 1".to_owned(),
        "DELETE FROM approval".to_owned(),
        "DELETE FROM payload".to_owned(),
    ] {
        let place = copy(&whole);
        place.tamper(&format!("PRAGMA foreign_keys = OFF; {statement}"));
        let error = found(&place).await.expect_err(&statement);
        let told = matches!(error, StoreError::Corrupt(_) | StoreError::LogStopped(_));
        assert!(told, "{statement}: {error:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sealed_values_do_not_move() {
    let place = full().await;
    for (table, key, one, other) in [
        ("field", "id", "7 << 10", "8 << 10"),
        ("vault", "key", "'a'", "'b'"),
        ("payload", "id", "1 << 10", "(1 << 10) + 1"),
    ] {
        place.tamper(&format!(
            "UPDATE {table} SET sealed = (SELECT sealed FROM {table} WHERE {key} = {other}) WHERE {key} = {one}"
        ));
    }
    place.tamper("UPDATE vault SET expires = expires + 1 WHERE key = 'b'");
    let store = place.open_store();
    let corrupt =
        |error: Option<StoreError>| assert!(matches!(error, Some(StoreError::Corrupt(_))), "{error:?}");
    corrupt(store.entry(7).await.err());
    corrupt(store.look("a").await.err());
    corrupt(store.look("b").await.err());
    corrupt(store.take("a").await.err());
    let listed = store.list(&crate::Filter::default(), None, 10).await.unwrap();
    let oldest = listed.rows.last().unwrap().action.id();
    corrupt(store.payload(oldest).await.err());
    corrupt(store.audit().await.err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_altered_hash_ends_up_in_a_proof() {
    let whole = full().await;
    let size = whole.open_store().head().await.unwrap().size;
    for statement in
        ["UPDATE entry SET leaf_hash = zeroblob(32) WHERE idx = 7", "UPDATE tile SET hash = zeroblob(32)"]
    {
        let place = copy(&whole);
        let store = place.open_store();
        place.tamper(statement);
        for answer in [
            store.inclusion(6, size).await,
            store.inclusion(6, 100).await,
            store.inclusion(size - 1, size).await,
            store.consistency(100, size).await,
        ]
        .into_iter()
        .filter(Result::is_err)
        {
            assert!(matches!(answer, Err(StoreError::Corrupt(_))), "{answer:?}");
        }
        assert!(store.inclusion(6, size).await.is_err());
        assert!(store.inclusion(6, 100).await.is_err());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_key_opens_nothing() {
    let place = full().await;
    let mut config = place.config();
    config.sealing_key = SealingKey::new([6; 32]);
    let refused = crate::embedded::EmbeddedStore::open(config);
    assert!(matches!(refused, Err(StoreError::Corrupt(_))), "{refused:?}");

    let mut config = place.config();
    let name = config.origin.as_str().parse().unwrap();
    config.signer = Box::new(audit::Ed25519Signer::new(name, &[4; 32]));
    let refused = crate::embedded::EmbeddedStore::open(config);
    assert!(matches!(refused, Err(StoreError::Corrupt(_))), "{refused:?}");

    let mut config = place.config();
    config.origin = "other.example.com/log".parse().unwrap();
    let refused = crate::embedded::EmbeddedStore::open(config);
    assert!(matches!(refused, Err(StoreError::LogStopped(_))), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_erased_is_in_no_file() {
    let place = Place::new();
    let store = place.open_store();
    let text = store.record(note("a name")).await.unwrap().position();
    let connection = rusqlite::Connection::open(place.path()).unwrap();
    let sealed: Vec<u8> = connection
        .query_row("SELECT sealed FROM field WHERE id = ?1 << 10", [text.index], |row| row.get(0))
        .unwrap();
    drop(connection);
    let files = || {
        let files = fs::read_dir(place.dir.path()).unwrap();
        let holds = |bytes: Vec<u8>| bytes.windows(sealed.len()).any(|window| window == sealed);
        files.filter(|file| holds(fs::read(file.as_ref().unwrap().path()).unwrap())).count()
    };
    assert!(files() > 0);
    store.erase(text.index, &["text".to_owned()], Principal::Person(person())).await.unwrap();
    // The write-ahead log is emptied right behind the answer.
    for _ in 0..100 {
        if files() == 0 {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("the erased value still stands in a file");
}
