//! Routes: what stands behind the HTTP proxy. The document's shape is the proxy's; whoever wires the
//! gateway hands us its reader.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use domain::digest::Digest;
use domain::directory::{DirectoryEvent, RouteDocument};
use domain::id::TargetName;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::App;
use super::auth::HumanCaller;
use super::parse::{At, StrictJson};
use super::people::{Proposal, propose};
use super::reply::Problem;
use super::shapes::{AnyObject, DigestText, Name};

pub(super) fn resources() -> OpenApiRouter<App> {
    OpenApiRouter::default().routes(routes!(list)).routes(routes!(show, set, remove))
}

/// Every route.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Routes {
    /// The routes, by name.
    pub routes: Vec<RouteView>,
}

/// A route.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct RouteView {
    /// Its name.
    #[schema(value_type = Name)]
    pub name: TargetName,
    /// Its document's digest, which is part of every action on it.
    #[schema(value_type = DigestText)]
    pub definition: Digest,
    /// Its document.
    #[schema(value_type = AnyObject)]
    pub document: Value,
}

impl RouteView {
    fn of(name: &TargetName, route: &RouteDocument) -> Self {
        let document = domain::canonical::read_value(route.text.as_bytes()).unwrap_or_default();
        Self { name: name.clone(), definition: route.definition, document }
    }
}

/// Every route, by name.
#[utoipa::path(
    get, path = "/routes", tag = "routes", operation_id = "listRoutes",
    responses((status = 200, description = "Every route", body = Routes)),
    security(("session" = []), ("cookie" = []))
)]
async fn list(State(app): State<App>, _human: HumanCaller) -> Json<Routes> {
    let directory = app.gateway.directory();
    Json(Routes { routes: directory.routes().map(|(name, route)| RouteView::of(name, route)).collect() })
}

/// One route.
#[utoipa::path(
    get, path = "/routes/{name}", tag = "routes", operation_id = "getRoute",
    params(("name" = Name, Path, description = "The route")),
    responses((status = 200, description = "The route", body = RouteView)),
    security(("session" = []), ("cookie" = []))
)]
async fn show(
    State(app): State<App>,
    _human: HumanCaller,
    At(name): At<TargetName>,
) -> Result<Json<RouteView>, Problem> {
    let directory = app.gateway.directory();
    let route = directory.route(&name).ok_or_else(|| Problem::not_found("route"))?;
    Ok(Json(RouteView::of(&name, route)))
}

/// Propose a route, new or changed. The body is its document.
#[utoipa::path(
    put, path = "/routes/{name}", tag = "routes", operation_id = "setRoute",
    params(("name" = Name, Path, description = "The route")),
    request_body(content = AnyObject, description = "The route's document; see `docs/routes.md`", content_type = "application/json"),
    responses(
        (status = 200, description = "It applies", body = Proposal),
        (status = 202, description = "Another administrator is asked", body = Proposal),
        (status = 422, description = "The document is no route (`bad-route`)", body = super::reply::ProblemBody, content_type = "application/problem+json"),
    ),
    security(("session" = []), ("cookie" = []))
)]
async fn set(
    State(app): State<App>,
    HumanCaller(human): HumanCaller,
    At(name): At<TargetName>,
    StrictJson(document): StrictJson<Map<String, Value>>,
) -> Result<Proposal, Problem> {
    let text = Value::Object(document).to_string();
    app.gateway.require_admin(&human)?;
    let (check, of) = (Arc::clone(&app.check_route), name.clone());
    let checked = app.gateway.hard_work(move || check(&of, &text)).await?;
    let document = checked.map_err(|why| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "bad-route", why))?;
    propose(&app, &human, DirectoryEvent::RouteSet { name, document }).await
}

/// Propose that a route is no more.
#[utoipa::path(
    delete, path = "/routes/{name}", tag = "routes", operation_id = "removeRoute",
    params(("name" = Name, Path, description = "The route")),
    responses(
        (status = 200, description = "It applies", body = Proposal),
        (status = 202, description = "Another administrator is asked", body = Proposal),
    ),
    security(("session" = []), ("cookie" = []))
)]
async fn remove(
    State(app): State<App>,
    HumanCaller(human): HumanCaller,
    At(name): At<TargetName>,
) -> Result<Proposal, Problem> {
    if app.gateway.directory().route(&name).is_none() {
        return Err(Problem::not_found("route"));
    }
    propose(&app, &human, DirectoryEvent::RouteRemoved { name }).await
}
