//! What the authenticator says: whom it signed for, what it knows of its user, and at registration the
//! new credential.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::base64url;
use crate::cbor;
use crate::limits::{MAX_AUTHENTICATOR_DATA_BYTES, MAX_CREDENTIAL_ID_BYTES};
use crate::public_key::PublicKey;
use crate::refusal::Refusal;

/// Authenticator data (WebAuthn Level 3 §6.1), read to its last byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthenticatorData {
    /// SHA-256 of the relying party id that the authenticator signed for.
    pub rp_id_hash: [u8; 32],
    /// What the authenticator says of its user and of the credential.
    pub flags: Flags,
    /// The signature counter, in signatures; 0 for ever if the authenticator keeps none, as synced
    /// passkeys do.
    pub counter: u32,
    /// The new credential, at registration.
    pub attested: Option<AttestedCredential>,
}

/// The attested credential data of a registration (WebAuthn Level 3 §6.5.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttestedCredential {
    /// The authenticator's model. A claim: we do not ask for an attestation that would prove it.
    pub aaguid: Aaguid,
    /// The id that the authenticator chose.
    pub credential_id: CredentialId,
    /// The key whose signatures the credential makes.
    pub public_key: PublicKey,
}

impl AuthenticatorData {
    /// Reads authenticator data, at most [`MAX_AUTHENTICATOR_DATA_BYTES`] bytes (WebAuthn Level 3 §6.1,
    /// §6.5.1). Extension outputs must be a strict CBOR map with text keys and are then passed over: we
    /// ask for none and believe none. Bytes that the flags do not announce are refused.
    ///
    /// # Errors
    ///
    /// [`Refusal::AuthenticatorDataTooLong`], [`Refusal::AuthenticatorDataTruncated`],
    /// [`Refusal::AuthenticatorDataTrailing`], [`Refusal::CredentialIdLength`],
    /// [`Refusal::ExtensionsMalformed`], or what [`PublicKey::from_cose`] refuses.
    pub fn parse(bytes: &[u8]) -> Result<Self, Refusal> {
        if bytes.len() > MAX_AUTHENTICATOR_DATA_BYTES {
            return Err(Refusal::AuthenticatorDataTooLong { bytes: bytes.len() });
        }
        let (rp_id_hash, rest) = take::<32>(bytes)?;
        let ([flags], rest) = take::<1>(rest)?;
        let (counter, rest) = take::<4>(rest)?;
        let flags = Flags(flags);

        let (attested, rest) = if flags.attested() {
            let (attested, rest) = AttestedCredential::parse(rest)?;
            (Some(attested), rest)
        } else {
            (None, rest)
        };
        let rest = if flags.extensions() { skip_extensions(rest)? } else { rest };
        if !rest.is_empty() {
            return Err(Refusal::AuthenticatorDataTrailing { bytes: rest.len() });
        }
        Ok(Self { rp_id_hash, flags, counter: u32::from_be_bytes(counter), attested })
    }
}

impl AttestedCredential {
    fn parse(bytes: &[u8]) -> Result<(Self, &[u8]), Refusal> {
        let (aaguid, rest) = take::<16>(bytes)?;
        let (length, rest) = take::<2>(rest)?;
        let length = usize::from(u16::from_be_bytes(length));
        let (id, rest) = rest.split_at_checked(length).ok_or(Refusal::AuthenticatorDataTruncated)?;
        let key = cbor::read(rest).ok_or(Refusal::PublicKeyMalformed { reason: "it is not strict CBOR" })?;
        let attested = Self {
            aaguid: Aaguid(aaguid),
            credential_id: CredentialId::new(id.to_vec())?,
            public_key: PublicKey::from_cose(key.bytes)?,
        };
        Ok((attested, key.rest))
    }
}

fn skip_extensions(bytes: &[u8]) -> Result<&[u8], Refusal> {
    let item = cbor::read(bytes).ok_or(Refusal::ExtensionsMalformed)?;
    let keyed_by_text =
        item.value.as_map().is_some_and(|outputs| outputs.iter().all(|(key, _)| key.is_text()));
    if keyed_by_text { Ok(item.rest) } else { Err(Refusal::ExtensionsMalformed) }
}

fn take<const N: usize>(bytes: &[u8]) -> Result<([u8; N], &[u8]), Refusal> {
    let (head, rest) = bytes.split_first_chunk().ok_or(Refusal::AuthenticatorDataTruncated)?;
    Ok((*head, rest))
}

/// The flags of authenticator data (WebAuthn Level 3 §6.1). The two reserved bits are not judged:
/// checks that refused reserved bits broke when the backup bits came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flags(u8);

impl Flags {
    pub(crate) fn new(bits: u8) -> Self {
        Self(bits)
    }

    /// UP, bit 0: somebody was present.
    #[must_use]
    pub fn user_present(self) -> bool {
        self.bit(0)
    }

    /// UV, bit 2: the authenticator verified who.
    #[must_use]
    pub fn user_verified(self) -> bool {
        self.bit(2)
    }

    /// BE, bit 3: the credential may be backed up, so it may live on several devices.
    #[must_use]
    pub fn backup_eligible(self) -> bool {
        self.bit(3)
    }

    /// BS, bit 4: the credential is backed up now.
    #[must_use]
    pub fn backed_up(self) -> bool {
        self.bit(4)
    }

    /// AT, bit 6: attested credential data follows.
    #[must_use]
    pub fn attested(self) -> bool {
        self.bit(6)
    }

    /// ED, bit 7: extension outputs follow.
    #[must_use]
    pub fn extensions(self) -> bool {
        self.bit(7)
    }

    fn bit(self, index: u8) -> bool {
        self.0 & (1 << index) != 0
    }
}

/// A credential id: 1 to [`MAX_CREDENTIAL_ID_BYTES`] bytes that the authenticator chose. In text and in
/// records it is base64url without padding. No signature covers it in an assertion: it only finds the key.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CredentialId(Vec<u8>);

impl CredentialId {
    /// Takes the bytes of an id.
    ///
    /// # Errors
    ///
    /// [`Refusal::CredentialIdLength`] if there are none or too many.
    pub fn new(bytes: Vec<u8>) -> Result<Self, Refusal> {
        if bytes.is_empty() || bytes.len() > MAX_CREDENTIAL_ID_BYTES {
            return Err(Refusal::CredentialIdLength { bytes: bytes.len() });
        }
        Ok(Self(bytes))
    }

    /// The bytes of the id.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for CredentialId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&base64url::encode(&self.0))
    }
}

impl fmt::Debug for CredentialId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "CredentialId({self})")
    }
}

impl Serialize for CredentialId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        base64url::serialize(&self.0, serializer)
    }
}

impl<'de> Deserialize<'de> for CredentialId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(base64url::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

/// The model of an authenticator (AAGUID, WebAuthn Level 3 §6.5.1), printed as a UUID. All zero where
/// the authenticator or the browser keeps it to itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Aaguid(pub [u8; 16]);

impl fmt::Display for Aaguid {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, byte) in self.0.iter().enumerate() {
            if matches!(index, 4 | 6 | 8 | 10) {
                formatter.write_str("-")?;
            }
            write!(formatter, "{byte:02x}")?;
        }
        Ok(())
    }
}
