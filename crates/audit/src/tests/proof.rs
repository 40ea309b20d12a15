use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::support::*;
use crate::*;

fn read(log: &Log) -> Vec<TileId> {
    log.reads.take()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn proofs_changed_anywhere_are_refused(size in 1..1_000_u64, a in any::<u64>(), at in any::<prop::sample::Index>(), bit in 0..256_usize) {
        let log = Log::of_size(size);
        let root = log.frontier.root();
        let (index, old) = (a % size, a % size + 1);
        let old_root = root_from_tiles(&log, old).unwrap();
        let inclusion = inclusion_proof(&log, index, size).unwrap();
        let consistency = consistency_proof(&log, old, size).unwrap();
        let included = |proof: &[Hash]| verify_inclusion(leaf(index), index, size, proof, root);
        let consistent = |proof: &[Hash]| verify_consistency(old, old_root, size, root, proof);

        for (proof, verify) in [(&inclusion, &included as &dyn Fn(&[Hash]) -> _), (&consistency, &consistent)] {
            prop_assert_eq!(verify(proof), Ok(()));
            for length in (0..proof.len()).chain([proof.len() + 1]) {
                let mut other = proof.clone();
                other.resize(length, leaf(0));
                prop_assert_eq!(verify(&other), Err(Error::ProofLength { found: length }));
            }
            if !proof.is_empty() {
                let mut other = proof.clone();
                let at = at.index(proof.len());
                other[at] = flipped(other[at], bit);
                prop_assert_eq!(verify(&other), Err(Error::ProofMismatch));
            }
        }
        let mismatch = Err(Error::ProofMismatch);
        prop_assert_eq!(verify_inclusion(flipped(leaf(index), bit), index, size, &inclusion, root), mismatch.clone());
        prop_assert_eq!(verify_inclusion(leaf(index), index, size, &inclusion, flipped(root, bit)), mismatch.clone());
        prop_assert_eq!(verify_consistency(old, flipped(old_root, bit), size, root, &consistency), mismatch.clone());
        prop_assert_eq!(verify_consistency(old, old_root, size, flipped(root, bit), &consistency), mismatch);
        let elsewhere = (index + 1) % size;
        prop_assert!(elsewhere == index || verify_inclusion(leaf(index), elsewhere, size, &inclusion, root).is_err());
    }

    #[test]
    fn verifiers_take_anything(a in edge(), b in edge(), count in 0..70_usize) {
        let proof = vec![leaf(0); count];
        let _ = verify_inclusion(leaf(0), a, b, &proof, leaf(1));
        let _ = verify_consistency(a, leaf(0), b, leaf(1), &proof);
        let _ = (tiles_for_inclusion(a, b), tiles_for_consistency(a, b));
    }

    #[test]
    fn proofs_read_the_listed_tiles_and_few(size in edge().prop_map(|size| size % 3_000 + 1), a in any::<u64>()) {
        let log = Log::of_size(size);
        let (index, old) = (a % size, a % (size + 1));
        for (proof, listed) in [
            (inclusion_proof(&log, index, size), tiles_for_inclusion(index, size)),
            (consistency_proof(&log, old, size), tiles_for_consistency(old, size)),
        ] {
            proof.unwrap();
            let listed: BTreeSet<_> = listed.unwrap().into_iter().collect();
            prop_assert!(listed.len() <= 3, "two levels need at most three tiles: {:?}", listed);
        }
        // Prefetched tiles are enough, as they are for a store whose reads are asynchronous.
        read(&log);
        let fetch = |ids: Vec<TileId>| ids.into_iter()
            .map(|id| (id, log.tile(id.level(), id.index(), id.width()).unwrap()))
            .collect::<BTreeMap<_, _>>();
        let map = fetch(tiles_for_inclusion(index, size).unwrap());
        prop_assert_eq!(inclusion_proof(&map, index, size), inclusion_proof(&log, index, size));
        let map = fetch(tiles_for_consistency(old, size).unwrap());
        prop_assert_eq!(consistency_proof(&map, old, size), consistency_proof(&log, old, size));
    }
}

fn edge() -> impl Strategy<Value = u64> {
    prop_oneof![any::<u64>(), 0..5_u64, (u64::MAX - 3)..=u64::MAX, (0..64_u32).prop_map(|height| 1 << height)]
}

#[test]
fn a_proof_reads_no_tile_twice_and_at_most_two_a_level() {
    let log = Log::of_size(65_537 + 300);
    for size in [1, 256, 257, 65_535, 65_536, 65_537, 65_537 + 300] {
        for index in [0, size / 3, size / 2, size - 1] {
            read(&log);
            inclusion_proof(&log, index, size).unwrap();
            let listed: BTreeSet<_> = tiles_for_inclusion(index, size).unwrap().into_iter().collect();
            let tiles = read(&log);
            assert!(tiles.len() <= 5, "{tiles:?}");
            assert_eq!(tiles.len(), listed.len());
            assert_eq!(tiles.into_iter().collect::<BTreeSet<_>>(), listed);

            consistency_proof(&log, index, size).unwrap();
            let listed: BTreeSet<_> = tiles_for_consistency(index, size).unwrap().into_iter().collect();
            assert!(read(&log).into_iter().collect::<BTreeSet<_>>().is_subset(&listed));
        }
    }
    assert_eq!(tiles_for_inclusion(0, u64::MAX).unwrap().len(), 15);
}

#[test]
fn what_has_no_proof() {
    let log = Log::of_size(4);
    let root = log.frontier.root();
    let outside = Error::IndexOutOfRange { index: 4, size: 4 };
    assert_eq!(inclusion_proof(&log, 4, 4), Err(outside.clone()));
    assert_eq!(verify_inclusion(leaf(4), 4, 4, &[], root), Err(outside));
    let empty = Error::IndexOutOfRange { index: 0, size: 0 };
    assert_eq!(verify_inclusion(leaf(0), 0, 0, &[], empty_root()), Err(empty));
    let back = Error::SizeWentBack { old: 5, new: 4 };
    assert_eq!(consistency_proof(&log, 5, 4), Err(back.clone()));
    assert_eq!(verify_consistency(5, root, 4, root, &[]), Err(back));
}

#[test]
fn equal_and_empty_trees_need_the_empty_proof() {
    let log = Log::of_size(4);
    let (root, none) = (log.frontier.root(), empty_root());
    let mismatch = Err(Error::ProofMismatch);
    assert_eq!(consistency_proof(&log, 4, 4), Ok(vec![]));
    assert_eq!(consistency_proof(&log, 0, 4), Ok(vec![]));
    assert_eq!(consistency_proof(&log, 0, 0), Ok(vec![]));
    assert_eq!(verify_consistency(4, root, 4, root, &[]), Ok(()));
    assert_eq!(verify_consistency(4, root, 4, leaf(0), &[]), mismatch);
    assert_eq!(verify_consistency(0, none, 4, root, &[]), Ok(()));
    assert_eq!(verify_consistency(0, root, 4, root, &[]), mismatch);
    assert_eq!(verify_consistency(0, none, 0, none, &[]), Ok(()));
    assert_eq!(verify_consistency(0, none, 0, root, &[]), mismatch);
    let length = Err(Error::ProofLength { found: 1 });
    assert_eq!(verify_consistency(4, root, 4, root, &[root]), length);
    assert_eq!(verify_consistency(0, none, 4, root, &[root]), length);
}
