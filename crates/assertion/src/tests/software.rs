//! Round trips with an authenticator that we did not write: the `passkey` crate.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use ::passkey::authenticator::{Authenticator, UiHint, UserCheck, UserValidationMethod};
use ::passkey::client::{Client, DefaultClientData, Origin};
use ::passkey::crypto::{iana, rust_crypto::RustCryptoBackend};
use ::passkey::types::Passkey;
use ::passkey::types::ctap2::{Aaguid as PasskeyAaguid, Ctap2Error};
use ::passkey::types::webauthn::{
    AttestationConveyancePreference, AuthenticatorSelectionCriteria, CredentialCreationOptions,
    CredentialRequestOptions, PublicKeyCredentialCreationOptions, PublicKeyCredentialDescriptor,
    PublicKeyCredentialParameters, PublicKeyCredentialRequestOptions, PublicKeyCredentialRpEntity,
    PublicKeyCredentialType, PublicKeyCredentialUserEntity, UserVerificationRequirement,
};

use super::*;

/// A user who is present and, if `verified`, has a fingerprint.
struct User {
    verified: bool,
}

#[async_trait::async_trait]
impl UserValidationMethod for User {
    type PasskeyItem = Passkey;

    async fn check_user<'a>(
        &self,
        _: UiHint<'a, Passkey>,
        presence: bool,
        verification: bool,
    ) -> Result<UserCheck, Ctap2Error> {
        Ok(UserCheck { presence, verification: verification && self.verified })
    }

    fn is_presence_enabled(&self) -> bool {
        true
    }

    fn is_verification_enabled(&self) -> Option<bool> {
        Some(self.verified)
    }
}

/// The authenticator waits for nothing, so its futures are ready when first polled.
fn ready<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("the software authenticator waited"),
    }
}

fn origin() -> Origin<'static> {
    Origin::Web(std::borrow::Cow::Owned(ORIGIN.parse().unwrap()))
}

fn creation(algorithm: iana::Algorithm, wanted: UserVerificationRequirement) -> CredentialCreationOptions {
    CredentialCreationOptions {
        public_key: PublicKeyCredentialCreationOptions {
            rp: PublicKeyCredentialRpEntity { id: Some(RP_ID.to_owned()), name: "Countersign".to_owned() },
            user: PublicKeyCredentialUserEntity {
                id: b"alice".to_vec().into(),
                display_name: "Alice".to_owned(),
                name: "alice@countersign.example".to_owned(),
            },
            challenge: [9; 32].to_vec().into(),
            pub_key_cred_params: vec![PublicKeyCredentialParameters {
                ty: PublicKeyCredentialType::PublicKey,
                alg: algorithm,
            }],
            timeout: None,
            exclude_credentials: None,
            authenticator_selection: Some(AuthenticatorSelectionCriteria {
                user_verification: wanted,
                ..AuthenticatorSelectionCriteria::default()
            }),
            hints: None,
            attestation: AttestationConveyancePreference::None,
            attestation_formats: None,
            extensions: None,
        },
    }
}

fn request(credential_id: &CredentialId, wanted: UserVerificationRequirement) -> CredentialRequestOptions {
    CredentialRequestOptions {
        public_key: PublicKeyCredentialRequestOptions {
            challenge: challenge().to_vec().into(),
            timeout: None,
            rp_id: Some(RP_ID.to_owned()),
            allow_credentials: Some(vec![PublicKeyCredentialDescriptor {
                ty: PublicKeyCredentialType::PublicKey,
                id: credential_id.as_bytes().to_vec().into(),
                transports: None,
            }]),
            user_verification: wanted,
            hints: None,
            attestation: AttestationConveyancePreference::None,
            attestation_formats: None,
            extensions: None,
        },
    }
}

/// Registers and asserts once; returns what was registered and the assertion.
fn round_trip(
    algorithm: iana::Algorithm,
    verified: bool,
    demanded: UserVerification,
) -> (Result<Registered, Refusal>, Option<Assertion>) {
    let wanted = if verified {
        UserVerificationRequirement::Required
    } else {
        UserVerificationRequirement::Discouraged
    };
    let store: Option<Passkey> = None;
    let aaguid = PasskeyAaguid::from([5; 16]);
    let mut authenticator = Authenticator::new(aaguid, store, User { verified }, RustCryptoBackend);
    authenticator.set_make_credentials_with_signature_counter(true);
    let mut client = Client::new(authenticator);

    let created = ready(client.register(origin(), creation(algorithm, wanted), DefaultClientData)).unwrap();
    let registered = check_registration(
        &relying_party(),
        &[9; 32],
        &created.response.client_data_json,
        &created.response.attestation_object,
        demanded,
    );
    let Ok(registered) = registered else {
        return (registered, None);
    };
    assert_eq!(registered.credential_id.as_bytes(), created.raw_id.as_slice());
    assert_eq!(registered.aaguid, Aaguid([5; 16]));

    let request = request(&registered.credential_id, wanted);
    let got = ready(client.authenticate(origin(), request, DefaultClientData)).unwrap();
    let assertion = Assertion {
        credential_id: CredentialId::new(got.raw_id.to_vec()).unwrap(),
        client_data_json: got.response.client_data_json.to_vec(),
        authenticator_data: got.response.authenticator_data.to_vec(),
        signature: got.response.signature.to_vec(),
        user_handle: got.response.user_handle.map(|handle| handle.to_vec()),
    };
    (Ok(registered), Some(assertion))
}

#[test]
fn a_software_passkey_registers_and_signs_a_statement() {
    for (algorithm, expected) in [(iana::Algorithm::ES256, -7), (iana::Algorithm::EdDSA, -8)] {
        let required = UserVerification::Required;
        let (registered, assertion) = round_trip(algorithm, true, required);
        let (registered, assertion) = (registered.unwrap(), assertion.unwrap());
        assert_eq!(registered.public_key.algorithm(), expected);
        assert!(registered.user_verified);
        assert_eq!(assertion.credential_id, registered.credential_id);

        let kept = serde_json::to_string(&assertion).unwrap();
        let assertion: Assertion = serde_json::from_str(&kept).unwrap();
        let key = &registered.public_key;
        let checked = check_assertion(&relying_party(), &challenge(), key, &assertion, required).unwrap();
        assert!(checked.user_present && checked.user_verified);
        assert_eq!(checked.origin, ORIGIN);
        assert!(checked.counter_advanced(registered.counter));
        assert_eq!(checked.backup_eligible, registered.backup_eligible);
    }
}

#[test]
fn a_software_passkey_without_verification_is_told_so() {
    let es256 = iana::Algorithm::ES256;
    let (refused, _) = round_trip(es256, false, UserVerification::Required);
    assert_eq!(refused, Err(Refusal::UserNotVerified));

    let (registered, assertion) = round_trip(es256, false, UserVerification::Preferred);
    let (registered, assertion) = (registered.unwrap(), assertion.unwrap());
    let check = |demanded| {
        let key = &registered.public_key;
        check_assertion(&relying_party(), &challenge(), key, &assertion, demanded)
    };
    assert!(!check(UserVerification::Preferred).unwrap().user_verified);
    assert_eq!(check(UserVerification::Required), Err(Refusal::UserNotVerified));
}

#[test]
fn a_software_passkey_with_another_algorithm_is_refused() {
    let (refused, _) = round_trip(iana::Algorithm::ML_DSA_44, true, UserVerification::Required);
    assert_eq!(refused, Err(Refusal::AlgorithmNotAllowed { algorithm: -48 }));
}
