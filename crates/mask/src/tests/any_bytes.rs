//! What holds for any bytes: nothing panics, what is shown holds nothing more to find, and the rest stays.

use proptest::prelude::*;

use crate::{Class, Masked, Masker, Piece, Rules};

/// Parts from which texts are put together, so that things stand side by side that never would.
const PARTS: &[&str] = &[
    "password",
    "=",
    ":",
    " ",
    "\"",
    "\\",
    "\\u0041",
    "\\n",
    "%40",
    "%",
    "{",
    "}",
    "[",
    "]",
    ",",
    "token",
    "secret=",
    "a@b.org",
    "@",
    ".",
    "-",
    "+49 30 1234567",
    "4111 1111 1111 1111",
    "4111111111111111",
    "DE89370400440532013000",
    "078-05-1120",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc",
    "AKIAIOSFODNN7EXAMPLF",
    "postgres://u:p@h/",
    "://",
    "Bearer abcdef0123456789",
    "-----BEGIN PRIVATE KEY-----",
    "-----END PRIVATE KEY-----",
    "cGFzc3dvcmQ9aHVudGVyMg==",
    "[masked: card …1111]",
    "[masked: secret]",
    "[masked: ",
    "…",
    "é",
    "\u{202e}",
    "7",
    "hunter2",
    "api_key",
    "ssn",
    "phone",
    "\n",
    "'",
    "&",
    "x",
    "12345678Z",
    "curl -u a:b ",
    "mysql -px",
    "sk_live_4eC39HqLyjWDarjtT1zdp7dc",
    "0",
    "(",
    ")",
    "/",
    "pin",
    "\"pin\":",
];

fn texts() -> impl Strategy<Value = String> {
    proptest::collection::vec(proptest::sample::select(PARTS), 0..24).prop_map(|parts| parts.concat())
}

fn maskers() -> Vec<Masker> {
    let rules = "names = [\"x\"]\npaths = [\"/password\", \"/*/x\"]\nkeep = [\"/ssn\"]\non = [\"ip\"]\n\
                 patterns = [{ name = \"word\", regex = \"hunter\\\\d\" }]";
    vec![Masker::default(), Masker::new(&toml::from_str::<Rules>(rules).unwrap()).unwrap()]
}

fn holds(masker: &Masker, name: Option<&str>, bytes: &[u8]) -> Result<Masked, TestCaseError> {
    let masked = masker.mask(name, bytes);
    let shown = masked.bytes();
    let again = masker.mask(name, &shown);
    prop_assert!(
        !again.is_masked() || masked.is_unscanned(),
        "{:?} in {:?}",
        again.findings(),
        String::from_utf8_lossy(&shown)
    );
    // The open pieces are exactly what stands between the findings.
    let mut position = 0;
    let mut open = Vec::new();
    for finding in masked.findings() {
        prop_assert!(finding.range.start >= position && finding.range.end <= bytes.len());
        if let Ok(text) = std::str::from_utf8(bytes) {
            prop_assert!(
                text.is_char_boundary(finding.range.start) && text.is_char_boundary(finding.range.end)
            );
        }
        open.extend_from_slice(&bytes[position..finding.range.start]);
        position = finding.range.end;
    }
    open.extend_from_slice(&bytes[position..]);
    let pieces: Vec<u8> = masked
        .pieces()
        .iter()
        .filter_map(|piece| match piece {
            Piece::Open(bytes) => Some(bytes.clone()),
            Piece::Masked { .. } => None,
        })
        .flatten()
        .collect();
    prop_assert_eq!(open, pieces);
    Ok(masked)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, ..ProptestConfig::default() })]

    #[test]
    fn texts_of_parts(text in texts()) {
        for masker in maskers() {
            let masked = holds(&masker, None, text.as_bytes())?;
            prop_assert!(masked.text().is_some());
        }
    }

    #[test]
    fn named_texts(text in texts(), name in proptest::sample::select(&["authorization", "x", "password", "cookie", "accept"][..])) {
        for masker in maskers() {
            holds(&masker, Some(name), text.as_bytes())?;
        }
    }

    #[test]
    fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        for masker in maskers() {
            holds(&masker, None, &bytes)?;
        }
    }

    #[test]
    fn json_stays_json(values in proptest::collection::vec((proptest::sample::select(PARTS), texts(), any::<i64>()), 0..8)) {
        let members = values.into_iter().map(|(key, text, number)| (key.to_owned(), serde_json::json!([text, number, {"x": number, "t": text}])));
        let json = serde_json::Value::Object(members.collect()).to_string();
        for masker in maskers() {
            let masked = holds(&masker, None, json.as_bytes())?;
            // A private key is masked from its beginning to its end, through whatever stands between.
            if !masked.findings().iter().any(|finding| matches!(finding.class, Class::PrivateKey | Class::Unscanned)) {
                let shown = masked.to_string();
                prop_assert!(shown == "[masked: by rule]" || serde_json::from_str::<serde_json::Value>(&shown).is_ok(), "{json} became {shown}");
            }
        }
    }

    #[test]
    fn a_secret_is_found_whatever_its_escapes(escaped in proptest::collection::vec(any::<bool>(), 24)) {
        let token = "ghp_16C7e42F292c6912E7710c838347Ae178B4a";
        let text: String = token.chars().zip(escaped.iter().cycle()).map(|(letter, escape)| {
            if *escape { format!("\\u{:04x}", u32::from(letter)) } else { letter.to_string() }
        }).collect();
        let masked = Masker::default().mask(None, format!("{{\"t\":\"{text}\"}}").as_bytes());
        prop_assert_eq!(masked.to_string(), "{\"t\":\"[masked: API key]\"}");
    }
}
