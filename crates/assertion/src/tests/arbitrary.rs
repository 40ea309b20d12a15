//! Whatever the bytes: no panic, and what is accepted has one meaning.

use proptest::prelude::*;

use super::*;

/// A good ceremony with one run of bytes replaced.
fn spliced(good: Vec<u8>) -> impl Strategy<Value = Vec<u8>> {
    let length = good.len();
    (0..=length, 0..8_usize, prop::collection::vec(any::<u8>(), 0..8)).prop_map(move |(start, cut, new)| {
        let mut bytes = good.clone();
        bytes.splice(start..(start + cut).min(length), new);
        bytes
    })
}

fn bytes(limit: usize) -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..limit)
}

fn client_data() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        bytes(128),
        spliced(Ceremony::get(Signer::es256(7)).client_data_json()),
        r#"\{("(type|challenge|origin|crossOrigin|x)":("AQ"|true|\{\}|\[1\]),?){0,5}\}"#
            .prop_map(String::into_bytes),
    ]
}

fn authenticator_data() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        bytes(256),
        spliced(Ceremony::get(Signer::es256(7)).authenticator_data()),
        spliced(Ceremony::create(Signer::es256(7)).authenticator_data()),
        spliced(Ceremony::create(Signer::eddsa(7)).authenticator_data()),
    ]
}

fn cose() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        bytes(96),
        spliced(encode(&Value::Map(Signer::es256(7).cose()))),
        spliced(encode(&Value::Map(Signer::eddsa(7).cose()))),
    ]
}

proptest! {
    #[test]
    fn client_data_that_is_read_has_no_second_reading(json in client_data()) {
        if let Ok(client_data) = ClientData::parse(&json) {
            let text = std::str::from_utf8(&json).unwrap();
            let value: serde_json::Value = serde_json::from_str(text).unwrap();
            prop_assert_eq!(value["type"].as_str(), Some(client_data.kind.as_str()));
            prop_assert_eq!(value["origin"].as_str(), Some(client_data.origin.as_str()));
            let challenge = base64url::encode(&client_data.challenge);
            prop_assert_eq!(value["challenge"].as_str(), Some(challenge.as_str()));
            prop_assert_eq!(value["crossOrigin"].as_bool().unwrap_or(false), client_data.cross_origin);
        }
    }

    #[test]
    fn authenticator_data_never_panics(bytes in authenticator_data()) {
        if let Ok(data) = AuthenticatorData::parse(&bytes) {
            prop_assert_eq!(data.rp_id_hash.as_slice(), &bytes[..32]);
            prop_assert_eq!(data.flags.attested(), data.attested.is_some());
        }
    }

    #[test]
    fn a_key_that_is_read_has_one_encoding(bytes in cose()) {
        if let Ok(key) = PublicKey::from_cose(&bytes) {
            prop_assert_eq!(key.to_cose(), bytes);
        }
    }

    #[test]
    fn signatures_never_panic(message in bytes(64), signature in bytes(96)) {
        for signer in signers() {
            prop_assert!(signer.public_key().verify(&message, &signature).is_err());
        }
    }

    #[test]
    fn spliced_signatures_never_pass(signature in spliced(Signer::es256(7).sign(b"message"))) {
        let signer = Signer::es256(7);
        let passes = signer.public_key().verify(b"message", &signature).is_ok();
        prop_assert_eq!(passes, signature == signer.sign(b"message"));
    }

    #[test]
    fn attestation_objects_never_panic(
        object in prop_oneof![
            bytes(256),
            spliced(Ceremony::create(Signer::es256(7)).attestation_object()),
        ],
    ) {
        let json = Ceremony::create(Signer::es256(7)).client_data_json();
        let required = UserVerification::Required;
        if check_registration(&relying_party(), &challenge(), &json, &object, required).is_err() {
            prop_assert_ne!(object, Ceremony::create(Signer::es256(7)).attestation_object());
        }
    }

    #[test]
    fn what_is_not_the_signed_assertion_is_refused(
        json in client_data(),
        data in authenticator_data(),
        signature in bytes(80),
    ) {
        let signer = Signer::es256(7);
        let good = Ceremony::get(signer.clone()).assertion();
        for changed in [
            Assertion { client_data_json: json, ..good.clone() },
            Assertion { authenticator_data: data, ..good.clone() },
            Assertion { signature, ..good.clone() },
        ] {
            let key = signer.public_key();
            let preferred = UserVerification::Preferred;
            let passes =
                check_assertion(&relying_party(), &challenge(), &key, &changed, preferred).is_ok();
            prop_assert_eq!(passes, changed == good);
        }
    }
}
