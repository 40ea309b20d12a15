//! A server that refuses for a while, connections that are all taken, and a newer release at work.

use std::sync::Arc;
use std::time::Duration;

use super::place::Place;
use super::server::Server;
use crate::conformance::testing::{Desk, note};
use crate::{Approvals as _, Ledger as _, Store as _, StoreError};

/// Makes a statement on a table fail with this code, as often as `times` says; later ones pass. At `COMMIT` where the
/// trigger is deferred. What is counted is not taken back with a transaction.
fn breaks(table: &str, on: &str, code: &str, times: u32, deferred: bool) -> String {
    let trigger = if deferred {
        format!("CREATE CONSTRAINT TRIGGER broken AFTER {on} ON {table} DEFERRABLE INITIALLY DEFERRED")
    } else {
        format!("CREATE TRIGGER broken BEFORE {on} ON {table}")
    };
    format!(
        "CREATE SEQUENCE broken_times;
         CREATE FUNCTION broken() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             IF nextval('countersign.broken_times') <= {times} THEN
                 RAISE EXCEPTION 'it does not work now' USING ERRCODE = '{code}';
             END IF;
             RETURN NEW;
         END $$;
         {trigger} FOR EACH ROW EXECUTE FUNCTION broken()"
    )
}

fn mends(table: &str) -> String {
    format!("DROP TRIGGER broken ON {table}; DROP FUNCTION broken; DROP SEQUENCE broken_times")
}

/// What passes: serialization failure, deadlock, no lock, a full disk, no memory, an I/O error, and an administrator who
/// ends the session.
const PASSING: [&str; 7] = ["40001", "40P01", "55P03", "53100", "53200", "58030", "57P01"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_passes_is_tried_again_at_every_step_of_a_write() {
    let server = Arc::new(Server::start());
    let place = Place::new(&server);
    let store = place.open_store().await;
    let desk = Desk::new(place.signer_origin());
    let mut n = 0;
    // The decision, its commit, the tree that grows, and the checkpoint.
    for (table, on, deferred) in [
        ("outbox", "INSERT", false),
        ("outbox", "INSERT", true),
        ("entry", "INSERT", false),
        ("entry", "INSERT", true),
        ("checkpoint", "UPDATE", false),
        ("checkpoint", "UPDATE", true),
    ] {
        for code in PASSING {
            place.sql(&breaks(table, on, code, 2, deferred));
            n += 1;
            let before = store.head().await.unwrap().size;
            let recorded = store.record(note(&format!("{n}"))).await;
            let at = recorded.unwrap_or_else(|error| panic!("{code} on {table}: {error}")).position().index;
            assert!(at >= before, "{code} on {table}");
            desk.open(&store, &format!("orders-{n}")).await;
            place.sql(&mends(table));
        }
    }
    let head = store.audit().await.unwrap();
    let texts = place.sql("SELECT count(*) FROM entry WHERE kind = 'request/1'");
    assert_eq!(texts, n.to_string(), "each once, however often it was tried");
    assert_eq!(head, store.head().await.unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_stays_full_fails_closed_and_heals() {
    let server = Arc::new(Server::start());
    let place = Place::new(&server);
    let store = place.open_store().await;
    let size = store.record(note("one")).await.unwrap().position().index + 1;
    place.sql(&breaks("outbox", "INSERT", "53100", u32::MAX, false));
    for n in 0..4 {
        let refused = store.record(note(&format!("full {n}"))).await;
        assert!(matches!(&refused, Err(StoreError::Failed(_))), "{refused:?}");
    }
    assert_eq!(store.head().await.unwrap().size, size);
    place.sql(&mends("outbox"));
    // No human had to start it again.
    assert_eq!(store.record(note("two")).await.unwrap().position().index, size);
    store.audit().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_every_connection_is_taken_callers_are_told_and_nothing_stops() {
    let server = Arc::new(Server::start());
    let place = Place::new(&server);
    let store = Arc::new(place.open_store().await);
    let mut taken = Vec::new();
    for _ in 0..super::super::connect::CONNECTIONS {
        taken.push(store.shared.pool.get().await.unwrap());
    }
    let (read, write) = tokio::join!(store.entry(0), store.record(note("one")));
    assert!(matches!(read, Err(StoreError::Busy)), "{read:?}");
    assert!(matches!(write, Err(StoreError::Busy)), "{write:?}");
    drop(taken);
    let at = store.record(note("two")).await.unwrap().position().index;
    assert_eq!(at, 1, "what was refused for want of a connection was not written");
    store.entry(at).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newer_release_ends_an_older_ones_writing_at_once() {
    let server = Arc::new(Server::start());
    let place = Place::new(&server);
    let store = place.open_store().await;
    store.record(note("one")).await.unwrap();
    // Brought forward while this one runs.
    place.sql("INSERT INTO migration VALUES (999)");
    let refused = store.record(note("two")).await;
    assert!(
        matches!(&refused, Err(StoreError::LogStopped(why)) if why.contains("newer release")),
        "{refused:?}"
    );
    let opened = Desk::new(place.signer_origin()).request(&store, "orders");
    assert!(store.open(opened).await.is_err());
    assert_eq!(place.sql("SELECT size FROM checkpoint"), "2");
    assert_eq!(place.sql("SELECT count(*) FROM outbox"), "0");
    store.entry(1).await.expect("what stands can be read");
    store.close(Duration::from_secs(5)).await;
    let again = place.try_open().await.unwrap_err();
    assert!(again.to_string().contains("newer release"), "{again}");
}
