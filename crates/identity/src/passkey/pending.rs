//! A challenge that was drawn and waits for its passkey. It is good once: whoever takes it out of the
//! vault has spent it, whatever the check then says.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::Malformed;
use domain::canonical;
use domain::digest::Blob;
use domain::id::PersonId;
use domain::time::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::response::challenge_of;
use crate::error::IdentityError;
use crate::limits::{PASSKEY_CHALLENGE_LIFETIME, SECRET_BYTES};

/// A challenge, and what it was drawn for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pending {
    /// The version of this record: 1.
    pub v: u8,
    /// What for.
    pub ceremony: Ceremony,
    /// 32 random bytes.
    pub challenge: Blob,
    /// When it was drawn.
    pub created: Timestamp,
}

/// What a challenge was drawn for; an answer to one is no answer to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Ceremony {
    /// A new passkey for a person: who holds an invite, or is signed in and stepped up.
    Enrol {
        /// For whom.
        person: PersonId,
    },
    /// Somebody signs in; the passkey says who.
    Login {},
    /// Somebody who is signed in uses a passkey again.
    StepUp {
        /// Who.
        person: PersonId,
    },
}

impl Pending {
    /// A challenge from bytes that the edge drew.
    #[must_use]
    pub fn new(ceremony: Ceremony, now: Timestamp, random: [u8; SECRET_BYTES]) -> Self {
        Self { v: 1, ceremony, challenge: Blob(random.to_vec()), created: now }
    }

    /// The vault's key, for [`PASSKEY_CHALLENGE_LIFETIME`].
    #[must_use]
    pub fn vault_key(&self) -> String {
        vault_key(&self.challenge.0)
    }

    /// The vault's key of the challenge that a browser's answer, to either call, says that it answers.
    ///
    /// # Errors
    /// [`IdentityError::Unreadable`], [`IdentityError::TooLarge`].
    pub fn vault_key_of(response: &[u8]) -> Result<String, IdentityError> {
        Ok(vault_key(&challenge_of(response)?))
    }

    /// The bytes for the vault.
    ///
    /// # Errors
    /// None in practice: what canonical JSON refuses does not occur here.
    pub fn write(&self) -> Result<Vec<u8>, Malformed> {
        canonical::write(self)
    }

    /// Reads what the vault kept.
    ///
    /// # Errors
    /// Bytes that are no challenge of ours.
    pub fn read(bytes: &[u8]) -> Result<Self, IdentityError> {
        let pending: Self =
            canonical::read(bytes).map_err(|why| IdentityError::Stored { what: "challenge", why })?;
        if pending.v != 1 || pending.challenge.0.len() != SECRET_BYTES {
            return Err(IdentityError::unreadable("challenge", "version 1 with 32 bytes is expected"));
        }
        Ok(pending)
    }

    pub(super) fn check_time(&self, now: Timestamp) -> Result<(), IdentityError> {
        if now < self.created.after(PASSKEY_CHALLENGE_LIFETIME) {
            return Ok(());
        }
        Err(IdentityError::Expired("challenge"))
    }
}

fn vault_key(challenge: &[u8]) -> String {
    format!("challenge/{}", URL_SAFE_NO_PAD.encode(Sha256::digest(challenge)))
}
