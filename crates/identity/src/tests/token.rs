use super::*;

fn key() -> TokenKey {
    TokenKey::new([42; 32], origin())
}

fn token() -> AccessToken {
    key().mint(&proven(BOT), now(), &[6; 16]).unwrap()
}

/// The token that `token` would be, taken apart; `hmac(&[42; 32])` puts it together.
fn parts() -> Jwt {
    let text = token().expose().to_owned();
    let mut parts = text
        .split('.')
        .map(|part| String::from_utf8_lossy(&URL_SAFE_NO_PAD.decode(part).unwrap()).into_owned());
    Jwt { header: parts.next().unwrap(), claims: parts.next().unwrap(), secret: [0; 32] }
}

fn refused(change: impl FnOnce(&mut Value)) -> &'static str {
    let mut parts = parts();
    parts.claims(change);
    key().verify(&parts.hmac(&[42; 32]), now()).unwrap_err().code()
}

#[test]
fn a_token_says_whose_it_is_until_it_ends() {
    let token = token();
    let claims = key().verify(token.expose(), now()).unwrap();
    assert_eq!((claims.agent(), claims.issued(), claims.expires()), (agent(BOT), now(), later(900)));
    assert_eq!(
        (claims.jti(), claims.key(), token.lifetime()),
        (token.jti(), &agent_key(BOT).public(), Span::from_seconds(900))
    );
    assert_eq!(token.expires(), claims.expires());
    key().verify(token.expose(), Timestamp::from_micros(later(900).micros() - 1)).unwrap();
    assert_eq!(key().verify(token.expose(), later(900)).unwrap_err().code(), "expired");
    key().verify(token.expose(), earlier(60)).unwrap();
    assert_eq!(key().verify(token.expose(), earlier(61)).unwrap_err().code(), "not-yet-valid");
}

#[test]
fn a_library_that_we_did_not_write_reads_the_token() {
    use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
    let mut validation = Validation::new(Algorithm::HS256);
    validation.set_audience(&[ORIGIN]);
    validation.set_issuer(&[ORIGIN]);
    validation.validate_exp = false;
    let read = decode::<Value>(token().expose(), &DecodingKey::from_secret(&[42; 32]), &validation).unwrap();
    assert_eq!(read.header.typ.as_deref(), Some("at+jwt"));
    assert_eq!(read.claims["sub"], json!(format!("agent:{}", agent(BOT))));
    assert_eq!(read.claims.as_object().unwrap().len(), 7);
}

#[test]
fn what_we_did_not_mint_is_refused() {
    let refused = |text: &str| key().verify(text, now()).unwrap_err().code();
    assert_eq!(refused(&parts().hmac(&[43; 32])), "bad-signature");
    assert_eq!(refused(&format!("{}.", parts().signed())), "bad-signature");
    for header in [
        r#"{"alg":"none"}"#,
        r#"{"alg":"none","typ":"at+jwt"}"#,
        r#"{"alg":"HS256","typ":"JWT"}"#,
        r#"{"typ":"at+jwt","alg":"HS256"}"#,
    ] {
        let jwt = Jwt { header: header.to_owned(), ..parts() };
        assert_eq!(refused(&jwt.hmac(&[42; 32])), "bad-signature", "{header}");
        assert_eq!(refused(&jwt.ed25519()), "bad-signature", "{header}");
    }
    // A client assertion is no access token, nor the other way round.
    let assertion = agent_key(BOT).assertion(agent(BOT), ORIGIN, now(), &[1; 16]).unwrap();
    assert_eq!(refused(&assertion), "bad-signature");
    let other = check_agent_assertion(token().expose(), &directory(), &[ORIGIN], now());
    assert_eq!(other.unwrap_err().code(), "algorithm");
    let other_deployment = TokenKey::new([42; 32], "elsewhere.example/log".parse().unwrap());
    assert_eq!(other_deployment.verify(token().expose(), now()).unwrap_err().code(), "audience");
}

#[test]
fn even_our_own_key_makes_no_other_token() {
    assert_eq!(refused(|c| c["iss"] = json!("elsewhere")), "audience");
    assert_eq!(refused(|c| c["aud"] = json!("elsewhere")), "audience");
    assert_eq!(refused(|c| c["sub"] = json!(format!("person:{}", person(ALICE)))), "subject");
    assert_eq!(refused(|c| c["sub"] = json!(agent(BOT).to_string())), "subject");
    assert_eq!(refused(|c| c["act"] = json!({ "sub": "x" })), "unreadable");
    assert_eq!(refused(|c| c["exp"] = json!(NOW_SECONDS + 901)), "expired");
}

#[test]
fn printing_a_token_or_its_key_tells_nothing() {
    let printed = format!("{:?} {:?} {:?}", token(), key(), TokenCache::new(key()));
    for part in token().expose().split('.') {
        assert!(!printed.contains(part), "{printed}");
    }
    assert!(!printed.contains("42"), "{printed}");
}

#[test]
fn the_cache_remembers_what_verified_and_keeps_to_its_limit() {
    let cache = TokenCache::with_limit(key(), 4);
    for n in 0..20 {
        let token = cache.key().mint(&proven(BOT), now(), &[n; 16]).unwrap();
        let first = cache.verify(token.expose(), now()).unwrap();
        let second = cache.verify(token.expose(), now()).unwrap();
        assert!(std::sync::Arc::ptr_eq(&first, &second));
        assert!(cache.len() <= 4 && !cache.is_empty());
    }
}

#[test]
fn what_is_in_use_stays_in_the_cache() {
    let cache = TokenCache::with_limit(key(), 8);
    let busy = token();
    let first = cache.verify(busy.expose(), now()).unwrap();
    for n in 0..50 {
        let token = cache.key().mint(&proven(BOT), now(), &[n; 16]).unwrap();
        cache.verify(token.expose(), now()).unwrap();
        assert!(std::sync::Arc::ptr_eq(&first, &cache.verify(busy.expose(), now()).unwrap()));
    }
}

#[test]
fn the_cache_lets_nothing_through_that_the_key_does_not() {
    let cache = TokenCache::new(key());
    let token = token();
    cache.verify(token.expose(), now()).unwrap();
    assert_eq!(cache.verify(token.expose(), later(900)).unwrap_err().code(), "expired");
    assert_eq!(cache.verify(token.expose(), earlier(61)).unwrap_err().code(), "not-yet-valid");
    let mut forged = token.expose().to_owned();
    forged.pop();
    assert!(cache.verify(&forged, now()).is_err());
    assert_eq!(cache.verify(&"a".repeat(9_000), now()).unwrap_err().code(), "too-large");
    assert_eq!(cache.len(), 1, "what was refused is not remembered");

    for limit in [0, 1] {
        let cache = TokenCache::with_limit(key(), limit);
        cache.verify(token.expose(), now()).unwrap();
        assert!(cache.is_empty());
    }
}
