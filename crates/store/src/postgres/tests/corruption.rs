//! Whatever is altered behind the store's back is found.

use std::sync::Arc;
use std::time::Duration;

use domain::time::Span;

use super::place::Place;
use super::server::Server;
use crate::conformance::testing::{Desk, arrival, note, person};
use crate::seal::SealingKey;
use crate::{Approvals as _, Ledger as _, Store, StoreError, Vault as _};

/// A log with something of everything, past one tile; closed.
async fn full(server: &Arc<Server>) -> Place {
    let place = Place::new(server);
    let store: Arc<dyn Store> = Arc::new(place.open_store().await);
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
    store.close(Duration::from_secs(10)).await;
    place
}

/// The same database under another name.
fn copy(of: &Place) -> Place {
    let place = Place::new(&of.server);
    of.server.sql("postgres", &format!("DROP DATABASE {}", place.name));
    of.server.sql("postgres", &format!("CREATE DATABASE {} TEMPLATE {}", place.name, of.name));
    for file in ["anchor", "anchor.latest"] {
        std::fs::copy(of.dir.path().join(file), place.dir.path().join(file)).unwrap();
    }
    place
}

/// At open, or by `audit`.
async fn found(place: &Place) -> Result<(), StoreError> {
    let store = place.try_open().await?;
    let audited = store.audit().await.map(|_| ());
    store.close(Duration::from_secs(10)).await;
    audited
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_altered_row_is_found() {
    let server = Arc::new(Server::start());
    let whole = full(&server).await;
    found(&copy(&whole)).await.unwrap();
    // A value's last byte becomes another one.
    let flip = |table: &str, column: &str, which: &str| {
        format!(
            "UPDATE {table} SET {column} = set_byte({column}, octet_length({column}) - 1,
                 (get_byte({column}, octet_length({column}) - 1) + 1) % 256) WHERE {which}"
        )
    };
    let of_seven = "entry = (SELECT id FROM entry WHERE idx = 7)";
    let first_event = "approval = (SELECT approval FROM event GROUP BY approval HAVING count(*) > 2)";
    for statement in [
        flip("entry", "leaf", "idx = 7"),
        flip("entry", "leaf", "idx = 0"),
        flip("entry", "leaf", "idx = (SELECT max(idx) FROM entry)"),
        flip("entry", "leaf_hash", "idx = 7"),
        flip("entry", "leaf_hash", "idx = (SELECT max(idx) FROM entry)"),
        flip("tile", "hash", "level = 1 AND position = 0"),
        flip("checkpoint", "root", "id = 1"),
        flip("head", "root", "id = 1"),
        flip("head", "frontier", "id = 1"),
        flip("field", "commitment", of_seven),
        flip("field", "sealed", of_seven),
        flip("payload", "sealed", "position = 0"),
        flip("payload", "commitment", "position = 0"),
        "UPDATE entry SET kind = 'gap/1' WHERE idx = 7".to_owned(),
        "UPDATE entry SET subject = 'nobody' WHERE idx = 7".to_owned(),
        "UPDATE entry SET time = time + 1 WHERE idx = 7".to_owned(),
        "UPDATE entry SET id = gen_random_uuid() WHERE idx = 7".to_owned(),
        "UPDATE entry SET approval = gen_random_uuid() WHERE idx = 1".to_owned(),
        "UPDATE entry SET leaf = '' WHERE idx = 7".to_owned(),
        "UPDATE entry SET kind = 'gap/1' WHERE kind = 'directory/1'".to_owned(),
        "DELETE FROM change".to_owned(),
        format!("DELETE FROM field WHERE {of_seven}"),
        format!("UPDATE field SET path = 'other' WHERE {of_seven}"),
        format!("UPDATE field SET sealed = NULL WHERE {of_seven}"),
        "DELETE FROM tile".to_owned(),
        "INSERT INTO tile VALUES (1, 1, sha256(''))".to_owned(),
        "UPDATE checkpoint SET size = size - 1".to_owned(),
        "UPDATE checkpoint SET time = time + 1".to_owned(),
        "UPDATE checkpoint SET note = replace(note, 'countersign', 'contersign')".to_owned(),
        "UPDATE head SET size = size + 1".to_owned(),
        "UPDATE head SET time = time + 1".to_owned(),
        "DELETE FROM checkpoint".to_owned(),
        "DELETE FROM head".to_owned(),
        "DELETE FROM entry WHERE idx = (SELECT max(idx) FROM entry)".to_owned(),
        "UPDATE entry SET idx = 1000 WHERE idx = (SELECT max(idx) FROM entry)".to_owned(),
        format!("DELETE FROM event WHERE {first_event} AND seq = (SELECT max(seq) FROM event WHERE {first_event})"),
        "DELETE FROM event".to_owned(),
        // The second and the third event change places.
        format!("UPDATE event SET seq = seq + 100 WHERE {first_event}; UPDATE event SET seq = CASE seq WHEN 102 THEN 3
             WHEN 103 THEN 2 ELSE seq - 100 END WHERE {first_event}"),
        "UPDATE approval SET state = 'denied' WHERE state = 'finished'".to_owned(),
        "UPDATE approval SET deadline = deadline + 1 WHERE state = 'pending'".to_owned(),
        "UPDATE approval SET ended = ended + 1 WHERE state = 'finished'".to_owned(),
        "UPDATE approval SET retry_until = retry_until + 1 WHERE state = 'finished'".to_owned(),
        "UPDATE approval SET caller = 'agent:00000000-0000-7000-8000-000000000000'".to_owned(),
        "UPDATE approval SET erased = true".to_owned(),
        "UPDATE approval SET request = gen_random_uuid() WHERE state = 'pending'".to_owned(),
        "UPDATE payload SET sealed = NULL".to_owned(),
        "UPDATE tally SET ran = ran + 1".to_owned(),
        "DELETE FROM approval".to_owned(),
        "DELETE FROM payload".to_owned(),
        "INSERT INTO rotation VALUES (7, 'note')".to_owned(),
        "INSERT INTO pruning VALUES (gen_random_uuid(), 0, 256, true)".to_owned(),
    ] {
        let place = copy(&whole);
        place.sql(&format!("SET session_replication_role = replica; {statement}"));
        let error = found(&place).await.expect_err(&statement);
        let told = matches!(error, StoreError::Corrupt(_) | StoreError::LogStopped(_));
        assert!(told, "{statement}: {error:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sealed_values_do_not_move() {
    let server = Arc::new(Server::start());
    let place = full(&server).await;
    let entry = |index: u64| format!("entry = (SELECT id FROM entry WHERE idx = {index})");
    for (table, one, other) in [
        ("field", entry(7), entry(8)),
        ("vault", "key = 'a'".to_owned(), "key = 'b'".to_owned()),
        ("payload", "position = 0".to_owned(), "position = 1 ORDER BY approval LIMIT 1".to_owned()),
    ] {
        place.sql(&format!(
            "UPDATE {table} SET sealed = (SELECT sealed FROM {table} WHERE {other}) WHERE {one}"
        ));
    }
    place.sql("UPDATE vault SET expires = expires + 1 WHERE key = 'b'");
    let store = place.open_store().await;
    let corrupt =
        |error: Option<StoreError>| assert!(matches!(error, Some(StoreError::Corrupt(_))), "{error:?}");
    corrupt(store.entry(7).await.err());
    corrupt(store.look("a").await.err());
    corrupt(store.look("b").await.err());
    corrupt(store.take("a").await.err());
    let listed = store.list(&crate::Filter::default(), None, 10).await.unwrap();
    corrupt(store.payload(listed.rows[0].action.id()).await.err());
    corrupt(store.audit().await.err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_altered_hash_ends_up_in_a_proof() {
    let server = Arc::new(Server::start());
    let whole = full(&server).await;
    for statement in
        ["UPDATE entry SET leaf_hash = sha256('') WHERE idx = 7", "UPDATE tile SET hash = sha256('')"]
    {
        let place = copy(&whole);
        let store = place.open_store().await;
        let size = store.head().await.unwrap().size;
        place.sql(statement);
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
    let server = Arc::new(Server::start());
    let place = full(&server).await;
    let mut config = place.config();
    config.sealing_key = SealingKey::new([6; 32]);
    let refused = super::super::PostgresStore::open(config).await;
    assert!(matches!(refused, Err(StoreError::Corrupt(_))), "{refused:?}");

    let mut config = place.config();
    let name = config.origin.as_str().parse().unwrap();
    config.signer = Box::new(audit::Ed25519Signer::new(name, &[4; 32]));
    let refused = super::super::PostgresStore::open(config).await;
    assert!(matches!(refused, Err(StoreError::Corrupt(_))), "{refused:?}");

    let mut config = place.config();
    config.origin = "other.example.com/log".parse().unwrap();
    let refused = super::super::PostgresStore::open(config).await;
    assert!(matches!(refused, Err(StoreError::LogStopped(_))), "{refused:?}");
}
