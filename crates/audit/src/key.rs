//! Keys that sign notes (C2SP `signed-note`). The secret half may live in a file today and in a key
//! service tomorrow, so signing is a port ([`NoteSigner`]); checking needs the public half only.

use std::fmt;
use std::str::FromStr;

use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use sha2::{Digest as _, Sha256};

use crate::text::{from_base64, to_base64};
use crate::{Error, SignError};

/// The longest key name, in bytes. C2SP sets no limit.
pub const MAX_KEY_NAME_BYTES: usize = 255;

/// The signature type byte of plain Ed25519 (C2SP `signed-note`, "Signature types").
const ED25519: u8 = 0x01;

/// Custody of a signing key: in memory now, in a key service later.
///
/// Contract: `sign` returns an Ed25519 signature (RFC 8032) over exactly `body` by the key that
/// `verifier` names; the caller checks it. A key that cannot be reached is an error, never a wait
/// without end: an implementation that calls a service has its own named time limit.
pub trait NoteSigner: Send + Sync {
    /// The public half of the key.
    fn verifier(&self) -> &VerifierKey;

    /// Signs a note's text.
    ///
    /// # Errors
    /// [`SignError`], with a reason that names no secret.
    fn sign(&self, body: &[u8]) -> Result<[u8; 64], SignError>;
}

/// A public key under a name: `name+hex(keyID)+base64(type ‖ key)` (C2SP `signed-note`). Of the
/// signature types only Ed25519 (`0x01`) is read.
#[derive(Clone, PartialEq, Eq)]
pub struct VerifierKey {
    name: KeyName,
    id: KeyId,
    key: VerifyingKey,
}

/// A key's name, recommended to be a URL without its scheme. Not empty, at most
/// [`MAX_KEY_NAME_BYTES`], without white space, control characters and `+`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyName(String);

/// A key's short id, `SHA256(name ‖ 0x0A ‖ type ‖ key)[:4]`. It finds a key; it proves nothing.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId([u8; 4]);

/// A signing key held in memory. Dropping it wipes the secret; printing it shows the public half.
pub struct Ed25519Signer {
    verifier: VerifierKey,
    secret: SigningKey,
}

impl VerifierKey {
    /// A key from its 32 public bytes (RFC 8032).
    ///
    /// # Errors
    /// [`Error::Malformed`] if the bytes are not a point of the curve, or a small-order one, for
    /// which anybody can make signatures.
    pub fn new(name: KeyName, public: &[u8; 32]) -> Result<Self, Error> {
        let key = usable(&name, public)?;
        Ok(Self::of(name, key))
    }

    /// The key's name; for a log's key, the origin of its checkpoints.
    #[must_use]
    pub fn name(&self) -> &KeyName {
        &self.name
    }

    /// The key's id.
    #[must_use]
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// The key's 32 bytes.
    #[must_use]
    pub fn public_bytes(&self) -> [u8; 32] {
        self.key.to_bytes()
    }

    fn of(name: KeyName, key: VerifyingKey) -> Self {
        let id = KeyId::of(&name, ED25519, key.as_bytes());
        Self { name, id, key }
    }
}

impl LineKey for VerifierKey {
    fn name(&self) -> &KeyName {
        &self.name
    }

    fn id(&self) -> KeyId {
        self.id
    }

    fn verifies(&self, text: &[u8], payload: &[u8]) -> bool {
        signed(&self.key, text, payload)
    }
}

/// A key that can stand under a note, of whatever signature type.
pub(crate) trait LineKey: PartialEq {
    fn name(&self) -> &KeyName;

    fn id(&self) -> KeyId;

    /// Whether this key made the payload of a signature line over a note's text.
    fn verifies(&self, text: &[u8], payload: &[u8]) -> bool;
}

/// The point that 32 public bytes encode, unless it has a small order, for which anybody can sign.
pub(crate) fn usable(name: &KeyName, public: &[u8]) -> Result<VerifyingKey, Error> {
    let malformed = |why| Error::malformed("verifier key", &name.0, why);
    let public = public.try_into().map_err(|_| malformed("expected a key of 32 bytes"))?;
    let key = VerifyingKey::from_bytes(public).ok().filter(|key| !key.is_weak());
    key.ok_or_else(|| malformed("its 32 bytes are no usable Ed25519 public key"))
}

/// Whether the key made the signature. `verify_strict` also refuses small-order components.
pub(crate) fn signed(key: &VerifyingKey, body: &[u8], signature: &[u8]) -> bool {
    Signature::from_slice(signature).is_ok_and(|signature| key.verify_strict(body, &signature).is_ok())
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_vkey(f, &self.name, self.id, ED25519, self.key.as_bytes())
    }
}

impl fmt::Debug for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerifierKey({self})")
    }
}

impl FromStr for VerifierKey {
    type Err = Error;

    /// Reads a key in its only spelling; the id must be the one that the name and key hash to.
    fn from_str(text: &str) -> Result<Self, Error> {
        let Vkey { name, kind, public, .. } = text.parse()?;
        if kind != ED25519 {
            let why = "only Ed25519 keys (type 0x01) are read";
            return Err(Error::malformed("verifier key", &name.0, why));
        }
        let key = usable(&name, &public)?;
        Ok(Self::of(name, key))
    }
}

/// The parts of a verifier key of any signature type whose id is hashed as `signed-note`
/// recommends.
pub(crate) struct Vkey {
    pub(crate) name: KeyName,
    pub(crate) id: KeyId,
    pub(crate) kind: u8,
    pub(crate) public: Vec<u8>,
}

impl FromStr for Vkey {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        // Only the name is repeated in errors: a secret key pasted here by mistake stays unsaid.
        let (name, rest) = text.split_once('+').unwrap_or_default();
        let malformed = |why| Error::malformed("verifier key", name, why);
        let shape = || malformed("expected name+hex(key id)+base64(type and key)");
        let (spelled, encoded) = rest.split_once('+').ok_or_else(shape)?;
        let encoded = from_base64(encoded).ok_or_else(shape)?;
        let (kind, public) = encoded.split_first().ok_or_else(shape)?;
        let name: KeyName = name.parse()?;
        let id = KeyId::of(&name, *kind, public);
        if id.to_string() != spelled {
            return Err(malformed("its key id does not belong to its name and key"));
        }
        Ok(Self { name, id, kind: *kind, public: public.to_vec() })
    }
}

pub(crate) fn write_vkey(
    f: &mut fmt::Formatter<'_>,
    name: &KeyName,
    id: KeyId,
    kind: u8,
    public: &[u8],
) -> fmt::Result {
    write!(f, "{name}+{id}+{}", to_base64(&[&[kind], public].concat()))
}

impl KeyName {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for KeyName {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        let forbidden = |c: char| c == '+' || c.is_whitespace() || c.is_control();
        if name.is_empty() || name.len() > MAX_KEY_NAME_BYTES || name.contains(forbidden) {
            let why = "expected 1 to 255 bytes without white space, control characters and `+`";
            return Err(Error::malformed("key name", name, why));
        }
        Ok(Self(name.to_owned()))
    }
}

impl KeyId {
    /// An id from a signature's first four bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 4]) -> Self {
        Self(bytes)
    }

    /// The id's four bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 4] {
        &self.0
    }

    pub(crate) fn of(name: &KeyName, kind: u8, key: &[u8]) -> Self {
        let digest = Sha256::new().chain_update(&name.0).chain_update([b'\n', kind]);
        let [a, b, c, d, ..] = <[u8; 32]>::from(digest.chain_update(key).finalize());
        Self([a, b, c, d])
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", u32::from_be_bytes(self.0))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}

impl Ed25519Signer {
    /// A signer from 32 secret bytes (an RFC 8032 seed). The caller wipes its own copy.
    #[must_use]
    pub fn new(name: KeyName, secret: &[u8; 32]) -> Self {
        let secret = SigningKey::from_bytes(secret);
        Self { verifier: VerifierKey::of(name, secret.verifying_key()), secret }
    }
}

impl NoteSigner for Ed25519Signer {
    fn verifier(&self) -> &VerifierKey {
        &self.verifier
    }

    fn sign(&self, body: &[u8]) -> Result<[u8; 64], SignError> {
        let signature = self.secret.try_sign(body).map_err(SignError::new)?;
        Ok(signature.to_bytes())
    }
}

impl fmt::Debug for Ed25519Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ed25519Signer").field("verifier", &self.verifier).finish_non_exhaustive()
    }
}
