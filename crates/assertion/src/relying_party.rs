//! Whom a passkey must have signed for, and the checks that registration and assertion share.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::authenticator_data::AuthenticatorData;
use crate::client_data::ClientData;
use crate::limits::MIN_CHALLENGE_BYTES;
use crate::refusal::Refusal;

/// The relying party: whom a passkey must have signed for. It comes from configuration or, offline,
/// from the verifier's trust file, and is trusted in full. An empty or misspelt list of origins allows
/// nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RelyingParty {
    /// The relying party id: a domain such as `countersign.example`, without scheme or port.
    pub id: String,
    /// The allowed origins, such as `https://countersign.example`, compared exactly, byte for byte:
    /// no trailing slash, no default port, no wildcard (WebAuthn Level 3 §13.4.9).
    pub origins: Vec<String>,
}

/// Whether the authenticator must have verified who used it (PIN, fingerprint, face). Presence is
/// always required.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UserVerification {
    /// An approval needs this: without it, whoever finds the key can approve.
    Required,
    /// Report it, do not demand it.
    Preferred,
}

impl RelyingParty {
    /// The client data of one ceremony: `kind` is `webauthn.create` or `webauthn.get`. WebAuthn Level 3
    /// §7.1 steps 5 to 11, §7.2 steps 8 to 14.
    pub(crate) fn check_client_data(
        &self,
        kind: &'static str,
        expected_challenge: &[u8],
        json: &[u8],
    ) -> Result<ClientData, Refusal> {
        if expected_challenge.len() < MIN_CHALLENGE_BYTES {
            return Err(Refusal::ExpectedChallengeTooShort { bytes: expected_challenge.len() });
        }
        let client_data = ClientData::parse(json)?;
        if client_data.kind != kind {
            return Err(Refusal::WrongType { expected: kind, found: client_data.kind });
        }
        if client_data.challenge != expected_challenge {
            return Err(Refusal::ChallengeMismatch);
        }
        if !self.origins.contains(&client_data.origin) {
            return Err(Refusal::OriginNotAllowed { origin: client_data.origin });
        }
        if let Some(origin) = client_data.top_origin {
            return Err(Refusal::TopOrigin { origin });
        }
        if client_data.cross_origin {
            return Err(Refusal::CrossOrigin);
        }
        Ok(client_data)
    }

    /// Whom the authenticator signed for, and what it says of its user. WebAuthn Level 3 §7.1 steps 14 to
    /// 17, §7.2 steps 15 to 18.
    pub(crate) fn check_authenticator_data(
        &self,
        data: &AuthenticatorData,
        user_verification: UserVerification,
    ) -> Result<(), Refusal> {
        if data.rp_id_hash != <[u8; 32]>::from(Sha256::digest(&self.id)) {
            return Err(Refusal::RelyingPartyMismatch);
        }
        if !data.flags.user_present() {
            return Err(Refusal::UserNotPresent);
        }
        match user_verification {
            UserVerification::Required if !data.flags.user_verified() => {
                return Err(Refusal::UserNotVerified);
            }
            UserVerification::Required | UserVerification::Preferred => {}
        }
        if data.flags.backed_up() && !data.flags.backup_eligible() {
            return Err(Refusal::BackupStateImpossible);
        }
        Ok(())
    }
}
