//! What the browser is asked, as JSON for `parseCreationOptionsFromJSON()` and
//! `parseRequestOptionsFromJSON()` (WebAuthn Level 3 §5.1.9 and §5.1.10).

use assertion::ALGORITHMS;
use domain::digest::Blob;
use domain::directory::{Passkey, Person};
use serde_json::{Value, json};

use super::{Passkeys, Pending, user_handle};
use crate::limits::PASSKEY_CHALLENGE_LIFETIME;

/// How long the browser lets its user wait, in milliseconds.
const TIMEOUT_MILLISECONDS: u64 = PASSKEY_CHALLENGE_LIFETIME.seconds() * 1_000;

impl Passkeys<'_> {
    /// `PublicKeyCredentialCreationOptionsJSON` for a new passkey: discoverable, with user
    /// verification, on an authenticator that has none of this person's yet. No attestation is asked for,
    /// and none is believed.
    #[must_use]
    pub fn creation_options(&self, person: &Person, pending: &Pending) -> Value {
        let algorithms: Vec<Value> =
            ALGORITHMS.iter().map(|alg| json!({ "type": "public-key", "alg": alg })).collect();
        json!({
            "rp": { "id": self.relying_party.id, "name": "Countersign" },
            "user": { "id": user_handle(person.id), "name": person.name, "displayName": person.name },
            "challenge": pending.challenge,
            "pubKeyCredParams": algorithms,
            "timeout": TIMEOUT_MILLISECONDS,
            "excludeCredentials": self.descriptors(&person.keys),
            "authenticatorSelection": {
                "residentKey": "required",
                "requireResidentKey": true,
                "userVerification": "required",
            },
            "attestation": "none",
        })
    }

    /// `PublicKeyCredentialRequestOptionsJSON` to sign in: any discoverable passkey of ours.
    #[must_use]
    pub fn login_options(&self, pending: &Pending) -> Value {
        self.request_options(&pending.challenge.0, &[])
    }

    /// `PublicKeyCredentialRequestOptionsJSON` over a challenge, by one of these keys: a person's own,
    /// for a step-up, or for a statement with [`assertion::statement_challenge`].
    #[must_use]
    pub fn request_options(&self, challenge: &[u8], keys: &[Passkey]) -> Value {
        json!({
            "challenge": Blob(challenge.to_vec()),
            "rpId": self.relying_party.id,
            "userVerification": "required",
            "allowCredentials": self.descriptors(keys),
            "timeout": TIMEOUT_MILLISECONDS,
        })
    }

    fn descriptors(&self, keys: &[Passkey]) -> Vec<Value> {
        keys.iter()
            .filter(|key| key.rp_id == self.relying_party.id)
            .map(|key| json!({ "type": "public-key", "id": key.credential_id }))
            .collect()
    }
}
