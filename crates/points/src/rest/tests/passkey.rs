//! A passkey made by hand: what a browser and an authenticator would say.

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

use super::house::PUBLIC_URL;

const PRESENT_AND_VERIFIED: u8 = 0x05;

/// One ES256 passkey.
#[derive(Clone)]
pub(crate) struct SoftPasskey {
    key: SigningKey,
    id: Vec<u8>,
}

impl SoftPasskey {
    /// The passkey of this number; another number is another key.
    pub(crate) fn new(number: u8) -> Self {
        Self { key: SigningKey::from_slice(&[number + 1; 32]).unwrap(), id: vec![number; 16] }
    }

    /// As the directory enrols it.
    pub(crate) fn enrolled(&self) -> Passkey {
        Passkey {
            credential_id: Blob(self.id.clone()),
            public_key: Blob(self.cose()),
            rp_id: "localhost".to_owned(),
            origin: PUBLIC_URL.to_owned(),
            label: "laptop".to_owned(),
        }
    }

    /// `navigator.credentials.get()`, from its options to `toJSON()` of its answer.
    pub(crate) fn get(&self, options: &Value) -> Value {
        let client_data = self.client_data("webauthn.get", options);
        let data = authenticator_data(PRESENT_AND_VERIFIED, &[]);
        let signature: DerSignature =
            self.key.sign(&[data.as_slice(), &Sha256::digest(&client_data)].concat());
        self.answer(&json!({
            "clientDataJSON": b64(client_data),
            "authenticatorData": b64(data),
            "signature": b64(signature.as_bytes()),
            "userHandle": null,
        }))
    }

    /// `navigator.credentials.create()`, likewise.
    pub(crate) fn create(&self, options: &Value) -> Value {
        let length = u16::try_from(self.id.len()).unwrap().to_be_bytes();
        let tail = [[0; 16].as_slice(), &length, &self.id, &self.cose()].concat();
        let object = cbor!({
            "fmt" => "none",
            "attStmt" => Cbor::Map(Vec::new()),
            "authData" => Cbor::Bytes(authenticator_data(PRESENT_AND_VERIFIED | 0x40, &tail)),
        });
        self.answer(&json!({
            "clientDataJSON": b64(self.client_data("webauthn.create", options)),
            "attestationObject": b64(encode(&object.unwrap())),
            "transports": ["internal"],
        }))
    }

    fn answer(&self, response: &Value) -> Value {
        json!({
            "type": "public-key",
            "id": b64(&self.id),
            "rawId": b64(&self.id),
            "clientExtensionResults": {},
            "response": response,
        })
    }

    fn client_data(&self, kind: &str, options: &Value) -> Vec<u8> {
        json!({ "type": kind, "challenge": options["challenge"], "origin": PUBLIC_URL, "crossOrigin": false })
            .to_string()
            .into_bytes()
    }

    fn cose(&self) -> Vec<u8> {
        let point = self.key.verifying_key().to_sec1_point(false);
        let (x, y) = point.as_bytes()[1..].split_at(32);
        encode(&cbor!({1 => 2, 3 => -7, -1 => 1, -2 => Cbor::from(x), -3 => Cbor::from(y)}).unwrap())
    }
}

fn authenticator_data(flags: u8, tail: &[u8]) -> Vec<u8> {
    let hash = Sha256::digest("localhost");
    [hash.as_slice(), &[flags], &[0; 4], tail].concat()
}

fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn encode(value: &Cbor) -> Vec<u8> {
    let mut bytes = Vec::new();
    ciborium::into_writer(value, &mut bytes).unwrap();
    bytes
}
