//! A proof file: what parses is written back byte for byte, and proves nothing to whoever trusts no key.
#![no_main]

use audit::{Policy, TlogProof, leaf_hash};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(proof) = TlogProof::parse(bytes) else { return };
    assert_eq!(proof.to_string().as_bytes(), bytes);
    assert!(proof.verify(leaf_hash(bytes), &[]).is_err());
    let policy = Policy::parse(b"quorum none\n").expect("a policy");
    let origin = proof.checkpoint().text().lines().next().unwrap_or_default().to_owned();
    assert!(proof.verify_by(leaf_hash(bytes), &policy, &origin).is_err());
});
