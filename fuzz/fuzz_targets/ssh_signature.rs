//! An SSH key or signature from outside: no panic, a key that is read has one encoding, and nothing made up passes.
#![no_main]

use assertion::{
    MAX_SSH_SIGNATURE_BYTES, STATEMENT_NAMESPACE, SshPublicKey, check_ssh_signature, claimed_key, dearmor,
    enarmor,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(key) = SshPublicKey::from_bytes(bytes) {
        assert_eq!(key.as_bytes(), bytes);
        assert_eq!(SshPublicKey::from_line(&key.to_string()).as_ref(), Ok(&key));
    }
    if let Ok(key) = claimed_key(bytes).and_then(|key| SshPublicKey::from_bytes(&key)) {
        let message = b"a message that no seed was signed over";
        assert!(check_ssh_signature(&key, STATEMENT_NAMESPACE, message, bytes).is_err());
    }
    let signature = std::str::from_utf8(bytes).ok().and_then(|text| dearmor(text).ok());
    if let Some(signature) = signature.filter(|signature| signature.len() <= MAX_SSH_SIGNATURE_BYTES) {
        assert_eq!(dearmor(&enarmor(&signature)), Ok(signature));
    }
});
