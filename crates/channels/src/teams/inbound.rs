//! What the Bot Connector sends, read once into what it means here. Pure.
//!
//! An activity is foreign: members that nobody asked for are left alone, and whatever is read is held against a limit and
//! a set of characters. What cannot be read is refused; what means nothing here is [`Inbound::Nothing`].

use domain::id::ActionId;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::limits::{ID_BYTES, NAME_BYTES, TEXT_BYTES, URL_BYTES};
use crate::limits::EVIDENCE_MARK_BYTES;

/// The only channel of the Bot Framework that is served.
pub(super) const CHANNEL: &str = "msteams";

/// An activity, before its token was held against it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Activity {
    /// The service URL that it names: answers would go there.
    pub(super) service_url: String,
    /// The channel that it names.
    pub(super) channel: String,
    /// What it means.
    pub(super) inbound: Inbound,
}

/// What came, as far as it concerns us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Inbound {
    /// Somebody pressed a button of a card.
    Pressed(Box<Pressed>),
    /// Somebody wrote to the bot.
    Wrote(Box<Wrote>),
    /// Something that asks for an answer that we do not have.
    Unknown,
    /// Something to leave alone.
    Nothing,
}

/// A pressed button.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pressed {
    /// Who.
    pub(super) actor: Actor,
    /// Of which card's message.
    pub(super) message: String,
    /// Which button, of which request.
    pub(super) button: Button,
    /// How the answer goes back.
    pub(super) how: How,
}

/// How a button was pressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    /// By a person, with `Action.Execute`: the answer is the invoke's.
    Execute,
    /// By the client on its own, when the card came into view.
    Refresh,
    /// By a person, with `Action.Submit` in a client that knows no `Action.Execute`: the answer is a message.
    Submit,
}

/// Words for the bot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wrote {
    /// Who.
    pub(super) actor: Actor,
    /// What, without mentions of the bot, in one line.
    pub(super) text: String,
}

/// Who did something, and where. Teams says so; the tenant is compared with ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Actor {
    /// The conversation's tenant.
    pub(super) tenant: String,
    /// The person's object id in it (`aadObjectId`); nothing for who has none, such as a bot.
    pub(super) user: Option<String>,
    /// Teams' own id of the person, such as `29:1a2b`, good for this bot only.
    pub(super) mri: String,
    /// Whether it is a bot.
    pub(super) is_bot: bool,
    /// Their name as Teams shows it.
    pub(super) name: String,
    /// The conversation.
    pub(super) conversation: String,
    /// Whether only this person and the bot are in it.
    pub(super) personal: bool,
    /// The activity's own id: one click has one.
    pub(super) activity: String,
}

/// What a button carries: an id and a version, and what it is for. Inputs of the card add words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Button {
    /// The version of this shape: 1.
    pub(super) v: u8,
    /// What it is for.
    pub(super) press: Press,
    /// The request.
    pub(super) approval: ActionId,
    /// How many events stood behind the card that was looked at.
    pub(super) version: u64,
    /// What was typed in [`REASON`].
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) reason: String,
    /// What was typed in [`QUESTION`].
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) question: String,
}

/// What a button is for. `verb` of an `Action.Execute` is the same word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Press {
    /// Shows the request as whoever presses may see it.
    View,
    /// Approves.
    Approve,
    /// Approves, by a second click after the first.
    Confirm,
    /// Denies, with words.
    Deny,
    /// Asks, with words.
    Ask,
}

impl Press {
    /// The word.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::View => "view",
            Self::Approve => "approve",
            Self::Confirm => "confirm",
            Self::Deny => "deny",
            Self::Ask => "ask",
        }
    }
}

/// The input of a card for the reason of a denial. No two inputs of a card have one name.
pub(super) const REASON: &str = "reason";
/// The input of a card for a question.
pub(super) const QUESTION: &str = "question";

/// Why an activity is not understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the activity is not understood: {0}")]
pub(super) struct Unread(&'static str);

/// What an activity's bytes mean.
///
/// # Errors
/// [`Unread`]: no strict JSON, not an activity, or an id that is none.
pub(super) fn read(body: &[u8]) -> Result<Activity, Unread> {
    let value = domain::canonical::read_foreign(body).map_err(|_| Unread("it is no JSON"))?;
    let sent: Sent = serde_json::from_value(value).map_err(|_| Unread("it is no activity"))?;
    let service_url = within(sent.service_url.as_deref(), URL_BYTES, "`serviceUrl`")?;
    let channel = within(sent.channel_id.as_deref(), NAME_BYTES, "`channelId`")?;
    let inbound = match (sent.kind.as_str(), sent.name.as_deref()) {
        ("invoke", Some("adaptiveCard/action")) => Inbound::Pressed(Box::new(executed(&sent)?)),
        ("invoke", _) => Inbound::Unknown,
        ("message", _) => match &sent.value {
            Some(value) if value.get("press").is_some() => {
                Inbound::Pressed(Box::new(pressed(&sent, value, How::Submit)?))
            }
            Some(_) | None => Inbound::Wrote(Box::new(Wrote { actor: actor(&sent)?, text: text(&sent) })),
        },
        _ => Inbound::Nothing,
    };
    Ok(Activity { service_url, channel, inbound })
}

fn executed(sent: &Sent) -> Result<Pressed, Unread> {
    const NONE: Unread = Unread("the invoke has no action of ours");
    let value = sent.value.as_ref().ok_or(NONE)?;
    let how = match value.get("trigger").and_then(Value::as_str) {
        Some("automatic") => How::Refresh,
        Some(_) | None => How::Execute,
    };
    let data = value.get("action").and_then(|action| action.get("data")).ok_or(NONE)?;
    let pressed = pressed(sent, data, how)?;
    let verb = value.get("action").and_then(|action| action.get("verb")).and_then(Value::as_str);
    if verb != Some(pressed.button.press.as_str()) {
        return Err(Unread("the action's verb is not that of its data"));
    }
    if how == How::Refresh && pressed.button.press != Press::View {
        return Err(Unread("only a look comes without a person"));
    }
    Ok(pressed)
}

fn pressed(sent: &Sent, data: &Value, how: How) -> Result<Pressed, Unread> {
    let button = Button::deserialize(data).map_err(|_| Unread("the button carries nothing of ours"))?;
    if button.v != 1 {
        return Err(Unread("the button is of another version"));
    }
    let message = id(sent.reply_to_id.as_deref(), "`replyToId`")?;
    Ok(Pressed { actor: actor(sent)?, message, button, how })
}

fn actor(sent: &Sent) -> Result<Actor, Unread> {
    let (Some(from), Some(conversation)) = (&sent.from, &sent.conversation) else {
        return Err(Unread("it is from nobody, or from nowhere"));
    };
    let channel_tenant =
        sent.channel_data.as_ref().and_then(|data| data.tenant.as_ref()).map(|tenant| &tenant.id);
    let tenant = conversation.tenant_id.as_ref().or(channel_tenant);
    // Two tenants in one activity are nobody's.
    if channel_tenant.is_some_and(|other| Some(other) != tenant)
        || from.tenant_id.as_ref().is_some_and(|other| Some(other) != tenant)
    {
        return Err(Unread("it names several tenants"));
    }
    let mri = id(from.id.as_deref(), "`from.id`")?;
    let user = match from.aad_object_id.as_deref() {
        None | Some("") => None,
        some => Some(id(some, "`from.aadObjectId`")?),
    };
    let name = from.name.as_deref().unwrap_or_default();
    Ok(Actor {
        tenant: id(tenant.map(String::as_str), "the tenant")?,
        user,
        is_bot: mri.starts_with("28:") || from.role.as_deref().is_some_and(|role| role != "user"),
        mri,
        name: domain::text::cut(name, NAME_BYTES).to_owned(),
        conversation: id(conversation.id.as_deref(), "`conversation.id`")?,
        personal: conversation.conversation_type.as_deref() == Some("personal")
            && conversation.is_group != Some(true),
        activity: within(sent.id.as_deref(), EVIDENCE_MARK_BYTES, "`id`")?,
    })
}

/// What somebody wrote: without `<at>…</at>`, other tags and runs of white space.
fn text(sent: &Sent) -> String {
    let mut rest = domain::text::cut(sent.text.as_deref().unwrap_or_default(), TEXT_BYTES);
    let mut plain = String::new();
    while let Some((before, after)) = rest.split_once('<') {
        plain.push_str(before);
        plain.push(' ');
        let after = match after.strip_prefix("at>") {
            Some(name) => name.split_once("</at>").map(|(_, after)| after),
            None => after.split_once('>').map(|(_, after)| after),
        };
        // A tag without an end hides what follows it.
        rest = after.unwrap_or_default();
    }
    plain.push_str(rest);
    plain.replace("&nbsp;", " ").split_whitespace().collect::<Vec<_>>().join(" ")
}

fn id(text: Option<&str>, what: &'static str) -> Result<String, Unread> {
    within(text, ID_BYTES, what)
}

/// Visible ASCII, not empty, within a limit.
fn within(text: Option<&str>, limit: usize, what: &'static str) -> Result<String, Unread> {
    match text {
        Some(text)
            if (1..=limit).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic()) =>
        {
            Ok(text.to_owned())
        }
        Some(_) | None => Err(Unread(what)),
    }
}

/// The members of an activity that are looked at ("Bot Framework -- Activity").
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Sent {
    #[serde(rename = "type")]
    kind: String,
    name: Option<String>,
    id: Option<String>,
    service_url: Option<String>,
    channel_id: Option<String>,
    from: Option<Account>,
    conversation: Option<Conversation>,
    reply_to_id: Option<String>,
    channel_data: Option<ChannelData>,
    text: Option<String>,
    value: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Account {
    id: Option<String>,
    name: Option<String>,
    aad_object_id: Option<String>,
    tenant_id: Option<String>,
    role: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Conversation {
    id: Option<String>,
    tenant_id: Option<String>,
    conversation_type: Option<String>,
    is_group: Option<bool>,
}

#[derive(Deserialize)]
struct ChannelData {
    tenant: Option<Tenant>,
}

#[derive(Deserialize)]
struct Tenant {
    id: String,
}
