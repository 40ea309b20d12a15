//! What comes in, and what comes of it: one line a case. `check` reads a head against routes and tells the
//! result in one line.

mod bodies;
mod headers;
mod openapi;
mod paths;
mod payload;
mod refusals;
mod routes;
mod table;
mod templates;
mod upstreams;

use domain::digest::{Digest, Purpose};
use domain::directory::RouteDocument;
use domain::id::TargetName;
use http::Version;

use super::config::Route;
use super::parse::{ParsedRequest, RequestHead, parse};
use super::refusal::Refusal;
use super::table::{RouteError, RouteTable};

/// A route with the least that one needs, and more settings in TOML.
fn route_text(name: &str, more: &str) -> String {
    format!("name = {name:?}\nupstream = \"https://up.example:8443\"\nenvironment = \"prod\"\n{more}")
}

fn route(more: &str) -> Route {
    Route::parse_toml(&route_text("r", more)).unwrap_or_else(|error| panic!("{more}: {error}"))
}

/// The table of routes that people wrote.
fn table(routes: &[String]) -> RouteTable {
    let documents = routes.iter().map(|text| {
        let route = Route::parse_toml(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        (route.name().to_string(), route.to_document().unwrap())
    });
    let (table, errors) = stored(documents);
    assert_eq!(errors, []);
    table
}

/// The table of documents as they are stored, sound or not.
fn stored(documents: impl IntoIterator<Item = (String, String)>) -> (RouteTable, Vec<RouteError>) {
    let documents: Vec<(TargetName, RouteDocument)> = documents
        .into_iter()
        .map(|(name, text)| {
            let definition = Digest::of(Purpose::Definition, text.as_bytes());
            (name.parse().unwrap(), RouteDocument { text, definition })
        })
        .collect();
    RouteTable::build(documents.iter().map(|(name, document)| (name, document)))
}

/// A head as HTTP/1.1 writes it, `Host: h` in front unless it has one: `GET /x`, then a header a line.
fn head(text: &str) -> RequestHead {
    let mut lines = text.split('\n');
    let (method, rest) = lines.next().unwrap().split_once(' ').unwrap();
    let (target, version) = match rest.rsplit_once(" HTTP/") {
        Some((target, "1.0")) => (target, Version::HTTP_10),
        Some((target, "2")) => (target, Version::HTTP_2),
        Some((target, "3")) => (target, Version::HTTP_3),
        _ => (rest, Version::HTTP_11),
    };
    let header = |line: &str| {
        let (name, value) = line.split_once(':').unwrap();
        (name.to_owned(), value.as_bytes().to_vec())
    };
    let mut headers: Vec<_> = lines.map(header).collect();
    if version != Version::HTTP_2 && !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
        headers.insert(0, ("Host".to_owned(), b"h".to_vec()));
    }
    RequestHead { method: method.to_owned(), target: target.as_bytes().to_vec(), version, headers }
}

/// A head read against one route.
fn parsed(more: &str, text: &str) -> Result<ParsedRequest, Refusal> {
    parse(&head(text), &table(&[route_text("r", more)]))
}

fn ok(more: &str, text: &str) -> ParsedRequest {
    parsed(more, text).unwrap_or_else(|refusal| panic!("{text}: {refusal}"))
}

/// A head's fate in a line: what it is, or the status and code of its refusal.
fn check(more: &str, text: &str) -> String {
    match parsed(more, text) {
        Ok(request) => {
            let matched = if request.matched() { "" } else { " unmatched" };
            format!("{} {} -> {}{matched}", request.verb(), request.resource().name, request.target())
        }
        Err(refusal) => format!("{} {}", refusal.status(), refusal.code()),
    }
}

/// The headers that go on, `name: value` each.
fn forwarded(request: &ParsedRequest) -> Vec<String> {
    let line = |header: &super::headers::Header| {
        format!("{}: {}", header.name, String::from_utf8_lossy(&header.value))
    };
    request.headers().iter().map(line).collect()
}
