//! Held actions, as those who wait or review see them.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderValue;
use axum::http::StatusCode;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::approval::{Approval, Case};
use domain::commitment::Disclosure;
use domain::digest::Digest;
use domain::id::ActionId;
use domain::principal::Principal;
use domain::review::Proof;
use domain::statement::Verdict;
use gateway::reveal::{Revealed, Viewer};
use gateway::store::{Cursor, Filter, Summary};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::actions::{outcome, superseded, why_not};
use super::auth::{AnyCaller, HumanCaller};
use super::config::{PAGE_DEFAULT, PAGE_LIMIT, SCAN_LIMIT, WAIT_LIMIT};
use super::hold::{self, Watched};
use super::later::{self, LaterReviewView, LaterStanding};
use super::links::{AccountShape, SignedBy};
use super::parse::{At, StrictJson, StrictQuery};
use super::reply::Problem;
use super::shapes::{Base64, Card, Difference, DigestText, Id, Outcome, Party, Quorum, Shown, Text};
use super::{App, Rest};

pub(super) fn resources() -> OpenApiRouter<App> {
    OpenApiRouter::default()
        .routes(routes!(list))
        .routes(routes!(inbox))
        .routes(routes!(show))
        .routes(routes!(wait))
        .routes(routes!(events))
        .routes(routes!(open_payload))
        .routes(routes!(reveal))
        .routes(routes!(receipt))
}

/// A state of an approval.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ApprovalState {
    /// People are asked.
    Pending,
    /// It can be spent.
    Approved,
    /// A human or policy said no.
    Denied,
    /// Nobody decided, or nobody ran it, in time.
    Expired,
    /// Taken back by those who asked.
    Cancelled,
    /// Spent, and running.
    Executing,
    /// It ran, or was lost while running.
    Finished,
}

impl ApprovalState {
    fn of(approval: &Approval) -> Self {
        match approval {
            Approval::Pending(_) => Self::Pending,
            Approval::Approved(_) => Self::Approved,
            Approval::Denied(_) => Self::Denied,
            Approval::Expired(_) => Self::Expired,
            Approval::Cancelled(_) => Self::Cancelled,
            Approval::Executing(_) => Self::Executing,
            Approval::Finished(_) => Self::Finished,
        }
    }

    /// The state's word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Approved => "approved",
            Self::Denied => "denied",
            Self::Expired => "expired",
            Self::Cancelled => "cancelled",
            Self::Executing => "executing",
            Self::Finished => "finished",
        }
    }
}

/// Which approvals a listing shows.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListQuery {
    /// Only those in this state.
    #[param(inline)]
    state: Option<ApprovalState>,
    /// Only those whose glass was broken (`true`), or was not.
    broken_glass: Option<bool>,
    /// Only those whose broken glass nobody has looked at since (`true`), or none of them.
    awaits_later_review: Option<bool>,
    /// Where the page begins: the `next` of the page before.
    #[param(value_type = Option<Id>, inline)]
    cursor: Option<ActionId>,
    /// How many rows, 1 to 200; 50 where it is not stated.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u16>,
}

/// A page of approvals, newest first.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ApprovalPage {
    /// The rows. A page may hold fewer than asked for, and still have a next one.
    pub approvals: Vec<ApprovalRow>,
    /// The next page's `cursor`; none on the last.
    #[schema(value_type = Option<Id>)]
    pub next: Option<ActionId>,
}

/// An approval in a listing.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ApprovalRow {
    /// The approval, and the action.
    #[schema(value_type = Id)]
    pub id: ActionId,
    /// Its state.
    pub state: ApprovalState,
    /// How many events stand behind it.
    pub version: u64,
    /// What would be done.
    pub verb: String,
    /// To what, as the caller wrote it.
    pub resource: String,
    /// Where it stands.
    pub environment: String,
    /// Whether that is production.
    pub production: bool,
    /// In which target.
    pub target: String,
    /// Where it was intercepted.
    pub point: String,
    /// Who asks.
    pub caller: Party,
    /// How risky, from 0 to 100.
    pub risk: i64,
    /// How far each hold has come.
    pub progress: Vec<HoldProgress>,
    /// Whether a question is open.
    pub question_open: bool,
    /// Whether glass was broken: one human approved it alone, in an emergency.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub broken_glass: bool,
    /// Whether nobody has looked at the broken glass since.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub awaits_later_review: bool,
    /// Whether you may approve it now; never for an agent.
    pub may_approve: bool,
    /// When it was asked for, in microseconds since 1970.
    pub requested: u64,
    /// When it lapses, where it can, in microseconds since 1970.
    pub deadline: Option<u64>,
}

/// How far one hold has come.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct HoldProgress {
    /// The rule that holds.
    pub rule: String,
    /// Its author's words.
    pub why: String,
    /// Whether it is lifted.
    pub lifted: bool,
    /// Its alternatives: how many it takes.
    pub any_of: Vec<Quorum>,
    /// How many have approved, in the order of the alternatives.
    pub have: Vec<u8>,
}

/// An approval, whole.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ApprovalView {
    /// The approval, and the action.
    #[schema(value_type = Id)]
    pub id: ActionId,
    /// Its state.
    pub state: ApprovalState,
    /// How many events stand behind it; `wait` takes it.
    pub version: u64,
    /// What a reviewer decides by.
    #[schema(value_type = Card)]
    pub card: serde_json::Value,
    /// The card's digest: a statement names it as `displayed`.
    #[schema(value_type = DigestText)]
    pub card_digest: Digest,
    /// How far each hold has come.
    pub progress: Vec<HoldProgress>,
    /// What you may do, where you are a human.
    pub standing: Option<Standing>,
    /// When it lapses, where it can, in microseconds since 1970.
    pub deadline: Option<u64>,
    /// Approvals and denials so far.
    pub reviews: Vec<ReviewView>,
    /// What somebody found who looked at broken glass afterwards.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub later_review: Option<LaterReviewView>,
    /// Whether glass was broken and nobody has looked at it since.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub awaits_later_review: bool,
    /// What you may do about broken glass afterwards, where you are a human and glass was broken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub later_standing: Option<LaterStanding>,
    /// Why it will not run, where it will not.
    pub why_not: Option<String>,
    /// What came of it.
    pub outcome: Option<Outcome>,
    /// In what it differs from the action that it replaces.
    pub supersedes: Option<Superseded>,
    /// Where people open it.
    pub approval_url: String,
}

/// What a person may do about an approval.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Standing {
    /// Whether you may approve now, or ask.
    pub may_approve: bool,
    /// Whether you may deny.
    pub may_deny: bool,
    /// The group under which your approval would count.
    pub group: Option<String>,
    /// The group under which you may break glass, where you may: approve alone, in an emergency, with a reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub break_glass: Option<String>,
    /// Why you may not approve, where you may not.
    pub why_not: Option<String>,
}

impl From<gateway::review::Standing> for Standing {
    fn from(standing: gateway::review::Standing) -> Self {
        Self {
            may_approve: standing.may_approve,
            may_deny: standing.may_deny,
            group: standing.group.map(String::from),
            break_glass: standing.glass.map(String::from),
            why_not: standing.why_not,
        }
    }
}

/// A verdict that was given.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ReviewView {
    /// Who.
    pub reviewer: Party,
    /// `approve` or `deny`.
    pub verdict: String,
    /// The group that it counts under.
    pub group: Option<String>,
    /// Whether they broke glass: they approved alone, in an emergency; their words say why.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub break_glass: bool,
    /// Their words.
    pub note: Option<Shown>,
    /// When, in microseconds since 1970.
    pub at: u64,
    /// What signed it, if a key did.
    pub key: SignedBy,
    /// The account in which it was clicked, where no key signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<AccountShape>,
    /// Since when it counts no more, because its reviewer lost their standing; in microseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dismissed: Option<u64>,
}

/// The action that this one replaces.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Superseded {
    /// Which.
    #[schema(value_type = Id)]
    pub id: ActionId,
    /// In what they differ. The words are the caller's: show what is hidden in them.
    pub difference: Vec<Difference>,
}

/// The approvals that you may see, newest first; an agent sees its own.
#[utoipa::path(
    get, path = "/approvals", tag = "approvals", operation_id = "listApprovals",
    params(ListQuery),
    responses((status = 200, description = "A page", body = ApprovalPage)),
    security(("agent" = []), ("session" = []), ("cookie" = []))
)]
async fn list(
    State(app): State<App>,
    caller: AnyCaller,
    StrictQuery(query): StrictQuery<ListQuery>,
) -> Result<Json<ApprovalPage>, Problem> {
    let limit = match query.limit.map(usize::from) {
        None => PAGE_DEFAULT,
        Some(limit) if (1..=PAGE_LIMIT).contains(&limit) => limit,
        Some(_) => return Err(Problem::bad("bad-query", format!("`limit` is 1 to {PAGE_LIMIT}"))),
    };
    let filter = Filter {
        states: query.state.iter().map(|state| state.as_str().to_owned()).collect(),
        caller: if caller.human.is_some() { None } else { Some(caller.principal()) },
        awaits_later_review: query.awaits_later_review == Some(true),
        ..Filter::default()
    };
    let glass = Glass { broken: query.broken_glass, awaits: query.awaits_later_review };
    let (rows, next) = seen(&app, &caller, &filter, glass, query.cursor, limit).await?;
    let mut approvals = Vec::with_capacity(rows.len());
    for summary in &rows {
        approvals.push(row(&app, &caller, summary).await?);
    }
    Ok(Json(ApprovalPage { approvals, next }))
}

/// What the caller may see of a listing, and where the next page begins.
async fn seen(
    app: &Rest,
    caller: &AnyCaller,
    filter: &Filter,
    glass: Glass,
    cursor: Option<ActionId>,
    limit: usize,
) -> Result<(Vec<Summary>, Option<ActionId>), Problem> {
    let (mut rows, mut after, mut looked_at) = (Vec::new(), cursor, 0);
    loop {
        let page = app.gateway.store().list(filter, after.map(Cursor), PAGE_LIMIT).await?;
        let mut remaining = page.rows.len();
        for summary in page.rows {
            (remaining, looked_at) = (remaining - 1, looked_at + 1);
            after = Some(summary.action.id());
            let may_see =
                caller.human.as_ref().is_none_or(|human| app.gateway.may_see(&summary, human.person));
            if may_see && glass.asks_for(summary.approval.case()) {
                rows.push(summary);
            }
            if rows.len() == limit {
                let is_last = remaining == 0 && page.next.is_none();
                return Ok((rows, if is_last { None } else { after }));
            }
        }
        match page.next {
            None => return Ok((rows, None)),
            Some(Cursor(next)) if looked_at >= SCAN_LIMIT => return Ok((rows, Some(next))),
            Some(Cursor(next)) => after = Some(next),
        }
    }
}

/// What a listing asks of broken glass.
#[derive(Debug, Clone, Copy)]
struct Glass {
    broken: Option<bool>,
    awaits: Option<bool>,
}

impl Glass {
    fn asks_for(self, case: &Case) -> bool {
        self.broken.is_none_or(|broken| broken == is_broken(case))
            && self.awaits.is_none_or(|awaits| awaits == case.awaits_later_review())
    }
}

fn is_broken(case: &Case) -> bool {
    case.broken_glass().next().is_some()
}

async fn row(app: &Rest, caller: &AnyCaller, summary: &Summary) -> Result<ApprovalRow, Problem> {
    let (action, case) = (summary.action.parts(), summary.approval.case());
    let may_approve = match &caller.human {
        Some(human) => app.gateway.may_approve_listed(summary, human.person).await?,
        None => false,
    };
    Ok(ApprovalRow {
        id: action.id,
        state: ApprovalState::of(&summary.approval),
        version: case.version,
        verb: action.verb.to_string(),
        resource: match caller.human {
            Some(_) => app.gateway.shown_resource(summary),
            None => action.resource.name.clone(),
        },
        environment: action.resource.environment.to_string(),
        production: action.resource.is_production(),
        target: action.target.name.to_string(),
        point: action.point.as_str().to_owned(),
        caller: party(app, action.chain.caller, "caller"),
        risk: gateway::risk::of(action, &case.evaluation.facts).score,
        progress: progress(case),
        question_open: case.question_open(),
        broken_glass: is_broken(case),
        awaits_later_review: case.awaits_later_review(),
        may_approve,
        requested: case.requested.micros(),
        deadline: summary.approval.deadline().map(|at| at.micros()),
    })
}

pub(super) fn party(app: &Rest, principal: Principal, role: &str) -> Party {
    let name = gateway::card::name_of(principal, &app.gateway.directory());
    Party { principal: principal.to_string(), name, role: role.to_owned() }
}

fn progress(case: &Case) -> Vec<HoldProgress> {
    let approvals = case.approvals();
    let Some(requirement) = case.evaluation.requirement() else { return Vec::new() };
    requirement
        .holds
        .iter()
        .map(|hold| {
            let have: Vec<u8> = hold.any_of.iter().map(|quorum| approvals.have(quorum)).collect();
            HoldProgress {
                rule: hold.rule.to_string(),
                why: hold.why.clone(),
                lifted: hold.is_lifted_by(&approvals),
                any_of: hold
                    .any_of
                    .iter()
                    .map(|quorum| Quorum {
                        group: quorum.group.to_string(),
                        count: quorum.count,
                        break_glass: quorum.break_glass,
                    })
                    .collect(),
                have,
            }
        })
        .collect()
}

/// An approval as its caller may see it.
pub(super) async fn view(app: &Rest, caller: &AnyCaller, summary: &Summary) -> Result<ApprovalView, Problem> {
    let viewer = caller.human.as_ref().map_or(Viewer::Caller, |human| Viewer::Person(human.person));
    let card = app.gateway.card_for(summary, viewer).await?;
    let (approval, case) = (&summary.approval, summary.approval.case());
    // An agent sees its own action as it is, and what people say of it without what the route masks.
    let words = |text: &str| app.gateway.shown_words(summary, text);
    let masked_for = |text: String| if caller.human.is_some() { words(&text) } else { text };
    let reviews = case.reviews.iter().map(|review| ReviewView {
        reviewer: party(app, Principal::Person(review.statement.reviewer), "reviewer"),
        verdict: word(review.statement.verdict).to_owned(),
        group: review.statement.group.as_ref().map(ToString::to_string),
        break_glass: review.statement.break_glass,
        note: review.statement.note.as_deref().map(|note| shown(&words(note))),
        at: review.at.micros(),
        key: SignedBy::of(&review.signed.proof),
        account: match &review.signed.proof {
            Proof::Chat(proof) => Some(AccountShape::from(&proof.account)),
            Proof::Passkey(_) | Proof::SshSig(_) => None,
        },
        dismissed: review.dismissed.map(domain::time::Timestamp::micros),
    });
    let is_masked = !card.masked.is_empty();
    let standing = match &caller.human {
        Some(human) => Some(app.gateway.standing_over(summary, human.person, is_masked)?.into()),
        None => None,
    };
    let supersedes = superseded(app, caller, summary).await?;
    Ok(ApprovalView {
        id: summary.action.id(),
        state: ApprovalState::of(approval),
        version: case.version,
        card_digest: card.digest()?,
        card: serde_json::to_value(&card).unwrap_or_default(),
        progress: progress(case),
        standing,
        deadline: approval.deadline().map(|at| at.micros()),
        reviews: reviews.collect(),
        later_review: later::found(app, summary),
        awaits_later_review: case.awaits_later_review(),
        later_standing: later::standing(app, caller.human.as_ref(), summary),
        why_not: why_not(app, summary).map(masked_for),
        outcome: outcome(approval)
            .map(|outcome| Outcome { detail: masked_for(outcome.detail.clone()), ..outcome }),
        supersedes: supersedes.map(|(id, difference)| Superseded {
            id,
            difference: difference.into_iter().map(|one| compared(app, caller, summary, one)).collect(),
        }),
        approval_url: app.gateway.approval_url(summary.action.id()),
    })
}

/// A difference as its reader may see it: what people compare is masked as the card is.
fn compared(app: &Rest, caller: &AnyCaller, summary: &Summary, difference: Difference) -> Difference {
    if caller.human.is_none() {
        return difference;
    }
    let shown =
        |value: Option<String>| value.map(|value| app.gateway.shown_value(summary, &difference.part, &value));
    Difference {
        before: shown(difference.before.clone()),
        after: shown(difference.after.clone()),
        part: difference.part,
    }
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Approve => "approve",
        Verdict::Deny => "deny",
        Verdict::Ask => "ask",
    }
}

pub(super) fn shown(text: &str) -> Shown {
    use super::shapes::{Piece as Shape, PieceKind};
    use domain::text::Piece;
    let shown = gateway::card::Shown::new(text);
    let pieces = shown.pieces.into_iter().map(|piece| match piece {
        Piece::Plain(text) => Shape { kind: PieceKind::Plain, text },
        Piece::Hidden(text) => Shape { kind: PieceKind::Hidden, text },
        Piece::Mixed(text) => Shape { kind: PieceKind::Mixed, text },
    });
    Shown { pieces: pieces.collect(), suspicious: shown.suspicious }
}

/// One approval, whole.
#[utoipa::path(
    get, path = "/approvals/{id}", tag = "approvals", operation_id = "getApproval",
    params(("id" = Id, Path, description = "The approval")),
    responses((status = 200, description = "The approval", body = ApprovalView)),
    security(("agent" = []), ("session" = []), ("cookie" = []))
)]
async fn show(
    State(app): State<App>,
    caller: AnyCaller,
    At(id): At<ActionId>,
) -> Result<Json<ApprovalView>, Problem> {
    let summary = app.visible(id, &caller).await?;
    view(&app, &caller, &summary).await.map(Json)
}

/// How long to wait, and for what.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct WaitQuery {
    /// How long, 0 to 55 seconds; 30 where it is not stated.
    #[param(minimum = 0, maximum = 55)]
    seconds: Option<u64>,
    /// The version that you know: another one is answered at once. Where it is not stated, the one that stands now.
    #[param(minimum = 0, maximum = 9_007_199_254_740_991_i64)]
    version: Option<u64>,
}

/// Wait until an approval moves. Answers at once when it has ended.
#[utoipa::path(
    get, path = "/approvals/{id}/wait", tag = "approvals", operation_id = "waitForApproval",
    params(("id" = Id, Path, description = "The approval"), WaitQuery),
    responses((status = 200, description = "The approval, moved or not", body = ApprovalView)),
    security(("agent" = []), ("session" = []), ("cookie" = []))
)]
async fn wait(
    State(app): State<App>,
    caller: AnyCaller,
    At(id): At<ActionId>,
    StrictQuery(query): StrictQuery<WaitQuery>,
) -> Result<Json<ApprovalView>, Problem> {
    let patience = Duration::from_secs(query.seconds.unwrap_or(super::config::DEFAULT_WAIT.as_secs()));
    if patience > WAIT_LIMIT {
        return Err(Problem::bad("bad-query", format!("`seconds` is 0 to {}", WAIT_LIMIT.as_secs())));
    }
    let summary = app.visible(id, &caller).await?;
    let known = query.version.unwrap_or(summary.approval.case().version);
    hold::changed(&app, id, known, patience).await?;
    // What the caller may see is asked again: groups may have changed meanwhile.
    let summary = app.visible(id, &caller).await?;
    view(&app, &caller, &summary).await.map(Json)
}

/// Follow one approval: its state now, then each change, until it has ended.
#[utoipa::path(
    get, path = "/approvals/{id}/events", tag = "approvals", operation_id = "followApproval",
    params(("id" = Id, Path, description = "The approval")),
    responses((status = 200, description = "Events `approval`, each with JSON `{id, state, version}`", body = hold::StreamEvent, content_type = "text/event-stream")),
    security(("agent" = []), ("session" = []), ("cookie" = []))
)]
async fn events(
    State(app): State<App>,
    caller: AnyCaller,
    At(id): At<ActionId>,
) -> Result<Response, Problem> {
    app.visible(id, &caller).await?;
    Ok(hold::stream(&app, caller, Watched::One(id))?.into_response())
}

/// Follow every approval that you may see: `open` first, then `approval` for each that moves, and `moved`
/// when you must read the listing again.
#[utoipa::path(
    get, path = "/events", tag = "approvals", operation_id = "followInbox",
    responses((status = 200, description = "Events `open`, `approval` with JSON `{id, state, version}`, and `moved`", body = hold::StreamEvent, content_type = "text/event-stream")),
    security(("agent" = []), ("session" = []), ("cookie" = []))
)]
async fn inbox(State(app): State<App>, caller: AnyCaller) -> Result<Response, Problem> {
    Ok(hold::stream(&app, caller, Watched::Inbox)?.into_response())
}

/// A payload in the open.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct PayloadView {
    /// Its fields, in the order of their paths.
    pub fields: Vec<PayloadField>,
}

/// A field of a payload: text or bytes, or neither where it was erased.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct PayloadField {
    /// What it is; of an erased field, nothing.
    pub path: Option<String>,
    /// The text, where it is text: untrusted, with whatever is hidden in it.
    pub text: Option<String>,
    /// The bytes, where they are not text.
    #[schema(value_type = Option<Base64>)]
    pub base64: Option<String>,
    /// Whether it was erased.
    pub erased: bool,
}

/// Open the payload in full. That you did is logged, and lets you approve what no page shows whole.
#[utoipa::path(
    post, path = "/approvals/{id}/payload/open", tag = "reviews", operation_id = "openPayload",
    params(("id" = Id, Path, description = "The approval")),
    responses((status = 200, description = "The payload", body = PayloadView)),
    security(("session" = []), ("cookie" = []))
)]
async fn open_payload(
    State(app): State<App>,
    HumanCaller(human): HumanCaller,
    At(id): At<ActionId>,
) -> Result<Json<PayloadView>, Problem> {
    let fields = app.gateway.open_payload(id, &human).await?;
    Ok(Json(PayloadView { fields: fields.into_iter().map(field).collect() }))
}

fn field(disclosure: Disclosure) -> PayloadField {
    match disclosure {
        Disclosure::Open(open) => {
            let path = Some(open.path);
            match String::from_utf8(open.value.0) {
                Ok(text) => PayloadField { path, text: Some(text), base64: None, erased: false },
                Err(bytes) => {
                    let base64 = Some(STANDARD.encode(bytes.as_bytes()));
                    PayloadField { path, text: None, base64, erased: false }
                }
            }
        }
        Disclosure::Withheld(_) => PayloadField { path: None, text: None, base64: None, erased: true },
    }
}

/// Which field to open.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "field": "http.body" }))]
pub struct RevealRequest {
    /// One of the card's masked fields.
    pub field: Text<1024>,
}

/// A field as it really is.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct RevealedField {
    /// Which field.
    pub path: String,
    /// The text, where it is text: untrusted, with whatever is hidden in it.
    pub text: Option<String>,
    /// The bytes, where they are not text.
    #[schema(value_type = Option<Base64>)]
    pub base64: Option<String>,
    /// The digest of the card from now on: opened in the console, the field counts as displayed to you.
    #[schema(value_type = DigestText)]
    pub card_digest: Digest,
}

/// Open one masked field. That you did is logged before it is answered. Those who review may, or whom the route
/// names instead.
#[utoipa::path(
    post, path = "/approvals/{id}/reveal", tag = "reviews", operation_id = "revealField",
    params(("id" = Id, Path, description = "The approval")),
    request_body = RevealRequest,
    responses((status = 200, description = "The field", body = RevealedField)),
    security(("session" = []), ("cookie" = []))
)]
async fn reveal(
    State(app): State<App>,
    HumanCaller(human): HumanCaller,
    At(id): At<ActionId>,
    StrictJson(request): StrictJson<RevealRequest>,
) -> Result<Json<RevealedField>, Problem> {
    let Revealed { path, value, displayed } = app.gateway.reveal(id, &human, &request.field.0).await?;
    let (text, base64) = match String::from_utf8(value) {
        Ok(text) => (Some(text), None),
        Err(bytes) => (None, Some(STANDARD.encode(bytes.as_bytes()))),
    };
    Ok(Json(RevealedField { path, text, base64, card_digest: displayed }))
}

/// What a receipt shows.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ReceiptQuery {
    /// Whether the payload's fields stand open in it. A human opens the payload first, which is logged.
    payload: Option<bool>,
}

/// The media type of receipts.
pub const RECEIPT_JSON: &str = "application/vnd.countersign.receipt+json";

/// The receipt: the proof, in one file, that verifies without the gateway.
#[utoipa::path(
    get, path = "/approvals/{id}/receipt", tag = "approvals", operation_id = "getReceipt",
    params(("id" = Id, Path, description = "The approval"), ReceiptQuery),
    responses((status = 200, description = "The receipt", body = super::shapes::Receipt, content_type = "application/vnd.countersign.receipt+json")),
    security(("agent" = []), ("session" = []), ("cookie" = []))
)]
async fn receipt(
    State(app): State<App>,
    caller: AnyCaller,
    At(id): At<ActionId>,
    StrictQuery(query): StrictQuery<ReceiptQuery>,
) -> Result<Response, Problem> {
    let summary = app.visible(id, &caller).await?;
    let with_payload = query.payload.unwrap_or(false);
    if with_payload
        && let Some(human) = &caller.human
        && !app.gateway.has_opened(id, human.person).await?
    {
        let detail = "open the payload first (POST /v1/approvals/{id}/payload/open); that you did is logged";
        return Err(Problem::new(StatusCode::FORBIDDEN, "payload-not-opened", detail));
    }
    let receipt = app.gateway.receipt(&summary, with_payload).await?;
    let mut response = Json(receipt).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(RECEIPT_JSON));
    let disposition = format!("attachment; filename=\"countersign-{id}.receipt.json\"");
    headers.extend(HeaderValue::try_from(disposition).ok().map(|value| (CONTENT_DISPOSITION, value)));
    Ok(response)
}
