//! The log in its tables: the tree that has indices, the tree that is signed, the leaves and the tiles.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use audit::{Checkpoint, Frontier, Hash, TILE_WIDTH, TileHash, Tiles, leaf_hash};
use domain::canonical;
use domain::entry::Leaf;
use domain::time::Timestamp;
use tokio_postgres::Row;
use uuid::Uuid;

use super::link::{Fault, Link, big, bytes, column, corrupt, natural};
use crate::keys::Keys;
use crate::{Head, StoreError};

/// A tree's size, right edge and the time of its last entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tree {
    pub(super) frontier: Frontier,
    pub(super) time: Timestamp,
}

/// A tree under its checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Signed {
    pub(super) tree: Tree,
    pub(super) note: String,
}

impl Tree {
    /// The tree whose entries have indices. With `lock`, nobody else lets it grow or signs it until the transaction ends.
    pub(super) async fn load(link: &Link<'_>, lock: bool) -> Result<Self, Fault> {
        let select = if lock {
            "SELECT size, root, time, frontier FROM head FOR UPDATE"
        } else {
            "SELECT size, root, time, frontier FROM head"
        };
        let row = link.maybe(select, &[]).await?.ok_or_else(|| corrupt("the head's row is missing"))?;
        Ok(Self::read(&row)?)
    }

    pub(super) async fn save(&self, link: &Link<'_>) -> Result<(), Fault> {
        let (size, time) = (big(self.frontier.size())?, big(self.time.micros())?);
        let root = self.frontier.root();
        let update = "UPDATE head SET size = $1, root = $2, time = $3, frontier = $4";
        link.execute(
            update,
            &[&size, &root.as_bytes().as_slice(), &time, &audit::encode_tile(self.frontier.hashes())],
        )
        .await?;
        Ok(())
    }

    pub(super) fn size(&self) -> u64 {
        self.frontier.size()
    }

    fn read(row: &Row) -> Result<Self, StoreError> {
        let size = natural(row, 0)?;
        let width = u16::try_from(size.count_ones()).unwrap_or(u16::MAX);
        let frontier = Frontier::from_parts(size, audit::decode_tile(column(row, 3)?, width)?)?;
        if frontier.root() != Hash::from_bytes(bytes(row, 1)?) {
            return Err(corrupt("the tree's right edge does not hash to its root"));
        }
        Ok(Self { frontier, time: Timestamp::from_micros(natural(row, 2)?) })
    }
}

impl Signed {
    /// The tree as far as it is signed; nothing is checked yet but that the row fits itself.
    pub(super) async fn load(link: &Link<'_>) -> Result<Self, Fault> {
        let select = "SELECT size, root, time, frontier, note FROM checkpoint";
        let row = link.maybe(select, &[]).await?.ok_or_else(|| corrupt("the checkpoint's row is missing"))?;
        Ok(Self { tree: Tree::read(&row)?, note: column(&row, 4)? })
    }

    pub(super) async fn save(&self, link: &Link<'_>) -> Result<(), Fault> {
        let (size, time) = (big(self.tree.size())?, big(self.tree.time.micros())?);
        let root = self.tree.frontier.root();
        let edge = audit::encode_tile(self.tree.frontier.hashes());
        link.execute(
            "UPDATE checkpoint SET size = $1, root = $2, time = $3, frontier = $4, note = $5",
            &[&size, &root.as_bytes().as_slice(), &time, &edge, &self.note],
        )
        .await?;
        Ok(())
    }

    pub(super) fn head(&self) -> Head {
        Head { size: self.tree.size(), time: self.tree.time, checkpoint: self.note.clone() }
    }

    /// The checkpoint, if the key of its size signed it and the row repeats it.
    pub(super) fn verify(&self, origin: &str, keys: &Keys) -> Result<Checkpoint, StoreError> {
        let checkpoint = keys
            .open(self.note.as_bytes())
            .map_err(|error| corrupt(format!("the head's checkpoint: {error}")))?;
        let fits = checkpoint.origin() == origin
            && checkpoint.size() == self.tree.size()
            && checkpoint.root() == self.tree.frontier.root();
        if fits { Ok(checkpoint) } else { Err(corrupt("the head's row is not what its checkpoint says")) }
    }
}

/// An entry's row without its fields.
#[derive(Debug)]
pub(super) struct StoredLeaf {
    pub(super) index: u64,
    pub(super) id: Uuid,
    pub(super) hash: Hash,
    /// Empty where it was pruned.
    pub(super) leaf: Vec<u8>,
}

impl StoredLeaf {
    pub(super) async fn at(link: &Link<'_>, index: u64) -> Result<Self, Fault> {
        let mut found = Self::range(link, index, index.saturating_add(1)).await?;
        found.pop().ok_or(Fault::Store(StoreError::NotFound("entry")))
    }

    /// The entries `from..to` that there are, signed or not.
    pub(super) async fn range(link: &Link<'_>, from: u64, to: u64) -> Result<Vec<Self>, Fault> {
        // What is behind every index that the database can hold is not there.
        let (Ok(from), to) = (big(from), big(to).unwrap_or(i64::MAX)) else { return Ok(Vec::new()) };
        let select = "SELECT idx, id, leaf_hash, leaf FROM entry WHERE idx >= $1 AND idx < $2 ORDER BY idx";
        let rows = link.query(select, &[&from, &to]).await?;
        let read = |row: &Row| {
            Ok(Self {
                index: natural(row, 0)?,
                id: column(row, 1)?,
                hash: Hash::from_bytes(bytes(row, 2)?),
                leaf: column(row, 3)?,
            })
        };
        rows.iter().map(read).collect()
    }

    /// Whether the leaf still hashes to what the tree was built from.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        if leaf_hash(&self.leaf) == self.hash {
            return Ok(());
        }
        Err(corrupt(format!("entry {} does not hash to its leaf hash", self.index)))
    }

    pub(super) fn is_pruned(&self) -> bool {
        self.leaf.is_empty()
    }

    /// The same, unless the leaf was dropped.
    pub(super) fn whole(self) -> Result<Self, StoreError> {
        if self.is_pruned() { Err(StoreError::NotFound("leaf, which was pruned")) } else { Ok(self) }
    }

    pub(super) fn read(&self) -> Result<Leaf, StoreError> {
        canonical::read(&self.leaf).map_err(|error| corrupt(format!("entry {}: {error}", self.index)))
    }
}

/// Writes tile hashes that a batch completed.
pub(super) async fn save_tiles(link: &Link<'_>, tiles: &[TileHash]) -> Result<(), Fault> {
    if tiles.is_empty() {
        return Ok(());
    }
    let levels: Vec<i16> = tiles.iter().map(|tile| i16::from(tile.level)).collect();
    let positions = tiles.iter().map(|tile| big(tile.position)).collect::<Result<Vec<_>, _>>()?;
    let hashes: Vec<&[u8]> = tiles.iter().map(|tile| tile.hash.as_bytes().as_slice()).collect();
    link.execute(
        "INSERT INTO tile (level, position, hash) SELECT * FROM unnest($1::smallint[], $2::bigint[], $3::bytea[])",
        &[&levels, &positions, &hashes],
    )
    .await?;
    Ok(())
}

/// Does what needs tiles, over those that it turns out to need: it is done again with each that was missing.
///
/// # Errors
/// Those of the work itself once every tile that it asked for was looked up.
pub(super) async fn over_tiles<T>(
    link: &Link<'_>,
    work: impl Fn(&Fetched) -> Result<T, StoreError>,
) -> Result<T, Fault> {
    let mut fetched = Fetched::default();
    loop {
        let done = work(&fetched);
        let wanted = std::mem::take(&mut *fetched.wanted.get_mut());
        match done {
            Err(_) if !wanted.is_empty() => {
                for (level, index) in wanted {
                    let tile = tile(link, level, index, TILE_WIDTH).await?;
                    fetched.known.insert((level, index), tile);
                }
            }
            done => return Ok(done?),
        }
    }
}

/// The tiles that were looked up so far, and those that somebody wanted since.
#[derive(Default)]
pub(super) struct Fetched {
    known: BTreeMap<(u8, u64), Vec<Hash>>,
    wanted: RefCell<BTreeSet<(u8, u64)>>,
}

impl Tiles for Fetched {
    type Error = StoreError;

    fn tile(&self, level: u8, index: u64, width: u16) -> Result<Vec<Hash>, StoreError> {
        let Some(tile) = self.known.get(&(level, index)) else {
            self.wanted.borrow_mut().insert((level, index));
            return Err(StoreError::NotFound("tile"));
        };
        Ok(tile.iter().take(usize::from(width)).copied().collect())
    }
}

/// The first hashes of a tile, as many as there are up to `width`.
pub(super) async fn tile(link: &Link<'_>, level: u8, index: u64, width: u16) -> Result<Vec<Hash>, Fault> {
    let from = index.checked_mul(u64::from(TILE_WIDTH)).and_then(|from| i64::try_from(from).ok());
    let Some(from) = from else { return Ok(Vec::new()) };
    let to = from.saturating_add(i64::from(width));
    let rows = if level == 0 {
        let select = "SELECT leaf_hash FROM entry WHERE idx >= $1 AND idx < $2 ORDER BY idx";
        link.query(select, &[&from, &to]).await?
    } else {
        let select =
            "SELECT hash FROM tile WHERE level = $3 AND position >= $1 AND position < $2 ORDER BY position";
        link.query(select, &[&from, &to, &i16::from(level)]).await?
    };
    rows.iter().map(|row| Ok(Hash::from_bytes(bytes(row, 0)?))).collect()
}
