//! HTTP's patience: the caller's connection waits as long as the route says; then 503 with `Retry-After`,
//! and an identical call finds the same approval.

use std::sync::Arc;

use domain::outcome::Ending;
use gateway::Gateway;
use gateway::hold::{Heard, Held};
use gateway::ports::RunResult;
use http::{Response, StatusCode};
use serde_json::json;

use super::answer::{Live, Stored};
use super::parse::ParsedRequest;
use super::reply::{self, Body, Problem};

/// Waits for people, and answers with what came of it.
pub(super) async fn wait(gateway: &Arc<Gateway>, held: &Held, request: &ParsedRequest) -> Response<Body> {
    let mut response = if request.responds_async() && !held.attached {
        reply::accepted(held.id, &held.url)
    } else {
        match gateway.wait(held.id, request.wait().duration()).await {
            Ok(heard) => heard_response(heard, held, request),
            Err(error) => Problem::gateway(&error).into_response(),
        }
    };
    reply::name_action(&mut response, held.id);
    response
}

fn heard_response(heard: Heard, held: &Held, request: &ParsedRequest) -> Response<Body> {
    match heard {
        Heard::Ran { result: Some(RunResult::Whole(bytes)), .. } => match Stored::read(&bytes) {
            Ok(response) => response,
            Err(error) => {
                Problem::new(StatusCode::BAD_GATEWAY, "unreadable-result", error.to_string()).into_response()
            }
        },
        Heard::Ran { result: Some(RunResult::Live(live)), outcome } => match live.downcast::<Live>() {
            Ok(live) => live.0,
            Err(_) => gone(&outcome, held),
        },
        Heard::Ran { result: Some(RunResult::Nothing) | None, outcome } => gone(&outcome, held),
        Heard::Refused { state, why } => {
            Problem::denied(held.id, why, &held.why).with("state", json!(state)).into_response()
        }
        Heard::Waiting | Heard::Approved if request.responds_async() => reply::accepted(held.id, &held.url),
        Heard::Waiting | Heard::Approved => Problem::pending(held.id, &held.url).into_response(),
    }
}

/// The action ran and there is no answer to hand over.
fn gone(outcome: &domain::outcome::Outcome, held: &Held) -> Response<Body> {
    let problem = match outcome.ending {
        Ending::Unknown => {
            let detail =
                format!("nobody knows what came of it, and it is never run again: {}", outcome.detail);
            Problem::new(StatusCode::BAD_GATEWAY, "outcome-unknown", detail)
        }
        Ending::Failed if outcome.result.is_none() => {
            Problem::new(StatusCode::BAD_GATEWAY, "target-failed", outcome.detail.clone())
        }
        Ending::Failed | Ending::Succeeded => {
            let detail = format!(
                "it ran once and answered {}; the answer was collected, or too large to keep",
                outcome.detail
            );
            Problem::new(StatusCode::GONE, "result-collected", detail)
        }
    };
    problem.with("id", json!(held.id)).with("outcome", json!(outcome)).into_response()
}
