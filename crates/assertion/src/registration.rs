//! The check of a registration: is this a new passkey, made for us, by somebody present?

use ciborium::Value;

use crate::authenticator_data::{Aaguid, AuthenticatorData, CredentialId};
use crate::cbor;
use crate::limits::MAX_ATTESTATION_OBJECT_BYTES;
use crate::public_key::PublicKey;
use crate::refusal::Refusal;
use crate::relying_party::{RelyingParty, UserVerification};

/// Checks the answer of `navigator.credentials.create()`: WebAuthn Level 3 §7.1 steps 5 to 17, 20,
/// 21 and 25. Steps 18, 19 and 26 onwards are the caller's (see the crate's page).
///
/// The attestation statement is read and not believed, whatever its format: we ask for `none`, and what a
/// client adds proves nothing to us (steps 22 to 24 are left out). So [`Registered::aaguid`] is a claim,
/// and what makes a key a reviewer's key is the administrator who countersigns its enrolment.
///
/// `expected_challenge` is what the gateway drew for this registration, at least
/// [`MIN_CHALLENGE_BYTES`](crate::MIN_CHALLENGE_BYTES) bytes, used once. Inputs are bounded by
/// [`MAX_CLIENT_DATA_BYTES`](crate::MAX_CLIENT_DATA_BYTES) and [`MAX_ATTESTATION_OBJECT_BYTES`].
///
/// # Errors
///
/// The [`Refusal`] of the first step that fails.
pub fn check_registration(
    relying_party: &RelyingParty,
    expected_challenge: &[u8],
    client_data_json: &[u8],
    attestation_object: &[u8],
    user_verification: UserVerification,
) -> Result<Registered, Refusal> {
    relying_party.check_client_data("webauthn.create", expected_challenge, client_data_json)?;
    let data = AuthenticatorData::parse(&authenticator_data(attestation_object)?)?;
    relying_party.check_authenticator_data(&data, user_verification)?;
    let attested = data.attested.ok_or(Refusal::CredentialMissing)?;
    Ok(Registered {
        credential_id: attested.credential_id,
        public_key: attested.public_key,
        aaguid: attested.aaguid,
        counter: data.counter,
        backup_eligible: data.flags.backup_eligible(),
        backed_up: data.flags.backed_up(),
        user_verified: data.flags.user_verified(),
    })
}

/// A registration that passed [`check_registration`]; nothing else makes one. The gateway stores these as
/// the credential record (WebAuthn Level 3 §4).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Registered {
    /// The id that will find the key.
    pub credential_id: CredentialId,
    /// The key that will verify assertions.
    pub public_key: PublicKey,
    /// The authenticator's model, as claimed.
    pub aaguid: Aaguid,
    /// The signature counter at registration, in signatures.
    pub counter: u32,
    /// Whether the passkey may be backed up; it must stay as it is (§7.2 step 19).
    pub backup_eligible: bool,
    /// Whether the passkey is backed up now.
    pub backed_up: bool,
    /// Whether the authenticator verified who used it.
    pub user_verified: bool,
}

/// The authenticator data in an attestation object (WebAuthn Level 3 §6.5.4, §7.1 step 13): a strict CBOR
/// map of `fmt`, `attStmt` and `authData`, in any order, with nothing beside them and nothing after.
fn authenticator_data(attestation_object: &[u8]) -> Result<Vec<u8>, Refusal> {
    if attestation_object.len() > MAX_ATTESTATION_OBJECT_BYTES {
        return Err(Refusal::AttestationObjectTooLong { bytes: attestation_object.len() });
    }
    let item = cbor::read(attestation_object).ok_or_else(|| malformed("it is not strict CBOR"))?;
    if !item.rest.is_empty() {
        return Err(malformed("bytes follow it"));
    }
    let entries = item.value.into_map().map_err(|_| malformed("it is not a CBOR map"))?;

    let mut format = None;
    let mut statement = None;
    let mut data = None;
    for (key, value) in entries {
        match key.as_text() {
            Some("fmt") => format = value.into_text().ok(),
            Some("attStmt") => statement = is_statement(&value).then_some(()),
            Some("authData") => data = value.into_bytes().ok(),
            Some(_) | None => return Err(malformed("it has an unknown key")),
        }
    }
    format.ok_or_else(|| malformed("`fmt` is missing or not text"))?;
    statement.ok_or_else(|| malformed("`attStmt` is missing or neither map nor array"))?;
    data.ok_or_else(|| malformed("`authData` is missing or not bytes"))
}

fn is_statement(value: &Value) -> bool {
    value.is_map() || value.is_array()
}

fn malformed(reason: &'static str) -> Refusal {
    Refusal::AttestationObjectMalformed { reason }
}
