//! The process ends, or the disk is full, at every single step; and the next one goes on.

use std::fs;
use std::sync::Arc;

use super::super::{Folder, PublishError, Publisher};
use super::fake::{Fake, log_key};
use super::place::{Fault, Memory, check, expected, read_folder};

#[tokio::test]
async fn every_step_may_fail() {
    let log = Arc::new(Fake::new(900));
    let whole = expected(&log, 900, &log.note(900));
    for (before, after) in [(0, 3), (5, 9), (250, 257), (300, 900), (512, 513)] {
        let start = Memory::default();
        if before > 0 {
            let publisher = Publisher::new(log.clone(), start.clone(), log_key());
            publisher.publish(&log.note(before)).await.unwrap();
        }
        let start = start.files.lock().unwrap().clone();
        let mut survived = 0;
        for step in 0.. {
            let mut failed = false;
            for done in [false, true] {
                let target = Memory::default();
                *target.files.lock().unwrap() = start.clone();
                target.failing(Some(Fault { step, done }));
                let publisher = Publisher::new(log.clone(), target.clone(), log_key());
                let outcome = publisher.publish(&log.note(after)).await;
                // Whatever was published before is still whole, or the new checkpoint is.
                let size = check(&target.files.lock().unwrap());
                assert!(size == before || size == after, "step {step} of {before} to {after}: {size}");
                if outcome.is_err() {
                    assert!(matches!(outcome, Err(PublishError::Target { .. })), "{outcome:?}");
                    failed = true;
                }
                // The next process goes on, and to a later size at last.
                target.failing(None);
                for size in [after, 900] {
                    let publisher = Publisher::new(log.clone(), target.clone(), log_key());
                    publisher.publish(&log.note(size)).await.unwrap();
                    assert_eq!(check(&target.files.lock().unwrap()), size);
                }
                let files = target.files.lock().unwrap();
                assert!(whole.iter().all(|(path, bytes)| files.get(path) == Some(bytes)));
            }
            if !failed {
                survived = step;
                break;
            }
        }
        assert!(survived > 6, "{survived} steps from {before} to {after}");
    }
}

#[tokio::test]
async fn drafts_of_a_lost_process_do_no_harm() {
    let dir = tempfile::tempdir().unwrap();
    let log = Arc::new(Fake::new(600));
    let publish = async |size| {
        let folder = Folder::open(dir.path()).unwrap();
        Publisher::new(log.clone(), folder, log_key()).publish(&log.note(size)).await
    };
    publish(300).await.unwrap();
    fs::write(dir.path().join("checkpoint.draft"), b"torn").unwrap();
    fs::write(dir.path().join("tile/0/001.draft"), b"torn").unwrap();
    // Written, renamed, and the process was gone before the checkpoint.
    let next = expected(&log, 600, "");
    fs::write(dir.path().join("tile/0/001"), &next["tile/0/001"]).unwrap();
    publish(600).await.unwrap();
    let files = read_folder(dir.path());
    assert_eq!(check(&files), 600);

    // A folder that cannot be written to keeps what it has.
    let dir = tempfile::tempdir().unwrap();
    let folder = Folder::open(dir.path()).unwrap();
    let publisher = Publisher::new(log.clone(), folder, log_key());
    publisher.publish(&log.note(10)).await.unwrap();
    fs::remove_dir_all(dir.path().join("tile/0")).unwrap();
    fs::write(dir.path().join("tile/0"), b"in the way").unwrap();
    let failed = publisher.publish(&log.note(20)).await.unwrap_err();
    assert!(!matches!(failed, PublishError::Store(_)), "{failed}");
    assert_eq!(fs::read(dir.path().join("checkpoint")).unwrap(), log.note(10).as_bytes());
}
