//! What is taken out, what goes on, and what is read for us.

use super::*;
use crate::http::headers::Framing;

#[test]
fn identity_from_outside_never_goes_on() {
    for name in [
        "X-User",
        "x-user-id",
        "X_User",
        "x.user",
        "X-Remote-User",
        "Remote-User",
        "REMOTE_USER",
        "X-Forwarded-For",
        "X-Forwarded-User",
        "X_Forwarded_For",
        "Forwarded",
        "X-Real-IP",
        "X-Auth-Request-Email",
        "X-WebAuth-User",
        "Impersonate-User",
        "Impersonate-Extra-Scopes",
        "X-Goog-IAP-JWT-Assertion",
        "X-Amzn-Oidc-Data",
        "X-MS-Client-Principal",
        "Cf-Access-Jwt-Assertion",
        "X-Original-URL",
        "X-Rewrite-URL",
        "X-Host",
        "X-Client-Cert",
        "SSL-Client-S-DN",
        "Tailscale-User-Login",
        "True-Client-IP",
        "Proxy-Authorization",
        "Proxy-Connection",
        "Countersign-Approved-By",
        "Countersign_Grant",
        "X-Countersign-Actor",
        "weird~name",
    ] {
        let request = ok("", &format!("GET /x\nAccept: a\n{name}: admin"));
        assert_eq!(forwarded(&request), ["accept: a"], "{name}");
    }
}

#[test]
fn headers_of_the_connection_and_the_callers_credential_stay_here() {
    let request = ok(
        "",
        "POST /x\nConnection: keep-alive, X-Hop\nKeep-Alive: 5\nX-Hop: 1\nTE: trailers\nTrailer: x\n\
         Transfer-Encoding: chunked\nExpect: 100-continue\nAuthorization: Bearer agent\nUser-Agent: u\nCookie: c=1",
    );
    assert_eq!(forwarded(&request), ["user-agent: u", "cookie: c=1"]);
    assert_eq!(request.dropped(), ["x-hop"]);
    assert_eq!(request.credential().unwrap().expose(), b"Bearer agent");
    assert_eq!(format!("{:?}", request.credential()), "Some(Presented(..))");
    assert!(!format!("{request:?}").contains("Bearer agent"));
    assert!(!format!("{:?}", head("GET /x\nAuthorization: Bearer agent")).contains("Bearer"));
}

#[test]
fn the_route_says_what_else_is_taken_out() {
    let text = "GET /x\nX-Api-Key: mine\nx_api_key: mine\nCookie: c\nX-Debug: 1\nAccept: a";
    let keyed = "credential = { secret = \"s\", header = \"X-Api-Key\", format = \"{secret}\" }";
    assert_eq!(forwarded(&ok(keyed, text)), ["cookie: c", "x-debug: 1", "accept: a"]);
    let strip = "strip_cookies = true\nstrip_headers = [\"X-Debug\"]";
    assert_eq!(forwarded(&ok(strip, text)), ["x-api-key: mine", "accept: a"]);
}

#[test]
fn order_doubles_and_bytes_are_kept() {
    let mut wire = head("GET /x\nB:  2 \nA: 1\nb: 3");
    wire.headers.push(("latin".to_owned(), b"\xe9\t\xe8".to_vec()));
    let request = parse(&wire, &table(&[route_text("r", "")])).unwrap();
    let headers: Vec<_> = request.headers().iter().map(|h| (h.name.as_str(), h.value.as_slice())).collect();
    let expected: [(&str, &[u8]); 4] = [("b", b"2"), ("a", b"1"), ("b", b"3"), ("latin", b"\xe9\t\xe8")];
    assert_eq!(headers, expected);
}

#[test]
fn http2_joins_cookies_and_http1_has_one() {
    let split = "GET https://h/x HTTP/2\ncookie: a=1\naccept: a\ncookie: b=2";
    assert_eq!(forwarded(&ok("", split)), ["cookie: a=1; b=2", "accept: a"]);
    assert_eq!(check("", "GET /x\nCookie: a=1\nCookie: b=2"), "400 repeated-header");
}

#[test]
fn how_a_body_ends_is_never_in_doubt() {
    for (text, expected) in [
        ("POST /x", Ok(Framing::Unstated)),
        ("POST /x\nContent-Length: 12", Ok(Framing::Length(12))),
        ("POST /x\nTransfer-Encoding: chunked", Ok(Framing::Chunked)),
        ("POST /x\nTransfer-Encoding: Chunked", Ok(Framing::Chunked)),
        ("POST /x\nContent-Length: 12\nTransfer-Encoding: chunked", Err("two-lengths")),
        ("POST /x\nContent-Length: 12\nContent-Length: 12", Err("repeated-header")),
        ("POST /x\nContent-Length: 12, 12", Err("content-length")),
        ("POST /x\nContent-Length: +1", Err("content-length")),
        ("POST /x\nContent-Length: 0x1", Err("content-length")),
        ("POST /x\nContent-Length:", Err("content-length")),
        ("POST /x\nContent-Length: 9999999999999999999999", Err("content-length")),
        ("POST /x\nContent-Length: 1048577", Err("body-too-large")),
        ("POST /x\nTransfer-Encoding: gzip, chunked", Err("transfer-encoding")),
        ("POST /x\nTransfer-Encoding: xchunked", Err("transfer-encoding")),
        ("POST /x\nTransfer-Encoding: identity", Err("transfer-encoding")),
        ("POST /x\nTransfer-Encoding: chunked\nTransfer-Encoding: chunked", Err("repeated-header")),
        ("POST /x HTTP/1.0\nTransfer-Encoding: chunked", Err("transfer-encoding")),
        ("POST https://h/x HTTP/2\ntransfer-encoding: chunked", Err("transfer-encoding")),
    ] {
        let result = parsed("", text);
        let result = result.as_ref().map(ParsedRequest::framing).map_err(Refusal::code);
        assert_eq!(result, expected, "{text}");
    }
    // Where lengths are in doubt, the connection is not used again.
    assert!(parsed("", "POST /x\nContent-Length: 1\nTransfer-Encoding: chunked").unwrap_err().closes());
    assert_eq!(
        ok("opaque = true", "POST /x\nContent-Length: 99999999").framing(),
        Framing::Length(99_999_999)
    );
}

#[test]
fn an_upgrade_is_an_action_of_its_own_and_denied_by_default() {
    let text = "GET /x\nConnection: Upgrade\nUpgrade: WebSocket\nSec-WebSocket-Version: 13";
    assert_eq!(check("", text), "403 upgrade-refused");
    let allowed = "allow_upgrade = [\"websocket\"]\noperations = [{ method = \"GET\", path = \"/x\" }]";
    assert_eq!(check(allowed, text), "http.upgrade /x -> /x");
    let request = ok(allowed, text);
    assert_eq!(request.upgrade(), Some("websocket"));
    assert_eq!(forwarded(&request), ["sec-websocket-version: 13"]);
    for text in [
        "GET /x\nUpgrade: h2c",
        "GET /x\nConnection: upgrade",
        "GET /x\nUpgrade: websocket, h2c",
        "GET /x\nUpgrade: websocket/13",
        "GET /x HTTP/1.0\nUpgrade: websocket",
        "GET https://h/x HTTP/2\nupgrade: websocket",
    ] {
        assert_eq!(check(allowed, text), "403 upgrade-refused", "{text}");
    }
}

#[test]
fn what_the_caller_tells_us_is_read_and_not_passed_on() {
    let request = ok(
        "",
        "POST /x\nCountersign-Reason: clearing the dead letters\nCountersign-Run: run-7\nIdempotency-Key: \"k1\"\n\
         Prefer: respond-async, wait=10\nPrefer: return=minimal, note=\"a,wait=1\"",
    );
    assert_eq!(request.reason(), Some("clearing the dead letters"));
    assert_eq!(request.run(), Some("run-7"));
    assert_eq!(request.idempotency(), Some("k1"));
    assert_eq!((request.responds_async(), request.wait().seconds()), (true, 0));
    assert_eq!(forwarded(&request), ["idempotency-key: \"k1\"", "prefer: return=minimal, note=\"a,wait=1\""]);

    let wait = |text: &str| ok("wait = \"30s\"", text).wait().seconds();
    assert_eq!(wait("GET /x"), 30);
    assert_eq!(wait("GET /x\nPrefer: wait=5"), 5);
    assert_eq!(wait("GET /x\nPrefer: wait=\"7\""), 7);
    assert_eq!(wait("GET /x\nPrefer: wait=500"), 30);
    assert_eq!(wait("GET /x\nPrefer: wait=0"), 0);
    assert_eq!(wait("GET /x\nPrefer: wait=-1"), 30);
    assert_eq!(wait("GET /x\nPrefer: wait=5, wait=20"), 5);

    let trace = "0af7651916cd43dd8448eb211c80319c";
    let run = |text: String| ok("", &text).run().map(str::to_owned);
    assert_eq!(run(format!("GET /x\nTraceparent: 00-{trace}-b7ad6b7169203331-01")).as_deref(), Some(trace));
    assert_eq!(run(format!("GET /x\nTraceparent: 00-{}-b7ad6b7169203331-01", "0".repeat(32))), None);
    assert_eq!(run("GET /x\nTraceparent: nonsense".to_owned()), None);
    assert_eq!(
        run(format!("GET /x\nCountersign-Run: r\nTraceparent: 00-{trace}-b7ad6b7169203331-01")).as_deref(),
        Some("r")
    );

    let reason = |value: &[u8]| {
        let mut wire = head("GET /x");
        wire.headers.push(("countersign-reason".to_owned(), value.to_vec()));
        match parse(&wire, &table(&[route_text("r", "")])) {
            Ok(request) => request.reason().unwrap().to_owned(),
            Err(refusal) => refusal.code().to_owned(),
        }
    };
    assert_eq!(reason("für Zoë".as_bytes()), "für Zoë");
    assert_eq!(reason(b"UTF-8''f%C3%BCr%20Zo%c3%ab"), "für Zoë");
    assert_eq!(reason(b"\xff"), "our-header");
    assert_eq!(reason(b"UTF-8''%ff"), "our-header");
    assert_eq!(reason(&[b'a'; 2_001]), "our-header");
    assert_eq!(check("", "GET /x\nCountersign-Run: a b"), "400 our-header");
    assert_eq!(check("", "GET /x\nIdempotency-Key:"), "400 our-header");
}
