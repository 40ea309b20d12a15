//! Whatever the bytes: no panic, and nothing passes but what passes.

use proptest::prelude::*;

use super::*;

/// A good text with one run of characters replaced, or any text.
fn spliced(good: String) -> impl Strategy<Value = String> {
    let length = good.len();
    let changed = (0..=length, 0..8_usize, "[A-Za-z0-9_.=-]{0,8}").prop_map(move |(start, cut, new)| {
        let mut text = good.clone();
        text.replace_range(start..(start + cut).min(length), &new);
        text
    });
    prop_oneof![
        4 => changed,
        1 => "\\PC{0,80}",
        1 => "[A-Za-z0-9_-]{0,40}\\.[A-Za-z0-9_-]{0,80}\\.[A-Za-z0-9_-]{0,86}",
    ]
}

fn assertion() -> String {
    agent_key(BOT).assertion(agent(BOT), ORIGIN, now(), &[1; 16]).unwrap()
}

fn key() -> TokenKey {
    TokenKey::new([42; 32], origin())
}

fn token() -> String {
    key().mint(&proven(BOT), now(), &[6; 16]).unwrap().expose().to_owned()
}

/// Arbitrary JSON in the place of header and claims, properly signed.
fn json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        Just(format!("\"agent:{}\"", agent(BOT))),
        Just(format!("\"{ORIGIN}\"")),
        Just("\"EdDSA\"".to_owned()),
        (NOW_SECONDS - 400..NOW_SECONDS + 400).prop_map(|n| n.to_string()),
    ];
    let member = ("(iss|sub|aud|exp|iat|jti|alg|typ|nbf|act)", leaf)
        .prop_map(|(key, value)| format!("\"{key}\":{value}"));
    proptest::collection::vec(member, 0..8).prop_map(|members| format!("{{{}}}", members.join(",")))
}

proptest! {
    #[test]
    fn only_the_signed_assertion_passes(text in spliced(assertion())) {
        let passes = check_agent_assertion(&text, &directory(), &[ORIGIN], now()).is_ok();
        prop_assert_eq!(passes, text == assertion());
    }

    #[test]
    fn only_the_minted_token_passes(text in spliced(token())) {
        let cache = TokenCache::new(key());
        cache.verify(&token(), now()).unwrap();
        prop_assert_eq!(key().verify(&text, now()).is_ok(), text == token());
        prop_assert_eq!(cache.verify(&text, now()).is_ok(), text == token());
    }

    #[test]
    fn signed_nonsense_never_panics(header in json(), claims in json()) {
        let jwt = Jwt { header, claims, secret: [BOT; 32] };
        if let Ok(assertion) = check_agent_assertion(&jwt.ed25519(), &directory(), &[ORIGIN], now()) {
            prop_assert_eq!(assertion.agent(), agent(BOT));
        }
        let jwt = Jwt { header: r#"{"alg":"HS256","typ":"at+jwt"}"#.to_owned(), ..jwt };
        prop_assert!(key().verify(&jwt.hmac(&[42; 32]), now()).is_err());
    }

    #[test]
    fn an_assertion_passes_only_in_its_time(iat in -500..500_i64, length in 0..500_i64) {
        let seconds = i64::try_from(NOW_SECONDS).unwrap();
        let id = format!("agent:{}", agent(BOT));
        let (issued, exp) = (seconds + iat, seconds + iat + length);
        let claims = json!({ "iss": id, "sub": id, "aud": ORIGIN, "jti": "x", "iat": issued, "exp": exp });
        let jwt = Jwt { header: r#"{"alg":"EdDSA"}"#.to_owned(), claims: claims.to_string(), secret: [BOT; 32] };
        let passes = check_agent_assertion(&jwt.ed25519(), &directory(), &[ORIGIN], now()).is_ok();
        prop_assert_eq!(passes, iat <= 60 && (1..=300).contains(&length) && iat + length > -60);
    }

    #[test]
    fn session_and_invite_tokens_have_one_text(
        text in spliced(SessionToken::new(person(BOB), [9; 32]).expose()),
    ) {
        if let Ok(token) = SessionToken::read(&text) {
            prop_assert_eq!(token.expose(), text.as_str());
        }
        if let Ok(token) = InviteToken::read(&text) {
            prop_assert_eq!(token.expose(), text);
        }
    }

    #[test]
    fn stored_values_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let token = SessionToken::new(person(BOB), [9; 32]);
        prop_assert!(Session::read(&bytes, &token).is_err());
        prop_assert!(Invite::read(&bytes, now()).is_err());
        prop_assert!(Pending::read(&bytes).is_err());
        prop_assert!(Pending::vault_key_of(&bytes).is_err());
        prop_assert!(review_proof(&bytes).is_err());
    }

    #[test]
    fn only_the_signed_answer_signs_in(text in spliced(Authenticator::of(BOB).get(&[7; 32]).to_string())) {
        let (directory, relying_party) = (directory(), relying_party());
        let passkeys = Passkeys { directory: &directory, relying_party: &relying_party, now: now() };
        let pending = Pending::new(Ceremony::Login {}, now(), [7; 32]);
        // What no signature covers may vary; who it is may not.
        if let Ok(login) = passkeys.login(&pending, text.as_bytes()) {
            prop_assert_eq!(login.person(), person(BOB));
        }
        let enrol = Pending::new(Ceremony::Enrol { person: person(BOB) }, now(), [7; 32]);
        prop_assert!(passkeys.enrol(&enrol, text.as_bytes(), "x").is_err());
    }

    #[test]
    fn any_public_url_is_read_or_refused(url in "(https?://)?\\PC{0,40}") {
        if let Ok(relying_party) = crate::relying_party(&url) {
            let origin = &relying_party.origins[0];
            prop_assert!(origin.starts_with("https://") || relying_party.id == "localhost");
            prop_assert_eq!(crate::relying_party(origin).unwrap(), relying_party.clone());
        }
    }
}
