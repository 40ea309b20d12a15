//! Activities in: their token checked, whose they are asked, clicks carried on, and whoever clicked told what came of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Json, Response};
use domain::account::ExternalAccount;
use domain::id::TargetName;
use domain::statement::NOTE_LIMIT_BYTES;
use domain::time::Timestamp;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use super::connector::{Connector, Member, Service};
use super::inbound::{self, Activity, Actor, Button, CHANNEL, How, Inbound, Press, Pressed, Wrote};
use super::keys::Keys;
use super::limits::WORK_PATIENCE;
use super::memory::Memory;
use super::render::{self, View};
use super::token::{self, Refused, Vouched};
use super::{NAME, words};
use crate::card::Card;
use crate::click::{Answer, Click, Clicks, Evidence, Pressed as Pushed};
use crate::deliver::{Failed, Placed};

/// The bot, as Teams sees it.
pub(super) struct Bot {
    pub(super) name: TargetName,
    pub(super) keys: Keys,
    pub(super) connector: Arc<Connector>,
    pub(super) memory: Arc<Memory>,
    pub(super) clicks: Arc<dyn Clicks>,
    /// Room for activities that are worked on.
    pub(super) room: Arc<Semaphore>,
}

/// The messaging endpoint. Nothing is done before the token was checked, with no way around it.
pub(super) async fn receive(State(bot): State<Arc<Bot>>, headers: HeaderMap, body: Bytes) -> Response {
    let Ok(room) = Arc::clone(&bot.room).try_acquire_owned() else {
        return told(StatusCode::SERVICE_UNAVAILABLE, "busy", "too much at once; come again");
    };
    let checked = match bot.check(&headers, &body).await {
        Ok(checked) => checked,
        Err(Stopped::Token(refused)) => {
            tracing::warn!(code = refused.code(), "Teams: an activity was refused: {refused}");
            count(refused.code());
            return told(StatusCode::UNAUTHORIZED, refused.code(), &refused.to_string());
        }
        Err(Stopped::Keys) => {
            count("no-keys");
            return told(StatusCode::SERVICE_UNAVAILABLE, "no-keys", "the signing keys cannot be fetched");
        }
        Err(Stopped::Unread(why)) => {
            tracing::warn!(why, "Teams: a signed activity was refused");
            count("unread");
            return told(StatusCode::BAD_REQUEST, "unread", &why);
        }
    };
    // A client that goes away does not stop what has begun.
    let work = tokio::spawn(async move {
        let answered = bot.answer(checked).await;
        drop(room);
        answered
    });
    match tokio::time::timeout(WORK_PATIENCE, work).await {
        Ok(Ok(Some(answer))) => (StatusCode::OK, Json(answer)).into_response(),
        Ok(Ok(None)) => StatusCode::OK.into_response(),
        Ok(Err(_)) => told(StatusCode::INTERNAL_SERVER_ERROR, "broken", "it went wrong here"),
        Err(_) => (StatusCode::OK, Json(sentence(words::SLOW))).into_response(),
    }
}

/// An activity whose token was checked, for whom there is room.
struct Checked {
    activity: Activity,
    service: Service,
    vouched: Vouched,
}

/// Why an activity goes no further.
enum Stopped {
    Token(Refused),
    Keys,
    Unread(String),
}

impl From<Refused> for Stopped {
    fn from(refused: Refused) -> Self {
        Self::Token(refused)
    }
}

impl Bot {
    async fn check(&self, headers: &HeaderMap, body: &[u8]) -> Result<Checked, Stopped> {
        let token = bearer(headers)?;
        let kid = token::key_id(token)?;
        let keys = self.keys.for_key(&kid).await.ok_or(Stopped::Keys)?;
        // The token's times are held against this machine's clock, as its issuer means them.
        let now = u64::try_from(jiff::Timestamp::now().as_microsecond()).unwrap_or(0);
        let checked = token::check(token, &keys, &self.connector.app, Timestamp::from_micros(now))?;
        let activity = inbound::read(body).map_err(|error| Stopped::Unread(error.to_string()))?;
        let vouched = checked.vouch(&activity.service_url, &activity.channel)?;
        if activity.channel != CHANNEL {
            return Err(Stopped::Unread(format!("the channel is not `{CHANNEL}`")));
        }
        let service = self.connector.hosts.allow(&activity.service_url).map_err(Stopped::Unread)?;
        Ok(Checked { activity, service, vouched })
    }

    /// What Teams gets as the answer; nothing where it wants none.
    async fn answer(&self, checked: Checked) -> Option<Value> {
        let Checked { activity, service, vouched } = checked;
        match activity.inbound {
            Inbound::Pressed(pressed) => self.pressed(*pressed, &service, &vouched).await,
            Inbound::Wrote(wrote) => {
                self.wrote(*wrote, &service).await;
                None
            }
            Inbound::Unknown => Some(json!({ "statusCode": 501, "type": "application/vnd.microsoft.error",
                    "value": { "code": "NotImplemented", "message": words::UNKNOWN } })),
            Inbound::Nothing => None,
        }
    }

    async fn pressed(&self, pressed: Pressed, service: &Service, vouched: &Vouched) -> Option<Value> {
        let content = if pressed.how == How::Submit && !pressed.actor.personal {
            // Its answer would be a message that others read.
            Err(words::among_others())
        } else {
            match self.account(&pressed.actor, service, pressed.how).await {
                Ok(account) => self.carry(&pressed, account, vouched).await,
                Err(answer) => {
                    self.turned_away(&pressed, &answer).await;
                    Err(answer)
                }
            }
        };
        match (content, pressed.how) {
            (Ok(content), How::Execute | How::Refresh) => Some(card(content)),
            // A client that looks by itself keeps the card that everybody sees.
            (Err(answer), How::Refresh) => {
                count(answer.code);
                Some(json!({ "statusCode": 403, "type": "application/vnd.microsoft.error",
                    "value": { "code": "Forbidden", "message": answer.words } }))
            }
            (Err(answer), How::Execute) => {
                count(answer.code);
                let again = Button {
                    press: Press::View,
                    reason: String::new(),
                    question: String::new(),
                    ..pressed.button
                };
                Some(card(render::notice(&answer, Some(&again))))
            }
            (content, How::Submit) => {
                let content = content.unwrap_or_else(|answer| render::notice(&answer, None));
                // What one person sees is not sent to a conversation of several.
                let content =
                    if pressed.actor.personal { content } else { render::notice(&words::alone(), None) };
                self.say(service, &pressed.actor.conversation, content).await;
                None
            }
        }
    }

    /// What we refuse ourselves goes on record too, where Teams names an account; a look is nothing to record.
    async fn turned_away(&self, pressed: &Pressed, answer: &Answer) {
        let Pressed { actor, button, .. } = pressed;
        let user = actor.user.as_deref().unwrap_or(&actor.mri);
        match ExternalAccount::new(NAME, &actor.tenant, user) {
            Ok(account) if button.press != Press::View => {
                self.clicks.turned_away(&account, button.approval, answer.code).await;
            }
            Ok(_) | Err(_) => {}
        }
    }

    /// Carries a click on, and gives the card that whoever clicked sees now.
    async fn carry(
        &self,
        pressed: &Pressed,
        account: ExternalAccount,
        vouched: &Vouched,
    ) -> Result<Value, Answer> {
        let Pressed { actor, message, button, .. } = pressed;
        let placed = Placed {
            team: self.connector.tenant.clone(),
            place: actor.conversation.clone(),
            message: message.clone(),
            extra: None,
        };
        if button.press == Press::View {
            let card = self.clicks.look_at(&account, &self.name, &placed, button.approval).await?;
            return Ok(self.own(&card, actor, None));
        }
        let pushed = pushed(button)?;
        let marks = BTreeMap::from([
            ("app".to_owned(), self.connector.app.clone()),
            ("key".to_owned(), vouched.kid.clone()),
        ]);
        let click = Click {
            channel: self.name.clone(),
            account,
            placed,
            approval: button.approval,
            version: button.version,
            pressed: pushed,
            evidence: Evidence { once: actor.activity.clone(), checked: "bot framework token", marks },
        };
        let mut answer = self.clicks.click(click).await;
        count(answer.code);
        match answer.card.take() {
            Some(card) => Ok(self.own(&card, actor, Some(&answer))),
            None => Err(answer),
        }
    }

    fn own(&self, card: &Card, actor: &Actor, answer: Option<&Answer>) -> Value {
        if actor.personal {
            return render::card(card, View::Own { answer });
        }
        self.memory.saw_reviewer(&actor.conversation, &actor.mri);
        render::card(card, View::OwnAmongOthers { answer, reader: &actor.mri })
    }

    async fn wrote(&self, wrote: Wrote, service: &Service) {
        let Wrote { actor, text } = wrote;
        if !actor.personal {
            self.say(service, &actor.conversation, render::notice(&words::alone(), None)).await;
            return;
        }
        let account = match self.account(&actor, service, How::Execute).await {
            Ok(account) => account,
            Err(answer) => {
                count(answer.code);
                return self.say(service, &actor.conversation, render::notice(&answer, None)).await;
            }
        };
        let mut said = text.split(' ');
        let (command, code, rest) = (said.next().unwrap_or_default(), said.next(), said.next());
        let content = match (command.to_lowercase().as_str(), code, rest) {
            ("link", None, _) => render::notice(&self.clicks.begin_link(&account, &actor.name).await, None),
            ("link", Some(code), None) => {
                render::notice(&self.clicks.finish_link(&account, code).await, None)
            }
            ("unlink", None, _) => render::notice(&self.clicks.unlink(&account).await, None),
            ("inbox", None, _) => match self.clicks.inbox(&account).await {
                Ok(waiting) => render::inbox(&waiting),
                Err(answer) => render::notice(&answer, None),
            },
            _ => render::notice(&words::help(), None),
        };
        self.say(service, &actor.conversation, content).await;
    }

    async fn say(&self, service: &Service, conversation: &str, content: Value) {
        let line = content.get("fallbackText").and_then(Value::as_str).unwrap_or(NAME).to_owned();
        if let Err(error) = self.connector.send(service, conversation, &render::message(&line, content)).await
        {
            tracing::warn!(?error, "Teams: an answer did not arrive");
        }
    }

    /// Whose click it is, as Teams has them at this moment: a user of our tenant, no guest, no bot. Whom that is here,
    /// and what they may, is asked elsewhere.
    async fn account(&self, actor: &Actor, service: &Service, how: How) -> Result<ExternalAccount, Answer> {
        if !actor.tenant.eq_ignore_ascii_case(&self.connector.tenant) {
            return Err(words::foreign());
        }
        let user = match &actor.user {
            Some(user) if !actor.is_bot => user.to_lowercase(),
            Some(_) | None => return Err(words::no_person()),
        };
        // A look that nobody asked for shows nothing to whom no person here was linked.
        if how != How::Refresh {
            match self.connector.member(service, &actor.conversation, &actor.mri).await {
                Ok(member) => stands(&member, &user, &self.connector.tenant)?,
                Err(Failed::Never { .. }) => return Err(words::no_member()),
                Err(Failed::Turn { .. }) => return Err(words::unsure()),
                Err(Failed::Later { why, .. }) => {
                    tracing::warn!(why, "Teams: cannot look up a member");
                    return Err(words::unsure());
                }
            }
        }
        let account =
            ExternalAccount::new(NAME, &self.connector.tenant, &user).map_err(|_| words::no_person())?;
        self.memory.saw_service(service);
        if actor.personal {
            self.memory.saw_chat(&user, &actor.conversation);
        }
        Ok(account)
    }
}

/// Whether Teams itself calls somebody a user of this tenant. What it does not say is a no.
pub(super) fn stands(member: &Member, user: &str, tenant: &str) -> Result<(), Answer> {
    let is =
        |said: &Option<String>, ours: &str| said.as_ref().is_some_and(|said| said.eq_ignore_ascii_case(ours));
    let guest = member.user_principal_name.as_ref().is_some_and(|name| name.to_uppercase().contains("#EXT#"));
    if !is(&member.aad_object_id, user) {
        return Err(words::no_person());
    }
    if !is(&member.tenant_id, tenant) {
        return Err(words::foreign());
    }
    if guest || !is(&member.user_role, "user") {
        return Err(words::guest());
    }
    Ok(())
}

fn pushed(button: &Button) -> Result<Pushed, Answer> {
    let said = match button.press {
        Press::Deny => button.reason.trim(),
        Press::Ask => button.question.trim(),
        Press::View | Press::Approve | Press::Confirm => "",
    };
    let asks = matches!(button.press, Press::Deny | Press::Ask);
    if asks && said.is_empty() {
        return Err(words::empty());
    }
    if asks && said.len() > NOTE_LIMIT_BYTES {
        return Err(words::too_long());
    }
    match button.press {
        Press::Approve => Ok(Pushed::Approve { confirmed: false }),
        Press::Confirm => Ok(Pushed::Approve { confirmed: true }),
        Press::Deny => Ok(Pushed::Deny { reason: said.to_owned() }),
        Press::Ask => Ok(Pushed::Ask { question: said.to_owned() }),
        Press::View => Err(words::empty()),
    }
}

fn bearer(headers: &HeaderMap) -> Result<&str, Refused> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return Err(Refused::Missing) };
    let text = value.to_str().map_err(|_| Refused::Missing)?;
    match text.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") && !token.is_empty() => Ok(token),
        Some(_) | None => Err(Refused::Missing),
    }
}

/// An invoke's answer ("Universal actions", response format).
fn card(content: Value) -> Value {
    json!({ "statusCode": 200, "type": "application/vnd.microsoft.card.adaptive", "value": content })
}

fn sentence(words: &str) -> Value {
    json!({ "statusCode": 200, "type": "application/vnd.microsoft.activity.message", "value": words })
}

fn told(status: StatusCode, code: &str, message: &str) -> Response {
    (status, Json(json!({ "error": { "code": code, "message": message } }))).into_response()
}

fn count(code: &'static str) {
    metrics::counter!("countersign_teams_answers_total", "code" => code).increment(1);
}
