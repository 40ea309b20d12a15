//! Proofs that an entry is in a tree, and that one tree extends another: made from tiles, checked
//! with nothing but hashes. Making and checking follow RFC 6962 §2.1.1, §2.1.2 and RFC 9162 §2.1.3,
//! §2.1.4. Checking takes hostile input: it never panics, loops at most 64 times, and accepts only
//! the one proof of the right length.

use crate::reader::full_tiles;
use crate::tile::{LEVELS, TILE_WIDTH};
use crate::tree::edge_tiles;
use crate::{Error, Hash, TileId, Tiles, TreeReader, empty_root, node_hash};

/// The most hashes that a proof in a tree of at most 2^64 - 1 leaves can have.
pub const MAX_PROOF_HASHES: usize = 65;

/// Checks that `leaf` is entry `index` of the tree of `size` leaves with `root` (RFC 9162 §2.1.3.2).
///
/// # Errors
/// [`Error::IndexOutOfRange`], [`Error::ProofLength`], [`Error::ProofMismatch`].
pub fn verify_inclusion(leaf: Hash, index: u64, size: u64, proof: &[Hash], root: Hash) -> Result<(), Error> {
    let last = size.checked_sub(1).filter(|last| index <= *last);
    let last = last.ok_or(Error::IndexOutOfRange { index, size })?;
    let length = Error::ProofLength { found: proof.len() };

    let mut climb = Climb { node: index, last };
    let mut hash = leaf;
    for sibling in proof {
        match climb.step().ok_or_else(|| length.clone())? {
            Side::Left => hash = node_hash(*sibling, hash),
            Side::Right => hash = node_hash(hash, *sibling),
        }
    }
    if !climb.at_root() {
        return Err(length);
    }
    if hash == root { Ok(()) } else { Err(Error::ProofMismatch) }
}

/// Checks that the tree of size `old` with `old_root` is the beginning of the tree of size `new`
/// with `new_root` (RFC 9162 §2.1.4.2). Trees of equal size, and the tree without leaves, need the
/// empty proof, and no other is accepted for them.
///
/// # Errors
/// [`Error::SizeWentBack`], [`Error::ProofLength`], [`Error::ProofMismatch`].
pub fn verify_consistency(
    old: u64,
    old_root: Hash,
    new: u64,
    new_root: Hash,
    proof: &[Hash],
) -> Result<(), Error> {
    if old > new {
        return Err(Error::SizeWentBack { old, new });
    }
    let length = Error::ProofLength { found: proof.len() };
    let Some(old_last) = old.checked_sub(1).filter(|_| old < new) else {
        return verify_without_proof(old, old_root, new, new_root, proof.is_empty(), length);
    };

    // The old tree's last perfect subtree: the old root itself, or the proof's first hash.
    let (seed, rest) = if old.is_power_of_two() {
        (old_root, proof)
    } else {
        proof.split_first().map(|(first, rest)| (*first, rest)).ok_or_else(|| length.clone())?
    };
    let mut climb = Climb { node: old_last, last: new - 1 };
    climb.up_while_right_child();
    let (mut old_hash, mut new_hash) = (seed, seed);
    for sibling in rest {
        match climb.step().ok_or_else(|| length.clone())? {
            Side::Left => {
                old_hash = node_hash(*sibling, old_hash);
                new_hash = node_hash(*sibling, new_hash);
            }
            Side::Right => new_hash = node_hash(new_hash, *sibling),
        }
    }
    if !climb.at_root() {
        return Err(length);
    }
    if old_hash == old_root && new_hash == new_root { Ok(()) } else { Err(Error::ProofMismatch) }
}

/// Equal sizes have equal roots; the tree without leaves has one root and begins every tree.
fn verify_without_proof(
    old: u64,
    old_root: Hash,
    new: u64,
    new_root: Hash,
    proof_is_empty: bool,
    length: Error,
) -> Result<(), Error> {
    if !proof_is_empty {
        return Err(length);
    }
    let old_fits = old > 0 || old_root == empty_root();
    let new_fits = old < new || old_root == new_root;
    if old_fits && new_fits { Ok(()) } else { Err(Error::ProofMismatch) }
}

/// A walk from a leaf, or a subtree's root, up to the root: `fn` and `sn` of RFC 9162.
struct Climb {
    node: u64,
    last: u64,
}

/// On which side of the path the sibling stands.
enum Side {
    Left,
    Right,
}

impl Climb {
    /// One step up, to the next level at which the path has a sibling; none above the root.
    fn step(&mut self) -> Option<Side> {
        if self.at_root() {
            return None;
        }
        let side = if self.node & 1 == 1 {
            Side::Left
        } else if self.node == self.last {
            // The right edge has no sibling until it becomes a right child.
            while self.node & 1 == 0 && self.node != 0 {
                self.up();
            }
            Side::Left
        } else {
            Side::Right
        };
        self.up();
        Some(side)
    }

    fn up_while_right_child(&mut self) {
        while self.node & 1 == 1 {
            self.up();
        }
    }

    fn up(&mut self) {
        self.node >>= 1;
        self.last >>= 1;
    }

    fn at_root(&self) -> bool {
        self.last == 0
    }
}

/// The inclusion proof of entry `index` in the tree of `size` leaves: the leaf's sibling first, the
/// root's child last (RFC 6962 §2.1.1). Reads at most 15 tiles.
///
/// The tiles are checked against each other, but the root is whatever they yield. Where the root
/// is known, which is wherever a checkpoint is at hand, use [`TreeReader::open`] and
/// [`TreeReader::inclusion_proof`].
///
/// # Errors
/// [`Error::IndexOutOfRange`], [`Error::TileCorrupted`], [`Error::TileWidth`], and whatever reading
/// fails with.
pub fn inclusion_proof<T: Tiles + ?Sized>(tiles: &T, index: u64, size: u64) -> Result<Vec<Hash>, T::Error> {
    TreeReader::at_size(tiles, size)?.inclusion_proof(index)
}

/// The consistency proof from the tree of size `old` to that of size `new` (RFC 6962 §2.1.2); empty
/// if the sizes are equal or `old` is zero. Reads at most 15 tiles. What [`inclusion_proof`] says
/// of the root holds here too.
///
/// # Errors
/// [`Error::SizeWentBack`], [`Error::TileCorrupted`], [`Error::TileWidth`], and whatever reading
/// fails with.
pub fn consistency_proof<T: Tiles + ?Sized>(tiles: &T, old: u64, new: u64) -> Result<Vec<Hash>, T::Error> {
    TreeReader::at_size(tiles, new)?.consistency_proof(old)
}

/// The root of the tree of `size` leaves, hashed anew from the tiles of its right edge: at most
/// eight. [`check_every_tile`](crate::check_every_tile) goes down to all leaves.
///
/// # Errors
/// [`Error::TileWidth`], and whatever reading fails with.
pub fn root_from_tiles<T: Tiles + ?Sized>(tiles: &T, size: u64) -> Result<Hash, T::Error> {
    Ok(TreeReader::at_size(tiles, size)?.root())
}

/// The tiles that [`inclusion_proof`] reads, at most 15: for a caller that fetches them at once and
/// passes them as a map.
///
/// # Errors
/// [`Error::IndexOutOfRange`].
pub fn tiles_for_inclusion(index: u64, size: u64) -> Result<Vec<TileId>, Error> {
    if index >= size {
        return Err(Error::IndexOutOfRange { index, size });
    }
    Ok(edge_tiles(size).chain(tiles_above(index, size)).collect())
}

/// The tiles that [`consistency_proof`] reads, at most 15.
///
/// # Errors
/// [`Error::SizeWentBack`].
pub fn tiles_for_consistency(old: u64, new: u64) -> Result<Vec<TileId>, Error> {
    if old > new {
        return Err(Error::SizeWentBack { old, new });
    }
    // The proof's hashes are siblings of the path to the old tree's last leaf.
    let path = old.checked_sub(1).filter(|_| old < new);
    Ok(edge_tiles(new).chain(path.into_iter().flat_map(|leaf| tiles_above(leaf, new))).collect())
}

/// The full tiles on the path from a leaf up to the right edge.
fn tiles_above(leaf: u64, size: u64) -> impl Iterator<Item = TileId> {
    (0..LEVELS)
        .map(move |level| (level, full_tiles(leaf, level)))
        .take_while(move |(level, index)| *index < full_tiles(size, *level))
        .filter_map(|(level, index)| TileId::new(level, index, TILE_WIDTH).ok())
}

impl<T: Tiles + ?Sized> TreeReader<'_, T> {
    /// The inclusion proof of entry `index` in this tree (RFC 6962 §2.1.1), from checked tiles only.
    ///
    /// # Errors
    /// [`Error::IndexOutOfRange`], [`Error::TileCorrupted`], [`Error::TileWidth`], and whatever
    /// reading fails with.
    pub fn inclusion_proof(&mut self, index: u64) -> Result<Vec<Hash>, T::Error> {
        // Reading the leaf checks its tile even where the proof itself would not need it.
        self.leaf(index)?;
        let (mut from, mut to) = (0, self.size());
        let mut proof = Vec::new();
        while let Some(middle) = split(from, to) {
            if index < middle {
                proof.push(self.range(middle, to)?);
                to = middle;
            } else {
                proof.push(self.range(from, middle)?);
                from = middle;
            }
        }
        proof.reverse();
        Ok(proof)
    }

    /// The consistency proof from the tree of size `old` to this tree (RFC 6962 §2.1.2), from
    /// checked tiles only; empty if the sizes are equal or `old` is zero.
    ///
    /// # Errors
    /// [`Error::SizeWentBack`], [`Error::TileCorrupted`], [`Error::TileWidth`], and whatever reading
    /// fails with.
    pub fn consistency_proof(&mut self, old: u64) -> Result<Vec<Hash>, T::Error> {
        let new = self.size();
        if old > new {
            return Err(Error::SizeWentBack { old, new }.into());
        }
        if old == 0 {
            return Ok(Vec::new());
        }
        let (mut from, mut to) = (0, new);
        let mut proof = Vec::new();
        while let Some(middle) = split(from, to).filter(|_| old < to) {
            if old <= middle {
                proof.push(self.range(middle, to)?);
                to = middle;
            } else {
                proof.push(self.range(from, middle)?);
                from = middle;
            }
        }
        // From leaf zero on, the verifier has this subtree already: it is the old root.
        if from != 0 {
            proof.push(self.range(from, to)?);
        }
        proof.reverse();
        Ok(proof)
    }
}

/// Where RFC 6962 splits leaves `from` to `to`: after the largest power of two below their number.
/// One leaf does not split.
fn split(from: u64, to: u64) -> Option<u64> {
    let height = to.checked_sub(from)?.checked_sub(1)?.checked_ilog2()?;
    from.checked_add(1 << height)
}
