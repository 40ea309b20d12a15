//! The hashes of RFC 6962 §2.1. Leaf and node carry different first bytes, so that no entry can be
//! passed off as an inner node (a second preimage of the whole tree).

use std::fmt;
use std::str::FromStr;

use sha2::{Digest as _, Sha256};

use crate::{Error, text};

/// A SHA-256 hash of a leaf, an inner node or a whole tree. Shown and read as standard base64.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash([u8; Hash::BYTES]);

/// The hash of an entry as a leaf: `SHA256(0x00 ‖ entry)` (RFC 6962 §2.1).
///
/// Takes an entry of any length; one that is to be served in a bundle has at most
/// [`MAX_ENTRY_BYTES`](crate::MAX_ENTRY_BYTES).
#[must_use]
pub fn leaf_hash(entry: &[u8]) -> Hash {
    Hash(Sha256::new().chain_update([0x00]).chain_update(entry).finalize().into())
}

/// The hash of an inner node: `SHA256(0x01 ‖ left ‖ right)` (RFC 6962 §2.1).
#[must_use]
pub fn node_hash(left: Hash, right: Hash) -> Hash {
    let digest = Sha256::new().chain_update([0x01]).chain_update(left.0).chain_update(right.0);
    Hash(digest.finalize().into())
}

/// The root of the tree without leaves: `SHA256("")` (RFC 6962 §2.1).
#[must_use]
pub fn empty_root() -> Hash {
    Hash(Sha256::digest(b"").into())
}

impl Hash {
    /// A hash's length in bytes.
    pub const BYTES: usize = 32;

    /// A hash from stored bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; Self::BYTES]) -> Self {
        Self(bytes)
    }

    /// The hash's bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; Self::BYTES] {
        &self.0
    }
}

impl TryFrom<&[u8]> for Hash {
    type Error = Error;

    /// A hash from a stored slice; any length but 32 bytes is refused.
    fn try_from(bytes: &[u8]) -> Result<Self, Error> {
        bytes.try_into().map(Self).map_err(|_| Error::malformed_bytes("hash", bytes, "expected 32 bytes"))
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&text::to_base64(&self.0))
    }
}

impl FromStr for Hash {
    type Err = Error;

    /// Canonical standard base64 of 32 bytes, nothing else.
    fn from_str(text: &str) -> Result<Self, Error> {
        text::from_base64(text)
            .and_then(|bytes| bytes.try_into().ok())
            .map(Self)
            .ok_or_else(|| Error::malformed("hash", text, "expected canonical base64 of 32 bytes"))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
