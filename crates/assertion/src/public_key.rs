//! A credential's public key, and its signatures.

use std::fmt;

use ciborium::Value;
use p256::ecdsa::signature::Verifier as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::base64url;
use crate::cbor;
use crate::refusal::Refusal;

/// The COSE algorithms that a credential may use, in order of preference: what `pubKeyCredParams`
/// offers the browser. -7 is ES256 over P-256, -8 is EdDSA over Ed25519 (WebAuthn Level 3 §5.8.5).
pub const ALGORITHMS: [i64; 2] = [ES256, EDDSA];

const ES256: i64 = -7;
const EDDSA: i64 = -8;

/// A credential's public key: a point on its curve, never a weak one. In records it is the base64url of
/// its COSE encoding.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum PublicKey {
    /// ECDSA over P-256 with SHA-256, signatures in DER.
    Es256(Es256Key),
    /// Ed25519.
    EdDsa(EdDsaKey),
}

/// A point on P-256.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Es256Key {
    key: p256::ecdsa::VerifyingKey,
    x: [u8; 32],
    y: [u8; 32],
}

/// A point on Ed25519, canonically encoded, not of small order.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct EdDsaKey(ed25519_dalek::VerifyingKey);

impl PublicKey {
    /// Reads a COSE key (RFC 9052 §7, RFC 9053 §7; WebAuthn Level 3 §6.5.1.1). Each key has exactly one
    /// accepted encoding, the CTAP2 canonical one without optional parameters: 77 bytes for ES256, 42 for
    /// EdDSA.
    ///
    /// # Errors
    ///
    /// [`Refusal::AlgorithmNotAllowed`] for another algorithm; [`Refusal::PublicKeyMalformed`] if `kty`,
    /// `alg` and `crv` disagree, a coordinate has another length than 32 bytes, the point is not on its
    /// curve or is weak, or the encoding is not the canonical one.
    pub fn from_cose(bytes: &[u8]) -> Result<Self, Refusal> {
        let item = cbor::read(bytes).ok_or_else(|| malformed("it is not strict CBOR"))?;
        let entries = item.value.as_map().ok_or_else(|| malformed("it is not a CBOR map"))?;
        let algorithm = integer(entries, 3).ok_or_else(|| malformed("`alg` is missing"))?;
        let key = if algorithm == i128::from(ES256) {
            Self::Es256(Es256Key::from_entries(entries)?)
        } else if algorithm == i128::from(EDDSA) {
            Self::EdDsa(EdDsaKey::from_entries(entries)?)
        } else {
            return Err(Refusal::AlgorithmNotAllowed { algorithm });
        };
        if key.to_cose() != bytes {
            return Err(malformed("it is not the canonical encoding, alone"));
        }
        Ok(key)
    }

    /// A point on P-256, uncompressed (SEC 1 §2.3.3): 65 bytes.
    pub(crate) fn p256(point: &[u8]) -> Result<Self, Refusal> {
        let length = || malformed("its point is not 65 bytes, uncompressed");
        let (tag, coordinates) = point.split_first_chunk::<1>().ok_or_else(length)?;
        let (x, y) = coordinates.split_first_chunk::<32>().ok_or_else(length)?;
        let y = <[u8; 32]>::try_from(y).map_err(|_| length())?;
        if *tag != [0x04] {
            return Err(length());
        }
        Es256Key::new(*x, y).map(Self::Es256)
    }

    /// A point on Ed25519 (RFC 8032 §5.1.2): 32 bytes.
    pub(crate) fn ed25519(point: &[u8]) -> Result<Self, Refusal> {
        let point = point.try_into().map_err(|_| malformed("its point is not 32 bytes"))?;
        EdDsaKey::new(point).map(Self::EdDsa)
    }

    /// The one COSE encoding of this key (CTAP2 canonical CBOR).
    #[must_use]
    pub fn to_cose(&self) -> Vec<u8> {
        match self {
            // {1: 2 (EC2), 3: -7 (ES256), -1: 1 (P-256), -2: x, -3: y}
            Self::Es256(Es256Key { x, y, .. }) => [
                [0xa5, 0x01, 0x02, 0x03, 0x26, 0x20, 0x01, 0x21, 0x58, 0x20].as_slice(),
                x,
                &[0x22, 0x58, 0x20],
                y,
            ]
            .concat(),
            // {1: 1 (OKP), 3: -8 (EdDSA), -1: 6 (Ed25519), -2: x}
            Self::EdDsa(EdDsaKey(key)) => {
                [[0xa4, 0x01, 0x01, 0x03, 0x27, 0x20, 0x06, 0x21, 0x58, 0x20].as_slice(), key.as_bytes()]
                    .concat()
            }
        }
    }

    /// The COSE algorithm identifier of this key, one of [`ALGORITHMS`].
    #[must_use]
    pub fn algorithm(&self) -> i64 {
        match self {
            Self::Es256(_) => ES256,
            Self::EdDsa(_) => EDDSA,
        }
    }

    /// Verifies `signature` over `message` (WebAuthn Level 3 §6.5.5).
    ///
    /// ES256: strict DER (RFC 3279 §2.2.3) over SHA-256 of the message. A high `s` is accepted, because
    /// about half of all authenticators' signatures have one and no WebAuthn text forbids it. So two
    /// signatures can stand for one act: never tell acts apart by their signature, but by the nonce
    /// in their challenge.
    ///
    /// EdDSA: RFC 8032 with the strict rules (canonical `s`, no small-order point, no cofactor), so that
    /// every verifier agrees.
    ///
    /// # Errors
    ///
    /// [`Refusal::SignatureMalformed`] or [`Refusal::SignatureMismatch`].
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), Refusal> {
        match self {
            Self::Es256(Es256Key { key, .. }) => {
                let signature =
                    p256::ecdsa::Signature::from_der(signature).map_err(|_| Refusal::SignatureMalformed)?;
                key.verify(message, &signature).map_err(|_| Refusal::SignatureMismatch)
            }
            Self::EdDsa(EdDsaKey(key)) => {
                let signature = ed25519_dalek::Signature::from_slice(signature)
                    .map_err(|_| Refusal::SignatureMalformed)?;
                key.verify_strict(message, &signature).map_err(|_| Refusal::SignatureMismatch)
            }
        }
    }
}

impl Es256Key {
    fn from_entries(entries: &[(Value, Value)]) -> Result<Self, Refusal> {
        if integer(entries, 1) != Some(2) || integer(entries, -1) != Some(1) {
            return Err(malformed("ES256 needs `kty` EC2 and `crv` P-256"));
        }
        Self::new(coordinate(entries, -2)?, coordinate(entries, -3)?)
    }

    fn new(x: [u8; 32], y: [u8; 32]) -> Result<Self, Refusal> {
        let uncompressed = [[0x04].as_slice(), &x, &y].concat();
        let key = p256::ecdsa::VerifyingKey::from_sec1_bytes(&uncompressed)
            .map_err(|_| malformed("its point is not on P-256"))?;
        Ok(Self { key, x, y })
    }
}

impl EdDsaKey {
    fn from_entries(entries: &[(Value, Value)]) -> Result<Self, Refusal> {
        if integer(entries, 1) != Some(1) || integer(entries, -1) != Some(6) {
            return Err(malformed("EdDSA needs `kty` OKP and `crv` Ed25519"));
        }
        Self::new(coordinate(entries, -2)?)
    }

    fn new(point: [u8; 32]) -> Result<Self, Refusal> {
        let key = ed25519_dalek::VerifyingKey::from_bytes(&point)
            .map_err(|_| malformed("its point is not on Ed25519"))?;
        if key.is_weak() || key.to_edwards().compress().to_bytes() != point {
            return Err(malformed("its point is weak or not canonically encoded"));
        }
        Ok(Self(key))
    }
}

fn integer(entries: &[(Value, Value)], label: i64) -> Option<i128> {
    find(entries, label)?.as_integer().map(i128::from)
}

fn coordinate(entries: &[(Value, Value)], label: i64) -> Result<[u8; 32], Refusal> {
    find(entries, label)
        .and_then(Value::as_bytes)
        .and_then(|bytes| bytes.as_slice().try_into().ok())
        .ok_or_else(|| malformed("a coordinate is not a string of 32 bytes"))
}

/// The value under a label; `cbor::read` has seen to it that there is at most one.
fn find(entries: &[(Value, Value)], label: i64) -> Option<&Value> {
    let label = Value::from(label);
    entries.iter().find(|(key, _)| *key == label).map(|(_, value)| value)
}

fn malformed(reason: &'static str) -> Refusal {
    Refusal::PublicKeyMalformed { reason }
}

/// The COSE bytes in base64url, as in records: the points of the curve say nothing to a reader.
impl fmt::Debug for PublicKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "PublicKey({})", base64url::encode(&self.to_cose()))
    }
}

impl Serialize for PublicKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        base64url::serialize(&self.to_cose(), serializer)
    }
}

impl<'de> Deserialize<'de> for PublicKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_cose(&base64url::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}
