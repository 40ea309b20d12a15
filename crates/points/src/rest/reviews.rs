//! Verdicts: a statement is prepared, signed with a passkey or at a terminal with an SSH key, and submitted. Questions
//! and their answers. Only a human reviews; no agent's credential comes through here but to answer and to cancel.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use domain::Malformed;
use domain::digest::{Blob, Digest};
use domain::id::{ActionId, QuestionId};
use domain::statement::{Statement, Verdict};
use gateway::people::Human;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::actions::ActionView;
use super::auth::{AnyCaller, HumanCaller};
use super::parse::{At, StrictJson};
use super::reply::Problem;
use super::shapes::{Base64Url, Credential, DigestText, Id, PasskeyOptions, Text};
use super::{App, Rest};

pub(super) fn resources() -> OpenApiRouter<App> {
    OpenApiRouter::default()
        .routes(routes!(prepare))
        .routes(routes!(submit))
        .routes(routes!(submit_ssh))
        .routes(routes!(answer))
        .routes(routes!(withdraw))
        .routes(routes!(cancel))
}

/// A verdict to be stated.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "verdict": "deny", "note": "wrong queue", "displayed": "wGfDcIBhUHgLk5bOqQ0h1oZkEOHjTzCbgc6Xvg5mUpI" }))]
pub struct StatementRequest {
    /// The verdict.
    pub verdict: VerdictWord,
    /// The reason of a denial or of breaking glass, or the question; the last two need words.
    pub note: Option<Text<500>>,
    /// Whether you break glass: approve alone, in an emergency. It takes the verdict `approve` and the reason in `note`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub break_glass: bool,
    /// The digest of the card that was shown: `card_digest` of the approval.
    #[schema(value_type = DigestText)]
    pub displayed: Digest,
}

/// A verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum VerdictWord {
    /// It may run, as far as you go.
    Approve,
    /// It may not run.
    Deny,
    /// You want an answer first.
    Ask,
}

/// A statement ready to be signed.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct PreparedStatement {
    /// The exact bytes, to be submitted with the signature.
    #[schema(value_type = Base64Url)]
    pub statement: Blob,
    /// What `navigator.credentials.get` takes.
    pub options: PasskeyOptions,
}

/// Prepare the statement of a verdict, to be signed with your passkey; for a session of the command line, with an SSH
/// key of yours on a security key.
#[utoipa::path(
    post, path = "/approvals/{id}/statements", tag = "reviews", operation_id = "prepareStatement",
    params(("id" = Id, Path, description = "The approval")),
    request_body = StatementRequest,
    responses(
        (status = 200, description = "Sign this", body = PreparedStatement),
        (status = 422, description = "A question needs words, and breaking glass a reason", body = super::reply::ProblemBody, content_type = "application/problem+json"),
    ),
    security(("session" = []), ("cookie" = []))
)]
async fn prepare(
    State(app): State<App>,
    HumanCaller(human): HumanCaller,
    At(id): At<ActionId>,
    StrictJson(request): StrictJson<StatementRequest>,
) -> Result<Json<PreparedStatement>, Problem> {
    if request.verdict == VerdictWord::Ask
        && request.note.as_ref().is_none_or(|note| note.0.trim().is_empty())
    {
        let detail = "put the question into `note`";
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "question-needs-words", detail));
    }
    if request.break_glass {
        return prepare_break_glass(&app, id, &human, request).await;
    }
    let verdict = match request.verdict {
        VerdictWord::Approve => Verdict::Approve,
        VerdictWord::Deny => Verdict::Deny,
        VerdictWord::Ask => Verdict::Ask,
    };
    let note = request.note.map(|note| note.0);
    let prepared = Box::pin(app.gateway.prepare_review(id, &human, verdict, note, request.displayed)).await?;
    Ok(Json(PreparedStatement { statement: prepared.statement, options: PasskeyOptions(prepared.options) }))
}

async fn prepare_break_glass(
    app: &Rest,
    id: ActionId,
    human: &Human,
    request: StatementRequest,
) -> Result<Json<PreparedStatement>, Problem> {
    let reason = request.note.map(|note| note.0).filter(|note| !note.trim().is_empty());
    let (VerdictWord::Approve, Some(reason)) = (request.verdict, reason) else {
        let detail = "glass is broken by the verdict `approve`, with the reason in `note`";
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "break-glass-needs-reason", detail));
    };
    let prepared = Box::pin(app.gateway.prepare_break_glass(id, human, reason, request.displayed)).await?;
    Ok(Json(PreparedStatement { statement: prepared.statement, options: PasskeyOptions(prepared.options) }))
}

/// A signed statement.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReviewRequest {
    /// The statement's exact bytes, as they were prepared.
    #[schema(value_type = Base64Url)]
    pub statement: Blob,
    /// The browser's answer.
    pub credential: Credential,
}

/// Submit a verdict signed with a passkey. Sessions of the command line cannot.
#[utoipa::path(
    post, path = "/approvals/{id}/reviews", tag = "reviews", operation_id = "submitReview",
    params(("id" = Id, Path, description = "The approval")),
    request_body = ReviewRequest,
    responses((status = 200, description = "It counts", body = ActionView)),
    security(("session" = []), ("cookie" = []))
)]
async fn submit(
    State(app): State<App>,
    HumanCaller(human): HumanCaller,
    At(id): At<ActionId>,
    StrictJson(request): StrictJson<ReviewRequest>,
) -> Result<Json<ActionView>, Problem> {
    known_statement(Statement::read(&request.statement.0))?;
    let response = request.credential.bytes();
    let summary = Box::pin(app.gateway.submit_review(id, &human, &request.statement, &response)).await?;
    Ok(Json(ActionView::of(&app, &summary)))
}

/// A statement signed at a terminal.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SshReviewRequest {
    /// The statement's exact bytes, as they were prepared.
    #[schema(value_type = Base64Url)]
    pub statement: Blob,
    /// What `ssh-keygen -Y sign -n approval-statement@countersign` wrote, armour and all, over
    /// `countersign/approval-statement/v1`, a line feed, and the statement's bytes.
    pub signature: Text<4096>,
}

/// Submit a verdict signed at a terminal, with an SSH key on a security key whose user was present and verified. The
/// session only carries it: it is the signature that decides.
#[utoipa::path(
    post, path = "/approvals/{id}/reviews/ssh", tag = "reviews", operation_id = "submitSshReview",
    params(("id" = Id, Path, description = "The approval")),
    request_body = SshReviewRequest,
    responses((status = 200, description = "It counts", body = ActionView)),
    security(("session" = []), ("cookie" = []))
)]
async fn submit_ssh(
    State(app): State<App>,
    HumanCaller(human): HumanCaller,
    At(id): At<ActionId>,
    StrictJson(request): StrictJson<SshReviewRequest>,
) -> Result<Json<ActionView>, Problem> {
    known_statement(Statement::read(&request.statement.0))?;
    let (statement, signature) = (&request.statement, &request.signature.0);
    let summary = Box::pin(app.gateway.submit_ssh_review(id, &human, statement, signature)).await?;
    Ok(Json(ActionView::of(&app, &summary)))
}

/// Refuses bytes that do not read as a statement of the kind that is expected.
pub(super) fn known_statement<T>(read: Result<T, Malformed>) -> Result<(), Problem> {
    let detail = "these bytes are no such statement of ours; open the request again and sign a fresh one";
    read.map(drop).map_err(|_| Problem::conflict("unknown-statement", detail))
}

/// An answer to a reviewer's question.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AnswerRequest {
    /// Which question.
    #[schema(value_type = Id)]
    pub question: QuestionId,
    /// The answer.
    pub text: Text<500>,
}

/// Answer a reviewer's question, as somebody of the action's chain.
#[utoipa::path(
    post, path = "/approvals/{id}/answers", tag = "reviews", operation_id = "answerQuestion",
    params(("id" = Id, Path, description = "The approval")),
    request_body = AnswerRequest,
    responses((status = 200, description = "It is on record", body = ActionView)),
    security(("agent" = []), ("session" = []), ("cookie" = []))
)]
async fn answer(
    State(app): State<App>,
    caller: AnyCaller,
    At(id): At<ActionId>,
    StrictJson(request): StrictJson<AnswerRequest>,
) -> Result<Json<ActionView>, Problem> {
    app.gateway.answer(id, caller.principal(), request.question, request.text.0).await?;
    let summary = app.visible(id, &caller).await?;
    Ok(Json(ActionView::of(&app, &summary)))
}

/// Take your question back.
#[utoipa::path(
    post, path = "/approvals/{id}/questions/{question}/withdraw", tag = "reviews", operation_id = "withdrawQuestion",
    params(("id" = Id, Path, description = "The approval"), ("question" = Id, Path, description = "Your question")),
    responses((status = 200, description = "It is taken back", body = ActionView)),
    security(("session" = []), ("cookie" = []))
)]
async fn withdraw(
    State(app): State<App>,
    HumanCaller(human): HumanCaller,
    At((id, question)): At<(ActionId, QuestionId)>,
) -> Result<Json<ActionView>, Problem> {
    app.gateway.withdraw(id, &human, question).await?;
    let summary = app.gateway.approval_for(id, &human).await?;
    Ok(Json(ActionView::of(&app, &summary)))
}

/// Why a request is taken back.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CancelRequest {
    /// Why.
    pub reason: Text<500>,
}

/// Take a request back, as somebody of the action's chain.
#[utoipa::path(
    post, path = "/approvals/{id}/cancel", tag = "approvals", operation_id = "cancelApproval",
    params(("id" = Id, Path, description = "The approval")),
    request_body = CancelRequest,
    responses((status = 200, description = "It is taken back", body = ActionView)),
    security(("agent" = []), ("session" = []), ("cookie" = []))
)]
async fn cancel(
    State(app): State<App>,
    caller: AnyCaller,
    At(id): At<ActionId>,
    StrictJson(request): StrictJson<CancelRequest>,
) -> Result<Json<ActionView>, Problem> {
    app.gateway.cancel(id, caller.principal(), request.reason.0).await?;
    let summary = app.visible(id, &caller).await?;
    Ok(Json(ActionView::of(&app, &summary)))
}
