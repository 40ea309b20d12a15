use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::time::Timestamp;
use serde_json::{Value, json};

use super::super::limits::{KEYS, SKEW_SECONDS, TOKEN_SECONDS};
use super::super::token::{ISSUER, KeySet, check, key_id};

const APP: &str = "5f0d6a4e-0000-4000-8000-0000000000b0";
const SERVICE: &str = "https://smba.trafficmanager.net/emea/";
/// In seconds: 2026-11-21 12:00:00 UTC.
const NOW: u64 = 1_795_262_400;

struct Signer {
    key: KeyPair,
}

impl Signer {
    fn new() -> Self {
        Self { key: KeyPair::generate(KeySize::Rsa2048).unwrap() }
    }

    fn jwk(&self, kid: &str, endorsements: &[&str]) -> Value {
        let public = self.key.public_key();
        let n = URL_SAFE_NO_PAD.encode(public.modulus().big_endian_without_leading_zero());
        let e = URL_SAFE_NO_PAD.encode(public.exponent().big_endian_without_leading_zero());
        json!({ "kty": "RSA", "use": "sig", "kid": kid, "n": n, "e": e, "endorsements": endorsements })
    }

    fn sign(&self, header: &Value, claims: &Value) -> String {
        let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", encode(header), encode(claims));
        let mut signature = vec![0; self.key.public_modulus_len()];
        let how = if header["alg"] == "RS384" { &RSA_PKCS1_SHA384 } else { &RSA_PKCS1_SHA256 };
        self.key.sign(how, &SystemRandom::new(), signed.as_bytes(), &mut signature).unwrap();
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

fn header() -> Value {
    json!({ "alg": "RS256", "typ": "JWT", "kid": "ours" })
}

fn claims() -> Value {
    json!({ "iss": ISSUER, "aud": APP, "serviceurl": SERVICE, "nbf": NOW - 60, "exp": NOW + 3_600 })
}

/// The claims with one of them changed, or taken out where it is null.
fn changed(name: &str, value: Value) -> Value {
    let mut claims = claims();
    let members = claims.as_object_mut().unwrap();
    if value.is_null() {
        members.remove(name);
    } else {
        members.insert(name.to_owned(), value);
    }
    claims
}

fn verdict(keys: &KeySet, token: &str, service: &str, channel: &str) -> &'static str {
    let now = Timestamp::from_micros(NOW * 1_000_000);
    match check(token, keys, APP, now).and_then(|checked| checked.vouch(service, channel)) {
        Ok(_) => "taken",
        Err(refused) => refused.code(),
    }
}

#[test]
fn which_tokens_are_taken() {
    let (ours, other) = (Signer::new(), Signer::new());
    let document = json!({ "keys": [
        ours.jwk("ours", &["msteams", "webchat"]),
        other.jwk("unendorsed", &["webchat"]),
        { "kty": "EC", "kid": "curve", "crv": "P-256", "x": "AA", "y": "AA" },
    ] });
    let keys = KeySet::read(document.to_string().as_bytes()).unwrap();
    let good = ours.sign(&header(), &claims());
    assert_eq!(verdict(&keys, &good, SERVICE, "msteams"), "taken");

    let hmac = |key: &[u8]| {
        // The old trick: the public key as the secret of an HMAC. The algorithm alone refuses it.
        use hmac::{Hmac, KeyInit as _, Mac as _};
        let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", encode(&json!({ "alg": "HS256", "kid": "ours" })), encode(&claims()));
        let mut mac = Hmac::<sha2::Sha256>::new_from_slice(key).unwrap();
        mac.update(signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
    };
    let none = |alg: &str| {
        let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        format!("{}.{}.", encode(&json!({ "alg": alg, "kid": "ours" })), encode(&claims()))
    };
    let public = ours.key.public_key();
    let der: aws_lc_rs::encoding::PublicKeyX509Der<'_> = public.as_der().unwrap();
    let mut altered = good.clone();
    altered.insert(altered.rfind('.').unwrap(), 'A');
    let rows: Vec<(&str, String, &str)> = vec![
        ("not a token", "abc".to_owned(), "unreadable"),
        ("nothing", String::new(), "unreadable"),
        ("longer than any", format!("{good}{}", "A".repeat(9_000)), "unreadable"),
        ("no signature", none("RS256"), "signature"),
        ("alg none", none("none"), "unreadable"),
        ("the public key as a secret", hmac(der.as_ref()), "unreadable"),
        ("RS384", ours.sign(&json!({ "alg": "RS384", "kid": "ours" }), &claims()), "unreadable"),
        ("no key named", ours.sign(&json!({ "alg": "RS256" }), &claims()), "unreadable"),
        (
            "another key named",
            ours.sign(&json!({ "alg": "RS256", "kid": "theirs" }), &claims()),
            "unknown-key",
        ),
        (
            "a key of another kind named",
            ours.sign(&json!({ "alg": "RS256", "kid": "curve" }), &claims()),
            "unknown-key",
        ),
        ("signed by another key", other.sign(&header(), &claims()), "signature"),
        ("claims altered", altered, "signature"),
        (
            "another issuer",
            ours.sign(&header(), &changed("iss", json!("https://sts.windows.net/x/"))),
            "issuer",
        ),
        ("no issuer", ours.sign(&header(), &changed("iss", Value::Null)), "issuer"),
        (
            "another audience",
            ours.sign(&header(), &changed("aud", json!("00000000-0000-4000-8000-000000000000"))),
            "audience",
        ),
        ("no audience", ours.sign(&header(), &changed("aud", Value::Null)), "audience"),
        ("over", ours.sign(&header(), &changed("exp", json!(NOW - SKEW_SECONDS))), "time"),
        (
            "over within the skew",
            ours.sign(&header(), &changed("exp", json!(NOW - SKEW_SECONDS + 1))),
            "taken",
        ),
        ("no end", ours.sign(&header(), &changed("exp", Value::Null)), "time"),
        ("an end that is no number", ours.sign(&header(), &changed("exp", json!("soon"))), "unreadable"),
        ("good for too long", ours.sign(&header(), &changed("exp", json!(NOW + TOKEN_SECONDS + 1))), "time"),
        ("as long as may be", ours.sign(&header(), &changed("exp", json!(NOW + TOKEN_SECONDS))), "taken"),
        ("not yet", ours.sign(&header(), &changed("nbf", json!(NOW + SKEW_SECONDS + 1))), "time"),
        (
            "not yet, within the skew",
            ours.sign(&header(), &changed("nbf", json!(NOW + SKEW_SECONDS))),
            "taken",
        ),
        ("no beginning", ours.sign(&header(), &changed("nbf", Value::Null)), "taken"),
        (
            "another service URL",
            ours.sign(&header(), &changed("serviceurl", json!("https://evil.example/"))),
            "service-url",
        ),
        (
            "the service URL in capitals",
            ours.sign(&header(), &changed("serviceurl", json!(SERVICE.to_uppercase()))),
            "service-url",
        ),
        ("no service URL", ours.sign(&header(), &changed("serviceurl", Value::Null)), "service-url"),
        (
            "a key that may not speak for Teams",
            other.sign(&json!({ "alg": "RS256", "kid": "unendorsed" }), &claims()),
            "endorsement",
        ),
    ];
    for (what, token, expected) in &rows {
        assert_eq!(verdict(&keys, token, SERVICE, "msteams"), *expected, "{what}");
    }
    assert_eq!(verdict(&keys, &good, "https://evil.example/", "msteams"), "service-url");
    assert_eq!(verdict(&keys, &good, "", "msteams"), "service-url");
    assert_eq!(verdict(&keys, &good, SERVICE, "skype"), "endorsement");
    assert_eq!(verdict(&keys, &good, SERVICE, ""), "endorsement");
    let empty = ours.sign(&header(), &changed("serviceurl", json!("")));
    assert_eq!(verdict(&keys, &empty, "", "msteams"), "service-url");
}

#[test]
fn a_key_is_named_by_its_token() {
    let ours = Signer::new();
    assert_eq!(key_id(&ours.sign(&header(), &claims())).as_deref(), Ok("ours"));
}

#[test]
fn key_sets_that_are_none() {
    let jwk = Signer::new().jwk("one", &["msteams"]);
    let many: Vec<Value> = (0..=KEYS).map(|each| json!({ "kty": "RSA", "kid": each.to_string() })).collect();
    let endorsements: Vec<String> = (0..500).map(|each| each.to_string()).collect();
    let mut loud = jwk.clone();
    loud["endorsements"] = json!(endorsements);
    for (what, document) in [
        ("no JSON", "{".to_owned()),
        ("no keys", json!({}).to_string()),
        ("none of use", json!({ "keys": [{ "kty": "EC" }] }).to_string()),
        ("too many", json!({ "keys": many }).to_string()),
        ("two of one id", json!({ "keys": [jwk.clone(), jwk] }).to_string()),
        ("too many endorsements", json!({ "keys": [loud] }).to_string()),
        ("a key twice in the document", r#"{"keys":[],"keys":[]}"#.to_owned()),
    ] {
        assert!(KeySet::read(document.as_bytes()).is_err(), "{what}");
    }
}
