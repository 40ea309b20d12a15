//! The transparency log, for whoever wants to verify: leaves, proofs, checkpoints. No value stands in a leaf.

use axum::Json;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use domain::canonical::INTEGER_LIMIT;
use domain::digest::Blob;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::App;
use super::auth::AnyCaller;
use super::parse::{At, StrictQuery};
use super::reply::Problem;
use super::shapes::Base64Url;

pub(super) fn resources() -> OpenApiRouter<App> {
    OpenApiRouter::default()
        .routes(routes!(checkpoint))
        .routes(routes!(key))
        .routes(routes!(rotations))
        .routes(routes!(entry))
        .routes(routes!(consistency))
}

fn text(text: String) -> Response {
    ([(CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response()
}

/// The signed tree head, a C2SP signed note.
#[utoipa::path(
    get, path = "/log/checkpoint", tag = "log", operation_id = "getCheckpoint",
    responses((status = 200, description = "The checkpoint", body = String, content_type = "text/plain")),
    security(("agent" = []), ("session" = []), ("cookie" = []))
)]
async fn checkpoint(State(app): State<App>, _caller: AnyCaller) -> Result<Response, Problem> {
    Ok(text(app.gateway.store().head().await?.checkpoint))
}

/// The log's verifier key, as C2SP writes it.
#[utoipa::path(
    get, path = "/log/key", tag = "log", operation_id = "getLogKey",
    responses((status = 200, description = "The key", body = String, content_type = "text/plain")),
    security(("agent" = []), ("session" = []), ("cookie" = []))
)]
async fn key(State(app): State<App>, _caller: AnyCaller) -> Response {
    text(app.gateway.settings().log_key.clone())
}

/// A change of the log's key.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct LogRotation {
    /// Where the entry stands that says so.
    pub index: u64,
    /// The key that signed every checkpoint up to size `index + 1`.
    pub old: String,
    /// The key that signed the checkpoints after it.
    pub new: String,
    /// Why it changed.
    pub reason: String,
    /// The old key's last checkpoint, of size `index + 1`: it proves that the old key said so.
    pub checkpoint: String,
}

/// Every change of the log's key, oldest first. Whoever trusts an old key follows them to the newest.
#[utoipa::path(
    get, path = "/log/rotations", tag = "log", operation_id = "listLogRotations",
    responses((status = 200, description = "The changes", body = Vec<LogRotation>)),
    security(("agent" = []), ("session" = []), ("cookie" = []))
)]
async fn rotations(State(app): State<App>, _caller: AnyCaller) -> Result<Json<Vec<LogRotation>>, Problem> {
    let rotations = app.gateway.store().rotations().await?.into_iter();
    let shown = rotations.map(|rotation| LogRotation {
        index: rotation.index,
        old: rotation.old,
        new: rotation.new,
        reason: rotation.reason,
        checkpoint: rotation.checkpoint,
    });
    Ok(Json(shown.collect()))
}

/// An entry of the log with its proof.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct LogEntry {
    /// Where it stands.
    pub index: u64,
    /// The size of the tree that the proof leads to.
    pub size: u64,
    /// The leaf's exact bytes.
    #[schema(value_type = Base64Url)]
    pub leaf: Blob,
    /// The inclusion proof (RFC 6962), from the leaf up.
    #[schema(value_type = Vec<Base64Url>)]
    pub proof: Vec<Blob>,
    /// The checkpoint of that tree.
    pub checkpoint: String,
}

/// An entry with its proof under the newest checkpoint.
#[utoipa::path(
    get, path = "/log/entries/{index}", tag = "log", operation_id = "getLogEntry",
    params(("index" = u64, Path, description = "Where it stands", minimum = 0, maximum = 9_007_199_254_740_991_i64)),
    responses((status = 200, description = "The entry", body = LogEntry)),
    security(("agent" = []), ("session" = []), ("cookie" = []))
)]
async fn entry(
    State(app): State<App>,
    _caller: AnyCaller,
    At(index): At<u64>,
) -> Result<Json<LogEntry>, Problem> {
    let store = app.gateway.store();
    let head = store.head().await?;
    if index >= head.size {
        return Err(Problem::not_found("entry"));
    }
    let view = store.entry(index).await?;
    let proof = blobs(store.inclusion(index, head.size).await?);
    Ok(Json(LogEntry { index, size: head.size, leaf: Blob(view.leaf), proof, checkpoint: head.checkpoint }))
}

fn blobs(hashes: Vec<[u8; 32]>) -> Vec<Blob> {
    hashes.into_iter().map(|hash| Blob(hash.to_vec())).collect()
}

/// Two sizes of the tree.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ConsistencyQuery {
    /// The smaller size.
    #[param(minimum = 0, maximum = 9_007_199_254_740_991_i64)]
    old: u64,
    /// The larger size.
    #[param(minimum = 0, maximum = 9_007_199_254_740_991_i64)]
    new: u64,
}

/// A consistency proof.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Consistency {
    /// The smaller size.
    pub old: u64,
    /// The larger size.
    pub new: u64,
    /// The proof (RFC 6962).
    #[schema(value_type = Vec<Base64Url>)]
    pub proof: Vec<Blob>,
}

/// The proof that the log of one size is the beginning of the log of another.
#[utoipa::path(
    get, path = "/log/consistency", tag = "log", operation_id = "getConsistency",
    params(ConsistencyQuery),
    responses(
        (status = 200, description = "The proof", body = Consistency),
        (status = 404, description = "The log was never of these sizes", body = super::reply::ProblemBody, content_type = "application/problem+json"),
    ),
    security(("agent" = []), ("session" = []), ("cookie" = []))
)]
async fn consistency(
    State(app): State<App>,
    _caller: AnyCaller,
    StrictQuery(ConsistencyQuery { old, new }): StrictQuery<ConsistencyQuery>,
) -> Result<Json<Consistency>, Problem> {
    if old > INTEGER_LIMIT || new > INTEGER_LIMIT {
        return Err(Problem::bad("bad-query", "the log has no such sizes"));
    }
    let store = app.gateway.store();
    if old > new || new > store.head().await?.size {
        return Err(Problem::not_found("pair of tree sizes"));
    }
    Ok(Json(Consistency { old, new, proof: blobs(store.consistency(old, new).await?) }))
}
