//! The log's key changes and what is old goes, while others write and more of them read.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use audit::{Ed25519Signer, Hash, VerifierKey, leaf_hash, verify_consistency, verify_inclusion};
use domain::commitment::disclosed_root;

use super::World;
use super::ledger::{hashes, read};
use super::testing::note;
use crate::keys::Keys;
use crate::{Leaves, Pruning, Store, StoreError};

const DAY: Duration = Duration::from_secs(24 * 3_600);

/// How many read, and how many write.
const READERS: usize = 3;
const WRITERS: usize = 4;

/// How many rounds each reader has between two changes, at the least.
const ROUNDS: usize = 3;

/// What a reader has seen.
#[derive(Debug, Default)]
struct Seen {
    rounds: usize,
    /// Under how many keys it saw checkpoints.
    keys: std::collections::BTreeSet<String>,
    /// Leaves that were gone.
    gone: usize,
}

pub(super) async fn proofs_hold_while_keys_change_and_old_entries_go(world: World) {
    let store = &world.store;
    for n in 0..3 {
        world.desk.finished(store, &format!("old-{n}")).await;
    }
    fill(store, 1_100).await;
    world.clock().forward(DAY);
    let before = store.record(note("young")).await.unwrap().position().time;
    fill(store, 300).await;

    let stop = Arc::new(AtomicBool::new(false));
    let (told, mut rounds) = tokio::sync::mpsc::unbounded_channel();
    let readers = (0..READERS).map(|reader| {
        let (store, stop, told) = (Arc::clone(store), Arc::clone(&stop), told.clone());
        let first = world.deployment.log_key();
        tokio::spawn(async move {
            let mut seen = Seen::default();
            let mut last = None;
            while !stop.load(Ordering::SeqCst) {
                last = Some(look(store.as_ref(), &first, last, (seen.rounds + reader, &mut seen)).await);
                seen.rounds += 1;
                let _ = told.send(reader);
            }
            seen
        })
    });
    let readers: Vec<_> = readers.collect();
    let writers = (0..WRITERS).map(|writer| {
        let (store, desk, stop) = (Arc::clone(store), world.desk.clone(), Arc::clone(&stop));
        tokio::spawn(async move {
            let mut written = 0;
            while !stop.load(Ordering::SeqCst) {
                if written % 8 == 0 {
                    desk.finished(&store, &format!("new-{writer}-{written}")).await;
                }
                store.record(note(&format!("{writer}/{written}"))).await.unwrap();
                written += 1;
            }
            written
        })
    });
    let writers: Vec<_> = writers.collect();

    let prune = |leaves| Pruning { before, leaves, by: "the suite".to_owned(), policy: "a day".to_owned() };
    wait(&mut rounds).await;
    store.rotate(Box::new(key(store.as_ref(), 101)), "the first time").await.unwrap();
    wait(&mut rounds).await;
    assert!(store.prune(prune(Leaves::Keep)).await.unwrap().is_some());
    wait(&mut rounds).await;
    store.rotate(Box::new(key(store.as_ref(), 102)), "the second time").await.unwrap();
    wait(&mut rounds).await;
    while store.prune(prune(Leaves::Drop)).await.unwrap().is_some() {}
    wait(&mut rounds).await;
    stop.store(true, Ordering::SeqCst);

    for writer in writers {
        assert!(writer.await.unwrap() > 0, "nobody could write");
    }
    for reader in readers {
        let seen = reader.await.unwrap();
        assert!(seen.rounds >= 5 * ROUNDS && seen.keys.len() == 3 && seen.gone > 0, "{seen:?}");
    }
    store.audit().await.unwrap();
}

/// Waits until every reader has been through anew.
async fn wait(rounds: &mut tokio::sync::mpsc::UnboundedReceiver<usize>) {
    while rounds.try_recv().is_ok() {}
    let mut each = [0; READERS];
    while each.iter().any(|rounds| *rounds < ROUNDS + 1) {
        each[rounds.recv().await.unwrap()] += 1;
    }
}

async fn fill(store: &Arc<dyn Store>, count: usize) {
    let records = (0..count).map(|n| {
        let store = Arc::clone(store);
        tokio::spawn(async move { store.record(note(&n.to_string())).await.unwrap() })
    });
    for record in records.collect::<Vec<_>>() {
        record.await.unwrap();
    }
}

fn key(store: &dyn Store, seed: u8) -> Ed25519Signer {
    Ed25519Signer::new(store.origin().as_str().parse().unwrap(), &[seed; 32])
}

/// What an auditor does who trusts the first key alone: the head, what it extends, and some of its entries with their
/// tiles, proofs and fields. Answers the tree that it saw.
async fn look(
    store: &dyn Store,
    first: &VerifierKey,
    last: Option<(u64, Hash)>,
    (round, seen): (usize, &mut Seen),
) -> (u64, Hash) {
    let head = store.head().await.unwrap();
    let mut keys = Keys::first(first.clone());
    for rotation in store.rotations().await.unwrap() {
        keys.rotate(rotation.index, rotation.new.parse().unwrap());
    }
    let checkpoint = keys.open(head.checkpoint.as_bytes()).unwrap();
    assert_eq!(checkpoint.size(), head.size);
    seen.keys.insert(keys.of_size(head.size).to_string());
    let (size, root) = (checkpoint.size(), checkpoint.root());
    if let Some((old, then)) = last {
        let proof = hashes(store.consistency(old, size).await.unwrap());
        verify_consistency(old, then, size, root, &proof).unwrap();
    }
    // What a pruning under way may have taken meanwhile.
    for index in (round as u64 % 97..size).step_by(211) {
        let tile = store.tile(0, index / 256, u16::try_from(index % 256).unwrap() + 1).await.unwrap();
        let hash = Hash::from_bytes(*tile.last().unwrap());
        let proof = hashes(store.inclusion(index, size).await.unwrap());
        verify_inclusion(hash, index, size, &proof, root).unwrap();
        match store.entry(index).await {
            Ok(entry) => {
                assert_eq!(leaf_hash(&entry.leaf), hash, "entry {index}");
                assert_eq!(disclosed_root(&entry.fields).unwrap(), read(&entry.leaf).fields);
            }
            Err(StoreError::NotFound(_)) => {
                assert!(index < store.pruned_below().await.unwrap(), "entry {index} is missing");
                seen.gone += 1;
            }
            Err(error) => panic!("entry {index}: {error}"),
        }
    }
    (size, root)
}
