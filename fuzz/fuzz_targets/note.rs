//! A signed note, as a checkpoint or not: what parses is written back byte for byte, and no key of ours is found
//! under what we did not sign.
#![no_main]

use std::sync::LazyLock;

use audit::{Checkpoint, Ed25519Signer, Note, NoteSigner as _, SignedCheckpoint, VerifierKey, WitnessSigner};
use libfuzzer_sys::fuzz_target;

/// The key of a log that is named as the seeds' is, with another secret.
static KEY: LazyLock<VerifierKey> = LazyLock::new(|| {
    let name = "vectors.example/rust".parse().expect("a name");
    Ed25519Signer::new(name, &[0x5a; 32]).verifier().clone()
});

/// What the library itself signs, for cosignature lines to stand under.
static CHECKPOINT: LazyLock<SignedCheckpoint> = LazyLock::new(|| {
    let name = "vectors.example/rust".parse().expect("a name");
    let signer = Ed25519Signer::new(name, &[0x5b; 32]);
    let tree = Checkpoint::new("vectors.example/rust", 0, audit::empty_root(), vec![]).expect("a checkpoint");
    tree.sign(&[&signer]).expect("signed")
});

fuzz_target!(|bytes: &[u8]| {
    let Ok(note) = Note::parse(bytes) else { return };
    assert_eq!(note.to_string().as_bytes(), bytes);
    assert!(note.verify(std::slice::from_ref(&*KEY)).is_err());
    if let Ok(checkpoint) = note.text().parse::<Checkpoint>() {
        assert_eq!(checkpoint.to_string(), note.text());
    }
    let witness = WitnessSigner::new("witness.example/w1".parse().expect("a name"), &[0x5c; 32]);
    let mut checkpoint = CHECKPOINT.clone();
    for line in note.signatures().iter().take(3) {
        assert!(checkpoint.attach(line, witness.key()).is_err());
    }
    assert_eq!(checkpoint, *CHECKPOINT);
});
