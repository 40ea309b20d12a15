//! Routes as people write them and as the directory keeps them.

use std::net::IpAddr;

use super::*;
use crate::http::config::Record;
use crate::http::upstream::{Authority, Upstream, may_connect};

#[test]
fn the_least_route_has_every_default_written_out() {
    let route = route("");
    insta::assert_snapshot!(route.to_document().unwrap(), @r#"{"allow_upgrade":[],"body_limit":1048576,"environment":"prod","exact_paths":false,"hosts":[],"labels":{},"name":"r","opaque":false,"opaque_slashes":false,"operations":[],"point":"http","record":"segment","result_limit":1048576,"retry_window":"10m","run_when_gone":false,"strict_json":true,"strip_cookies":false,"strip_headers":[],"upstream":"https://up.example:8443","wait":"55s"}"#);
    assert_eq!(Route::parse_json(&route.to_document().unwrap()).as_ref(), Ok(&route));
}

#[test]
fn every_setting_is_kept() {
    let text = r#"
        point = "http"
        name = "broker"
        hosts = ["Rabbit.Internal:15671", "[2001:DB8::1]"]
        prefix = "/broker"
        upstream = "http://10.0.0.7:15672/base"
        environment = "prod"
        labels = { team = "payments" }
        credential = { secret = "rabbit", basic_user = "gateway" }
        wait = "2m"
        run_when_gone = true
        record = "before-run"
        body_limit = 4096
        opaque_slashes = true
        exact_paths = true
        strict_json = false
        strip_cookies = true
        strip_headers = ["X-Debug"]
        allow_upgrade = ["WebSocket"]
        retry_window = "1h"
        result_limit = 0

        [[operations]]
        method = "DELETE"
        path = "/api/queues/{vhost}/{name}"
        verb = "http.destroy"
        resource = "queues/{vhost}/{name}"
        labels = { class = "queue" }

        [[operations]]
        method = "POST"
        path = "/graphql"
        query = { v = "2" }
        verb = "http.write"
        graphql = true
    "#;
    let route = Route::parse_toml(text).unwrap();
    insta::assert_snapshot!(route.to_document().unwrap(), @r#"{"allow_upgrade":["websocket"],"body_limit":4096,"credential":{"basic_user":"gateway","format":"Bearer {secret}","header":"authorization","secret":"rabbit"},"environment":"prod","exact_paths":true,"hosts":["rabbit.internal:15671","[2001:db8::1]"],"labels":{"team":"payments"},"name":"broker","opaque":false,"opaque_slashes":true,"operations":[{"graphql":false,"labels":{"class":"queue"},"method":"DELETE","path":"/api/queues/{vhost}/{name}","query":{},"resource":"queues/{vhost}/{name}","verb":"http.destroy"},{"graphql":true,"labels":{},"method":"POST","path":"/graphql","query":{"v":"2"},"verb":"http.write"}],"point":"http","prefix":"/broker","record":"before-run","result_limit":0,"retry_window":"1h","run_when_gone":true,"strict_json":false,"strip_cookies":true,"strip_headers":["x-debug"],"upstream":"http://10.0.0.7:15672/base","wait":"2m"}"#);
    assert_eq!(Route::parse_json(&route.to_document().unwrap()).as_ref(), Ok(&route));
    assert_eq!(route.settings().record, Record::BeforeRun);
    assert_eq!((route.upstream().port(), route.upstream().tls()), (15_672, false));
}

#[test]
fn what_cannot_be_is_refused_in_words() {
    let labels = |n: usize| (0..n).map(|n| format!("l{n} = \"\"")).collect::<Vec<_>>().join(", ");
    let operation =
        |more: &str| format!("operations = [{{ method = \"GET\", path = \"/a/{{x}}\", {more} }}]");
    let operations = |lines: &[&str]| {
        let list = lines.iter().map(|line| {
            let mut words = line.splitn(3, ' ');
            let (method, path, more) = (words.next().unwrap(), words.next().unwrap(), words.next());
            format!("{{ method = {method:?}, path = {path:?}, {} }}", more.unwrap_or(""))
        });
        format!("operations = [{}]", list.collect::<Vec<_>>().join(",\n"))
    };
    for (more, words) in [
        ("color = \"red\"".to_owned(), "unknown field `color`"),
        ("name = \"again\"".to_owned(), "duplicate key"),
        ("point = \"mcp\"".to_owned(), "`point` cannot be `mcp`"),
        ("hosts = [\"a b\"]".to_owned(), "`hosts` cannot be `a b`"),
        ("hosts = [\"a\", \"A\"]".to_owned(), "each once"),
        ("hosts = [\"*\"]".to_owned(), "leave `hosts` out for any host"),
        (format!("hosts = [{}]", "\"a\",".repeat(65)), "`hosts` has 65 hosts, and the limit is 64"),
        ("prefix = \"orders\"".to_owned(), "`prefix` cannot be `orders`"),
        ("prefix = \"/orders/\"".to_owned(), "without a slash at the end"),
        ("prefix = \"/\"".to_owned(), "leading segments"),
        ("prefix = \"/%2F\"".to_owned(), "leading segments"),
        ("prefix = \"/a/../b\"".to_owned(), "resolve it"),
        ("wait = \"2h\"".to_owned(), "1s to 1h is expected"),
        ("wait = 55".to_owned(), "invalid type"),
        ("wait = \"soon\"".to_owned(), "`45s`, `30m`, `2h` or `7d`"),
        ("retry_window = \"32d\"".to_owned(), "up to 31 days"),
        ("body_limit = 16777217".to_owned(), "at most 16777216 bytes"),
        ("body_limit = -1".to_owned(), "invalid value"),
        ("result_limit = 16777217".to_owned(), "at most 16777216 bytes"),
        ("record = \"never\"".to_owned(), "unknown variant"),
        (format!("labels = {{ {} }}", labels(33)), "`labels` has 33 labels, and the limit is 32"),
        ("labels = { \"a b\" = \"\" }".to_owned(), "`labels` cannot be `a b`"),
        ("labels = { a = \"\\n\" }".to_owned(), "without control characters"),
        ("strip_headers = [\"x_y\"]".to_owned(), "letters, digits and `-`"),
        (format!("allow_upgrade = [{}]", "\"a\",".repeat(33)), "33 names, and the limit is 32"),
        ("allow_upgrade = [\"h2c\"]".to_owned(), "another HTTP"),
        ("credential = { secret = \"S\" }".to_owned(), "credential reference"),
        ("credential = { secret = \"s\", header = \"x y\" }".to_owned(), "a header for the upstream"),
        ("credential = { secret = \"s\", header = \"Host\" }".to_owned(), "a header for the upstream"),
        (
            "credential = { secret = \"s\", header = \"content-length\" }".to_owned(),
            "a header for the upstream",
        ),
        ("credential = { secret = \"s\", format = \"Bearer\" }".to_owned(), "`{secret}` once"),
        ("credential = { secret = \"s\", format = \"{secret}\\n\" }".to_owned(), "`{secret}` once"),
        ("credential = { secret = \"s\", basic_user = \"a:b\" }".to_owned(), "a user without `:`"),
        (
            "credential = { secret = \"s\", basic_user = \"a\", format = \"{secret}\" }".to_owned(),
            "no `format`",
        ),
        (operations(&["get /a"]), "capital letters"),
        (operations(&["TRACE /a"]), "passed on"),
        (operations(&["GET a"]), "`operations.0.path` cannot be `a`"),
        (operations(&["GET /a%2Fb"]), "`opaque_slashes = true`"),
        (operation("resource = \"{y}\""), "no variable `y`"),
        (operation("verb = \"sql.select\""), "a verb of HTTP"),
        (operation("verb = \"http.upgrade\""), "a verb of HTTP"),
        (operation("verb = \"http.erase\""), "a verb of the vocabulary"),
        (operation("color = \"red\""), "unknown field"),
        (operation("query = { \"\" = \"x\" }"), "1 to 256 bytes"),
        (operation(&format!("query = {{ {} }}", labels(9))), "9 parameters, and the limit is 8"),
        (
            format!(
                "labels = {{ production = \"true\" }}\n{}",
                operation("labels = { production = \"false\" }")
            ),
            "another value",
        ),
        (operation("graphql = true"), "a verb for what is no query"),
        (
            format!("opaque = true\n{}", operation("graphql = true, verb = \"http.write\"")),
            "a body that is read",
        ),
        (operations(&vec!["GET /a"; 2_001]), "2001 operations, and the limit is 2000"),
        // Which of the two is it?
        (operations(&["GET /a/{x}", "GET /a/{y}"]), "`GET /a/{x}` and `GET /a/{y}` cannot be told apart"),
        (operations(&["GET /a/{x...}", "GET /a/{y...}"]), "cannot be told apart"),
        (operations(&["PUT /a/{x}/c verb = \"http.admin\"", "PUT /a/b/{y}"]), "some paths fit both"),
        (operations(&["PUT /a/x{x} verb = \"http.admin\"", "PUT /a/{x}x"]), "some paths fit both"),
        (
            operations(&["PUT /a query = { x = \"1\" }", "PUT /a query = { y = \"1\" }"]),
            "cannot be told apart",
        ),
        (
            operations(&["PUT /a query = { x = \"1\" }", "PUT /a query = { x = \"*\" }"]),
            "cannot be told apart",
        ),
    ] {
        let error = Route::parse_toml(&route_text("r", &more)).expect_err(&more).to_string();
        assert!(error.contains(words), "{more}: {error}");
        assert!(error.len() < 2_000, "{error}");
    }
    for fine in [
        operations(&["GET /a/{x}", "GET /a/b", "HEAD /a/{x}", "GET /a/{x}/{y...}", "GET /{x...}"]),
        operations(&["PUT /a/{x}/c", "PUT /a/b/{y}"]),
        operations(&["PUT /a query = { x = \"1\" }", "PUT /a query = { x = \"2\" }", "PUT /a"]),
    ] {
        route(&fine);
    }
    assert!(
        Route::parse_toml(&format!("# {}\n{}", "x".repeat(1 << 20), route_text("r", "")))
            .unwrap_err()
            .to_string()
            .contains("the limit is 1048576")
    );
    assert!(Route::parse_json(r#"{"name":"r","name":"r"}"#).unwrap_err().to_string().contains("twice"));
    assert!(Route::parse_json(r#"{"name":"r"}"#).unwrap_err().to_string().contains("missing field"));
}

#[test]
fn two_thousand_operations_are_a_route() {
    let list: Vec<_> =
        (0..2_000).map(|n| format!("{{ method = \"GET\", path = \"/a/{{x}}/{n}/{{y}}\" }}")).collect();
    let route = route(&format!("operations = [{}]", list.join(",")));
    assert_eq!(route.settings().operations.len(), 2_000);
}

#[test]
fn an_upstream_is_a_place_and_nothing_more() {
    for (text, expected) in [
        ("https://up.example", "up.example 443 /"),
        ("http://UP.example:81/", "up.example:81 81 /"),
        ("http://[::1]:9/base/path", "[::1]:9 9 /base/path"),
        ("http://127.0.0.1", "127.0.0.1 80 /"),
        ("ftp://up.example", "`http://` or `https://`"),
        ("up.example", "`http://` or `https://`"),
        ("https://user:pass@up.example", "no user"),
        ("https://up.example/?x=1", "no user, query"),
        ("https://up.example/#x", "fragment"),
        ("https://", "a host name"),
        ("https://up.example:0", "a host name"),
        ("https://up..example", "a host name"),
        ("https://up.example/base/", "expected as `/base`"),
        ("https://up.example/%61", "expected as `/a`"),
        ("https://up.example/a/../b", "resolve it"),
        ("http://169.254.169.254/latest", "no upstream is at this address"),
        ("http://[::ffff:169.254.169.254]", "no upstream is at this address"),
    ] {
        let told = match Upstream::read(text) {
            Ok(up) => {
                format!("{} {} {}", up.authority(), up.port(), up.base().map_or("/", |base| base.as_str()))
            }
            Err(why) => why,
        };
        assert!(told.contains(expected), "{text}: {told}");
    }
    assert_eq!(check("prefix = \"/p\"", "GET /p/x?y"), "http.get /x -> /x?y unmatched");
    let based = route_text("r", "prefix = \"/p\"").replace("8443", "8443/base");
    assert_eq!(parse(&head("GET /p/x?y"), &table(&[based])).unwrap().target(), "/base/x?y");
}

#[test]
fn metadata_and_link_local_addresses_are_never_connected_to() {
    for refused in [
        "169.254.169.254",
        "169.254.0.1",
        "0.0.0.0",
        "0.1.2.3",
        "255.255.255.255",
        "224.0.0.1",
        "100.100.100.200",
        "::",
        "fe80::1",
        "ff02::1",
        "fd00:ec2::254",
        "::ffff:169.254.169.254",
        "::169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "2002:a9fe:a9fe::1",
    ] {
        assert!(!may_connect(refused.parse::<IpAddr>().unwrap()), "{refused}");
    }
    for fine in [
        "127.0.0.1",
        "10.0.0.1",
        "192.168.0.1",
        "1.1.1.1",
        "::1",
        "fd00::1",
        "2606:4700::1111",
        "64:ff9b::101:101",
    ] {
        assert!(may_connect(fine.parse::<IpAddr>().unwrap()), "{fine}");
    }
}

#[test]
fn a_host_has_one_spelling() {
    for (raw, expected) in [
        ("Example.COM:8080", Some("example.com:8080")),
        ("my_service", Some("my_service")),
        ("[0:0:0:0:0:0:0:1]:1", Some("[::1]:1")),
        ("", None),
        (":80", None),
        ("a:", None),
        ("a:0", None),
        ("a:080", None),
        ("a:65536", None),
        ("a:+1", None),
        ("a.", None),
        (".a", None),
        ("a..b", None),
        ("a@b", None),
        ("a/b", None),
        ("a%2eb", None),
        ("a b", None),
        ("a:1:2", None),
        ("[::1", None),
        ("[::1]x", None),
        ("[::1]:", None),
        ("[fe80::1%25eth0]", None),
        ("caf\u{e9}", None),
    ] {
        let told = Authority::read(raw.as_bytes()).map(|authority| authority.to_string());
        assert_eq!(told.as_deref(), expected, "{raw}");
    }
}

#[test]
fn a_credential_stands_in_its_header_and_does_not_print() {
    let credential = |more: &str| {
        route(&format!("credential = {{ secret = \"s\"{more} }}")).settings().credential.clone().unwrap()
    };
    let text = |more: &str, secret: &str| {
        credential(more).render(secret).map(|value| value.to_str().unwrap().to_owned())
    };
    assert_eq!(text("", "k").unwrap(), "Bearer k");
    assert_eq!(text(", header = \"x-key\", format = \"{secret}\"", "k").unwrap(), "k");
    assert_eq!(text(", basic_user = \"u\"", "p:q").unwrap(), "Basic dTpwOnE=");
    assert!(credential("").render("k").unwrap().is_sensitive());
    for secret in ["", "a\r\nX: y", "a\0"] {
        let error = text("", secret).unwrap_err().to_string();
        assert!(error.contains("`s`: its value is empty or cannot stand"), "{error}");
    }
}

/// Rules of masking are a part of the route: checked with it, and kept as they were written.
#[test]
fn rules_of_masking_are_checked_with_their_route() {
    let more = "[mask]\nnames = [\"customer_name\"]\npaths = [\"/items/*/price\"]\noff = [\"email\"]\nreveal = \"dba\"\n\
                patterns = [{ name = \"case\", regex = 'CASE-\\d+' }]";
    let standing = route(more);
    let document = standing.to_document().unwrap();
    assert!(document.contains(r#""mask":{"names":["customer_name"],"off":["email"]"#), "{document}");
    assert_eq!(Route::parse_json(&document).unwrap(), standing);
    assert!(!route("").to_document().unwrap().contains("mask"), "a route without rules stays as it was");
    for (bad, why) in [
        ("[mask]\nnmaes = []", "unknown field"),
        ("[mask]\npaths = [\"price\"]", "no JSON pointer"),
        ("[mask]\npatterns = [{ name = \"x\", regex = \"(\" }]", "the pattern `x` cannot be used"),
        ("[mask]\nreveal = \"No Such Group!\"", "`reviewers`, `admins` or the name of a group"),
        ("[mask]\noff = [\"mails\"]", "unknown variant"),
    ] {
        let error = Route::parse_toml(&route_text("r", bad)).unwrap_err().to_string();
        assert!(error.contains(why), "{bad}: {error}");
    }
}
