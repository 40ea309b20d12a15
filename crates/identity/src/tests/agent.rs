use super::*;
use crate::limits::{ASSERTION_CLAIM, JWT_LIMIT_BYTES};

const AUDIENCES: [&str; 2] = [ORIGIN, TOKEN_ENDPOINT];

fn jwt() -> Jwt {
    let id = format!("agent:{}", agent(BOT));
    let claims = json!({
        "iss": id, "sub": id, "aud": ORIGIN, "jti": "one", "iat": NOW_SECONDS - 10, "exp": NOW_SECONDS + 50,
    });
    let header = r#"{"alg":"EdDSA","typ":"JWT","kid":"1"}"#.to_owned();
    Jwt { header, claims: claims.to_string(), secret: [BOT; 32] }
}

fn check(jwt: &str) -> Result<AgentAssertion, IdentityError> {
    check_agent_assertion(jwt, &directory(), &AUDIENCES, now())
}

/// The code of the refusal of a changed assertion.
fn refused(change: impl FnOnce(&mut Jwt)) -> &'static str {
    let mut jwt = jwt();
    change(&mut jwt);
    check(&jwt.ed25519()).unwrap_err().code()
}

fn refused_claims(change: impl FnOnce(&mut Value)) -> &'static str {
    refused(|jwt| jwt.claims(change))
}

fn accepted_claims(change: impl FnOnce(&mut Value)) {
    let mut jwt = jwt();
    jwt.claims(change);
    check(&jwt.ed25519()).unwrap();
}

#[test]
fn a_good_assertion_names_its_agent() {
    let assertion = check(&jwt().ed25519()).unwrap();
    assert_eq!((assertion.agent(), assertion.jti(), assertion.expires()), (agent(BOT), "one", later(50)));
    assert_eq!(assertion.claimed(true).unwrap().agent(), agent(BOT));

    let ours = agent_key(BOT).assertion(agent(BOT), TOKEN_ENDPOINT, now(), &[1; 16]).unwrap();
    assert_eq!(check(&ours).unwrap().agent(), agent(BOT));
}

#[test]
fn what_the_standard_leaves_open_is_accepted() {
    accepted_claims(|c| c["aud"] = json!(TOKEN_ENDPOINT));
    accepted_claims(|c| c["aud"] = json!([ORIGIN]));
    accepted_claims(|c| c["scope"] = json!("anything"));
    accepted_claims(|c| c["nbf"] = json!(NOW_SECONDS));
    accepted_claims(|c| {
        c["iss"] = json!(agent(BOT).to_string());
        c["sub"] = json!(agent(BOT).to_string());
    });
    for header in [r#"{"alg":"EdDSA"}"#, r#"{"alg":"EdDSA","typ":"client-authentication+jwt"}"#] {
        check(&Jwt { header: header.to_owned(), ..jwt() }.ed25519()).unwrap();
    }
}

#[test]
fn a_library_that_we_did_not_write_signs_an_assertion() {
    use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
    // PKCS #8 (RFC 8410 §7) is this prefix and the secret.
    let prefix = b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20";
    let key = EncodingKey::from_ed_der(&[prefix.as_slice(), &[BOT; 32]].concat());
    let claims: Value = serde_json::from_str(&jwt().claims).unwrap();
    let text = encode(&Header::new(Algorithm::EdDSA), &claims, &key).unwrap();
    assert_eq!(check(&text).unwrap().agent(), agent(BOT));
}

#[test]
fn algorithms_are_not_confused() {
    let public = agent_key(BOT).public().0;
    for alg in ["none", "None", "HS256", "ES256", "RS256", "eddsa", "Ed25519", ""] {
        let jwt = Jwt { header: json!({ "alg": alg }).to_string(), ..jwt() };
        for text in [jwt.ed25519(), jwt.hmac(&public), format!("{}.", jwt.signed())] {
            assert_eq!(check(&text).unwrap_err().code(), "algorithm", "{alg}");
        }
    }
    // The public key as an HMAC's, under the right name.
    assert_eq!(check(&jwt().hmac(&public)).unwrap_err().code(), "bad-signature");
    assert_eq!(check(&format!("{}.", jwt().signed())).unwrap_err().code(), "bad-signature");
}

#[test]
fn headers_that_carry_keys_or_demands_are_refused() {
    for member in [
        r#""jwk":{}"#,
        r#""jku":"x""#,
        r#""x5c":[]"#,
        r#""crit":["b64"]"#,
        r#""b64":false"#,
        r#""alg":"none""#,
    ] {
        assert_eq!(
            refused(|jwt| jwt.header = format!(r#"{{"alg":"EdDSA",{member}}}"#)),
            "unreadable",
            "{member}"
        );
    }
    assert_eq!(refused(|jwt| jwt.header = r#"{"alg":"EdDSA","typ":"at+jwt"}"#.to_owned()), "unreadable");
    assert_eq!(refused(|jwt| jwt.header = r#"{"typ":"JWT"}"#.to_owned()), "unreadable");
}

#[test]
fn claims_with_two_readings_are_refused() {
    let twice = |jwt: &mut Jwt| jwt.claims.replace_range(..1, r#"{"jti":"two","#);
    assert_eq!(refused(twice), "unreadable");
    assert_eq!(refused(|jwt| jwt.claims.push('x')), "unreadable");
    assert_eq!(refused(|jwt| jwt.header.push_str("{}")), "unreadable");
}

#[test]
fn every_required_claim_is_required() {
    for claim in ["iss", "sub", "aud", "exp", "iat", "jti"] {
        let without = |c: &mut Value| {
            c.as_object_mut().unwrap().remove(claim);
        };
        assert_eq!(refused_claims(without), "unreadable", "{claim}");
        assert_eq!(refused_claims(|c| c[claim] = Value::Null), "unreadable", "{claim}");
    }
}

#[test]
fn issuer_and_subject_are_one_agent() {
    let other = format!("agent:{}", agent(OTHER_BOT));
    assert_eq!(refused_claims(|c| c["iss"] = json!(other)), "subject");
    assert_eq!(refused_claims(|c| c["sub"] = json!(other)), "subject");
    // The same agent in another text, and a person.
    let upper = agent(BOT).to_string().to_uppercase();
    let braced = format!("{{{}}}", agent(BOT));
    for text in [
        upper,
        braced,
        format!("person:{}", person(ALICE)),
        format!("agent:agent:{}", agent(BOT)),
        String::new(),
    ] {
        let both = |c: &mut Value| {
            c["iss"] = json!(text);
            c["sub"] = json!(text);
        };
        assert_eq!(refused_claims(both), "subject", "{text}");
    }
}

#[test]
fn another_agents_key_proves_nothing() {
    assert_eq!(refused(|jwt| jwt.secret = [OTHER_BOT; 32]), "bad-signature");
    let nobody = format!("agent:{}", agent(99));
    let unknown = refused_claims(|c| {
        c["iss"] = json!(nobody);
        c["sub"] = json!(nobody);
    });
    assert_eq!(unknown, "unknown-agent");
}

#[test]
fn an_outsider_learns_nothing_of_who_exists() {
    let unknown = IdentityError::UnknownAgent(agent(99)).public();
    let mut forged = jwt();
    forged.secret = [99; 32];
    assert_eq!(check(&forged.ed25519()).unwrap_err().public(), unknown);
    // Not even by claims that would be refused later.
    forged.claims(|c| c["aud"] = json!("elsewhere"));
    forged.claims(|c| c["exp"] = json!(1));
    assert_eq!(check(&forged.ed25519()).unwrap_err().public(), unknown);
    assert_eq!(IdentityError::PasskeyUnknown.public(), unknown);
    let refusal = assertion::Refusal::SignatureMismatch;
    assert_eq!(IdentityError::Passkey(refusal).public(), unknown);
}

#[test]
fn the_audience_is_this_deployment_alone() {
    let with_slash = format!("{TOKEN_ENDPOINT}/");
    for aud in [json!("elsewhere"), json!(""), json!(with_slash), json!(["elsewhere"])] {
        assert_eq!(refused_claims(|c| c["aud"] = aud), "audience");
    }
    for aud in
        [json!([ORIGIN, "elsewhere"]), json!([ORIGIN, TOKEN_ENDPOINT]), json!([]), json!({ "a": ORIGIN })]
    {
        assert_eq!(refused_claims(|c| c["aud"] = aud), "unreadable");
    }
    let none = check_agent_assertion(&jwt().ed25519(), &directory(), &[], now());
    assert_eq!(none.unwrap_err().code(), "audience");
}

#[test]
fn time_is_kept_to_the_skew_and_not_a_second_more() {
    let spans = |iat: u64, exp: u64| {
        move |c: &mut Value| {
            c["iat"] = json!(iat);
            c["exp"] = json!(exp);
        }
    };
    accepted_claims(spans(NOW_SECONDS - 100, NOW_SECONDS - 59));
    assert_eq!(refused_claims(spans(NOW_SECONDS - 100, NOW_SECONDS - 60)), "expired");
    accepted_claims(spans(NOW_SECONDS + 60, NOW_SECONDS + 61));
    assert_eq!(refused_claims(spans(NOW_SECONDS + 61, NOW_SECONDS + 62)), "not-yet-valid");
    assert_eq!(refused_claims(|c| c["nbf"] = json!(NOW_SECONDS + 61)), "not-yet-valid");
    accepted_claims(spans(NOW_SECONDS, NOW_SECONDS + 300));
    assert_eq!(refused_claims(spans(NOW_SECONDS, NOW_SECONDS + 301)), "lifetime");
    assert_eq!(refused_claims(spans(NOW_SECONDS, NOW_SECONDS)), "lifetime");
    assert_eq!(refused_claims(spans(NOW_SECONDS, NOW_SECONDS - 1)), "lifetime");
    assert_eq!(refused_claims(spans(0, 1 << 53)), "lifetime");
    assert_eq!(refused_claims(|c| c["exp"] = json!(1.5)), "unreadable");
    assert_eq!(refused_claims(|c| c["exp"] = json!("1790000050")), "unreadable");
    assert_eq!(refused_claims(|c| c["iat"] = json!(-1)), "unreadable");
}

#[test]
fn a_spent_jti_is_remembered_for_as_long_as_it_could_be_accepted() {
    // The latest possible: begins a skew ahead, lives its lifetime, and a skew more.
    let mut longest = jwt();
    longest.claims(|c| {
        c["iat"] = json!(NOW_SECONDS + 60);
        c["exp"] = json!(NOW_SECONDS + 360);
    });
    let (text, end) = (longest.ed25519(), now().after(ASSERTION_CLAIM));
    let at = |micros| check_agent_assertion(&text, &directory(), &AUDIENCES, Timestamp::from_micros(micros));
    assert_eq!(at(now().micros()).unwrap().claim_lifetime(), ASSERTION_CLAIM);
    at(end.micros() - 1).unwrap();
    assert_eq!(at(end.micros()).unwrap_err().code(), "expired");
}

#[test]
fn a_replayed_jti_has_the_same_claim_key() {
    let first = check(&jwt().ed25519()).unwrap();
    let mut again = jwt();
    again.claims(|c| c["exp"] = json!(NOW_SECONDS + 51));
    let again = check(&again.ed25519()).unwrap();
    assert_eq!(first.claim_key(), again.claim_key());
    assert_eq!(again.claimed(false), Err(IdentityError::Replayed));

    let mut another = jwt();
    another.claims(|c| c["jti"] = json!("two"));
    assert_ne!(check(&another.ed25519()).unwrap().claim_key(), first.claim_key());
    // Another agent cannot spend this one's.
    let mut other = Jwt { secret: [OTHER_BOT; 32], ..jwt() };
    other.claims = other.claims.replace(&agent(BOT).to_string(), &agent(OTHER_BOT).to_string());
    assert_ne!(check(&other.ed25519()).unwrap().claim_key(), first.claim_key());
}

#[test]
fn a_jti_is_neither_empty_nor_long() {
    assert_eq!(refused_claims(|c| c["jti"] = json!("")), "unreadable");
    assert_eq!(refused_claims(|c| c["jti"] = json!("x".repeat(257))), "unreadable");
    accepted_claims(|c| c["jti"] = json!("../../session/x/\n"));
}

#[test]
fn acting_for_somebody_is_refused_and_not_passed_over() {
    assert_eq!(refused_claims(|c| c["act"] = json!({ "sub": "x" })), "delegation");
    assert_eq!(refused_claims(|c| c["may_act"] = json!({})), "delegation");
}

#[test]
fn who_has_left_is_not_let_in() {
    let mut disabled = directory();
    apply(&mut disabled, DirectoryEvent::AgentDisabled { id: agent(BOT) });
    let mut unsponsored = directory();
    apply(&mut unsponsored, DirectoryEvent::PersonDeactivated { id: person(ALICE) });
    let mut rekeyed = directory();
    apply(&mut rekeyed, DirectoryEvent::AgentKeyReplaced { id: agent(BOT), key: agent_key(77).public() });
    for (directory, code) in
        [(disabled, "agent-disabled"), (unsponsored, "sponsor-inactive"), (rekeyed, "bad-signature")]
    {
        let refused = check_agent_assertion(&jwt().ed25519(), &directory, &AUDIENCES, now());
        assert_eq!(refused.unwrap_err().code(), code);
    }
}

#[test]
fn a_weak_enrolled_key_accepts_nothing() {
    // The identity point: under lax rules any signature with R = identity and s = 0 verifies.
    let mut weak = directory();
    let mut point = vec![0; 32];
    point[0] = 1;
    apply(&mut weak, DirectoryEvent::AgentKeyReplaced { id: agent(BOT), key: Blob(point.clone()) });
    point.extend([0; 32]);
    let text = format!("{}.{}", jwt().signed(), b64(point));
    assert_eq!(check_agent_assertion(&text, &weak, &AUDIENCES, now()).unwrap_err().code(), "bad-signature");
}

#[test]
fn there_is_one_text_of_a_signature() {
    let good = jwt().ed25519();
    for text in [
        format!("{good}="),
        format!("{good}."),
        format!(".{good}"),
        format!("{good} "),
        good.replace('.', ".."),
    ] {
        assert_eq!(check(&text).unwrap_err().code(), "unreadable", "{text}");
    }
    // 64 bytes leave two bits of the last character unused.
    let last = good.chars().last().unwrap();
    for c in ('A'..='Z').chain('a'..='z').filter(|c| *c != last) {
        let mut changed = good.clone();
        changed.pop();
        changed.push(c);
        assert!(check(&changed).is_err());
    }
    assert_eq!(check(&"a".repeat(JWT_LIMIT_BYTES + 1)).unwrap_err().code(), "too-large");
}

#[test]
fn an_agents_key_does_not_print() {
    assert_eq!(format!("{:?}", agent_key(BOT)), "AgentKey(..)");
}
