//! The published files are what the tree's own rules say, whatever sizes were published on the way.

use std::collections::BTreeSet;
use std::sync::Arc;

use audit::TilePath;
use proptest::prelude::*;

use super::super::{Folder, Notes, Publisher};
use super::fake::{Fake, log_key};
use super::place::{Files, Memory, check, expected, is_700_after_300, read_folder};

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// Besides what the last size needs, only partial tiles of sizes before it may stand, of tiles that are not full yet.
fn holds(files: &Files, log: &Fake, size: u64, published: &BTreeSet<u64>) {
    let wanted = expected(log, size, &log.note(size));
    for (path, bytes) in &wanted {
        assert_eq!(files.get(path), Some(bytes), "{path} of size {size}");
    }
    for (path, bytes) in files.iter().filter(|(path, _)| !wanted.contains_key(*path)) {
        let (TilePath::Hashes(id) | TilePath::Entries(id)) = path.parse().unwrap();
        let before = published.iter().find(|before| expected(log, **before, "").get(path) == Some(bytes));
        let full = (size >> (8 * u32::from(id.level()))) / 256;
        assert!(before.is_some() && id.index() >= full, "{path} is left over at size {size}");
    }
    assert_eq!(check(files), size);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn any_sizes_one_after_another(sizes in proptest::collection::btree_set(0_u64..1_400, 1..6)) {
        let log = Arc::new(Fake::new(*sizes.last().unwrap()));
        let target = Memory::default();
        runtime().block_on(async {
            let mut published = BTreeSet::new();
            for size in &sizes {
                // A new process each time: nothing is remembered but what is published.
                let publisher = Publisher::new(log.clone(), target.clone(), log_key());
                assert_eq!(publisher.publish(&log.note(*size)).await.unwrap(), *size);
                published.insert(*size);
                let files = target.files.lock().unwrap().clone();
                holds(&files, &log, *size, &published);
            }
        });
    }
}

#[test]
fn sizes_at_which_levels_begin() {
    let sizes = [1_u64, 2, 255, 256, 257, 511, 512, 65_535, 65_536, 65_537, 65_793];
    let log = Arc::new(Fake::new(65_793));
    let target = Memory::default();
    runtime().block_on(async {
        let publisher = Publisher::new(log.clone(), target.clone(), log_key());
        let mut published = BTreeSet::new();
        for size in sizes {
            publisher.publish(&log.note(size)).await.unwrap();
            published.insert(size);
            let files = target.files.lock().unwrap().clone();
            holds(&files, &log, size, &published);
        }
    });
    let files = target.files.lock().unwrap().clone();
    for path in
        ["tile/2/000.p/1", "tile/1/000", "tile/1/001.p/1", "tile/0/256", "tile/0/257.p/1", "tile/entries/256"]
    {
        assert!(files.contains_key(path), "{path}");
    }
}

#[test]
fn a_folder_holds_the_same_and_a_second_publisher_waits_outside() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("public/log");
    let log = Arc::new(Fake::new(700));
    runtime().block_on(async {
        for size in [3, 300, 700] {
            let folder = Folder::open(&root).unwrap();
            let second = Folder::open(&root).unwrap_err();
            assert!(second.to_string().contains("another process holds"), "{second}");
            let publisher = Publisher::new(log.clone(), folder, log_key());
            publisher.publish(&log.note(size)).await.unwrap();
            assert_eq!(check(&read_folder(&root)), size);
        }
    });
    is_700_after_300(read_folder(&root), &log);
}

#[tokio::test]
async fn a_publisher_follows_its_log_and_says_how_far_it_is() {
    let target = Memory::default();
    let publisher = Publisher::new(Arc::new(Fake::new(300)), target.clone(), log_key());
    let progress = publisher.progress();
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let following = tokio::spawn(async move { publisher.follow(Notes::Head, stopped).await });
    while progress.borrow().size.is_none() {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert_eq!((progress.borrow().size, progress.borrow().failure.clone()), (Some(300), None));
    stop.send(true).unwrap();
    following.await.unwrap().unwrap();
    assert_eq!(check(&target.files.lock().unwrap()), 300);
}
