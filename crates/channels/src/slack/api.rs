//! Slack's Web API, as far as cards and clicks need it.

use std::time::Duration;

use outbound::http::{Patience, client, retry_after};
use outbound::secret::Secret;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::{Client, RequestBuilder, Response, StatusCode, Url};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::blocks::{Message, View};
use super::limits::{ANSWER_BYTES, CALL_PATIENCE, CONNECT_PATIENCE, RETRY_AFTER, RETRY_AFTER_LONGEST};
use super::standing::User;

/// The API, with one token.
#[derive(Clone)]
pub(super) struct Api {
    http: Client,
    base: Url,
    bearer: HeaderValue,
}

impl std::fmt::Debug for Api {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Api({})", self.base)
    }
}

/// Why a call came to nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum ApiError {
    /// Too many calls: Slack says when to come back.
    #[error("Slack asks for a pause of {} s", .0.as_secs())]
    Limited(Duration),
    /// Slack refused, in its own word.
    #[error("Slack refused: {0}")]
    Refused(String),
    /// No answer, a broken one, or an error of Slack's own.
    #[error("no answer from Slack: {0}")]
    Unreachable(String),
}

impl ApiError {
    /// Whether the same call can succeed later, without anybody changing anything.
    pub(super) fn passes(&self) -> bool {
        match self {
            Self::Limited(_) | Self::Unreachable(_) => true,
            Self::Refused(error) => matches!(
                error.as_str(),
                "ratelimited"
                    | "internal_error"
                    | "fatal_error"
                    | "service_unavailable"
                    | "request_timeout"
                    | "team_added_to_org"
            ),
        }
    }
}

/// Who the bot token is.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Bot {
    /// The workspace.
    pub(super) team_id: String,
    /// The bot.
    pub(super) bot_id: Option<String>,
    /// Set for an app that is installed on a whole organisation.
    #[serde(default)]
    pub(super) is_enterprise_install: bool,
}

/// Where a message stands.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Posted {
    /// The conversation; for a message to a person the direct one.
    pub(super) channel: String,
    /// The message.
    pub(super) ts: String,
}

impl Api {
    /// The API at `base`, which ends in `/`.
    ///
    /// # Errors
    /// In words: a token that no header can carry, a client that cannot be built.
    pub(super) fn new(base: &Url, token: &Secret) -> Result<Self, String> {
        let http = client(None, Patience { connect: CONNECT_PATIENCE, answer: CALL_PATIENCE })?;
        let mut bearer = HeaderValue::from_str(&format!("Bearer {}", token.expose()))
            .map_err(|_| "the token holds what no header can carry".to_owned())?;
        bearer.set_sensitive(true);
        Ok(Self { http, base: base.clone(), bearer })
    }

    pub(super) async fn auth_test(&self) -> Result<Bot, ApiError> {
        self.form("auth.test", &[]).await
    }

    /// The app of which a bot is.
    pub(super) async fn app_of(&self, bot: &str) -> Result<String, ApiError> {
        #[derive(Deserialize)]
        struct Answer {
            bot: App,
        }
        #[derive(Deserialize)]
        struct App {
            app_id: String,
        }
        Ok(self.form::<Answer>("bots.info", &[("bot", bot)]).await?.bot.app_id)
    }

    /// An address for one Socket Mode connection. It lives for 30 seconds and is a secret.
    pub(super) async fn open_connection(&self) -> Result<String, ApiError> {
        #[derive(Deserialize)]
        struct Answer {
            url: String,
        }
        Ok(self.form::<Answer>("apps.connections.open", &[]).await?.url)
    }

    pub(super) async fn post(
        &self,
        channel: &str,
        thread: Option<&str>,
        message: &Message,
    ) -> Result<Posted, ApiError> {
        #[derive(Serialize)]
        struct Body<'a> {
            channel: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            thread_ts: Option<&'a str>,
            #[serde(flatten)]
            message: &'a Message,
        }
        self.json("chat.postMessage", &Body { channel, thread_ts: thread, message }).await
    }

    pub(super) async fn update(&self, channel: &str, ts: &str, message: &Message) -> Result<(), ApiError> {
        #[derive(Serialize)]
        struct Body<'a> {
            channel: &'a str,
            ts: &'a str,
            #[serde(flatten)]
            message: &'a Message,
        }
        let _: Nothing = self.json("chat.update", &Body { channel, ts, message }).await?;
        Ok(())
    }

    /// A few words that one person sees, in a conversation that they are in.
    pub(super) async fn whisper(&self, channel: &str, user: &str, message: &Message) -> Result<(), ApiError> {
        #[derive(Serialize)]
        struct Body<'a> {
            channel: &'a str,
            user: &'a str,
            #[serde(flatten)]
            message: &'a Message,
        }
        let _: Nothing = self.json("chat.postEphemeral", &Body { channel, user, message }).await?;
        Ok(())
    }

    /// The direct conversation with a person.
    pub(super) async fn direct(&self, user: &str) -> Result<String, ApiError> {
        #[derive(Serialize)]
        struct Body<'a> {
            users: &'a str,
        }
        #[derive(Deserialize)]
        struct Answer {
            channel: Conversation,
        }
        #[derive(Deserialize)]
        struct Conversation {
            id: String,
        }
        let answer: Answer = self.json("conversations.open", &Body { users: user }).await?;
        Ok(answer.channel.id)
    }

    pub(super) async fn user(&self, user: &str) -> Result<User, ApiError> {
        #[derive(Deserialize)]
        struct Answer {
            user: User,
        }
        Ok(self.form::<Answer>("users.info", &[("user", user)]).await?.user)
    }

    pub(super) async fn open_view(&self, trigger_id: &str, view: &View) -> Result<(), ApiError> {
        #[derive(Serialize)]
        struct Body<'a> {
            trigger_id: &'a str,
            view: &'a View,
        }
        let _: Nothing = self.json("views.open", &Body { trigger_id, view }).await?;
        Ok(())
    }

    pub(super) async fn publish_home(&self, user_id: &str, view: &View) -> Result<(), ApiError> {
        #[derive(Serialize)]
        struct Body<'a> {
            user_id: &'a str,
            view: &'a View,
        }
        let _: Nothing = self.json("views.publish", &Body { user_id, view }).await?;
        Ok(())
    }

    /// For the methods that take JSON.
    async fn json<T: DeserializeOwned>(&self, method: &str, body: &impl Serialize) -> Result<T, ApiError> {
        let bytes = serde_json::to_vec(body).map_err(|error| ApiError::Unreachable(error.to_string()))?;
        let request =
            self.request(method)?.header(CONTENT_TYPE, "application/json; charset=utf-8").body(bytes);
        self.call(request).await
    }

    /// For the methods that read, which take forms only.
    async fn form<T: DeserializeOwned>(&self, method: &str, fields: &[(&str, &str)]) -> Result<T, ApiError> {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let request =
            self.request(method)?.header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(body);
        self.call(request).await
    }

    fn request(&self, method: &str) -> Result<RequestBuilder, ApiError> {
        let url = self.base.join(method).map_err(|error| ApiError::Unreachable(error.to_string()))?;
        Ok(self.http.post(url).header(AUTHORIZATION, self.bearer.clone()))
    }

    async fn call<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, ApiError> {
        #[derive(Deserialize)]
        struct Verdict {
            ok: bool,
            error: Option<String>,
            #[serde(default)]
            response_metadata: Metadata,
        }
        #[derive(Deserialize, Default)]
        struct Metadata {
            #[serde(default)]
            messages: Vec<String>,
        }
        let response = request.send().await.map_err(unreachable)?;
        let status = response.status();
        if status == StatusCode::TOO_MANY_REQUESTS {
            return Err(ApiError::Limited(
                retry_after(&response).unwrap_or(RETRY_AFTER).min(RETRY_AFTER_LONGEST),
            ));
        }
        if !status.is_success() {
            return Err(ApiError::Unreachable(format!("it answered {status}")));
        }
        let bytes = body(response).await?;
        let unread = |error: String| ApiError::Unreachable(format!("its answer is not understood: {error}"));
        let answer = domain::canonical::read_foreign(&bytes).map_err(unread)?;
        let verdict = Verdict::deserialize(&answer).map_err(|error| unread(error.to_string()))?;
        if !verdict.ok {
            let error = verdict.error.unwrap_or_else(|| "no reason given".to_owned());
            let details = verdict.response_metadata.messages.join("; ");
            let error = if details.is_empty() { error } else { format!("{error} ({details})") };
            return Err(ApiError::Refused(
                domain::text::cut(&error, crate::limits::FAILURE_BYTES).to_owned(),
            ));
        }
        serde_json::from_value(answer).map_err(|error| unread(error.to_string()))
    }
}

/// An answer of which nothing but its `ok` is needed.
#[derive(Deserialize)]
struct Nothing {}

async fn body(mut response: Response) -> Result<Vec<u8>, ApiError> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > ANSWER_BYTES {
            return Err(ApiError::Unreachable("its answer is too long".to_owned()));
        }
    }
    Ok(bytes)
}

fn unreachable(error: reqwest::Error) -> ApiError {
    ApiError::Unreachable(outbound::http::unreachable(error))
}
