//! The log as files that anybody can check: C2SP `tlog-tiles`, written to a folder or to S3-compatible storage.
//!
//! A [`Publisher`] follows a ledger. It builds each new file from the leaves and from what is published already, writes
//! the files first and the checkpoint last, and before that reads the new files back and hashes them up to the
//! checkpoint's root. So what a published checkpoint promises stands beside it, and whoever mirrors the place at any
//! moment has a log that verifies.
//!
//! It never publishes a checkpoint that is smaller than the published one or does not extend it: it stops and says so.
//! A database that was set back, a second deployment with the same key, and a fork end here.

mod grow;
mod target;

mod folder;
mod s3;
mod serve;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use audit::{
    Checkpoint, Hash, NoteSignature, TILE_WIDTH, TileId, TilePath, TreeReader, VerifierKey, decode_tile,
    empty_root, tile_root, verify_consistency,
};
use store::{Ledger, StoreError, limits};
use tokio::sync::watch;

pub use folder::Folder;
pub use grow::{Entry, Growth, TileFile, edge_of};
pub use s3::{S3, S3Config};
pub use serve::router;
pub use target::{CHECKPOINT, Standing, Target, TargetError};

/// How long a publisher waits between two looks at the log.
pub const PUBLISH_EVERY: Duration = Duration::from_secs(2);

/// How long it waits after a failure at first; each further one doubles it.
const RETRY_FIRST: Duration = Duration::from_secs(1);
/// How long it waits between two tries at most.
const RETRY_MOST: Duration = Duration::from_secs(60);

/// How often a head that is smaller than what is published is looked at again, before it counts as that: another
/// gateway of the same store may have published what this one has not seen yet.
const BEHIND_LOOKS: u32 = 4;
/// How long it waits between two such looks.
const BEHIND_WAIT: Duration = Duration::from_millis(500);

/// Which notes are published.
#[derive(Clone)]
pub enum Notes {
    /// Every head's own, with the log's signature alone.
    Head,
    /// What this answers: the newest head's note that has its cosignatures; `None` until the first is there. A tree
    /// that grew meanwhile waits for its own.
    Cosigned(Arc<dyn Fn() -> Option<String> + Send + Sync>),
}

/// How far a publisher is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Progress {
    /// The size of the tree that is published; `None` while nobody has looked.
    pub size: Option<u64>,
    /// Why the last try failed; `None` after one that did not.
    pub failure: Option<String>,
    /// Whether it has stopped for good.
    pub stopped: bool,
}

/// Why nothing was published.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// What is published and what was to be published do not belong to one log. A human must look.
    #[error("publishing to {place} is stopped: {why}")]
    Stopped {
        /// Where.
        place: String,
        /// Why, and what to do.
        why: String,
    },
    /// The place failed.
    #[error("publishing to {place}: {error}")]
    Target {
        /// Where.
        place: String,
        /// How.
        error: TargetError,
    },
    /// The store failed.
    #[error("publishing: {0}")]
    Store(#[from] StoreError),
}

/// Publishes one log at one place.
pub struct Publisher<T> {
    ledger: Arc<dyn Ledger>,
    target: T,
    log_key: VerifierKey,
    progress: watch::Sender<Progress>,
}

impl<T: Target> Publisher<T> {
    /// A publisher of this log. Its key is the current one; the keys of before are the ledger's to tell.
    pub fn new(ledger: Arc<dyn Ledger>, target: T, log_key: VerifierKey) -> Self {
        Self { ledger, target, log_key, progress: watch::channel(Progress::default()).0 }
    }

    /// How far it is, from here on.
    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.subscribe()
    }

    /// Publishes whatever comes, until `stop` says so or what is published is not this log. What fails is tried again.
    ///
    /// # Errors
    /// [`PublishError::Stopped`] alone.
    pub async fn follow(&self, notes: Notes, mut stop: watch::Receiver<bool>) -> Result<(), PublishError> {
        let mut wait = PUBLISH_EVERY;
        loop {
            match self.publish_newest(&notes).await {
                Ok(_) => wait = PUBLISH_EVERY,
                Err(stopped @ PublishError::Stopped { .. }) => {
                    tracing::error!(error = %stopped, "the log is published no more");
                    return Err(stopped);
                }
                Err(error) => {
                    tracing::warn!(%error, "the log was not published; it is tried again");
                    wait = if wait == PUBLISH_EVERY { RETRY_FIRST } else { (wait * 2).min(RETRY_MOST) };
                }
            }
            // A sender that is gone means stop as well.
            if tokio::time::timeout(wait, stop.wait_for(|stop| *stop)).await.is_ok() {
                return Ok(());
            }
        }
    }

    /// Publishes the newest note, if there is one that is not published yet; answers the published size.
    ///
    /// # Errors
    /// As [`publish`](Self::publish).
    pub async fn publish_newest(&self, notes: &Notes) -> Result<Option<u64>, PublishError> {
        let done = match notes.newest(self.ledger.as_ref()).await {
            Ok(Some(note)) => self.publish(&note).await.map(Some),
            Ok(None) => Ok(None),
            Err(error) => Err(error.into()),
        };
        self.progress.send_modify(|progress| match &done {
            Ok(size) => *progress = Progress { size: size.or(progress.size), failure: None, stopped: false },
            Err(error) => {
                progress.failure = Some(error.to_string());
                progress.stopped = matches!(error, PublishError::Stopped { .. });
            }
        });
        done
    }

    /// Publishes a checkpoint of the log, with whatever cosignatures its note has, and all that belongs to it.
    ///
    /// # Errors
    /// [`PublishError::Stopped`] where the note is not this log's or does not extend what is published;
    /// [`PublishError::Target`] and [`PublishError::Store`] for what may succeed when it is tried again.
    pub async fn publish(&self, note: &str) -> Result<u64, PublishError> {
        let keys = self.keys().await?;
        let next = Checkpoint::open(note.as_bytes(), &keys)
            .map_err(|error| self.stopped(format!("the note to publish: {error}")))?;
        let next = next.checkpoint().clone();
        let standing = self.at(self.target.checkpoint().await)?;
        let published = match &standing {
            Some(standing) => Some(self.open_standing(standing, &keys)?),
            None => None,
        };
        if let Some(published) = &published {
            if next.size() < published.size() {
                // A note may wait for its cosignatures while a later one stands; the log itself may not be behind.
                self.check_extends(published, &self.head_from(published.size(), &keys).await?).await?;
                return Ok(published.size());
            }
            self.check_extends(published, &next).await?;
            if published.size() == next.size() {
                self.renew(standing.as_ref(), note).await?;
                return Ok(next.size());
            }
        }
        self.write_files(published.as_ref(), &next).await?;
        self.at(self.target.set_checkpoint(note.as_bytes(), standing.as_ref()).await)?;
        // What the one before it needs is removed only once it does not stand any more.
        let stands = self.at(self.target.checkpoint().await)?;
        if stands.is_none_or(|stands| stands.note != note.as_bytes()) {
            let why = "the checkpoint did not read back as written".to_owned();
            return Err(self.failed(TargetError::Failed(why)));
        }
        let before = published.as_ref().map_or(0, Checkpoint::size);
        self.tidy(before, next.size()).await?;
        Ok(next.size())
    }

    /// What stands at the place against this log, in words: a checkpoint under its own key that it does not extend. Then
    /// entries were lost, or somebody else signs with the key, and nothing more may be signed. What no key of the log
    /// has signed says nothing, and neither does a place with nothing in it.
    ///
    /// # Errors
    /// [`PublishError::Target`] and [`PublishError::Store`] where one of the two cannot be asked.
    pub async fn contradiction(&self) -> Result<Option<String>, PublishError> {
        let keys = self.keys().await?;
        let Some(standing) = self.at(self.target.checkpoint().await)? else { return Ok(None) };
        let Ok(published) = Checkpoint::open(&standing.note, &keys) else { return Ok(None) };
        let published = published.checkpoint();
        let head = self.head_from(published.size(), &keys).await?;
        match self.check_extends(published, &head).await {
            Ok(()) => Ok(None),
            Err(PublishError::Stopped { place, why }) => Ok(Some(format!("{place}: {why}"))),
            Err(error) => Err(error),
        }
    }

    /// Every key that this log has had.
    async fn keys(&self) -> Result<Vec<VerifierKey>, PublishError> {
        let mut keys = vec![self.log_key.clone()];
        for rotation in self.ledger.rotations().await? {
            for key in [rotation.old, rotation.new] {
                let key = key.parse().map_err(|error| self.stopped(format!("the log's keys: {error}")))?;
                if !keys.contains(&key) {
                    keys.push(key);
                }
            }
        }
        Ok(keys)
    }

    fn open_standing(&self, standing: &Standing, keys: &[VerifierKey]) -> Result<Checkpoint, PublishError> {
        let signed = Checkpoint::open(&standing.note, keys).map_err(|error| {
            self.stopped(format!(
                "what is published there is not a checkpoint of this log ({error}); publish at another place, or \
                 remove what stands there if it is worth nothing"
            ))
        })?;
        Ok(signed.checkpoint().clone())
    }

    /// The log's head, once it is of this size at least or has had the time to be.
    async fn head_from(&self, size: u64, keys: &[VerifierKey]) -> Result<Checkpoint, PublishError> {
        let mut head = self.ledger.head().await?;
        for _ in 0..BEHIND_LOOKS {
            if head.size >= size {
                break;
            }
            tokio::time::sleep(BEHIND_WAIT).await;
            head = self.ledger.head().await?;
        }
        let signed = Checkpoint::open(head.checkpoint.as_bytes(), keys)
            .map_err(|error| self.stopped(format!("the log's head: {error}")))?;
        Ok(signed.checkpoint().clone())
    }

    /// The published log must be a beginning of this one.
    async fn check_extends(&self, published: &Checkpoint, next: &Checkpoint) -> Result<(), PublishError> {
        let (old, new) = (published.size(), next.size());
        if new < old {
            return Err(self.stopped(format!(
                "{old} entries are published, and this log has {new}: its database is an old copy, or another \
                 deployment signs with the same key. Find the newer database"
            )));
        }
        let forked = || {
            self.stopped(format!(
                "the {old} entries that are published are not the first {old} of this log: it was forked, by a \
                 database that was set back or by another deployment with the same key. Keep both, and find out which \
                 is the log"
            ))
        };
        if new == old {
            return if published.root() == next.root() { Ok(()) } else { Err(forked()) };
        }
        let proof = self.ledger.consistency(old, new).await?;
        let proof: Vec<Hash> = proof.into_iter().map(Hash::from_bytes).collect();
        let extends = old == 0 || verify_consistency(old, published.root(), new, next.root(), &proof).is_ok();
        if extends { Ok(()) } else { Err(forked()) }
    }

    /// A note of the published tree takes the published one's place where it has more signatures.
    async fn renew(&self, standing: Option<&Standing>, note: &str) -> Result<(), PublishError> {
        let signatures = |bytes: &[u8]| -> Vec<NoteSignature> {
            audit::Note::parse(bytes).map(|note| note.signatures().to_vec()).unwrap_or_default()
        };
        let known = standing.map(|standing| signatures(&standing.note)).unwrap_or_default();
        let more = signatures(note.as_bytes()).len() > known.len();
        if more {
            self.at(self.target.set_checkpoint(note.as_bytes(), standing).await)?;
        }
        Ok(())
    }

    /// Writes every file that the next tree has and the published one has not.
    async fn write_files(
        &self,
        published: Option<&Checkpoint>,
        next: &Checkpoint,
    ) -> Result<(), PublishError> {
        let mut growth = self.growth(published).await?;
        let mut check = ReadBack::default();
        while growth.next() < next.size() {
            let start = growth.next();
            let to = next.size().min(start - start % u64::from(TILE_WIDTH) + u64::from(TILE_WIDTH));
            for entry in self.entries(start, to).await? {
                let files = growth.push(entry).map_err(|error| {
                    self.stopped(format!(
                        "entry {} is not the one that was published: {error}",
                        growth.next()
                    ))
                })?;
                self.write(files, &mut check).await?;
            }
        }
        if growth.root() != next.root() {
            return Err(self.stopped("the entries do not hash to the checkpoint; audit the log".to_owned()));
        }
        let edge = growth.edge().map_err(|error| self.stopped(error.to_string()))?;
        self.write(edge, &mut check).await?;
        let tiles = self.edge_tiles(next.size()).await?;
        let whole = TreeReader::open(&tiles, next.size(), next.root());
        let whole = whole.map_err(StoreError::from).and_then(|_| check.finish(&tiles));
        whole.map_err(|error| self.stopped(format!("what was written does not read back: {error}")))
    }

    /// The published tree, from its tiles.
    async fn growth(&self, published: Option<&Checkpoint>) -> Result<Growth, PublishError> {
        let (size, root) =
            published.map_or((0, empty_root()), |published| (published.size(), published.root()));
        let tiles = self.edge_tiles(size).await?;
        Growth::from_tiles(&tiles, size, root).map_err(|error| {
            self.stopped(format!(
                "the published tiles are not what the published checkpoint says ({error}); restore them, or remove all \
                 that is published there to have it written anew"
            ))
        })
    }

    /// The tiles of a tree's right edge, as they stand at the target.
    async fn edge_tiles(&self, size: u64) -> Result<BTreeMap<TileId, Vec<Hash>>, PublishError> {
        let mut tiles = BTreeMap::new();
        for path in edge_of(size) {
            let TilePath::Hashes(id) = path else { continue };
            // A missing one is found by whoever opens the tree.
            if let Some(hashes) = self.read_tile(id).await? {
                tiles.insert(id, hashes);
            }
        }
        Ok(tiles)
    }

    async fn read_tile(&self, id: TileId) -> Result<Option<Vec<Hash>>, PublishError> {
        let bytes = self.at(self.target.get(&TilePath::Hashes(id).to_string()).await)?;
        Ok(bytes.and_then(|bytes| decode_tile(&bytes, id.width()).ok()))
    }

    /// The log's entries from one index to another within one tile.
    async fn entries(&self, from: u64, to: u64) -> Result<Vec<Entry>, PublishError> {
        let leaves = read_leaves(self.ledger.as_ref(), from, to).await?;
        if !leaves.iter().any(Vec::is_empty) {
            return Ok(leaves.into_iter().map(Entry::Whole).collect());
        }
        let tile = from / u64::from(TILE_WIDTH);
        let start = from % u64::from(TILE_WIDTH);
        // Within one tile.
        let width = (to - tile * u64::from(TILE_WIDTH)) as u16;
        let hashes = self.ledger.tile(0, tile, width).await?;
        let hashes = hashes.into_iter().skip(start as usize).map(Hash::from_bytes);
        let entry = |(leaf, hash): (Vec<u8>, Hash)| {
            if leaf.is_empty() { Entry::Pruned(hash) } else { Entry::Whole(leaf) }
        };
        Ok(leaves.into_iter().zip(hashes).map(entry).collect())
    }

    /// Writes files, reads them back, and remembers what the tiles come to.
    async fn write(&self, files: Vec<TileFile>, check: &mut ReadBack) -> Result<(), PublishError> {
        for (path, bytes) in files {
            let name = path.to_string();
            match self.target.put(&name, &bytes).await {
                Err(TargetError::Conflict(path)) => {
                    return Err(self.stopped(format!(
                        "`{path}` stands there with other bytes than this log has: it was altered, or another log \
                         wrote it"
                    )));
                }
                done => self.at(done)?,
            }
            let back = self.at(self.target.get(&name).await)?;
            if back.as_deref() != Some(bytes.as_slice()) {
                return Err(
                    self.failed(TargetError::Failed(format!("`{name}` did not read back as written")))
                );
            }
            if let TilePath::Hashes(id) = path {
                check.tile(id, &decode_tile(&bytes, id.width()).map_err(StoreError::from)?);
            }
        }
        Ok(())
    }

    /// Removes the partial tiles of tiles that are full now. A crash before it leaves some behind, which C2SP allows.
    async fn tidy(&self, before: u64, now: u64) -> Result<(), PublishError> {
        for path in edge_of(before) {
            let (TilePath::Hashes(id) | TilePath::Entries(id)) = path;
            let full = grow::entries_at(now, id.level()) / u64::from(TILE_WIDTH);
            if id.index() < full {
                self.at(self.target.remove_partials(path).await)?;
            }
        }
        Ok(())
    }

    fn at<V>(&self, done: Result<V, TargetError>) -> Result<V, PublishError> {
        done.map_err(|error| match error {
            TargetError::Conflict(_) => self.stopped(error.to_string()),
            // Another gateway of the same store may have been quicker. Whether it is the same log is looked at anew.
            TargetError::Moved(_) | TargetError::Failed(_) => self.failed(error),
        })
    }

    fn failed(&self, error: TargetError) -> PublishError {
        PublishError::Target { place: self.target.name(), error }
    }

    fn stopped(&self, why: String) -> PublishError {
        PublishError::Stopped { place: self.target.name(), why }
    }
}

impl Notes {
    /// The newest note, where there is one.
    pub(crate) async fn newest(&self, ledger: &dyn Ledger) -> Result<Option<String>, StoreError> {
        match self {
            Self::Head => Ok(Some(ledger.head().await?.checkpoint)),
            Self::Cosigned(newest) => Ok(newest()),
        }
    }
}

impl fmt::Debug for Notes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Head => "Head",
            Self::Cosigned(_) => "Cosigned(..)",
        })
    }
}

/// Holds the tiles that were read back against each other: a full one's root is what the tile above it must say.
#[derive(Debug, Default)]
struct ReadBack {
    /// Roots of full tiles, by the level and position at which they must stand one level up.
    roots: BTreeMap<(u8, u64), Hash>,
}

impl ReadBack {
    fn tile(&mut self, id: TileId, hashes: &[Hash]) {
        // What stands in this tile is settled; what it comes to is settled by the tile above.
        let first = id.index() * u64::from(TILE_WIDTH);
        for (position, hash) in (first..).zip(hashes) {
            if self.roots.get(&(id.level(), position)) == Some(hash) {
                self.roots.remove(&(id.level(), position));
            }
        }
        if id.width() == TILE_WIDTH {
            self.roots.insert((id.level() + 1, id.index()), tile_root(hashes));
        }
    }

    /// Nothing may be left that no tile above has said.
    fn finish(self, edge: &BTreeMap<TileId, Vec<Hash>>) -> Result<(), StoreError> {
        let said = |level: u8, position: u64| {
            let tile = edge
                .iter()
                .find(|(id, _)| id.level() == level && id.index() == position / u64::from(TILE_WIDTH))?;
            tile.1.get((position % u64::from(TILE_WIDTH)) as usize).copied()
        };
        for ((level, position), root) in self.roots {
            if said(level, position) != Some(root) {
                return Err(StoreError::Corrupt(format!(
                    "the tile {position} of level {} is not what the tile above it says",
                    level.saturating_sub(1)
                )));
            }
        }
        Ok(())
    }
}

/// Leaves `from..to`, in as many pages as it takes.
///
/// # Errors
/// [`StoreError::NotFound`] where the log has fewer; store failures.
pub(crate) async fn read_leaves(ledger: &dyn Ledger, from: u64, to: u64) -> Result<Vec<Vec<u8>>, StoreError> {
    let mut leaves: Vec<Vec<u8>> = Vec::new();
    let mut at = from;
    while at < to {
        let page = ledger.leaves(at, to.min(at.saturating_add(limits::PAGE_LIMIT as u64))).await?;
        if page.is_empty() {
            return Err(StoreError::NotFound("entry"));
        }
        at = at.saturating_add(page.len() as u64);
        leaves.extend(page);
    }
    Ok(leaves)
}
