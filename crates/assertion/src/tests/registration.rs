use super::*;

fn check(change: impl Fn(&mut Ceremony), expected: &Refusal) {
    for signer in signers() {
        let mut ceremony = Ceremony::create(signer);
        change(&mut ceremony);
        assert_eq!(ceremony.check_registration().as_ref(), Err(expected));
    }
}

fn malformed(reason: &'static str) -> Refusal {
    Refusal::AttestationObjectMalformed { reason }
}

#[test]
fn a_good_registration_passes() {
    for signer in signers() {
        let public_key = signer.public_key();
        let registered = Ceremony::create(signer).check_registration().unwrap();
        assert_eq!(
            registered,
            Registered {
                credential_id: CredentialId::new(b"credential".to_vec()).unwrap(),
                public_key,
                aaguid: Aaguid([0xaa; 16]),
                counter: 7,
                backup_eligible: false,
                backed_up: false,
                user_verified: true,
            }
        );
    }
}

#[test]
fn each_change_is_refused_for_its_own_reason() {
    for (change, expected) in shared_refusals() {
        check(change, &expected);
    }
}

#[test]
fn an_assertion_is_not_a_registration() {
    let wrong = Refusal::WrongType { expected: "webauthn.create", found: "webauthn.get".to_owned() };
    check(|c| c.kind = "webauthn.get", &wrong);
    check(
        |c| {
            c.flags &= !AT;
            c.tail.clear();
        },
        &Refusal::CredentialMissing,
    );
}

#[test]
fn verification_may_be_preferred() {
    let mut ceremony = Ceremony::create(Signer::es256(7));
    ceremony.flags = UP | AT | BE;
    let registered = check_registration(
        &relying_party(),
        &challenge(),
        &ceremony.client_data_json(),
        &ceremony.attestation_object(),
        UserVerification::Preferred,
    )
    .unwrap();
    assert!(!registered.user_verified);
    assert!(registered.backup_eligible && !registered.backed_up);
}

#[test]
fn any_attestation_is_read_and_none_believed() {
    let mut ceremony = Ceremony::create(Signer::es256(7));
    let expected = ceremony.check_registration();
    for statement in
        [cbor!({"alg" => -7, "sig" => Value::from([1].as_slice())}).unwrap(), cbor!(["compound"]).unwrap()]
    {
        ceremony.attestation[0].1 = Value::from("made-up");
        ceremony.attestation[1].1 = statement;
        assert_eq!(ceremony.check_registration(), expected);
    }
    ceremony.attestation.reverse();
    assert_eq!(ceremony.check_registration(), expected);
}

#[test]
fn an_attestation_object_has_three_members_and_no_more() {
    let text = Value::from;
    check(|c| drop(c.attestation.remove(0)), &malformed("`fmt` is missing or not text"));
    check(|c| c.attestation[0].1 = Value::from(1), &malformed("`fmt` is missing or not text"));
    let statement = malformed("`attStmt` is missing or neither map nor array");
    check(|c| drop(c.attestation.remove(1)), &statement);
    check(|c| c.attestation[1].1 = text("none"), &statement);
    check(|c| c.attestation.push((text("x"), text("y"))), &malformed("it has an unknown key"));
    check(|c| c.attestation.push((Value::from(1), text("y"))), &malformed("it has an unknown key"));
    check(
        |c| c.attestation.push((text("authData"), Value::Bytes(Vec::new()))),
        &malformed("it is not strict CBOR"),
    );
}

#[test]
fn an_attestation_object_has_a_limit() {
    let ceremony = Ceremony::create(Signer::es256(7));
    for (bytes, reason) in [
        (MAX_ATTESTATION_OBJECT_BYTES, malformed("it is not a CBOR map")),
        (
            MAX_ATTESTATION_OBJECT_BYTES + 1,
            Refusal::AttestationObjectTooLong { bytes: MAX_ATTESTATION_OBJECT_BYTES + 1 },
        ),
    ] {
        // A byte string with a header of three bytes.
        let object = encode(&Value::Bytes(vec![0; bytes - 3]));
        assert_eq!(object.len(), bytes);
        let json = ceremony.client_data_json();
        let required = UserVerification::Required;
        assert_eq!(check_registration(&relying_party(), &challenge(), &json, &object, required), Err(reason));
    }
}

#[test]
fn an_attestation_object_stands_alone() {
    let ceremony = Ceremony::create(Signer::es256(7));
    let object = ceremony.attestation_object();
    let check = |object: &[u8], expected: Refusal| {
        let json = ceremony.client_data_json();
        let required = UserVerification::Required;
        assert_eq!(
            check_registration(&relying_party(), &challenge(), &json, object, required),
            Err(expected)
        );
    };
    check(&[object.as_slice(), &[0]].concat(), malformed("bytes follow it"));
    check(&object[..object.len() - 1], malformed("it is not strict CBOR"));
    check(b"\x80", malformed("it is not a CBOR map"));
    check(b"\xa2\x63fmt\x64none\x67attStmt\xa0", malformed("`authData` is missing or not bytes"));
    check(
        b"\xa3\x63fmt\x64none\x67attStmt\xa0\x68authData\x01",
        malformed("`authData` is missing or not bytes"),
    );
}
