//! The later review of broken glass: another human looks at what was done, and signs what they find.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use domain::digest::Digest;
use domain::id::ActionId;
use domain::later::{Finding, LaterReview, LaterStatement};
use domain::principal::Principal;
use gateway::later::Later;
use gateway::people::Human;
use gateway::store::Summary;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::actions::ActionView;
use super::approvals::{party, shown};
use super::auth::HumanCaller;
use super::links::SignedBy;
use super::parse::{At, StrictJson};
use super::reply::{Problem, ProblemBody};
use super::reviews::{PreparedStatement, ReviewRequest, SshReviewRequest, known_statement};
use super::shapes::{DigestText, Id, Party, PasskeyOptions, Shown, Text};
use super::{App, Rest};

pub(super) fn resources() -> OpenApiRouter<App> {
    OpenApiRouter::default().routes(routes!(prepare)).routes(routes!(submit)).routes(routes!(submit_ssh))
}

/// What somebody finds who looks at broken glass afterwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FindingWord {
    /// It could not wait, and what was done was right.
    Justified,
    /// It could have waited, or what was done was not right.
    NotJustified,
}

impl From<FindingWord> for Finding {
    fn from(word: FindingWord) -> Self {
        match word {
            FindingWord::Justified => Self::Justified,
            FindingWord::NotJustified => Self::NotJustified,
        }
    }
}

impl From<Finding> for FindingWord {
    fn from(finding: Finding) -> Self {
        match finding {
            Finding::Justified => Self::Justified,
            Finding::NotJustified => Self::NotJustified,
        }
    }
}

/// A finding on broken glass.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct LaterReviewView {
    /// Who looked.
    pub reviewer: Party,
    /// What they found.
    pub finding: FindingWord,
    /// Why, in their words.
    pub note: Shown,
    /// The group as one of which they looked.
    pub group: String,
    /// When, in microseconds since 1970.
    pub at: u64,
    /// What signed it.
    pub key: SignedBy,
}

/// What you may do about broken glass afterwards.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct LaterStanding {
    /// The group as one of which you may look at it now.
    pub group: Option<String>,
    /// Why you may not, where you may not.
    pub why_not: Option<String>,
}

/// The later review of an approval, where there is one that is what was signed.
pub(super) fn found(app: &Rest, summary: &Summary) -> Option<LaterReviewView> {
    match app.gateway.later_review(summary) {
        Later::Done(review) => Some(view(app, summary, review)),
        Later::None | Later::Awaited | Later::Altered => None,
    }
}

/// What a human may do about broken glass; nothing where none was broken.
pub(super) fn standing(app: &Rest, human: Option<&Human>, summary: &Summary) -> Option<LaterStanding> {
    let human = human.filter(|_| summary.approval.case().broken_glass().next().is_some())?;
    let standing = app.gateway.later_standing(summary, human.person);
    Some(LaterStanding { group: standing.group.map(String::from), why_not: standing.why_not })
}

fn view(app: &Rest, summary: &Summary, review: &LaterReview) -> LaterReviewView {
    let statement = &review.statement;
    LaterReviewView {
        reviewer: party(app, Principal::Person(statement.reviewer), "reviewer"),
        finding: statement.finding.into(),
        note: shown(&app.gateway.shown_words(summary, &statement.note)),
        group: statement.group.to_string(),
        at: review.at.micros(),
        key: SignedBy::of(&review.signed.proof),
    }
}

/// A finding to be stated.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "finding": "justified", "note": "the disk was full, and nobody of dba was awake", "displayed": "wGfDcIBhUHgLk5bOqQ0h1oZkEOHjTzCbgc6Xvg5mUpI" }))]
pub struct LaterReviewRequest {
    /// What you find.
    pub finding: FindingWord,
    /// Why: never empty.
    pub note: Text<500>,
    /// The digest of the card that was shown: `card_digest` of the approval.
    #[schema(value_type = DigestText)]
    pub displayed: Digest,
}

/// Prepare the statement of a later review of broken glass, to be signed as verdicts are. Those may whom the hold asks for
/// in the ordinary way, and administrators; never whoever broke the glass, approved the action or stands on its chain.
#[utoipa::path(
    post, path = "/approvals/{id}/later-review/statements", tag = "reviews", operation_id = "prepareLaterReview",
    params(("id" = Id, Path, description = "The approval")),
    request_body = LaterReviewRequest,
    responses(
        (status = 200, description = "Sign this", body = PreparedStatement),
        (status = 422, description = "A later review says why", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("session" = []), ("cookie" = []))
)]
async fn prepare(
    State(app): State<App>,
    HumanCaller(human): HumanCaller,
    At(id): At<ActionId>,
    StrictJson(request): StrictJson<LaterReviewRequest>,
) -> Result<Json<PreparedStatement>, Problem> {
    if request.note.0.trim().is_empty() {
        let detail = "put what you have found, and why, into `note`";
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "later-review-needs-words", detail));
    }
    let (finding, note) = (request.finding.into(), request.note.0);
    let prepared =
        Box::pin(app.gateway.prepare_later_review(id, &human, finding, note, request.displayed)).await?;
    Ok(Json(PreparedStatement { statement: prepared.statement, options: PasskeyOptions(prepared.options) }))
}

/// Submit a later review signed with a passkey. Sessions of the command line cannot.
#[utoipa::path(
    post, path = "/approvals/{id}/later-review", tag = "reviews", operation_id = "submitLaterReview",
    params(("id" = Id, Path, description = "The approval")),
    request_body = ReviewRequest,
    responses((status = 200, description = "It is on record", body = ActionView)),
    security(("session" = []), ("cookie" = []))
)]
async fn submit(
    State(app): State<App>,
    HumanCaller(human): HumanCaller,
    At(id): At<ActionId>,
    StrictJson(request): StrictJson<ReviewRequest>,
) -> Result<Json<ActionView>, Problem> {
    known_statement(LaterStatement::read(&request.statement.0))?;
    let response = request.credential.bytes();
    let summary =
        Box::pin(app.gateway.submit_later_review(id, &human, &request.statement, &response)).await?;
    Ok(Json(ActionView::of(&app, &summary)))
}

/// Submit a later review signed at a terminal, with an SSH key on a security key, under the namespace
/// `later-review-statement@countersign`, over `countersign/later-review-statement/v1`, a line feed, and the statement.
#[utoipa::path(
    post, path = "/approvals/{id}/later-review/ssh", tag = "reviews", operation_id = "submitSshLaterReview",
    params(("id" = Id, Path, description = "The approval")),
    request_body = SshReviewRequest,
    responses((status = 200, description = "It is on record", body = ActionView)),
    security(("session" = []), ("cookie" = []))
)]
async fn submit_ssh(
    State(app): State<App>,
    HumanCaller(human): HumanCaller,
    At(id): At<ActionId>,
    StrictJson(request): StrictJson<SshReviewRequest>,
) -> Result<Json<ActionView>, Problem> {
    known_statement(LaterStatement::read(&request.statement.0))?;
    let (statement, signature) = (&request.statement, &request.signature.0);
    let summary = Box::pin(app.gateway.submit_ssh_later_review(id, &human, statement, signature)).await?;
    Ok(Json(ActionView::of(&app, &summary)))
}
