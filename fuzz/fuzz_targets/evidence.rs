//! A receipt or bundle from anybody: no panic, and nothing that is no longer what the log's key signed is called valid.
//! The seeds are valid under the key that they are held against, so the way in is open; the same bytes under another log's
//! key are not valid whatever they are.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use verify::{Trust, Verdict, verify_file};

static TRUST: LazyLock<Trust> = LazyLock::new(|| {
    Trust::read(include_bytes!("../../tests/verify/frozen/cases-two.trust")).expect("a trust file")
});

static STRANGER: LazyLock<Trust> = LazyLock::new(|| {
    let name = "stranger.example/log".parse().expect("a name");
    let signer = audit::Ed25519Signer::new(name, &[0x5a; 32]);
    Trust::in_log(audit::NoteSigner::verifier(&signer).clone())
});

fuzz_target!(|bytes: &[u8]| {
    let verified = verify_file(bytes, &TRUST, 10).expect("memory is read");
    if verified.verdict() == Verdict::Invalid {
        return;
    }
    let again = verify_file(bytes, &TRUST, 10).expect("memory is read");
    assert_eq!(again.verdict(), verified.verdict());
    let stranger = verify_file(bytes, &STRANGER, 10).expect("memory is read");
    assert_eq!(stranger.verdict(), Verdict::Invalid);
});
