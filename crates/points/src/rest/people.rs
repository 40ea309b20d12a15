//! People, groups and their keys. Changes are proposed: they apply at once until there is a second administrator,
//! and wait for one from then on.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use domain::Malformed;
use domain::digest::Blob;
use domain::directory::{DirectoryEvent, Person};
use domain::id::{ActionId, GroupName, PersonId};
use domain::principal::Principal;
use gateway::GatewayError;
use gateway::change::{Proposed, Revoking};
use gateway::people::Human;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::auth::{AnyCaller, HumanCaller};
use super::once::once;
use super::parse::{At, IdempotencyKey, StrictJson, StrictQuery};
use super::reply::Problem;
use super::shapes::{Base64Url, Id, KeyText, Name, PrincipalText, Text};
use super::{App, Rest};

pub(super) fn resources() -> OpenApiRouter<App> {
    OpenApiRouter::default()
        .routes(routes!(me))
        .routes(routes!(list, add))
        .routes(routes!(deactivate))
        .routes(routes!(invite))
        .routes(routes!(revoke_key))
        .routes(routes!(join, leave))
}

/// What a proposal came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Proposal {
    /// What it came to.
    pub status: ProposalStatus,
    /// What it is about: a person, an agent, `route:<name>` or `policy`.
    pub subject: String,
    /// The directory's version with it, where it applies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
    /// The approval, where another administrator is asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Id>)]
    pub id: Option<ActionId>,
    /// Where they open it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approval_url: Option<String>,
}

/// What a proposal came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ProposalStatus {
    /// It stands: there is no second administrator yet.
    Applied,
    /// Another administrator is asked.
    Held,
}

impl IntoResponse for Proposal {
    fn into_response(self) -> Response {
        let status = match self.status {
            ProposalStatus::Applied => StatusCode::OK,
            ProposalStatus::Held => StatusCode::ACCEPTED,
        };
        (status, Json(self)).into_response()
    }
}

/// Proposes a change of the directory.
pub(super) async fn propose(app: &Rest, human: &Human, event: DirectoryEvent) -> Result<Proposal, Problem> {
    let subject = event.subject();
    told(subject, Box::pin(app.gateway.propose(human, event)).await)
}

fn told(subject: String, proposed: Result<Proposed, GatewayError>) -> Result<Proposal, Problem> {
    match proposed {
        Ok(Proposed::Applied { version }) => {
            let status = ProposalStatus::Applied;
            Ok(Proposal { status, subject, version: Some(version), id: None, approval_url: None })
        }
        Ok(Proposed::Held(held)) => {
            let (status, id, url) = (ProposalStatus::Held, Some(held.id), Some(held.url));
            Ok(Proposal { status, subject, version: None, id, approval_url: url })
        }
        Ok(Proposed::Denied(denied)) => {
            let why: Vec<_> = denied.rules.iter().map(|rule| rule.why.as_str()).collect();
            Err(Problem::forbidden("denied", format!("policy denies this change: {}", why.join("; "))))
        }
        // Well said, but it does not go with what stands.
        Err(GatewayError::Malformed(malformed @ Malformed::Value { .. })) => {
            Err(Problem::conflict("does-not-fit", malformed.to_string()))
        }
        Err(error) => Err(error.into()),
    }
}

/// Who you are.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Me {
    /// You.
    #[schema(value_type = PrincipalText)]
    pub principal: Principal,
    /// Your name.
    pub name: String,
    /// Your groups.
    pub groups: Vec<String>,
    /// Your session, where you are a human.
    pub session: Option<SessionView>,
}

/// A session.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct SessionView {
    /// `console`, or `cli`, which proposes and never reviews.
    pub kind: String,
    /// Whether a passkey was used within the last minutes, as proposals demand.
    pub stepped_up: bool,
    /// When it ends if it is not used again, in microseconds since 1970.
    pub ends: u64,
}

/// Who you are.
#[utoipa::path(
    get, path = "/me", tag = "sessions", operation_id = "getMe",
    responses((status = 200, description = "You", body = Me)),
    security(("agent" = []), ("session" = []), ("cookie" = []))
)]
async fn me(State(app): State<App>, caller: AnyCaller) -> Json<Me> {
    let directory = app.gateway.directory();
    let person = caller.human.as_ref().and_then(|human| directory.person(human.person));
    Json(Me {
        principal: caller.principal(),
        name: gateway::card::name_of(caller.principal(), &directory),
        groups: person.iter().flat_map(|person| person.groups.iter().map(ToString::to_string)).collect(),
        session: caller.human.as_ref().map(|human| SessionView {
            kind: match human.session.kind {
                gateway::identity::SessionKind::Console => "console".to_owned(),
                gateway::identity::SessionKind::Cli => "cli".to_owned(),
            },
            stepped_up: app.gateway.is_stepped_up(human),
            ends: human.session.ends().micros(),
        }),
    })
}

/// Everybody who is known.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct People {
    /// The people, in the order of their ids.
    pub people: Vec<PersonView>,
}

/// A human.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct PersonView {
    /// Their id.
    #[schema(value_type = Id)]
    pub id: PersonId,
    /// Their name.
    pub name: String,
    /// Whether they may do anything.
    pub active: bool,
    /// Their groups.
    pub groups: Vec<String>,
    /// How many passkeys they have.
    pub key_count: usize,
    /// Their keys, where you are they or an administrator.
    pub keys: Option<Vec<KeyView>>,
    /// Since when they are known, in microseconds since 1970.
    pub since: u64,
}

/// A passkey, or an SSH key on a security key.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct KeyView {
    /// What names it: WebAuthn's credential id, or the SHA-256 of the SSH public key.
    #[schema(value_type = Base64Url)]
    pub credential: Blob,
    /// Which of the two it is.
    pub kind: KeyKind,
    /// What its owner calls it.
    pub label: String,
    /// Its fingerprint, as OpenSSH writes them.
    pub fingerprint: String,
    /// The origin at which a passkey was enrolled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
}

/// What a key is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum KeyKind {
    /// A passkey: signs in, and signs reviews in the console.
    Passkey,
    /// An SSH key on a security key: signs reviews at a terminal.
    Ssh,
}

impl KeyView {
    fn all(person: &Person) -> Vec<Self> {
        let passkeys = person.keys.iter().map(|key| Self {
            credential: key.credential_id.clone(),
            kind: KeyKind::Passkey,
            label: key.label.clone(),
            fingerprint: key.fingerprint(),
            origin: Some(key.origin.clone()),
        });
        let ssh = person.ssh_keys.iter().map(|key| Self {
            credential: key.id(),
            kind: KeyKind::Ssh,
            label: key.label.clone(),
            fingerprint: key.fingerprint(),
            origin: None,
        });
        passkeys.chain(ssh).collect()
    }
}

/// Everybody who is known, active or not.
#[utoipa::path(
    get, path = "/people", tag = "people", operation_id = "listPeople",
    responses((status = 200, description = "Everybody", body = People)),
    security(("session" = []), ("cookie" = []))
)]
async fn list(State(app): State<App>, HumanCaller(human): HumanCaller) -> Json<People> {
    let directory = app.gateway.directory();
    let admin = directory.members(&GroupName::admins()).any(|person| person.id == human.person);
    let view = |person: &Person| PersonView {
        id: person.id,
        name: person.name.clone(),
        active: person.active,
        groups: person.groups.iter().map(ToString::to_string).collect(),
        key_count: person.keys.len(),
        keys: (admin || person.id == human.person).then(|| KeyView::all(person)),
        since: person.since.micros(),
    };
    Json(People { people: directory.people().map(view).collect() })
}

/// A person to be added.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "name": "Ada Lovelace" }))]
pub struct PersonRequest {
    /// Their name, as cards show it: at most 128 bytes, without hidden characters.
    pub name: Text<128>,
}

/// Propose a person. Groups are proposed once the person is known.
#[utoipa::path(
    post, path = "/people", tag = "people", operation_id = "addPerson",
    params(("Idempotency-Key" = Option<KeyText>, Header, description = "The same key and body are proposed once within 24 hours")),
    request_body = PersonRequest,
    responses(
        (status = 200, description = "It applies", body = Proposal),
        (status = 202, description = "Another administrator is asked", body = Proposal),
        (status = 422, description = "The `Idempotency-Key` was used for another request", body = super::reply::ProblemBody, content_type = "application/problem+json"),
    ),
    security(("session" = []), ("cookie" = []))
)]
async fn add(
    State(app): State<App>,
    HumanCaller(human): HumanCaller,
    key: IdempotencyKey,
    StrictJson(request): StrictJson<PersonRequest>,
) -> Result<Proposal, Problem> {
    let proposing = async {
        let id = app.gateway.new_id(PersonId::new)?;
        propose(&app, &human, DirectoryEvent::PersonAdded { id, name: request.name.0.clone() }).await
    };
    Box::pin(once(&app, Principal::Person(human.person), "addPerson", &key, &request, proposing)).await
}

/// Propose that a person leaves: sessions end, keys sign no more.
#[utoipa::path(
    delete, path = "/people/{id}", tag = "people", operation_id = "deactivatePerson",
    params(("id" = Id, Path, description = "The person")),
    responses(
        (status = 200, description = "It applies", body = Proposal),
        (status = 202, description = "Another administrator is asked", body = Proposal),
    ),
    security(("session" = []), ("cookie" = []))
)]
async fn deactivate(
    State(app): State<App>,
    HumanCaller(human): HumanCaller,
    At(id): At<PersonId>,
) -> Result<Proposal, Problem> {
    known(&app, id)?;
    propose(&app, &human, DirectoryEvent::PersonDeactivated { id }).await
}

fn known(app: &Rest, id: PersonId) -> Result<(), Problem> {
    let active = app.gateway.directory().person(id).is_some_and(|person| person.active);
    if active { Ok(()) } else { Err(Problem::not_found("person")) }
}

/// A one-time link.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct InviteAnswer {
    /// The link; it is good for an hour, once.
    pub url: String,
}

/// Make the one-time link at which a person without passkeys enrols their first one.
#[utoipa::path(
    post, path = "/people/{id}/invite", tag = "people", operation_id = "invitePerson",
    params(("id" = Id, Path, description = "The person")),
    responses((status = 200, description = "The link", body = InviteAnswer)),
    security(("session" = []), ("cookie" = []))
)]
async fn invite(
    State(app): State<App>,
    HumanCaller(human): HumanCaller,
    At(id): At<PersonId>,
) -> Result<Json<InviteAnswer>, Problem> {
    Ok(Json(InviteAnswer { url: app.gateway.invite(&human, id).await? }))
}

/// How a key is revoked.
#[derive(Debug, Clone, Copy, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct RevokeQuery {
    /// At once, and without anybody's signature: for somebody else's key that cannot wait until your request is signed.
    at_once: Option<bool>,
}

/// Revoke a key: yours at once, or as an administrator anybody's. For that you sign: open the request and approve it,
/// alone. What would leave you the only administrator waits for the other one. What a command line asks for waits for a
/// signature in any case.
#[utoipa::path(
    delete, path = "/people/{id}/keys/{credential}", tag = "people", operation_id = "revokeKey",
    params(
        ("id" = Id, Path, description = "The person"),
        ("credential" = Base64Url, Path, description = "The key's `credential`"),
        RevokeQuery,
    ),
    responses(
        (status = 200, description = "It applies", body = Proposal),
        (status = 202, description = "An administrator's signature is asked for: yours, where you may sign alone", body = Proposal),
    ),
    security(("session" = []), ("cookie" = []))
)]
async fn revoke_key(
    State(app): State<App>,
    HumanCaller(human): HumanCaller,
    At((person, credential_id)): At<(PersonId, Blob)>,
    StrictQuery(query): StrictQuery<RevokeQuery>,
) -> Result<Proposal, Problem> {
    known(&app, person)?;
    let directory = app.gateway.directory();
    let owner = directory.key(&credential_id).map(|(owner, _)| owner.id);
    let owner = owner.or_else(|| directory.ssh_key(&credential_id).map(|(owner, _)| owner.id));
    if owner != Some(person) {
        return Err(Problem::not_found("key"));
    }
    let subject = Principal::Person(person).to_string();
    let how = if query.at_once == Some(true) { Revoking::AtOnce } else { Revoking::Signed };
    told(subject, Box::pin(app.gateway.revoke_key(&human, person, credential_id, how)).await)
}

/// Propose that a person joins a group.
#[utoipa::path(
    put, path = "/groups/{group}/members/{person}", tag = "people", operation_id = "joinGroup",
    params(("group" = Name, Path, description = "The group"), ("person" = Id, Path, description = "The person")),
    responses(
        (status = 200, description = "It applies", body = Proposal),
        (status = 202, description = "Another administrator is asked", body = Proposal),
    ),
    security(("session" = []), ("cookie" = []))
)]
async fn join(
    State(app): State<App>,
    HumanCaller(human): HumanCaller,
    At((group, person)): At<(GroupName, PersonId)>,
) -> Result<Proposal, Problem> {
    known(&app, person)?;
    propose(&app, &human, DirectoryEvent::GroupJoined { group, person }).await
}

/// Propose that a person leaves a group.
#[utoipa::path(
    delete, path = "/groups/{group}/members/{person}", tag = "people", operation_id = "leaveGroup",
    params(("group" = Name, Path, description = "The group"), ("person" = Id, Path, description = "The person")),
    responses(
        (status = 200, description = "It applies", body = Proposal),
        (status = 202, description = "Another administrator is asked", body = Proposal),
    ),
    security(("session" = []), ("cookie" = []))
)]
async fn leave(
    State(app): State<App>,
    HumanCaller(human): HumanCaller,
    At((group, person)): At<(GroupName, PersonId)>,
) -> Result<Proposal, Problem> {
    let member = app.gateway.directory().members(&group).any(|member| member.id == person);
    if !member {
        return Err(Problem::not_found("member of this group"));
    }
    propose(&app, &human, DirectoryEvent::GroupLeft { group, person }).await
}
