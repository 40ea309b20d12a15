//! A backup in other hands: what is put back is what was copied, or is refused.

use std::fs;
use std::path::Path;

use audit::Ed25519Signer;
use domain::statement::Verdict;
use domain::time::Span;

use super::super::{EmbeddedConfig, EmbeddedStore, restore};
use super::place::Place;
use crate::conformance::testing::{Desk, arrival, note, person};
use crate::seal::SealingKey;
use crate::{Approvals as _, Directories as _, Filter, Ledger as _, Store, StoreError, Vault as _};

/// How many bytes are altered, each in a copy of its own.
const ALTERED: usize = 240;

/// A deployment with something of everything, and its backup.
async fn copied(place: &Place) -> (Vec<u8>, String, Desk) {
    let store = std::sync::Arc::new(place.open_store());
    let whole: std::sync::Arc<dyn Store> = store.clone();
    let desk = Desk::new(store.origin().clone());
    store.change(0, vec![arrival(person(), "Ada")]).await.unwrap();
    desk.finished(&whole, "orders").await;
    let denied = desk.open(whole.as_ref(), "invoices").await;
    desk.decide(whole.as_ref(), denied, Verdict::Deny).await;
    desk.open(whole.as_ref(), "payments").await;
    for n in 0..40 {
        store.record(note(&format!("{n} of forty"))).await.unwrap();
    }
    store.keep("session", b"somebody's", Span::from_seconds(3_600)).await.unwrap();
    let backup = place.dir.path().join("copy.backup");
    store.backup(&backup).await.unwrap();
    let told = told(store.as_ref(), &desk).await.unwrap();
    (fs::read(backup).unwrap(), told, desk)
}

/// All that a store says.
async fn told(store: &EmbeddedStore, desk: &Desk) -> Result<String, StoreError> {
    let head = store.audit().await?;
    let mut told = format!("{head:?} {:?}", store.directory());
    for index in 0..head.size {
        told += &format!("{:?}", store.entry(index).await?);
    }
    for summary in store.list(&Filter::default(), None, 10).await?.rows {
        let id = summary.action.id();
        told += &format!("{summary:?} {:?} {:?}", store.history(id).await?, store.payload(id).await?);
    }
    told += &format!("{:?}", store.lapsed(10).await?);
    told += &format!("{:?}", store.prior(desk.caller(), "broker http.delete").await?);
    Ok(told + &format!("{:?}", store.look("session").await?))
}

fn config(place: &Place, folder: &Path) -> EmbeddedConfig {
    let anchor = folder.join("anchor");
    fs::create_dir(folder).unwrap();
    fs::copy(place.dir.path().join("anchor.latest"), &anchor).unwrap();
    place.config_at(&folder.join("log.db"), &anchor)
}

/// Wherever one bit of a backup is changed: it is refused, or says what it said; it never says anything else.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_altered_backup_never_says_anything_else() {
    let place = Place::new();
    let (bytes, said, desk) = copied(&place).await;
    // Spread over what is not empty in the file.
    let used: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at] != 0).collect();
    let (mut refused, mut same) = (0, 0);
    for (n, at) in used.iter().copied().step_by(used.len() / ALTERED).enumerate() {
        let mut altered = bytes.clone();
        altered[at] ^= 1 << (n % 8);
        let folder = place.dir.path().join(format!("altered-{n}"));
        let backup = place.dir.path().join("altered.backup");
        fs::write(&backup, &altered).unwrap();
        let config = config(&place, &folder);
        let path = config.path.clone();
        if let Err(error) = restore(&backup, config, None) {
            assert!(!path.exists(), "byte {at}: {error}, and it stands all the same");
            refused += 1;
            fs::remove_dir_all(folder).unwrap();
            continue;
        }
        let again = place.config_at(&path, &folder.join("anchor"));
        let says = match EmbeddedStore::open(again) {
            Ok(store) => told(&store, &desk).await,
            Err(error) => Err(error),
        };
        match says {
            Ok(says) => assert_eq!(says, said, "byte {at}"),
            Err(StoreError::Corrupt(_)) => refused += 1,
            Err(error) => panic!("byte {at}: {error}"),
        }
        same += 1;
        fs::remove_dir_all(folder).unwrap();
    }
    assert!(refused > ALTERED / 2, "{refused} refused, {same} put back");
}

/// What is no whole backup of this log is not put in place.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_is_put_back_as_its_own_log_alone() {
    let place = Place::new();
    let (bytes, said, desk) = copied(&place).await;
    let backup = place.dir.path().join("tried.backup");
    let other = Place::new();
    drop(other.open_store());
    let half = bytes.len() / 2;
    let longer = [bytes.as_slice(), &[0; 4_096]].concat();
    type Other = fn(EmbeddedConfig) -> EmbeddedConfig;
    let cases: [(&str, Vec<u8>, Other); 7] = [
        ("half", bytes[..half].to_vec(), |config| config),
        ("nothing", Vec::new(), |config| config),
        ("no database", b"a letter".to_vec(), |config| config),
        ("another log's", fs::read(other.path()).unwrap(), |config| config),
        ("another origin", bytes.clone(), |config| EmbeddedConfig {
            origin: "other.example.com/log".parse().unwrap(),
            signer: Box::new(Ed25519Signer::new("other.example.com/log".parse().unwrap(), &[3; 32])),
            ..config
        }),
        ("another key of the log", bytes.clone(), |config| EmbeddedConfig {
            signer: Box::new(Ed25519Signer::new("countersign.example.com/log".parse().unwrap(), &[4; 32])),
            ..config
        }),
        ("another sealing key", bytes.clone(), |config| EmbeddedConfig {
            sealing_key: SealingKey::new([6; 32]),
            ..config
        }),
    ];
    for (n, (what, file, change)) in cases.into_iter().enumerate() {
        fs::write(&backup, file).unwrap();
        for accepted in [None, Some("the disk is lost")] {
            let folder = place.dir.path().join(format!("tried-{n}-{}", accepted.is_some()));
            let config = change(config(&place, &folder));
            let path = config.path.clone();
            // An operator may begin this log anew with what little another copy of it holds, and the log says so.
            if (what, accepted.is_some()) == ("another log's", true) {
                continue;
            }
            let refused = restore(&backup, config, accepted);
            assert!(refused.is_err(), "{what}: {refused:?}");
            assert!(!path.exists(), "{what} stands all the same");
        }
    }
    // What follows the last page is none of the database.
    fs::write(&backup, longer).unwrap();
    let folder = place.dir.path().join("longer");
    let config = config(&place, &folder);
    let path = config.path.clone();
    restore(&backup, config, None).unwrap();
    let store = EmbeddedStore::open(place.config_at(&path, &folder.join("anchor"))).unwrap();
    assert_eq!(told(&store, &desk).await.unwrap(), said);
}
