//! SHA-256 with a purpose in front, so that a digest made for one thing never passes for another.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};

use crate::Malformed;

/// A SHA-256 digest over a purpose line and bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

/// What a digest is of; the purpose's line stands before the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// An action record's canonical bytes.
    Action,
    /// An evaluation's canonical bytes.
    Evaluation,
    /// What a reviewer was shown.
    Displayed,
    /// A target's or tool's definition.
    Definition,
    /// A policy set's text.
    Policy,
    /// A result's bytes.
    Result,
    /// A segment of activity records.
    Segment,
    /// A reviewer's statement: what their passkey was challenged with.
    Statement,
}

impl Purpose {
    fn line(self) -> &'static [u8] {
        match self {
            Self::Action => b"countersign/action/v1\n",
            Self::Evaluation => b"countersign/evaluation/v1\n",
            Self::Displayed => b"countersign/displayed/v1\n",
            Self::Definition => b"countersign/definition/v1\n",
            Self::Policy => b"countersign/policy/v1\n",
            Self::Result => b"countersign/result/v1\n",
            Self::Segment => b"countersign/segment/v1\n",
            Self::Statement => b"countersign/approval-statement/v1\n",
        }
    }
}

impl Digest {
    /// The digest of `bytes` for a purpose.
    #[must_use]
    pub fn of(purpose: Purpose, bytes: &[u8]) -> Self {
        let mut running = Running::new(purpose);
        running.update(bytes);
        running.finish()
    }

    /// The digest's bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// A digest from stored bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The first eight hexadecimal digits, for people to compare by eye; never for a machine.
    #[must_use]
    pub fn short(&self) -> String {
        self.0.iter().take(4).map(|b| format!("{b:02x}")).collect()
    }
}

/// A digest over bytes that arrive in pieces.
#[derive(Debug, Clone)]
pub struct Running(Sha256);

impl Running {
    /// Starts a digest for a purpose.
    #[must_use]
    pub fn new(purpose: Purpose) -> Self {
        Self(Sha256::new_with_prefix(purpose.line()))
    }

    /// Adds the next piece.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest of all pieces.
    #[must_use]
    pub fn finish(self) -> Digest {
        Digest(self.0.finalize().into())
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

impl std::str::FromStr for Digest {
    type Err = Malformed;
    fn from_str(text: &str) -> Result<Self, Malformed> {
        let bytes = URL_SAFE_NO_PAD
            .decode(text)
            .map_err(|_| Malformed::value("digest", text, "43 characters of base64url are expected"))?;
        let array = <[u8; 32]>::try_from(bytes)
            .map_err(|_| Malformed::value("digest", text, "32 bytes in base64url are expected"))?;
        Ok(Self(array))
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Bytes that a record carries as base64url without padding.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Blob(pub Vec<u8>);

impl fmt::Debug for Blob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Blob({} bytes)", self.0.len())
    }
}

impl Serialize for Blob {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&URL_SAFE_NO_PAD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Blob {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        URL_SAFE_NO_PAD.decode(&text).map(Self).map_err(serde::de::Error::custom)
    }
}
