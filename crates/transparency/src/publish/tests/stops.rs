//! What is not the log is not published.

use std::fs;
use std::sync::Arc;

use audit::{Ed25519Signer, Note, NoteSigner as _};
use domain::entry::{Draft, Kind};
use domain::time::Timestamp;
use store::clock::{ManualClock, SystemClock};
use store::embedded::{EmbeddedConfig, EmbeddedStore};
use store::seal::SealingKey;
use store::{Leaves, Ledger as _, Pruning};

use super::super::{Folder, Notes, PublishError, Publisher};
use super::fake::{Fake, ORIGIN, log_key, signer};
use super::place::{Fault, Memory, check, read_folder};

async fn publish(log: &Arc<Fake>, target: &Memory, note: &str) -> Result<u64, PublishError> {
    Publisher::new(log.clone(), target.clone(), log_key()).publish(note).await
}

fn stopped(outcome: Result<u64, PublishError>, word: &str) {
    let told = matches!(&outcome, Err(PublishError::Stopped { why, .. }) if why.contains(word));
    assert!(told, "`{word}` in {outcome:?}");
}

#[tokio::test]
async fn a_smaller_or_forked_log_is_not_published() {
    let (log, fork) = (Arc::new(Fake::new(700)), Arc::new(Fake::forked(900, 500)));
    let target = Memory::default();
    publish(&log, &target, &log.note(600)).await.unwrap();
    let files = target.files.lock().unwrap().clone();
    let behind = Arc::new(Fake::new(599));
    stopped(publish(&behind, &target, &behind.note(599)).await, "600 entries are published");
    stopped(publish(&fork, &target, &fork.note(599)).await, "it was forked");
    stopped(publish(&fork, &target, &fork.note(600)).await, "it was forked");
    stopped(publish(&fork, &target, &fork.note(900)).await, "it was forked");
    // A head that is not what the entries come to.
    stopped(publish(&log, &target, &fork.note(700)).await, "it was forked");
    let other = Ed25519Signer::new(ORIGIN.parse().unwrap(), &[9; 32]);
    let note = audit::Checkpoint::new(ORIGIN, 700, log.root(700), Vec::new()).unwrap();
    let note = note.sign(&[&other]).unwrap().note().to_string();
    stopped(publish(&log, &target, &note).await, "the note to publish");
    assert_eq!(*target.files.lock().unwrap(), files, "nothing was touched");
    // A note that waited for its cosignatures is late, and that is all.
    assert_eq!(publish(&log, &target, &log.note(599)).await.unwrap(), 600);
    assert_eq!(*target.files.lock().unwrap(), files);
    publish(&log, &target, &log.note(700)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_is_published_speaks_against_a_log_that_went_back() {
    let (log, fork) = (Arc::new(Fake::new(700)), Arc::new(Fake::forked(900, 500)));
    let target = Memory::default();
    let against = async |log: &Arc<Fake>| {
        Publisher::new(log.clone(), target.clone(), log_key()).contradiction().await.unwrap()
    };
    assert_eq!(against(&log).await, None, "nothing is published");
    publish(&log, &target, &log.note(600)).await.unwrap();
    assert_eq!(against(&log).await, None);
    let behind = against(&Arc::new(Fake::new(599))).await.unwrap();
    assert!(behind.contains("600 entries are published, and this log has 599"), "{behind}");
    assert!(against(&fork).await.unwrap().contains("it was forked"));
    // What the log's key has not signed proves nothing.
    target.files.lock().unwrap().get_mut("checkpoint").unwrap()[40] ^= 1;
    assert_eq!(against(&fork).await, None);
    target.failing(Some(Fault { step: 0, done: false }));
    let unasked = Publisher::new(log.clone(), target.clone(), log_key()).contradiction().await;
    assert!(matches!(unasked, Err(PublishError::Target { .. })), "{unasked:?}");
}

#[tokio::test]
async fn what_was_altered_there_stops_it() {
    let log = Arc::new(Fake::new(900));
    let whole = Memory::default();
    publish(&log, &whole, &log.note(600)).await.unwrap();
    let whole = whole.files.lock().unwrap().clone();
    for (path, word) in [
        ("tile/0/002.p/88", "published tiles are not"),
        ("tile/1/000.p/2", "published tiles are not"),
        ("checkpoint", "not a checkpoint of this log"),
    ] {
        let target = Memory::default();
        *target.files.lock().unwrap() = whole.clone();
        target.files.lock().unwrap().get_mut(path).unwrap()[40] ^= 1;
        stopped(publish(&log, &target, &log.note(900)).await, word);
    }
    let target = Memory::default();
    *target.files.lock().unwrap() = whole.clone();
    target.files.lock().unwrap().insert("tile/entries/002".to_owned(), b"another log's".to_vec());
    stopped(publish(&log, &target, &log.note(900)).await, "with other bytes");
    assert_eq!(check(&target.files.lock().unwrap()), 600);
}

#[tokio::test]
async fn cosignatures_of_the_same_tree_are_added_and_never_taken_away() {
    let log = Arc::new(Fake::new(300));
    let target = Memory::default();
    let plain = log.note(300);
    let witness = Ed25519Signer::new("witness.example".parse().unwrap(), &[8; 32]);
    let mut cosigned = Note::parse(plain.as_bytes()).unwrap();
    let by = Note::sign(cosigned.text(), &[&witness]).unwrap().signatures()[0].clone();
    cosigned.add_signature(by).unwrap();
    let standing = || String::from_utf8(target.files.lock().unwrap()["checkpoint"].clone()).unwrap();
    publish(&log, &target, &plain).await.unwrap();
    assert_eq!(standing(), plain);
    publish(&log, &target, &cosigned.to_string()).await.unwrap();
    assert_eq!(standing(), cosigned.to_string());
    publish(&log, &target, &plain).await.unwrap();
    assert_eq!(standing(), cosigned.to_string());

    // Until the first cosigned note is there, nothing is published.
    let target = Memory::default();
    let publisher = Publisher::new(log.clone(), target.clone(), log_key());
    let (notes, watched) = tokio::sync::watch::channel(None);
    let notes_of = Notes::Cosigned(Arc::new(move || watched.borrow().clone()));
    assert_eq!(publisher.publish_newest(&notes_of).await.unwrap(), None);
    assert!(target.files.lock().unwrap().is_empty());
    notes.send(Some(cosigned.to_string())).unwrap();
    assert_eq!(publisher.publish_newest(&notes_of).await.unwrap(), Some(300));
}

/// A store on files, with this log's key.
fn open(dir: &std::path::Path, clock: Arc<dyn store::Clock>, signer: Ed25519Signer) -> EmbeddedStore {
    EmbeddedStore::open(EmbeddedConfig {
        path: dir.join("log.db"),
        anchor_path: dir.join("anchor"),
        origin: ORIGIN.parse().unwrap(),
        signer: Box::new(signer),
        sealing_key: SealingKey::new([5; 32]),
        clock,
    })
    .unwrap()
}

async fn record(store: &Arc<EmbeddedStore>, count: usize) {
    let records = (0..count).map(|n| {
        let store = Arc::clone(store);
        tokio::spawn(async move {
            let fields = vec![("text".to_owned(), n.to_string().into_bytes())];
            store.record(Draft { kind: Kind::Activity, subject: None, fields }).await.unwrap();
        })
    });
    for record in records.collect::<Vec<_>>() {
        record.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_deployments_with_one_key_are_found() {
    let (dir, twin, public) =
        (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = Arc::new(open(dir.path(), Arc::new(SystemClock::new()), signer()));
    record(&store, 5).await;
    // A copied machine: database, anchor and keys. Each of the two is whole for itself.
    store.backup(&twin.path().join("log.db")).await.unwrap();
    fs::copy(dir.path().join("anchor.latest"), twin.path().join("anchor")).unwrap();
    let copy = Arc::new(open(twin.path(), Arc::new(SystemClock::new()), signer()));
    record(&store, 3).await;
    record(&copy, 4).await;
    store.audit().await.unwrap();
    copy.audit().await.unwrap();

    // The published checkpoint finds it.
    let folder = Folder::open(public.path()).unwrap();
    Publisher::new(store.clone(), folder.clone(), log_key()).publish_newest(&Notes::Head).await.unwrap();
    let second = Publisher::new(copy.clone(), folder, log_key());
    let outcome = second.publish_newest(&Notes::Head).await;
    stopped(outcome.map(Option::unwrap), "it was forked");
    assert!(second.progress().borrow().stopped);
    assert_eq!(check(&read_folder(public.path())), store.head().await.unwrap().size);

    // And so does the anchor, where they share it.
    drop((second, copy));
    fs::copy(dir.path().join("anchor.latest"), twin.path().join("anchor.latest")).unwrap();
    let config = EmbeddedConfig {
        path: twin.path().join("log.db"),
        anchor_path: twin.path().join("anchor"),
        origin: ORIGIN.parse().unwrap(),
        signer: Box::new(signer()),
        sealing_key: SealingKey::new([5; 32]),
        clock: Arc::new(SystemClock::new()),
    };
    fs::copy(dir.path().join("anchor.latest"), twin.path().join("anchor")).unwrap();
    assert!(EmbeddedStore::open(config).unwrap_err().to_string().contains("it is a fork"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn publishing_goes_on_over_a_change_of_the_key_and_over_prunings() {
    let (dir, public, later) =
        (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let clock = Arc::new(ManualClock::new(Timestamp::from_micros(1_800_000_000_000_000)));
    let store = Arc::new(open(dir.path(), clock.clone(), signer()));
    record(&store, 600).await;
    let publisher = Publisher::new(store.clone(), Folder::open(public.path()).unwrap(), log_key());
    publisher.publish_newest(&Notes::Head).await.unwrap();
    let next = Ed25519Signer::new(ORIGIN.parse().unwrap(), &[4; 32]);
    let next_key = next.verifier().clone();
    store.rotate(Box::new(next), "once a year").await.unwrap();
    publisher.publish_newest(&Notes::Head).await.unwrap();
    record(&store, 100).await;
    publisher.publish_newest(&Notes::Head).await.unwrap();
    let note = read_folder(public.path()).remove("checkpoint").unwrap();
    assert!(audit::Checkpoint::open(&note, std::slice::from_ref(&next_key)).is_ok());

    // What was pruned is published already, and stays so.
    clock.forward(std::time::Duration::from_secs(60));
    let pruning = Pruning {
        before: store.now(),
        leaves: Leaves::Drop,
        by: "the test".to_owned(),
        policy: "a minute".to_owned(),
    };
    record(&store, 100).await;
    while store.prune(pruning.clone()).await.unwrap().is_some() {}
    publisher.publish_newest(&Notes::Head).await.unwrap();
    let files = read_folder(public.path());
    assert!(files.contains_key("tile/entries/000") && files.contains_key("tile/entries/001"));
    // A new place gets every hash, and the bundles that are still whole.
    let publisher = Publisher::new(store.clone(), Folder::open(later.path()).unwrap(), next_key);
    publisher.publish_newest(&Notes::Head).await.unwrap();
    let anew = read_folder(later.path());
    assert!(!anew.contains_key("tile/entries/000") && !anew.contains_key("tile/entries/001"));
    assert!(anew.contains_key("tile/entries/002"));
    for (path, bytes) in anew.iter().filter(|(path, _)| *path != "checkpoint") {
        assert_eq!(files.get(path), Some(bytes), "{path}");
    }
    let served =
        super::serves::get(super::super::router(store.clone(), Notes::Head), "/tile/entries/000").await;
    assert_eq!(served.0, axum::http::StatusCode::GONE);
}
