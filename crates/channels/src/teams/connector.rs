//! The Bot Connector, as we call it ("Bot Connector API reference"): messages sent and brought up to date, conversations
//! begun, members looked up. The access token goes to hosts on a list, and to no others.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use outbound::secret::Secret;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE};
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode, Url};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::Mutex;
use zeroize::Zeroizing;

use super::limits::{ACCESS_LONGEST, ACCESS_MARGIN, ANSWER_BYTES, ID_BYTES};
use super::wire;
use crate::deliver::Failed;

/// What the access token is asked for ("Get a bearer access token").
const SCOPE: &str = "https://api.botframework.com/.default";

/// Our side of the Bot Connector.
pub(super) struct Connector {
    pub(super) client: Client,
    pub(super) app: String,
    pub(super) tenant: String,
    pub(super) secret: Secret,
    pub(super) token_url: Url,
    pub(super) hosts: ServiceHosts,
    pub(super) access: Mutex<Option<Access>>,
}

/// An access token, while it lasts.
pub(super) struct Access {
    token: Arc<Secret>,
    until: Instant,
}

/// The hosts that the access token may go to, each with its port where that is not its scheme's own.
#[derive(Debug, Clone)]
pub(super) struct ServiceHosts(pub(super) BTreeSet<String>);

/// A service URL whose host is on the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Service(Url);

impl ServiceHosts {
    /// A service URL as an activity or a stored card has it.
    ///
    /// # Errors
    /// In words: no address, not TLS, a host that is not on the list.
    pub(super) fn allow(&self, text: &str) -> Result<Service, String> {
        let url = outbound::http::address(text)?;
        let host = url.host_str().unwrap_or_default();
        let named = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        if !self.0.contains(&named) {
            return Err(format!("`{named}` is not among the service hosts of the configuration"));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err("a service URL has no query".to_owned());
        }
        Ok(Service(url))
    }
}

impl Service {
    /// As it was written.
    pub(super) fn as_str(&self) -> &str {
        self.0.as_str()
    }

    fn path(&self, segments: &[&str]) -> Option<Url> {
        let mut url = self.0.clone();
        url.path_segments_mut().ok()?.pop_if_empty().push("v3").push("conversations").extend(segments);
        Some(url)
    }
}

/// A member of a conversation, as Teams has them at this moment.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Member {
    /// Their object id in the tenant.
    pub(super) aad_object_id: Option<String>,
    /// Their own tenant.
    pub(super) tenant_id: Option<String>,
    /// Their sign-in name; a guest's has `#EXT#` in it.
    pub(super) user_principal_name: Option<String>,
    /// `user`, `guest` or `anonymous`, where Teams says it.
    pub(super) user_role: Option<String>,
}

impl Connector {
    /// Sends an activity into a conversation, and answers its id.
    pub(super) async fn send(
        &self,
        service: &Service,
        conversation: &str,
        activity: &Value,
    ) -> Result<String, Failed> {
        let answer = self.call(Method::POST, service, &[conversation, "activities"], Some(activity)).await?;
        id_of(&answer, "id")
    }

    /// Replaces an activity.
    pub(super) async fn replace(
        &self,
        service: &Service,
        conversation: &str,
        id: &str,
        activity: &Value,
    ) -> Result<(), Failed> {
        self.call(Method::PUT, service, &[conversation, "activities", id], Some(activity)).await.map(|_| ())
    }

    /// Begins a thread in a channel of a team with an activity, and answers the thread and the activity's id.
    pub(super) async fn begin_thread(
        &self,
        service: &Service,
        channel: &str,
        activity: &Value,
    ) -> Result<(String, String), Failed> {
        let body = json!({
            "isGroup": true,
            "bot": { "id": self.bot() },
            "tenantId": self.tenant,
            "channelData": { "channel": { "id": channel }, "tenant": { "id": self.tenant } },
            "activity": activity,
        });
        let answer = self.call(Method::POST, service, &[], Some(&body)).await?;
        Ok((id_of(&answer, "id")?, id_of(&answer, "activityId")?))
    }

    /// The conversation between the bot and a person, which Teams makes where there is none yet.
    pub(super) async fn personal(&self, service: &Service, user: &str) -> Result<String, Failed> {
        let body = json!({
            "isGroup": false,
            "bot": { "id": self.bot() },
            "members": [{ "id": user }],
            "tenantId": self.tenant,
            "channelData": { "tenant": { "id": self.tenant } },
        });
        let answer = self.call(Method::POST, service, &[], Some(&body)).await?;
        id_of(&answer, "id")
    }

    /// A member of a conversation.
    pub(super) async fn member(
        &self,
        service: &Service,
        conversation: &str,
        user: &str,
    ) -> Result<Member, Failed> {
        let answer = self.call(Method::GET, service, &[conversation, "members", user], None).await?;
        serde_json::from_value(answer).map_err(|_| Failed::later("the connector's answer is no member"))
    }

    /// The bot's id among Teams' accounts.
    fn bot(&self) -> String {
        format!("28:{}", self.app)
    }

    async fn call(
        &self,
        method: Method,
        service: &Service,
        segments: &[&str],
        body: Option<&Value>,
    ) -> Result<Value, Failed> {
        let url = service.path(segments).ok_or_else(|| Failed::never("the service URL takes no path"))?;
        let token = self.access().await?;
        let request = self.client.request(method, url);
        let request = body.map_or_else(|| request.try_clone(), |body| Some(request.try_clone()?.json(body)));
        let request = request.ok_or_else(|| Failed::never("the request cannot be built"))?;
        let answer = authorised(request, &token).send().await;
        let answer = answer.map_err(|error| Failed::later(outbound::http::unreachable(error)))?;
        if answer.status() == StatusCode::UNAUTHORIZED {
            // It may have been taken back early: the next try asks for another.
            self.access.lock().await.take();
        }
        let status = answer.status();
        if !status.is_success() {
            return Err(failed(status, outbound::http::retry_after(&answer), answer).await);
        }
        let body = wire::body(answer, ANSWER_BYTES).await.map_err(Failed::later)?;
        if body.is_empty() {
            return Ok(Value::Null);
        }
        domain::canonical::read_foreign(&body).map_err(|_| Failed::later("the connector's answer is no JSON"))
    }

    /// An access token that lasts a while yet (OAuth 2.0 client credentials at the tenant).
    async fn access(&self) -> Result<Arc<Secret>, Failed> {
        #[derive(Deserialize)]
        struct Issued {
            access_token: String,
            expires_in: u64,
        }
        let mut access = self.access.lock().await;
        if let Some(held) = access.as_ref().filter(|held| held.until > Instant::now()) {
            return Ok(Arc::clone(&held.token));
        }
        let form = [
            ("grant_type", "client_credentials"),
            ("client_id", self.app.as_str()),
            ("client_secret", self.secret.expose()),
            ("scope", SCOPE),
        ];
        let asked = Instant::now();
        let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let asking = self.client.post(self.token_url.clone());
        let asking = asking.header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(form);
        let answer = asking.send().await;
        let answer = answer.map_err(|error| Failed::later(outbound::http::unreachable(error)))?;
        if !answer.status().is_success() {
            return Err(Failed::Later {
                after: outbound::http::retry_after(&answer),
                why: format!("no access token: the token endpoint answered {}", answer.status()),
            });
        }
        let body = Zeroizing::new(wire::body(answer, ANSWER_BYTES).await.map_err(Failed::later)?);
        let issued: Issued = domain::canonical::read_foreign(&body)
            .ok()
            .and_then(|value| serde_json::from_value(value).ok())
            .ok_or_else(|| Failed::later("the token endpoint's answer is no access token"))?;
        let lasts = Duration::from_secs(issued.expires_in).min(ACCESS_LONGEST);
        let token = Arc::new(Secret::from(issued.access_token));
        let until = asked.checked_add(lasts.saturating_sub(ACCESS_MARGIN)).unwrap_or(asked);
        *access = Some(Access { token: Arc::clone(&token), until });
        Ok(token)
    }
}

fn authorised(request: RequestBuilder, token: &Secret) -> RequestBuilder {
    let bearer = Zeroizing::new(format!("Bearer {}", token.expose()));
    match reqwest::header::HeaderValue::from_str(&bearer) {
        Ok(mut value) => {
            value.set_sensitive(true);
            request.header(AUTHORIZATION, value)
        }
        // Without it the connector refuses, and says so.
        Err(_) => request,
    }
}

/// What a refusal means for the outbox. The connector's own word is kept where it is one.
async fn failed(status: StatusCode, after: Option<Duration>, answer: Response) -> Failed {
    #[derive(Deserialize)]
    struct Told {
        error: Option<Error>,
    }
    #[derive(Deserialize)]
    struct Error {
        code: Option<String>,
    }
    let body = wire::body(answer, ANSWER_BYTES).await.unwrap_or_default();
    let told = domain::canonical::read_foreign(&body).ok();
    let code = told
        .and_then(|value| serde_json::from_value::<Told>(value).ok())
        .and_then(|told| told.error?.code)
        .filter(|code| code.len() <= 64 && code.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    let why = match code {
        Some(code) => format!("Teams answered {status}: {code}"),
        None => format!("Teams answered {status}"),
    };
    match status {
        // Not in the conversation, blocked, gone, too large: trying again changes nothing.
        StatusCode::BAD_REQUEST
        | StatusCode::FORBIDDEN
        | StatusCode::NOT_FOUND
        | StatusCode::GONE
        | StatusCode::PAYLOAD_TOO_LARGE => Failed::Never { why },
        _ => Failed::Later { after, why },
    }
}

fn id_of(answer: &Value, member: &str) -> Result<String, Failed> {
    match answer.get(member).and_then(Value::as_str) {
        Some(id) if !id.is_empty() && id.len() <= ID_BYTES => Ok(id.to_owned()),
        // The message may stand there: nobody can say, and a second one is better than none.
        _ => Err(Failed::later("the connector's answer has no id")),
    }
}
