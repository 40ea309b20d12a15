//! Cosignatures (C2SP `tlog-cosignature`): a witness's statement that, at a time, a checkpoint was
//! the largest that it had seen of a log, and that it extends all that it had seen before. Who asks
//! for a quorum of them need not trust the log to show everybody the same history.
//!
//! Of the two signature types Ed25519 (`0x04`, "cosignature/v1") is made and checked. ML-DSA-44
//! (`0x06`) is recognised, and its signatures are ignored as those of any unknown key.

use std::fmt;
use std::str::FromStr;

use ed25519_dalek::{Signer as _, SigningKey, VerifyingKey};

use crate::key::{LineKey, Vkey, signed, usable, write_vkey};
use crate::{Error, KeyId, KeyName, NoteSignature, SignError, SignedCheckpoint};

/// The signature type byte of cosignature/v1.
const COSIGNATURE_V1: u8 = 0x04;

/// The signature type byte of ML-DSA-44 cosignatures.
const ML_DSA_44: u8 = 0x06;

/// An ML-DSA-44 public key's length in bytes (FIPS 204).
const ML_DSA_44_BYTES: usize = 1_312;

/// A cosignature as it was checked: whose it is, and which time it states.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cosignature<'k> {
    /// The witness's key.
    pub key: &'k WitnessKey,
    /// When the witness says that it cosigned.
    pub time: CosignatureTime,
}

impl SignedCheckpoint {
    /// The cosignatures by known witnesses, each key once and in the note's order; there may be
    /// none. Lines by other keys are ignored. Of several good ones by one key the latest time
    /// counts, since each is a statement of its own.
    ///
    /// # Errors
    /// [`Error::BadSignature`] for one bad line under a known key's name and id: it spoils the
    /// whole note (C2SP `signed-note`); [`Error::AmbiguousKey`].
    pub fn cosignatures<'k>(&self, known: &'k [WitnessKey]) -> Result<Vec<Cosignature<'k>>, Error> {
        let mut found: Vec<Cosignature<'k>> = Vec::new();
        for (key, line) in self.note().signed_by(known)? {
            let time = line.cosignature_time().ok_or_else(|| bad(key))?;
            match found.iter_mut().find(|other| other.key == key) {
                Some(other) => other.time = other.time.max(time),
                None => found.push(Cosignature { key, time }),
            }
        }
        Ok(found)
    }

    /// Adds a cosignature by a known witness, in place of an older one of the same key, and returns
    /// its time.
    ///
    /// # Errors
    /// [`Error::BadSignature`] unless that key made it over this checkpoint; [`Error::TooLarge`] if
    /// the note has no room. The checkpoint is unchanged.
    pub fn attach(&mut self, line: &NoteSignature, key: &WitnessKey) -> Result<CosignatureTime, Error> {
        let text = self.note().text().as_bytes();
        let checked = line.claims(key) && key.verifies(text, line.payload());
        let time = line.cosignature_time().filter(|_| checked).ok_or_else(|| bad(key))?;
        let mut note = self.note().clone();
        note.retain(|other| !other.claims(key));
        note.add_signature(line.clone())?;
        self.replace_note(note);
        Ok(time)
    }
}

impl NoteSignature {
    /// The time that the line states if it is a cosignature/v1. Checked nowhere here.
    pub(crate) fn cosignature_time(&self) -> Option<CosignatureTime> {
        split_payload(self.payload()).map(|(time, _)| time)
    }
}

fn bad(key: &WitnessKey) -> Error {
    Error::BadSignature { name: key.name.to_string(), id: key.id }
}

/// A time in a cosignature: seconds since the Unix epoch, at most 2^63 - 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CosignatureTime(u64);

impl CosignatureTime {
    /// A time in seconds since the Unix epoch.
    ///
    /// # Errors
    /// [`Error::Malformed`] over 2^63 - 1, the format's limit.
    pub fn new(seconds: u64) -> Result<Self, Error> {
        Self::in_range(seconds).ok_or_else(|| {
            Error::malformed("cosignature time", &seconds.to_string(), "expected seconds below 2^63")
        })
    }

    /// Seconds since the Unix epoch.
    #[must_use]
    pub fn seconds(self) -> u64 {
        self.0
    }

    fn in_range(seconds: u64) -> Option<Self> {
        i64::try_from(seconds).is_ok().then_some(Self(seconds))
    }
}

impl fmt::Display for CosignatureTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A witness's public key under its name, of type cosignature/v1:
/// `name+hex(keyID)+base64(0x04 ‖ key)`. A type of its own, so that no log's key passes as a
/// witness's, and none the other way round.
#[derive(Clone, PartialEq, Eq)]
pub struct WitnessKey {
    name: KeyName,
    id: KeyId,
    key: VerifyingKey,
}

impl WitnessKey {
    /// A key from its 32 public bytes (RFC 8032).
    ///
    /// # Errors
    /// [`Error::Malformed`] if the bytes are not a point of the curve, or a small-order one.
    pub fn new(name: KeyName, public: &[u8; 32]) -> Result<Self, Error> {
        let key = usable(&name, public)?;
        Ok(Self::of(name, key))
    }

    /// The key's name.
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
        let id = KeyId::of(&name, COSIGNATURE_V1, key.as_bytes());
        Self { name, id, key }
    }
}

impl LineKey for WitnessKey {
    fn name(&self) -> &KeyName {
        &self.name
    }

    fn id(&self) -> KeyId {
        self.id
    }

    fn verifies(&self, text: &[u8], payload: &[u8]) -> bool {
        split_payload(payload)
            .is_some_and(|(time, signature)| signed(&self.key, &message(time, text), signature))
    }
}

impl fmt::Display for WitnessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_vkey(f, &self.name, self.id, COSIGNATURE_V1, self.key.as_bytes())
    }
}

impl fmt::Debug for WitnessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WitnessKey({self})")
    }
}

impl FromStr for WitnessKey {
    type Err = Error;

    /// Reads a key of type `0x04` in its only spelling.
    fn from_str(text: &str) -> Result<Self, Error> {
        match text.parse()? {
            CosignerKey::Ed25519(key) => Ok(key),
            CosignerKey::MlDsa44 { name, .. } => {
                let why = "only Ed25519 cosigners' keys (type 0x04) are read";
                Err(Error::malformed("witness key", name.as_str(), why))
            }
        }
    }
}

/// A witness's key of either type. One of the second kind is known by name only: its cosignatures
/// are ignored, so a quorum that needs it is never met here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CosignerKey {
    /// Type `0x04`, which is checked.
    Ed25519(WitnessKey),
    /// Type `0x06`, which is not.
    MlDsa44 {
        /// The key's name.
        name: KeyName,
        /// The key's id.
        id: KeyId,
        /// The key's 1,312 bytes, as they were given.
        public: Vec<u8>,
    },
}

impl CosignerKey {
    /// The key's name.
    #[must_use]
    pub fn name(&self) -> &KeyName {
        match self {
            Self::Ed25519(key) => &key.name,
            Self::MlDsa44 { name, .. } => name,
        }
    }

    /// The key's id.
    #[must_use]
    pub fn id(&self) -> KeyId {
        match self {
            Self::Ed25519(key) => key.id,
            Self::MlDsa44 { id, .. } => *id,
        }
    }

    /// The key, where its cosignatures can be checked.
    #[must_use]
    pub fn readable(&self) -> Option<&WitnessKey> {
        match self {
            Self::Ed25519(key) => Some(key),
            Self::MlDsa44 { .. } => None,
        }
    }

    pub(crate) fn public(&self) -> &[u8] {
        match self {
            Self::Ed25519(key) => key.key.as_bytes(),
            Self::MlDsa44 { public, .. } => public,
        }
    }
}

impl FromStr for CosignerKey {
    type Err = Error;

    /// Reads a key of type `0x04` or `0x06` in its only spelling.
    fn from_str(text: &str) -> Result<Self, Error> {
        let Vkey { name, id, kind, public } = text.parse()?;
        match kind {
            COSIGNATURE_V1 => usable(&name, &public).map(|key| Self::Ed25519(WitnessKey::of(name, key))),
            ML_DSA_44 if public.len() == ML_DSA_44_BYTES => Ok(Self::MlDsa44 { name, id, public }),
            ML_DSA_44 => Err(Error::malformed("witness key", name.as_str(), "expected a key of 1,312 bytes")),
            _ => {
                let why = "expected a cosigner's key (type 0x04 or 0x06)";
                Err(Error::malformed("witness key", name.as_str(), why))
            }
        }
    }
}

/// A witness's signing key held in memory. Dropping it wipes the secret; printing it shows the
/// public half.
pub struct WitnessSigner {
    key: WitnessKey,
    secret: SigningKey,
}

impl WitnessSigner {
    /// A signer from 32 secret bytes (an RFC 8032 seed). The caller wipes its own copy. The message
    /// that is signed does not hold the name, so one secret must serve one witness only.
    #[must_use]
    pub fn new(name: KeyName, secret: &[u8; 32]) -> Self {
        let secret = SigningKey::from_bytes(secret);
        Self { key: WitnessKey::of(name, secret.verifying_key()), secret }
    }

    /// The public half.
    #[must_use]
    pub fn key(&self) -> &WitnessKey {
        &self.key
    }

    /// Cosigns a checkpoint whose log's signature was checked. Whoever calls this has made sure that
    /// it extends every checkpoint of that log cosigned before, and that no later time was used.
    ///
    /// # Errors
    /// [`Error::Sign`]: a time of zero means "none", which a witness must not say.
    pub fn cosign(
        &self,
        checkpoint: &SignedCheckpoint,
        time: CosignatureTime,
    ) -> Result<NoteSignature, Error> {
        if time.0 == 0 {
            return Err(SignError::new("the clock says 1970").into());
        }
        let message = message(time, checkpoint.note().text().as_bytes());
        let signature = self.secret.try_sign(&message).map_err(SignError::new)?;
        let payload = [time.0.to_be_bytes().as_slice(), &signature.to_bytes()].concat();
        Ok(NoteSignature::new(self.key.name.clone(), self.key.id, payload))
    }
}

impl fmt::Debug for WitnessSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WitnessSigner").field("key", &self.key).finish_non_exhaustive()
    }
}

/// `cosignature/v1\ntime N\n` and the checkpoint's text.
fn message(time: CosignatureTime, text: &[u8]) -> Vec<u8> {
    [format!("cosignature/v1\ntime {time}\n").as_bytes(), text].concat()
}

/// `timestamped_signature`: the time, 64 bits, big-endian, and the signature.
fn split_payload(payload: &[u8]) -> Option<(CosignatureTime, &[u8])> {
    let (time, signature) = payload.split_first_chunk::<8>()?;
    Some((CosignatureTime::in_range(u64::from_be_bytes(*time))?, signature))
}
