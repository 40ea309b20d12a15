//! What clients hear of us, in PostgreSQL's words.

use domain::evaluation::DecidingRule;
use domain::id::{ActionId, TargetName};
use gateway::GatewayError;
use gateway::hold::Held;
use postgres::reply::{Refusal, State};

use crate::judge::{Judged, Unasked};

/// The longest detail of ours, in characters.
const DETAIL_LIMIT: usize = 2_000;

pub(crate) fn no_token() -> Refusal {
    Refusal::new(State::INVALID_PASSWORD, "the password is not an access token")
        .with_hint("an agent gets one at /v1/token, and shows it as its password")
}

pub(crate) fn no_entry(error: &GatewayError) -> Refusal {
    match error {
        GatewayError::Unauthenticated(_) => Refusal::new(State::INVALID_PASSWORD, error.to_string())
            .with_hint("an agent gets an access token at /v1/token, and shows it as its password"),
        GatewayError::Forbidden(_)
        | GatewayError::StepUp
        | GatewayError::Malformed(_)
        | GatewayError::Refused(_)
        | GatewayError::NotFound(_)
        | GatewayError::Stale(_)
        | GatewayError::Busy
        | GatewayError::Unavailable(_) => Refusal::new(State::CONNECTION, error.to_string()),
    }
}

pub(crate) fn no_database(name: &str) -> Refusal {
    let state = State::new("3D000").unwrap_or(State::INVALID_AUTHORIZATION);
    Refusal::new(state, format!("database \"{name}\" does not exist at this gate"))
}

pub(crate) fn no_secret(name: &TargetName) -> Refusal {
    Refusal::new(State::CONNECTION, format!("the gate has no credential for \"{name}\""))
        .with_hint("an operator has to configure the secret that the database names")
}

pub(crate) fn database_changed(name: &TargetName) -> Refusal {
    Refusal::new(State::SHUTDOWN, format!("the database \"{name}\" was changed or removed at the gate"))
        .with_hint("connect again")
}

/// Policy says no.
pub(crate) fn denied(id: ActionId, rules: &[DecidingRule], judged: &Judged) -> Refusal {
    let why: Vec<&str> = rules.iter().map(|rule| rule.why.as_str()).collect();
    let message = format!("{} on {} is denied by policy", judged.verb, judged.resource);
    Refusal::new(State::DENIED, message)
        .with_detail(detail(&why, judged))
        .with_hint(format!("it is on record as {id}"))
}

/// People are asked, and nobody waits here.
pub(crate) fn held(held: &Held, judged: &Judged) -> Refusal {
    let why: Vec<&str> = held.why.iter().map(|rule| rule.why.as_str()).collect();
    let message = format!("{} on {} needs approval", judged.verb, judged.resource);
    Refusal::new(State::HELD, message).with_detail(detail(&why, judged)).with_hint(format!(
        "it is asked for at {}; once it is approved, the same statement runs, once",
        held.url
    ))
}

/// People said no, or nobody said anything in time.
pub(crate) fn refused(held: &Held, state: &str, why: &str) -> Refusal {
    Refusal::new(State::DENIED, format!("not approved: {why}"))
        .with_detail(format!("the request {} is {state}; nothing ran", held.id))
        .with_hint(held.url.clone())
}

/// The approval was spent in another session.
pub(crate) fn ran_elsewhere(held: &Held) -> Refusal {
    Refusal::new(State::HELD, "this statement was approved once, and ran in another session")
        .with_hint(format!("send it again if it is meant to run again; it is asked for anew. {}", held.url))
}

/// Something of it changed between asking and running.
pub(crate) fn changed(held: &Held) -> Refusal {
    let state = State::new("40001").unwrap_or(State::HELD);
    Refusal::new(state, "what was approved would do something else now, and does not run")
        .with_hint(format!("a definition that it reaches has changed; send it again. {}", held.url))
}

/// The gateway cannot answer.
pub(crate) fn unavailable(error: &GatewayError) -> Refusal {
    let state = match error {
        GatewayError::Unauthenticated(_) | GatewayError::StepUp => State::INVALID_AUTHORIZATION,
        GatewayError::Malformed(_) => State::LIMIT,
        GatewayError::Forbidden(_) | GatewayError::Refused(_) => State::DENIED,
        GatewayError::Busy => State::TOO_MANY,
        GatewayError::NotFound(_) | GatewayError::Stale(_) | GatewayError::Unavailable(_) => {
            State::new("57P03").unwrap_or(State::CONNECTION)
        }
    };
    Refusal::new(state, format!("nothing ran: {error}"))
}

pub(crate) fn unasked(why: &Unasked) -> Refusal {
    Refusal::new(State::LIMIT, format!("nothing ran: {why}")).with_hint("send it in several messages")
}

fn detail(why: &[&str], judged: &Judged) -> String {
    let mut words: Vec<String> = why.iter().map(|why| (*why).to_owned()).collect();
    words.sort();
    words.dedup();
    words.extend(judged.opaque.iter().map(|why| format!("not understood: {why}")));
    words.join("; ").chars().take(DETAIL_LIMIT).collect()
}
