use super::*;

fn check(json: &[u8], expected: &str) {
    let refusal = ClientData::parse(json).unwrap_err();
    assert!(refusal.to_string().contains(expected), "{refusal}");
}

const GOOD: &str = r#"{"type":"webauthn.get","challenge":"AQI","origin":"https://a.example","crossOrigin":true,"topOrigin":"https://b.example","other_keys_can_be_added_here":["do not compare", {"a": [1, -1, 18446744073709551615, null]}]}"#;

#[test]
fn known_members_are_read_and_unknown_ones_read_over() {
    assert_eq!(
        ClientData::parse(GOOD.as_bytes()).unwrap(),
        ClientData {
            kind: "webauthn.get".to_owned(),
            challenge: vec![1, 2],
            origin: "https://a.example".to_owned(),
            cross_origin: true,
            top_origin: Some("https://b.example".to_owned()),
        }
    );
}

#[test]
fn absent_cross_origin_means_false() {
    let json = br#"{"origin":"o","challenge":"AQI","type":"t"}"#;
    let client_data = ClientData::parse(json).unwrap();
    assert!(!client_data.cross_origin && client_data.top_origin.is_none());
}

#[test]
fn a_key_named_twice_is_refused_at_any_depth_and_in_any_spelling() {
    for (json, key) in [
        (r#"{"type":"a","type":"a","challenge":"","origin":"o"}"#, "type"),
        (r#"{"type":"a","\u0074ype":"b","challenge":"","origin":"o"}"#, "type"),
        (r#"{"type":"a","challenge":"","origin":"o","x":1,"x":1}"#, "x"),
        (r#"{"type":"a","challenge":"","origin":"o","x":{"y":1,"y":1}}"#, "y"),
        (r#"{"type":"a","challenge":"","origin":"o","x":[{"y":1,"y":1}]}"#, "y"),
    ] {
        assert_eq!(
            ClientData::parse(json.as_bytes()),
            Err(Refusal::ClientDataDuplicateKey { key: key.to_owned() })
        );
    }
}

#[test]
fn what_no_browser_writes_is_refused() {
    check(b"", "EOF");
    check(b"[]", "not an object");
    check(b"null", "not an object");
    check(b"\xff", "not UTF-8");
    check(&[b"\xef\xbb\xbf", GOOD.as_bytes()].concat(), "expected value");
    check(&[GOOD.as_bytes(), b"{}"].concat(), "trailing");
    check(&[GOOD.as_bytes(), b"\0"].concat(), "trailing");
    check(br#"{"challenge":"","origin":"o"}"#, "`type` is missing");
    check(br#"{"type":"a","origin":"o"}"#, "`challenge` is missing");
    check(br#"{"type":"a","challenge":""}"#, "`origin` is missing");
    check(br#"{"type":1,"challenge":"","origin":"o"}"#, "`type` is not a string");
    check(br#"{"type":"a","challenge":null,"origin":"o"}"#, "`challenge` is not a string");
    check(br#"{"type":"a","challenge":"","origin":["o"]}"#, "`origin` is not a string");
    check(br#"{"type":"a","challenge":"","origin":"o","crossOrigin":null}"#, "not true or false");
    check(br#"{"type":"a","challenge":"","origin":"o","topOrigin":null}"#, "not a string");
    for number in ["1.5", "1e0", "-0", "18446744073709551616", "-9223372036854775809"] {
        let json = format!(r#"{{"type":"a","challenge":"","origin":"o","x":{number}}}"#);
        check(json.as_bytes(), "no integer of 64 bits");
    }
    check(br#"{"type":"a","challenge":"","origin":"o","x":1e999}"#, "out of range");
    check(br#"{"type":"a","challenge":"AR","origin":"o"}"#, "not base64url");
    check(br#"{"type":"a","challenge":"+/8","origin":"o"}"#, "not base64url");
    check("[".repeat(4000).as_bytes(), "recursion limit");
}

#[test]
fn client_data_has_a_limit() {
    let mut json = GOOD.to_owned();
    json.push_str(&" ".repeat(MAX_CLIENT_DATA_BYTES - json.len()));
    ClientData::parse(json.as_bytes()).unwrap();
    json.push(' ');
    assert_eq!(
        ClientData::parse(json.as_bytes()),
        Err(Refusal::ClientDataTooLong { bytes: MAX_CLIENT_DATA_BYTES + 1 })
    );
}
