//! Clicks in: whether Slack's word on who and where holds, and what whoever clicked is told.
//!
//! Nothing here decides who may review. What is refused here are clicks of which Slack itself says that no full member of
//! this workspace made them, and clicks for another app or from another workspace; all else goes to [`Clicks`].

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use domain::account::ExternalAccount;
use domain::statement::NOTE_LIMIT_BYTES;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::blocks::{Action, Blocks, Message, View};
use super::deliver::Slack;
use super::inbound::{Actor, Command, Inbound, Kind, On, Pressed, Submitted, WORDS, read};
use super::limits::{ANSWER_WITHIN, AT_ONCE, WORK_PATIENCE};
use super::render;
use super::socket::Taker;
use super::standing::{NoMember, member};
use super::text::{escaped, fit};
use super::verify::{First, Seen};
use crate::card::Card;
use crate::click::{Answer, Click, Clicks, Evidence, Pressed as Press};
use crate::deliver::Placed;
use crate::limits::INBOX;

/// Takes what Slack sends, however it came.
pub(super) struct Desk {
    pub(super) slack: Arc<Slack>,
    pub(super) clicks: Arc<dyn Clicks>,
    /// `socket` or `signed request`: how it is known that Slack sent it.
    pub(super) checked: &'static str,
    pub(super) seen: Seen,
    pub(super) at_once: Arc<Semaphore>,
}

impl Desk {
    pub(super) fn new(slack: Arc<Slack>, clicks: Arc<dyn Clicks>, checked: &'static str) -> Arc<Self> {
        let at_once = Arc::new(Semaphore::new(AT_ONCE));
        Arc::new(Self { slack, clicks, checked, seen: Seen::default(), at_once })
    }

    /// Takes one payload, and answers with what its acknowledgement carries, in time for that. `None` where it must not
    /// be acknowledged: Slack tells whoever clicked that the app did not answer, or sends an event again.
    pub(super) async fn take(self: Arc<Self>, kind: Kind, id: &str, payload: &Value) -> Option<Value> {
        match self.seen.first(id, Instant::now()) {
            First::Yes => {}
            First::No => {
                self.count("replayed");
                tracing::info!(id, "Slack sent the same twice; the second changes nothing");
                return Some(Value::Null);
            }
            First::Unknown => {
                self.count("overloaded");
                return None;
            }
        }
        let inbound = match read(kind, payload) {
            Ok(inbound) => inbound,
            Err(error) => {
                self.count("unread");
                tracing::warn!(%error, "a payload of Slack's is left alone");
                return Some(Value::Null);
            }
        };
        let Ok(permit) = Arc::clone(&self.at_once).try_acquire_owned() else {
            self.count("overloaded");
            tracing::warn!("more clicks at once than are worked on; this one is not acknowledged");
            return None;
        };
        let desk = Arc::clone(&self);
        match inbound {
            Inbound::Nothing => Some(Value::Null),
            // A click's acknowledgement carries nothing, so it leaves at once and the answer follows.
            Inbound::Pressed(pressed) => {
                tokio::spawn(async move {
                    let _permit = permit;
                    within(desk.pressed(pressed)).await;
                });
                Some(Value::Null)
            }
            Inbound::Home(actor) => {
                tokio::spawn(async move {
                    let _permit = permit;
                    within(desk.home(actor)).await;
                });
                Some(Value::Null)
            }
            // Those carry an answer, if it is there in time; if not, the answer follows as a message.
            Inbound::Submitted(submitted) => {
                let place = submitted.on.channel.clone();
                let user = submitted.actor.user.clone();
                let late = Arc::clone(&self);
                let work = tokio::spawn(async move {
                    let _permit = permit;
                    desk.submitted(submitted).await
                });
                Some(late.in_time(work, &place, &user, refused_words).await)
            }
            Inbound::Asked(command) => {
                let place = command.place.clone().unwrap_or_default();
                let user = command.actor.user.clone();
                let late = Arc::clone(&self);
                let work = tokio::spawn(async move {
                    let _permit = permit;
                    desk.asked(command).await
                });
                Some(late.in_time(work, &place, &user, whispered).await)
            }
        }
    }

    /// What work comes to, as an acknowledgement carries it; or nothing yet, and a message when it is done.
    async fn in_time(
        self: Arc<Self>,
        mut work: tokio::task::JoinHandle<Told>,
        place: &str,
        user: &str,
        carried: fn(&Told) -> Value,
    ) -> Value {
        if let Ok(done) = timeout(ANSWER_WITHIN, &mut work).await {
            return done.map_or(Value::Null, |told| carried(&told));
        }
        let (place, user) = (place.to_owned(), user.to_owned());
        tokio::spawn(async move {
            if let Ok(Ok(told)) = timeout(WORK_PATIENCE, work).await {
                self.whisper(&place, &user, &told).await;
            }
        });
        Value::Null
    }

    async fn pressed(&self, pressed: Pressed) {
        let (actor, on) = (pressed.actor.clone(), pressed.on.clone());
        let told = match self.account(&actor).await {
            Err(why) => self.turned_away(&actor, &on, why).await,
            Ok(account) => match pressed.action {
                Action::Approve => {
                    let press = Press::Approve { confirmed: pressed.confirmed };
                    self.click(account, &actor, &on, press, pressed.trigger).await
                }
                // The words come first; whether they may say them is asked again when they have.
                Action::Deny | Action::Ask => match self.clicks.look(&account, on.approval).await {
                    Ok(card) => match self.open(pressed.action, &on, &pressed.trigger, &card.title()).await {
                        Ok(()) => return,
                        Err(told) => told,
                    },
                    Err(answer) => Told::from(answer),
                },
                Action::Open => return,
            },
        };
        self.whisper(&on.channel, &actor.user, &told).await;
    }

    async fn open(&self, action: Action, on: &On, trigger: &str, what: &str) -> Result<(), Told> {
        let failed = || Told::new("Slack did not open the dialog in time. Please press the button again.");
        let view = render::modal(action, on, what).ok_or_else(failed)?;
        self.slack.api.open_view(trigger, &view).await.map_err(|error| {
            tracing::info!(%error, "Slack opened no dialog");
            failed()
        })
    }

    async fn submitted(&self, submitted: Submitted) -> Told {
        let Submitted { actor, action, on, words, view } = submitted;
        if words.is_empty() || words.len() > NOTE_LIMIT_BYTES {
            return Told::new(&format!(
                "Please say it in 1 to {NOTE_LIMIT_BYTES} bytes: a letter with an accent counts two."
            ));
        }
        let press = match action {
            Action::Deny => Press::Deny { reason: words },
            Action::Ask => Press::Ask { question: words },
            Action::Approve | Action::Open => return Told::new("This dialog decides nothing."),
        };
        match self.account(&actor).await {
            Ok(account) => self.click(account, &actor, &on, press, view).await,
            Err(why) => self.turned_away(&actor, &on, why).await,
        }
    }

    /// A click on a request, refused here, goes on record as those do that are refused behind.
    async fn turned_away(&self, actor: &Actor, on: &On, why: Unheard) -> Told {
        if let Ok(account) = ExternalAccount::new("slack", &actor.team, &actor.user) {
            self.clicks.turned_away(&account, on.approval, &why.to_string()).await;
        }
        self.refused(why)
    }

    async fn click(
        &self,
        account: ExternalAccount,
        actor: &Actor,
        on: &On,
        pressed: Press,
        once: String,
    ) -> Told {
        let marks = [
            ("app", &actor.app),
            ("team", &actor.team),
            ("user", &actor.user),
            ("channel", &on.channel),
            ("message", &on.ts),
        ];
        let click = Click {
            channel: self.slack.name.clone(),
            account,
            placed: Placed {
                team: actor.team.clone(),
                place: on.channel.clone(),
                message: on.ts.clone(),
                extra: None,
            },
            approval: on.approval,
            version: on.version,
            pressed,
            evidence: Evidence {
                once,
                checked: self.checked,
                marks: marks
                    .map(|(name, mark)| (name.to_owned(), mark.clone()))
                    .into_iter()
                    .collect::<BTreeMap<_, _>>(),
            },
        };
        let answer = self.clicks.click(click).await;
        self.count(answer.code);
        Told::from(answer)
    }

    /// Whose account acts, if Slack says now that it is a full member's of this workspace.
    async fn account(&self, actor: &Actor) -> Result<ExternalAccount, Unheard> {
        let ours = &self.slack.workspace;
        if actor.app != ours.app || actor.team != ours.team {
            return Err(NoMember::Elsewhere.into());
        }
        let user = self.slack.api.user(&actor.user).await.map_err(|error| {
            tracing::warn!(%error, "Slack does not say who clicked");
            Unheard::NoAnswer
        })?;
        member(&user, &actor.user, actor.user_team.as_deref(), &ours.team)?;
        ExternalAccount::new("slack", &ours.team, &actor.user).map_err(|_| Unheard::from(NoMember::Unknown))
    }

    async fn asked(&self, command: Command) -> Told {
        let account = match self.account(&command.actor).await {
            Ok(account) => account,
            Err(why) => return self.refused(why),
        };
        let words: Vec<&str> = command.text.split_whitespace().collect();
        match words.as_slice() {
            [] | ["status" | "inbox"] => match self.clicks.inbox(&account).await {
                Ok(waiting) => Told::inbox(waiting),
                Err(answer) => Told::from(answer),
            },
            ["link"] => Told::from(self.clicks.begin_link(&account, &command.name).await),
            ["link", code] => Told::from(self.clicks.finish_link(&account, code).await),
            ["unlink"] => Told::from(self.clicks.unlink(&account).await),
            _ => Told::new(USAGE),
        }
    }

    async fn home(&self, actor: Actor) {
        let blocks = match self.account(&actor).await {
            Err(why) => self.refused(why).blocks(),
            Ok(account) => match self.clicks.inbox(&account).await {
                Ok(waiting) => Told::inbox(waiting).blocks(),
                Err(answer) => Told::from(answer).blocks(),
            },
        };
        if let Err(error) = self.slack.api.publish_home(&actor.user, &View::Home { blocks }).await {
            tracing::info!(%error, "a home tab is not up to date");
        }
    }

    /// Tells one person something, in the conversation in which they clicked.
    async fn whisper(&self, place: &str, user: &str, told: &Told) {
        let message = Message::new(&told.words, told.blocks());
        if let Err(error) = self.slack.api.whisper(place, user, &message).await {
            tracing::info!(%error, "whoever clicked could not be told");
        }
    }

    fn refused(&self, why: Unheard) -> Told {
        let code = match why {
            Unheard::NoAnswer => "unheard",
            Unheard::NoMember(NoMember::Deleted) => "deactivated",
            Unheard::NoMember(NoMember::Bot) => "bot",
            Unheard::NoMember(NoMember::Guest) => "guest",
            Unheard::NoMember(NoMember::Stranger) => "stranger",
            Unheard::NoMember(NoMember::OtherTeam | NoMember::Elsewhere) => "foreign",
            Unheard::NoMember(NoMember::Unknown) => "unknown",
        };
        self.count(code);
        tracing::warn!(code, %why, "a click in Slack counts for nothing");
        Told::new(&format!("This counts for nothing: {why}."))
    }

    fn count(&self, code: &'static str) {
        metrics::counter!("countersign_slack_clicks_total", "answer" => code).increment(1);
    }
}

/// What can be typed after the command.
const USAGE: &str = "Type /countersign to see what waits for you, /countersign link to link this account to your own in \
    Countersign, and /countersign unlink to take that away.";

/// Why somebody is not heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
enum Unheard {
    #[error(transparent)]
    NoMember(#[from] NoMember),
    #[error("Slack does not answer who you are; please try again")]
    NoAnswer,
}

/// What one person is told.
struct Told {
    words: String,
    done: bool,
    /// Where to go on.
    link: Option<String>,
    /// What waits for them, where they asked for that.
    waiting: Vec<Card>,
}

impl Told {
    fn new(words: &str) -> Self {
        Self { words: words.to_owned(), done: false, link: None, waiting: Vec::new() }
    }

    fn inbox(waiting: Vec<Card>) -> Self {
        let words = match waiting.len() {
            0 => "Nothing waits for you.".to_owned(),
            1 => "One request waits for your review.".to_owned(),
            count => format!("{count} requests wait for your review."),
        };
        Self { done: true, waiting, ..Self::new(&words) }
    }

    fn blocks<const MAX: usize>(&self) -> Blocks<MAX> {
        if self.waiting.is_empty() {
            return render::told(&self.words, self.link.as_deref());
        }
        render::inbox(&self.waiting, self.waiting.len().saturating_sub(INBOX))
    }
}

impl From<Answer> for Told {
    fn from(answer: Answer) -> Self {
        let words = match answer.code {
            "unlinked" => format!("{} Type /countersign link.", answer.words),
            _ => answer.words,
        };
        Self { done: answer.done, link: answer.link, ..Self::new(&words) }
    }
}

/// What an acknowledged modal carries: nothing, and it closes; or the words, under its field.
fn refused_words(told: &Told) -> Value {
    if told.done {
        return Value::Null;
    }
    json!({ "response_action": "errors", "errors": { WORDS: fit(&escaped(&told.words), super::limits::FIELD).0 } })
}

/// What an acknowledged command carries: a message for whoever typed it.
fn whispered(told: &Told) -> Value {
    let mut message = serde_json::to_value(Message::new(&told.words, told.blocks())).unwrap_or_default();
    if let Some(message) = message.as_object_mut() {
        message.insert("response_type".to_owned(), json!("ephemeral"));
    }
    message
}

async fn within(work: impl Future<Output = ()>) {
    if timeout(WORK_PATIENCE, work).await.is_err() {
        tracing::warn!("a click in Slack took longer than {} s and was given up", WORK_PATIENCE.as_secs());
    }
}

#[async_trait::async_trait]
impl Taker for Arc<Desk> {
    async fn take(&self, kind: Kind, id: &str, payload: &Value) -> Option<Value> {
        Desk::take(Arc::clone(self), kind, id, payload).await
    }
}
