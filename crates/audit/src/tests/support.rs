//! Logs in memory, and the ways in which they are spoiled.

use std::cell::RefCell;
use std::collections::BTreeMap;

use crate::*;

/// Sizes around each change of a tree's shape.
pub(super) const SIZES: [u64; 17] =
    [1, 2, 3, 4, 5, 7, 8, 255, 256, 257, 300, 511, 512, 513, 65_535, 65_536, 65_537];

/// A store's tiles: leaf rows, and the rows of higher levels that appending yields.
#[derive(Default)]
pub(super) struct Log {
    pub(super) frontier: Frontier,
    pub(super) levels: BTreeMap<u8, Vec<Hash>>,
    pub(super) reads: RefCell<Vec<TileId>>,
}

impl Log {
    pub(super) fn of_size(size: u64) -> Self {
        let mut log = Self::default();
        let leaves: Vec<_> = (0..size).map(leaf).collect();
        log.append(&leaves);
        log
    }

    pub(super) fn append(&mut self, leaves: &[Hash]) {
        let completed = self.frontier.append_all(leaves).unwrap();
        self.levels.entry(0).or_default().extend(leaves);
        for TileHash { level, position, hash } in completed {
            let rows = self.levels.entry(level).or_default();
            assert_eq!(rows.len() as u64, position, "each row completes once and in order");
            rows.push(hash);
        }
    }

    /// All tiles of the tree of this log's full size.
    pub(super) fn all_tiles(&self) -> Vec<TileId> {
        let tiles = self.levels.iter().flat_map(|(level, rows)| {
            let tiles = rows.chunks(256).enumerate();
            tiles.map(|(i, tile)| TileId::new(*level, i as u64, tile.len() as u16).unwrap())
        });
        tiles.collect()
    }

    /// The first leaf that a tile's entry covers.
    pub(super) fn leaf_below(tile: TileId, entry: usize) -> u64 {
        (tile.index() * 256 + entry as u64) << (8 * u32::from(tile.level()))
    }

    /// Changes one bit, and changes it back if called again.
    pub(super) fn flip(&mut self, tile: TileId, entry: usize, bit: usize) {
        let rows = self.levels.get_mut(&tile.level()).unwrap();
        let hash = &mut rows[tile.index() as usize * 256 + entry];
        *hash = flipped(*hash, bit);
    }
}

impl Tiles for Log {
    type Error = Error;

    fn tile(&self, level: u8, index: u64, width: u16) -> Result<Vec<Hash>, Error> {
        self.reads.borrow_mut().push(TileId::new(level, index, width).unwrap());
        let missing = Error::TileMissing { level, index };
        let rows = self.levels.get(&level).ok_or(missing.clone())?;
        let start = index as usize * 256;
        Ok(rows.get(start..start + usize::from(width)).ok_or(missing)?.to_vec())
    }
}

/// A log of any size up to 2^64 - 1 whose leaves are all the same, so that each level of its tree
/// has one hash only.
pub(super) struct Uniform;

impl Tiles for Uniform {
    type Error = Error;

    fn tile(&self, level: u8, _index: u64, width: u16) -> Result<Vec<Hash>, Error> {
        let hash = (0..u32::from(level) * 8).fold(leaf(0), |hash, _| node_hash(hash, hash));
        Ok(vec![hash; usize::from(width)])
    }
}

pub(super) fn entry(index: u64) -> Vec<u8> {
    format!("entry {index}").into_bytes()
}

pub(super) fn leaf(index: u64) -> Hash {
    leaf_hash(&entry(index))
}

pub(super) fn flipped(hash: Hash, bit: usize) -> Hash {
    let mut bytes = *hash.as_bytes();
    bytes[bit / 8 % 32] ^= 1 << (bit % 8);
    Hash::from_bytes(bytes)
}

/// Every text that differs from `bytes` in one bit.
pub(super) fn bit_flips(bytes: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    (0..bytes.len() * 8).map(move |bit| {
        let mut changed = bytes.to_vec();
        changed[bit / 8] ^= 1 << (bit % 8);
        changed
    })
}

/// Texts that lack a byte, have one more, or end early.
pub(super) fn edits(bytes: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    (0..bytes.len()).flat_map(move |at| {
        let (before, after) = bytes.split_at(at);
        let inserted = b"\n =0A\r".map(|byte| [before, &[byte], after].concat());
        let removed = [[before, &after[1..]].concat(), before.to_vec()];
        inserted.into_iter().chain(removed).filter(move |changed| changed != bytes)
    })
}

pub(super) fn signer(name: &str, seed: u8) -> Ed25519Signer {
    Ed25519Signer::new(name.parse().unwrap(), &[seed; 32])
}

pub(super) fn key(signer: &Ed25519Signer) -> VerifierKey {
    signer.verifier().clone()
}

/// The origin of the logs in these tests.
pub(super) const ORIGIN: &str = "log.example";

pub(super) fn key_of(signer: &Ed25519Signer) -> VerifierKey {
    signer.verifier().clone()
}

pub(super) fn log_key() -> VerifierKey {
    key_of(&signer(ORIGIN, 1))
}

/// A log's checkpoint as its log signs it.
pub(super) fn signed(log: &Log) -> SignedCheckpoint {
    let checkpoint = Checkpoint::new(ORIGIN, log.frontier.size(), log.frontier.root(), vec![]).unwrap();
    checkpoint.sign(&[&signer(ORIGIN, 1)]).unwrap()
}

pub(super) fn witness(name: &str, seed: u8) -> WitnessSigner {
    WitnessSigner::new(name.parse().unwrap(), &[seed; 32])
}

pub(super) fn time(seconds: u64) -> CosignatureTime {
    CosignatureTime::new(seconds).unwrap()
}

pub(super) fn cosign(checkpoint: &mut SignedCheckpoint, witness: &WitnessSigner, at: u64) {
    let line = witness.cosign(checkpoint, time(at)).unwrap();
    checkpoint.attach(&line, witness.key()).unwrap();
}

/// A verifier key of any type, over bytes that need be no key.
pub(super) fn vkey(name: &str, kind: u8, public: &[u8]) -> String {
    let id = KeyId::of(&name.parse().unwrap(), kind, public);
    format!("{name}+{id}+{}", text::to_base64(&[&[kind], public].concat()))
}

/// A verifier key of type ML-DSA-44.
pub(super) fn ml_dsa(name: &str, seed: u8) -> String {
    vkey(name, 6, &[seed; 1_312])
}
