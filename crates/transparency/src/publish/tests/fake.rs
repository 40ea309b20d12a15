//! A log in memory, of any size at once.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use audit::{
    Checkpoint, Ed25519Signer, Frontier, Hash, NoteSigner, Tiles, VerifierKey, consistency_proof, leaf_hash,
    tile_root,
};
use domain::entry::Draft;
use domain::id::Origin;
use domain::principal::Principal;
use domain::time::Timestamp;
use store::{EntryView, Head, Ledger, Pruned, Pruning, Recorded, Rotation, StoreError, limits};

pub(super) const ORIGIN: &str = "countersign.example.com/log";

pub(super) fn signer() -> Ed25519Signer {
    Ed25519Signer::new(ORIGIN.parse().unwrap(), &[3; 32])
}

pub(super) fn log_key() -> VerifierKey {
    signer().verifier().clone()
}

/// The first `size` leaves of a log; another `life` is a fork from `fork` on.
pub(super) struct Fake {
    leaves: Vec<Vec<u8>>,
    levels: Vec<Vec<Hash>>,
    head: Mutex<Head>,
    origin: Origin,
    /// Held while leaves are not to be had.
    gate: Arc<tokio::sync::Mutex<()>>,
    readers: AtomicUsize,
}

impl Fake {
    pub(super) fn new(size: u64) -> Self {
        Self::forked(size, u64::MAX)
    }

    pub(super) fn forked(size: u64, fork: u64) -> Self {
        let leaf = |n: u64| format!("{{\"leaf\":{n},\"life\":{}}}", u8::from(n >= fork)).into_bytes();
        let leaves: Vec<_> = (0..size).map(leaf).collect();
        let levels = levels(&leaves);
        let head = Mutex::new(Head { size, time: Timestamp::ZERO, checkpoint: String::new() });
        let (gate, readers) = (Arc::default(), AtomicUsize::default());
        let fake = Self { leaves, levels, head, origin: ORIGIN.parse().unwrap(), gate, readers };
        fake.head.lock().unwrap().checkpoint = fake.note(size);
        fake
    }

    pub(super) fn root(&self, size: u64) -> Hash {
        let mut frontier = Frontier::new();
        let hashes = &self.levels[0][..usize::try_from(size).unwrap()];
        frontier.append_all(hashes).unwrap();
        frontier.root()
    }

    pub(super) fn note(&self, size: u64) -> String {
        let checkpoint = Checkpoint::new(ORIGIN, size, self.root(size), Vec::new()).unwrap();
        checkpoint.sign(&[&signer()]).unwrap().note().to_string()
    }

    /// No leaves are read until what this answers is dropped.
    pub(super) fn hold(&self) -> tokio::sync::OwnedMutexGuard<()> {
        Arc::clone(&self.gate).try_lock_owned().unwrap()
    }

    /// How many are reading leaves.
    pub(super) fn readers(&self) -> usize {
        self.readers.load(Ordering::Relaxed)
    }

    pub(super) fn leaves(&self) -> &[Vec<u8>] {
        &self.leaves
    }

    pub(super) fn levels(&self) -> &[Vec<Hash>] {
        &self.levels
    }
}

/// Every level's hashes by the plainest rule there is: a tile's root is the hash above it.
pub(super) fn levels(leaves: &[Vec<u8>]) -> Vec<Vec<Hash>> {
    let mut levels = vec![leaves.iter().map(|leaf| leaf_hash(leaf)).collect::<Vec<_>>()];
    while levels.last().unwrap().len() >= 256 {
        let above = levels.last().unwrap().chunks_exact(256).map(tile_root).collect();
        levels.push(above);
    }
    levels
}

impl Tiles for Fake {
    type Error = audit::Error;

    fn tile(&self, level: u8, index: u64, width: u16) -> Result<Vec<Hash>, audit::Error> {
        let from = usize::try_from(index * 256).unwrap();
        let found = self
            .levels
            .get(usize::from(level))
            .and_then(|hashes| hashes.get(from..from + usize::from(width)));
        found.map(<[Hash]>::to_vec).ok_or(audit::Error::TileMissing { level, index })
    }
}

#[async_trait]
impl Ledger for Fake {
    fn origin(&self) -> &Origin {
        &self.origin
    }

    fn now(&self) -> Timestamp {
        Timestamp::ZERO
    }

    async fn head(&self) -> Result<Head, StoreError> {
        Ok(self.head.lock().unwrap().clone())
    }

    async fn leaves(&self, from: u64, to: u64) -> Result<Vec<Vec<u8>>, StoreError> {
        self.readers.fetch_add(1, Ordering::Relaxed);
        drop(self.gate.lock().await);
        self.readers.fetch_sub(1, Ordering::Relaxed);
        let to = to.min(from + limits::PAGE_LIMIT as u64).min(self.leaves.len() as u64);
        Ok(self.leaves[usize::try_from(from).unwrap()..usize::try_from(to).unwrap()].to_vec())
    }

    async fn tile(&self, level: u8, index: u64, width: u16) -> Result<Vec<[u8; 32]>, StoreError> {
        let tile = Tiles::tile(self, level, index, width).map_err(|_| StoreError::NotFound("tile"))?;
        Ok(tile.iter().map(|hash| *hash.as_bytes()).collect())
    }

    async fn consistency(&self, old: u64, new: u64) -> Result<Vec<[u8; 32]>, StoreError> {
        Ok(consistency_proof(self, old, new)?.iter().map(|hash| *hash.as_bytes()).collect())
    }

    async fn pruned_below(&self) -> Result<u64, StoreError> {
        Ok(0)
    }

    async fn rotations(&self) -> Result<Vec<Rotation>, StoreError> {
        Ok(Vec::new())
    }

    async fn record(&self, _: Draft) -> Result<Recorded<()>, StoreError> {
        unreachable!("a publisher only reads")
    }

    async fn entry(&self, _: u64) -> Result<EntryView, StoreError> {
        unreachable!("a publisher opens no entry")
    }

    async fn inclusion(&self, _: u64, _: u64) -> Result<Vec<[u8; 32]>, StoreError> {
        unreachable!("a publisher asks for no inclusion proof")
    }

    async fn erase(&self, _: u64, _: &[String], _: Principal) -> Result<Recorded<()>, StoreError> {
        unreachable!("a publisher only reads")
    }

    async fn prune(&self, _: Pruning) -> Result<Option<Recorded<Pruned>>, StoreError> {
        unreachable!("a publisher only reads")
    }

    async fn rotate(&self, _: Box<dyn NoteSigner>, _: &str) -> Result<Recorded<()>, StoreError> {
        unreachable!("a publisher only reads")
    }

    async fn audit(&self) -> Result<Head, StoreError> {
        unreachable!("a publisher does not audit")
    }

    async fn backup(&self, _: &Path) -> Result<(), StoreError> {
        unreachable!("a publisher only reads")
    }
}
