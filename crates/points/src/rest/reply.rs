//! How the API says no: problem+json (RFC 9457), one type for every refusal.

use std::borrow::Cow;

use axum::http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use domain::{Malformed, Refusal};
use gateway::GatewayError;
use gateway::store::StoreError;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::config::{BODY_LIMIT_BYTES, BUSY_RETRY_SECONDS, UNAVAILABLE_RETRY_SECONDS};

/// With what every problem's `type` begins.
pub const TYPE_PREFIX: &str = "https://countersign.dev/problems/";

/// The media type of problems.
pub const PROBLEM_JSON: &str = "application/problem+json";

/// A refusal, as the caller reads it.
#[derive(Debug)]
pub struct Problem(Box<Inner>);

#[derive(Debug)]
struct Inner {
    status: StatusCode,
    code: Cow<'static, str>,
    detail: String,
    extras: Map<String, Value>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// A problem's members (RFC 9457). Some problems carry more, such as `id` and `approval_url`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemBody {
    /// What kind of problem: `https://countersign.dev/problems/` and a stable code.
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind in words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What happened here, and what to do next.
    pub detail: String,
}

impl Problem {
    /// A problem with its status, its stable code, and what to do about it.
    pub fn new(status: StatusCode, code: impl Into<Cow<'static, str>>, detail: impl Into<String>) -> Self {
        let (code, detail) = (code.into(), detail.into());
        Self(Box::new(Inner { status, code, detail, extras: Map::new(), headers: Vec::new() }))
    }

    /// The same problem with a further member.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.0.extras.insert(name.to_owned(), value.into());
        self
    }

    /// The same problem with a header.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers.push((name, value));
        self
    }

    /// The same problem, worth a retry after so many seconds.
    #[must_use]
    pub fn retry_after(self, seconds: u64) -> Self {
        self.header(RETRY_AFTER, HeaderValue::from(seconds))
    }

    /// The problem's status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.0.status
    }

    /// The problem's stable code.
    #[must_use]
    pub fn code(&self) -> &str {
        &self.0.code
    }

    pub(super) fn detail(&self) -> &str {
        &self.0.detail
    }

    pub(super) fn headers(&self) -> &[(HeaderName, HeaderValue)] {
        &self.0.headers
    }

    pub(super) fn bad(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, detail)
    }

    pub(super) fn unauthenticated(detail: impl Into<String>) -> Self {
        let challenge = HeaderValue::from_static("Bearer realm=\"countersign\"");
        Self::new(StatusCode::UNAUTHORIZED, "unauthenticated", detail).header(WWW_AUTHENTICATE, challenge)
    }

    pub(super) fn forbidden(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, code, detail)
    }

    pub(super) fn not_found(what: &str) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "not-found",
            format!("there is no such {what}, or none that you may see"),
        )
    }

    pub(super) fn conflict(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, code, detail)
    }

    pub(super) fn too_large() -> Self {
        let detail = format!("the body is larger than {BODY_LIMIT_BYTES} bytes; send less");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", detail)
    }

    pub(super) fn no_such_path() -> Self {
        Self::new(StatusCode::NOT_FOUND, "no-such-path", "nothing stands at this path; see /openapi.json")
    }

    /// The answer to a method that the path does not take. The router adds `Allow`.
    pub(super) fn method_not_allowed() -> Self {
        let detail = "this path does not take this method; `Allow` says which it takes";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", detail)
    }

    /// As [`Problem::method_not_allowed`], where no router knows what is allowed.
    pub(super) fn only_get() -> Self {
        Self::method_not_allowed().header(ALLOW, HeaderValue::from_static("GET,HEAD"))
    }

    fn body(&self) -> Value {
        let mut members = self.0.extras.clone();
        members.insert("type".to_owned(), format!("{TYPE_PREFIX}{}", self.0.code).into());
        members.insert("title".to_owned(), title(&self.0.code).into());
        members.insert("status".to_owned(), self.0.status.as_u16().into());
        members.insert("detail".to_owned(), self.0.detail.clone().into());
        Value::Object(members)
    }
}

/// `approval-pending` in words: `Approval pending`.
fn title(code: &str) -> String {
    let words = code.replace('-', " ");
    let mut letters = words.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = (self.0.status, self.body().to_string()).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        for (name, value) in self.0.headers {
            headers.insert(name, value);
        }
        response
    }
}

impl From<GatewayError> for Problem {
    fn from(error: GatewayError) -> Self {
        match error {
            GatewayError::Unauthenticated(why) => Self::unauthenticated(why),
            GatewayError::Forbidden(why) => Self::forbidden("forbidden", why),
            GatewayError::StepUp => Self::forbidden("step-up-required", GatewayError::StepUp.to_string()),
            GatewayError::Malformed(malformed) => malformed.into(),
            GatewayError::Refused(refusal) => refusal.into(),
            GatewayError::NotFound(what) => Self::not_found(what),
            GatewayError::Stale(why) => Self::conflict("stale", why),
            GatewayError::Busy => {
                let detail = GatewayError::Busy.to_string();
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "busy", detail).retry_after(BUSY_RETRY_SECONDS)
            }
            error @ GatewayError::Unavailable(_) => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", error.to_string())
                    .retry_after(UNAVAILABLE_RETRY_SECONDS)
            }
        }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        GatewayError::from(error).into()
    }
}

impl From<Malformed> for Problem {
    fn from(malformed: Malformed) -> Self {
        let detail = malformed.to_string();
        match malformed {
            Malformed::Json(_) | Malformed::Value { .. } => Self::bad("malformed", detail),
            Malformed::TooLarge { .. } => Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", detail),
            // What is stored does not hash to what was signed: nothing the caller can mend.
            Malformed::Digest(_) => Self::new(StatusCode::INTERNAL_SERVER_ERROR, "altered", detail),
        }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let (code, detail) = (refusal.code(), refusal.to_string());
        match refusal {
            Refusal::SelfReview
            | Refusal::NotEligible { .. }
            | Refusal::GroupNotAsked(_)
            | Refusal::NoGlass(_)
            | Refusal::NotActive(_)
            | Refusal::Signature(_)
            | Refusal::Assurance
            | Refusal::NotYours(_)
            | Refusal::PolicyDenies(_) => Self::forbidden(code, detail),
            Refusal::NoSuchQuestion => Self::new(StatusCode::NOT_FOUND, code, detail),
            Refusal::Malformed(malformed) => malformed.into(),
            Refusal::OtherAction
            | Refusal::OtherOrigin(_)
            | Refusal::DuplicateReviewer
            | Refusal::StatementExpired
            | Refusal::Expired
            | Refusal::NotInState(_)
            | Refusal::QuestionOpen
            | Refusal::RequirementNotMet
            | Refusal::Stale
            | Refusal::NotYetExpired
            | Refusal::GlassNotBroken
            | Refusal::NotEnded
            | Refusal::LaterReviewed => Self::conflict(code, detail),
        }
    }
}
