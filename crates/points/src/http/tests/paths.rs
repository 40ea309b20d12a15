//! Canonical paths and queries.

use proptest::prelude::*;

use super::*;
use crate::http::path::{CanonicalPath, Query, SEGMENTS_LIMIT};

fn path(raw: &str) -> String {
    match CanonicalPath::read(raw.as_bytes()) {
        Ok(path) if path.is_opaque() => format!("{path} (opaque)"),
        Ok(path) => path.to_string(),
        Err(refusal) => refusal.code().to_owned(),
    }
}

fn query(raw: &str) -> String {
    match Query::read(raw.as_bytes()) {
        Ok(query) => query.as_str().to_owned(),
        Err(refusal) => refusal.code().to_owned(),
    }
}

#[test]
fn a_path_has_one_form() {
    for (raw, expected) in [
        ("/", "/"),
        ("/a/b", "/a/b"),
        ("/a/b/", "/a/b/"),
        ("/%61%2D%2e%5f%7Eb", "/a-._~b"),
        ("/caf%c3%a9", "/caf%C3%A9"),
        ("/a%20b", "/a%20b"),
        ("/a:b@c!$&'()*+,=", "/a:b@c!$&'()*+,="),
        ("/a%3ab%40c", "/a%3Ab%40c"),
        ("/{a}|b^[c]\"<>`", "/%7Ba%7D%7Cb%5E%5Bc%5D%22%3C%3E%60"),
        ("/100%25", "/100%25"),
        ("/100%25x", "/100%25x"),
        ("/..a/.b/...", "/..a/.b/..."),
        // Data to a route that says so, refused by all others.
        ("/queues/%2f/orders", "/queues/%2F/orders (opaque)"),
        ("/a%5cb", "/a%5Cb (opaque)"),
        ("/a%3bb", "/a%3Bb (opaque)"),
        ("/a%252fb", "/a%252fb (opaque)"),
        // The escapes spell `%252e`, one digit at a time.
        ("/a%25%32%65b", "/a%252eb (opaque)"),
        // Refused, whatever the route says.
        ("", "target-form"),
        ("a/b", "target-form"),
        ("//", "empty-segment"),
        ("//a", "empty-segment"),
        ("/a//b", "empty-segment"),
        ("/a//", "empty-segment"),
        ("/.", "dot-segment"),
        ("/..", "dot-segment"),
        ("/a/./b", "dot-segment"),
        ("/a/../b", "dot-segment"),
        ("/a/%2e%2E/b", "dot-segment"),
        ("/a/.%2e/b", "dot-segment"),
        ("/a/%2e/b", "dot-segment"),
        ("/a/..%2fb", "dot-segment"),
        ("/a/x%2f..%2fb", "dot-segment"),
        ("/a/..%5cb", "dot-segment"),
        ("/a/%252e%252e/b", "dot-segment"),
        ("/a/%25252e%25252e/b", "dot-segment"),
        ("/a/..%253b/b", "dot-segment"),
        ("/a/..%20/b", "dot-segment"),
        ("/a;x=1/b", "path-parameters"),
        ("/a/..;/b", "path-parameters"),
        ("/a\\b", "backslash"),
        ("/a%00b", "control-character"),
        ("/a%0d%0aHost:x", "control-character"),
        ("/a%7f", "control-character"),
        ("/a%2500b", "control-character"),
        ("/a%c2%85b", "control-character"),
        ("/a\tb", "control-character"),
        ("/a b", "raw-byte"),
        ("/caf\u{e9}", "raw-byte"),
        ("/a%", "bad-percent"),
        ("/a%2", "bad-percent"),
        ("/a%zz", "bad-percent"),
        ("/a%u002e", "bad-percent"),
        ("/a%+1", "bad-percent"),
        ("/%c0%ae%c0%ae/b", "not-utf8"),
        ("/a%ff", "not-utf8"),
        ("/a#b", "fragment"),
        // Full width `..` and `/`, one dot leader.
        ("/%ef%bc%8e%ef%bc%8e/b", "look-alike"),
        ("/a%ef%bc%8fb", "look-alike"),
        ("/%e2%80%a4%e2%80%a4/b", "look-alike"),
    ] {
        assert_eq!(path(raw), expected, "{raw}");
    }
    assert_eq!(path(&"/a".repeat(SEGMENTS_LIMIT)).len(), 2 * SEGMENTS_LIMIT);
    assert_eq!(path(&"/a".repeat(SEGMENTS_LIMIT + 1)), "target-too-long");
    assert_eq!(path(&format!("/{}", "a".repeat(4_096))), "target-too-long");
    // It is over the limit only once it is canonical.
    assert_eq!(path(&format!("/{}", "{".repeat(2_000))), "target-too-long");
}

#[test]
fn a_query_has_one_form() {
    for (raw, expected) in [
        ("", ""),
        ("a=1&b=%61", "a=1&b=a"),
        ("a=b=c&&d", "a=b=c&&d"),
        ("q=caf%c3%a9+x", "q=caf%C3%A9+x"),
        ("filter[name]={\"a\"}|\\", "filter%5Bname%5D=%7B%22a%22%7D%7C%5C"),
        ("a=1;b=2", "a=1%3Bb=2"),
        ("u=http://x/?y", "u=http://x/?y"),
        ("u=%252F", "u=%252F"),
        ("t=a%0ab", "t=a%0Ab"),
        ("a=%", "bad-percent"),
        ("a=%4", "bad-percent"),
        ("a=%00", "control-character"),
        ("a=\u{1}", "control-character"),
        ("a= b", "raw-byte"),
        ("a=\u{e9}", "raw-byte"),
        ("a=%ff", "not-utf8"),
        ("a#b", "fragment"),
    ] {
        assert_eq!(query(raw), expected, "{raw}");
    }
    let pairs = Query::read(b"a=1&a=2&b&=c&d=x+y%2B").unwrap().pairs().to_vec();
    let expected = [("a", "1"), ("a", "2"), ("b", ""), ("", "c"), ("d", "x y+")];
    assert_eq!(pairs, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    assert_eq!(query(&"a&".repeat(513)), "too-many-parameters");
}

#[test]
fn prefixes_are_whole_segments() {
    let read = |text: &str| CanonicalPath::read(text.as_bytes()).unwrap();
    for (path, prefix, rest) in [
        ("/orders/a/b/", "/orders", Some("/a/b/")),
        ("/orders", "/orders", Some("/")),
        ("/orders/", "/orders", Some("/")),
        ("/ordersx", "/orders", None),
        ("/orders%2Fx", "/orders", None),
        ("/Orders/x", "/orders", None),
        ("/a/orders", "/orders", None),
    ] {
        let after = read(path).after(&read(prefix));
        assert_eq!(after.as_ref().map(CanonicalPath::as_str), rest, "{path}");
    }
    assert!(read("/o/%2F").after(&read("/o")).unwrap().is_opaque());
    assert_eq!(read("/x/").below(Some(&read("/base"))).as_str(), "/base/x/");
}

/// Bytes out of what makes paths ambiguous, and anything else.
fn hostile() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        8 => prop::sample::select(vec![
            "/", "//", ".", "..", "%2e", "%2E", "%25", "%252e", "%2f", "%2F", "%5c", "\\", ";", "%3b", "%", "%2",
            "%00", "%c0%ae", "%c3%a9", "%ef%bc%8f", "a", "B", "7e", "2f", "%61", "%7e", "%3A", ":", "{", "[", "?",
            "#", "&", "=", "+", "%20", "25", "%32%35", "%25%32%65", "*", "~"
        ]).prop_map(|text| text.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..3),
    ];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn a_canonical_path_reads_back_to_itself(raw in hostile()) {
        let raw = [b"/", raw.as_slice()].concat();
        if let Ok(path) = CanonicalPath::read(&raw) {
            prop_assert_eq!(CanonicalPath::read(path.as_str().as_bytes()), Ok(path.clone()));
            // No reader who decodes it, once or twice, finds other segments, unless the route was told.
            let decode = |text: &[u8]| percent_encoding::percent_decode(text).collect::<Vec<u8>>();
            let once = decode(path.as_str().as_bytes());
            for text in [once.clone(), decode(&once)] {
                let text = String::from_utf8(text).unwrap();
                let has = |what: &[char]| text.contains(what);
                prop_assert!(!text.split(['/', '\\', ';']).any(|part| part == "." || part == ".."));
                prop_assert!(path.is_opaque() || !has(&['\\', ';']));
                prop_assert!(!has(&['\0', '\r', '\n']));
                let slashes = text.matches('/').count() == path.as_str().matches('/').count();
                prop_assert!(path.is_opaque() || slashes);
            }
        }
    }

    #[test]
    fn a_canonical_query_reads_back_to_itself(raw in hostile()) {
        if let Ok(query) = Query::read(&raw) {
            prop_assert_eq!(Query::read(query.as_str().as_bytes()), Ok(query));
        }
    }

    #[test]
    fn any_target_is_read_or_refused(raw in hostile(), method in "[A-Z]{1,8}") {
        let table = table(&[route_text("r", "opaque_slashes = true")]);
        let head = RequestHead { method, target: raw, version: Version::HTTP_11, headers: vec![("host".into(), b"h".to_vec())] };
        if let Ok(request) = parse(&head, &table) {
            prop_assert!(request.target().bytes().all(|b| b.is_ascii_graphic()));
        }
    }
}
