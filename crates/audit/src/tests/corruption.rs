//! A crate that we tried returned a corrupted tile as good. These tests are why we wrote our own.

use proptest::prelude::*;

use super::support::*;
use crate::*;

/// The error that names the tile: a partial tile stands on the edge, below nothing but the root.
fn expected(tile: TileId, size: u64) -> Error {
    let (level, index) = (tile.level(), tile.index());
    if tile.width() < 256 { Error::RootMismatch { size } } else { Error::TileCorrupted { level, index } }
}

/// One flipped bit in an entry is found by whoever reads what stands below the entry or below any
/// other entry of its tile.
fn check_flip(log: &mut Log, tile: TileId, entry: usize, bit: usize) {
    let last = usize::from(tile.width()) - 1;
    check_flip_through(log, tile, entry, bit, &[entry, 0, last]);
}

fn check_flip_through(log: &mut Log, tile: TileId, entry: usize, bit: usize, through: &[usize]) {
    let (size, root) = (log.frontier.size(), log.frontier.root());
    log.flip(tile, entry, bit);
    for other in through {
        let index = Log::leaf_below(tile, *other);
        let read = TreeReader::open(log, size, root).and_then(|mut tree| tree.leaf(index));
        assert_eq!(read, Err(expected(tile, size)), "{tile:?} entry {entry}, read through {other}");
    }
    let index = Log::leaf_below(tile, entry);
    let proof = TreeReader::open(log, size, root).and_then(|mut tree| tree.inclusion_proof(index));
    assert_eq!(proof, Err(expected(tile, size)));
    log.flip(tile, entry, bit);
}

#[test]
fn every_bit_of_small_trees() {
    for size in 1..=9 {
        let mut log = Log::of_size(size);
        for tile in log.all_tiles() {
            for (entry, bit) in (0..usize::from(tile.width())).flat_map(|e| (0..256).map(move |bit| (e, bit)))
            {
                check_flip(&mut log, tile, entry, bit);
            }
        }
    }
}

#[test]
fn every_entry_of_every_tile_of_two_levels() {
    for size in [255, 256, 257, 300, 511, 512, 513] {
        let mut log = Log::of_size(size);
        let root = log.frontier.root();
        check_every_tile(&log, size, root).unwrap();
        for tile in log.all_tiles() {
            // Each entry in turn is too slow here: steps that share no factor with a tile's width.
            for entry in (0..usize::from(tile.width())).step_by(11) {
                check_flip(&mut log, tile, entry, entry * 31 % 256);
                log.flip(tile, entry, entry);
                assert_eq!(check_every_tile(&log, size, root), Err(expected(tile, size)));
                log.flip(tile, entry, entry);
            }
        }
    }
}

#[test]
fn every_tile_of_three_levels() {
    // The shapes differ on the edge only, so one size in full and the others in steps will do.
    for (size, step) in [(65_535, 5), (65_536, 5), (65_537, 1)] {
        let mut log = Log::of_size(size);
        // From the edge inwards, so that each shape's own tiles are among those tried.
        let edge_first = log.all_tiles().into_iter().rev().enumerate();
        for (_, tile) in edge_first.filter(|(nth, _)| *nth < 5 || nth % step == 0) {
            let entry = (tile.index() as usize * 37) % usize::from(tile.width());
            check_flip_through(&mut log, tile, entry, entry, &[]);
        }
        check_every_tile(&log, size, log.frontier.root()).unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever is asked of a corrupted log, the answer is an error or the answer of the clean log.
    #[test]
    fn no_answer_is_wrong(size in 1..2_000_u64, tile in any::<prop::sample::Index>(), entry in any::<prop::sample::Index>(), bit in 0..256_usize, a in any::<u64>()) {
        let mut log = Log::of_size(size);
        let root = log.frontier.root();
        let (index, old) = (a % size, a % (size + 1));
        let inclusion = inclusion_proof(&log, index, size).unwrap();
        let consistency = consistency_proof(&log, old, size).unwrap();

        let tile = *tile.get(&log.all_tiles());
        log.flip(tile, entry.index(usize::from(tile.width())), bit);
        if let Ok(mut tree) = TreeReader::open(&log, size, root) {
            prop_assert!(tree.inclusion_proof(index).map_or(true, |proof| proof == inclusion));
            prop_assert!(tree.consistency_proof(old).map_or(true, |proof| proof == consistency));
        }
        // Without the root, a proof may be wrong, but it does not verify.
        if let Ok(proof) = inclusion_proof(&log, index, size) {
            prop_assert!(proof == inclusion || verify_inclusion(leaf(index), index, size, &proof, root).is_err());
        }
    }
}

#[test]
fn widths_and_missing_tiles_are_errors() {
    struct Wide;
    impl Tiles for Wide {
        type Error = Error;
        fn tile(&self, _: u8, _: u64, width: u16) -> Result<Vec<Hash>, Error> {
            Ok(vec![leaf(0); usize::from(width) + 1])
        }
    }
    let wide = root_from_tiles(&Wide, 3);
    assert_eq!(wide, Err(Error::TileWidth { level: 0, index: 0, expected: 3, found: 4 }));

    let mut log = Log::of_size(600);
    log.levels.get_mut(&1).unwrap().pop();
    assert_eq!(root_from_tiles(&log, 600), Err(Error::TileMissing { level: 1, index: 0 }));
}
