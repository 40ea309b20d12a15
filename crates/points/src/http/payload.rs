//! A request as the fields that a digest covers, and back. What is forwarded is built from the fields
//! alone, so that no byte goes out which was not hashed.
//!
//! | path | value |
//! |---|---|
//! | `http.method` | the method |
//! | `http.authority` | the upstream's host and port |
//! | `http.target` | base path, canonical path and query |
//! | `http.header.<n>.<name>` | one header that is sent on; `<n>` counts from `000` in their order |
//! | `http.upgrade` | the protocol to upgrade to, where there is one |
//! | `http.body` | the body's bytes, perhaps none |
//! | `http.body-streams` | nothing; it stands instead of `http.body` where the body streams through unread |
//!
//! The route's credential is no field: its name is in the action's record, its value nowhere.

use super::headers::{self, HEADERS_LIMIT, Header};
use super::parse::{ParsedRequest, check_method};
use super::path::{self, CanonicalPath, Query, TARGET_LIMIT_BYTES};
use super::upstream::Authority;

const METHOD: &str = "http.method";
const AUTHORITY: &str = "http.authority";
const TARGET: &str = "http.target";
const HEADER: &str = "http.header.";
const UPGRADE: &str = "http.upgrade";
const BODY: &str = "http.body";
const BODY_STREAMS: &str = "http.body-streams";

/// A path and its value.
pub type Part = (String, Vec<u8>);

/// A request's fields. `body` is the whole body; none where it streams through unread.
#[must_use]
pub fn payload_parts(request: &ParsedRequest, body: Option<&[u8]>) -> Vec<Part> {
    parts(request, request.headers().iter(), body)
}

/// The fields by which a second try of the same call is known: without headers that differ from try to try
/// (trace ids, dates), the others by name. For the retry key only; what runs are the stored fields.
#[must_use]
pub fn retry_parts(request: &ParsedRequest, body: Option<&[u8]>) -> Vec<Part> {
    let mut steady: Vec<&Header> =
        request.headers().iter().filter(|header| !headers::is_volatile(&header.name)).collect();
    steady.sort_by(|one, two| one.name.cmp(&two.name));
    parts(request, steady.into_iter(), body)
}

fn parts<'r>(
    request: &'r ParsedRequest,
    headers: impl Iterator<Item = &'r Header>,
    body: Option<&[u8]>,
) -> Vec<Part> {
    let text = |path: &str, value: &str| (path.to_owned(), value.as_bytes().to_vec());
    let mut parts = vec![
        text(METHOD, request.method()),
        text(AUTHORITY, &request.standing().route.upstream().authority().to_string()),
        text(TARGET, request.target()),
    ];
    parts.extend(headers.enumerate().map(|(n, header)| (header_path(n, &header.name), header.value.clone())));
    parts.extend(request.upgrade().map(|protocol| text(UPGRADE, protocol)));
    parts.push(match body {
        Some(body) => (BODY.to_owned(), body.to_vec()),
        None => text(BODY_STREAMS, ""),
    });
    parts
}

fn header_path(n: usize, name: &str) -> String {
    format!("{HEADER}{n:03}.{name}")
}

/// A request to an upstream, from its fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rebuilt {
    /// The method.
    pub method: String,
    /// What stands in `Host`. It must be the route's upstream still.
    pub authority: Authority,
    /// Path and query.
    pub target: String,
    /// The headers, in order; `Host`, the body's framing and the credential come to them.
    pub headers: Vec<Header>,
    /// The protocol to upgrade to.
    pub upgrade: Option<String>,
    /// The body; none where it streams.
    pub body: Option<Vec<u8>>,
}

/// Why stored fields are no request. They were hashed as they are, so this is a fault and never repaired.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotARequest {
    /// A field that no request has.
    #[error("the field `{0}` is not one of a request's")]
    Unknown(String),
    /// A field that stands twice.
    #[error("the field `{0}` stands twice")]
    Twice(String),
    /// A field that every request has.
    #[error("the field `{0}` is missing")]
    Missing(&'static str),
    /// A value that its field cannot have.
    #[error("the field `{0}` has a value that parsing would not have made")]
    Value(String),
}

/// Builds the request again. The fields may come in any order; [`payload_parts`] of a parsed request are the
/// only ones that pass.
///
/// # Errors
/// [`NotARequest`], for anything that parsing would not have made.
pub fn rebuild<'f>(fields: impl IntoIterator<Item = (&'f str, &'f [u8])>) -> Result<Rebuilt, NotARequest> {
    let (mut method, mut authority, mut target) = (None, None, None);
    let (mut upgrade, mut body, mut streams) = (None, None, None);
    let mut numbered: Vec<(&str, &str, &[u8])> = Vec::new();
    for (path, value) in fields {
        let slot = match path {
            METHOD => &mut method,
            AUTHORITY => &mut authority,
            TARGET => &mut target,
            UPGRADE => &mut upgrade,
            BODY => &mut body,
            BODY_STREAMS => &mut streams,
            path => {
                let header = path.strip_prefix(HEADER).and_then(|rest| rest.split_once('.'));
                let (_, name) = header.ok_or_else(|| NotARequest::Unknown(path.to_owned()))?;
                numbered.push((path, name, value));
                continue;
            }
        };
        if slot.replace(value).is_some() {
            return Err(NotARequest::Twice(path.to_owned()));
        }
    }
    let body = match (body, streams) {
        (Some(body), None) => Some(body.to_vec()),
        (None, Some([])) => None,
        (Some(_), Some(_)) => return Err(NotARequest::Twice(BODY.to_owned())),
        (None, Some(_)) => return Err(NotARequest::Value(BODY_STREAMS.to_owned())),
        (None, None) => return Err(NotARequest::Missing(BODY)),
    };
    Ok(Rebuilt {
        method: text(METHOD, method, |text| check_method(text).is_ok())?,
        authority: read_authority(authority)?,
        target: text(TARGET, target, is_target)?,
        headers: read_headers(numbered)?,
        upgrade: upgrade.map(|protocol| text(UPGRADE, Some(protocol), headers::is_plain_name)).transpose()?,
        body,
    })
}

fn text(
    path: &'static str,
    value: Option<&[u8]>,
    fits: impl Fn(&str) -> bool,
) -> Result<String, NotARequest> {
    let value = value.ok_or(NotARequest::Missing(path))?;
    let text = std::str::from_utf8(value).ok().filter(|text| fits(text));
    text.map(str::to_owned).ok_or_else(|| NotARequest::Value(path.to_owned()))
}

fn read_authority(value: Option<&[u8]>) -> Result<Authority, NotARequest> {
    let value = value.ok_or(NotARequest::Missing(AUTHORITY))?;
    let authority = Authority::read(value).filter(|authority| authority.to_string().as_bytes() == value);
    authority.ok_or_else(|| NotARequest::Value(AUTHORITY.to_owned()))
}

/// Whether the target is canonical: reading it changes nothing.
fn is_target(text: &str) -> bool {
    let (path, query) = text.split_once('?').unwrap_or((text, ""));
    match (CanonicalPath::read(path.as_bytes()), Query::read(query.as_bytes())) {
        (Ok(path), Ok(query)) => path::target_text(&path, &query) == text && text.len() <= TARGET_LIMIT_BYTES,
        _ => false,
    }
}

/// The headers in their order: numbered from 0 without a gap, each one that may be sent on.
fn read_headers(mut numbered: Vec<(&str, &str, &[u8])>) -> Result<Vec<Header>, NotARequest> {
    numbered.sort_by_key(|(path, ..)| *path);
    let mut headers = Vec::with_capacity(numbered.len());
    for (n, (path, name, value)) in numbered.into_iter().enumerate() {
        if n >= HEADERS_LIMIT || path != header_path(n, name) {
            return Err(NotARequest::Unknown(path.to_owned()));
        }
        if headers::is_never_forwarded(name) || !headers::is_value(value) {
            return Err(NotARequest::Value(path.to_owned()));
        }
        headers.push(Header { name: name.to_owned(), value: value.to_vec() });
    }
    Ok(headers)
}
