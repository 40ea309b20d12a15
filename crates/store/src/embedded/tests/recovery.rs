//! Old backups, forks, lost anchors, full disks, and whoever goes away.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use audit::Checkpoint;
use domain::canonical;
use domain::entry::{Kind, Leaf};
use domain::time::Span;

use super::super::open::Terms;
use super::super::{EmbeddedStore, restore};
use super::place::Place;
use crate::conformance::testing::{Desk, note};
use crate::{Approvals as _, EntryView, Ledger as _, StoreError, Vault as _, limits, open_fields};

async fn record(store: &EmbeddedStore, count: usize) {
    for n in 0..count {
        store.record(note(&n.to_string())).await.unwrap();
    }
}

fn stopped<T: std::fmt::Debug>(answer: Result<T, StoreError>, word: &str) {
    let told = matches!(&answer, Err(StoreError::LogStopped(why)) if why.contains(word));
    assert!(told, "{answer:?}");
}

fn kind(entry: &EntryView) -> Kind {
    canonical::read::<Leaf>(&entry.leaf).unwrap().kind
}

fn remove_database(place: &Place) {
    for ending in ["", "-wal", "-shm"] {
        let _ = fs::remove_file(super::super::files::beside(&place.path(), ending));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_backup_stops_the_log_until_the_loss_is_accepted() {
    let place = Place::new();
    let backup = place.dir.path().join("old.backup");
    let store = place.open_store();
    record(&store, 3).await;
    store.backup(&backup).await.unwrap();
    record(&store, 2).await;
    let signed = store.head().await.unwrap();
    drop(store);

    // Put in place by hand.
    remove_database(&place);
    fs::copy(&backup, place.path()).unwrap();
    stopped(place.try_open(), "it is an old backup");
    // And by our own command.
    let standing = restore(&backup, place.config(), Some("disk lost")).unwrap_err();
    assert!(standing.to_string().contains("stands already"), "{standing}");
    remove_database(&place);
    stopped(restore(&backup, place.config(), None), "it is an old backup");
    assert!(!place.path().exists(), "nothing was put in place");

    let restored = restore(&backup, place.config(), Some("disk lost on Monday")).unwrap();
    assert!(restored.loss.unwrap().contains("old backup"));
    let store = place.open_store();
    assert_eq!(store.audit().await.unwrap(), restored.head);
    let gap = store.entry(restored.head.size - 1).await.unwrap();
    assert_eq!(kind(&gap), Kind::Gap);
    let fields = open_fields(&gap.fields);
    let value = |path: &str| {
        let field = fields.iter().find(|field| field.path == path).unwrap();
        String::from_utf8(field.value.0.clone()).unwrap()
    };
    assert_eq!(value("reason"), "disk lost on Monday");
    assert_eq!(value("size"), "4");
    let lost: Checkpoint = value("anchor").parse().unwrap();
    assert_eq!(lost.size(), signed.size);
    record(&store, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_whole_backup_restores_without_a_word() {
    let place = Place::new();
    let backup = place.dir.path().join("whole.backup");
    let store = place.open_store();
    record(&store, 3).await;
    store.backup(&backup).await.unwrap();
    let head = store.head().await.unwrap();
    drop(store);
    remove_database(&place);
    let restored = restore(&backup, place.config(), None).unwrap();
    assert_eq!((restored.head, restored.loss), (head, None));
    record(&place.open_store(), 1).await;

    // A damaged one does not.
    let mut bytes = fs::read(&backup).unwrap();
    let middle = bytes.len() / 2;
    for byte in &mut bytes[middle..middle + 64] {
        *byte ^= 0xff;
    }
    fs::write(&backup, bytes).unwrap();
    remove_database(&place);
    assert!(restore(&backup, place.config(), None).is_err());
    assert!(!place.path().exists());
    let left: Vec<_> =
        fs::read_dir(place.dir.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().contains("restoring")), "{left:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fork_stops_the_log() {
    let place = Place::new();
    let store = place.open_store();
    record(&store, 3).await;
    let backup = place.dir.path().join("shared.backup");
    store.backup(&backup).await.unwrap();
    record(&store, 2).await;
    drop(store);

    // A copy that went another way, with an anchor of its own, and further.
    let other = Place::new();
    drop(restore(&backup, other.config(), Some("a second life")).unwrap());
    record(&other.open_store(), 10).await;
    remove_database(&place);
    fs::copy(other.path(), place.path()).unwrap();
    stopped(place.try_open(), "it is a fork");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_anchor_is_fine_and_a_lost_one_is_not() {
    let place = Place::new();
    let store = place.open_store();
    record(&store, 2).await;
    let older = fs::read(place.dir.path().join("anchor.latest")).unwrap();
    record(&store, 2).await;
    drop(store);
    let latest = place.dir.path().join("anchor.latest");

    // A commit came after it.
    fs::write(place.anchor(), &older).unwrap();
    fs::remove_file(&latest).unwrap();
    drop(place.open_store());
    // A power cut tore the unsynced one.
    fs::write(&latest, b"").unwrap();
    drop(place.open_store());

    fs::write(place.anchor(), b"torn").unwrap();
    stopped(place.try_open(), "does not read");
    fs::remove_file(place.anchor()).unwrap();
    fs::remove_file(&latest).unwrap();
    stopped(place.try_open(), "anchor is missing");
    let store = EmbeddedStore::open_accepting_loss(place.config(), "anchor's disk died").unwrap();
    let head = store.head().await.unwrap();
    assert_eq!(kind(&store.entry(head.size - 1).await.unwrap()), Kind::Gap);
    drop(store);
    drop(place.open_store());
    assert_eq!(place.open_store().head().await.unwrap(), head, "once is enough");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_fails_then_stops_and_loses_nothing() {
    let place = Place::new();
    let store = place.open_store();
    record(&store, 2).await;
    let head = store.head().await.unwrap();
    let pages = async |statement: &'static str| {
        let ran = store.writer.submit(move |batch| {
            batch.connection.query_row(statement, [], |row| row.get::<_, i64>(0)).map_err(StoreError::from)
        });
        ran.await.unwrap()
    };
    let large = || note(&"x".repeat(100_000));
    pages("PRAGMA max_page_count = 1").await;
    let full = store.record(large()).await;
    assert!(matches!(full, Err(StoreError::Failed(_))), "{full:?}");
    assert_eq!(store.head().await.unwrap(), head);
    // There is room again: the log goes on where it was.
    pages("PRAGMA max_page_count = 1000000").await;
    let next = store.record(large()).await.unwrap().position();
    assert_eq!(next.index, head.size);

    pages("PRAGMA max_page_count = 1").await;
    for _ in 0..3 {
        assert!(store.record(large()).await.is_err());
    }
    stopped(store.record(note("small")).await, "start again");
    stopped(store.claim("nonce", Span::from_seconds(1)).await, "start again");
    assert_eq!(store.audit().await.unwrap().size, head.size + 1, "what stands can still be read");
    drop(store);
    record(&place.open_store(), 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_follows_genesis_before_there_is_an_anchor() {
    let place = Place::new();
    // The anchor's draft cannot be made.
    let in_the_way = place.anchor().with_file_name("anchor.latest.draft");
    fs::create_dir_all(&in_the_way).unwrap();
    let store = place.open_store();
    for _ in 0..2 {
        let refused = store.record(note("too early")).await;
        assert!(matches!(&refused, Err(StoreError::Failed(why)) if why.contains("anchor")), "{refused:?}");
    }
    assert_eq!(store.head().await.unwrap().size, 1);
    // A start meets no log that it could take for an old backup, and is as careful.
    drop(store);
    let store = place.open_store();
    assert!(store.record(note("still too early")).await.is_err());
    assert_eq!(store.head().await.unwrap().size, 1);
    fs::remove_dir(&in_the_way).unwrap();
    record(&store, 2).await;
    assert!(place.anchor().exists());
    drop(store);
    place.open_store();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failure_behind_the_signature_stops_the_log_at_once() {
    let place = Place::new();
    let store = place.open_store();
    record(&store, 1).await;
    let head = store.head().await.unwrap();
    place
        .connection()
        .execute_batch(
            "CREATE TRIGGER broken BEFORE UPDATE ON checkpoint BEGIN SELECT RAISE (FAIL, 'broken'); END",
        )
        .unwrap();
    stopped(store.record(note("signed, not committed")).await, "another must not be");
    stopped(store.record(note("no more")).await, "another must not be");
    assert_eq!(store.audit().await.unwrap(), head);
    drop(store);
    place.connection().execute_batch("DROP TRIGGER broken").unwrap();
    let store = place.open_store();
    assert_eq!(store.head().await.unwrap(), head);
    record(&store, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_log_has_a_heartbeat() {
    let place = Place::new();
    let terms = Terms { heartbeat: Duration::from_millis(100), ..Terms::default() };
    let store = place.open_on(&terms);
    store.keep("a", b"", Span::from_seconds(1)).await.unwrap();
    place.clock.forward(Duration::from_secs(2));
    let start = store.head().await.unwrap().size;
    tokio::time::sleep(Duration::from_millis(450)).await;
    let size = store.head().await.unwrap().size;
    assert!((start + 1..=start + 5).contains(&size), "{start} to {size}");
    let beat = store.entry(start).await.unwrap();
    assert_eq!(kind(&beat), Kind::Heartbeat);
    assert_eq!(open_fields(&beat.fields)[0].value.0, start.to_string().into_bytes());
    let kept: i64 = place.connection().query_row("SELECT count(*) FROM vault", [], |row| row.get(0)).unwrap();
    assert_eq!(kept, 0, "an idle writer sweeps");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_goes_away_in_time_has_nothing_done_and_a_full_queue_is_busy() {
    let place = Place::new();
    let store: Arc<EmbeddedStore> = Arc::new(place.open_store());
    let desk = Desk::new(store.origin().clone());
    let (hold, held) = std::sync::mpsc::channel::<()>();
    let (started, start) = std::sync::mpsc::channel();
    let blocking = Arc::clone(&store);
    let blocked = tokio::spawn(async move {
        let work = move |_: &mut super::super::batch::Batch<'_>| {
            started.send(()).unwrap();
            held.recv().unwrap();
            Ok(())
        };
        blocking.writer.submit(work).await.unwrap();
    });
    start.recv().unwrap();

    let request = desk.request(store.as_ref(), "orders");
    let id = request.action.id();
    let gone = tokio::time::timeout(Duration::from_millis(50), store.open(request)).await;
    assert!(gone.is_err(), "the writer was held");

    let mut waiting = Vec::new();
    for _ in 1..limits::QUEUE_LIMIT {
        let store = Arc::clone(&store);
        waiting.push(tokio::spawn(async move { store.writer.submit(|_| Ok(())).await }));
    }
    for task in &mut waiting {
        // Polled once, and so in the queue.
        let _ = tokio::time::timeout(Duration::ZERO, task).await;
    }
    let mut busy = store.claim("nonce", Span::from_seconds(1)).await;
    for _ in 0..100 {
        if matches!(busy, Err(StoreError::Busy)) {
            break;
        }
        busy = tokio::time::timeout(Duration::from_millis(10), store.claim("nonce", Span::from_seconds(1)))
            .await
            .unwrap_or(Ok(false));
    }
    assert!(matches!(busy, Err(StoreError::Busy)), "{busy:?}");
    hold.send(()).unwrap();
    blocked.await.unwrap();
    for task in waiting {
        let _ = task.await.unwrap();
    }
    assert!(matches!(store.approval(id).await, Err(StoreError::NotFound(_))), "nobody waited for it");
    store.audit().await.unwrap();
}
