use std::time::{Duration, Instant};

use outbound::secret::Secret;

use super::super::limits::{REMEMBERED, REMEMBERED_COUNT};
use super::super::verify::{First, Forged, Seen, Verifier};

/// The example of Slack's own document "Verifying requests from Slack".
const SECRET: &str = "8f742231b10e8888abcd99yyyzzz85a5";
const AT: &str = "1531420618";
const NOW: u64 = 1_531_420_618;
const BODY: &str = "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V\
    &channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=\
    &response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN\
    &trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c";
const SIGNATURE: &str = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503";

#[test]
fn slacks_own_example_is_slacks() {
    let verifier = Verifier::new(Secret::from(SECRET.to_owned()));
    assert_eq!(
        verifier.check(Some(AT), Some(SIGNATURE), BODY.as_bytes(), NOW).unwrap().body,
        BODY.as_bytes()
    );
}

#[test]
fn nothing_else_is() {
    let verifier = Verifier::new(Secret::from(SECRET.to_owned()));
    let check = |at, signature, body: &str, now| {
        verifier.check(at, signature, body.as_bytes(), now).map(|signed| signed.body.len()).unwrap_err()
    };
    let upper = SIGNATURE.to_uppercase().replace("V0", "v0");
    let short = &SIGNATURE[..SIGNATURE.len() - 2];
    for (what, at, signature, body, now, expected) in [
        ("another body", Some(AT), Some(SIGNATURE), "token=other", NOW, Forged::Signature),
        ("one byte more", Some(AT), Some(SIGNATURE), &format!("{BODY}&"), NOW, Forged::Signature),
        ("another time", Some("1531420619"), Some(SIGNATURE), BODY, NOW, Forged::Signature),
        ("a time written otherwise", Some("01531420618"), Some(SIGNATURE), BODY, NOW, Forged::Signature),
        ("301 s old", Some(AT), Some(SIGNATURE), BODY, NOW + 301, Forged::Stale),
        ("301 s early", Some(AT), Some(SIGNATURE), BODY, NOW - 301, Forged::Stale),
        ("no signature", Some(AT), None, BODY, NOW, Forged::Unsigned),
        ("no time", None, Some(SIGNATURE), BODY, NOW, Forged::Unsigned),
        ("a sign before the time", Some("+1531420618"), Some(SIGNATURE), BODY, NOW, Forged::Unsigned),
        ("an empty time", Some(""), Some(SIGNATURE), BODY, NOW, Forged::Unsigned),
        ("another version", Some(AT), Some(&SIGNATURE.replace("v0", "v1")), BODY, NOW, Forged::Unsigned),
        ("capital letters", Some(AT), Some(upper.as_str()), BODY, NOW, Forged::Unsigned),
        ("half a signature", Some(AT), Some(short), BODY, NOW, Forged::Signature),
        ("an empty signature", Some(AT), Some("v0="), BODY, NOW, Forged::Signature),
        ("an odd one", Some(AT), Some("v0=abc"), BODY, NOW, Forged::Unsigned),
    ] {
        assert_eq!(check(at, signature, body, now), expected, "{what}");
    }
    for now in [NOW - 300, NOW + 300] {
        assert!(verifier.check(Some(AT), Some(SIGNATURE), BODY.as_bytes(), now).is_ok(), "at {now}");
    }
    let other = Verifier::new(Secret::from("another secret".to_owned()));
    assert!(matches!(other.check(Some(AT), Some(SIGNATURE), BODY.as_bytes(), NOW), Err(Forged::Signature)));
}

#[test]
fn what_came_once_comes_once() {
    let (seen, now) = (Seen::default(), Instant::now());
    assert_eq!(seen.first("a", now), First::Yes);
    assert_eq!(seen.first("b", now), First::Yes);
    assert_eq!(seen.first("a", now), First::No);
    assert_eq!(seen.first("a", now + REMEMBERED - Duration::from_secs(1)), First::No);
    assert_eq!(seen.first("a", now + REMEMBERED), First::Yes);
}

#[test]
fn too_much_at_once_is_not_accepted() {
    let (seen, now) = (Seen::default(), Instant::now());
    for id in 0..REMEMBERED_COUNT {
        assert_eq!(seen.first(&id.to_string(), now), First::Yes);
    }
    assert_eq!(seen.first("one more", now), First::Unknown);
    assert_eq!(seen.first("0", now), First::No);
    assert_eq!(seen.first("one more", now + REMEMBERED), First::Yes);
}
