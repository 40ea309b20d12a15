//! What bodies turn requests into.

use domain::evaluation::Fact;
use proptest::prelude::*;

use super::*;
use crate::http::body::{JsonProblem, Kind, check_json, read};
use crate::http::graphql;

fn kind(content_type: &str, body: &[u8]) -> (Kind, bool) {
    let reading = read(Some(content_type).filter(|text| !text.is_empty()), None, body);
    (reading.kind, reading.parsed)
}

#[test]
fn parsed_means_that_nothing_is_left_to_another_reader() {
    for (content_type, body, expected) in [
        ("application/json", "", (Kind::Empty, true)),
        ("application/json", r#"{"a":1.5,"b":[1e9,12345678901234567890]}"#, (Kind::Json, true)),
        ("Application/Problem+JSON; charset=UTF-8", "[]", (Kind::Json, true)),
        ("application/json", r#"{"a":1,"a":2}"#, (Kind::Json, false)),
        ("application/json", r#"{"a":1,"\u0061":2}"#, (Kind::Json, false)),
        ("application/json", r#"[{"x":{"a":1,"a":2}}]"#, (Kind::Json, false)),
        ("application/json", r#"{"amount":1,"Amount":2}"#, (Kind::Json, false)),
        ("application/json", "{} {}", (Kind::Json, false)),
        ("application/json", "{'a':1}", (Kind::Json, false)),
        ("application/json", "\u{feff}{}", (Kind::Json, false)),
        ("application/json", "{\"a\":1,}", (Kind::Json, false)),
        ("application/json", "{\"a\":1}//", (Kind::Json, false)),
        ("application/json", "{\"a\":NaN}", (Kind::Json, false)),
        ("application/json; charset=utf-16", "{}", (Kind::Opaque, false)),
        ("application/x-ndjson", "{\"a\":1}\n\n{\"a\":2}\n", (Kind::JsonLines, true)),
        ("application/x-ndjson", "{\"a\":1}\n{\"a\":2,\"a\":3}\n", (Kind::JsonLines, false)),
        ("application/x-www-form-urlencoded", "a=1&a=2&b=%20+", (Kind::Form, true)),
        ("application/x-www-form-urlencoded", "a=%zz", (Kind::Form, false)),
        ("application/graphql", "{ a }", (Kind::Graphql, true)),
        ("text/plain", "hello", (Kind::Text, true)),
        // Servers that read JSON whatever it is called.
        ("text/plain", r#" {"a":1}"#, (Kind::Json, true)),
        ("text/plain", r#"{"a":1,"a":2}"#, (Kind::Text, false)),
        ("text/plain", "{ not json", (Kind::Text, true)),
        ("", r#"{"a":1}"#, (Kind::Json, true)),
        ("", r#"{"a":1,"a":2}"#, (Kind::Opaque, false)),
        ("", "hello", (Kind::Opaque, false)),
        ("multipart/form-data; boundary=x", "--x--", (Kind::Opaque, false)),
        ("application/octet-stream", "{}", (Kind::Opaque, false)),
    ] {
        assert_eq!(kind(content_type, body.as_bytes()), expected, "{content_type} {body}");
    }
    assert_eq!(kind("application/json", b"{\"a\":\"\xff\"}"), (Kind::Opaque, false));
    assert_eq!(kind("application/json", "[".repeat(5_000).as_bytes()), (Kind::Json, false));
    assert!(!read(Some("application/json"), Some("gzip"), b"{}").parsed);
    assert!(read(Some("application/json"), Some("identity"), b"{}").parsed);
}

/// The verb and the `parsed` fact of a request with this body, or its refusal.
fn body(more: &str, text: &str, body: &str) -> String {
    match ok(more, text).read_body(body.as_bytes()) {
        Ok(understood) => format!("{} parsed={:?}", understood.verb, understood.facts["parsed"]),
        Err(refusal) => format!("{} {}", refusal.status(), refusal.code()),
    }
}

#[test]
fn duplicate_keys_are_refused_where_the_route_is_strict() {
    let (text, twice) = ("POST /x\nContent-Type: application/json", r#"{"a":1,"a":2}"#);
    assert_eq!(body("", text, twice), "400 ambiguous-json");
    assert_eq!(body("", text, "{"), "400 ambiguous-json");
    assert_eq!(body("strict_json = false", text, twice), "http.post parsed=Bool(false)");
    assert_eq!(body("", text, r#"{"A":1,"a":2}"#), "http.post parsed=Bool(false)");
    assert_eq!(body("", "POST /x", twice), "http.post parsed=Bool(false)");
    assert_eq!(
        body("", "POST /x\nContent-Type: application/json; charset=utf-16", "{}"),
        "400 ambiguous-json"
    );
    let zipped = "POST /x\nContent-Type: application/json\nContent-Encoding: gzip";
    assert_eq!(body("", zipped, "\u{1f}"), "http.post parsed=Bool(false)");
}

#[test]
fn a_body_is_as_long_as_stated_and_within_the_limit() {
    assert_eq!(body("body_limit = 3", "POST /x\nContent-Type: text/plain", "abcd"), "413 body-too-large");
    assert_eq!(
        body("body_limit = 3", "POST /x\nContent-Type: text/plain", "abc"),
        "http.post parsed=Bool(true)"
    );
    assert_eq!(body("", "POST /x\nContent-Length: 4", "abc"), "400 length-differs");
    assert_eq!(body("body_limit = 0", "GET /x", ""), "http.get parsed=Bool(true)");
}

#[test]
fn no_field_changes_the_method() {
    let form = "POST /x\nContent-Type: application/x-www-form-urlencoded";
    for text in ["_method=DELETE", "a=1&_METHOD=delete", "%5fmethod=DELETE", "a=%zz&_method=DELETE"] {
        assert_eq!(body("", form, text), "400 method-override", "{text}");
    }
    assert_eq!(body("", form, "method=DELETE"), "http.post parsed=Bool(true)");
}

fn utf16(text: &str) -> Vec<u8> {
    std::iter::once(0xfeff).chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect()
}

fn overriding(content_type: &str, body: impl AsRef<[u8]>) -> bool {
    let content_type = Some(content_type).filter(|text| !text.is_empty());
    read(content_type, None, body.as_ref()).method_override.is_some()
}

#[test]
fn no_field_changes_the_method_by_being_hard_to_read() {
    let form = "application/x-www-form-urlencoded";
    for text in [
        "%5Fmethod=DELETE&x=%",
        "x=%&%5fmethod=DELETE",
        "x=1;+_Method+=DELETE&y=%",
        "x=%&X-HTTP%2dMethod=PUT",
    ] {
        assert!(overriding(form, text), "{text}");
    }
    assert!(overriding(form, b"_method=DELETE&x=\xff"));
    let sixteen = format!("{form}; charset=utf-16");
    assert!(overriding(&sixteen, utf16("_method=DELETE")));
    assert!(overriding(&sixteen, utf16("a=1&%5fmethod=DELETE")));
    assert!(overriding(&format!("{form}; charset=latin1"), "a=1&_method=DELETE"));
    for content_type in ["", "text/plain", "application/octet-stream", "image/png", "application/graphql"] {
        assert!(overriding(content_type, "_method=DELETE"), "{content_type}");
        assert!(overriding(content_type, "a=1&x-http-method-override=DELETE"), "{content_type}");
    }
    // Read as a form, which is what Rack does without a type, this is more than JSON.
    assert!(overriding("", r#"{"a":"&_method=DELETE&"}"#));
    assert!(overriding("application/json", "_method=DELETE"));
    assert!(read(Some(form), Some("gzip"), b"_method=DELETE").method_override.is_some());

    assert_eq!(body("", "POST /x", "_method=DELETE"), "400 method-override");
    let broken = "POST /x\nContent-Type: application/x-www-form-urlencoded";
    assert_eq!(body("", broken, "%5Fmethod=DELETE&x=%"), "400 method-override");
}

#[test]
fn no_part_changes_the_method() {
    let multipart = "multipart/form-data; boundary=x";
    let part = |header: &str| format!("--x\r\n{header}\r\n\r\nDELETE\r\n--x--\r\n");
    for header in [
        r#"Content-Disposition: form-data; name="_method""#,
        "content-disposition:form-data;NAME=_METHOD",
        "Content-Disposition: form-data; name = '_method' ; a=b",
        "Content-Disposition: form-data;\r\n\tname=\"X-HTTP-Method-Override\"",
        r#"Content-Disposition: form-data; name="\_me\thod""#,
        "Content-Disposition: form-data; name*=utf-8''%5Fmethod",
        r#"Content-Disposition: form-data; filename="f"; name="%5fmethod""#,
        "Content-ID: _method",
    ] {
        assert!(overriding(multipart, part(header)), "{header}");
        assert!(overriding(multipart, utf16(&part(header))), "{header}");
    }
    let text = part(r#"Content-Disposition: form-data; name="_method""#);
    assert_eq!(
        body("", "POST /x\nContent-Type: multipart/form-data; boundary=x", &text),
        "400 method-override"
    );
}

#[test]
fn what_only_mentions_a_method_passes() {
    let prose = "The field _method=DELETE (or \"_method\") & friends change the method.";
    for content_type in ["text/plain", "", "application/octet-stream", "multipart/mixed; boundary=x"] {
        assert!(!overriding(content_type, prose), "{content_type}");
    }
    assert_eq!(body("", "POST /x\nContent-Type: text/plain", prose), "http.post parsed=Bool(true)");
    let json = "POST /x\nContent-Type: application/json";
    for text in [r#"{"_method":"DELETE"}"#, r#"{"a":"&_method=DELETE"}"#] {
        assert_eq!(body("", json, text), "http.post parsed=Bool(true)", "{text}");
    }
    assert_eq!(body("", "POST /x", r#"{"_method":"DELETE"}"#), "http.post parsed=Bool(true)");
    assert!(!overriding("image/png", b"\x89PNG\r\n\x1a\n;_method=DELETE\xff"));
    let page =
        "--x\r\nContent-Disposition: form-data; name=\"page\"\r\n\r\n<input name=\"_method\">\r\n--x--";
    assert!(!overriding("multipart/form-data; boundary=x", page));
}

#[test]
fn a_body_that_streams_is_never_parsed() {
    let understood = ok("opaque = true", "POST /x").unread_body();
    assert_eq!(understood.facts["parsed"], Fact::Bool(false));
    assert!(!understood.facts.contains_key("body_bytes"));
}

#[test]
fn facts_are_those_of_the_policy_schema() {
    let operation = "operations = [{ method = \"POST\", path = \"/x/{y}\" }]";
    let request = ok(operation, "POST /x/%7e?z=1\nContent-Type: Text/Plain; charset=utf-8");
    let facts = request.read_body(b"hey").unwrap().facts;
    let text = |text: &str| Fact::Text(text.to_owned());
    let expected = [
        ("body_bytes", Fact::Int(3)),
        ("content_type", text("text/plain")),
        ("matched", Fact::Bool(true)),
        ("method", text("POST")),
        ("operation", text("POST /x/{y}")),
        ("parsed", Fact::Bool(true)),
        ("path", text("/x/~")),
    ];
    assert_eq!(facts.into_iter().collect::<Vec<_>>(), expected.map(|(name, fact)| (name.to_owned(), fact)));
}

const GRAPHQL: &str = r#"operations = [
    { method = "POST", path = "/graphql", verb = "http.write", graphql = true },
    { method = "GET", path = "/graphql", verb = "http.write", graphql = true },
]"#;

#[test]
fn graphql_is_what_its_document_does() {
    let post = "POST /graphql\nContent-Type: application/json";
    for (text, json, expected) in [
        (post, r#"{"query":"{ me }"}"#, "http.read parsed=Bool(true)"),
        (post, r#"{"query":"query A { me } fragment F on X { y }"}"#, "http.read parsed=Bool(true)"),
        (post, r#"[{"query":"{ me }"}]"#, "http.read parsed=Bool(true)"),
        (post, r#"{"query":"mutation { drop }"}"#, "http.write parsed=Bool(true)"),
        (
            post,
            r#"{"query":"query A { me } mutation B { drop }","operationName":"A"}"#,
            "http.write parsed=Bool(true)",
        ),
        (post, r#"{"query":"subscription { s }"}"#, "http.write parsed=Bool(true)"),
        (post, r#"[{"query":"{ a }"},{"query":"mutation { b }"}]"#, "400 graphql-batch"),
        (post, r#"{"extensions":{"persistedQuery":{}}}"#, "http.write parsed=Bool(false)"),
        (post, r#"{"query":"{ me } }"}"#, "http.write parsed=Bool(false)"),
        (post, r#"{"query":"{ me }","Query":"mutation { b }"}"#, "http.write parsed=Bool(false)"),
        (post, r#"{"query":"{ me }","query":"mutation { b }"}"#, "400 ambiguous-json"),
        (post, r#""{ me }""#, "http.write parsed=Bool(false)"),
        ("POST /graphql\nContent-Type: application/graphql", "{ me }", "http.read parsed=Bool(true)"),
        (
            "POST /graphql\nContent-Type: application/x-www-form-urlencoded",
            "query={me}",
            "http.write parsed=Bool(false)",
        ),
        // The query and the body name different documents.
        (
            "POST /graphql?query=mutation{b}\nContent-Type: application/json",
            r#"{"query":"{ me }"}"#,
            "http.write parsed=Bool(false)",
        ),
        ("GET /graphql?query={me}", "", "http.read parsed=Bool(true)"),
        ("GET /graphql?query=mutation{b}", "", "http.write parsed=Bool(true)"),
        ("GET /graphql?query={me}&query=mutation{b}", "", "http.write parsed=Bool(false)"),
        (
            "GET /graphql?query={me}\nContent-Type: application/json",
            r#"{"query":"{a}"}"#,
            "http.write parsed=Bool(false)",
        ),
        ("GET /graphql", "", "http.write parsed=Bool(false)"),
    ] {
        assert_eq!(body(GRAPHQL, text, json), expected, "{text} {json}");
    }
}

#[test]
fn graphql_tokens_hide_no_operation() {
    for (document, expected) in [
        ("{ a }", Some((1, 0, 0))),
        (
            "query Q($v: [Int!]! = [1], $o: I = {k: \"}\"}) @d(x: 1) { a(b: $v) { ...F ... on X { c } } }",
            Some((1, 0, 0)),
        ),
        ("# mutation\n{ a }", Some((1, 0, 0))),
        ("# {\rmutation { a }", Some((0, 1, 0))),
        ("{ a(s: \"\\\" } mutation { b\") }", Some((1, 0, 0))),
        ("{ a(s: \"\"\" \" \\\"\"\" } mutation { b } \"\"\") }", Some((1, 0, 0))),
        ("{ mutation }", Some((1, 0, 0))),
        ("{ a } mutation { b } subscription { c }", Some((1, 1, 1))),
        ("mutation{a}mutation{b}", Some((0, 2, 0))),
        ("", None),
        ("fragment F on X { a }", None),
        ("type X { a: Int }", None),
        ("{ a", None),
        ("{ a ) }", None),
        ("{ a } }", None),
        ("(a)", None),
        ("{ a(s: \"x) }", None),
        ("{ a(s: \"\"\"x) }", None),
        ("{ \u{e9} }", None),
        ("query", None),
        ("\"doc\" { a }", None),
    ] {
        let told = graphql::operations(document).map(|o| (o.queries, o.mutations, o.subscriptions));
        assert_eq!(told, expected, "{document}");
    }
}

proptest! {
    #[test]
    fn any_body_is_read(bytes in prop::collection::vec(any::<u8>(), 0..200), kind in "(application/json|text/plain|application/graphql|multipart/form-data|application/x-www-form-urlencoded|)") {
        let _ = read(Some(&kind), None, &bytes);
    }

    #[test]
    fn json_that_was_written_has_no_double(key in "[a-c]{1,2}", other in "[a-c]{1,2}", number in any::<f64>()) {
        let number = if number.is_finite() { number } else { 0.5 };
        let text = format!("{{{key:?}:{number:?},\"o\":{{{other:?}:1}}}}");
        prop_assert_eq!(check_json(&text), Ok(()));
        let twice = format!("{{{key:?}:{number:?},{other:?}:1}}");
        prop_assert_eq!(matches!(check_json(&twice), Err(JsonProblem::Twice(_))), key == other);
    }

    #[test]
    fn any_document_is_read(text in "[{}()\\[\\]\"#\\\\ a-z\n!$@:=|&.]{0,60}") {
        let _ = graphql::operations(&text);
    }
}
