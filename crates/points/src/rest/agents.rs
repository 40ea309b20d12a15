//! Agents: programs with a key of their own and a human who answers for them.

use axum::Json;
use axum::extract::State;
use domain::digest::Blob;
use domain::directory::DirectoryEvent;
use domain::id::{AgentId, PersonId};
use domain::principal::Principal;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::auth::HumanCaller;
use super::once::once;
use super::parse::{At, IdempotencyKey, StrictJson};
use super::people::{Proposal, propose};
use super::reply::Problem;
use super::shapes::{Ed25519Key, Id, KeyText, Text};
use super::{App, Rest};

pub(super) fn resources() -> OpenApiRouter<App> {
    OpenApiRouter::default()
        .routes(routes!(list, add))
        .routes(routes!(disable))
        .routes(routes!(replace_key))
        .routes(routes!(change_sponsor))
}

/// Every agent that is known.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Agents {
    /// The agents, in the order of their ids.
    pub agents: Vec<AgentView>,
}

/// An agent.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct AgentView {
    /// Its id.
    #[schema(value_type = Id)]
    pub id: AgentId,
    /// Its name.
    pub name: String,
    /// Who answers for it.
    #[schema(value_type = Id)]
    pub sponsor: PersonId,
    /// Their name.
    pub sponsor_name: String,
    /// Its public key.
    #[schema(value_type = Ed25519Key)]
    pub key: Blob,
    /// Whether it is let in.
    pub active: bool,
    /// Since when it is known, in microseconds since 1970.
    pub since: u64,
}

/// Every agent that is known, active or not.
#[utoipa::path(
    get, path = "/agents", tag = "agents", operation_id = "listAgents",
    responses((status = 200, description = "Every agent", body = Agents)),
    security(("session" = []), ("cookie" = []))
)]
async fn list(State(app): State<App>, _human: HumanCaller) -> Json<Agents> {
    let directory = app.gateway.directory();
    let agents = directory.agents().map(|agent| AgentView {
        id: agent.id,
        name: agent.name.clone(),
        sponsor: agent.sponsor,
        sponsor_name: super::auth::name_of(&app, agent.sponsor),
        key: agent.key.clone(),
        active: agent.active,
        since: agent.since.micros(),
    });
    Json(Agents { agents: agents.collect() })
}

/// An agent to be added.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "name": "nightly-cleanup", "sponsor": "01890a5d-ac96-774b-bcce-b302099a8057",
    "key": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
}))]
pub struct AgentRequest {
    /// Its name, as cards show it: at most 128 bytes, without hidden characters.
    pub name: Text<128>,
    /// The human who answers for it.
    #[schema(value_type = Id)]
    pub sponsor: PersonId,
    /// Its public key.
    #[schema(value_type = Ed25519Key)]
    pub key: Blob,
}

/// Propose an agent. The `subject` of the answer is `agent:<id>`, which its assertions name.
#[utoipa::path(
    post, path = "/agents", tag = "agents", operation_id = "addAgent",
    params(("Idempotency-Key" = Option<KeyText>, Header, description = "The same key and body are proposed once within 24 hours")),
    request_body = AgentRequest,
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
    StrictJson(request): StrictJson<AgentRequest>,
) -> Result<Proposal, Problem> {
    check_key(&request.key)?;
    let proposing = async {
        let id = app.gateway.new_id(AgentId::new)?;
        let AgentRequest { name, sponsor, key } = request.clone();
        propose(&app, &human, DirectoryEvent::AgentAdded { id, name: name.0, sponsor, key }).await
    };
    Box::pin(once(&app, Principal::Person(human.person), "addAgent", &key, &request, proposing)).await
}

fn check_key(key: &Blob) -> Result<(), Problem> {
    if key.0.len() == 32 {
        return Ok(());
    }
    Err(Problem::bad("bad-json", "the key is expected to be an Ed25519 public key, 32 bytes in base64url"))
}

fn known(app: &Rest, id: AgentId) -> Result<(), Problem> {
    let active = app.gateway.directory().agent(id).is_some_and(|agent| agent.active);
    if active { Ok(()) } else { Err(Problem::not_found("agent")) }
}

/// Propose that an agent is let in no more.
#[utoipa::path(
    delete, path = "/agents/{id}", tag = "agents", operation_id = "disableAgent",
    params(("id" = Id, Path, description = "The agent")),
    responses(
        (status = 200, description = "It applies", body = Proposal),
        (status = 202, description = "Another administrator is asked", body = Proposal),
    ),
    security(("session" = []), ("cookie" = []))
)]
async fn disable(
    State(app): State<App>,
    HumanCaller(human): HumanCaller,
    At(id): At<AgentId>,
) -> Result<Proposal, Problem> {
    known(&app, id)?;
    propose(&app, &human, DirectoryEvent::AgentDisabled { id }).await
}

/// An agent's new key.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AgentKeyRequest {
    /// Its public key.
    #[schema(value_type = Ed25519Key)]
    pub key: Blob,
}

/// Propose another key for an agent. Its tokens end with the old one.
#[utoipa::path(
    put, path = "/agents/{id}/key", tag = "agents", operation_id = "replaceAgentKey",
    params(("id" = Id, Path, description = "The agent")),
    request_body = AgentKeyRequest,
    responses(
        (status = 200, description = "It applies", body = Proposal),
        (status = 202, description = "Another administrator is asked", body = Proposal),
    ),
    security(("session" = []), ("cookie" = []))
)]
async fn replace_key(
    State(app): State<App>,
    HumanCaller(human): HumanCaller,
    At(id): At<AgentId>,
    StrictJson(request): StrictJson<AgentKeyRequest>,
) -> Result<Proposal, Problem> {
    check_key(&request.key)?;
    known(&app, id)?;
    propose(&app, &human, DirectoryEvent::AgentKeyReplaced { id, key: request.key }).await
}

/// An agent's new sponsor.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AgentSponsorRequest {
    /// The human who answers for it from then on.
    #[schema(value_type = Id)]
    pub sponsor: PersonId,
}

/// Propose another sponsor for an agent.
#[utoipa::path(
    put, path = "/agents/{id}/sponsor", tag = "agents", operation_id = "changeAgentSponsor",
    params(("id" = Id, Path, description = "The agent")),
    request_body = AgentSponsorRequest,
    responses(
        (status = 200, description = "It applies", body = Proposal),
        (status = 202, description = "Another administrator is asked", body = Proposal),
    ),
    security(("session" = []), ("cookie" = []))
)]
async fn change_sponsor(
    State(app): State<App>,
    HumanCaller(human): HumanCaller,
    At(id): At<AgentId>,
    StrictJson(request): StrictJson<AgentSponsorRequest>,
) -> Result<Proposal, Problem> {
    known(&app, id)?;
    propose(&app, &human, DirectoryEvent::AgentSponsorChanged { id, sponsor: request.sponsor }).await
}
