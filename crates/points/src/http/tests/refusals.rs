//! Every refusal of a head, one line each, and every row on HTTP of the list of known ways round such a
//! gateway. Bodies' refusals are in `bodies`.

use std::collections::BTreeSet;

use super::*;

#[test]
fn heads_that_are_refused() {
    let long = |n: usize| "a".repeat(n);
    for (line, expected) in [
        ("GET /x HTTP/3", "505 http-version"),
        // Methods.
        ("get /x", "400 bad-method"),
        ("Delete /x", "400 bad-method"),
        ("GE\tT /x", "400 bad-method"),
        ("TRACE /x", "501 method-refused"),
        ("TRACK /x", "501 method-refused"),
        ("CONNECT h:443", "501 connect-refused"),
        ("CONNECT /x", "501 connect-refused"),
        // Targets.
        ("OPTIONS *", "501 asterisk-refused"),
        ("GET *", "501 asterisk-refused"),
        ("GET h:80", "400 target-form"),
        ("GET x", "400 target-form"),
        ("GET ", "400 target-form"),
        ("GET ftp://h/x", "400 target-form"),
        ("GET /x#y", "400 fragment"),
        (&format!("GET /{}", long(8_000)), "414 target-too-long"),
        (&format!("GET /{}", long(4_096)), "414 target-too-long"),
        (&format!("GET /x?{}", "|".repeat(2_700)), "414 target-too-long"),
        (&format!("GET /x?{}", "a&".repeat(600)), "414 too-many-parameters"),
        // Whom it is for.
        ("GET http://other/x", "400 authority-mismatch"),
        ("GET http://h:80/x", "400 authority-mismatch"),
        ("GET https://other/x HTTP/2\nhost: h", "400 authority-mismatch"),
        ("GET http://user@h/x", "400 bad-host"),
        ("GET http:///x", "400 bad-host"),
        ("GET /x HTTP/2", "400 missing-host"),
        ("GET /x\nHost:", "400 bad-host"),
        ("GET /x\nHost: a b", "400 bad-host"),
        ("GET /x\nHost: h/../x", "400 bad-host"),
        ("GET /x\nHost: h\nHost: h", "400 repeated-header"),
        // Paths: `//`, `%2f`, `..`, `;x` and their kin.
        ("GET //x", "400 empty-segment"),
        ("GET //evil.example/x", "400 empty-segment"),
        ("GET /a/../x", "400 dot-segment"),
        ("GET /a/%2e%2e/x", "400 dot-segment"),
        ("GET /a/..%2fx", "400 dot-segment"),
        ("GET /a;v=1/x", "400 path-parameters"),
        ("GET /a%3bv/x", "400 encoded-slash"),
        ("GET /a%2fx", "400 encoded-slash"),
        ("GET /a%5cx", "400 encoded-slash"),
        ("GET /a\\x", "400 backslash"),
        ("GET /a%252fx", "400 double-encoding"),
        ("GET /a%2541", "400 double-encoding"),
        ("GET /a%00", "400 control-character"),
        ("GET /a\rx", "400 control-character"),
        ("GET /caf\u{e9}", "400 raw-byte"),
        ("GET /a b", "400 raw-byte"),
        ("GET /a%zz", "400 bad-percent"),
        ("GET /a%c0%ae", "400 not-utf8"),
        ("GET /a%ef%bc%8fb", "400 look-alike"),
        // Another method behind the first line's back.
        ("POST /x\nX-HTTP-Method-Override: DELETE", "400 method-override"),
        ("POST /x\nX_HTTP_Method_Override: DELETE", "400 method-override"),
        ("POST /x\nX-HTTP-Method: DELETE", "400 method-override"),
        ("POST /x\nX-Method-Override: DELETE", "400 method-override"),
        ("POST /x?_method=DELETE", "400 method-override"),
        ("POST /x?%5fMETHOD=DELETE", "400 method-override"),
        // Headers.
        (&format!("GET /x{}", "\na: 1".repeat(128)), "431 too-many-headers"),
        (&format!("GET /x\n{}: 1", long(129)), "431 headers-too-long"),
        (&format!("GET /x\na: {}", long(16_385)), "431 headers-too-long"),
        (&format!("GET /x{}", format!("\na: {}", long(16_000)).repeat(5)), "431 headers-too-long"),
        ("GET /x\na b: 1", "400 header-name"),
        ("GET /x\n: 1", "400 header-name"),
        ("GET /x\nTransfer-Encoding : chunked", "400 header-name"),
        ("GET /x\na: 1\r2", "400 header-value"),
        ("GET /x\na: 1\u{0}", "400 header-value"),
        ("GET /x\nContent-Type: a/b\nContent-Type: c/d", "400 repeated-header"),
        ("GET /x\nAuthorization: a\nauthorization: b", "400 repeated-header"),
        ("POST /x\nContent-Length: x", "400 content-length"),
        ("POST /x\nTransfer-Encoding: gzip", "501 transfer-encoding"),
        ("POST /x\nContent-Length: 1\nTransfer-Encoding: chunked", "400 two-lengths"),
        ("POST /x\nContent-Length: 2000000", "413 body-too-large"),
        ("POST /x\nConnection: close, Content-Type", "400 connection-names"),
        ("POST /x\nConnection: X-Forwarded-For", "400 connection-names"),
        ("POST /x\nConnection: Authorization", "400 connection-names"),
        ("POST /x\nExpect: 200-ok", "417 expectation"),
        ("GET /x\nConnection: upgrade\nUpgrade: websocket", "403 upgrade-refused"),
        ("GET /x\nIdempotency-Key: a b", "400 our-header"),
        // Nearly an operation of the route.
        ("POST /Purge", "400 near-miss"),
        ("POST /purge/", "400 near-miss"),
    ] {
        let more = "operations = [{ method = \"POST\", path = \"/purge\", verb = \"http.destroy\" }]";
        assert_eq!(check(more, line), expected, "{line:.80}");
    }
    // What these are beside.
    for (line, expected) in [
        ("GET http://h/x", "http.get /x -> /x unmatched"),
        ("GET HTTP://H/x", "http.get /x -> /x unmatched"),
        ("GET http://h", "http.get / -> / unmatched"),
        ("GET http://h?a", "http.get / -> /?a unmatched"),
        ("GET https://h/x HTTP/2", "http.get /x -> /x unmatched"),
        ("GET https://h/x HTTP/2\nhost: h", "http.get /x -> /x unmatched"),
        ("GET /x HTTP/1.0", "http.get /x -> /x unmatched"),
        ("GET /x?", "http.get /x -> /x unmatched"),
        ("M-SEARCH /x", "http.other /x -> /x unmatched"),
        ("DELETE /%7Ex/", "http.delete /~x/ -> /~x/ unmatched"),
    ] {
        assert_eq!(check("", line), expected, "{line}");
    }
    let host = Refusal::MissingHost;
    let wire = RequestHead { headers: vec![], ..head("GET /x") };
    assert_eq!(parse(&wire, &table(&[route_text("r", "")])), Err(host));
}

#[test]
fn every_code_is_tested_and_stands_once() {
    let source = include_str!("../refusal.rs");
    let codes: Vec<&str> =
        source.split(" => \"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    assert_eq!(codes.len(), codes.iter().collect::<BTreeSet<_>>().len());
    assert!(codes.len() > 40);
    let tests = [
        include_str!("refusals.rs"),
        include_str!("bodies.rs"),
        include_str!("headers.rs"),
        include_str!("paths.rs"),
        include_str!("table.rs"),
        include_str!("templates.rs"),
    ]
    .concat();
    // A route that is out of order is told by its name there, which says more.
    let tests = tests.replace("disabled: ", "route-disabled\" ");
    for code in codes {
        assert!(tests.contains(&format!("{code}\"")), "no test expects `{code}`");
    }
}

#[test]
fn refusals_say_what_to_do_and_repeat_no_value() {
    let secret = "s3cr3t\u{1}";
    for line in [
        format!("GET /x\nAuthorization: {secret}"),
        "GET /x\nAuthorization: s3cr3t\nAuthorization: s3cr3t".to_owned(),
        format!("GET /x\nX-Key: {secret}"),
        "GET /x\nIdempotency-Key: s3cr3t s3cr3t".to_owned(),
        "GET /x\nCountersign-Run: s3cr3t s3cr3t".to_owned(),
        "POST /x\nContent-Length: s3cr3t".to_owned(),
        "POST /x\nTransfer-Encoding: s3cr3t".to_owned(),
    ] {
        let refusal = parsed("", &line).unwrap_err();
        let text = format!("{refusal} {refusal:?}");
        assert!(!text.contains("s3cr3t"), "{text}");
        let message = refusal.to_string();
        assert!(
            !message.ends_with('.') && message.starts_with(|c: char| c.is_lowercase() || c == '`'),
            "{message}"
        );
    }
}
