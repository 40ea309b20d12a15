//! Copies of the whole store, for administrators: into the operator's folder, under a name of the gateway's.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::App;
use super::auth::HumanCaller;
use super::reply::Problem;

pub(super) fn resources() -> OpenApiRouter<App> {
    OpenApiRouter::default().routes(routes!(create))
}

/// A copy that was made.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct BackupMade {
    /// The file's name within the operator's folder.
    pub file: String,
    /// How many entries of the log it holds at least.
    pub size: u64,
    /// When it was made.
    pub time: u64,
}

/// Copy the whole store into a new file of the operator's folder, while the gateway runs. The log says so.
#[utoipa::path(
    post, path = "/backups", tag = "log", operation_id = "createBackup",
    responses(
        (status = 201, description = "The copy was made", body = BackupMade),
        (status = 409, description = "The operator has named no folder for copies", body = super::reply::ProblemBody, content_type = "application/problem+json"),
    ),
    security(("session" = []), ("cookie" = []))
)]
async fn create(
    State(app): State<App>,
    HumanCaller(human): HumanCaller,
) -> Result<(StatusCode, Json<BackupMade>), Problem> {
    app.gateway.require_admin(&human)?;
    let Some(folder) = &app.backup_folder else {
        let why = "no folder is named for copies; set `backups` in `[store]` of the bootstrap file, and start again";
        return Err(Problem::conflict("no-backup-folder", why));
    };
    // One at a time: a copy reads the whole disk.
    let Ok(_alone) = app.backups.try_acquire() else {
        return Err(gateway::GatewayError::Busy.into());
    };
    let made = app.gateway.back_up(&human, folder).await?;
    Ok((StatusCode::CREATED, Json(BackupMade { file: made.file, size: made.size, time: made.time.micros() })))
}
