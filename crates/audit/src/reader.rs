//! Reading a tree back from tiles without trusting them. A flipped bit on a disk, an edited row or a
//! lying mirror must not end up in a proof, so no hash leaves this room unchecked: the right edge is
//! checked against the root, and every other tile against the entry above it.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::tile::{TILE_HEIGHT, TILE_WIDTH};
use crate::tree::{edge_tiles, join, tile_root};
use crate::{Error, Frontier, Hash, TileId, Tiles};

/// A tree of one size, read from tiles. It keeps the tiles it has checked, so one reader should
/// serve the proofs of one request and then be dropped.
#[derive(Debug)]
pub struct TreeReader<'t, T: ?Sized> {
    tiles: &'t T,
    frontier: Frontier,
    checked: BTreeMap<(u8, u64), Arc<[Hash]>>,
}

/// Reads every tile of a tree, from the top down to the leaf hashes, and checks each against the one
/// above it and the top against `root`. Reads about `size / 255` tiles and keeps at most sixteen.
///
/// # Errors
/// [`Error::RootMismatch`] or [`Error::TileCorrupted`] for the first tile that was changed, and
/// whatever reading fails with.
pub fn check_every_tile<T: Tiles + ?Sized>(tiles: &T, size: u64, root: Hash) -> Result<(), T::Error> {
    let edge = TreeReader::open(tiles, size, root)?;
    edge.checked.iter().try_for_each(|(&(level, index), tile)| check_below(tiles, level, index, tile))
}

impl<'t, T: Tiles + ?Sized> TreeReader<'t, T> {
    /// Opens the tree whose size and root a checkpoint gives. Reads at most eight tiles.
    ///
    /// # Errors
    /// [`Error::RootMismatch`] if the right edge does not hash to `root`; [`Error::TileWidth`] if a
    /// read answers another number of hashes; whatever reading fails with.
    pub fn open(tiles: &'t T, size: u64, root: Hash) -> Result<Self, T::Error> {
        let reader = Self::at_size(tiles, size)?;
        if reader.root() != root {
            return Err(Error::RootMismatch { size }.into());
        }
        Ok(reader)
    }

    /// Opens the tree of a size whose root is not known, and takes its right edge on trust: compare
    /// [`root`](Self::root) with a signed one. The other tiles are checked all the same.
    ///
    /// # Errors
    /// [`Error::TileWidth`], and whatever reading fails with.
    pub fn at_size(tiles: &'t T, size: u64) -> Result<Self, T::Error> {
        let mut checked = BTreeMap::new();
        let mut hashes = Vec::new();
        for id in edge_tiles(size) {
            let tile = read(tiles, id)?;
            hashes.extend(perfect_subtrees(&tile));
            checked.insert((id.level(), id.index()), Arc::from(tile));
        }
        Ok(Self { tiles, frontier: Frontier::from_parts(size, hashes)?, checked })
    }

    /// The tree's size in leaves.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.frontier.size()
    }

    /// The tree's root, as hashed from the tiles of its right edge.
    #[must_use]
    pub fn root(&self) -> Hash {
        self.frontier.root()
    }

    /// The tree's right edge: how a lost frontier is recovered.
    #[must_use]
    pub fn frontier(&self) -> &Frontier {
        &self.frontier
    }

    /// The leaf hash at `index`. Reads at most seven tiles.
    ///
    /// # Errors
    /// [`Error::IndexOutOfRange`], [`Error::TileCorrupted`], and whatever reading fails with.
    pub fn leaf(&mut self, index: u64) -> Result<Hash, T::Error> {
        if index >= self.size() {
            return Err(Error::IndexOutOfRange { index, size: self.size() }.into());
        }
        self.entry(0, index)
    }

    /// The Merkle Tree Hash of leaves `from` to `to`. The range must be one that RFC 6962's
    /// splitting yields: `from` a multiple of the largest power of two within it.
    pub(crate) fn range(&mut self, from: u64, to: u64) -> Result<Hash, T::Error> {
        let mut subtrees = Vec::new();
        let mut at = from;
        while let Some(height) = to.saturating_sub(at).checked_ilog2() {
            subtrees.push(self.perfect(height, at)?);
            at += 1 << height;
        }
        Ok(join(&subtrees))
    }

    /// The root of the perfect subtree of `2^height` leaves from leaf `from` on, which stands within
    /// one tile: subtrees are aligned, and `height % 8` levels of a tile are at most 128 entries.
    fn perfect(&mut self, height: u32, from: u64) -> Result<Hash, T::Error> {
        // A height is at most 63, so the level is at most 7.
        let level = (height / TILE_HEIGHT) as u8;
        let first = from >> (u32::from(level) * TILE_HEIGHT);
        let tile = self.tile(level, first >> TILE_HEIGHT)?;
        let start = within_tile(first);
        let end = start + (1 << (height % TILE_HEIGHT));
        let entries = tile.get(start..end).ok_or_else(|| missing(level, first))?;
        Ok(tile_root(entries))
    }

    fn entry(&mut self, level: u8, position: u64) -> Result<Hash, T::Error> {
        let tile = self.tile(level, position >> TILE_HEIGHT)?;
        let entry = tile.get(within_tile(position)).copied();
        Ok(entry.ok_or_else(|| missing(level, position))?)
    }

    /// A checked tile. What is not on the edge is full, and its root stands one level up.
    fn tile(&mut self, level: u8, index: u64) -> Result<Arc<[Hash]>, T::Error> {
        if let Some(tile) = self.checked.get(&(level, index)) {
            return Ok(Arc::clone(tile));
        }
        if index >= full_tiles(self.size(), level) {
            return Err(Error::TileMissing { level, index }.into());
        }
        let expected = self.entry(level + 1, index)?;
        let tile = read_checked(self.tiles, level, index, expected)?;
        let tile = Arc::<[Hash]>::from(tile);
        self.checked.insert((level, index), Arc::clone(&tile));
        Ok(tile)
    }
}

fn check_below<T: Tiles + ?Sized>(tiles: &T, level: u8, index: u64, tile: &[Hash]) -> Result<(), T::Error> {
    let Some(below) = level.checked_sub(1) else {
        return Ok(());
    };
    for (child, expected) in (index << TILE_HEIGHT..).zip(tile) {
        let tile = read_checked(tiles, below, child, *expected)?;
        check_below(tiles, below, child, &tile)?;
    }
    Ok(())
}

fn read_checked<T: Tiles + ?Sized>(
    tiles: &T,
    level: u8,
    index: u64,
    expected: Hash,
) -> Result<Vec<Hash>, T::Error> {
    let tile = read(tiles, TileId::new(level, index, TILE_WIDTH)?)?;
    if tile_root(&tile) != expected {
        return Err(Error::TileCorrupted { level, index }.into());
    }
    Ok(tile)
}

fn read<T: Tiles + ?Sized>(tiles: &T, id: TileId) -> Result<Vec<Hash>, T::Error> {
    let tile = tiles.tile(id.level(), id.index(), id.width())?;
    if tile.len() != usize::from(id.width()) {
        let (level, index, expected) = (id.level(), id.index(), id.width());
        return Err(Error::TileWidth { level, index, expected, found: tile.len() }.into());
    }
    Ok(tile)
}

/// The roots of the perfect subtrees that a partial tile's width names in binary, largest first.
fn perfect_subtrees(tile: &[Hash]) -> Vec<Hash> {
    let mut rest = tile;
    let mut roots = Vec::new();
    while let Some(height) = rest.len().checked_ilog2() {
        let (subtree, after) = rest.split_at(1 << height);
        roots.push(tile_root(subtree));
        rest = after;
    }
    roots
}

/// How many full tiles a tree of `size` leaves has at `level`.
pub(crate) fn full_tiles(size: u64, level: u8) -> u64 {
    size.checked_shr(TILE_HEIGHT * (u32::from(level) + 1)).unwrap_or(0)
}

fn within_tile(position: u64) -> usize {
    (position % u64::from(TILE_WIDTH)) as usize
}

fn missing(level: u8, position: u64) -> Error {
    Error::TileMissing { level, index: position >> TILE_HEIGHT }
}
