//! What a witness is asked, and what it answers: requests are written back byte for byte, and nothing that our log
//! did not sign is cosigned.
#![no_main]

use std::sync::LazyLock;

use audit::witness::{AddCheckpoint, Answer, TrustedLogs, Witnessed};
use audit::{CosignatureTime, Ed25519Signer, NoteSigner as _};
use libfuzzer_sys::fuzz_target;

static LOGS: LazyLock<TrustedLogs> = LazyLock::new(|| {
    let name = "vectors.example/rust".parse().expect("a name");
    TrustedLogs::new([Ed25519Signer::new(name, &[0x5a; 32]).verifier().clone()])
});

fuzz_target!(|bytes: &[u8]| {
    for (status, kind) in [(200, None), (409, Some("text/x.tlog.size")), (422, None)] {
        if let Ok(answer) = Answer::parse(status, kind, bytes) {
            assert_eq!(answer.status(), status);
            assert!(status == 422 || answer.body().as_bytes() == bytes);
        }
    }
    let Ok(request) = AddCheckpoint::parse(bytes) else { return };
    assert_eq!(request.to_string().as_bytes(), bytes);
    let now = CosignatureTime::new(1_800_000_000).expect("a time");
    let refusal = Witnessed::consider(None, &request, &LOGS, now).expect_err("nobody signed it");
    assert!((400..500).contains(&refusal.status()));
});
