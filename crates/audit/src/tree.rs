//! The growing tree as its right edge: everything that appending and signing need, in at most 64
//! hashes. The rest of the tree is tiles, which the store keeps and which can be derived again.

use crate::hash::{Hash, empty_root, node_hash};
use crate::tile::{LEVELS, TILE_HEIGHT, TILE_WIDTH};
use crate::{Error, TileId};

/// The right edge of a tree (a "compact range" from leaf zero): its size, and the root of each
/// perfect subtree that the size's binary digits name, largest and leftmost first.
///
/// The store keeps one beside the log's head, in the transaction that adds entries.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Frontier {
    size: u64,
    hashes: Vec<Hash>,
}

/// An entry of a tile of level 1 or more: the root of the full tile `position` at the level below.
///
/// It depends on nothing that comes later, so a store can write it as the row `(level, position)`
/// any number of times. Entry `position` stands in tile `position / 256`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TileHash {
    /// The level at which the entry stands: 1 to 7.
    pub level: u8,
    /// The entry's place within its level, from zero.
    pub position: u64,
    /// The Merkle tree hash of `256^level` leaves from leaf `position * 256^level`.
    pub hash: Hash,
}

/// Where a log's tiles are read from: a database, a directory, a mirror, a map in memory.
///
/// Contract: answer exactly `width` hashes from entry `index * 256` of that level on, in order.
/// Level 0 holds leaf hashes; an entry of level `L` is the root of a full tile of level `L - 1`
/// (C2SP `tlog-tiles`). A tile that has grown since is cut to `width`. An implementation need not
/// check hashes and is not trusted to: [`TreeReader`](crate::TreeReader) checks every tile.
pub trait Tiles {
    /// What a failed read, or a tile that was found to be corrupt, is reported as.
    type Error: From<Error>;

    /// Reads `width` hashes (1 to 256) of tile `index` at `level` (0 to 7).
    fn tile(&self, level: u8, index: u64, width: u16) -> Result<Vec<Hash>, Self::Error>;
}

impl Frontier {
    /// The frontier of the tree without leaves.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A frontier from stored parts. They come from the log's own store: compare
    /// [`root`](Self::root) with the last signed checkpoint before building on it.
    ///
    /// # Errors
    /// [`Error::FrontierShape`] unless there is one hash for each binary one of `size`.
    pub fn from_parts(size: u64, hashes: Vec<Hash>) -> Result<Self, Error> {
        if usize::try_from(size.count_ones()) != Ok(hashes.len()) {
            return Err(Error::FrontierShape { size, found: hashes.len() });
        }
        Ok(Self { size, hashes })
    }

    /// How many leaves the tree has.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The right-edge hashes to store beside the size, largest subtree first, at most 64.
    #[must_use]
    pub fn hashes(&self) -> &[Hash] {
        &self.hashes
    }

    /// The tree's root: the Merkle Tree Hash of RFC 6962 §2.1.
    #[must_use]
    pub fn root(&self) -> Hash {
        join(&self.hashes)
    }

    /// Adds one leaf and returns its index.
    ///
    /// Use [`append_all`](Self::append_all) where tiles are kept.
    ///
    /// # Errors
    /// [`Error::LogFull`] at 2^64 - 1 leaves; the frontier is unchanged.
    pub fn append(&mut self, leaf: Hash) -> Result<u64, Error> {
        self.push(leaf, &mut Vec::new())
    }

    /// Adds leaves in order and returns the tile entries of level 1 and up that they completed, in
    /// the order of completion; the store writes them with the leaves.
    ///
    /// # Errors
    /// [`Error::LogFull`] if the leaves do not all fit below 2^64; the frontier is unchanged.
    pub fn append_all(&mut self, leaves: &[Hash]) -> Result<Vec<TileHash>, Error> {
        let mut grown = self.clone();
        let mut completed = Vec::new();
        for leaf in leaves {
            grown.push(*leaf, &mut completed)?;
        }
        *self = grown;
        Ok(completed)
    }

    /// Like carrying in binary addition: each trailing one of the old size is a perfect subtree on
    /// the right edge that the new leaf's subtree merges with.
    fn push(&mut self, leaf: Hash, completed: &mut Vec<TileHash>) -> Result<u64, Error> {
        let index = self.size;
        self.size = index.checked_add(1).ok_or(Error::LogFull)?;
        let mut hash = leaf;
        for height in 1..=index.trailing_ones() {
            let left = self.hashes.pop().ok_or(Error::FrontierShape { size: index, found: 0 })?;
            hash = node_hash(left, hash);
            if height.is_multiple_of(TILE_HEIGHT) {
                // A height is at most 63, so the level is at most 7.
                let level = (height / TILE_HEIGHT) as u8;
                completed.push(TileHash { level, position: index >> height, hash });
            }
        }
        self.hashes.push(hash);
        Ok(index)
    }
}

/// The tile entries of level 1 and up that `leaves` complete when appended to `before`: what
/// [`Frontier::append_all`] returns, without moving the frontier. It serves to derive lost rows again.
///
/// # Errors
/// [`Error::LogFull`] if the leaves do not all fit below 2^64.
pub fn completed_tile_hashes(before: &Frontier, leaves: &[Hash]) -> Result<Vec<TileHash>, Error> {
    before.clone().append_all(leaves)
}

/// The Merkle Tree Hash over hashes that are leaves or subtrees of one height (RFC 6962 §2.1). Over
/// a full tile it is the entry one level up; over a level-0 tile of a small tree, the root.
#[must_use]
pub fn tile_root(tile: &[Hash]) -> Hash {
    match tile {
        [] => empty_root(),
        [only] => *only,
        many => {
            let (left, right) = many.split_at(many.len().div_ceil(2).next_power_of_two());
            node_hash(tile_root(left), tile_root(right))
        }
    }
}

/// The root over perfect subtrees of falling height that stand side by side, leftmost first.
pub(crate) fn join(subtrees: &[Hash]) -> Hash {
    let rightmost_first = subtrees.iter().rev().copied();
    rightmost_first.reduce(|right, left| node_hash(left, right)).unwrap_or_else(empty_root)
}

/// The right-edge tiles of a tree, top level first: one partial tile for each level whose base-256
/// digit of `size` is not zero. Their entries, side by side, cover the tree exactly once.
pub(crate) fn edge_tiles(size: u64) -> impl Iterator<Item = TileId> {
    (0..LEVELS).rev().filter_map(move |level| {
        let entries = size >> (TILE_HEIGHT * u32::from(level));
        let width = (entries % u64::from(TILE_WIDTH)) as u16;
        // There is no tile of width zero, so a zero digit is skipped here.
        TileId::new(level, entries >> TILE_HEIGHT, width).ok()
    })
}
