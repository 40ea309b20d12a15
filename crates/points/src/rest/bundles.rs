//! Bundles: what an auditor takes away, for administrators. The file verifies without the gateway.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use domain::commitment::PATH_LIMIT_BYTES;
use domain::id::ActionId;
use gateway::GatewayError;
use gateway::ports::{BundleOf, BundleOrder, OpenFields, Range};
use serde::{Deserialize, Serialize};
use tokio_stream::wrappers::ReceiverStream;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::App;
use super::auth::HumanCaller;
use super::config::BUNDLE_RETRY_SECONDS;
use super::parse::StrictJson;
use super::reply::Problem;
use super::shapes::Id;

/// The media type of bundles: a tape archive.
pub const BUNDLE_TAR: &str = "application/vnd.countersign.bundle+tar";

/// The most paths of fields that one bundle opens by name.
const DISCLOSE_LIMIT: usize = 64;

pub(super) fn resources() -> OpenApiRouter<App> {
    OpenApiRouter::default().routes(routes!(make))
}

/// What a bundle is to be of: some approvals, or every entry of the log between two places.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BundleRequest {
    /// These approvals, each whole. With them, no place is given.
    #[schema(value_type = Option<Vec<Id>>, max_items = 10000)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approvals: Option<Vec<ActionId>>,
    /// Where a period begins: an index of the log, or a date or time (RFC 3339). The log's beginning where it is not given.
    #[schema(max_length = 64)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Where a period ends, not included: an index of the log, or a date or time. The newest checkpoint where it is not given.
    #[schema(max_length = 64)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// A signed checkpoint of this log, from which a period goes on: instead of `from`.
    #[schema(max_length = 1000000)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<String>,
    /// Whether payloads stand open in it. That they were opened is logged, for each.
    #[serde(default)]
    pub payload: bool,
    /// The paths of those fields of payloads that stand open in it, such as `http.body`; of all others it has the
    /// commitments. That each was opened is logged, for each approval. Not with `payload`.
    #[schema(max_items = 64)]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub disclose: Vec<String>,
}

impl BundleRequest {
    fn open(&self) -> Result<OpenFields, Problem> {
        match (self.payload, self.disclose.as_slice()) {
            (false, []) => Ok(OpenFields::Nothing),
            (true, []) => Ok(OpenFields::Everything),
            (false, paths)
                if paths.len() <= DISCLOSE_LIMIT
                    && paths.iter().all(|path| path.len() <= PATH_LIMIT_BYTES) =>
            {
                Ok(OpenFields::Paths(paths.iter().cloned().collect()))
            }
            _ => Err(Problem::bad("bad-body", "`disclose` names up to 64 paths, or `payload` opens all")),
        }
    }

    fn of(self) -> Result<BundleOf, Problem> {
        let Self { approvals, from, to, checkpoint, payload: _, disclose: _ } = self;
        match (approvals, checkpoint, from, to) {
            (Some(ids), None, None, None) if !ids.is_empty() => Ok(BundleOf::Cases(ids)),
            (None, Some(checkpoint), None, to) => Ok(BundleOf::Since { checkpoint, to }),
            (None, None, from, to) => Ok(BundleOf::Period(Range { from, to })),
            _ => Err(Problem::bad("bad-body", "a bundle is of some approvals, or of one period")),
        }
    }
}

/// Make a bundle: entries with proofs, fields and checkpoint, in one file that verifies without the gateway.
///
/// An answer that breaks off is not whole; its length is told.
#[utoipa::path(
    post, path = "/bundles", tag = "log", operation_id = "makeBundle",
    request_body = BundleRequest,
    responses(
        (status = 200, description = "The bundle", body = String, content_type = "application/vnd.countersign.bundle+tar"),
        (status = 503, description = "Another bundle is being made", body = super::reply::ProblemBody, content_type = "application/problem+json"),
    ),
    security(("session" = []), ("cookie" = []))
)]
async fn make(
    State(app): State<App>,
    HumanCaller(human): HumanCaller,
    StrictJson(request): StrictJson<BundleRequest>,
) -> Result<Response, Problem> {
    app.gateway.require_admin(&human)?;
    let open = request.open()?;
    let order = BundleOrder { of: request.of()?, open, by: human };
    let made = Arc::clone(&app.bundles).make(order).await.map_err(|error| {
        if matches!(error, GatewayError::Busy) {
            let detail = "another bundle is being made; come back when it is done";
            return Problem::new(StatusCode::SERVICE_UNAVAILABLE, "busy", detail)
                .retry_after(BUNDLE_RETRY_SECONDS);
        }
        error.into()
    })?;
    let body = Body::from_stream(ReceiverStream::new(made.pieces));
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static(BUNDLE_TAR)),
        (CONTENT_DISPOSITION, HeaderValue::from_static("attachment; filename=\"countersign.bundle.tar\"")),
        (CONTENT_LENGTH, HeaderValue::from(made.bytes)),
    ];
    Ok((headers, body).into_response())
}
