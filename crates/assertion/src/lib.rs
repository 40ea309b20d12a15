//! The check of a WebAuthn registration, of a WebAuthn assertion and of an SSH signature by a security key: pure, without I/O, without a
//! clock, without randomness. The gateway checks with it when a reviewer decides; the offline
//! verifier checks with it years later, from the same bytes, and must come to the same answer.
//!
//! [`check_assertion`] proves that the holder of a passkey signed one challenge at one of the allowed
//! origins, was present, and (with [`UserVerification::Required`]) proved to the authenticator who
//! they are. With [`statement_challenge`] that challenge is one approval statement and no other. It
//! does not prove which pixels the person saw.
//!
//! [`check_ssh_signature`] proves the same of somebody at a terminal, who signs with OpenSSH and a security key.
//!
//! What stays with the caller, because it needs a store, a log or a clock:
//!
//! - the challenge is single-use and fresh: draw it at random for a registration, put a nonce and an
//!   expiry into the statement of an approval;
//! - the key belongs to the credential: look it up by [`Assertion::credential_id`], which no signature
//!   covers, and verify that its enrolment stands and is not revoked;
//! - the counter moves forward ([`Checked::counter_advanced`]) and backup eligibility stays what it was
//!   at registration (W3C WebAuthn Level 3 §7.2 steps 19 and 22);
//! - a credential id is registered once (§7.1 step 26).
//!
//! Section and step numbers are those of W3C Web Authentication Level 3,
//! <https://www.w3.org/TR/webauthn-3/>.

mod assertion;
mod registration;

mod sshsig;

mod relying_party;

mod client_data;

mod authenticator_data;

mod public_key;

mod refusal;

mod limits;

mod cbor;

mod base64url;

#[cfg(test)]
mod tests;

pub use assertion::{
    Assertion, Checked, LATER_CHALLENGE_PREFIX, STATEMENT_CHALLENGE_PREFIX, check_assertion, later_challenge,
    statement_challenge,
};
pub use authenticator_data::{Aaguid, AttestedCredential, AuthenticatorData, CredentialId, Flags};
pub use client_data::ClientData;
pub use limits::{
    MAX_ATTESTATION_OBJECT_BYTES, MAX_AUTHENTICATOR_DATA_BYTES, MAX_CBOR_DEPTH, MAX_CLIENT_DATA_BYTES,
    MAX_CREDENTIAL_ID_BYTES, MAX_SSH_APPLICATION_BYTES, MAX_SSH_ARMOR_BYTES, MAX_SSH_KEY_BYTES,
    MAX_SSH_SIGNATURE_BYTES, MAX_USER_HANDLE_BYTES, MIN_CHALLENGE_BYTES,
};
pub use public_key::{ALGORITHMS, EdDsaKey, Es256Key, PublicKey};
pub use refusal::Refusal;
pub use registration::{Registered, check_registration};
pub use relying_party::{RelyingParty, UserVerification};
pub use sshsig::{
    CheckedSshSignature, ENROLMENT_NAMESPACE, LATER_NAMESPACE, STATEMENT_NAMESPACE, SshPublicKey,
    check_ssh_signature, claimed_key, dearmor, enarmor, later_message, statement_message,
};
