//! The retry key: by it an identical call finds the approval that stands.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::digest::Digest;
use crate::principal::Chain;

/// A keyed HMAC over principal, chain, target and payload. It lives in the store only: without the
/// key nobody can test whether a guessed payload is the one that waits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RetryKey([u8; 32]);

impl std::fmt::Debug for RetryKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RetryKey(..)")
    }
}

impl RetryKey {
    /// The key of a call. `parts` are the payload's and parameters' exact bytes with their paths, in
    /// order; `idempotency` tells two intended identical calls apart.
    #[must_use]
    pub fn new(
        key: &[u8; 32],
        chain: &Chain,
        target: &str,
        definition: &Digest,
        parts: &[(&str, &[u8])],
        idempotency: Option<&str>,
    ) -> Self {
        // HMAC pads a key to its 64-byte block with zeros (RFC 2104); done here it cannot fail.
        let mut block = [0; 64];
        for (to, from) in block.iter_mut().zip(key) {
            *to = *from;
        }
        let mut mac = Hmac::<Sha256>::new(&block.into());
        let mut add = |bytes: &[u8]| {
            mac.update(&(bytes.len() as u64).to_be_bytes());
            mac.update(bytes);
        };
        add(b"countersign/retry/v1");
        add(chain.caller.to_string().as_bytes());
        for link in &chain.behind {
            add(link.party.to_string().as_bytes());
        }
        add(target.as_bytes());
        add(definition.as_bytes());
        for (path, value) in parts {
            add(path.as_bytes());
            add(value);
        }
        match idempotency {
            Some(key) => {
                add(b"idempotency-key");
                add(key.as_bytes());
            }
            None => add(b"none"),
        }
        Self(mac.finalize().into_bytes().into())
    }

    /// The key's bytes, for the store.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}
