//! Requests, read strictly: what two readers could read differently is refused, and so is what nobody asked
//! for. [`prefer`] and [`StrictJson`]'s reading are pure.

use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use bytes::Bytes;
use domain::Malformed;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde::de::DeserializeOwned;

use super::config::{BODY_LIMIT_BYTES, DEFAULT_WAIT, IDEMPOTENCY_KEY_LIMIT, WAIT_LIMIT};
use super::reply::Problem;

/// A JSON object, read strictly: no duplicate key, no number that is not an integer within 2^53, no unknown field,
/// nothing behind it, at most [`BODY_LIMIT_BYTES`].
#[derive(Debug)]
pub(super) struct StrictJson<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for StrictJson<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Problem> {
        if !is_json(request.headers()) {
            return Err(wrong_type("application/json"));
        }
        let bytes = whole_body(request.into_body()).await?;
        // Serde takes an array for an object whose fields it then reads in order, and an empty one for all defaults.
        if bytes.trim_ascii_start().first() != Some(&b'{') {
            return Err(Problem::bad("bad-json", "the body is not as expected: an object is"));
        }
        match domain::canonical::read(&bytes) {
            Ok(body) => Ok(Self(body)),
            Err(Malformed::Json(why)) => {
                Err(Problem::bad("bad-json", format!("the body is not as expected: {why}")))
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// Query parameters: each once, none that is unknown.
#[derive(Debug)]
pub(super) struct StrictQuery<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for StrictQuery<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        Query::try_from_uri(&parts.uri)
            .map(|Query(query)| Self(query))
            .map_err(|error| Problem::bad("bad-query", error.body_text()))
    }
}

/// What stands in the path.
#[derive(Debug)]
pub(super) struct At<T>(pub(super) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for At<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match Path::from_request_parts(parts, state).await {
            Ok(Path(found)) => Ok(Self(found)),
            Err(error) => Err(Problem::bad("bad-path", error.body_text())),
        }
    }
}

/// What a caller prefers (RFC 7240).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Prefer {
    /// Whether the caller takes 202 for an answer.
    pub(super) respond_async: bool,
    /// How long the caller waits, at most [`WAIT_LIMIT`].
    pub(super) wait: Duration,
}

impl<S: Send + Sync> FromRequestParts<S> for Prefer {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let values = parts.headers.get_all("prefer").iter().filter_map(|value| value.to_str().ok());
        Ok(prefer(values))
    }
}

/// Reads `Prefer`. What is not understood is ignored, as RFC 7240 asks; of a preference that stands twice
/// the first counts.
pub(super) fn prefer<'a>(values: impl Iterator<Item = &'a str>) -> Prefer {
    let (mut respond_async, mut wait) = (false, None);
    for preference in values.flat_map(|value| value.split(',')) {
        let preference = preference.split(';').next().unwrap_or_default().trim();
        let (name, value) = preference.split_once('=').unwrap_or((preference, ""));
        match (name.trim().to_ascii_lowercase().as_str(), value.trim().trim_matches('"')) {
            ("respond-async", "") => respond_async = true,
            ("wait", seconds) if wait.is_none() && is_number(seconds) => {
                let seconds = seconds.parse().unwrap_or(u64::MAX);
                wait = Some(Duration::from_secs(seconds).min(WAIT_LIMIT));
            }
            _ => {}
        }
    }
    let default = if respond_async { Duration::ZERO } else { DEFAULT_WAIT };
    Prefer { respond_async, wait: wait.unwrap_or(default) }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

/// `Idempotency-Key`, where there is one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct IdempotencyKey(pub(super) Option<String>);

impl<S: Send + Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let mut values = parts.headers.get_all("idempotency-key").iter();
        let (first, second) = (values.next(), values.next());
        let Some(first) = first else { return Ok(Self(None)) };
        let key = first.to_str().ok().filter(|key| {
            (1..=IDEMPOTENCY_KEY_LIMIT).contains(&key.len()) && key.bytes().all(|b| b.is_ascii_graphic())
        });
        match (key, second) {
            (Some(key), None) => Ok(Self(Some(key.to_owned()))),
            _ => {
                let detail = "`Idempotency-Key` is one key of 1 to 128 visible ASCII characters";
                Err(Problem::bad("bad-idempotency-key", detail))
            }
        }
    }
}

/// Whether the body says that it is JSON, in UTF-8.
pub(super) fn is_json(headers: &HeaderMap) -> bool {
    media_type(headers).is_some_and(|(essence, utf8)| essence == "application/json" && utf8)
}

/// Whether the body says that it is a form.
pub(super) fn is_form(headers: &HeaderMap) -> bool {
    media_type(headers).is_some_and(|(essence, utf8)| essence == "application/x-www-form-urlencoded" && utf8)
}

/// The media type without its parameters, and whether its charset, if it names one, is UTF-8.
pub(super) fn media_type(headers: &HeaderMap) -> Option<(String, bool)> {
    let mut values = headers.get_all(CONTENT_TYPE).iter();
    let (value, None) = (values.next()?.to_str().ok()?, values.next()) else { return None };
    let mut parts = value.split(';').map(str::trim);
    let essence = parts.next()?.to_ascii_lowercase();
    let utf8 = parts.filter_map(|parameter| parameter.split_once('=')).all(|(name, value)| {
        !name.trim().eq_ignore_ascii_case("charset")
            || value.trim().trim_matches('"').eq_ignore_ascii_case("utf-8")
    });
    Some((essence, utf8))
}

pub(super) fn wrong_type(expected: &str) -> Problem {
    let detail = format!("the body's `Content-Type` is expected to be `{expected}`");
    Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "wrong-content-type", detail)
}

/// The whole body, within [`BODY_LIMIT_BYTES`].
pub(super) async fn whole_body(body: Body) -> Result<Bytes, Problem> {
    limited_body(body, BODY_LIMIT_BYTES).await
}

/// The whole body, within a limit in bytes.
pub(super) async fn limited_body(body: Body, limit: usize) -> Result<Bytes, Problem> {
    match Limited::new(body, limit).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(Problem::too_large()),
        Err(_) => Err(Problem::bad("incomplete-body", "the body ended early; send it again")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(value: &str) -> (bool, u64) {
        let prefer = prefer(std::iter::once(value));
        (prefer.respond_async, prefer.wait.as_secs())
    }

    #[test]
    fn preferences_are_read_as_rfc_7240_says() {
        assert_eq!(check(""), (false, 30));
        assert_eq!(check("wait=10"), (false, 10));
        assert_eq!(check("wait=\"7\""), (false, 7));
        assert_eq!(check("wait=0"), (false, 0));
        assert_eq!(check("wait=99999999999999999999999"), (false, 55));
        assert_eq!(check("wait=-1"), (false, 30));
        assert_eq!(check("Respond-Async, wait=5; foo=bar"), (true, 5));
        assert_eq!(check("respond-async"), (true, 0));
        assert_eq!(check("respond-async=no"), (false, 30));
        assert_eq!(check("wait=5, wait=50"), (false, 5));
        assert_eq!(check("return=minimal, handling=strict"), (false, 30));
    }

    proptest::proptest! {
        #[test]
        fn no_preference_waits_beyond_the_limit(value in ".{0,60}") {
            proptest::prop_assert!(prefer(std::iter::once(value.as_str())).wait <= WAIT_LIMIT);
        }
    }
}
