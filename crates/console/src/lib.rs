//! The web console: where people see what waits for them, decide it with a passkey, and read what is known.
//!
//! Pages are rendered here, whole, from what the gateway says; no rule is decided here. Whatever changes
//! something goes through the API under `/v1` from the pages' scripts, but for one: opening a payload
//! that is larger than a page, which is logged and answered as a page's part. No GET changes anything.
//!
//! The files stand in reading order: what every answer carries ([`guard`](self)), who looks
//! ([`viewer`](self)), what all pages share (`frame`, `marks`, `words`, `assets`), then the rooms: signing in, the
//! inbox, one request, the directory, the log, the trail. A room gathers a model and renders it with pure functions.

mod guard;
mod viewer;
mod failure;

mod assets;
mod frame;
mod marks;
mod words;

mod sign_in;
mod link;
mod inbox;
mod request;
mod directory;
mod log;
mod trail;

mod limits;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::middleware;
use axum::routing::{get, post};
use axum::{Extension, Router};
use gateway::Gateway;
use search::Index;

/// The console's routes. It brings the fallback for paths that nobody serves; merge it with the API's
/// router, which must bring none.
pub fn router(gateway: Arc<Gateway>, index: Arc<Index>) -> Router {
    Router::new()
        .route("/", get(inbox::page))
        .route("/inbox/list", get(inbox::list))
        .route("/approvals/{id}", get(request::page))
        .route("/approvals/{id}/payload", post(request::open))
        .route("/approvals/{id}/reveal", post(request::reveal))
        .route("/people", get(directory::people))
        .route("/agents", get(directory::agents))
        .route("/routes", get(directory::routes))
        .route("/policy", get(directory::policy))
        .route("/activity", get(log::page))
        .route("/trail", get(trail::page))
        .route("/trail/list", get(trail::list))
        .route("/login", get(sign_in::login))
        .route("/enrol", get(sign_in::enrol))
        .route("/cli", get(sign_in::cli))
        .route("/link", get(link::page))
        .route("/static/{version}/{name}", get(assets::serve))
        .route("/favicon.ico", get(assets::favicon))
        .fallback(failure::nowhere)
        .layer(Extension(index))
        .layer(middleware::map_response(guard::harden))
        .with_state(gateway)
}
