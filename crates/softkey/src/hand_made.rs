//! A passkey made by hand: what a browser and an authenticator would say, every part of it changeable.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "for tests only: a test fails by panicking")]

use ciborium::cbor;
use ciborium::value::Value as Cbor;
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{DerSignature, SigningKey};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::base64url;

/// The authenticator's word that somebody was there (WebAuthn Level 3, section 6.1).
pub const USER_PRESENT: u8 = 0x01;
/// The authenticator's word that it was the right one.
pub const USER_VERIFIED: u8 = 0x04;
const ATTESTED: u8 = 0x40;

/// One ES256 passkey, and the page it is used at.
#[derive(Debug, Clone)]
pub struct HandMade {
    /// The private key.
    pub key: SigningKey,
    /// The credential's id.
    pub id: Vec<u8>,
    /// To whom the authenticator says that it speaks.
    pub rp_id: String,
    /// At which page the browser says that it is.
    pub origin: String,
    /// What the authenticator says of its user.
    pub flags: u8,
}

impl HandMade {
    /// The passkey of this number, at `http://localhost:7676`; another number is another key.
    ///
    /// # Panics
    /// For 255, whose key would be out of range.
    #[must_use]
    pub fn new(number: u8) -> Self {
        Self {
            key: SigningKey::from_slice(&[number + 1; 32]).unwrap(),
            id: vec![number; 16],
            rp_id: "localhost".to_owned(),
            origin: "http://localhost:7676".to_owned(),
            flags: USER_PRESENT | USER_VERIFIED,
        }
    }

    /// `navigator.credentials.create()`: from `PublicKeyCredentialCreationOptionsJSON` to the bytes of
    /// `RegistrationResponseJSON`.
    #[must_use]
    pub fn create(&self, options: &Value) -> Vec<u8> {
        self.create_json(options).to_string().into_bytes()
    }

    /// `navigator.credentials.get()`: from `PublicKeyCredentialRequestOptionsJSON` to the bytes of
    /// `AuthenticationResponseJSON`.
    #[must_use]
    pub fn get(&self, options: &Value) -> Vec<u8> {
        self.get_json(options).to_string().into_bytes()
    }

    /// As [`HandMade::create`], not written yet.
    ///
    /// # Panics
    /// For an id that no authenticator data has room for.
    #[must_use]
    pub fn create_json(&self, options: &Value) -> Value {
        let length = u16::try_from(self.id.len()).unwrap().to_be_bytes();
        let tail = [[0; 16].as_slice(), &length, &self.id, &self.cose()].concat();
        let data = self.authenticator_data(self.flags | ATTESTED, &tail);
        let object = cbor!({
            "fmt" => "none",
            "attStmt" => Cbor::Map(Vec::new()),
            "authData" => Cbor::Bytes(data),
        });
        let client_data = self.client_data("webauthn.create", options);
        self.answer(&json!({
            "clientDataJSON": base64url(&client_data),
            "attestationObject": base64url(&encode(&object.unwrap())),
            "transports": ["internal"],
        }))
    }

    /// As [`HandMade::get`], not written yet.
    #[must_use]
    pub fn get_json(&self, options: &Value) -> Value {
        let client_data = self.client_data("webauthn.get", options);
        let data = self.authenticator_data(self.flags, &[]);
        let signature: DerSignature =
            self.key.sign(&[data.as_slice(), &Sha256::digest(&client_data)].concat());
        self.answer(&json!({
            "clientDataJSON": base64url(&client_data),
            "authenticatorData": base64url(&data),
            "signature": base64url(signature.as_bytes()),
            "userHandle": null,
        }))
    }

    /// The public key as COSE has it (RFC 9053, section 2.1).
    ///
    /// # Panics
    /// Never: the map always encodes.
    #[must_use]
    pub fn cose(&self) -> Vec<u8> {
        let point = self.key.verifying_key().to_sec1_point(false);
        let (x, y) = point.as_bytes()[1..].split_at(32);
        encode(&cbor!({1 => 2, 3 => -7, -1 => 1, -2 => Cbor::from(x), -3 => Cbor::from(y)}).unwrap())
    }

    fn answer(&self, response: &Value) -> Value {
        json!({
            "type": "public-key",
            "id": base64url(&self.id),
            "rawId": base64url(&self.id),
            "clientExtensionResults": {},
            "response": response,
        })
    }

    fn client_data(&self, kind: &str, options: &Value) -> Vec<u8> {
        json!({ "type": kind, "challenge": options["challenge"], "origin": self.origin, "crossOrigin": false })
            .to_string()
            .into_bytes()
    }

    fn authenticator_data(&self, flags: u8, tail: &[u8]) -> Vec<u8> {
        let hash = Sha256::digest(&self.rp_id);
        [hash.as_slice(), &[flags], &[0; 4], tail].concat()
    }
}

/// The options for a challenge that somebody made up.
#[must_use]
pub fn options(challenge: &[u8]) -> Value {
    json!({ "challenge": base64url(challenge) })
}

fn encode(value: &Cbor) -> Vec<u8> {
    let mut bytes = Vec::new();
    ciborium::into_writer(value, &mut bytes).unwrap();
    bytes
}
