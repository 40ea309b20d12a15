//! A request's head, read once: what it asks for, of which route, and exactly what would be sent on.
//!
//! Pure: no socket, no clock. What is not understood is refused with a [`Refusal`]; nothing is repaired by
//! guessing. The body comes later, to [`ParsedRequest::read_body`].

use std::sync::Arc;

use domain::action::Resource;
use domain::evaluation::{Fact, Facts};
use domain::time::Span;
use domain::verb::Verb;
use http::Version;

use super::body::{self, Graphql, Reading};
use super::headers::{Checked, Framing, Header, Presented, Sifted};
use super::path::{self, CanonicalPath, Query, TARGET_LIMIT_BYTES};
use super::refusal::Refusal;
use super::table::{RouteTable, Standing};
use super::upstream::Authority;

/// The longest method, in bytes.
pub const METHOD_LIMIT_BYTES: usize = 32;

/// A request's head as it came.
#[derive(Clone, PartialEq, Eq)]
pub struct RequestHead {
    /// The method.
    pub method: String,
    /// The target's bytes: a path and query, or an absolute URL (always one over HTTP/2).
    pub target: Vec<u8>,
    /// The version.
    pub version: Version,
    /// Names and values, in order.
    pub headers: Vec<(String, Vec<u8>)>,
}

impl From<&http::request::Parts> for RequestHead {
    fn from(parts: &http::request::Parts) -> Self {
        let header = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
            (name.as_str().to_owned(), value.as_bytes().to_vec())
        };
        // As it is written in the usual first line, a path and query; the other forms are put together.
        let target = match (parts.uri.authority(), parts.uri.path_and_query()) {
            (None, Some(target)) => target.as_str().as_bytes().to_vec(),
            _ => parts.uri.to_string().into_bytes(),
        };
        Self {
            method: parts.method.as_str().to_owned(),
            target,
            version: parts.version,
            headers: parts.headers.iter().map(header).collect(),
        }
    }
}

impl std::fmt::Debug for RequestHead {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Values may be secrets.
        write!(f, "RequestHead({} .., {} headers)", self.method, self.headers.len())
    }
}

/// A request that was understood: on which route, meaning what, and what would be sent on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParsedRequest {
    standing: Arc<Standing>,
    method: String,
    path: CanonicalPath,
    query: Query,
    target: String,
    verb: Verb,
    resource: Resource,
    operation: Option<Known>,
    sifted: Sifted,
}

/// The operation that describes a request.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Known {
    index: usize,
    title: String,
    graphql: bool,
}

/// Reads a request's head against the routes that stand.
///
/// # Errors
/// The first reason found; see [`Refusal`].
pub fn parse(head: &RequestHead, table: &RouteTable) -> Result<ParsedRequest, Refusal> {
    if !matches!(head.version, Version::HTTP_10 | Version::HTTP_11 | Version::HTTP_2) {
        return Err(Refusal::Version);
    }
    check_method(&head.method)?;
    let target = Target::read(&head.target)?;
    let headers = Checked::new(&head.headers, head.version)?;
    let authority = authority(&target, headers.one("host"), head.version)?;
    let path = CanonicalPath::read(target.path)?;
    let query = Query::read(target.query)?;
    let (standing, path) = table.pick(&authority, &path)?;
    let route = &standing.route;
    if path.is_opaque() && !route.settings().opaque_slashes {
        let twice = path::is_encoded_twice(path.as_str());
        return Err(if twice { Refusal::DoubleEncoding } else { Refusal::EncodedSlash });
    }
    if let Some((name, _)) = query.pairs().iter().find(|(name, _)| body::changes_the_method(name)) {
        return Err(Refusal::MethodOverride(name.clone()));
    }
    let sifted = headers.sift(route)?;
    let classified = route.classify(&head.method, &path, &query);
    if let Some(near) = classified.near {
        return Err(Refusal::NearMiss(near.title()));
    }
    let target = path::target_text(&path.below(route.upstream().base()), &query);
    if target.len() > TARGET_LIMIT_BYTES {
        return Err(Refusal::TargetTooLong("canonical text", TARGET_LIMIT_BYTES));
    }
    let upgrade = sifted.upgrade.as_ref().and_then(|_| "http.upgrade".parse().ok());
    let operation = classified.operation.map(|(index, operation)| Known {
        index,
        title: operation.title(),
        graphql: operation.graphql,
    });
    let resource = Resource {
        name: classified.resource_name,
        environment: route.settings().environment.clone(),
        labels: classified.labels,
    };
    Ok(ParsedRequest {
        verb: upgrade.unwrap_or(classified.verb),
        method: head.method.clone(),
        standing,
        path,
        query,
        target,
        resource,
        operation,
        sifted,
    })
}

impl ParsedRequest {
    /// The route, and the digest of its definition.
    #[must_use]
    pub fn standing(&self) -> &Arc<Standing> {
        &self.standing
    }

    /// The method.
    #[must_use]
    pub fn method(&self) -> &str {
        &self.method
    }

    /// The canonical path after the route's prefix, as operations match it.
    #[must_use]
    pub fn path(&self) -> &CanonicalPath {
        &self.path
    }

    /// The query.
    #[must_use]
    pub fn query(&self) -> &Query {
        &self.query
    }

    /// What stands in the first line to the upstream: base path, path and query.
    #[must_use]
    pub fn target(&self) -> &str {
        &self.target
    }

    /// What it does, as far as the head tells; [`ParsedRequest::read_body`] tells finally.
    #[must_use]
    pub fn verb(&self) -> Verb {
        self.verb
    }

    /// To what.
    #[must_use]
    pub fn resource(&self) -> &Resource {
        &self.resource
    }

    /// Whether an operation of the route describes it.
    #[must_use]
    pub fn matched(&self) -> bool {
        self.operation.is_some()
    }

    /// The number of the operation that describes it: its place in the route from 1, or 0 for none.
    #[must_use]
    pub fn operation_number(&self) -> u32 {
        let number = |known: &Known| u32::try_from(known.index).ok()?.checked_add(1);
        self.operation.as_ref().and_then(number).unwrap_or(0)
    }

    /// What requests of this kind have in common: the operation, or the method and nothing more.
    #[must_use]
    pub fn shape(&self) -> &str {
        self.operation.as_ref().map_or(self.method.as_str(), |known| known.title.as_str())
    }

    /// The headers that are sent on, in order.
    #[must_use]
    pub fn headers(&self) -> &[Header] {
        &self.sifted.forward
    }

    /// The names of headers that were taken out and that the caller may miss.
    #[must_use]
    pub fn dropped(&self) -> &[String] {
        &self.sifted.dropped
    }

    /// The caller's credential; it is never sent on.
    #[must_use]
    pub fn credential(&self) -> Option<&Presented> {
        self.sifted.credential.as_ref()
    }

    /// How the body's end is found.
    #[must_use]
    pub fn framing(&self) -> Framing {
        self.sifted.framing
    }

    /// The protocol that the connection is to be upgraded to; the route allows it.
    #[must_use]
    pub fn upgrade(&self) -> Option<&str> {
        self.sifted.upgrade.as_deref()
    }

    /// Why, in the caller's words: untrusted.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        self.sifted.reason.as_deref()
    }

    /// The run that it belongs to, as the caller claims.
    #[must_use]
    pub fn run(&self) -> Option<&str> {
        self.sifted.run.as_deref()
    }

    /// The caller's `Idempotency-Key`; it goes on too.
    #[must_use]
    pub fn idempotency(&self) -> Option<&str> {
        self.sifted.idempotency.as_deref()
    }

    /// Whether the caller prefers an answer at once (`Prefer: respond-async`, RFC 7240).
    #[must_use]
    pub fn responds_async(&self) -> bool {
        self.sifted.respond_async
    }

    /// How long the caller's connection is held: the route's wait, or the shorter one that the caller
    /// prefers (`Prefer: wait=N`); none with `respond-async`.
    #[must_use]
    pub fn wait(&self) -> Span {
        let most = self.standing.route.settings().wait;
        if self.sifted.respond_async {
            return Span::from_seconds(0);
        }
        self.sifted.wait.map_or(most, |asked| asked.min(most))
    }

    /// Reads the whole body: what it turns the request into, and what policies may know of it.
    ///
    /// # Errors
    /// A body over the route's limit or of another length than was stated; where the route is strict, JSON
    /// that two readers would read differently; a form that changes the method; a batch of GraphQL.
    pub fn read_body(&self, bytes: &[u8]) -> Result<Understood, Refusal> {
        let settings = self.standing.route.settings();
        let actual = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        if actual > settings.body_limit {
            return Err(Refusal::BodyTooLarge(settings.body_limit));
        }
        match self.framing() {
            Framing::Length(stated) if stated != actual => {
                return Err(Refusal::LengthDiffers { actual, stated });
            }
            Framing::Length(_) | Framing::Chunked | Framing::Unstated => {}
        }
        let reading =
            body::read(self.sifted.content_type.as_deref(), self.sifted.content_encoding.as_deref(), bytes);
        if let Some(name) = &reading.method_override {
            return Err(Refusal::MethodOverride(name.clone()));
        }
        if let Some(problem) = &reading.json_problem
            && settings.strict_json
        {
            return Err(Refusal::Json(problem.clone()));
        }
        let (mut verb, mut parsed) = (self.verb, reading.parsed && self.upgrade().is_none());
        if self.operation.as_ref().is_some_and(|known| known.graphql) {
            match body::graphql(&self.method, &self.query, &reading, bytes)? {
                // An upgrade stays one, whatever its body asks.
                Graphql::Queries if self.upgrade().is_none() => verb = "http.read".parse().unwrap_or(verb),
                Graphql::Queries | Graphql::Changes => {}
                Graphql::Unclear => parsed = false,
            }
        }
        Ok(Understood { verb, facts: self.facts(parsed, Some(&reading), Some(actual)) })
    }

    /// What is known of a request whose body streams through unread.
    #[must_use]
    pub fn unread_body(&self) -> Understood {
        Understood { verb: self.verb, facts: self.facts(false, None, None) }
    }

    fn facts(&self, parsed: bool, reading: Option<&Reading>, length: Option<u64>) -> Facts {
        let mut facts = Facts::new();
        let mut add = |name: &str, fact| facts.insert(name.to_owned(), fact);
        add("matched", Fact::Bool(self.matched()));
        add("parsed", Fact::Bool(parsed));
        add("method", Fact::Text(self.method.clone()));
        add("path", Fact::Text(self.path.as_str().to_owned()));
        if let Some(known) = &self.operation {
            add("operation", Fact::Text(known.title.clone()));
        }
        if let Some(media) = reading.and_then(|reading| reading.media.clone()) {
            add("content_type", Fact::Text(media));
        }
        if let Some(length) = length {
            add("body_bytes", Fact::Int(i64::try_from(length).unwrap_or(i64::MAX)));
        }
        facts
    }
}

/// What a request turned out to be, body and all. The facts are those of the policy schema but `risk`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Understood {
    /// What it does.
    pub verb: Verb,
    /// What policies may know of it.
    pub facts: Facts,
}

/// Whether the text is a method that we speak of: 1 to 32 capital letters, digits, `-` and `_`. Methods are
/// case-sensitive, but not every server knows it: `delete` would be no DELETE to us and one to the upstream.
pub(crate) fn is_method(method: &str) -> bool {
    let ok = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_');
    !method.is_empty() && method.len() <= METHOD_LIMIT_BYTES && method.bytes().all(ok)
}

/// Refuses what is no method, and methods that are never passed on.
pub(crate) fn check_method(method: &str) -> Result<(), Refusal> {
    match method {
        "CONNECT" => Err(Refusal::Connect),
        "TRACE" | "TRACK" | "DEBUG" | "PRI" => Err(Refusal::MethodRefused(method.to_owned())),
        method if !is_method(method) => {
            Err(Refusal::Method(method.chars().take(METHOD_LIMIT_BYTES).collect()))
        }
        _ => Ok(()),
    }
}

/// A target in its parts (RFC 9112, section 3.2), still raw.
struct Target<'t> {
    authority: Option<&'t [u8]>,
    path: &'t [u8],
    query: &'t [u8],
}

impl<'t> Target<'t> {
    fn read(raw: &'t [u8]) -> Result<Self, Refusal> {
        if raw.len() > TARGET_LIMIT_BYTES {
            return Err(Refusal::TargetTooLong("text", TARGET_LIMIT_BYTES));
        }
        if raw == b"*" {
            return Err(Refusal::Asterisk);
        }
        if raw.contains(&b'#') {
            return Err(Refusal::Fragment);
        }
        let (authority, rest) = if raw.starts_with(b"/") {
            (None, raw)
        } else {
            let after = after_scheme(raw, b"http://").or_else(|| after_scheme(raw, b"https://"));
            let after = after.ok_or(Refusal::TargetForm)?;
            let end = after.iter().position(|b| matches!(b, b'/' | b'?')).unwrap_or(after.len());
            let (authority, rest) = after.split_at(end);
            (Some(authority), rest)
        };
        let end = rest.iter().position(|b| *b == b'?').unwrap_or(rest.len());
        let (path, query) = rest.split_at(end);
        // Only an absolute URL may leave out its path (RFC 9110, section 4.2.3).
        let path = if path.is_empty() { b"/" } else { path };
        Ok(Self { authority, path, query: query.strip_prefix(b"?").unwrap_or_default() })
    }
}

fn after_scheme<'t>(raw: &'t [u8], scheme: &[u8]) -> Option<&'t [u8]> {
    let (head, rest) = raw.split_at_checked(scheme.len())?;
    head.eq_ignore_ascii_case(scheme).then_some(rest)
}

/// Whom the request is for: the target's authority and `Host` must agree where both are given.
fn authority(target: &Target<'_>, host: Option<&[u8]>, version: Version) -> Result<Authority, Refusal> {
    let read = |raw| Authority::read(raw).ok_or(Refusal::BadHost);
    match (target.authority.map(read).transpose()?, host.map(read).transpose()?) {
        (Some(one), Some(two)) if one != two => Err(Refusal::AuthorityMismatch),
        (_, Some(host)) => Ok(host),
        (Some(authority), None) if version == Version::HTTP_2 => Ok(authority),
        (_, None) => Err(Refusal::MissingHost),
    }
}
