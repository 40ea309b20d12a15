//! A passkey made by hand: what a browser and an authenticator would say, every part of it changeable.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ciborium::cbor;
use ciborium::value::Value as Cbor;
use domain::digest::Blob;
use domain::directory::Passkey;
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{DerSignature, SigningKey};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

pub(crate) const USER_PRESENT: u8 = 0x01;
pub(crate) const USER_VERIFIED: u8 = 0x04;
const ATTESTED: u8 = 0x40;

/// One ES256 passkey, and the page it is used at.
#[derive(Clone)]
pub(crate) struct SoftPasskey {
    pub(crate) key: SigningKey,
    pub(crate) id: Vec<u8>,
    pub(crate) rp_id: String,
    pub(crate) origin: String,
    pub(crate) flags: u8,
}

impl SoftPasskey {
    /// The passkey of this number; another number is another key.
    pub(crate) fn new(number: u8) -> Self {
        Self {
            key: SigningKey::from_slice(&[number + 1; 32]).unwrap(),
            id: vec![number; 16],
            rp_id: "localhost".to_owned(),
            origin: "http://localhost:7676".to_owned(),
            flags: USER_PRESENT | USER_VERIFIED,
        }
    }

    /// As the directory enrols it.
    pub(crate) fn enrolled(&self) -> Passkey {
        Passkey {
            credential_id: Blob(self.id.clone()),
            public_key: Blob(self.cose()),
            rp_id: self.rp_id.clone(),
            origin: self.origin.clone(),
            label: "laptop".to_owned(),
        }
    }

    /// `navigator.credentials.create()`: from `PublicKeyCredentialCreationOptionsJSON` to
    /// `RegistrationResponseJSON`.
    pub(crate) fn create(&self, options: &Value) -> Vec<u8> {
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
            "clientDataJSON": b64(client_data),
            "attestationObject": b64(encode(&object.unwrap())),
            "transports": ["internal"],
        }))
    }

    /// `navigator.credentials.get()`: from `PublicKeyCredentialRequestOptionsJSON` to
    /// `AuthenticationResponseJSON`.
    pub(crate) fn get(&self, options: &Value) -> Vec<u8> {
        let client_data = self.client_data("webauthn.get", options);
        let data = self.authenticator_data(self.flags, &[]);
        let signature: DerSignature =
            self.key.sign(&[data.as_slice(), &Sha256::digest(&client_data)].concat());
        self.answer(&json!({
            "clientDataJSON": b64(client_data),
            "authenticatorData": b64(data),
            "signature": b64(signature.as_bytes()),
            "userHandle": null,
        }))
    }

    fn answer(&self, response: &Value) -> Vec<u8> {
        json!({
            "type": "public-key",
            "id": b64(&self.id),
            "rawId": b64(&self.id),
            "clientExtensionResults": {},
            "response": response,
        })
        .to_string()
        .into_bytes()
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

    fn cose(&self) -> Vec<u8> {
        let point = self.key.verifying_key().to_sec1_point(false);
        let (x, y) = point.as_bytes()[1..].split_at(32);
        encode(&cbor!({1 => 2, 3 => -7, -1 => 1, -2 => Cbor::from(x), -3 => Cbor::from(y)}).unwrap())
    }
}

/// The options for a challenge that somebody made up.
pub(crate) fn options(challenge: &[u8]) -> Value {
    json!({ "challenge": b64(challenge) })
}

fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn encode(value: &Cbor) -> Vec<u8> {
    let mut bytes = Vec::new();
    ciborium::into_writer(value, &mut bytes).unwrap();
    bytes
}
