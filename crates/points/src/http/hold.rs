//! HTTP's patience: the caller's connection waits as long as the route says; then 503 with `Retry-After`,
//! and an identical call finds the same approval.

use std::sync::Arc;
use std::time::Duration;

use domain::outcome::Ending;
use gateway::Gateway;
use gateway::hold::{Heard, Held};
use gateway::ports::RunResult;
use http::{Response, StatusCode};
use serde_json::json;

use super::answer::{Live, Stored};
use super::parse::ParsedRequest;
use super::reply::{self, Body, Problem};
use crate::park::Answer;

/// Answers a caller who does not wait; the answer for one who does comes when people have decided. Of the request nothing
/// is kept meanwhile: what will run stands in the store.
pub(super) async fn answer(gateway: &Arc<Gateway>, held: Held, request: &ParsedRequest) -> Answer<Body> {
    let (patience, answers_now) = (request.wait().duration(), request.responds_async());
    if answers_now && !held.attached {
        let mut response = reply::accepted(held.id, &held.url);
        reply::name_action(&mut response, held.id);
        return Answer::Now(response);
    }
    let later = Box::pin(wait(Arc::clone(gateway), held, patience, answers_now));
    if patience.is_zero() { Answer::Now(later.await) } else { Answer::Later(later) }
}

/// Waits for people, and answers with what came of it.
async fn wait(gateway: Arc<Gateway>, held: Held, patience: Duration, answers_now: bool) -> Response<Body> {
    let mut response = match gateway.wait(held.id, patience).await {
        Ok(heard) => heard_response(heard, &held, answers_now),
        Err(error) => Problem::gateway(&error).into_response(),
    };
    reply::name_action(&mut response, held.id);
    response
}

fn heard_response(heard: Heard, held: &Held, answers_now: bool) -> Response<Body> {
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
        Heard::Waiting | Heard::Approved if answers_now => reply::accepted(held.id, &held.url),
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
