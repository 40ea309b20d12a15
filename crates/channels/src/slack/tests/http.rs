use serde_json::json;

use super::super::http::parse;
use super::super::inbound::Kind;

#[test]
fn a_body_is_what_its_type_says() {
    const FORM: &str = "application/x-www-form-urlencoded";
    for (kind, body, expected) in [
        (
            "application/json; charset=utf-8",
            r#"{"type":"x"}"#,
            Some((Kind::EventsApi, json!({ "type": "x" }))),
        ),
        (FORM, "payload=%7B%22type%22%3A%22a+b%22%7D", Some((Kind::Interactive, json!({ "type": "a b" })))),
        (
            FORM,
            "team_id=T1&text=a%26b",
            Some((Kind::SlashCommands, json!({ "team_id": "T1", "text": "a&b" }))),
        ),
        (FORM, "payload=%7B", None),
        // One of two would be read here, and the other elsewhere.
        (FORM, "payload=%7B%7D&payload=%7B%7D", None),
        (FORM, "user_id=U1&user_id=U2", None),
        ("application/json", "{", None),
        ("text/plain", "{}", None),
        ("", "{}", None),
    ] {
        assert_eq!(parse(kind, body.as_bytes()), expected, "{kind}: {body}");
    }
}
