//! A human's session: in the console's cookie or in the command line's keeping.
//!
//! The holder has `<person>.<32 random bytes>`; the vault has the session, sealed, under
//! `session/<person>/<hash>`. So the key follows from the token, the token does not follow from the key,
//! and all sessions of a person are forgotten by one prefix.

use std::fmt;

use domain::Malformed;
use domain::canonical;
use domain::digest::Blob;
use domain::id::PersonId;
use domain::time::{Span, Timestamp};
use serde::{Deserialize, Serialize};

use crate::error::IdentityError;
use crate::limits::{SECRET_BYTES, SESSION_ABSOLUTE, SESSION_IDLE, STEP_UP_FRESHNESS};
use crate::passkey::Login;
use crate::secret::Secret;

/// A session, as the vault keeps it. [`crate::chain_of_session`] says who it is at each request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Session {
    /// The version of this record: 1.
    pub v: u8,
    /// Whose.
    pub person: PersonId,
    /// Where it is carried.
    pub kind: SessionKind,
    /// The credential id of the passkey that opened it; the session ends when that is revoked.
    pub key: Blob,
    /// When it was opened.
    pub created: Timestamp,
    /// When its person last used a passkey for it.
    pub last_seen: Timestamp,
    /// When its person last used a passkey.
    pub authenticated_at: Timestamp,
    /// What a form of the console carries beside the cookie.
    pub csrf: Secret,
}

/// Where a session is carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SessionKind {
    /// In a browser's cookie.
    Console,
    /// By the command line, as a bearer's token.
    Cli,
}

impl Session {
    /// Opens a session for somebody who has just signed in. `csrf` is drawn for it.
    #[must_use]
    pub fn open(login: &Login, kind: SessionKind, csrf: [u8; SECRET_BYTES]) -> Self {
        let now = login.at();
        Self {
            v: 1,
            person: login.person(),
            kind,
            key: login.key().clone(),
            created: now,
            last_seen: now,
            authenticated_at: now,
            csrf: Secret::new(csrf),
        }
    }

    /// The bytes for the vault.
    ///
    /// # Errors
    /// None in practice: what canonical JSON refuses does not occur here.
    pub fn write(&self) -> Result<Vec<u8>, Malformed> {
        canonical::write(self)
    }

    /// Reads what the vault kept under a token's key.
    ///
    /// # Errors
    /// Bytes that are no session, or another person's.
    pub fn read(bytes: &[u8], token: &SessionToken) -> Result<Self, IdentityError> {
        let session: Self =
            canonical::read(bytes).map_err(|why| IdentityError::Stored { what: "session", why })?;
        if session.person != token.person {
            return Err(IdentityError::OtherPerson);
        }
        if session.v != 1 {
            return Err(IdentityError::unreadable("session", "version 1 is expected"));
        }
        Ok(session)
    }

    /// Whether it still lives: its passkey used within [`SESSION_IDLE`], and opened within [`SESSION_ABSOLUTE`].
    #[must_use]
    pub fn is_live(&self, now: Timestamp) -> bool {
        now < self.ends()
    }

    /// When it ends if its person uses no passkey again.
    #[must_use]
    pub fn ends(&self) -> Timestamp {
        self.last_seen.after(SESSION_IDLE).min(self.created.after(SESSION_ABSOLUTE))
    }

    /// For how long the vault is to keep it; at least a second.
    #[must_use]
    pub fn lifetime(&self, now: Timestamp) -> Span {
        Span::from_seconds(self.ends().since(now).as_secs().max(1))
    }

    /// Whether its person has used a passkey within [`STEP_UP_FRESHNESS`].
    ///
    /// The command line's session can be fresh too ([`Session::for_cli`]), and whatever runs as its human can
    /// read its token, an agent too: what makes somebody stronger than they were (another passkey, say) asks
    /// for [`SessionKind::Console`] besides.
    #[must_use]
    pub fn is_stepped_up(&self, now: Timestamp) -> bool {
        self.is_live(now) && now < self.authenticated_at.after(STEP_UP_FRESHNESS)
    }

    /// The same human's session for the command line, which they let in just now: it ends when this one
    /// would, is as fresh as this one is, and shares no secret with it.
    #[must_use]
    pub fn for_cli(&self) -> Self {
        Self { kind: SessionKind::Cli, csrf: self.csrf.derived(b"countersign/cli/v1\n"), ..self.clone() }
    }

    /// The session after its person has used a passkey again.
    ///
    /// # Errors
    /// [`IdentityError::OtherPerson`] where somebody else did.
    pub fn step_up(&self, login: &Login) -> Result<Self, IdentityError> {
        if login.person() != self.person {
            return Err(IdentityError::OtherPerson);
        }
        let (last_seen, authenticated_at) = (self.last_seen.max(login.at()), login.at());
        Ok(Self { last_seen, authenticated_at, ..self.clone() })
    }
}

/// What the holder of a session carries. Printing it says whose it is and no more.
#[derive(Clone, PartialEq, Eq)]
pub struct SessionToken {
    person: PersonId,
    secret: Secret,
}

impl SessionToken {
    /// A token for a new session.
    #[must_use]
    pub fn new(person: PersonId, random: [u8; SECRET_BYTES]) -> Self {
        Self { person, secret: Secret::new(random) }
    }

    /// Reads what [`SessionToken::expose`] wrote, and nothing else. It proves nothing until the vault
    /// has the session.
    ///
    /// # Errors
    /// [`IdentityError::Unreadable`].
    pub fn read(text: &str) -> Result<Self, IdentityError> {
        let bad = || IdentityError::unreadable("session token", "`<person>.<secret>` is expected");
        let (person, secret) = text.split_once('.').ok_or_else(bad)?;
        let id: PersonId = person.parse().map_err(|_| bad())?;
        if id.to_string() != person {
            return Err(bad());
        }
        Ok(Self { person: id, secret: Secret::read(secret).ok_or_else(bad)? })
    }

    /// The token itself: for the cookie, or for the command line's keeping.
    #[must_use]
    pub fn expose(&self) -> String {
        format!("{}.{}", self.person, self.secret.expose())
    }

    /// Whose session it claims to be.
    #[must_use]
    pub fn person(&self) -> PersonId {
        self.person
    }

    /// The vault's key of its session.
    #[must_use]
    pub fn vault_key(&self) -> String {
        format!("{}{}", Self::prefix(self.person), self.secret.fingerprint())
    }

    /// With what the vault's keys of all sessions of a person begin.
    #[must_use]
    pub fn prefix(person: PersonId) -> String {
        format!("session/{person}/")
    }
}

impl fmt::Debug for SessionToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionToken({}, ..)", self.person)
    }
}
