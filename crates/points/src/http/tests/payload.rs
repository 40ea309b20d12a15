//! Requests as fields, and back.

use proptest::prelude::*;

use super::*;
use crate::http::payload::{Part, payload_parts, rebuild, retry_parts};

fn again(parts: &[Part]) -> Result<crate::http::payload::Rebuilt, String> {
    rebuild(parts.iter().map(|(path, value)| (path.as_str(), value.as_slice())))
        .map_err(|error| error.to_string())
}

fn request() -> ParsedRequest {
    ok(
        "opaque_slashes = true",
        "DELETE /q/%2f/a?x=%61\nAccept: a\nAuthorization: Bearer agent\nX-B: 1\nX-B: 2",
    )
}

#[test]
fn the_fields_are_all_that_goes_out() {
    let parts = payload_parts(&request(), Some(b"body"));
    let lines: Vec<_> =
        parts.iter().map(|(path, value)| format!("{path} = {}", String::from_utf8_lossy(value))).collect();
    let expected = [
        "http.method = DELETE",
        "http.authority = up.example:8443",
        "http.target = /q/%2F/a?x=a",
        "http.header.000.accept = a",
        "http.header.001.x-b = 1",
        "http.header.002.x-b = 2",
        "http.body = body",
    ];
    assert_eq!(lines, expected);
    let streams = payload_parts(&request(), None);
    assert_eq!(streams.last().unwrap(), &("http.body-streams".to_owned(), vec![]));
    assert_eq!(again(&streams).unwrap().body, None);
    assert_eq!(again(&payload_parts(&request(), Some(b""))).unwrap().body, Some(vec![]));
}

#[test]
fn a_second_try_is_known_by_what_it_does() {
    let one = "POST /x\nAccept: a\nTraceparent: 00-1\nX-Request-Id: 1\nB: 1";
    let two = "POST /x\nB: 1\nX-Request-Id: 2\nAccept: a";
    let retry = |text: &str, body: &[u8]| retry_parts(&ok("", text), Some(body));
    assert_eq!(retry(one, b"x"), retry(two, b"x"));
    assert_ne!(retry(one, b"x"), retry(two, b"y"));
    assert_ne!(retry(one, b"x"), retry("POST /x\nB: 2\nAccept: a", b"x"));
    assert_ne!(payload_parts(&ok("", one), None), payload_parts(&ok("", two), None));
}

/// The field that comes instead, where one does.
type Edit<'e> = Option<(&'e str, &'e [u8])>;

#[test]
fn fields_that_parsing_would_not_have_made_are_no_request() {
    let edit = |at: &str, to: Edit<'_>| {
        let mut parts = payload_parts(&request(), Some(b""));
        let place = parts.iter().position(|(path, _)| path == at).unwrap_or(parts.len());
        if place < parts.len() {
            parts.remove(place);
        }
        parts.extend(to.map(|(path, value)| (path.to_owned(), value.to_vec())));
        again(&parts).map_or_else(|error| error, |_| "fine".to_owned())
    };
    let cases: &[(&str, Edit<'_>, &str)] = &[
        ("http.method", None, "`http.method` is missing"),
        ("http.target", None, "`http.target` is missing"),
        ("http.authority", None, "`http.authority` is missing"),
        ("http.body", None, "`http.body` is missing"),
        ("", Some(("http.method", b"GET")), "`http.method` stands twice"),
        ("", Some(("http.body-streams", b"")), "`http.body` stands twice"),
        ("http.body", Some(("http.body-streams", b"x")), "`http.body-streams` has a value"),
        ("http.method", Some(("http.method", b"TRACE")), "`http.method` has a value"),
        ("http.method", Some(("http.method", b"get")), "`http.method` has a value"),
        ("http.target", Some(("http.target", b"/a/../b")), "`http.target` has a value"),
        ("http.target", Some(("http.target", b"/%61")), "`http.target` has a value"),
        ("http.target", Some(("http.target", b"/a?")), "`http.target` has a value"),
        ("http.target", Some(("http.target", b"/a HTTP/1.1\r\nX: y")), "`http.target` has a value"),
        ("http.authority", Some(("http.authority", b"Up.example")), "`http.authority` has a value"),
        ("http.header.001.x-b", None, "`http.header.002.x-b` is not one of a request's"),
        ("http.header.001.x-b", Some(("http.header.1.x-b", b"1")), "is not one of a request's"),
        ("http.header.001.x-b", Some(("http.header.001.X-B", b"1")), "has a value"),
        ("http.header.001.x-b", Some(("http.header.001.host", b"evil")), "has a value"),
        ("http.header.001.x-b", Some(("http.header.001.content-length", b"1")), "has a value"),
        ("http.header.001.x-b", Some(("http.header.001.authorization", b"1")), "has a value"),
        ("http.header.001.x-b", Some(("http.header.001.x-forwarded-for", b"1")), "has a value"),
        ("http.header.001.x-b", Some(("http.header.001.x-b", b"1\r\nHost: x")), "has a value"),
        ("http.header.001.x-b", Some(("http.header.001.x-b", b" 1")), "has a value"),
        ("", Some(("http.header.001.x-c", b"1")), "is not one of a request's"),
        ("", Some(("http.header", b"")), "`http.header` is not one"),
        ("", Some(("sql.text", b"")), "`sql.text` is not one"),
        ("", Some(("http.upgrade", b"a b")), "`http.upgrade` has a value"),
        ("", None, "fine"),
    ];
    for (at, to, words) in cases {
        let told = edit(at, *to);
        assert!(told.contains(words), "{at} {to:?}: {told}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn what_was_parsed_is_what_is_rebuilt(
        method in "(GET|POST|DELETE|PATCH)",
        path in "(/[a-z%7e:=@{]{0,0}[a-z0-9.~:@!$&'()*+,=-]{1,6}x){0,4}/?",
        query in "[a-z0-9=&+;/?|%\\[\\]]{0,20}",
        headers in prop::collection::vec(("x-[a-z]{1,6}", "[ -~\u{80}-\u{ff}]{0,12}"), 0..6),
        body in prop::option::of(prop::collection::vec(any::<u8>(), 0..64)),
        turn in any::<prop::sample::Index>(),
    ) {
        let mut wire = head(&format!("{method} /"));
        wire.target = format!("/{}?{query}", path.trim_start_matches('/')).into_bytes();
        wire.headers.extend(headers.into_iter().map(|(name, value)| (name, value.into_bytes())));
        if let Ok(request) = parse(&wire, &table(&[route_text("r", "allow_upgrade = [\"websocket\"]")])) {
            let mut parts = payload_parts(&request, body.as_deref());
            // The order of the fields is no part of the request: their paths carry it.
            let n = turn.index(parts.len());
            parts.rotate_left(n);
            let rebuilt = again(&parts).unwrap();
            prop_assert_eq!(&rebuilt.method, request.method());
            prop_assert_eq!(&rebuilt.target, request.target());
            prop_assert_eq!(&rebuilt.authority, request.standing().route.upstream().authority());
            prop_assert_eq!(rebuilt.headers.as_slice(), request.headers());
            prop_assert_eq!(&rebuilt.body, &body);
        }
    }
}
