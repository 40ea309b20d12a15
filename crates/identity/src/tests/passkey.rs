use super::*;

const CHALLENGE: [u8; 32] = [7; 32];
const CAROL: u8 = 3;

/// With Carol, who has no key yet.
fn with_carol() -> Directory {
    let mut directory = directory();
    apply(&mut directory, DirectoryEvent::PersonAdded { id: person(CAROL), name: "carol".to_owned() });
    directory
}

fn enrol_at(
    directory: &Directory,
    ceremony: Ceremony,
    at: Timestamp,
    response: &Value,
) -> Result<Enrolled, IdentityError> {
    let relying_party = relying_party();
    let passkeys = Passkeys { directory, relying_party: &relying_party, now: at };
    passkeys.enrol(&Pending::new(ceremony, now(), CHALLENGE), &bytes(response), "phone")
}

fn enrol(response: &Value) -> Result<Enrolled, IdentityError> {
    enrol_at(&with_carol(), Ceremony::Enrol { person: person(CAROL) }, now(), response)
}

fn login_at(
    directory: &Directory,
    ceremony: Ceremony,
    at: Timestamp,
    response: &Value,
) -> Result<Login, IdentityError> {
    let relying_party = relying_party();
    let passkeys = Passkeys { directory, relying_party: &relying_party, now: at };
    passkeys.login(&Pending::new(ceremony, now(), CHALLENGE), &bytes(response))
}

fn login(response: &Value) -> Result<Login, IdentityError> {
    login_at(&directory(), Ceremony::Login {}, now(), response)
}

#[test]
fn a_new_passkey_is_what_the_directory_enrols() {
    let carol = Authenticator::of(CAROL);
    let enrolled = enrol(&carol.create(&CHALLENGE)).unwrap();
    assert_eq!(enrolled.passkey, Passkey { label: "phone".to_owned(), ..carol.enrolled() });
    assert_eq!((enrolled.login.person(), enrolled.login.at()), (person(CAROL), now()));

    // The session that it opens is dead until the directory has the key.
    let session = Session::open(&enrolled.login, SessionKind::Console, [1; 32]);
    let mut directory = with_carol();
    assert_eq!(chain_of_session(&session, &directory, now()).unwrap_err().code(), "passkey-revoked");
    apply(&mut directory, DirectoryEvent::KeyEnrolled { person: person(CAROL), key: enrolled.passkey });
    chain_of_session(&session, &directory, now()).unwrap();
    let login = login_at(&directory, Ceremony::Login {}, now(), &carol.get(&CHALLENGE)).unwrap();
    assert_eq!(login.person(), person(CAROL));
}

#[test]
fn an_enrolment_is_for_its_person_its_time_and_its_challenge() {
    let good = Authenticator::of(CAROL).create(&CHALLENGE);
    let carol = Ceremony::Enrol { person: person(CAROL) };
    let refused =
        |directory: &Directory, ceremony, at| enrol_at(directory, ceremony, at, &good).unwrap_err().code();
    enrol_at(&with_carol(), carol, later(299), &good).unwrap();
    assert_eq!(refused(&with_carol(), carol, later(300)), "expired");
    assert_eq!(refused(&with_carol(), Ceremony::Login {}, now()), "other-ceremony");
    assert_eq!(refused(&with_carol(), Ceremony::StepUp { person: person(CAROL) }, now()), "other-ceremony");
    assert_eq!(refused(&directory(), carol, now()), "person-inactive");
    let mut left = with_carol();
    apply(&mut left, DirectoryEvent::PersonDeactivated { id: person(CAROL) });
    assert_eq!(refused(&left, carol, now()), "person-inactive");

    let enrolment = |response: &Value| enrol(response).unwrap_err();
    let other = Authenticator::of(CAROL).create(&[8; 32]);
    assert_eq!(enrolment(&other), IdentityError::Enrolment(assertion::Refusal::ChallengeMismatch));
    let unverified = Authenticator { flags: USER_PRESENT, ..Authenticator::of(CAROL) }.create(&CHALLENGE);
    assert_eq!(enrolment(&unverified), IdentityError::Enrolment(assertion::Refusal::UserNotVerified));
    let phished =
        Authenticator { origin: "https://evil.example", ..Authenticator::of(CAROL) }.create(&CHALLENGE);
    assert_eq!(enrolment(&phished).code(), "enrolment");
    let elsewhere = Authenticator { rp_id: "evil.example", ..Authenticator::of(CAROL) }.create(&CHALLENGE);
    assert_eq!(enrolment(&elsewhere), IdentityError::Enrolment(assertion::Refusal::RelyingPartyMismatch));
    // Bob's key, for Carol.
    let bobs = Authenticator::of(BOB).create(&CHALLENGE);
    assert_eq!(enrolment(&bobs), IdentityError::PasskeyEnrolled);
    // An id that is not the credential's.
    let mut renamed = good.clone();
    renamed["id"] = json!(b64([1; 16]));
    assert_eq!(enrolment(&renamed).code(), "unreadable");
    renamed["rawId"] = json!(b64([1; 16]));
    assert_eq!(enrolment(&renamed).code(), "unreadable");
    // An assertion is no registration.
    assert_eq!(enrolment(&Authenticator::of(CAROL).get(&CHALLENGE)).code(), "unreadable");
}

#[test]
fn a_passkey_says_who_signs_in() {
    let mut bob = Authenticator::of(BOB);
    let found = login(&bob.get(&CHALLENGE)).unwrap();
    assert_eq!((found.person(), found.key(), found.at()), (person(BOB), &Blob(bob.id.clone()), now()));
    bob.user_handle = None;
    login(&bob.get(&CHALLENGE)).unwrap();
    login_at(&directory(), Ceremony::StepUp { person: person(BOB) }, now(), &bob.get(&CHALLENGE)).unwrap();
}

#[test]
fn a_sign_in_is_by_an_enrolled_key_of_somebody_active() {
    let bob = || Authenticator::of(BOB);
    let refused = |authenticator: Authenticator| login(&authenticator.get(&CHALLENGE)).unwrap_err();
    let passkey = |why| IdentityError::Passkey(why);
    assert_eq!(refused(Authenticator::of(CAROL)), IdentityError::PasskeyUnknown);
    let forged = Authenticator { key: SigningKey::from_bytes(&[1; 32]), ..bob() };
    assert_eq!(refused(forged), passkey(assertion::Refusal::SignatureMismatch));
    let unverified = Authenticator { flags: USER_PRESENT, ..bob() };
    assert_eq!(refused(unverified), passkey(assertion::Refusal::UserNotVerified));
    let absent = Authenticator { flags: USER_VERIFIED, ..bob() };
    assert_eq!(refused(absent), passkey(assertion::Refusal::UserNotPresent));
    assert_eq!(refused(Authenticator { origin: "https://evil.example", ..bob() }).code(), "passkey");
    let elsewhere = Authenticator { rp_id: "evil.example", ..bob() };
    assert_eq!(refused(elsewhere), passkey(assertion::Refusal::RelyingPartyMismatch));
    // The authenticator says that the key is Alice's.
    let handle = Authenticator { user_handle: Authenticator::of(ALICE).user_handle, ..bob() };
    assert_eq!(refused(handle), IdentityError::OtherPerson);
    assert_eq!(refused(Authenticator { user_handle: Some(Vec::new()), ..bob() }), IdentityError::OtherPerson);
    // Alice's id over Bob's signature.
    assert_eq!(refused(Authenticator { id: Authenticator::of(ALICE).id, ..bob() }).code(), "passkey");

    let mut left = directory();
    apply(&mut left, DirectoryEvent::PersonDeactivated { id: person(BOB) });
    let mut revoked = directory();
    let credential_id = Blob(bob().id);
    apply(&mut revoked, DirectoryEvent::KeyRevoked { person: person(BOB), credential_id });
    for directory in [left, revoked] {
        let refused = login_at(&directory, Ceremony::Login {}, now(), &bob().get(&CHALLENGE));
        assert_eq!(refused, Err(IdentityError::PasskeyUnknown));
    }
}

#[test]
fn a_sign_in_is_for_its_ceremony_its_time_and_its_challenge() {
    let good = Authenticator::of(BOB).get(&CHALLENGE);
    let refused = |ceremony, at| login_at(&directory(), ceremony, at, &good).unwrap_err().code();
    assert_eq!(refused(Ceremony::Login {}, later(300)), "expired");
    assert_eq!(refused(Ceremony::Enrol { person: person(BOB) }, now()), "other-ceremony");
    assert_eq!(refused(Ceremony::StepUp { person: person(ALICE) }, now()), "other-person");
    let other = Authenticator::of(BOB).get(&[8; 32]);
    assert_eq!(login(&other), Err(IdentityError::Passkey(assertion::Refusal::ChallengeMismatch)));
    assert_eq!(login(&Authenticator::of(BOB).create(&CHALLENGE)).unwrap_err().code(), "unreadable");
    // What Bob signed as a review does not sign him in.
    let review = assertion::statement_challenge(b"{}");
    let answer = Authenticator::of(BOB).get(&review);
    assert_eq!(login(&answer), Err(IdentityError::Passkey(assertion::Refusal::ChallengeMismatch)));
}

#[test]
fn an_answer_finds_the_challenge_that_was_kept_for_it() {
    let pending = Pending::new(Ceremony::Login {}, now(), CHALLENGE);
    assert_eq!(Pending::read(&pending.write().unwrap()), Ok(pending.clone()));
    for answer in [Authenticator::of(BOB).get(&CHALLENGE), Authenticator::of(BOB).create(&CHALLENGE)] {
        assert_eq!(Pending::vault_key_of(&bytes(&answer)), Ok(pending.vault_key()));
    }
    assert!(pending.vault_key().starts_with("challenge/"));
    assert_eq!(Pending::vault_key_of(b"{}").unwrap_err().code(), "unreadable");
    assert_eq!(Pending::vault_key_of(&vec![b' '; 100_000]).unwrap_err().code(), "too-large");
    let short = Pending { challenge: Blob(vec![1; 16]), ..pending };
    assert_eq!(Pending::read(&short.write().unwrap()).unwrap_err().code(), "unreadable");
    assert_eq!(Pending::read(b"{}").unwrap_err().code(), "stored");
}

#[test]
fn an_answer_with_two_readings_is_refused() {
    let good = Authenticator::of(BOB).get(&CHALLENGE).to_string();
    let twice = good.replacen('{', r#"{"id":"AQ","#, 1);
    let relying_party = relying_party();
    let directory = directory();
    let passkeys = Passkeys { directory: &directory, relying_party: &relying_party, now: now() };
    let pending = Pending::new(Ceremony::Login {}, now(), CHALLENGE);
    assert!(passkeys.login(&pending, good.as_bytes()).is_ok());
    assert_eq!(passkeys.login(&pending, twice.as_bytes()).unwrap_err().code(), "unreadable");
    let other = good.replace("public-key", "password");
    assert_eq!(passkeys.login(&pending, other.as_bytes()).unwrap_err().code(), "unreadable");
}

#[test]
fn the_browser_is_asked_for_what_is_checked() {
    let (directory, relying_party) = (directory(), relying_party());
    let passkeys = Passkeys { directory: &directory, relying_party: &relying_party, now: now() };
    let pending = Pending::new(Ceremony::Enrol { person: person(BOB) }, now(), CHALLENGE);
    let bob = directory.person(person(BOB)).unwrap();
    let keys = json!([{ "type": "public-key", "id": b64([BOB; 16]) }]);
    assert_eq!(
        passkeys.creation_options(bob, &pending),
        json!({
            "rp": { "id": "countersign.example", "name": "Countersign" },
            "user": { "id": b64(person(BOB).uuid().as_bytes()), "name": "bob", "displayName": "bob" },
            "challenge": b64(CHALLENGE),
            "pubKeyCredParams": [{ "type": "public-key", "alg": -7 }, { "type": "public-key", "alg": -8 }],
            "timeout": 300_000,
            "excludeCredentials": keys,
            "authenticatorSelection": {
                "residentKey": "required", "requireResidentKey": true, "userVerification": "required",
            },
            "attestation": "none",
        })
    );
    let request = |allow| {
        json!({
            "challenge": b64(CHALLENGE), "rpId": "countersign.example", "userVerification": "required",
            "allowCredentials": allow, "timeout": 300_000,
        })
    };
    assert_eq!(passkeys.login_options(&pending), request(json!([])));
    assert_eq!(passkeys.request_options(&CHALLENGE, &bob.keys), request(keys));
}
