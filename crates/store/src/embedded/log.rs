//! The log in its tables: the head, the tiles, and how new leaves come under a signed checkpoint.

use audit::{
    Checkpoint, Frontier, Hash, NoteSigner, SignedCheckpoint, TileHash, Tiles, TreeReader, leaf_hash,
};
use domain::canonical;
use domain::entry::{Kind, Leaf};
use domain::id::Origin;
use domain::time::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, params};

use super::rotations;
use crate::keys::Keys;
use crate::seal::SealingKey;
use crate::{Head, StoreError};

/// Where the log stands: what the next commit builds on.
#[derive(Debug, Clone)]
pub(super) struct LogState {
    pub(super) frontier: Frontier,
    pub(super) time: Timestamp,
    pub(super) note: String,
}

impl LogState {
    /// The log without entries.
    pub(super) fn empty() -> Self {
        Self { frontier: Frontier::new(), time: Timestamp::ZERO, note: String::new() }
    }

    pub(super) fn head(&self) -> Head {
        Head { size: self.frontier.size(), time: self.time, checkpoint: self.note.clone() }
    }

    /// Reads the head and holds it against what it stands on: keys, signature, right edge, last leaves, genesis. With
    /// it come the log's keys; none where there is no log yet.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] with the first thing that does not fit. `audit` looks at the rest.
    pub(super) fn load(
        connection: &Connection,
        origin: &Origin,
        key: &SealingKey,
    ) -> Result<(Self, Option<Keys>), StoreError> {
        let entries: u64 =
            connection.query_row("SELECT ifnull(max(idx) + 1, 0) FROM entry", [], |row| row.get(0))?;
        let Some(head) = HeadRow::load(connection)? else {
            return if entries == 0 {
                Ok((Self::empty(), None))
            } else {
                Err(corrupt("there are entries, and no checkpoint over them"))
            };
        };
        let keys = rotations::keys(connection, origin, key)?;
        let checkpoint = head.verify(origin, &keys)?;
        if entries != head.size {
            return Err(corrupt(format!(
                "the checkpoint is over {} entries, and there are {entries}",
                head.size
            )));
        }
        let frontier = {
            let tiles = SqlTiles(connection);
            let reader = TreeReader::open(&tiles, head.size, checkpoint.root())?;
            reader.frontier().clone()
        };
        // The leaves of the last tile, which the right edge stands on, and the first of all.
        let edge = head.size.saturating_sub(1) & !0xff;
        for stored in StoredLeaf::range(connection, edge, head.size)? {
            stored.check()?;
        }
        let last = StoredLeaf::at(connection, head.size.saturating_sub(1))?.read()?;
        let first = StoredLeaf::at(connection, 0)?;
        first.check()?;
        let first = first.read()?;
        if last.time != head.time {
            return Err(corrupt("the head's time is not that of the last entry"));
        }
        if first.kind != Kind::Genesis || first.origin != *origin {
            return Err(corrupt(format!(
                "the log begins with `{}` of `{}`, and not with the genesis of `{origin}`",
                first.kind.as_str(),
                first.origin
            )));
        }
        Ok((Self { frontier, time: head.time, note: head.note }, Some(keys)))
    }

    /// The tree with these leaves added; their tile rows are written.
    pub(super) fn grow(&self, connection: &Connection, leaves: &[Hash]) -> Result<Frontier, StoreError> {
        let mut frontier = self.frontier.clone();
        let mut insert =
            connection.prepare_cached("INSERT INTO tile (level, position, hash) VALUES (?1, ?2, ?3)")?;
        for TileHash { level, position, hash } in frontier.append_all(leaves)? {
            insert.execute(params![level, position, hash.as_bytes()])?;
        }
        Ok(frontier)
    }
}

/// Signs a tree's head. The caller has made sure that it extends all that was signed before.
pub(super) fn sign(
    origin: &Origin,
    frontier: &Frontier,
    signer: &dyn NoteSigner,
) -> Result<SignedCheckpoint, StoreError> {
    let checkpoint = Checkpoint::new(origin.as_str(), frontier.size(), frontier.root(), Vec::new())?;
    Ok(checkpoint.sign(&[signer])?)
}

/// The head's row as it stands.
#[derive(Debug)]
pub(super) struct HeadRow {
    pub(super) size: u64,
    pub(super) root: Hash,
    pub(super) time: Timestamp,
    pub(super) note: String,
}

impl HeadRow {
    pub(super) fn load(connection: &Connection) -> Result<Option<Self>, StoreError> {
        let row = connection
            .prepare_cached("SELECT size, root, time, note FROM checkpoint")?
            .query_row([], |row| {
                Ok(Self {
                    size: row.get(0)?,
                    root: Hash::from_bytes(row.get(1)?),
                    time: Timestamp::from_micros(row.get(2)?),
                    note: row.get(3)?,
                })
            })
            .optional()?;
        Ok(row)
    }

    pub(super) fn save(&self, connection: &Connection) -> Result<(), StoreError> {
        connection
            .prepare_cached(
                "INSERT INTO checkpoint (id, size, root, time, note) VALUES (1, ?1, ?2, ?3, ?4)
                 ON CONFLICT (id) DO UPDATE SET
                     size = excluded.size, root = excluded.root, time = excluded.time, note = excluded.note",
            )?
            .execute(params![self.size, self.root.as_bytes(), self.time.micros(), self.note])?;
        Ok(())
    }

    /// The checkpoint, if the log's key signed it and the row repeats it.
    pub(super) fn verify(&self, origin: &Origin, keys: &Keys) -> Result<Checkpoint, StoreError> {
        let checkpoint = keys
            .open(self.note.as_bytes())
            .map_err(|error| corrupt(format!("the head's checkpoint: {error}")))?;
        let fits = checkpoint.origin() == origin.as_str()
            && checkpoint.size() == self.size
            && checkpoint.root() == self.root;
        if !fits {
            return Err(corrupt("the head's row is not what its checkpoint says"));
        }
        Ok(checkpoint)
    }
}

/// An entry's row without its fields.
#[derive(Debug)]
pub(super) struct StoredLeaf {
    pub(super) index: u64,
    pub(super) hash: Hash,
    pub(super) leaf: Vec<u8>,
}

impl StoredLeaf {
    pub(super) fn at(connection: &Connection, index: u64) -> Result<Self, StoreError> {
        Self::range(connection, index, index.saturating_add(1))?.pop().ok_or(StoreError::NotFound("entry"))
    }

    /// The entries `from..to` that there are.
    pub(super) fn range(connection: &Connection, from: u64, to: u64) -> Result<Vec<Self>, StoreError> {
        let mut select = connection.prepare_cached(
            "SELECT idx, leaf_hash, leaf FROM entry WHERE idx >= ?1 AND idx < ?2 ORDER BY idx",
        )?;
        let rows = select.query_map(params![from, to], |row| {
            Ok(Self { index: row.get(0)?, hash: Hash::from_bytes(row.get(1)?), leaf: row.get(2)? })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Whether a pruning dropped the leaf: its hash alone stands.
    pub(super) fn is_dropped(&self) -> bool {
        self.leaf.is_empty()
    }

    /// The entry, unless its leaf was dropped.
    pub(super) fn whole(self) -> Result<Self, StoreError> {
        if self.is_dropped() { Err(StoreError::NotFound("entry that was not pruned")) } else { Ok(self) }
    }

    /// Whether the leaf still hashes to what the tree was built from.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        if leaf_hash(&self.leaf) == self.hash {
            return Ok(());
        }
        Err(corrupt(format!("entry {} does not hash to its leaf hash", self.index)))
    }

    pub(super) fn read(&self) -> Result<Leaf, StoreError> {
        canonical::read(&self.leaf).map_err(|error| corrupt(format!("entry {}: {error}", self.index)))
    }
}

/// The tree's tiles in their tables.
pub(super) struct SqlTiles<'c>(pub(super) &'c Connection);

impl Tiles for SqlTiles<'_> {
    type Error = StoreError;

    fn tile(&self, level: u8, index: u64, width: u16) -> Result<Vec<Hash>, StoreError> {
        let beyond = || StoreError::NotFound("tile");
        let from = index.checked_mul(256).ok_or_else(beyond)?;
        let to = from.checked_add(u64::from(width)).ok_or_else(beyond)?;
        let hash = |row: &rusqlite::Row<'_>| Ok(Hash::from_bytes(row.get(0)?));
        if level == 0 {
            let mut select = self
                .0
                .prepare_cached("SELECT leaf_hash FROM entry WHERE idx >= ?1 AND idx < ?2 ORDER BY idx")?;
            return Ok(select.query_map([from, to], hash)?.collect::<Result<_, _>>()?);
        }
        let mut select = self.0.prepare_cached(
            "SELECT hash FROM tile WHERE level = ?1 AND position >= ?2 AND position < ?3 ORDER BY position",
        )?;
        let rows = select.query_map(params![level, from, to], hash)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

pub(super) fn corrupt(why: impl Into<String>) -> StoreError {
    StoreError::Corrupt(why.into())
}
