//! Every test of a refusal changes one thing of a credential that passes, and signs it afresh, so that
//! nothing but the check under test can refuse it.

mod agent;
mod arbitrary;
mod chain;
mod passkey;
mod relying_party;
mod reviewer;
mod session;
mod software;
mod ssh;
mod token;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::digest::Blob;
use domain::directory::{Directory, DirectoryEvent, Passkey};
use domain::id::{AgentId, Origin, PersonId};
use domain::time::{Span, Timestamp};
use ed25519_dalek::{Signer as _, SigningKey};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::*;

const ORIGIN: &str = "countersign.example/log";
const TOKEN_ENDPOINT: &str = "https://countersign.example/oauth/token";
const NOW_SECONDS: u64 = 1_790_000_000;

fn now() -> Timestamp {
    Timestamp::from_micros(NOW_SECONDS * 1_000_000)
}

fn later(seconds: u64) -> Timestamp {
    now().after(Span::from_seconds(seconds))
}

fn earlier(seconds: u64) -> Timestamp {
    Timestamp::from_micros((NOW_SECONDS - seconds) * 1_000_000)
}

fn origin() -> Origin {
    ORIGIN.parse().unwrap()
}

fn person(n: u8) -> PersonId {
    PersonId::new(now(), &[n; 10])
}

fn agent(n: u8) -> AgentId {
    AgentId::new(now(), &[n; 10])
}

const ALICE: u8 = 1;
const BOB: u8 = 2;
const BOT: u8 = 11;
const OTHER_BOT: u8 = 12;

fn relying_party() -> assertion::RelyingParty {
    crate::relying_party("https://countersign.example").unwrap()
}

/// Alice sponsors two agents; Alice and Bob have a passkey each and are administrators; Bob is a `dba`.
fn directory() -> Directory {
    let mut directory = Directory::default();
    let admins = domain::id::GroupName::admins();
    for (n, name) in [(ALICE, "alice"), (BOB, "bob")] {
        apply(&mut directory, DirectoryEvent::PersonAdded { id: person(n), name: name.to_owned() });
        let key = Authenticator::of(n).enrolled();
        apply(&mut directory, DirectoryEvent::KeyEnrolled { person: person(n), key });
        apply(&mut directory, DirectoryEvent::GroupJoined { group: admins.clone(), person: person(n) });
    }
    apply(&mut directory, DirectoryEvent::GroupJoined { group: "dba".parse().unwrap(), person: person(BOB) });
    for n in [BOT, OTHER_BOT] {
        let (id, name, key) = (agent(n), format!("bot-{n}"), agent_key(n).public());
        apply(&mut directory, DirectoryEvent::AgentAdded { id, name, sponsor: person(ALICE), key });
    }
    directory
}

fn apply(directory: &mut Directory, event: DirectoryEvent) {
    directory.apply(&event, now()).unwrap();
}

fn agent_key(n: u8) -> AgentKey {
    AgentKey::new(&[n; 32])
}

fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A JWT, every part of it changeable.
#[derive(Clone)]
struct Jwt {
    header: String,
    claims: String,
    secret: [u8; 32],
}

impl Jwt {
    fn claims(&mut self, change: impl FnOnce(&mut Value)) {
        let mut claims = serde_json::from_str(&self.claims).unwrap();
        change(&mut claims);
        self.claims = claims.to_string();
    }

    fn signed(&self) -> String {
        format!("{}.{}", b64(&self.header), b64(&self.claims))
    }

    fn ed25519(&self) -> String {
        let signed = self.signed();
        let signature = SigningKey::from_bytes(&self.secret).sign(signed.as_bytes());
        format!("{signed}.{}", b64(signature.to_bytes()))
    }

    fn hmac(&self, key: &[u8]) -> String {
        use hmac::{KeyInit as _, Mac as _};
        let signed = self.signed();
        let mut mac = hmac::Hmac::<Sha256>::new_from_slice(key).unwrap();
        mac.update(signed.as_bytes());
        format!("{signed}.{}", b64(mac.finalize().into_bytes()))
    }
}

/// A browser and an authenticator with one Ed25519 passkey, every part of what they say changeable.
#[derive(Clone)]
struct Authenticator {
    key: SigningKey,
    id: Vec<u8>,
    origin: &'static str,
    rp_id: &'static str,
    flags: u8,
    user_handle: Option<Vec<u8>>,
}

const USER_PRESENT: u8 = 0x01;
const USER_VERIFIED: u8 = 0x04;
const ATTESTED: u8 = 0x40;

impl Authenticator {
    /// The passkey of a person.
    fn of(n: u8) -> Self {
        Self {
            key: SigningKey::from_bytes(&[100 + n; 32]),
            id: vec![n; 16],
            origin: "https://countersign.example",
            rp_id: "countersign.example",
            flags: USER_PRESENT | USER_VERIFIED,
            user_handle: Some(person(n).uuid().as_bytes().to_vec()),
        }
    }

    fn cose(&self) -> Vec<u8> {
        let head = [0xa4, 0x01, 0x01, 0x03, 0x27, 0x20, 0x06, 0x21, 0x58, 0x20];
        [head.as_slice(), self.key.verifying_key().as_bytes()].concat()
    }

    fn enrolled(&self) -> Passkey {
        Passkey {
            credential_id: Blob(self.id.clone()),
            public_key: Blob(self.cose()),
            rp_id: self.rp_id.to_owned(),
            origin: self.origin.to_owned(),
            label: "laptop".to_owned(),
        }
    }

    fn client_data(&self, kind: &str, challenge: &[u8]) -> Vec<u8> {
        let (challenge, origin) = (b64(challenge), self.origin);
        json!({ "type": kind, "challenge": challenge, "origin": origin, "crossOrigin": false })
            .to_string()
            .into_bytes()
    }

    fn authenticator_data(&self, flags: u8, tail: &[u8]) -> Vec<u8> {
        let hash = Sha256::digest(self.rp_id);
        [hash.as_slice(), &[flags], &[0; 4], tail].concat()
    }

    /// `RegistrationResponseJSON`.
    fn create(&self, challenge: &[u8]) -> Value {
        let length = u16::try_from(self.id.len()).unwrap().to_be_bytes();
        let tail = [[0; 16].as_slice(), &length, &self.id, &self.cose()].concat();
        let data = self.authenticator_data(self.flags | ATTESTED, &tail);
        let head = b"\xa3\x63fmt\x64none\x67attStmt\xa0\x68authData\x58";
        let object = [head.as_slice(), &[u8::try_from(data.len()).unwrap()], &data].concat();
        json!({
            "type": "public-key",
            "id": b64(&self.id),
            "rawId": b64(&self.id),
            "authenticatorAttachment": "platform",
            "clientExtensionResults": { "credProps": { "rk": true } },
            "response": {
                "clientDataJSON": b64(self.client_data("webauthn.create", challenge)),
                "attestationObject": b64(object),
                "transports": ["internal"],
            },
        })
    }

    /// `AuthenticationResponseJSON`.
    fn get(&self, challenge: &[u8]) -> Value {
        let client_data = self.client_data("webauthn.get", challenge);
        let data = self.authenticator_data(self.flags, &[]);
        let signature = self.key.sign(&[data.as_slice(), &Sha256::digest(&client_data)].concat());
        json!({
            "type": "public-key",
            "id": b64(&self.id),
            "rawId": b64(&self.id),
            "clientExtensionResults": {},
            "response": {
                "clientDataJSON": b64(client_data),
                "authenticatorData": b64(data),
                "signature": b64(signature.to_bytes()),
                "userHandle": self.user_handle.as_ref().map(b64),
            },
        })
    }
}

fn bytes(value: &Value) -> Vec<u8> {
    value.to_string().into_bytes()
}

/// A person who has just signed in.
fn login(n: u8) -> Login {
    let (directory, relying_party) = (directory(), relying_party());
    let passkeys = Passkeys { directory: &directory, relying_party: &relying_party, now: now() };
    let pending = Pending::new(Ceremony::Login {}, now(), [7; 32]);
    passkeys.login(&pending, &bytes(&Authenticator::of(n).get(&[7; 32]))).unwrap()
}

/// An agent that has just proved its key.
fn proven(n: u8) -> ProvenAgent {
    let jwt = agent_key(n).assertion(agent(n), ORIGIN, now(), &[5; 16]).unwrap();
    check_agent_assertion(&jwt, &directory(), &[ORIGIN], now()).unwrap().claimed(true).unwrap()
}
