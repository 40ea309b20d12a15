//! The check of an assertion: did the holder of this passkey sign this challenge, here, in person?

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::authenticator_data::{AuthenticatorData, CredentialId};
use crate::base64url;
use crate::limits::MAX_USER_HANDLE_BYTES;
use crate::public_key::PublicKey;
use crate::refusal::Refusal;
use crate::relying_party::{RelyingParty, UserVerification};

/// Checks the answer of `navigator.credentials.get()`: WebAuthn Level 3 §7.2 steps 7 to 18, 20 and 21.
/// Steps 5, 6, 19 and 22 are the caller's (see the crate's page).
///
/// `key` is the key of the credential that [`Assertion::credential_id`] names, looked up by the caller.
/// `expected_challenge` is what was to be signed, at least
/// [`MIN_CHALLENGE_BYTES`](crate::MIN_CHALLENGE_BYTES) bytes: for an approval, [`statement_challenge`].
/// Approvals ask for [`UserVerification::Required`].
///
/// # Errors
///
/// The [`Refusal`] of the first step that fails.
pub fn check_assertion(
    relying_party: &RelyingParty,
    expected_challenge: &[u8],
    key: &PublicKey,
    assertion: &Assertion,
    user_verification: UserVerification,
) -> Result<Checked, Refusal> {
    assertion.check_user_handle()?;
    let client_data =
        relying_party.check_client_data("webauthn.get", expected_challenge, &assertion.client_data_json)?;
    let data = AuthenticatorData::parse(&assertion.authenticator_data)?;
    relying_party.check_authenticator_data(&data, user_verification)?;
    if data.attested.is_some() {
        return Err(Refusal::CredentialUnexpected);
    }
    key.verify(&assertion.signed_bytes(), &assertion.signature)?;
    Ok(Checked {
        user_present: data.flags.user_present(),
        user_verified: data.flags.user_verified(),
        counter: data.counter,
        backup_eligible: data.flags.backup_eligible(),
        backed_up: data.flags.backed_up(),
        origin: client_data.origin,
    })
}

/// An assertion as the browser gave it, not yet checked: what a log entry keeps, so that anybody can
/// check it again. As JSON it is one flat object of base64url strings without padding, in this order:
/// `credentialId`, `clientDataJSON`, `authenticatorData`, `signature` and, if there is one, `userHandle`.
/// Unknown and repeated members are refused. (`PublicKeyCredential.toJSON()` nests the last four under
/// `response` and calls the first `id`.)
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Assertion {
    /// Which credential is said to have signed. Not covered by the signature: it only finds the key.
    pub credential_id: CredentialId,
    /// What the browser was asked, as the exact bytes that were signed.
    #[serde(rename = "clientDataJSON", with = "base64url")]
    pub client_data_json: Vec<u8>,
    /// What the authenticator says, as the exact bytes that were signed.
    #[serde(with = "base64url")]
    pub authenticator_data: Vec<u8>,
    /// The signature over `authenticatorData ‖ SHA-256(clientDataJSON)`.
    #[serde(with = "base64url")]
    pub signature: Vec<u8>,
    /// The user id that the authenticator keeps, at most [`MAX_USER_HANDLE_BYTES`] bytes. Not covered by
    /// the signature: never the proof of who somebody is.
    #[serde(with = "base64url::option", default, skip_serializing_if = "Option::is_none")]
    pub user_handle: Option<Vec<u8>>,
}

impl Assertion {
    /// `authenticatorData ‖ SHA-256(clientDataJSON)` (WebAuthn Level 3 §7.2 steps 20 and 21).
    fn signed_bytes(&self) -> Vec<u8> {
        let hash = Sha256::digest(&self.client_data_json);
        [self.authenticator_data.as_slice(), hash.as_slice()].concat()
    }

    fn check_user_handle(&self) -> Result<(), Refusal> {
        match self.user_handle.as_deref().map(<[u8]>::len) {
            Some(bytes) if bytes > MAX_USER_HANDLE_BYTES => Err(Refusal::UserHandleTooLong { bytes }),
            Some(_) | None => Ok(()),
        }
    }
}

/// An assertion that passed [`check_assertion`]; nothing else makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Checked {
    /// Somebody was present. Always true: the check refuses otherwise.
    pub user_present: bool,
    /// The authenticator verified who. Always true under [`UserVerification::Required`].
    pub user_verified: bool,
    /// The signature counter, in signatures.
    pub counter: u32,
    /// Whether the passkey may be backed up; compare it with the registration's (§7.2 step 19).
    pub backup_eligible: bool,
    /// Whether the passkey is backed up now.
    pub backed_up: bool,
    /// The allowed origin at which it was signed.
    pub origin: String,
}

impl Checked {
    /// Whether the counter moved forward from `stored`, the last one seen (WebAuthn Level 3 §7.2 step 22).
    /// `false` is a sign of a cloned authenticator, or of two answers that arrived out of order. An
    /// authenticator that keeps no counter reports 0 for ever, which is `true` as long as `stored` is 0.
    #[must_use]
    pub fn counter_advanced(&self, stored: u32) -> bool {
        self.counter > stored || (self.counter == 0 && stored == 0)
    }
}

/// What [`statement_challenge`] puts before a statement: no other text of ours starts like it, so a
/// passkey's signature over an approval can be taken for nothing else.
pub const STATEMENT_CHALLENGE_PREFIX: &[u8] = b"countersign/approval-statement/v1\n";

/// The challenge that signs one approval statement:
/// `SHA-256("countersign/approval-statement/v1\n" ‖ statement)`. `statement` is its canonical bytes; a
/// nonce and an expiry inside it make the challenge fresh and single-use.
#[must_use]
pub fn statement_challenge(statement: &[u8]) -> [u8; 32] {
    challenge(STATEMENT_CHALLENGE_PREFIX, statement)
}

/// What [`later_challenge`] puts before a statement: a later review of broken glass is no approval, and neither
/// signature passes for the other.
pub const LATER_CHALLENGE_PREFIX: &[u8] = b"countersign/later-review-statement/v1\n";

/// The challenge that signs the statement of one later review of broken glass:
/// `SHA-256("countersign/later-review-statement/v1\n" ‖ statement)`. Otherwise as [`statement_challenge`].
#[must_use]
pub fn later_challenge(statement: &[u8]) -> [u8; 32] {
    challenge(LATER_CHALLENGE_PREFIX, statement)
}

fn challenge(prefix: &[u8], statement: &[u8]) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(prefix);
    hash.update(statement);
    hash.finalize().into()
}
