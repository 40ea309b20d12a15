//! Every byte of a bundle counts.

use proptest::prelude::*;
use verify::{Trust, Verdict, verify_bundle};

use crate::vectors::{small_cases, small_period};

fn verdict(bytes: &[u8]) -> Verdict {
    verify_bundle(bytes, &crate::scene::trust(), |_| {}).verdict
}

#[test]
fn every_byte_of_a_bundle_counts() {
    for bytes in [small_cases(), small_period()] {
        assert_eq!(verdict(&bytes), Verdict::Valid);
        for at in 0..bytes.len() {
            let (mut changed, bit) = (bytes.clone(), at % 8);
            changed[at] ^= 1 << bit;
            assert_eq!(verdict(&changed), Verdict::Invalid, "byte {at}, bit {bit}");
        }
    }
}

#[test]
fn a_bundle_that_is_cut_short_or_goes_on_is_refused() {
    let bytes = small_period();
    for end in (0..bytes.len()).step_by(11) {
        assert_eq!(verdict(&bytes[..end]), Verdict::Invalid, "cut at {end}");
    }
    for more in [&[0][..], &[0; 512], b"x"] {
        assert_eq!(verdict(&[bytes.as_slice(), more].concat()), Verdict::Invalid);
    }
}

#[test]
fn nothing_of_an_invalid_bundle_is_told() {
    let mut bytes = small_cases();
    let at = bytes.len() / 2;
    bytes[at] ^= 1;
    let report = verify_bundle(bytes.as_slice(), &crate::scene::trust(), |_| {});
    assert!(report.contents.is_none() && !report.reasons.is_empty());
    let other =
        Trust::in_log(audit::NoteSigner::verifier(&crate::scene::log_key("other.example/log", 1)).clone());
    assert_eq!(verify_bundle(small_cases().as_slice(), &other, |_| {}).verdict, Verdict::Invalid);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_verified_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..3_000)) {
        prop_assert_eq!(verdict(&bytes), Verdict::Invalid);
    }

    #[test]
    fn bytes_that_are_cut_out_or_put_in_are_found(at in any::<prop::sample::Index>(), length in 1..700_usize, more in ".{0,8}") {
        let bytes = small_cases();
        let start = at.index(bytes.len() - length);
        let changed = [&bytes[..start], more.as_bytes(), &bytes[start + length..]].concat();
        prop_assume!(changed != bytes);
        prop_assert_eq!(verdict(&changed), Verdict::Invalid);
    }
}
