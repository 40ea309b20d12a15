//! Signed requests: events, buttons, modals and commands, all at one address.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use axum::{Json, Router};
use domain::canonical::read_foreign;
use serde_json::{Map, Value, json};

use super::handle::Desk;
use super::inbound::Kind;
use super::limits::BODY_BYTES;
use super::verify::Verifier;

/// Takes signed requests at `path`.
pub(super) fn router(path: &str, verifier: Verifier, desk: Arc<Desk>) -> Router {
    let state = Arc::new((verifier, desk));
    Router::new().route(path, post(take)).layer(DefaultBodyLimit::max(BODY_BYTES)).with_state(state)
}

async fn take(State(state): State<Arc<(Verifier, Arc<Desk>)>>, headers: HeaderMap, body: Bytes) -> Response {
    let (verifier, desk) = state.as_ref();
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let now = u64::try_from(jiff::Timestamp::now().as_second()).unwrap_or(0);
    let (at, signature) = (header("x-slack-request-timestamp"), header("x-slack-signature"));
    let signed = match verifier.check(at, signature, &body, now) {
        Ok(signed) => signed,
        Err(error) => {
            metrics::counter!("countersign_slack_clicks_total", "answer" => "forged").increment(1);
            tracing::warn!(%error, "a request that says it is Slack's is refused");
            return StatusCode::UNAUTHORIZED.into_response();
        }
    };
    let Some((kind, payload)) = parse(header(CONTENT_TYPE.as_str()).unwrap_or_default(), signed.body) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    if let Some(challenge) = challenge(&payload) {
        return Json(json!({ "challenge": challenge })).into_response();
    }
    match Arc::clone(desk).take(kind, &signed.id, &payload).await {
        Some(Value::Null) => StatusCode::OK.into_response(),
        Some(answer) => Json(answer).into_response(),
        None => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

/// Slack asks once, when the address is set, whether we are there ("url_verification").
fn challenge(payload: &Value) -> Option<&str> {
    let asked = payload.get("type").and_then(Value::as_str) == Some("url_verification");
    payload.get("challenge").and_then(Value::as_str).filter(|_| asked)
}

/// What a body is: an event is JSON; a button or modal is JSON in the field `payload` of a form; a command is a form.
pub(super) fn parse(content_type: &str, body: &[u8]) -> Option<(Kind, Value)> {
    if content_type.starts_with("application/json") {
        return Some((Kind::EventsApi, read_foreign(body).ok()?));
    }
    if !content_type.starts_with("application/x-www-form-urlencoded") {
        return None;
    }
    let mut fields = Map::new();
    for (name, value) in form_urlencoded::parse(body) {
        // A field that stands twice would be read by one in one way and by another in another.
        if fields.insert(name.into_owned(), Value::String(value.into_owned())).is_some() {
            return None;
        }
    }
    match fields.get("payload") {
        Some(payload) => Some((Kind::Interactive, read_foreign(payload.as_str()?.as_bytes()).ok()?)),
        None => Some((Kind::SlashCommands, Value::Object(fields))),
    }
}
