use super::*;

fn check(change: impl Fn(&mut Ceremony), expected: &Refusal) {
    for signer in signers() {
        let mut ceremony = Ceremony::get(signer);
        change(&mut ceremony);
        assert_eq!(ceremony.check_assertion().as_ref(), Err(expected));
    }
}

#[test]
fn a_good_assertion_passes() {
    for signer in signers() {
        let checked = Ceremony::get(signer).check_assertion().unwrap();
        assert_eq!(
            checked,
            Checked {
                user_present: true,
                user_verified: true,
                counter: 7,
                backup_eligible: false,
                backed_up: false,
                origin: ORIGIN.to_owned(),
            }
        );
    }
}

#[test]
fn every_allowed_origin_passes_and_backup_is_reported() {
    let mut ceremony = Ceremony::get(Signer::eddsa(7));
    ceremony.origin = "https://console.countersign.example:8443".to_owned();
    ceremony.flags |= BE | BS;
    let checked = ceremony.check_assertion().unwrap();
    assert!(checked.backup_eligible && checked.backed_up);
    assert_eq!(checked.origin, ceremony.origin);
}

#[test]
fn no_origin_is_allowed_where_none_is_listed() {
    let ceremony = Ceremony::get(Signer::eddsa(7));
    let nowhere = RelyingParty { id: RP_ID.to_owned(), origins: Vec::new() };
    let key = ceremony.signer.public_key();
    let required = UserVerification::Required;
    assert_eq!(
        check_assertion(&nowhere, &challenge(), &key, &ceremony.assertion(), required),
        Err(Refusal::OriginNotAllowed { origin: ORIGIN.to_owned() })
    );
}

#[test]
fn each_change_is_refused_for_its_own_reason() {
    for (change, expected) in shared_refusals() {
        check(change, &expected);
    }
}

#[test]
fn a_registration_is_not_an_assertion() {
    let wrong = Refusal::WrongType { expected: "webauthn.get", found: "webauthn.create".to_owned() };
    check(|c| c.kind = "webauthn.create", &wrong);
    let wrong = Refusal::WrongType { expected: "webauthn.get", found: "payment.get".to_owned() };
    check(|c| c.kind = "payment.get", &wrong);
    check(
        |c| {
            let created = Ceremony::create(c.signer.clone());
            (c.flags, c.tail) = (created.flags, created.tail);
        },
        &Refusal::CredentialUnexpected,
    );
}

#[test]
fn verification_may_be_preferred_but_presence_never() {
    let mut ceremony = Ceremony::get(Signer::es256(7));
    let preferred = |ceremony: &Ceremony| {
        let key = ceremony.signer.public_key();
        let preferred = UserVerification::Preferred;
        check_assertion(&relying_party(), &challenge(), &key, &ceremony.assertion(), preferred)
    };
    assert!(preferred(&ceremony).unwrap().user_verified);
    ceremony.flags = UP;
    assert!(!preferred(&ceremony).unwrap().user_verified);
    ceremony.flags = UV;
    assert_eq!(preferred(&ceremony), Err(Refusal::UserNotPresent));
}

#[test]
fn another_statement_is_another_challenge() {
    let ceremony = Ceremony::get(Signer::es256(7));
    let other = statement_challenge(br#"{"verdict":"deny"}"#);
    let key = ceremony.signer.public_key();
    let required = UserVerification::Required;
    assert_eq!(
        check_assertion(&relying_party(), &other, &key, &ceremony.assertion(), required),
        Err(Refusal::ChallengeMismatch)
    );
}

#[test]
fn a_short_challenge_is_never_expected() {
    let mut ceremony = Ceremony::get(Signer::es256(7));
    let key = ceremony.signer.public_key();
    let required = UserVerification::Required;
    for length in [0, 15] {
        let short = vec![1; length];
        ceremony.challenge = base64url::encode(&short);
        assert_eq!(
            check_assertion(&relying_party(), &short, &key, &ceremony.assertion(), required),
            Err(Refusal::ExpectedChallengeTooShort { bytes: length })
        );
    }
    let enough = [1; MIN_CHALLENGE_BYTES];
    ceremony.challenge = base64url::encode(&enough);
    check_assertion(&relying_party(), &enough, &key, &ceremony.assertion(), required).unwrap();
}

#[test]
fn another_key_is_refused() {
    for signer in signers() {
        let assertion = Ceremony::get(signer.clone()).assertion();
        for other in [Signer::es256(8), Signer::eddsa(8)] {
            let key = other.public_key();
            let required = UserVerification::Required;
            let refusal = check_assertion(&relying_party(), &challenge(), &key, &assertion, required);
            let same_algorithm = key.algorithm() == signer.public_key().algorithm();
            let expected =
                if same_algorithm { Refusal::SignatureMismatch } else { Refusal::SignatureMalformed };
            assert_eq!(refusal, Err(expected));
        }
    }
}

#[test]
fn no_bit_can_be_flipped() {
    let parts: [fn(&mut Assertion) -> &mut Vec<u8>; 3] =
        [|a| &mut a.signature, |a| &mut a.authenticator_data, |a| &mut a.client_data_json];
    for signer in signers() {
        let key = signer.public_key();
        let good = Ceremony::get(signer).assertion();
        for part in parts {
            let bits = part(&mut good.clone()).len() * 8;
            for bit in 0..bits {
                let mut flipped = good.clone();
                part(&mut flipped)[bit / 8] ^= 1 << (bit % 8);
                let preferred = UserVerification::Preferred;
                check_assertion(&relying_party(), &challenge(), &key, &flipped, preferred).unwrap_err();
            }
        }
    }
}

#[test]
fn what_no_other_check_reads_is_still_signed() {
    // The counter and unknown members of the client data: only the signature guards them.
    let good = Ceremony::get(Signer::es256(7));
    let key = good.signer.public_key();
    let mut counter = good.assertion();
    counter.authenticator_data[36] ^= 1;
    let mut member = good.assertion();
    member.client_data_json = Ceremony { members: r#","x":1"#, ..good }.client_data_json();
    for changed in [counter, member] {
        let required = UserVerification::Required;
        assert_eq!(
            check_assertion(&relying_party(), &challenge(), &key, &changed, required),
            Err(Refusal::SignatureMismatch)
        );
    }
}

#[test]
fn extension_outputs_are_read_over_strictly() {
    let good = encode(&cbor!({"credProtect" => 2}).unwrap());
    for signer in signers() {
        let mut ceremony = Ceremony::get(signer);
        ceremony.flags |= ED;
        ceremony.tail.clone_from(&good);
        ceremony.check_assertion().unwrap();
    }
    let with_tail = |tail: &'static [u8]| {
        move |c: &mut Ceremony| {
            c.flags |= ED;
            c.tail = tail.to_vec();
        }
    };
    let repeated = b"\xa2\x61a\x01\x61a\x02";
    let indefinite = b"\xbf\x61a\x01\xff";
    let long_form = b"\xa1\x61a\x18\x01";
    let number_key = b"\xa1\x01\x01";
    let not_a_map = b"\x80";
    let nested_repeated = b"\xa1\x61a\x81\xa2\x01\x01\x01\x01";
    for tail in [b"".as_slice(), repeated, indefinite, long_form, number_key, not_a_map, nested_repeated] {
        check(with_tail(tail), &Refusal::ExtensionsMalformed);
    }
    check(with_tail(b"\xa0\x00"), &Refusal::AuthenticatorDataTrailing { bytes: 1 });
}

#[test]
fn a_user_handle_has_a_limit() {
    check(|c| c.user_handle = Some(vec![0; 65]), &Refusal::UserHandleTooLong { bytes: 65 });
    let mut ceremony = Ceremony::get(Signer::es256(7));
    ceremony.user_handle = Some(vec![0; MAX_USER_HANDLE_BYTES]);
    ceremony.check_assertion().unwrap();
}

#[test]
fn the_counter_moves_forward_or_stays_at_zero() {
    let mut ceremony = Ceremony::get(Signer::es256(7));
    let checked = ceremony.check_assertion().unwrap();
    assert!(checked.counter_advanced(6));
    assert!(!checked.counter_advanced(7));
    assert!(!checked.counter_advanced(8));
    ceremony.counter = 0;
    let checked = ceremony.check_assertion().unwrap();
    assert!(checked.counter_advanced(0));
    assert!(!checked.counter_advanced(1));
}

#[test]
fn the_statement_challenge_is_a_prefixed_hash() {
    let preimage = b"countersign/approval-statement/v1\n{\"verdict\":\"approve\"}";
    assert_eq!(statement_challenge(STATEMENT), <[u8; 32]>::from(Sha256::digest(preimage)));
    let preimage = b"countersign/later-review-statement/v1\n{\"verdict\":\"approve\"}";
    assert_eq!(crate::later_challenge(STATEMENT), <[u8; 32]>::from(Sha256::digest(preimage)));
    assert_eq!(crate::later_message(STATEMENT), preimage);
    assert_ne!(crate::LATER_NAMESPACE, crate::STATEMENT_NAMESPACE);
}

#[test]
fn an_assertion_is_one_flat_json_object() {
    let id = CredentialId::new(vec![0xfb, 0xff]).unwrap();
    let assertion = Assertion {
        credential_id: id,
        client_data_json: b"{}".to_vec(),
        authenticator_data: vec![1],
        signature: vec![2],
        user_handle: Some(vec![3]),
    };
    let json = r#"{"credentialId":"-_8","clientDataJSON":"e30","authenticatorData":"AQ","signature":"Ag","userHandle":"Aw"}"#;
    assert_eq!(serde_json::to_string(&assertion).unwrap(), json);
    assert_eq!(serde_json::from_str::<Assertion>(json).unwrap(), assertion);

    let without = Assertion { user_handle: None, ..assertion };
    let json = r#"{"credentialId":"-_8","clientDataJSON":"e30","authenticatorData":"AQ","signature":"Ag"}"#;
    assert_eq!(serde_json::to_string(&without).unwrap(), json);
    assert_eq!(serde_json::from_str::<Assertion>(json).unwrap(), without);
}

#[test]
fn a_loose_json_assertion_is_refused() {
    for json in [
        r#"{"credentialId":"","clientDataJSON":"e30","authenticatorData":"AQ","signature":"Ag"}"#,
        r#"{"credentialId":"-_8=","clientDataJSON":"e30","authenticatorData":"AQ","signature":"Ag"}"#,
        r#"{"credentialId":"-_9","clientDataJSON":"e30","authenticatorData":"AQ","signature":"Ag"}"#,
        r#"{"credentialId":"+/8","clientDataJSON":"e30","authenticatorData":"AQ","signature":"Ag"}"#,
        r#"{"credentialId":"-_8","clientDataJSON":"e30","authenticatorData":"AQ"}"#,
        r#"{"credentialId":"-_8","clientDataJSON":"e30","authenticatorData":"AQ","signature":"Ag","x":1}"#,
        r#"{"credentialId":"-_8","clientDataJSON":"e30","authenticatorData":"AQ","signature":"Ag","signature":"Ag"}"#,
        r#"{"credentialId":"-_8","clientDataJSON":"e30","authenticatorData":"AQ","signature":"Ag","userHandle":1}"#,
    ] {
        serde_json::from_str::<Assertion>(json).unwrap_err();
    }
}
