//! The target's answer on its way back: what is passed on, and the form in which it waits for a caller who
//! has gone.

use bytes::Bytes;
use domain::Malformed;
use domain::canonical;
use domain::digest::{Blob, Digest, Purpose};
use domain::outcome::{Ending, Outcome, Witnessed};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use serde::{Deserialize, Serialize};

use super::reply::{Body, BoxError, full};

/// An answer as it waits for its caller.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Stored {
    status: u16,
    headers: Vec<(String, Blob)>,
    body: Blob,
}

/// An answer that only a caller who waits now can have: it is too large to wait.
pub(super) struct Live(pub(super) Response<Body>);

/// What reading an answer came to.
pub(super) enum Read {
    /// All of it, within the limit.
    Whole(Stored, Digest),
    /// More than the limit: what was read, with the rest behind it.
    Streams(Live),
    /// It broke off.
    Broken(String),
}

/// Reads an answer up to a limit, in bytes.
pub(super) async fn read(response: Response<Incoming>, limit: u64) -> Read {
    let (parts, mut body) = clean(response).into_parts();
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = match frame {
            Ok(frame) => frame,
            Err(error) => return Read::Broken(format!("the target's answer broke off: {error}")),
        };
        // Trailers are hop-by-hop here: nothing that was not reviewed depends on them.
        let Ok(data) = frame.into_data() else { continue };
        bytes.extend_from_slice(&data);
        if bytes.len() as u64 > limit {
            let head = Full::new(Bytes::from(bytes)).map_err(|never| -> BoxError { match never {} });
            let chained = chain(head.boxed_unsync(), body);
            return Read::Streams(Live(Response::from_parts(parts, chained)));
        }
    }
    let headers = parts
        .headers
        .iter()
        .map(|(name, value)| (name.to_string(), Blob(value.as_bytes().to_vec())))
        .collect();
    let digest = Digest::of(Purpose::Result, &bytes);
    Read::Whole(Stored { status: parts.status.as_u16(), headers, body: Blob(bytes) }, digest)
}

/// What an answer's status says of the run.
pub(super) fn outcome(status: StatusCode) -> Outcome {
    let failed = status.is_client_error() || status.is_server_error();
    let ending = if failed { Ending::Failed } else { Ending::Succeeded };
    Outcome::new(ending, Witnessed::Observed, &status.as_u16().to_string())
}

/// The answer without what belongs to the connection to the upstream, or only we may say.
pub(super) fn clean(response: Response<Incoming>) -> Response<Body> {
    let (mut parts, body) = response.into_parts();
    clean_headers(&mut parts.headers);
    Response::from_parts(parts, body.map_err(|error| -> BoxError { Box::new(error) }).boxed_unsync())
}

/// Headers of an answer that belong to the connection to the upstream (RFC 9110, section 7.6.1).
const OF_THE_CONNECTION: [&str; 8] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

pub(super) fn clean_headers(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| HeaderName::from_bytes(name.trim().as_bytes()).ok())
        .collect();
    for name in named {
        headers.remove(name);
    }
    let is_out = |name: &&HeaderName| {
        let name = name.as_str();
        OF_THE_CONNECTION.contains(&name) || name.starts_with("countersign-")
    };
    let out: Vec<HeaderName> = headers.keys().filter(is_out).cloned().collect();
    for name in out {
        headers.remove(name);
    }
}

impl Stored {
    pub(super) fn status(&self) -> u16 {
        self.status
    }

    pub(super) fn bytes(&self) -> u64 {
        self.body.0.len() as u64
    }

    pub(super) fn write(&self) -> Result<Vec<u8>, Malformed> {
        canonical::write(self)
    }

    pub(super) fn read(bytes: &[u8]) -> Result<Response<Body>, Malformed> {
        let stored: Self = canonical::read(bytes)?;
        let mut response = Response::new(full(stored.body.0));
        *response.status_mut() = StatusCode::from_u16(stored.status).unwrap_or(StatusCode::BAD_GATEWAY);
        for (name, value) in stored.headers {
            let pair = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_bytes(&value.0));
            if let (Ok(name), Ok(value)) = pair {
                response.headers_mut().append(name, value);
            }
        }
        Ok(response)
    }
}

fn chain(head: UnsyncBoxBody<Bytes, BoxError>, rest: Body) -> Body {
    use futures_util::StreamExt as _;
    let frames = http_body_util::BodyStream::new(head).chain(http_body_util::BodyStream::new(rest));
    http_body_util::StreamBody::new(frames).boxed_unsync()
}
