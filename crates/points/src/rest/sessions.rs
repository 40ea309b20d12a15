//! Signing in: enrolment by a one-time link, login and step-up by passkey, and the command line's sign-in, which a
//! human confirms in the console. Sessions go out in the cookie alone, but for the command line's.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use domain::digest::Blob;
use domain::id::{ActionId, PersonId};
use gateway::identity::ssh::ENROLMENT_NAMESPACE;
use gateway::people::{Enrolment, HeldKey, SignedIn};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::App;
use super::auth::{HumanCaller, name_of, with_session, without_session};
use super::parse::StrictJson;
use super::reply::Problem;
use super::shapes::{Base64Url, Credential, Id, PasskeyOptions, Text};

pub(super) fn resources() -> OpenApiRouter<App> {
    OpenApiRouter::default()
        .routes(routes!(login_options))
        .routes(routes!(login))
        .routes(routes!(step_up_options))
        .routes(routes!(step_up))
        .routes(routes!(logout))
        .routes(routes!(enrolment_options))
        .routes(routes!(enrol))
        .routes(routes!(key_options))
        .routes(routes!(add_key))
        .routes(routes!(ssh_key_options))
        .routes(routes!(add_ssh_key))
        .routes(routes!(begin_cli))
        .routes(routes!(confirm_cli))
        .routes(routes!(poll_cli))
}

/// A browser's passkey answer.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CredentialRequest {
    /// The browser's answer.
    pub credential: Credential,
}

/// Who has signed in. The session is in the cookie.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct SignedInAnswer {
    /// Who.
    #[schema(value_type = Id)]
    pub person: PersonId,
    /// Their name.
    pub name: String,
}

fn signed_in(app: &App, done: &SignedIn) -> Result<Response, Problem> {
    let answer = SignedInAnswer { person: done.person, name: name_of(app, done.person) };
    with_session(app, &done.token, Json(answer))
}

/// Options for the browser, to sign in.
#[utoipa::path(
    post, path = "/login/options", tag = "sessions", operation_id = "loginOptions",
    responses((status = 200, description = "For `navigator.credentials.get`", body = PasskeyOptions)),
    security(())
)]
async fn login_options(State(app): State<App>) -> Result<Json<PasskeyOptions>, Problem> {
    Ok(Json(PasskeyOptions(app.gateway.begin_login(None).await?)))
}

/// Sign in with the browser's answer.
#[utoipa::path(
    post, path = "/login", tag = "sessions", operation_id = "login",
    request_body = CredentialRequest,
    responses(
        (status = 200, description = "Signed in", body = SignedInAnswer),
        (status = 401, description = "The passkey was not accepted", body = super::reply::ProblemBody, content_type = "application/problem+json"),
    ),
    security(())
)]
async fn login(
    State(app): State<App>,
    StrictJson(request): StrictJson<CredentialRequest>,
) -> Result<Response, Problem> {
    let done = app.gateway.finish_login(&request.credential.bytes()).await?;
    signed_in(&app, &done)
}

/// Options for the browser, to use your passkey again.
#[utoipa::path(
    post, path = "/step-up/options", tag = "sessions", operation_id = "stepUpOptions",
    responses((status = 200, description = "For `navigator.credentials.get`", body = PasskeyOptions)),
    security(("session" = []), ("cookie" = []))
)]
async fn step_up_options(
    State(app): State<App>,
    HumanCaller(human): HumanCaller,
) -> Result<Json<PasskeyOptions>, Problem> {
    Ok(Json(PasskeyOptions(app.gateway.begin_login(Some(&human)).await?)))
}

/// Mark the session as fresh, with the browser's answer.
#[utoipa::path(
    post, path = "/step-up", tag = "sessions", operation_id = "stepUp",
    request_body = CredentialRequest,
    responses((status = 204, description = "The session is fresh")),
    security(("session" = []), ("cookie" = []))
)]
async fn step_up(
    State(app): State<App>,
    HumanCaller(human): HumanCaller,
    StrictJson(request): StrictJson<CredentialRequest>,
) -> Result<StatusCode, Problem> {
    app.gateway.finish_step_up(&human, &request.credential.bytes()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// End the session.
#[utoipa::path(
    post, path = "/logout", tag = "sessions", operation_id = "logout",
    responses((status = 204, description = "The session has ended")),
    security(("session" = []), ("cookie" = []))
)]
async fn logout(State(app): State<App>, HumanCaller(human): HumanCaller) -> Result<Response, Problem> {
    app.gateway.sign_out(&human).await?;
    without_session(StatusCode::NO_CONTENT)
}

/// An invite.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct InviteRequest {
    /// What stands behind `#` in the link.
    pub invite: Text<256>,
}

/// Options for the browser, to enrol the first passkey.
#[utoipa::path(
    post, path = "/enrolment/options", tag = "sessions", operation_id = "enrolmentOptions",
    request_body = InviteRequest,
    responses(
        (status = 200, description = "For `navigator.credentials.create`", body = PasskeyOptions),
        (status = 401, description = "The invite is unknown, spent or lapsed", body = super::reply::ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "The person has left", body = super::reply::ProblemBody, content_type = "application/problem+json"),
    ),
    security(())
)]
async fn enrolment_options(
    State(app): State<App>,
    StrictJson(request): StrictJson<InviteRequest>,
) -> Result<Json<PasskeyOptions>, Problem> {
    Ok(Json(PasskeyOptions(app.gateway.begin_enrolment(&request.invite.0).await?)))
}

/// A new passkey of somebody who was invited.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EnrolmentRequest {
    /// What stands behind `#` in the link.
    pub invite: Text<256>,
    /// What to call the passkey.
    pub label: Text<128>,
    /// The browser's answer.
    pub credential: Credential,
}

/// What an enrolment came to.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct EnrolmentAnswer {
    /// `enrolled`, or `held` while an administrator looks at the key.
    pub status: EnrolmentStatus,
    /// Who has signed in, where it is enrolled.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Id>)]
    pub person: Option<PersonId>,
    /// The approval, where it is held.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Id>)]
    pub id: Option<ActionId>,
    /// Where administrators open it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approval_url: Option<String>,
    /// The key's fingerprint, as `SHA256:<base64>`, where it is held: tell it to the administrator, who sees it too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

impl EnrolmentAnswer {
    /// The answer to a key that waits.
    fn held(key: HeldKey) -> Response {
        let answer = Self {
            status: EnrolmentStatus::Held,
            person: None,
            id: Some(key.held.id),
            approval_url: Some(key.held.url),
            key: Some(key.fingerprint),
        };
        (StatusCode::ACCEPTED, Json(answer)).into_response()
    }
}

/// What an enrolment came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum EnrolmentStatus {
    /// The passkey speaks for its person, who is signed in.
    Enrolled,
    /// An administrator must sign for exactly this key first.
    Held,
}

/// Enrol the first passkey. The invite is spent by an answer that is good.
#[utoipa::path(
    post, path = "/enrolment", tag = "sessions", operation_id = "enrol",
    request_body = EnrolmentRequest,
    responses(
        (status = 200, description = "Enrolled and signed in", body = EnrolmentAnswer),
        (status = 202, description = "An administrator is asked", body = EnrolmentAnswer),
        (status = 401, description = "The invite or the passkey was not accepted", body = super::reply::ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "What stands does not allow it", body = super::reply::ProblemBody, content_type = "application/problem+json"),
    ),
    security(())
)]
async fn enrol(
    State(app): State<App>,
    StrictJson(request): StrictJson<EnrolmentRequest>,
) -> Result<Response, Problem> {
    let (invite, label, answer) = (&request.invite.0, &request.label.0, request.credential.bytes());
    match Box::pin(app.gateway.finish_enrolment(invite, label, &answer)).await? {
        Enrolment::Done(done) => {
            let (status, person) = (EnrolmentStatus::Enrolled, Some(done.person));
            let answer = EnrolmentAnswer { status, person, id: None, approval_url: None, key: None };
            with_session(&app, &done.token, Json(answer))
        }
        Enrolment::Held(key) => Ok(EnrolmentAnswer::held(key)),
    }
}

/// Options for the browser, to enrol a further passkey.
#[utoipa::path(
    post, path = "/keys/options", tag = "sessions", operation_id = "keyOptions",
    responses((status = 200, description = "For `navigator.credentials.create`", body = PasskeyOptions)),
    security(("session" = []), ("cookie" = []))
)]
async fn key_options(
    State(app): State<App>,
    HumanCaller(human): HumanCaller,
) -> Result<Json<PasskeyOptions>, Problem> {
    Ok(Json(PasskeyOptions(app.gateway.begin_further_key(&human).await?)))
}

/// A further passkey.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyRequest {
    /// What to call it.
    pub label: Text<128>,
    /// The browser's answer.
    pub credential: Credential,
}

/// Ask for a further passkey of yours to be enrolled. It speaks for you once an administrator has signed for it.
#[utoipa::path(
    post, path = "/keys", tag = "sessions", operation_id = "addKey",
    request_body = KeyRequest,
    responses((status = 202, description = "An administrator is asked", body = EnrolmentAnswer)),
    security(("session" = []), ("cookie" = []))
)]
async fn add_key(
    State(app): State<App>,
    HumanCaller(human): HumanCaller,
    StrictJson(request): StrictJson<KeyRequest>,
) -> Result<Response, Problem> {
    let (label, answer) = (&request.label.0, request.credential.bytes());
    let held = Box::pin(app.gateway.finish_further_key(&human, label, &answer)).await?;
    Ok(EnrolmentAnswer::held(held))
}

/// An SSH key to be enrolled.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SshKeyRequest {
    /// The line of its `.pub` file; the key lives on a security key (`sk-`).
    pub public_key: Text<2048>,
    /// What to call it.
    pub label: Text<128>,
}

/// What the owner of an SSH key signs with it.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct SshEnrolment {
    /// The enrolment's exact bytes, to be submitted with the signature.
    #[schema(value_type = Base64Url)]
    pub enrolment: Blob,
    /// What `ssh-keygen -Y sign` is given.
    #[schema(value_type = Base64Url)]
    pub message: Blob,
    /// The namespace (`-n`) under which it is signed.
    pub namespace: String,
}

/// Begin to enrol an SSH key of yours that lives on a security key.
#[utoipa::path(
    post, path = "/ssh-keys/options", tag = "sessions", operation_id = "sshKeyOptions",
    request_body = SshKeyRequest,
    responses((status = 200, description = "For `ssh-keygen -Y sign`", body = SshEnrolment)),
    security(("session" = []), ("cookie" = []))
)]
async fn ssh_key_options(
    State(app): State<App>,
    HumanCaller(human): HumanCaller,
    StrictJson(request): StrictJson<SshKeyRequest>,
) -> Result<Json<SshEnrolment>, Problem> {
    let (enrolment, message) =
        app.gateway.begin_ssh_key(&human, &request.public_key.0, &request.label.0).await?;
    let namespace = ENROLMENT_NAMESPACE.to_owned();
    Ok(Json(SshEnrolment { enrolment, message, namespace }))
}

/// A signed enrolment of an SSH key.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SshKeySignature {
    /// The enrolment's exact bytes, as they were prepared.
    #[schema(value_type = Base64Url)]
    pub enrolment: Blob,
    /// What `ssh-keygen` wrote, armour and all.
    pub signature: Text<4096>,
}

/// Ask for an SSH key of yours to be enrolled. It signs for you once an administrator has signed for it.
#[utoipa::path(
    post, path = "/ssh-keys", tag = "sessions", operation_id = "addSshKey",
    request_body = SshKeySignature,
    responses((status = 202, description = "An administrator is asked", body = EnrolmentAnswer)),
    security(("session" = []), ("cookie" = []))
)]
async fn add_ssh_key(
    State(app): State<App>,
    HumanCaller(human): HumanCaller,
    StrictJson(request): StrictJson<SshKeySignature>,
) -> Result<Response, Problem> {
    let (enrolment, signature) = (&request.enrolment, &request.signature.0);
    let held = Box::pin(app.gateway.finish_ssh_key(&human, enrolment, signature)).await?;
    Ok(EnrolmentAnswer::held(held))
}

/// A sign-in of the command line, under way.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct CliLogin {
    /// What the command line polls with; it shows it to nobody.
    pub secret: String,
    /// What its human compares and confirms.
    pub code: String,
    /// Where they do.
    pub url: String,
}

/// Begin the command line's sign-in. It waits ten minutes for its human.
#[utoipa::path(
    post, path = "/cli-logins", tag = "sessions", operation_id = "beginCliLogin",
    responses((status = 200, description = "Show the code, open the URL at which its human types it, poll", body = CliLogin)),
    security(())
)]
async fn begin_cli(State(app): State<App>) -> Result<Json<CliLogin>, Problem> {
    let (secret, code) = app.gateway.begin_cli_login().await?;
    let url = format!("{}/cli", app.gateway.settings().public_url);
    Ok(Json(CliLogin { secret, code, url }))
}

/// A code to confirm.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CliConfirm {
    /// The code that the command line shows.
    pub code: Text<16>,
}

/// Let the command line that shows this code act for you. It proposes, and never reviews.
#[utoipa::path(
    post, path = "/cli-logins/confirm", tag = "sessions", operation_id = "confirmCliLogin",
    request_body = CliConfirm,
    responses(
        (status = 204, description = "It is signed in"),
        (status = 404, description = "No command line shows this code", body = super::reply::ProblemBody, content_type = "application/problem+json"),
    ),
    security(("session" = []), ("cookie" = []))
)]
async fn confirm_cli(
    State(app): State<App>,
    HumanCaller(human): HumanCaller,
    StrictJson(request): StrictJson<CliConfirm>,
) -> Result<StatusCode, Problem> {
    app.gateway.confirm_cli_login(&human, &request.code.0).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The command line's question.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CliPoll {
    /// The secret that it was given.
    pub secret: Text<256>,
}

/// Whether the human has confirmed.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct CliPollAnswer {
    /// Whether they have.
    pub confirmed: bool,
    /// The session, once.
    pub token: Option<String>,
}

/// Ask whether the human has confirmed. The session is handed out once.
#[utoipa::path(
    post, path = "/cli-logins/poll", tag = "sessions", operation_id = "pollCliLogin",
    request_body = CliPoll,
    responses(
        (status = 200, description = "Confirmed, or not yet", body = CliPollAnswer),
        (status = 401, description = "The secret is unknown, spent or lapsed", body = super::reply::ProblemBody, content_type = "application/problem+json"),
    ),
    security(())
)]
async fn poll_cli(
    State(app): State<App>,
    StrictJson(request): StrictJson<CliPoll>,
) -> Result<Json<CliPollAnswer>, Problem> {
    let token = app.gateway.poll_cli_login(&request.secret.0).await?;
    Ok(Json(CliPollAnswer { confirmed: token.is_some(), token }))
}
