//! Your accounts elsewhere, such as in a chat service, that stand for you: what is clicked there counts as yours, where
//! policy lets a click suffice.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use domain::account::ExternalAccount;
use domain::review::Proof;
use gateway::links::Asking;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::App;
use super::auth::HumanCaller;
use super::parse::{At, StrictJson};
use super::reply::Problem;
use super::shapes::{KeyText, Name, Text};

pub(super) fn resources() -> OpenApiRouter<App> {
    OpenApiRouter::default().routes(routes!(list, confirm)).routes(routes!(look)).routes(routes!(unlink))
}

/// What stands behind a verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum SignedBy {
    /// A passkey's signature.
    Passkey,
    /// The signature of an SSH key on a security key.
    Ssh,
    /// A click in a linked account: no key signed.
    Chat,
}

impl SignedBy {
    pub(super) fn of(proof: &Proof) -> Self {
        match proof {
            Proof::Passkey(_) => Self::Passkey,
            Proof::SshSig(_) => Self::Ssh,
            Proof::Chat(_) => Self::Chat,
        }
    }
}

/// An account elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = ExternalAccount)]
pub struct AccountShape {
    /// With which provider, such as `slack`.
    #[schema(value_type = Name)]
    pub provider: String,
    /// In which of its teams, workspaces or tenants, by its id.
    #[schema(value_type = KeyText)]
    pub team: String,
    /// Which user there, by its id.
    #[schema(value_type = KeyText)]
    pub user: String,
}

impl From<&ExternalAccount> for AccountShape {
    fn from(account: &ExternalAccount) -> Self {
        Self {
            provider: account.provider().to_owned(),
            team: account.team().to_owned(),
            user: account.user().to_owned(),
        }
    }
}

/// Your linked accounts.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Links {
    /// Your accounts.
    pub accounts: Vec<AccountShape>,
}

/// A link as its account began it.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "token": "i1ryrsGn0nUnkoo3TVyXxmL4qpKZnNVCUxVcXxF6Ebo" }))]
pub struct LinkRequest {
    /// What stands behind `#` in the link.
    #[schema(max_length = 128)]
    pub token: Text<128>,
}

/// The account that a link is for.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct LinkAsked {
    /// The account.
    pub account: AccountShape,
    /// Its name as the provider shows it: nobody here has checked it.
    pub shown_name: String,
}

/// What makes the link, once it is typed in the account.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct LinkCode {
    /// Eight letters, good once and for ten minutes.
    pub code: String,
}

/// Your accounts elsewhere that stand for you.
#[utoipa::path(
    get, path = "/links", tag = "people", operation_id = "listLinks",
    responses((status = 200, description = "Your accounts", body = Links)),
    security(("session" = []), ("cookie" = []))
)]
async fn list(State(app): State<App>, HumanCaller(human): HumanCaller) -> Json<Links> {
    let directory = app.gateway.directory();
    let accounts =
        directory.person(human.person).map(|person| person.accounts.iter().map(Into::into).collect());
    Json(Links { accounts: accounts.unwrap_or_default() })
}

/// Which account a link is for, before you confirm it. It changes nothing.
#[utoipa::path(
    post, path = "/links/look", tag = "people", operation_id = "lookAtLink",
    request_body = LinkRequest,
    responses(
        (status = 200, description = "The account", body = LinkAsked),
        (status = 404, description = "There is no such link", body = super::reply::ProblemBody, content_type = "application/problem+json"),
    ),
    security(("session" = []), ("cookie" = []))
)]
async fn look(
    State(app): State<App>,
    HumanCaller(human): HumanCaller,
    StrictJson(request): StrictJson<LinkRequest>,
) -> Result<Json<LinkAsked>, Problem> {
    let Asking { account, shown_name } = app.gateway.look_at_link(&human, &request.token.0).await?;
    Ok(Json(LinkAsked { account: (&account).into(), shown_name }))
}

/// Confirm that an account is yours, in the console and with a passkey touched for it. The code is to be typed in that
/// account; only then it stands for you.
#[utoipa::path(
    post, path = "/links", tag = "people", operation_id = "confirmLink",
    request_body = LinkRequest,
    responses(
        (status = 200, description = "Type this in the account", body = LinkCode),
        (status = 404, description = "There is no such link", body = super::reply::ProblemBody, content_type = "application/problem+json"),
    ),
    security(("session" = []), ("cookie" = []))
)]
async fn confirm(
    State(app): State<App>,
    HumanCaller(human): HumanCaller,
    StrictJson(request): StrictJson<LinkRequest>,
) -> Result<Json<LinkCode>, Problem> {
    Ok(Json(LinkCode { code: app.gateway.confirm_link(&human, &request.token.0).await? }))
}

/// Take an account's link away, at once: yours, or as an administrator anybody's. Approvals that were clicked in it and
/// were not spent count no more.
#[utoipa::path(
    delete, path = "/links/{provider}/{team}/{user}", tag = "people", operation_id = "removeLink",
    params(
        ("provider" = Name, Path, description = "The provider"),
        ("team" = KeyText, Path, description = "The team"),
        ("user" = KeyText, Path, description = "The user"),
    ),
    responses((status = 204, description = "It stands for nobody any more")),
    security(("session" = []), ("cookie" = []))
)]
async fn unlink(
    State(app): State<App>,
    HumanCaller(human): HumanCaller,
    At((provider, team, user)): At<(String, String, String)>,
) -> Result<StatusCode, Problem> {
    let account = ExternalAccount::new(&provider, &team, &user).map_err(gateway::GatewayError::from)?;
    app.gateway.unlink(&human, &account).await?;
    Ok(StatusCode::NO_CONTENT)
}
