use ct_merkle::mem_backed_tree::MemoryBackedTree;
use proptest::prelude::*;
use sha2::Sha256;

use super::support::*;
use crate::*;

type Oracle = MemoryBackedTree<Sha256, Vec<u8>>;

fn hashes(bytes: &[u8]) -> Vec<Hash> {
    decode_tile(bytes, (bytes.len() / 32) as u16).unwrap()
}

/// Everything that the oracle can say about its tree, we say too.
fn check(log: &Log, oracle: &Oracle, picks: &[u64]) {
    let size = oracle.len();
    let root = Hash::try_from(oracle.root().as_bytes().as_slice()).unwrap();
    assert_eq!(root_from_tiles(log, size).unwrap(), root, "size {size}");
    let mut reader = TreeReader::open(log, size, root).unwrap();
    for pick in picks {
        let index = pick % size;
        let proof = reader.inclusion_proof(index).unwrap();
        let theirs = oracle.prove_inclusion(index as usize);
        assert_eq!(proof, hashes(theirs.as_bytes()), "entry {index} of {size}");
        verify_inclusion(leaf(index), index, size, &proof, root).unwrap();

        let old = index + 1;
        let proof = reader.consistency_proof(old).unwrap();
        let theirs = oracle.prove_consistency((size - old) as usize);
        assert_eq!(proof, hashes(theirs.as_bytes()), "tree {old} to {size}");
        let old_root = root_from_tiles(log, old).unwrap();
        verify_consistency(old, old_root, size, root, &proof).unwrap();
    }
}

#[test]
fn roots_and_proofs_are_the_oracles_at_every_change_of_shape() {
    let log = Log::of_size(*SIZES.last().unwrap());
    let mut oracle = Oracle::new();
    for size in SIZES {
        (oracle.len()..size).for_each(|index| oracle.push(entry(index)));
        let edges = [0, 1, 254, 255, 256, 257, 65_534, 65_535, size - 1, size - 2 % size, size / 2];
        let spread = (1..8).map(|i| size * i / 8);
        check(&log, &oracle, &edges.into_iter().chain(spread).collect::<Vec<_>>());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn roots_and_proofs_are_the_oracles(size in 1..3_000_u64, picks in prop::collection::vec(any::<u64>(), 8)) {
        let log = Log::of_size(size);
        let mut oracle = Oracle::new();
        (0..size).for_each(|index| oracle.push(entry(index)));
        prop_assert_eq!(log.frontier.root(), root_from_tiles(&log, size).unwrap());
        check(&log, &oracle, &picks);
    }

    #[test]
    fn appending_in_any_batches_yields_the_same_rows(cuts in prop::collection::vec(0..700_usize, 1..6)) {
        let mut log = Log::default();
        let mut from = 0;
        for cut in cuts {
            let batch: Vec<_> = (from..from + cut as u64).map(leaf).collect();
            let before = log.frontier.clone();
            let ahead = completed_tile_hashes(&before, &batch).unwrap();
            prop_assert_eq!(&ahead, &before.clone().append_all(&batch).unwrap());
            log.append(&batch);
            from += cut as u64;
        }
        let whole = Log::of_size(from);
        prop_assert_eq!(&whole.frontier, &log.frontier);
        let rows = |log: &Log| log.levels.values().flatten().copied().collect::<Vec<_>>();
        prop_assert_eq!(rows(&whole), rows(&log));
    }

    #[test]
    fn trees_up_to_the_last_index_prove_and_verify(size in big(), a in any::<u64>(), b in any::<u64>()) {
        let root = root_from_tiles(&Uniform, size).unwrap();
        let index = a % size;
        let proof = inclusion_proof(&Uniform, index, size).unwrap();
        verify_inclusion(leaf(0), index, size, &proof, root).unwrap();
        let old = b % size + 1;
        let proof = consistency_proof(&Uniform, old, size).unwrap();
        prop_assert!(proof.len() <= MAX_PROOF_HASHES);
        let old_root = root_from_tiles(&Uniform, old).unwrap();
        verify_consistency(old, old_root, size, root, &proof).unwrap();

        let mut frontier = TreeReader::at_size(&Uniform, size - 1).unwrap().frontier().clone();
        prop_assert_eq!(frontier.append(leaf(0)).unwrap(), size - 1);
        prop_assert_eq!(frontier.root(), root);
        let reader = TreeReader::at_size(&Uniform, size).unwrap();
        prop_assert_eq!(&frontier, reader.frontier());
    }
}

/// Sizes near powers of two up to 2^64 - 1.
fn big() -> impl Strategy<Value = u64> {
    (1..=64_u32, -2..=2_i64).prop_map(|(height, off)| {
        let power = 1_u64.checked_shl(height).unwrap_or(0);
        power.wrapping_add_signed(off).max(1)
    })
}

/// The vectors of Google's Certificate Transparency code, which the RFC's authors wrote.
#[test]
fn roots_of_the_certificate_transparency_vectors() {
    let entries: [&[u8]; 8] = [
        b"",
        b"\x00",
        b"\x10",
        b"\x20\x21",
        b"\x30\x31",
        b"\x40\x41\x42\x43",
        b"\x50\x51\x52\x53\x54\x55\x56\x57",
        b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
    ];
    let roots = [
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];
    let mut frontier = Frontier::new();
    let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    assert_eq!(format!("{:?}", frontier.root()), empty);
    assert_eq!(tile_root(&[]), empty_root());
    for (entry, root) in entries.into_iter().zip(roots) {
        frontier.append(leaf_hash(entry)).unwrap();
        assert_eq!(format!("{:?}", frontier.root()), root);
    }
}

#[test]
fn a_tile_root_is_the_root_of_its_tree() {
    let mut frontier = Frontier::new();
    let mut leaves = Vec::new();
    for index in 0..256 {
        frontier.append(leaf(index)).unwrap();
        leaves.push(leaf(index));
        assert_eq!(tile_root(&leaves), frontier.root());
    }
}

#[test]
fn stored_frontiers_are_checked_and_the_last_leaf_is_the_last() {
    let frontier = Log::of_size(5).frontier;
    let parts = Frontier::from_parts(frontier.size(), frontier.hashes().to_vec());
    assert_eq!(parts.unwrap(), frontier);
    for (size, count) in [(0, 1), (5, 1), (5, 3), (8, 0), (u64::MAX, 63)] {
        let refused = Frontier::from_parts(size, vec![leaf(0); count]);
        assert_eq!(refused, Err(Error::FrontierShape { size, found: count }));
    }

    let mut full = Frontier::from_parts(u64::MAX, vec![leaf(0); 64]).unwrap();
    let before = full.clone();
    assert_eq!(full.append(leaf(1)), Err(Error::LogFull));
    let mut almost = Frontier::from_parts(u64::MAX - 1, vec![leaf(0); 63]).unwrap();
    let unchanged = almost.clone();
    assert_eq!(almost.append_all(&[leaf(1), leaf(2)]), Err(Error::LogFull));
    assert_eq!((full, almost), (before, unchanged));
}

#[test]
fn hashes_have_one_spelling() {
    let text = empty_root().to_string();
    assert_eq!(text, "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
    assert_eq!(text.parse::<Hash>().unwrap(), empty_root());
    for wrong in [
        "",
        "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU",
        "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFV=",
        "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU=",
        " 47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
        "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuA==",
    ] {
        assert!(wrong.parse::<Hash>().is_err(), "{wrong}");
    }
    assert!(Hash::try_from([0; 31].as_slice()).is_err());
}
