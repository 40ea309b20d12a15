//! A request's head and body, out of any bytes: the first line is method, space, target; header lines
//! follow; an empty line; the body. The first byte turns route settings on and chooses the version.
#![no_main]

use std::sync::LazyLock;

use domain::digest::{Digest, Purpose};
use domain::directory::RouteDocument;
use domain::id::TargetName;
use libfuzzer_sys::fuzz_target;
use points::http::config::Route;
use points::http::headers::is_never_forwarded;
use points::http::parse::{RequestHead, parse};
use points::http::path::{CanonicalPath, Query};
use points::http::payload::{payload_parts, rebuild};
use points::http::table::RouteTable;

/// One table for each choice of the three settings that change what is read.
static TABLES: LazyLock<Vec<RouteTable>> = LazyLock::new(|| (0..8).map(table).collect());

fn table(choice: u8) -> RouteTable {
    let text = format!(
        r#"
        name = "r"
        upstream = "https://up.example/base"
        environment = "prod"
        opaque_slashes = {}
        exact_paths = {}
        strict_json = {}
        allow_upgrade = ["websocket"]
        operations = [
            {{ method = "DELETE", path = "/q/{{vhost}}/{{name}}", resource = "queues/{{vhost}}/{{name}}" }},
            {{ method = "POST", path = "/v1/{{name}}:purge", verb = "http.destroy" }},
            {{ method = "POST", path = "/graphql", verb = "http.write", graphql = true }},
            {{ method = "GET", path = "/f/{{rest...}}", query = {{ a = "1" }} }},
        ]"#,
        choice & 1 != 0,
        choice & 2 != 0,
        choice & 4 != 0,
    );
    let text = Route::parse_toml(&text).and_then(|route| route.to_document()).expect("the route is sound");
    let definition = Digest::of(Purpose::Definition, text.as_bytes());
    let name: TargetName = "r".parse().expect("a name");
    let (table, errors) = RouteTable::build([(&name, &RouteDocument { text, definition })]);
    assert!(errors.is_empty());
    table
}

fn read(bytes: &[u8]) -> Option<(u8, RequestHead, &[u8])> {
    let (choice, bytes) = bytes.split_first()?;
    let end = bytes.windows(2).position(|two| two == b"\n\n").unwrap_or(bytes.len());
    let (head, body) = bytes.split_at(end);
    let mut lines = head.split(|b| *b == b'\n');
    let first = lines.next()?;
    let space = first.iter().position(|b| *b == b' ')?;
    let (method, target) = first.split_at(space);
    let header = |line: &[u8]| {
        let colon = line.iter().position(|b| *b == b':')?;
        let (name, value) = line.split_at(colon);
        Some((String::from_utf8_lossy(name).into_owned(), value[1..].to_vec()))
    };
    let mut headers: Vec<_> = lines.filter_map(header).collect();
    if choice & 8 != 0 {
        headers.push(("host".to_owned(), b"h".to_vec()));
    }
    let version = match choice >> 4 & 3 {
        0 | 1 => http::Version::HTTP_11,
        2 => http::Version::HTTP_2,
        _ => http::Version::HTTP_10,
    };
    let method = String::from_utf8_lossy(method).into_owned();
    let head = RequestHead { method, target: target[1..].to_vec(), version, headers };
    Some((*choice, head, body.strip_prefix(b"\n\n").unwrap_or_default()))
}

fuzz_target!(|bytes: &[u8]| {
    let Some((choice, head, body)) = read(bytes) else { return };
    let request = match parse(&head, &TABLES[usize::from(choice & 7)]) {
        Ok(request) => request,
        Err(refusal) => {
            assert!((400..600).contains(&refusal.status()));
            return;
        }
    };
    // The canonical form is one form, and stays on its line.
    let path = CanonicalPath::read(request.path().as_str().as_bytes()).expect("canonical");
    assert_eq!(&path, request.path());
    assert!(path.segments().all(|segment| segment != "." && segment != ".."));
    assert!(!path.is_opaque() || choice & 1 != 0);
    assert_eq!(Query::read(request.query().as_str().as_bytes()).expect("canonical"), *request.query());
    assert!(request.target().bytes().all(|b| b.is_ascii_graphic()));
    assert!(request.headers().iter().all(|header| !is_never_forwarded(&header.name)));
    // What is forwarded is what was hashed, whole.
    let parts = payload_parts(&request, Some(body));
    let rebuilt =
        rebuild(parts.iter().map(|(path, value)| (path.as_str(), value.as_slice()))).expect("rebuilt");
    assert_eq!(rebuilt.method, request.method());
    assert_eq!(rebuilt.target, request.target());
    assert_eq!(rebuilt.headers, request.headers());
    assert_eq!(rebuilt.body.as_deref(), Some(body));
    let _ = request.read_body(body);
});
