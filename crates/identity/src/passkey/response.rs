//! What the browser answers: `RegistrationResponseJSON` and `AuthenticationResponseJSON` (WebAuthn Level 3
//! §5.1), read strictly. Members that are not named here are passed over; nothing here is believed.

use assertion::ClientData;
use domain::canonical;
use domain::digest::Blob;
use domain::review::{PasskeyProof, Proof};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::credential_id;
use crate::error::IdentityError;
use crate::limits::BROWSER_RESPONSE_LIMIT_BYTES;

const WHAT: &str = "passkey's answer";

/// The proof on a review, out of the answer of `navigator.credentials.get()`. It is checked with the
/// review: see [`crate::DirectoryVerifier`].
///
/// # Errors
/// [`IdentityError::Unreadable`], [`IdentityError::TooLarge`].
pub fn review_proof(response: &[u8]) -> Result<Proof, IdentityError> {
    let response = Assertion::read(response)?;
    Ok(Proof::Passkey(PasskeyProof {
        credential_id: response.id,
        client_data_json: response.client_data,
        authenticator_data: response.authenticator_data,
        signature: response.signature,
    }))
}

/// A new passkey, as claimed.
pub(super) struct Registration {
    pub(super) id: Blob,
    pub(super) client_data: Vec<u8>,
    pub(super) attestation_object: Vec<u8>,
}

impl Registration {
    pub(super) fn read(bytes: &[u8]) -> Result<Self, IdentityError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Inner {
            #[serde(rename = "clientDataJSON")]
            client_data: Blob,
            attestation_object: Blob,
        }
        let (id, inner) = read::<Inner>(bytes)?;
        Ok(Self { id, client_data: inner.client_data.0, attestation_object: inner.attestation_object.0 })
    }
}

/// A passkey's signature, as claimed.
pub(super) struct Assertion {
    pub(super) id: Blob,
    pub(super) client_data: Blob,
    pub(super) authenticator_data: Blob,
    pub(super) signature: Blob,
    pub(super) user_handle: Option<Blob>,
}

impl Assertion {
    pub(super) fn read(bytes: &[u8]) -> Result<Self, IdentityError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Inner {
            #[serde(rename = "clientDataJSON")]
            client_data: Blob,
            authenticator_data: Blob,
            signature: Blob,
            user_handle: Option<Blob>,
        }
        let (id, inner) = read::<Inner>(bytes)?;
        Ok(Self {
            id,
            client_data: inner.client_data,
            authenticator_data: inner.authenticator_data,
            signature: inner.signature,
            user_handle: inner.user_handle,
        })
    }

    /// The same as the check takes it.
    pub(super) fn checkable(&self) -> Result<assertion::Assertion, IdentityError> {
        Ok(assertion::Assertion {
            credential_id: credential_id(&self.id).map_err(IdentityError::Passkey)?,
            client_data_json: self.client_data.0.clone(),
            authenticator_data: self.authenticator_data.0.clone(),
            signature: self.signature.0.clone(),
            user_handle: self.user_handle.as_ref().map(|handle| handle.0.clone()),
        })
    }
}

/// The challenge that an answer to either call says that it answers.
pub(super) fn challenge_of(bytes: &[u8]) -> Result<Vec<u8>, IdentityError> {
    #[derive(Deserialize)]
    struct Inner {
        #[serde(rename = "clientDataJSON")]
        client_data: Blob,
    }
    let (_, inner) = read::<Inner>(bytes)?;
    let client_data =
        ClientData::parse(&inner.client_data.0).map_err(|why| IdentityError::unreadable(WHAT, why))?;
    Ok(client_data.challenge)
}

/// The credential's id and the inner part.
fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<(Blob, T), IdentityError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Outer<T> {
        #[serde(rename = "type")]
        kind: String,
        id: Blob,
        raw_id: Option<Blob>,
        response: T,
    }
    let (actual, limit) = (bytes.len(), BROWSER_RESPONSE_LIMIT_BYTES);
    if actual > limit {
        return Err(IdentityError::TooLarge { what: WHAT, actual, limit });
    }
    let outer: Outer<T> = canonical::read(bytes).map_err(|why| IdentityError::unreadable(WHAT, why))?;
    if outer.kind != "public-key" || outer.raw_id.is_some_and(|raw| raw != outer.id) {
        return Err(IdentityError::unreadable(
            WHAT,
            "`type` is not `public-key`, or `id` and `rawId` differ",
        ));
    }
    Ok((outer.id, outer.response))
}
