//! Every test of a refusal makes a ceremony that differs from a good one in one thing and is signed
//! afresh, so that nothing but the check under test can refuse it.

mod arbitrary;
mod assertion;
mod authenticator_data;
mod client_data;
mod public_key;
mod registration;
mod software;
mod sshsig;

use ciborium::{Value, cbor};
use ed25519_dalek::Signer as _;
use sha2::{Digest as _, Sha256};

use crate::*;

const RP_ID: &str = "countersign.example";
const ORIGIN: &str = "https://countersign.example";
const STATEMENT: &[u8] = br#"{"verdict":"approve"}"#;

const UP: u8 = 0x01;
const UV: u8 = 0x04;
const BE: u8 = 0x08;
const BS: u8 = 0x10;
const AT: u8 = 0x40;
const ED: u8 = 0x80;

fn relying_party() -> RelyingParty {
    RelyingParty {
        id: RP_ID.to_owned(),
        origins: vec![ORIGIN.to_owned(), "https://console.countersign.example:8443".to_owned()],
    }
}

fn challenge() -> [u8; 32] {
    statement_challenge(STATEMENT)
}

/// A private key, and its COSE key made without `PublicKey`.
#[derive(Clone)]
enum Signer {
    Es256(p256::ecdsa::SigningKey),
    EdDsa(ed25519_dalek::SigningKey),
}

impl Signer {
    fn es256(seed: u8) -> Self {
        Self::Es256(p256::ecdsa::SigningKey::from_slice(&[seed; 32]).unwrap())
    }

    fn eddsa(seed: u8) -> Self {
        Self::EdDsa(ed25519_dalek::SigningKey::from_bytes(&[seed; 32]))
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        match self {
            Self::Es256(key) => {
                let signature: p256::ecdsa::DerSignature = key.sign(message);
                signature.as_bytes().to_vec()
            }
            Self::EdDsa(key) => key.sign(message).to_bytes().to_vec(),
        }
    }

    fn cose(&self) -> Vec<(Value, Value)> {
        let key = match self {
            Self::Es256(key) => {
                let point = key.verifying_key().to_sec1_point(false);
                let (x, y) = point.as_bytes()[1..].split_at(32);
                cbor!({1 => 2, 3 => -7, -1 => 1, -2 => Value::from(x), -3 => Value::from(y)})
            }
            Self::EdDsa(key) => {
                let x = Value::from(key.verifying_key().to_bytes().as_slice());
                cbor!({1 => 1, 3 => -8, -1 => 6, -2 => x})
            }
        };
        key.unwrap().into_map().unwrap()
    }

    fn public_key(&self) -> PublicKey {
        PublicKey::from_cose(&encode(&Value::Map(self.cose()))).unwrap()
    }
}

fn encode(value: &Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    ciborium::into_writer(value, &mut bytes).unwrap();
    bytes
}

/// What a browser and an authenticator would say, every part of it changeable.
#[derive(Clone)]
struct Ceremony {
    signer: Signer,
    kind: &'static str,
    challenge: String,
    origin: String,
    /// Further members of the client data.
    members: &'static str,
    rp_id: &'static str,
    flags: u8,
    counter: u32,
    /// What follows the counter.
    tail: Vec<u8>,
    attestation: Vec<(Value, Value)>,
    user_handle: Option<Vec<u8>>,
}

impl Ceremony {
    fn get(signer: Signer) -> Self {
        Self {
            signer,
            kind: "webauthn.get",
            challenge: base64url::encode(&challenge()),
            origin: ORIGIN.to_owned(),
            members: r#","crossOrigin":false"#,
            rp_id: RP_ID,
            flags: UP | UV,
            counter: 7,
            tail: Vec::new(),
            attestation: Vec::new(),
            user_handle: None,
        }
    }

    fn create(signer: Signer) -> Self {
        let tail = attested(b"credential", &encode(&Value::Map(signer.cose())));
        Self {
            kind: "webauthn.create",
            flags: UP | UV | AT,
            tail,
            attestation: vec![
                (Value::from("fmt"), Value::from("none")),
                (Value::from("attStmt"), Value::Map(Vec::new())),
            ],
            ..Self::get(signer)
        }
    }

    fn client_data_json(&self) -> Vec<u8> {
        let Self { kind, challenge, origin, members, .. } = self;
        format!(r#"{{"type":"{kind}","challenge":"{challenge}","origin":"{origin}"{members}}}"#).into_bytes()
    }

    fn authenticator_data(&self) -> Vec<u8> {
        let rp_id_hash = Sha256::digest(self.rp_id);
        [rp_id_hash.as_slice(), &[self.flags], &self.counter.to_be_bytes(), &self.tail].concat()
    }

    fn attestation_object(&self) -> Vec<u8> {
        let mut entries = self.attestation.clone();
        entries.push((Value::from("authData"), Value::Bytes(self.authenticator_data())));
        encode(&Value::Map(entries))
    }

    fn assertion(&self) -> Assertion {
        let client_data_json = self.client_data_json();
        let authenticator_data = self.authenticator_data();
        let hash = Sha256::digest(&client_data_json);
        let signature = self.signer.sign(&[&authenticator_data, hash.as_slice()].concat());
        Assertion {
            credential_id: CredentialId::new(b"credential".to_vec()).unwrap(),
            client_data_json,
            authenticator_data,
            signature,
            user_handle: self.user_handle.clone(),
        }
    }

    fn check_assertion(&self) -> Result<Checked, Refusal> {
        let key = self.signer.public_key();
        let required = UserVerification::Required;
        check_assertion(&relying_party(), &challenge(), &key, &self.assertion(), required)
    }

    fn check_registration(&self) -> Result<Registered, Refusal> {
        check_registration(
            &relying_party(),
            &challenge(),
            &self.client_data_json(),
            &self.attestation_object(),
            UserVerification::Required,
        )
    }
}

/// Attested credential data with an all-`A` AAGUID.
fn attested(credential_id: &[u8], cose: &[u8]) -> Vec<u8> {
    let length = u16::try_from(credential_id.len()).unwrap().to_be_bytes();
    [[0xaa; 16].as_slice(), &length, credential_id, cose].concat()
}

fn signers() -> [Signer; 2] {
    [Signer::es256(7), Signer::eddsa(7)]
}

/// A change to a good ceremony, and how it must be refused.
type Case = (fn(&mut Ceremony), Refusal);

/// The refusals that registration and assertion share.
fn shared_refusals() -> Vec<Case> {
    let malformed = |reason: &str| Refusal::ClientDataMalformed { reason: reason.to_owned() };
    let origin = |origin: &str| Refusal::OriginNotAllowed { origin: origin.to_owned() };
    vec![
        (|c| c.challenge = base64url::encode(&[1; 32]), Refusal::ChallengeMismatch),
        (|c| c.challenge = String::new(), Refusal::ChallengeMismatch),
        (|c| c.challenge.push('='), Refusal::ChallengeMalformed),
        (
            // The last character's unused bits are not zero.
            |c| c.challenge.replace_range(42.., "B"),
            Refusal::ChallengeMalformed,
        ),
        (|c| c.origin = "https://countersign.example/".to_owned(), origin("https://countersign.example/")),
        (|c| c.origin = "https://COUNTERSIGN.example".to_owned(), origin("https://COUNTERSIGN.example")),
        (|c| c.origin = "http://countersign.example".to_owned(), origin("http://countersign.example")),
        (
            |c| c.origin = "https://countersign.example.evil.example".to_owned(),
            origin("https://countersign.example.evil.example"),
        ),
        (|c| c.members = r#","crossOrigin":true"#, Refusal::CrossOrigin),
        (
            |c| c.members = r#","crossOrigin":false,"topOrigin":"https://evil.example""#,
            Refusal::TopOrigin { origin: "https://evil.example".to_owned() },
        ),
        (
            |c| c.members = r#","crossOrigin":true,"topOrigin":"https://evil.example""#,
            Refusal::TopOrigin { origin: "https://evil.example".to_owned() },
        ),
        (
            |c| c.members = r#","origin":"https://countersign.example""#,
            Refusal::ClientDataDuplicateKey { key: "origin".to_owned() },
        ),
        (|c| c.members = r#","crossOrigin":"true""#, malformed("`crossOrigin` is not true or false")),
        (|c| c.rp_id = "evil.example", Refusal::RelyingPartyMismatch),
        (|c| c.flags &= !UP, Refusal::UserNotPresent),
        (|c| c.flags &= !UV, Refusal::UserNotVerified),
        (|c| c.flags |= BS, Refusal::BackupStateImpossible),
        (|c| c.tail.push(0), Refusal::AuthenticatorDataTrailing { bytes: 1 }),
        (|c| c.tail.resize(5000, 0), Refusal::AuthenticatorDataTooLong { bytes: 5037 }),
    ]
}
