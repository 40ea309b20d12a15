//! Actions that their caller runs itself: asked about here, redeemed, and reported. The caller could go round
//! us, so the level is `cooperative` and the outcome `reported`.

use std::borrow::Cow;
use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::http::header::LOCATION;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::action::{Difference as Differs, Level, Point, Resource, Target};
use domain::approval::Approval;
use domain::commitment::Disclosure;
use domain::digest::{Digest, Purpose};
use domain::evaluation::{Fact, Facts};
use domain::id::{ActionId, Environment, TargetName};
use domain::outcome::Ending;
use domain::verb::Verb;
use gateway::decide::{Ask, Decided, Denied, RecordPermit};
use gateway::hold::{Heard, Held};
use gateway::limits::RETRY_WINDOW;
use gateway::store::{RunWhenGone, Summary};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::openapi::schema::{AdditionalProperties, ObjectBuilder, Schema, Type};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::auth::AnyCaller;
use super::config::{DIFFERENCE_LIMIT_BYTES, LABELS_LIMIT, PARAMETERS_LIMIT, PENDING_RETRY_SECONDS};
use super::parse::{At, IdempotencyKey, Prefer, StrictJson};
use super::reply::Problem;
use super::shapes::{Base64, Difference, Id, KeyText, Name, Outcome, Rule, Text};
use super::{App, Rest};

/// The target of an action whose caller names none.
const DEFAULT_TARGET: &str = "rest";
/// With what the payload paths of parameters begin.
const PARAMETERS: &str = "parameters.";
/// The payload path of the action that this one replaces.
const SUPERSEDES: &str = "countersign.supersedes";

pub(super) fn resources() -> OpenApiRouter<App> {
    OpenApiRouter::default()
        .routes(routes!(ask))
        .routes(routes!(look))
        .routes(routes!(redeem))
        .routes(routes!(report))
}

/// An action to be decided about. All of it stands under the digest that reviewers sign.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "verb": "action.destroy", "resource": "queues/orders", "environment": "staging", "target": "rabbitmq",
    "parameters": { "if-empty": "true" }, "reason": "the queue was replaced by orders-v2", "rows": 1
}))]
pub struct ActionRequest {
    /// What would be done.
    pub verb: ActionVerb,
    /// To what: its name in the target.
    pub resource: Text<1024>,
    /// Where it stands, such as `prod`.
    #[schema(value_type = Name)]
    pub environment: Environment,
    /// What its owners say of it.
    #[serde(default)]
    pub labels: Labels,
    /// In which target; `rest` where none is named.
    #[schema(value_type = Option<Name>)]
    pub target: Option<TargetName>,
    /// The exact parameters that would run.
    #[serde(default)]
    pub parameters: Parameters,
    /// Why, in the caller's words.
    pub reason: Option<Text<500>>,
    /// The run or trace that this belongs to.
    pub run: Option<Text<64>>,
    /// How many rows or objects the caller expects to touch.
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64)]
    pub rows: Option<u64>,
    /// Whether it touches many at once.
    pub bulk: Option<bool>,
    /// An earlier action of the same caller that this one replaces, with other parameters.
    #[schema(value_type = Option<Id>)]
    pub supersedes: Option<ActionId>,
}

/// The verbs of actions that are asked about here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub enum ActionVerb {
    /// Looks and changes nothing.
    #[serde(rename = "action.read")]
    Read,
    /// Makes or changes something.
    #[serde(rename = "action.write")]
    Write,
    /// Removes something.
    #[serde(rename = "action.destroy")]
    Destroy,
    /// Changes who may do what.
    #[serde(rename = "action.admin")]
    Admin,
    /// Runs code.
    #[serde(rename = "action.exec")]
    Exec,
    /// Takes data out in bulk.
    #[serde(rename = "action.export")]
    Export,
}

impl ActionVerb {
    /// The verb's name in the vocabulary.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "action.read",
            Self::Write => "action.write",
            Self::Destroy => "action.destroy",
            Self::Admin => "action.admin",
            Self::Exec => "action.exec",
            Self::Export => "action.export",
        }
    }
}

/// What owners say of a resource, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Labels(pub BTreeMap<String, String>);

/// The longest value of a label, in characters.
const LABEL_LIMIT: usize = 256;
/// Which names labels and parameters have.
const KEY_PATTERN: &str = "^[A-Za-z0-9_.-]{1,64}$";

fn is_key(name: &str) -> bool {
    (1..=64).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
}

fn check_keys<'a, E: serde::de::Error>(
    names: impl ExactSizeIterator<Item = &'a String>,
    limit: usize,
) -> Result<(), E> {
    if names.len() > limit {
        return Err(E::custom(format_args!("there are more than {limit}")));
    }
    let mut names = names;
    match names.find(|name| !is_key(name)) {
        Some(name) => {
            Err(E::custom(format_args!("`{name}` is no name: 1 to 64 of a-z, A-Z, 0-9, `_`, `.` and `-`")))
        }
        None => Ok(()),
    }
}

impl<'de> Deserialize<'de> for Labels {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error as _;
        let labels = BTreeMap::<String, String>::deserialize(deserializer)?;
        check_keys(labels.keys(), LABELS_LIMIT)?;
        match labels.iter().find(|(_, value)| value.chars().count() > LABEL_LIMIT) {
            Some((name, _)) => {
                Err(D::Error::custom(format_args!("the label `{name}` has over {LABEL_LIMIT} characters")))
            }
            None => Ok(Self(labels)),
        }
    }
}

fn keyed(values: impl Into<RefOr<Schema>>, limit: usize, what: &str) -> RefOr<Schema> {
    let name = ObjectBuilder::new().schema_type(Type::String).pattern(Some(KEY_PATTERN));
    ObjectBuilder::new()
        .schema_type(Type::Object)
        .description(Some(what))
        .property_names(Some(name))
        .additional_properties(Some(AdditionalProperties::RefOr(values.into())))
        .max_properties(Some(limit))
        .into()
}

impl PartialSchema for Labels {
    fn schema() -> RefOr<Schema> {
        let value = ObjectBuilder::new().schema_type(Type::String).max_length(Some(LABEL_LIMIT));
        keyed(value, LABELS_LIMIT, "What owners say of a resource, by name")
    }
}

impl ToSchema for Labels {}

/// An action's parameters, by name: each a text, or `{"base64": …}`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Parameters(pub BTreeMap<String, Parameter>);

impl<'de> Deserialize<'de> for Parameters {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let parameters = BTreeMap::<String, Parameter>::deserialize(deserializer)?;
        check_keys(parameters.keys(), PARAMETERS_LIMIT)?;
        Ok(Self(parameters))
    }
}

impl PartialSchema for Parameters {
    fn schema() -> RefOr<Schema> {
        let what = "The exact parameters that would run, by name";
        keyed(RefOr::Ref(Ref::from_schema_name("Parameter")), PARAMETERS_LIMIT, what)
    }
}

impl ToSchema for Parameters {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push(("Parameter".to_owned(), Parameter::schema()));
        <Parameter as ToSchema>::schemas(schemas);
    }
}

/// A parameter's value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum Parameter {
    /// Text.
    Text(String),
    /// Bytes that are not text.
    Bytes(Bytes),
}

/// Bytes that are not text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Bytes {
    /// The bytes.
    #[schema(value_type = Base64)]
    pub base64: String,
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Raw {
            base64: String,
        }
        let Raw { base64 } = Raw::deserialize(deserializer)?;
        STANDARD.decode(&base64).map_err(serde::de::Error::custom)?;
        Ok(Self { base64 })
    }
}

impl Parameter {
    /// The value's bytes.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Text(text) => text.clone().into_bytes(),
            // What does not decode was refused when it was read.
            Self::Bytes(bytes) => STANDARD.decode(&bytes.base64).unwrap_or_default(),
        }
    }
}

/// What was decided about an action.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ActionAnswer {
    /// The action.
    #[schema(value_type = Id)]
    pub id: ActionId,
    /// What was decided.
    pub decision: ActionDecision,
    /// The rules that hold it, where it is held.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<Rule>,
    /// Where people open it, where it is held.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approval_url: Option<String>,
    /// Where its state is read, where it is held.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status_url: Option<String>,
    /// In what it differs from the action that it replaces.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub difference: Vec<Difference>,
}

/// What was decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ActionDecision {
    /// Policy permits it: run it.
    Permit,
    /// People have approved it: redeem it, then run it.
    Approved,
    /// People are asked.
    Pending,
}

/// An action that is held or was.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ActionView {
    /// The action.
    #[schema(value_type = Id)]
    pub id: ActionId,
    /// `pending`, `approved`, `denied`, `expired`, `cancelled`, `executing` or `finished`.
    pub state: String,
    /// How many events stand behind it.
    pub version: u64,
    /// Why not, where it will not run.
    pub why_not: Option<String>,
    /// When it lapses, where it can, in microseconds since 1970.
    pub deadline: Option<u64>,
    /// What came of it, once it has ended.
    pub outcome: Option<Outcome>,
    /// Where people open it.
    pub approval_url: String,
}

impl ActionView {
    pub(super) fn of(app: &Rest, summary: &Summary) -> Self {
        Self {
            id: summary.action.id(),
            state: summary.approval.word().to_owned(),
            version: summary.approval.case().version,
            why_not: why_not(app, summary),
            deadline: summary.approval.deadline().map(|at| at.micros()),
            outcome: outcome(&summary.approval),
            approval_url: app.gateway.approval_url(summary.action.id()),
        }
    }
}

pub(super) fn why_not(app: &Rest, summary: &Summary) -> Option<String> {
    match &summary.approval {
        Approval::Denied(denied) => Some(app.gateway.why_denied(summary, &denied.by)),
        Approval::Expired(_) => Some("nobody decided, or nobody ran it, in time".to_owned()),
        Approval::Cancelled(cancelled) => Some(app.gateway.why_cancelled(summary, &cancelled.reason)),
        Approval::Pending(_) | Approval::Approved(_) | Approval::Executing(_) | Approval::Finished(_) => None,
    }
}

pub(super) fn outcome(approval: &Approval) -> Option<Outcome> {
    match approval {
        Approval::Finished(finished) => Some(Outcome::from(&finished.outcome)),
        Approval::Pending(_)
        | Approval::Approved(_)
        | Approval::Denied(_)
        | Approval::Expired(_)
        | Approval::Cancelled(_)
        | Approval::Executing(_) => None,
    }
}

/// Ask about an action that you will run yourself.
///
/// Permitted: 200, run it. Held: waits as `Prefer: wait=N` says (30 seconds without, 55 at most); approved: 200 with
/// `decision: approved`, then redeem it and run it. Patience ended: 503 with `Retry-After`; ask the same again to go on
/// waiting. Only `Prefer: respond-async` gets 202.
#[utoipa::path(
    post, path = "/actions", tag = "actions", operation_id = "askAction",
    params(
        ("Idempotency-Key" = Option<KeyText>, Header, description = "Tells two intended identical actions apart"),
        ("Prefer" = Option<String>, Header, example = "respond-async", description = "`wait=N` seconds, `respond-async` (RFC 7240)"),
    ),
    request_body = ActionRequest,
    responses(
        (status = 200, description = "Permitted, or approved", body = ActionAnswer),
        (status = 202, description = "Held; you asked not to wait", body = ActionAnswer),
        (status = 403, description = "Denied by policy or people, expired or cancelled", body = super::reply::ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "There is no such earlier action of yours", body = super::reply::ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "Held, and your patience ended (`approval-pending`, with `id` and `approval_url`); or nothing can be recorded", body = super::reply::ProblemBody, content_type = "application/problem+json"),
    ),
    security(("agent" = []), ("session" = []), ("cookie" = []))
)]
async fn ask(
    State(app): State<App>,
    caller: AnyCaller,
    key: IdempotencyKey,
    prefer: Prefer,
    StrictJson(request): StrictJson<ActionRequest>,
) -> Result<Response, Problem> {
    let difference = match request.supersedes {
        Some(earlier) => compared(&app, &caller, earlier, &request).await?,
        None => Vec::new(),
    };
    match decide(&app, &caller, &key, &request).await? {
        Decided::Permitted(permitted) => Ok(Json(ActionAnswer {
            id: permitted.id(),
            decision: ActionDecision::Permit,
            rules: Vec::new(),
            approval_url: None,
            status_url: None,
            difference,
        })
        .into_response()),
        Decided::Denied(Denied { id, rules }) => Err(denied(id, &rules)),
        Decided::Held(held) => wait(&app, held, prefer, difference).await,
    }
}

async fn decide(
    app: &Rest,
    caller: &AnyCaller,
    key: &IdempotencyKey,
    request: &ActionRequest,
) -> Result<Decided, Problem> {
    let target = target(request)?;
    let verb: Verb = request.verb.as_str().parse()?;
    let payload = payload(request);
    let ask = Ask {
        caller: &caller.caller,
        point: Point::Rest,
        level: Level::Cooperative,
        verb,
        resource: Cow::Owned(resource(request)),
        parts: &[],
        target: &target,
        credential: None,
        session: BTreeMap::new(),
        run: request.run.as_ref().map(|run| run.0.as_str()),
        reason: request.reason.as_ref().map(|reason| reason.0.as_str()),
        facts: facts(request),
        operation: 0,
        shape: Cow::Owned(format!("{verb} {}/{}", target.name, request.environment)),
        idempotency: key.0.as_deref(),
        retry_parts: None,
        holdable: true,
        retry_window: RETRY_WINDOW,
        run_when_gone: RunWhenGone::No,
        // Environment and labels come from the caller here, so no decision may be remembered; and a permit
        // that the caller acts on is on record before it hears of it.
        record: RecordPermit::BeforeRun,
        same: None,
    };
    Ok(Box::pin(app.gateway.decide(ask, move || payload)).await?)
}

fn resource(request: &ActionRequest) -> Resource {
    Resource {
        name: request.resource.0.clone(),
        environment: request.environment.clone(),
        labels: request.labels.0.clone(),
    }
}

fn target(request: &ActionRequest) -> Result<Target, Problem> {
    let name = match &request.target {
        Some(name) => name.clone(),
        None => DEFAULT_TARGET.parse()?,
    };
    let definition =
        Digest::of(Purpose::Definition, format!("countersign rest target v1\n{name}").as_bytes());
    Ok(Target { name, definition })
}

fn facts(request: &ActionRequest) -> Facts {
    let mut facts = Facts::new();
    facts.insert("matched".to_owned(), Fact::Bool(true));
    facts.insert("parsed".to_owned(), Fact::Bool(true));
    // A caller's own count would lift a hold by claiming little: it stands in the payload for the reviewer, and no
    // policy reads it. That it touches many can only add a hold.
    if request.bulk == Some(true) {
        facts.insert("bulk".to_owned(), Fact::Bool(true));
    }
    facts
}

/// The fields that would run. What is asked for stands here beside its parameters, since two requests
/// are the same call only where all of it is the same.
fn payload(request: &ActionRequest) -> Vec<(String, Vec<u8>)> {
    let mut fields = vec![
        ("action.verb".to_owned(), request.verb.as_str().to_owned()),
        ("action.resource".to_owned(), request.resource.0.clone()),
        ("action.environment".to_owned(), request.environment.to_string()),
    ];
    let labels = request.labels.0.iter();
    fields.extend(labels.map(|(name, value)| (format!("action.labels.{name}"), value.clone())));
    fields.extend(request.rows.map(|rows| ("action.rows".to_owned(), rows.to_string())));
    fields.extend(request.bulk.map(|bulk| ("action.bulk".to_owned(), bulk.to_string())));
    fields.extend(request.supersedes.map(|earlier| (SUPERSEDES.to_owned(), earlier.to_string())));
    let mut fields: Vec<_> = fields.into_iter().map(|(path, text)| (path, text.into_bytes())).collect();
    fields.extend(
        request.parameters.0.iter().map(|(name, value)| (format!("{PARAMETERS}{name}"), value.bytes())),
    );
    fields
}

fn denied(id: ActionId, rules: &[domain::evaluation::DecidingRule]) -> Problem {
    let why: Vec<_> = rules.iter().map(|rule| rule.why.as_str()).collect();
    let rules: Vec<_> =
        rules.iter().map(|rule| serde_json::json!({ "id": rule.id, "why": rule.why })).collect();
    let detail = format!("policy denies this: {}", why.join("; "));
    Problem::forbidden("denied", detail).with("id", id.to_string()).with("rules", rules)
}

async fn wait(
    app: &App,
    held: Held,
    prefer: Prefer,
    difference: Vec<Difference>,
) -> Result<Response, Problem> {
    let (id, url) = (held.id, held.url.clone());
    let here = |problem: Problem| problem.with("id", id.to_string()).with("approval_url", url.clone());
    let answer = |decision| ActionAnswer {
        id,
        decision,
        rules: held.why.iter().map(Rule::from).collect(),
        approval_url: Some(url.clone()),
        status_url: Some(status_url(app, id)),
        difference,
    };
    match app.gateway.wait(id, prefer.wait).await? {
        Heard::Approved => Ok(Json(answer(ActionDecision::Approved)).into_response()),
        Heard::Refused { state: "denied", why } => Err(here(Problem::forbidden("denied", why))),
        Heard::Refused { state: "expired", why } => Err(here(Problem::forbidden("approval-expired", why))),
        Heard::Refused { state: _, why } => Err(here(Problem::forbidden("approval-cancelled", why))),
        Heard::Ran { outcome, .. } => Err(here(already_ran(&Outcome::from(&outcome)))),
        Heard::Waiting => {
            let summary = app.gateway.store().approval(id).await?;
            if matches!(summary.approval, Approval::Executing(_)) {
                let detail =
                    "this very action was redeemed already; send another `Idempotency-Key` to do it again";
                return Err(here(Problem::conflict("already-running", detail)));
            }
            if prefer.respond_async {
                let location = HeaderValue::try_from(status_url(app, id)).ok();
                let mut response =
                    (StatusCode::ACCEPTED, Json(answer(ActionDecision::Pending))).into_response();
                response.headers_mut().extend(location.map(|location| (LOCATION, location)));
                return Ok(response);
            }
            let detail =
                "people are asked; ask the same again to go on waiting, or send `Prefer: respond-async`";
            let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "approval-pending", detail);
            Err(here(problem.retry_after(PENDING_RETRY_SECONDS)))
        }
    }
}

/// An identical call has run. It is no permission to run it again.
fn already_ran(outcome: &Outcome) -> Problem {
    let detail = "this very action ran already; send another `Idempotency-Key` to do it again";
    let outcome = serde_json::to_value(outcome).unwrap_or_default();
    Problem::conflict("already-ran", detail).with("outcome", outcome)
}

fn status_url(app: &Rest, id: ActionId) -> String {
    format!("{}/v1/actions/{id}", app.gateway.settings().public_url)
}

/// The state of an action that is held or was.
#[utoipa::path(
    get, path = "/actions/{id}", tag = "actions", operation_id = "getAction",
    params(("id" = Id, Path, description = "The action")),
    responses((status = 200, description = "Its state", body = ActionView)),
    security(("agent" = []), ("session" = []), ("cookie" = []))
)]
async fn look(
    State(app): State<App>,
    caller: AnyCaller,
    At(id): At<ActionId>,
) -> Result<Json<ActionView>, Problem> {
    let summary = app.visible(id, &caller).await?;
    Ok(Json(ActionView::of(&app, &summary)))
}

/// Spend an approval: policy is asked again, and then you run it, once.
#[utoipa::path(
    post, path = "/actions/{id}/redeem", tag = "actions", operation_id = "redeemAction",
    params(("id" = Id, Path, description = "The action")),
    responses((status = 200, description = "Run it now, and report", body = ActionView)),
    security(("agent" = []), ("session" = []), ("cookie" = []))
)]
async fn redeem(
    State(app): State<App>,
    caller: AnyCaller,
    At(id): At<ActionId>,
) -> Result<Json<ActionView>, Problem> {
    Box::pin(app.gateway.redeem_for_caller(id, &caller.caller)).await?;
    let summary = app.visible(id, &caller).await?;
    Ok(Json(ActionView::of(&app, &summary)))
}

/// What came of an action, as whoever ran it says.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "ending": "succeeded", "detail": "1 queue deleted" }))]
pub struct OutcomeReport {
    /// How it ended.
    pub ending: ReportedEnding,
    /// The target's own word, such as `204`; never a body.
    pub detail: Option<Text<250>>,
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ReportedEnding {
    /// It worked.
    Succeeded,
    /// It did not.
    Failed,
    /// You do not know.
    Unknown,
}

/// Report what came of an action that you redeemed and ran.
#[utoipa::path(
    post, path = "/actions/{id}/outcome", tag = "actions", operation_id = "reportOutcome",
    params(("id" = Id, Path, description = "The action")),
    request_body = OutcomeReport,
    responses((status = 200, description = "It is on record", body = ActionView)),
    security(("agent" = []), ("session" = []), ("cookie" = []))
)]
async fn report(
    State(app): State<App>,
    caller: AnyCaller,
    At(id): At<ActionId>,
    StrictJson(report): StrictJson<OutcomeReport>,
) -> Result<Json<ActionView>, Problem> {
    let ending = match report.ending {
        ReportedEnding::Succeeded => Ending::Succeeded,
        ReportedEnding::Failed => Ending::Failed,
        ReportedEnding::Unknown => Ending::Unknown,
    };
    let detail = report.detail.map(|detail| detail.0).unwrap_or_default();
    app.gateway.report(id, &caller.caller, ending, &detail).await?;
    let summary = app.visible(id, &caller).await?;
    Ok(Json(ActionView::of(&app, &summary)))
}

/// In what a request differs from an earlier action of the same caller.
async fn compared(
    app: &Rest,
    caller: &AnyCaller,
    earlier: ActionId,
    request: &ActionRequest,
) -> Result<Vec<Difference>, Problem> {
    let old = app.visible(earlier, caller).await?;
    if old.action.chain().caller != caller.principal() {
        return Err(Problem::not_found("earlier action of yours"));
    }
    let before = parts_of(app, &old).await?;
    let mut after = Parts::from([(TARGET.to_owned(), target(request)?.name.to_string())]);
    after.extend(payload(request).into_iter().map(|(path, value)| (path, readable(&value))));
    Ok(differences(&before, &after))
}

/// In what a stored action differs from the one that it says it replaces; nothing where it replaces none that
/// this caller may see.
pub(super) async fn superseded(
    app: &Rest,
    caller: &AnyCaller,
    summary: &Summary,
) -> Result<Option<(ActionId, Vec<Difference>)>, Problem> {
    if summary.action.parts().point != Point::Rest {
        return Ok(None);
    }
    let payload = app.gateway.store().payload(summary.action.id()).await?;
    let earlier = payload.iter().find_map(|field| match field {
        Disclosure::Open(open) if open.path == SUPERSEDES => {
            std::str::from_utf8(&open.value.0).ok()?.parse().ok()
        }
        Disclosure::Open(_) | Disclosure::Withheld(_) => None,
    });
    let Some(earlier) = earlier else { return Ok(None) };
    let Ok(old) = app.visible(earlier, caller).await else { return Ok(None) };
    let (before, after) = (parts_of(app, &old).await?, parts_of(app, summary).await?);
    Ok(Some((earlier, differences(&before, &after))))
}

type Parts = BTreeMap<String, String>;

/// The part that no payload field says.
const TARGET: &str = "target";

async fn parts_of(app: &Rest, summary: &Summary) -> Result<Parts, Problem> {
    let action = summary.action.parts();
    let mut parts = Parts::from([(TARGET.to_owned(), action.target.name.to_string())]);
    for field in app.gateway.store().payload(action.id).await? {
        if let Disclosure::Open(open) = field {
            parts.insert(open.path, readable(&open.value.0));
        }
    }
    Ok(parts)
}

/// Text within [`DIFFERENCE_LIMIT_BYTES`]; of anything else, a digest, so that it still differs.
fn readable(value: &[u8]) -> String {
    match std::str::from_utf8(value) {
        Ok(text) if text.len() <= DIFFERENCE_LIMIT_BYTES => text.to_owned(),
        Ok(_) | Err(_) => format!("{} bytes, SHA-256 {}", value.len(), Digest::of(Purpose::Result, value)),
    }
}

fn differences(before: &Parts, after: &Parts) -> Vec<Difference> {
    let mut names: Vec<&String> =
        before.keys().chain(after.keys()).filter(|part| *part != SUPERSEDES).collect();
    names.sort_unstable();
    names.dedup();
    names
        .into_iter()
        .filter(|part| before.get(*part) != after.get(*part))
        .map(|part| {
            Differs { part: part.clone(), before: before.get(part).cloned(), after: after.get(part).cloned() }
                .into()
        })
        .collect()
}
