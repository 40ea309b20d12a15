//! The outbox: what comes late, what somebody else put there, and what a gateway left behind.

use std::sync::Arc;
use std::time::Duration;

use domain::canonical;
use domain::entry::{Kind, Leaf};

use super::super::PostgresStore;
use super::super::link::Link;
use super::super::sequencer;
use super::super::tx::{Role, Tx};
use super::place::Place;
use super::server::Server;
use crate::conformance::testing::{Desk, note};
use crate::{Approvals as _, Ledger as _, Store as _, StoreError, open_fields};

async fn texts(store: &PostgresStore) -> Vec<String> {
    let mut texts = Vec::new();
    for index in 1..store.head().await.unwrap().size {
        let entry = store.entry(index).await.unwrap();
        texts.push(String::from_utf8(open_fields(&entry.fields)[0].value.0.clone()).unwrap());
    }
    texts
}

/// Until so many have their places.
async fn reaches(store: &PostgresStore, size: u64) {
    let reached = async {
        while store.head().await.unwrap().size < size {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), reached).await.expect("what waited got no place");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_late_commit_gets_its_place_and_the_order_stays() {
    let server = Arc::new(Server::start());
    let place = Place::new(&server);
    let store = Arc::new(place.open_store().await);
    // It takes the lowest number in the outbox and an early time, and commits last.
    let mut client = store.shared.pool.get().await.unwrap();
    let link = Link::write(&mut client).await.unwrap();
    let mut tx = Tx::begin(link, &store.shared).await.unwrap();
    tx.append(note("late"), Role::Alone).unwrap();
    let late = tx.flush().await.unwrap();
    place.clock.forward(Duration::from_secs(5));
    let others: Vec<_> = (0..3)
        .map(|n| {
            let store = Arc::clone(&store);
            tokio::spawn(async move { store.record(note(&n.to_string())).await.unwrap().position() })
        })
        .collect();
    let committed = async {
        while place.sql("SELECT count(*) FROM outbox") == "0" {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(3), committed).await.expect("the others wait in the outbox");
    assert_eq!(store.head().await.unwrap().size, 1, "nobody passes it by");
    late.commit().await.unwrap();
    for other in others {
        assert!(other.await.unwrap().index > 1);
    }
    assert_eq!(texts(&store).await[0], "late");
    store.audit().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_never_commits_holds_the_others_up_for_seconds_only() {
    let server = Arc::new(Server::start());
    let place = Place::new(&server);
    let store = place.open_store().await;
    let mut client = store.shared.pool.get().await.unwrap();
    let mut tx = Tx::begin(Link::write(&mut client).await.unwrap(), &store.shared).await.unwrap();
    tx.append(note("never"), Role::Alone).unwrap();
    let _never = tx.flush().await.unwrap();
    let recorded = tokio::time::timeout(Duration::from_secs(12), store.record(note("after"))).await;
    assert_eq!(recorded.expect("the server ends who idles").unwrap().position().index, 1);
    assert_eq!(texts(&store).await, ["after"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_gateway_left_is_sequenced_by_any() {
    let server = Arc::new(Server::start());
    let place = Place::new(&server);
    let gone = place.open_store().await;
    // It looks at nothing any more, and leaves one entry with an index and no signature, and one without an index.
    gone.stop.send(true).unwrap();
    let keeper = gone.keeper.lock().unwrap().take().unwrap();
    keeper.await.unwrap();
    let mut client = gone.shared.pool.get().await.unwrap();
    for text in ["without a signature", "without an index"] {
        let mut tx = Tx::begin(Link::write(&mut client).await.unwrap(), &gone.shared).await.unwrap();
        tx.append(note(text), Role::Alone).unwrap();
        tx.flush().await.unwrap().commit().await.unwrap();
        let link = Link::write(&mut client).await.unwrap();
        sequencer::grow(&gone.shared, &link).await.unwrap();
        link.commit().await.unwrap();
        let stands = place.sql("SELECT head.size, checkpoint.size FROM head, checkpoint");
        assert_eq!(stands, "2|1", "no tree grows over an unsigned one");
        assert!(
            matches!(gone.entry(1).await, Err(StoreError::NotFound(_))),
            "what is not signed is not shown"
        );
    }
    let next = place.open_beside("second", place.url.clone()).await;
    assert_eq!(texts(&next).await, ["without a signature", "without an index"]);
    // And where nobody starts, whoever runs looks for it.
    let mut tx = Tx::begin(Link::write(&mut client).await.unwrap(), &gone.shared).await.unwrap();
    tx.append(note("left behind"), Role::Alone).unwrap();
    tx.flush().await.unwrap().commit().await.unwrap();
    reaches(&next, 4).await;
    next.audit().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failure_around_the_signature_forks_nothing() {
    let server = Arc::new(Server::start());
    let place = Place::new(&server);
    let store = Arc::new(place.open_store().await);
    let broken = "CREATE FUNCTION broken() RETURNS trigger LANGUAGE plpgsql AS
                      $$ BEGIN RAISE EXCEPTION 'broken' USING ERRCODE = '57P01'; END $$;
                  CREATE TRIGGER broken BEFORE UPDATE ON checkpoint FOR EACH ROW EXECUTE FUNCTION broken()";
    place.sql(broken);
    let waiting = {
        let store = Arc::clone(&store);
        tokio::spawn(async move { store.record(note("signed, and not kept")).await.unwrap().position() })
    };
    let grown = async {
        while place.sql("SELECT size FROM head") != "2" {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), grown).await.unwrap();
    // Signed over and over; each time over the same tree.
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(place.sql("SELECT size FROM checkpoint"), "1");
    place.sql("DROP TRIGGER broken ON checkpoint");
    assert_eq!(waiting.await.unwrap().index, 1);
    assert_eq!(store.head().await.unwrap(), store.audit().await.unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_no_holder_of_the_key_wrote_is_never_signed() {
    let server = Arc::new(Server::start());
    for forged in [
        // A copy of an entry that stands, under an id of its own.
        "INSERT INTO outbox (id, leaf_hash, kind, subject, time, leaf, mark)
         SELECT gen_random_uuid(), leaf_hash, kind, subject, time, leaf, decode(repeat('01', 41), 'hex') FROM entry WHERE idx = 1",
        // The same again, with the mark that it once had.
        "INSERT INTO outbox (id, leaf_hash, kind, subject, time, leaf, mark)
         SELECT id, leaf_hash, kind, subject, time, leaf, (SELECT mark FROM kept) FROM entry WHERE idx = 1",
    ] {
        let place = Place::new(&server);
        let store = place.open_store().await;
        place.sql(
            "CREATE TABLE kept (mark bytea);
             CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO kept VALUES (NEW.mark); RETURN NEW; END $$;
             CREATE TRIGGER keep AFTER INSERT ON outbox FOR EACH ROW EXECUTE FUNCTION keep()",
        );
        store.record(note("one")).await.unwrap();
        place.sql("DROP TRIGGER keep ON outbox");
        place.sql(forged);
        let refused = store.record(note("two")).await;
        assert!(refused.is_err(), "{forged}");
        let refused = store.record(note("three")).await;
        assert!(refused.is_err(), "{forged}: {refused:?}");
        assert_eq!(place.sql("SELECT size FROM checkpoint"), "2", "{forged}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_entry_older_than_the_log_stops_it() {
    let server = Arc::new(Server::start());
    let place = Place::new(&server);
    let store = place.open_store().await;
    store.record(note("one")).await.unwrap();
    // Sealed by us, and then somebody took the gate away.
    let mut client = store.shared.pool.get().await.unwrap();
    let mut tx = Tx::begin(Link::write(&mut client).await.unwrap(), &store.shared).await.unwrap();
    tx.now = domain::time::Timestamp::from_micros(tx.now.micros() - 1);
    tx.append(note("older"), Role::Alone).unwrap();
    tx.flush().await.unwrap().commit().await.unwrap();
    let refused = store.record(note("two")).await;
    assert!(matches!(refused, Err(StoreError::LogStopped(_))), "{refused:?}");
    assert_eq!(store.audit().await.unwrap().size, 2, "what stands can still be read");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_log_has_a_heartbeat() {
    use super::super::open::Terms;
    let server = Arc::new(Server::start());
    let place = Place::new(&server);
    let terms = Terms { heartbeat: Duration::from_millis(200), ..Terms::default() };
    let store = place.open_on(&terms).await;
    let start = store.head().await.unwrap().size;
    reaches(&store, start + 1).await;
    let beat = store.entry(start).await.unwrap();
    assert_eq!(canonical::read::<Leaf>(&beat.leaf).unwrap().kind, Kind::Heartbeat);
    assert_eq!(open_fields(&beat.fields)[0].value.0, start.to_string().into_bytes());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_goes_away_in_time_has_nothing_done() {
    let server = Arc::new(Server::start());
    let place = Place::new(&server);
    let store = place.open_store().await;
    let desk = Desk::new(store.origin().clone());
    // Every turn to write is taken, by those who wait for a table.
    let mut holding = store.shared.pool.get().await.unwrap();
    let held = Link::write(&mut holding).await.unwrap();
    held.batch("LOCK TABLE gate IN EXCLUSIVE MODE").await.unwrap();
    let store = Arc::new(store);
    let waiting: Vec<_> = (0..30)
        .map(|n| {
            let (store, desk) = (Arc::clone(&store), desk.clone());
            tokio::spawn(async move {
                let request = desk.request(store.as_ref(), &format!("queue-{n}"));
                store.open(request).await.map(|_| ())
            })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(300)).await;
    let request = desk.request(store.as_ref(), "orders");
    let id = request.action.id();
    let gone = tokio::time::timeout(Duration::from_millis(100), store.open(request)).await;
    assert!(gone.is_err(), "the gate was held");
    held.rollback().await.unwrap();
    for task in waiting {
        task.await.unwrap().unwrap();
    }
    assert!(matches!(store.approval(id).await, Err(StoreError::NotFound(_))), "nobody waited for it");
    store.close(Duration::from_secs(10)).await;
}
