//! The detectors of secrets and personal data: no bytes make them panic, what they mask is masked whole, and what they
//! show holds nothing that they would mask. The first byte chooses the name of the field.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use mask::{Masker, Rules};

static MASKERS: LazyLock<[Masker; 2]> = LazyLock::new(|| {
    let rules: Rules = serde_json::from_str(
        r#"{"names":["customer"],"paths":["/a/*"],"patterns":[{"name":"case","regex":"CASE-[0-9]+"}],"on":["ip"]}"#,
    )
    .expect("rules");
    [Masker::default(), Masker::new(&rules).expect("rules")]
});

const NAMES: [Option<&str>; 4] = [None, Some("authorization"), Some("note"), Some("customer")];

fuzz_target!(|bytes: &[u8]| {
    let Some((first, text)) = bytes.split_first() else { return };
    for masker in MASKERS.iter() {
        let masked = masker.mask(NAMES[usize::from(first & 3)], text);
        assert!(masked.findings().iter().all(|found| found.range.end <= text.len() && !found.range.is_empty()));
        assert!(masked.findings().windows(2).all(|two| two[0].range.end <= two[1].range.start));
        if masked.is_masked() {
            let shown = masked.bytes();
            let again = masker.mask(NAMES[usize::from(first & 3)], &shown);
            assert_eq!(again.bytes(), shown, "what is shown is masked already");
        } else {
            assert_eq!(masked.bytes(), text);
        }
    }
});
