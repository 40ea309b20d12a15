//! The policy set: read, checked, and applied by proposal.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use domain::digest::Digest;
use domain::directory::{Directory, DirectoryEvent};
use gateway::policy::{LoadError, PolicySet, Severity};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::App;
use super::auth::HumanCaller;
use super::parse::StrictJson;
use super::people::{Proposal, propose};
use super::reply::Problem;
use super::shapes::DigestText;

pub(super) fn resources() -> OpenApiRouter<App> {
    OpenApiRouter::default().routes(routes!(show, apply)).routes(routes!(check))
}

/// The policy set that decides.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct PolicyView {
    /// The Cedar text; empty before the first was applied, and then everything is denied.
    pub text: String,
    /// Its digest.
    #[schema(value_type = Option<DigestText>)]
    pub digest: Option<Digest>,
    /// Since when it decides, in microseconds since 1970.
    pub since: Option<u64>,
}

/// The policy set that decides.
#[utoipa::path(
    get, path = "/policy", tag = "policy", operation_id = "getPolicy",
    responses((status = 200, description = "The policy set", body = PolicyView)),
    security(("session" = []), ("cookie" = []))
)]
async fn show(State(app): State<App>, _human: HumanCaller) -> Json<PolicyView> {
    let directory = app.gateway.directory();
    let policy = directory.policy();
    Json(PolicyView {
        text: policy.map(|policy| policy.text.clone()).unwrap_or_default(),
        digest: policy.map(|policy| policy.digest),
        since: policy.map(|policy| policy.since.micros()),
    })
}

/// A policy set.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "text": "@id(\"reads\") permit (principal, action in Action::\"read\", resource);" }))]
pub struct PolicyRequest {
    /// The Cedar text.
    pub text: String,
}

/// What was found in a policy set.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct PolicyFindings {
    /// Whether it loads; one that does not is never applied.
    pub loads: bool,
    /// What was found, the worst first.
    pub findings: Vec<PolicyFinding>,
}

/// One thing found in a policy set.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct PolicyFinding {
    /// `error`, `warning` or `note`.
    pub severity: String,
    /// The rule's `@id`, where it is about one.
    pub rule: Option<String>,
    /// The line, from 1, where it is known.
    pub line: Option<usize>,
    /// The column in characters, from 1, where it is known.
    pub column: Option<usize>,
    /// What was found, and what to do.
    pub message: String,
}

/// The most findings that one answer carries.
const FINDINGS_LIMIT: usize = 50;

impl From<&LoadError> for PolicyFinding {
    fn from(error: &LoadError) -> Self {
        let LoadError { line, column, rule, message, help } = error;
        let message = if help.is_empty() { message.clone() } else { format!("{message}; {help}") };
        Self { severity: "error".to_owned(), rule: rule.clone(), line: *line, column: *column, message }
    }
}

/// Hold a policy set against the directory, and apply nothing.
#[utoipa::path(
    post, path = "/policy/check", tag = "policy", operation_id = "checkPolicy",
    request_body = PolicyRequest,
    responses((status = 200, description = "What was found", body = PolicyFindings)),
    security(("session" = []), ("cookie" = []))
)]
async fn check(
    State(app): State<App>,
    HumanCaller(human): HumanCaller,
    StrictJson(request): StrictJson<PolicyRequest>,
) -> Result<Json<PolicyFindings>, Problem> {
    app.gateway.require_admin(&human)?;
    let directory = app.gateway.directory();
    Ok(Json(app.gateway.hard_work(move || findings(&request.text, &directory)).await?))
}

fn findings(text: &str, directory: &Directory) -> PolicyFindings {
    match PolicySet::load(text) {
        Err(errors) => PolicyFindings { loads: false, findings: shown(&errors) },
        Ok(set) => {
            let findings = set.check(directory).into_iter().map(|finding| PolicyFinding {
                severity: match finding.severity {
                    Severity::Error => "error".to_owned(),
                    Severity::Warning => "warning".to_owned(),
                    Severity::Note => "note".to_owned(),
                },
                rule: finding.rule.map(String::from),
                line: finding.line,
                column: None,
                message: finding.message,
            });
            PolicyFindings { loads: true, findings: findings.take(FINDINGS_LIMIT).collect() }
        }
    }
}

/// The first errors; who has mended those asks again.
fn shown(errors: &[LoadError]) -> Vec<PolicyFinding> {
    errors.iter().take(FINDINGS_LIMIT).map(PolicyFinding::from).collect()
}

/// Propose a policy set.
#[utoipa::path(
    put, path = "/policy", tag = "policy", operation_id = "applyPolicy",
    request_body = PolicyRequest,
    responses(
        (status = 200, description = "It applies", body = Proposal),
        (status = 202, description = "Another administrator is asked", body = Proposal),
        (status = 422, description = "The set does not load (`bad-policy`, with `findings`)", body = super::reply::ProblemBody, content_type = "application/problem+json"),
    ),
    security(("session" = []), ("cookie" = []))
)]
async fn apply(
    State(app): State<App>,
    HumanCaller(human): HumanCaller,
    StrictJson(request): StrictJson<PolicyRequest>,
) -> Result<Proposal, Problem> {
    app.gateway.require_admin(&human)?;
    let text = request.text.clone();
    if let Err(errors) = app.gateway.hard_work(move || PolicySet::load(&text)).await? {
        let lines: Vec<_> = errors.iter().take(FINDINGS_LIMIT).map(ToString::to_string).collect();
        let problem = Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "bad-policy", lines.join("\n"));
        return Err(problem.with("findings", serde_json::to_value(shown(&errors)).unwrap_or_default()));
    }
    propose(&app, &human, DirectoryEvent::PolicyApplied { text: request.text }).await
}
