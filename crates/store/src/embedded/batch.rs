//! One transaction on its way: what the jobs of a batch share, and how each adds to the log.

use std::sync::Arc;

use audit::{Hash, NoteSigner, leaf_hash};
use domain::commitment::Salt;
use domain::directory::Directory;
use domain::entry::{Committed, Draft};
use domain::time::Timestamp;
use domain::{Malformed, Refusal};
use rusqlite::{Connection, params};

use super::Shared;
use super::fields::Owner;
use super::log::{StoredLeaf, corrupt};
use crate::{Position, StoreError, Wake};

/// What a job works on: the transaction's connection and time, and what the jobs before it in the same
/// transaction came to.
pub(super) struct Batch<'w> {
    pub(super) connection: &'w Connection,
    pub(super) shared: &'w Shared,
    /// The commit's time: the clock's, but never before the head's.
    pub(super) now: Timestamp,
    /// The directory with this transaction's changes.
    pub(super) directory: Arc<Directory>,
    /// Whom to wake once it stands.
    pub(super) wakes: Vec<Wake>,
    /// The leaves to come under the checkpoint.
    pub(super) leaves: Vec<Hash>,
    /// Whether something was erased, so that the write-ahead log must not keep it.
    pub(super) erased: bool,
    /// How much was written, in bytes of sealed values.
    pub(super) bytes: usize,
    /// The log's next key, and the entry that says so: the last of its transaction.
    pub(super) successor: Option<(u64, Box<dyn NoteSigner>)>,
    /// How many entries stood before this transaction.
    pub(super) base: u64,
}

/// Where a batch stood before a job, so that its refusal harms no other.
pub(super) struct Mark {
    directory: Arc<Directory>,
    wakes: usize,
    leaves: usize,
    erased: bool,
    bytes: usize,
}

impl<'w> Batch<'w> {
    pub(super) fn new(connection: &'w Connection, shared: &'w Shared, now: Timestamp, base: u64) -> Self {
        Self {
            connection,
            shared,
            now,
            directory: shared.directory(),
            wakes: Vec::new(),
            leaves: Vec::new(),
            erased: false,
            bytes: 0,
            successor: None,
            base,
        }
    }

    /// Adds an entry to the log: leaf, hash and fields.
    pub(super) fn append(&mut self, draft: Draft) -> Result<Position, StoreError> {
        self.append_committed(commit(draft)?)
    }

    /// Adds an entry whose fields were committed to before.
    pub(super) fn append_committed(&mut self, entry: Committed) -> Result<Position, StoreError> {
        let index = self.base + self.leaves.len() as u64;
        let (kind, subject) = (entry.kind(), entry.subject().map(str::to_owned));
        let sealed = entry.seal(&self.shared.origin, self.now).map_err(refused)?;

        let hash = leaf_hash(&sealed.leaf);
        self.connection
            .prepare_cached(
                "INSERT INTO entry (idx, leaf_hash, kind, subject, time, leaf) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute(params![
                index,
                hash.as_bytes(),
                kind.as_str(),
                subject,
                self.now.micros(),
                sealed.leaf
            ])?;
        self.bytes += Owner::Entry(index).put(
            self.connection,
            &self.shared.key,
            &sealed.fields,
            &sealed.commitments,
        )?;
        self.leaves.push(hash);
        Ok(Position { index, time: self.now })
    }

    pub(super) fn mark(&self) -> Mark {
        Mark {
            directory: Arc::clone(&self.directory),
            wakes: self.wakes.len(),
            leaves: self.leaves.len(),
            erased: self.erased,
            bytes: self.bytes,
        }
    }

    pub(super) fn back_to(&mut self, mark: Mark) {
        self.directory = mark.directory;
        self.wakes.truncate(mark.wakes);
        self.leaves.truncate(mark.leaves);
        self.erased = mark.erased;
        self.bytes = mark.bytes;
        // Its own job ends a batch, so no other's is lost.
        self.successor = None;
    }

    /// Reads the new leaves back and hashes them again: what is signed is what stands in the table.
    pub(super) fn reread(&self) -> Result<(), StoreError> {
        let stored = StoredLeaf::range(self.connection, self.base, i64::MAX.cast_unsigned())?;
        if stored.len() != self.leaves.len() {
            return Err(corrupt("the log's table has other entries than were written"));
        }
        for ((index, written), stored) in (self.base..).zip(&self.leaves).zip(&stored) {
            stored.check()?;
            if stored.index != index || stored.hash != *written {
                return Err(corrupt(format!("entry {index} is not what was written")));
            }
        }
        Ok(())
    }
}

/// Draws an entry's salts and commits to its fields: what needs neither the database nor the commit's time.
pub(super) fn commit(draft: Draft) -> Result<Committed, StoreError> {
    let mut drawn = Ok(());
    let salt = || {
        let mut salt = Salt::default();
        if let Err(error) = getrandom::fill(&mut salt) {
            drawn = Err(StoreError::Failed(error.to_string()));
        }
        salt
    };
    let committed = draft.commit(salt).map_err(refused)?;
    drawn?;
    Ok(committed)
}

/// What the domain finds malformed on the way in is refused.
pub(super) fn refused(malformed: Malformed) -> StoreError {
    StoreError::Refused(Refusal::Malformed(malformed))
}
