//! A one-time enrolment link. The vault keeps the invite under the hash of the token in the link; whoever
//! takes it out enrols one passkey for its person.

use std::fmt;

use domain::Malformed;
use domain::canonical;
use domain::id::PersonId;
use domain::principal::Principal;
use domain::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::error::IdentityError;
use crate::limits::{INVITE_LIFETIME, SECRET_BYTES};
use crate::secret::Secret;

/// An invite. Look it up to show the page and to draw the challenge; take it out when the passkey is
/// enrolled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Invite {
    /// The version of this record: 1.
    pub v: u8,
    /// For whom.
    pub person: PersonId,
    /// When it was made.
    pub created: Timestamp,
    /// Who made it; nobody at bootstrap.
    pub by: Option<Principal>,
}

impl Invite {
    /// An invite, made now.
    #[must_use]
    pub fn new(person: PersonId, by: Option<Principal>, now: Timestamp) -> Self {
        Self { v: 1, person, created: now, by }
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
    /// Bytes that are no invite; [`IdentityError::Expired`] where the vault kept it too long.
    pub fn read(bytes: &[u8], now: Timestamp) -> Result<Self, IdentityError> {
        let invite: Self =
            canonical::read(bytes).map_err(|why| IdentityError::Stored { what: "invite", why })?;
        if invite.v != 1 {
            return Err(IdentityError::unreadable("invite", "version 1 is expected"));
        }
        if invite.is_live(now) { Ok(invite) } else { Err(IdentityError::Expired("invite")) }
    }

    /// Whether it is still good: made within [`INVITE_LIFETIME`].
    #[must_use]
    pub fn is_live(&self, now: Timestamp) -> bool {
        now < self.created.after(INVITE_LIFETIME)
    }
}

/// What the link carries. Printing it says nothing of it.
#[derive(Clone, PartialEq, Eq)]
pub struct InviteToken(Secret);

impl InviteToken {
    /// A token for a new invite.
    #[must_use]
    pub fn new(random: [u8; SECRET_BYTES]) -> Self {
        Self(Secret::new(random))
    }

    /// Reads what [`InviteToken::expose`] wrote, and nothing else.
    ///
    /// # Errors
    /// [`IdentityError::Unreadable`].
    pub fn read(text: &str) -> Result<Self, IdentityError> {
        Secret::read(text)
            .map(Self)
            .ok_or_else(|| IdentityError::unreadable("invite", "43 characters of base64url are expected"))
    }

    /// The token itself, for the link.
    #[must_use]
    pub fn expose(&self) -> String {
        self.0.expose()
    }

    /// The vault's key of its invite.
    #[must_use]
    pub fn vault_key(&self) -> String {
        format!("invite/{}", self.0.fingerprint())
    }
}

impl fmt::Debug for InviteToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InviteToken(..)")
    }
}
