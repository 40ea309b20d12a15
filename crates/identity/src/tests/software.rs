//! Round trips with a browser and an authenticator that we did not write: the `passkey` crate, which reads
//! our options as JSON. (Its own JSON has arrays of numbers where browsers write base64url.)

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use ::passkey::authenticator::{Authenticator as Software, UiHint, UserCheck, UserValidationMethod};
use ::passkey::client::{Client, DefaultClientData, Origin as WebOrigin};
use ::passkey::crypto::rust_crypto::RustCryptoBackend;
use ::passkey::types::Passkey as Stored;
use ::passkey::types::ctap2::{Aaguid, Ctap2Error};
use ::passkey::types::webauthn::{
    AuthenticatedPublicKeyCredential, CredentialCreationOptions, CredentialRequestOptions,
};

use super::*;

/// A user who is present and has a fingerprint.
struct User;

#[async_trait::async_trait]
impl UserValidationMethod for User {
    type PasskeyItem = Stored;

    async fn check_user<'a>(
        &self,
        _: UiHint<'a, Stored>,
        presence: bool,
        verification: bool,
    ) -> Result<UserCheck, Ctap2Error> {
        Ok(UserCheck { presence, verification })
    }

    fn is_presence_enabled(&self) -> bool {
        true
    }

    fn is_verification_enabled(&self) -> Option<bool> {
        Some(true)
    }
}

/// The authenticator waits for nothing, so its futures are ready when first polled.
fn ready<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("the software authenticator waited"),
    }
}

fn signed(answer: &AuthenticatedPublicKeyCredential) -> Vec<u8> {
    bytes(&json!({
        "type": "public-key",
        "id": answer.id,
        "rawId": b64(&*answer.raw_id),
        "response": {
            "clientDataJSON": b64(&*answer.response.client_data_json),
            "authenticatorData": b64(&*answer.response.authenticator_data),
            "signature": b64(&*answer.response.signature),
            "userHandle": answer.response.user_handle.as_ref().map(|handle| b64(&**handle)),
        },
    }))
}

#[test]
fn a_software_passkey_is_enrolled_and_signs_in() {
    let mut directory = directory();
    let carol = person(3);
    apply(&mut directory, DirectoryEvent::PersonAdded { id: carol, name: "carol".to_owned() });
    let relying_party = relying_party();
    let store: Option<Stored> = None;
    let mut client = Client::new(Software::new(Aaguid::from([5; 16]), store, User, RustCryptoBackend));
    let page = || WebOrigin::Web(std::borrow::Cow::Owned("https://countersign.example".parse().unwrap()));

    let passkeys = Passkeys { directory: &directory, relying_party: &relying_party, now: now() };
    let pending = Pending::new(Ceremony::Enrol { person: carol }, now(), [1; 32]);
    let options = passkeys.creation_options(directory.person(carol).unwrap(), &pending);
    let options: CredentialCreationOptions = serde_json::from_value(json!({ "publicKey": options })).unwrap();
    let answer = ready(client.register(page(), options, DefaultClientData)).unwrap();
    let answer = bytes(&json!({
        "type": "public-key",
        "id": answer.id,
        "rawId": b64(&*answer.raw_id),
        "response": {
            "clientDataJSON": b64(&*answer.response.client_data_json),
            "attestationObject": b64(&*answer.response.attestation_object),
        },
    }));
    assert_eq!(Pending::vault_key_of(&answer), Ok(pending.vault_key()));
    let enrolled = passkeys.enrol(&pending, &answer, "software").unwrap();
    apply(&mut directory, DirectoryEvent::KeyEnrolled { person: carol, key: enrolled.passkey });

    let passkeys = Passkeys { directory: &directory, relying_party: &relying_party, now: now() };
    let pending = Pending::new(Ceremony::Login {}, now(), [2; 32]);
    let options = passkeys.login_options(&pending);
    let options: CredentialRequestOptions = serde_json::from_value(json!({ "publicKey": options })).unwrap();
    let answer = ready(client.authenticate(page(), options, DefaultClientData)).unwrap();
    assert!(answer.response.user_handle.is_some(), "a discoverable passkey names its user");
    let login = passkeys.login(&pending, &signed(&answer)).unwrap();
    assert_eq!(login.person(), carol);

    let keys = &directory.person(carol).unwrap().keys;
    let options = passkeys.request_options(&assertion::statement_challenge(b"{}"), keys);
    let options: CredentialRequestOptions = serde_json::from_value(json!({ "publicKey": options })).unwrap();
    let answer = ready(client.authenticate(page(), options, DefaultClientData)).unwrap();
    let proof = review_proof(&signed(&answer)).unwrap();
    let domain::review::Proof::Passkey(proof) = proof else { panic!("no passkey's") };
    assert_eq!(proof.credential_id, *login.key());
}
