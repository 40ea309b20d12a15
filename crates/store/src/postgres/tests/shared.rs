//! Two gateways over one store.

use std::sync::Arc;
use std::time::Duration;

use domain::approval::Command;
use domain::outcome::Outcome;
use domain::statement::Verdict;
use domain::time::Span;
use tokio::time::timeout;

use super::super::PostgresStore;
use super::place::Place;
use super::server::Server;
use crate::conformance::testing::{Desk, arrival, note, person};
use crate::{Effect, Ledger as _, Opened, Store, StoreError, Wake};

/// How long one gateway may take to hear of the other.
const HEARING: Duration = Duration::from_secs(5);
const PATIENCE: Duration = Duration::from_secs(10);

async fn two(place: &Place) -> (Arc<dyn Store>, Arc<dyn Store>) {
    let first: Arc<dyn Store> = Arc::new(place.open_store().await);
    let second: Arc<dyn Store> = Arc::new(place.open_beside("second", place.url.clone()).await);
    (first, second)
}

/// Until this one has heard as much as the other.
async fn hears(one: &Arc<dyn Store>, other: &Arc<dyn Store>) {
    let heard = async {
        while one.head().await.unwrap().size < other.head().await.unwrap().size {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(HEARING, heard).await.expect("it did not hear of the other");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_happens_at_one_is_heard_at_the_other() {
    let server = Arc::new(Server::start());
    let place = Place::new(&server);
    let (here, there) = two(&place).await;
    let desk = Desk::new(here.origin().clone());
    let mut wakes = there.wakes();
    let id = desk.open(here.as_ref(), "orders").await;
    desk.decide(here.as_ref(), id, Verdict::Approve).await;
    here.change(0, vec![arrival(person(), "Ada")]).await.unwrap();
    for expected in [Wake::Approval(id), Wake::Approval(id), Wake::Directory(1)] {
        let heard = timeout(HEARING, wakes.recv()).await.expect("nothing was heard").unwrap();
        assert_eq!(heard, expected);
        // Whoever is woken finds what it was woken for.
        if heard == Wake::Directory(1) {
            assert_eq!(there.directory(), here.directory());
        }
    }
    // And an identical call there attaches to what was opened here.
    let mut again = desk.request(there.as_ref(), "orders");
    again.evaluation.directory = 1;
    let Opened::Attached(attached) = there.open(again).await.unwrap() else { panic!("a second request") };
    assert_eq!((attached.id, attached.approval.word()), (id, "approved"));
    here.keep("session:1", b"ada", Span::from_seconds(60)).await.unwrap();
    assert_eq!(there.look("session:1").await.unwrap().unwrap(), b"ada");
    assert!(here.claim("nonce:1", Span::from_seconds(60)).await.unwrap());
    assert!(!there.claim("nonce:1", Span::from_seconds(60)).await.unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_redemptions_at_both_one_succeeds() {
    let server = Arc::new(Server::start());
    let place = Place::new(&server);
    let (here, there) = two(&place).await;
    let desk = Desk::new(here.origin().clone());
    for round in 0..20 {
        let id = desk.approved(here.as_ref(), &format!("queue-{round}")).await;
        let summary = there.approval(id).await.unwrap();
        let redeem = |store: &Arc<dyn Store>| {
            let (store, permit) = (Arc::clone(store), desk.permit(&summary, 0).unwrap());
            tokio::spawn(async move { store.advance(id, Command::Redeem(permit), Effect::default()).await })
        };
        let (one, other) = (redeem(&here), redeem(&there));
        let answers = [one.await.unwrap(), other.await.unwrap()];
        assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1, "{answers:?}");
        for answer in answers.into_iter().filter(Result::is_err) {
            assert!(matches!(answer, Err(StoreError::Refused(_))), "{answer:?}");
        }
    }
    here.audit().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_write_one_log() {
    let server = Arc::new(Server::start());
    let place = Place::new(&server);
    let (here, there) = two(&place).await;
    let writers: Vec<_> = (0..200)
        .map(|n| {
            let store = Arc::clone(if n % 2 == 0 { &here } else { &there });
            tokio::spawn(async move { store.record(note(&n.to_string())).await.unwrap().position() })
        })
        .collect();
    // Changes of the directory at both, each over what it believes to be the version.
    let changes: Vec<_> = [("here", &here), ("there", &there)]
        .into_iter()
        .map(|(name, store)| {
            let store = Arc::clone(store);
            tokio::spawn(async move {
                let mut done = 0;
                while done < 10 {
                    let version = store.directory().version();
                    match store.change(version, vec![arrival(person(), &format!("{name} {done}"))]).await {
                        Ok(_) => done += 1,
                        Err(StoreError::Stale) => {}
                        Err(error) => panic!("{error}"),
                    }
                }
            })
        })
        .collect();
    let mut indices = Vec::new();
    for writer in writers {
        indices.push(writer.await.unwrap().index);
    }
    for change in changes {
        change.await.unwrap();
    }
    indices.sort_unstable();
    indices.dedup();
    assert_eq!(indices.len(), 200, "each entry stands once");
    hears(&here, &there).await;
    hears(&there, &here).await;
    assert_eq!(here.head().await.unwrap(), there.head().await.unwrap());
    assert_eq!(here.directory().version(), 20);
    assert_eq!(here.directory(), there.directory());
    assert_eq!(here.audit().await.unwrap(), there.audit().await.unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn runs_of_a_gateway_that_lives_are_left_alone() {
    let server = Arc::new(Server::start());
    let place = Place::new(&server);
    let (here, there) = two(&place).await;
    let desk = Desk::new(here.origin().clone());
    let id = desk.approved(here.as_ref(), "orders").await;
    desk.redeem(&here, id).await;
    assert_eq!(there.orphans(10).await.unwrap(), [], "it runs, and its gateway lives");
    assert_eq!(here.orphans(10).await.unwrap(), []);
    // It says nothing for longer than the living do.
    place.sql("UPDATE node SET seen = seen - interval '1 hour'");
    assert_eq!(there.orphans(10).await.unwrap(), [id]);
    assert_eq!(here.orphans(10).await.unwrap(), [], "a gateway knows itself to be alive");
    // One that has closed the store runs nothing.
    here.close(PATIENCE).await;
    assert_eq!(there.orphans(10).await.unwrap(), [id]);
    let lost = Command::Finish(Outcome::unknown("its gateway has gone"));
    there.advance(id, lost, Effect::default()).await.unwrap();
    assert_eq!(there.orphans(10).await.unwrap(), []);
    there.audit().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_changed_at_one_stops_the_other_until_it_has_it() {
    let server = Arc::new(Server::start());
    let place = Place::new(&server);
    let (here, there) = two(&place).await;
    let next = || audit::Ed25519Signer::new(here.origin().as_str().parse().unwrap(), &[9; 32]);
    here.rotate(Box::new(next()), "once a year").await.unwrap();
    here.record(note("under the new key")).await.unwrap();
    hears(&there, &here).await;
    let refused = there.record(note("under the old key")).await;
    assert!(matches!(refused, Err(StoreError::LogStopped(_))), "{refused:?}");
    there.close(PATIENCE).await;
    // What it put into the outbox is sequenced by the one that has the key, or was never there.
    here.record(note("on")).await.unwrap();
    here.audit().await.unwrap();
    let anchor = place.dir.path().join("second");
    let mut config = place.config_at(place.url.clone(), &anchor);
    config.signer = Box::new(next());
    let there = PostgresStore::open(config).await.unwrap();
    there.record(note("with the new key")).await.unwrap();
    assert_eq!(there.rotations().await.unwrap().len(), 1);
    there.audit().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_gateway_has_an_anchor_of_its_own() {
    let server = Arc::new(Server::start());
    let place = Place::new(&server);
    let store = place.open_store().await;
    store.record(note("one")).await.unwrap();
    let refused = place.try_open().await.unwrap_err().to_string();
    assert!(refused.contains("a file of its own"), "{refused}");
    let nothing = place.config_at(place.url.clone(), &place.dir.path().join("none"));
    let refused = PostgresStore::open(nothing).await.unwrap_err().to_string();
    assert!(refused.contains("anchor is missing"), "{refused}");
}
