//! Who may touch the files.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;

use super::place::Place;
use crate::conformance::testing::note;
use crate::embedded::EmbeddedStore;
use crate::{Ledger as _, Store as _, StoreError};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_are_for_their_owner_only() {
    let place = Place::new();
    let below = place.dir.path().join("data/store");
    let (path, anchor) = (below.join("log.db"), below.join("anchor"));
    let store = EmbeddedStore::open(place.config_at(&path, &anchor)).unwrap();
    store.record(note("something")).await.unwrap();
    store.backup(&below.join("copy.backup")).await.unwrap();
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&below), 0o700);
    let mut names = Vec::new();
    for file in fs::read_dir(&below).unwrap() {
        let file = file.unwrap();
        assert_eq!(mode(&file.path()), 0o600, "{}", file.path().display());
        names.push(file.file_name().into_string().unwrap());
    }
    names.sort();
    let expected =
        ["anchor", "anchor.latest", "copy.backup", "log.db", "log.db-shm", "log.db-wal", "log.db.lock"];
    assert_eq!(names, expected);

    // What somebody opened up is closed again.
    drop(store);
    fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
    let _store = EmbeddedStore::open(place.config_at(&path, &anchor)).unwrap();
    assert_eq!(mode(&path), 0o600);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_that_anybody_writes_to_is_refused() {
    let place = Place::new();
    fs::set_permissions(place.dir.path(), Permissions::from_mode(0o777)).unwrap();
    let refused = place.try_open().unwrap_err().to_string();
    assert!(refused.contains("chmod 700"), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_has_one_writer() {
    let place = Place::new();
    let store = place.open_store();
    let refused = place.try_open();
    assert!(matches!(refused, Err(StoreError::LogStopped(_))), "{refused:?}");
    store.record(note("undisturbed")).await.unwrap();
    store.close(std::time::Duration::from_secs(5)).await;
    place.open_store().record(note("the next one")).await.unwrap();
    place.open_store().audit().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newer_schema_is_refused() {
    let place = Place::new();
    drop(place.open_store());
    let connection = rusqlite::Connection::open(place.path()).unwrap();
    connection.pragma_update(None, "user_version", 99).unwrap();
    drop(connection);
    let refused = place.try_open().unwrap_err();
    assert!(matches!(refused, StoreError::LogStopped(_)), "{refused:?}");
    assert!(refused.to_string().contains("newer release"), "{refused}");
}
