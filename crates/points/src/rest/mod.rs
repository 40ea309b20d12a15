//! The API `/v1`: actions that their callers run themselves, approvals and reviews, and everything that is
//! administered.
//!
//! A request is read strictly ([`parse`]), its caller admitted ([`auth`]); then each resource has its file. What asks
//! for no credential is tried so often and no more ([`throttle`]). Waiting is in [`hold`], refusing in [`reply`].
//! [`openapi`] is the document, generated from the same handlers that answer.

pub mod config;

mod parse;
mod throttle;
pub mod auth;
pub mod hold;
pub mod reply;
mod once;
pub mod shapes;
mod document;

pub mod token;
pub mod actions;
pub mod approvals;
pub mod reviews;
pub mod later;
pub mod people;
pub mod links;
pub mod deliveries;
pub mod agents;
pub mod routes;
pub mod policy;
pub mod sessions;
pub mod log;
pub mod backups;
pub mod bundles;
pub mod activity;
pub mod trail;
pub mod search;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use domain::id::ActionId;
use gateway::Gateway;
use gateway::ports::{Bundles, Trail};
use gateway::store::Summary;
use tokio::sync::Semaphore;
use utoipa_axum::router::OpenApiRouter;

pub use config::{Parts, RouteReader};
pub use reply::Problem;

use auth::AnyCaller;
use throttle::Throttle;

use crate::peer::TrustedProxies;

/// What every handler works with.
pub(crate) struct Rest {
    gateway: Arc<Gateway>,
    check_route: Arc<RouteReader>,
    search: Arc<::search::Index>,
    /// The public URL's origin, as browsers send it.
    web_origin: String,
    streams: Arc<Semaphore>,
    /// Where copies of the store go, where the operator names a place.
    backup_folder: Option<std::path::PathBuf>,
    backups: Semaphore,
    trail: Arc<dyn Trail>,
    bundles: Arc<dyn Bundles>,
    trusted_proxies: TrustedProxies,
    throttle: Throttle,
}

type App = Arc<Rest>;

/// The API's routes: `/v1` and `/openapi.json`.
pub fn router(parts: Parts) -> axum::Router {
    let Parts { gateway, check_route, search, trail, bundles, backup_folder, trusted_proxies } = parts;
    let app = Arc::new(Rest {
        web_origin: auth::web_origin(&gateway.settings().public_url),
        gateway,
        check_route,
        trail,
        bundles,
        search,
        streams: Arc::new(Semaphore::new(config::STREAMS_AT_ONCE)),
        backup_folder,
        backups: Semaphore::new(1),
        trusted_proxies,
        throttle: Throttle::new(),
    });
    let guard = middleware::from_fn_with_state(Arc::clone(&app), guard);
    let (routes, _) = resources().split_for_parts();
    let routes = routes
        .fallback(async || Problem::no_such_path())
        .method_not_allowed_fallback(async || Problem::method_not_allowed())
        .layer(middleware::from_fn_with_state(Arc::clone(&app), throttle::at_the_door))
        .layer(guard.clone());
    let text: Arc<str> = openapi().to_json().unwrap_or_default().into();
    let document = get(async move || ([(CONTENT_TYPE, "application/json")], text.to_string()))
        .fallback(async || Problem::only_get());
    // No fallback of its own: the console's pages stand beside it.
    let aside = axum::Router::new()
        .route("/v1/", any(async || Problem::no_such_path()))
        .route("/openapi.json", document)
        .route_layer(guard);
    axum::Router::new().nest("/v1", routes).merge(aside).with_state(app)
}

/// The API's document, OpenAPI 3.1.
#[must_use]
pub fn openapi() -> utoipa::openapi::OpenApi {
    let nested = OpenApiRouter::<App>::with_openapi(document::head()).nest("/v1", resources());
    let mut document = nested.into_openapi();
    document::complete(&mut document);
    document
}

fn resources() -> OpenApiRouter<App> {
    OpenApiRouter::default()
        .merge(token::resources())
        .merge(actions::resources())
        .merge(approvals::resources())
        .merge(reviews::resources())
        .merge(later::resources())
        .merge(people::resources())
        .merge(links::resources())
        .merge(deliveries::resources())
        .merge(agents::resources())
        .merge(routes::resources())
        .merge(policy::resources())
        .merge(sessions::resources())
        .merge(log::resources())
        .merge(backups::resources())
        .merge(bundles::resources())
        .merge(activity::resources())
        .merge(trail::resources())
        .merge(search::resources())
}

/// What holds for every request: nothing from another origin's page, nothing kept by caches, every answer with an
/// id that stands in our log too.
async fn guard(State(app): State<App>, request: Request, next: Next) -> Response {
    let id = app.gateway.new_id(ActionId::new).map(|id| id.to_string()).unwrap_or_default();
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let elsewhere =
        if auth::is_safe(&method) { Ok(()) } else { auth::from_elsewhere(request.headers(), &app) };
    let mut response = match elsewhere {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    };
    let status = response.status().as_u16();
    tracing::debug!(request = id, %method, path, status, "answered");
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if let Ok(id) = HeaderValue::try_from(id) {
        headers.insert(HeaderName::from_static("x-request-id"), id);
    }
    response
}

impl Rest {
    /// An approval that this caller may see.
    async fn visible(&self, id: ActionId, caller: &AnyCaller) -> Result<Summary, Problem> {
        Ok(match &caller.human {
            Some(human) => self.gateway.approval_for(id, human).await?,
            None => self.gateway.on_chain(id, caller.principal()).await?,
        })
    }
}

impl std::fmt::Debug for Rest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Rest")
    }
}
