//! A human proves a passkey: enrolment and sign-in.
//!
//! Both are one ceremony: draw a challenge ([`Pending`]) and keep it in the vault, hand the options to
//! the browser, take the challenge out again when the browser answers, check. What the browser gives and
//! takes is the JSON of WebAuthn Level 3 §5.1 (`toJSON()`, `parseCreationOptionsFromJSON()`).

mod options;
mod pending;
mod response;

use assertion::{
    ClientData, CredentialId, PublicKey, RelyingParty, UserVerification, check_assertion, check_registration,
};
use domain::digest::Blob;
use domain::directory::{Directory, Passkey};
use domain::id::PersonId;
use domain::time::Timestamp;

use crate::chain::chain_of_person;
use crate::error::IdentityError;
use response::{Assertion, Registration};

pub use pending::{Ceremony, Pending};
pub use response::review_proof;

/// What the checks look at: who is known, whom a passkey must have signed for, and what time it is.
#[derive(Debug, Clone, Copy)]
pub struct Passkeys<'a> {
    /// The directory as it stands.
    pub directory: &'a Directory,
    /// Whom a passkey must have signed for.
    pub relying_party: &'a RelyingParty,
    /// The time.
    pub now: Timestamp,
}

impl Passkeys<'_> {
    /// Checks the answer of `navigator.credentials.create()` against the challenge that was drawn for it
    /// and taken out of the vault. The new key speaks for nobody until the directory has it.
    ///
    /// # Errors
    /// [`IdentityError::OtherCeremony`] where the challenge was not drawn for an enrolment,
    /// [`IdentityError::Expired`], [`IdentityError::PersonInactive`], [`IdentityError::PasskeyEnrolled`],
    /// [`IdentityError::Enrolment`] with the reason of the check.
    pub fn enrol(&self, pending: &Pending, response: &[u8], label: &str) -> Result<Enrolled, IdentityError> {
        let Ceremony::Enrol { person } = pending.ceremony else {
            return Err(IdentityError::OtherCeremony);
        };
        pending.check_time(self.now)?;
        chain_of_person(person, self.directory)?;
        let response = Registration::read(response)?;
        let registered = check_registration(
            self.relying_party,
            &pending.challenge.0,
            &response.client_data,
            &response.attestation_object,
            UserVerification::Required,
        )
        .map_err(IdentityError::Enrolment)?;
        let credential_id = Blob(registered.credential_id.as_bytes().to_vec());
        if credential_id != response.id {
            return Err(IdentityError::unreadable("passkey's answer", "its id is another credential's"));
        }
        if self.directory.key(&credential_id).is_some() {
            return Err(IdentityError::PasskeyEnrolled);
        }
        // Read again what the check has read: which of the allowed origins it was.
        let origin = ClientData::parse(&response.client_data).map_err(IdentityError::Enrolment)?.origin;
        let passkey = Passkey {
            credential_id: credential_id.clone(),
            public_key: Blob(registered.public_key.to_cose()),
            rp_id: self.relying_party.id.clone(),
            origin,
            label: label.to_owned(),
        };
        Ok(Enrolled { passkey, login: Login { person, key: credential_id, at: self.now } })
    }

    /// Checks the answer of `navigator.credentials.get()` against the challenge that was drawn for it and
    /// taken out of the vault: a passkey of an active person, with user verification.
    ///
    /// # Errors
    /// [`IdentityError::OtherCeremony`] where the challenge was drawn for an enrolment,
    /// [`IdentityError::Expired`], [`IdentityError::PasskeyUnknown`], [`IdentityError::OtherPerson`] where
    /// the authenticator names another person than the directory or another steps up than should,
    /// [`IdentityError::Passkey`] with the reason of the check.
    pub fn login(&self, pending: &Pending, response: &[u8]) -> Result<Login, IdentityError> {
        let expected = match pending.ceremony {
            Ceremony::Enrol { .. } => return Err(IdentityError::OtherCeremony),
            Ceremony::Login {} => None,
            Ceremony::StepUp { person } => Some(person),
        };
        pending.check_time(self.now)?;
        let response = Assertion::read(response)?;
        let (person, key) = self.directory.key(&response.id).ok_or(IdentityError::PasskeyUnknown)?;
        let public_key = PublicKey::from_cose(&key.public_key.0).map_err(IdentityError::Passkey)?;
        check_assertion(
            self.relying_party,
            &pending.challenge.0,
            &public_key,
            &response.checkable()?,
            UserVerification::Required,
        )
        .map_err(IdentityError::Passkey)?;
        let handle_fits =
            response.user_handle.as_ref().is_none_or(|handle| *handle == user_handle(person.id));
        if !handle_fits || expected.is_some_and(|expected| expected != person.id) {
            return Err(IdentityError::OtherPerson);
        }
        Ok(Login { person: person.id, key: key.credential_id.clone(), at: self.now })
    }
}

/// A passkey that was made just now, and what its owner thereby proved.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Enrolled {
    /// The key, for [`domain::directory::DirectoryEvent::KeyEnrolled`].
    pub passkey: Passkey,
    /// Its owner was there and was verified. A session opened with this comes to life when the
    /// directory has the key, and not before: see [`crate::chain_of_session`].
    pub login: Login,
}

/// A human who has just used a passkey, with user verification. Nothing but a check makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    person: PersonId,
    key: Blob,
    at: Timestamp,
}

impl Login {
    /// Who.
    #[must_use]
    pub fn person(&self) -> PersonId {
        self.person
    }

    /// With which passkey: its credential id.
    #[must_use]
    pub fn key(&self) -> &Blob {
        &self.key
    }

    /// When.
    #[must_use]
    pub fn at(&self) -> Timestamp {
        self.at
    }
}

/// WebAuthn's `user.id`: the person's id, 16 bytes. It says nothing of its person (§14.6.1).
fn user_handle(person: PersonId) -> Blob {
    Blob(person.uuid().as_bytes().to_vec())
}

/// A credential id as `assertion` takes it.
pub(crate) fn credential_id(id: &Blob) -> Result<CredentialId, assertion::Refusal> {
    CredentialId::new(id.0.clone())
}
