//! Answers of our own, in the caller's protocol: RFC 9457 problems that say what to do next.

use bytes::Bytes;
use domain::evaluation::DecidingRule;
use domain::id::ActionId;
use gateway::GatewayError;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};
use serde_json::{Map, Value, json};

use super::refusal::Refusal;

/// What a body may fail with.
pub(super) type BoxError = Box<dyn std::error::Error + Send + Sync>;
/// A body in either direction.
pub(super) type Body = UnsyncBoxBody<Bytes, BoxError>;

/// Where problem types are described.
const PROBLEMS: &str = "https://countersign.dev/problems/";
/// How soon a caller should ask again about a held action, in seconds.
const RETRY_AFTER_SECONDS: u32 = 5;
/// Names the action in every answer, ours or the target's.
pub(super) const ACTION: HeaderName = HeaderName::from_static("countersign-action");

/// A problem on its way to the caller.
pub(super) struct Problem {
    status: StatusCode,
    code: String,
    detail: String,
    more: Map<String, Value>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Problem {
    pub(super) fn new(status: StatusCode, code: &str, detail: impl Into<String>) -> Self {
        Self { status, code: code.to_owned(), detail: detail.into(), more: Map::new(), headers: Vec::new() }
    }

    /// A request that was not understood.
    pub(super) fn refusal(refusal: &Refusal) -> Self {
        let status = StatusCode::from_u16(refusal.status()).unwrap_or(StatusCode::BAD_REQUEST);
        let problem = Self::new(status, refusal.code(), refusal.to_string());
        if refusal.closes() { problem.header(header::CONNECTION, "close") } else { problem }
    }

    /// The gateway said no, or could not.
    pub(super) fn gateway(error: &GatewayError) -> Self {
        let text = error.to_string();
        match error {
            GatewayError::Unauthenticated(_) => Self::new(StatusCode::UNAUTHORIZED, "unauthenticated", text)
                .header(header::WWW_AUTHENTICATE, "Bearer realm=\"countersign\""),
            GatewayError::Forbidden(_) | GatewayError::StepUp => {
                Self::new(StatusCode::FORBIDDEN, "forbidden", text)
            }
            GatewayError::Malformed(domain::Malformed::TooLarge { .. }) => {
                Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", text)
            }
            GatewayError::Malformed(_) => Self::new(StatusCode::BAD_REQUEST, "malformed", text),
            GatewayError::Refused(refusal) => Self::new(StatusCode::CONFLICT, refusal.code(), text),
            GatewayError::NotFound(_) => Self::new(StatusCode::NOT_FOUND, "not-found", text),
            GatewayError::Stale(_) => Self::new(StatusCode::CONFLICT, "stale", text),
            GatewayError::Busy => Self::new(StatusCode::SERVICE_UNAVAILABLE, "busy", text).retry_after(1),
            GatewayError::Unavailable(_) => Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", text)
                .retry_after(RETRY_AFTER_SECONDS),
        }
    }

    /// Policy or a human said no.
    pub(super) fn denied(id: ActionId, detail: String, rules: &[DecidingRule]) -> Self {
        let rules: Vec<Value> = rules.iter().map(|rule| json!({ "id": rule.id, "why": rule.why })).collect();
        Self::new(StatusCode::FORBIDDEN, "denied", detail)
            .with("id", json!(id))
            .with("rules", Value::Array(rules))
    }

    /// Still waiting: unmodified clients take 202 for success, so they get 503 with `Retry-After`.
    pub(super) fn pending(id: ActionId, url: &str) -> Self {
        let detail =
            format!("people are asked and have not decided; send the same request again, or watch {url}");
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "approval-pending", detail)
            .with("id", json!(id))
            .with("approval_url", json!(url))
            .retry_after(RETRY_AFTER_SECONDS)
    }

    pub(super) fn with(mut self, key: &str, value: Value) -> Self {
        self.more.insert(key.to_owned(), value);
        self
    }

    pub(super) fn header(mut self, name: HeaderName, value: &'static str) -> Self {
        self.headers.push((name, HeaderValue::from_static(value)));
        self
    }

    fn retry_after(mut self, seconds: u32) -> Self {
        self.headers.push((header::RETRY_AFTER, HeaderValue::from(seconds)));
        self
    }

    pub(super) fn into_response(self) -> Response<Body> {
        let mut problem = self.more;
        problem.insert("type".to_owned(), json!(format!("{PROBLEMS}{}", self.code)));
        problem.insert("title".to_owned(), json!(self.code.replace('-', " ")));
        problem.insert("status".to_owned(), json!(self.status.as_u16()));
        problem.insert("detail".to_owned(), json!(self.detail));
        let mut response = json_response(self.status, &Value::Object(problem));
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.extend(self.headers);
        response
    }
}

/// `202 Accepted`, for callers who preferred `respond-async` and nobody else.
pub(super) fn accepted(id: ActionId, url: &str) -> Response<Body> {
    let mut response =
        json_response(StatusCode::ACCEPTED, &json!({ "id": id, "state": "pending", "approval_url": url }));
    let headers = response.headers_mut();
    headers.insert("preference-applied", HeaderValue::from_static("respond-async"));
    if let Ok(location) = HeaderValue::from_str(url) {
        headers.insert(header::LOCATION, location);
    }
    response
}

pub(super) fn name_action(response: &mut Response<Body>, id: ActionId) {
    if let Ok(value) = HeaderValue::from_str(&id.to_string()) {
        response.headers_mut().insert(ACTION, value);
    }
}

pub(super) fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

fn json_response(status: StatusCode, value: &Value) -> Response<Body> {
    let mut bytes = serde_json::to_vec(value).unwrap_or_default();
    bytes.push(b'\n');
    let mut response = Response::new(full(bytes));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
