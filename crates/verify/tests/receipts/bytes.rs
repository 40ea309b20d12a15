//! Every byte of a receipt counts.

use domain::canonical;
use domain::statement::Verdict;
use proptest::prelude::*;
use verify::verify_receipt;

use crate::scene::*;

/// The smallest receipt of an action that ran.
fn small() -> Vec<u8> {
    let mut scene = Scene::of(draft(1, "prod"), requirement(&[(1, "dba")]));
    scene.enrol(ALICE);
    scene.join(ALICE, "dba");
    scene.request();
    scene.review(ALICE, Verdict::Approve);
    scene.redeem(&[ALICE]);
    scene.finish();
    let bytes = canonical::write(&scene.receipt()).unwrap();
    assert_eq!(verify_receipt(&bytes, &trust()).verdict, verify::Verdict::Valid);
    bytes
}

/// What may be changed: the case of the letters of the approval's id outside of any hash, which names the same id.
fn means_the_same(before: &[u8], at: usize, bit: u8) -> bool {
    let id = br#""approval":""#;
    let start = before.windows(id.len()).position(|window| window == id).unwrap() + id.len();
    bit == 5 && (start..start + 36).contains(&at) && before[at].is_ascii_alphabetic()
}

#[test]
fn every_byte_of_a_receipt_counts() {
    let bytes = small();
    let honest = verify_receipt(&bytes, &trust());
    // Each byte in two ways: the bit that turns the case of a letter, and each of the others in turn.
    for at in 0..bytes.len() {
        for bit in [5, [0, 1, 2, 3, 4, 6, 7][at % 7]] {
            let mut changed = bytes.clone();
            changed[at] ^= 1 << bit;
            let report = verify_receipt(&changed, &trust());
            if means_the_same(&bytes, at, bit) {
                assert_eq!(report, honest);
            } else {
                assert_eq!(report.verdict, verify::Verdict::Invalid, "byte {at}, bit {bit}");
            }
        }
    }
}

#[test]
fn a_receipt_that_is_cut_short_is_refused() {
    let bytes = small();
    for end in (0..bytes.len()).step_by(7).chain([bytes.len() - 1]) {
        assert_eq!(verify_receipt(&bytes[..end], &trust()).verdict, verify::Verdict::Invalid);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_verified_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert_eq!(verify_receipt(&bytes, &trust()).verdict, verify::Verdict::Invalid);
    }

    #[test]
    fn bytes_that_are_cut_out_or_put_in_are_found(at in any::<prop::sample::Index>(), length in 1..40_usize, more in ".{0,8}") {
        let bytes = small();
        let start = at.index(bytes.len() - length);
        let changed = [&bytes[..start], more.as_bytes(), &bytes[start + length..]].concat();
        prop_assume!(changed != bytes);
        prop_assert_eq!(verify_receipt(&changed, &trust()).verdict, verify::Verdict::Invalid);
    }
}
