//! What Slack sends, read once and strictly into what it means here. Pure.

use domain::id::ActionId;
use domain::text::cut;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::blocks::Action;
use super::limits::{ID_BYTES, TYPED_BYTES};

/// What came, as far as it concerns us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Inbound {
    /// Somebody pressed a button of a card.
    Pressed(Pressed),
    /// Somebody sent the words that a modal asked for.
    Submitted(Submitted),
    /// Somebody typed our command.
    Asked(Command),
    /// Somebody opened our tab.
    Home(Actor),
    /// Something to acknowledge and leave alone: a button that only leads somewhere, another event.
    Nothing,
}

/// Who did something, and through which app in which workspace. Slack says so; it is compared with what we know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Actor {
    /// The app that Slack says this is for.
    pub(super) app: String,
    /// The workspace in which it happened.
    pub(super) team: String,
    /// The person.
    pub(super) user: String,
    /// The person's own workspace, where Slack says it.
    pub(super) user_team: Option<String>,
}

/// A pressed button.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pressed {
    /// Who.
    pub(super) actor: Actor,
    /// Which button.
    pub(super) action: Action,
    /// Of which card, standing where.
    pub(super) on: On,
    /// Whether Slack asked them to confirm it, and they did: without that it sends no click.
    pub(super) confirmed: bool,
    /// Given to this click alone. It opens one modal within three seconds.
    pub(super) trigger: String,
}

/// A typed command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Command {
    /// Who.
    pub(super) actor: Actor,
    /// What stood after the command.
    pub(super) text: String,
    /// Their name as Slack shows it; anybody can choose theirs.
    pub(super) name: String,
    /// In which conversation, where Slack says it.
    pub(super) place: Option<String>,
}

/// Words that a modal asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Submitted {
    /// Who.
    pub(super) actor: Actor,
    /// What they are for: [`Action::Deny`] or [`Action::Ask`].
    pub(super) action: Action,
    /// Of which card, standing where.
    pub(super) on: On,
    /// The words.
    pub(super) words: String,
    /// The modal's own id: one modal is submitted once.
    pub(super) view: String,
}

/// A card as a click names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct On {
    /// The request.
    pub(super) approval: ActionId,
    /// How many events stood behind the card that was looked at.
    pub(super) version: u64,
    /// The conversation.
    pub(super) channel: String,
    /// The message in it.
    pub(super) ts: String,
}

impl On {
    /// A button's value: an id and a version.
    pub(super) fn value(approval: ActionId, version: u64) -> String {
        format!("{approval}.{version}")
    }
}

/// Why something that Slack signed is not understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Slack sent what is not understood: {0}")]
pub(super) struct Unread(&'static str);

/// The block and the field of a modal in which words are typed.
pub(super) const WORDS: &str = "words";

/// The kinds of what Slack sends, as Socket Mode names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Buttons and modals.
    Interactive,
    /// Commands.
    SlashCommands,
    /// Events.
    EventsApi,
}

impl Kind {
    /// What a name of Socket Mode's stands for.
    pub(super) fn of(name: &str) -> Option<Self> {
        match name {
            "interactive" => Some(Self::Interactive),
            "slash_commands" => Some(Self::SlashCommands),
            "events_api" => Some(Self::EventsApi),
            _ => None,
        }
    }
}

/// What a payload means.
///
/// # Errors
/// [`Unread`], where something is missing that the kind of payload always has.
pub(super) fn read(kind: Kind, payload: &Value) -> Result<Inbound, Unread> {
    match kind {
        Kind::Interactive => match text(payload, "/type") {
            Some("block_actions") => pressed(payload),
            Some("view_submission") => submitted(payload),
            Some(_) => Ok(Inbound::Nothing),
            None => Err(Unread("a payload without a type")),
        },
        Kind::SlashCommands => {
            let actor = Actor {
                app: id(payload, "/api_app_id").ok_or(Unread("a command of no app"))?,
                team: id(payload, "/team_id").ok_or(Unread("a command in no workspace"))?,
                user: id(payload, "/user_id").ok_or(Unread("a command of nobody"))?,
                user_team: None,
            };
            Ok(Inbound::Asked(Command {
                actor,
                text: cut(text(payload, "/text").unwrap_or_default(), TYPED_BYTES).to_owned(),
                name: cut(text(payload, "/user_name").unwrap_or_default(), TYPED_BYTES).to_owned(),
                place: id(payload, "/channel_id"),
            }))
        }
        Kind::EventsApi if text(payload, "/event/type") == Some("app_home_opened") => {
            if text(payload, "/event/tab") != Some("home") {
                return Ok(Inbound::Nothing);
            }
            Ok(Inbound::Home(Actor {
                app: id(payload, "/api_app_id").ok_or(Unread("an event of no app"))?,
                team: id(payload, "/team_id").ok_or(Unread("an event in no workspace"))?,
                user: id(payload, "/event/user").ok_or(Unread("an event of nobody"))?,
                user_team: None,
            }))
        }
        Kind::EventsApi => Ok(Inbound::Nothing),
    }
}

fn pressed(payload: &Value) -> Result<Inbound, Unread> {
    let [action] = payload.pointer("/actions").and_then(Value::as_array).map_or(&[][..], Vec::as_slice)
    else {
        return Err(Unread("a click on no button, or on several"));
    };
    let Some(which) = text(action, "/action_id").and_then(Action::of) else {
        return Ok(Inbound::Nothing);
    };
    // A button that leads somewhere is acknowledged; its click decides nothing.
    if which == Action::Open {
        return Ok(Inbound::Nothing);
    }
    if text(payload, "/container/type") != Some("message") {
        return Err(Unread("a click outside of a message"));
    }
    let (channel, ts) = id(payload, "/container/channel_id")
        .zip(ts(payload, "/container/message_ts"))
        .ok_or(Unread("a click in no message"))?;
    // Slack says it twice; a payload that contradicts itself is nobody's click.
    if id(payload, "/channel/id").as_deref() != Some(&channel) || text(payload, "/message/ts") != Some(&ts) {
        return Err(Unread("a click in two places"));
    }
    let value = text(action, "/value").unwrap_or_default();
    let (approval, version) = value
        .split_once('.')
        .and_then(|(approval, version)| Some((approval.parse().ok()?, plain_number(version)?)))
        .ok_or(Unread("a button without a request"))?;
    Ok(Inbound::Pressed(Pressed {
        actor: actor(payload)?,
        action: which,
        on: On { approval, version, channel, ts },
        confirmed: action.get("confirm").is_some_and(Value::is_object),
        trigger: text(payload, "/trigger_id").ok_or(Unread("a click without a trigger"))?.to_owned(),
    }))
}

fn submitted(payload: &Value) -> Result<Inbound, Unread> {
    let action = text(payload, "/view/callback_id").and_then(Action::of);
    let Some(action @ (Action::Deny | Action::Ask)) = action else { return Ok(Inbound::Nothing) };
    let on = text(payload, "/view/private_metadata")
        .and_then(|carried| domain::canonical::read(carried.as_bytes()).ok())
        .ok_or(Unread("a modal of no request"))?;
    let words = text(payload, &format!("/view/state/values/{WORDS}/{WORDS}/value")).unwrap_or_default();
    Ok(Inbound::Submitted(Submitted {
        actor: actor(payload)?,
        action,
        on,
        words: words.trim().to_owned(),
        view: id(payload, "/view/id").ok_or(Unread("a modal without an id"))?,
    }))
}

fn actor(payload: &Value) -> Result<Actor, Unread> {
    Ok(Actor {
        app: id(payload, "/api_app_id").ok_or(Unread("a click for no app"))?,
        team: id(payload, "/team/id").ok_or(Unread("a click in no workspace"))?,
        user: id(payload, "/user/id").ok_or(Unread("a click of nobody"))?,
        user_team: id(payload, "/user/team_id"),
    })
}

fn text<'a>(value: &'a Value, pointer: &str) -> Option<&'a str> {
    value.pointer(pointer).and_then(Value::as_str)
}

/// An id of Slack's: capital letters and digits.
fn id(value: &Value, pointer: &str) -> Option<String> {
    let id = text(value, pointer)?;
    let good = !id.is_empty()
        && id.len() <= ID_BYTES
        && id.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
    good.then(|| id.to_owned())
}

/// A message's time, which is its name: `1732190400.000100`.
fn ts(value: &Value, pointer: &str) -> Option<String> {
    let ts = text(value, pointer)?;
    let (seconds, micros) = ts.split_once('.')?;
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    (ts.len() <= ID_BYTES && digits(seconds) && digits(micros)).then(|| ts.to_owned())
}

/// A number as we write it: digits, and no other form of the same number.
fn plain_number(text: &str) -> Option<u64> {
    let number: u64 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}
