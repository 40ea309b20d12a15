use proptest::prelude::*;

use super::support::*;
use crate::*;

fn path(level: u8, index: u64, width: u16) -> TilePath {
    TilePath::Hashes(TileId::new(level, index, width).unwrap())
}

#[test]
fn paths_as_the_specification_spells_them() {
    for (parsed, text) in [
        (path(0, 0, 256), "tile/0/000"),
        (path(0, 1_234_067, 256), "tile/0/x001/x234/067"),
        (path(1, 999, 17), "tile/1/999.p/17"),
        (path(63, 1_000, 255), "tile/63/x001/000.p/255"),
        (path(0, u64::MAX, 1), "tile/0/x018/x446/x744/x073/x709/x551/615.p/1"),
        (TilePath::Entries(TileId::new(0, 273, 112).unwrap()), "tile/entries/273.p/112"),
        (TilePath::Entries(TileId::new(0, 1_000_000, 256).unwrap()), "tile/entries/x001/x000/000"),
    ] {
        assert_eq!(parsed.to_string(), text);
        assert_eq!(text.parse::<TilePath>().unwrap(), parsed);
    }
}

#[test]
fn other_spellings_are_refused() {
    for wrong in [
        "",
        "tile",
        "tile/0",
        "tile/0/",
        "/tile/0/000",
        "tile/0/0",
        "tile/0/0000",
        "tile/00/000",
        "tile/64/000",
        "tile/+1/000",
        "tile/-1/000",
        "tile/data/000",
        "tile/0/x000/001",
        "tile/0/001/002",
        "tile/0/x001",
        "tile/0/x001/x002",
        "tile/0/xx01/002",
        "tile/0/000/",
        "tile/0/+00",
        "tile/0/000.p/0",
        "tile/0/000.p/256",
        "tile/0/000.p/01",
        "tile/0/000.p/",
        "tile/0/000.p",
        "tile/0/000.p/1/",
        "tile/0/x018/x446/x744/x073/x709/x551/616",
        "tile/0/x999/x999/x999/x999/x999/x999/999",
        "tile/entries/000.p/256",
    ] {
        assert!(wrong.parse::<TilePath>().is_err(), "{wrong}");
    }
    assert!(
        TileId::new(64, 0, 1).is_err() && TileId::new(0, 0, 0).is_err() && TileId::new(0, 0, 257).is_err()
    );
}

proptest! {
    #[test]
    fn paths_come_back(level in 0..=63_u8, index in any::<u64>(), width in 1..=256_u16) {
        let path = path(level, index, width);
        prop_assert_eq!(path.to_string().parse::<TilePath>().unwrap(), path);
    }

    #[test]
    fn what_parses_is_the_only_spelling(text in "tile/(entries|[0-9]{1,2})/(x?[0-9]{2,3}/?){1,3}(\\.p/[0-9]{1,3})?") {
        if let Ok(path) = text.parse::<TilePath>() {
            prop_assert_eq!(path.to_string(), text);
        }
    }

    #[test]
    fn bundles_come_back_and_hold_nothing_else(entries in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..=256), other in any::<u16>()) {
        let bundle = encode_bundle(&entries).unwrap();
        let width = entries.len() as u16;
        prop_assert_eq!(decode_bundle(&bundle, width).unwrap(), entries);
        prop_assert!(other == width || decode_bundle(&bundle, other).is_err());
        let longer = [bundle.as_slice(), b"\0"].concat();
        prop_assert!(decode_bundle(&longer, width).is_err());
        if let [shorter @ .., _] = bundle.as_slice() {
            prop_assert!(decode_bundle(shorter, width).is_err());
        }
    }
}

#[test]
fn bundles_have_limits() {
    let longest = vec![7; MAX_ENTRY_BYTES];
    let bundle = encode_bundle(&[&longest]).unwrap();
    assert_eq!(bundle.get(..3), Some([0xff, 0xff, 7].as_slice()));
    assert_eq!(decode_bundle(&bundle, 1).unwrap(), [longest]);
    assert_eq!(encode_bundle(&[vec![0; 65_536]]), Err(Error::EntryTooLong { bytes: 65_536 }));
    assert!(matches!(encode_bundle(&vec![b""; 257]), Err(Error::TooLarge { .. })));
    assert_eq!(encode_bundle(&[b"ab".as_slice(), b""]).unwrap(), [0, 2, b'a', b'b', 0, 0]);
}

#[test]
fn tiles_are_hashes_side_by_side() {
    let tile: Vec<_> = (0..256).map(leaf).collect();
    let bytes = encode_tile(&tile);
    assert_eq!(bytes.len(), 8_192);
    assert_eq!(decode_tile(&bytes, 256).unwrap(), tile);
    assert!(decode_tile(&bytes, 255).is_err() && decode_tile(&bytes[1..], 256).is_err());
}
