//! What proven entries say: events of this approval, changes of the directory.

use domain::action::Action;
use domain::canonical;
use domain::commitment::{Disclosure, disclosed_root};
use domain::directory::Change;
use domain::entry::Kind;
use domain::event::Event;
use domain::receipt::Receipt;

use crate::log::Proven;

/// An entry with what it says.
pub(crate) struct Read<'a> {
    /// The entry.
    pub(crate) proven: &'a Proven,
    /// What it says.
    pub(crate) content: Content,
}

/// What an entry says.
pub(crate) enum Content {
    /// The request, with the action's record.
    Requested {
        /// The event.
        event: Event,
        /// The record, which the payload of the receipt fits.
        action: Box<Action>,
    },
    /// A later event of the approval.
    Event(Event),
    /// An event of the approval that is not shown.
    Withheld,
    /// The request, of which something is not shown.
    WithheldRequest(&'static str),
    /// A change of the directory.
    Change(Change),
    /// A change of the directory that is not shown: it proves nothing, and nothing is missing for it alone.
    WithheldChange,
    /// A decision without people, under this approval's id.
    Decision,
    /// An entry that says nothing of this case that the verdict needs (a heartbeat, a reveal, another case's).
    Other,
}

/// Reads every entry, or says everything that is wrong.
pub(crate) fn read<'a>(receipt: &Receipt, entries: &'a [Proven]) -> Result<Vec<Read<'a>>, Vec<String>> {
    let (mut read, mut reasons) = (Vec::new(), Vec::new());
    for proven in entries {
        match content(receipt, proven) {
            Ok(content) => read.push(Read { proven, content }),
            Err(reason) => reasons.push(format!("entry {}: {reason}", proven.index)),
        }
    }
    if reasons.is_empty() { Ok(read) } else { Err(reasons) }
}

fn content(receipt: &Receipt, proven: &Proven) -> Result<Content, String> {
    let ours = proven.leaf.subject.as_deref() == Some(receipt.approval.to_string().as_str());
    match proven.leaf.kind {
        Kind::Directory => change(proven),
        Kind::Request if ours => request(receipt, proven),
        Kind::Decision if ours => Ok(Content::Decision),
        Kind::Review
        | Kind::Question
        | Kind::Answer
        | Kind::Reevaluation
        | Kind::End
        | Kind::Execution
        | Kind::Outcome
            if ours =>
        {
            event(proven)
        }
        Kind::Genesis
        | Kind::Request
        | Kind::Decision
        | Kind::Review
        | Kind::Question
        | Kind::Answer
        | Kind::Reevaluation
        | Kind::End
        | Kind::Execution
        | Kind::Outcome
        | Kind::Activity
        | Kind::Refusal
        | Kind::Reveal
        | Kind::Erasure
        | Kind::Heartbeat
        | Kind::Gap => Ok(Content::Other),
    }
}

fn request(receipt: &Receipt, proven: &Proven) -> Result<Content, String> {
    let [action, event] = fields(proven, ["action", "event"])?;
    let Some(action) = action else { return Ok(Content::WithheldRequest("the record")) };
    let Some(event) = event else { return Ok(Content::WithheldRequest("the event")) };
    let action = Action::read(action.to_vec()).map_err(|error| format!("the action's record: {error}"))?;
    let event = read_event(proven, event)?;
    let Event::Requested { id, action: digest, chain, evaluation } = &event else {
        return Err("a request entry that requests nothing".to_owned());
    };
    if *id != receipt.approval || action.id() != receipt.approval {
        return Err("the request is of another approval".to_owned());
    }
    if *digest != action.digest() || evaluation.action != action.digest() {
        return Err("the action's record does not hash to the digest that was held".to_owned());
    }
    if chain != action.chain() {
        return Err("the request names another chain than the action's record".to_owned());
    }
    let payload = disclosed_root(&receipt.payload).map_err(|error| format!("the payload: {error}"))?;
    if payload != action.parts().payload {
        return Err("the payload is not the one that the action's record commits to".to_owned());
    }
    Ok(Content::Requested { event, action: Box::new(action) })
}

fn event(proven: &Proven) -> Result<Content, String> {
    let [event] = fields(proven, ["event"])?;
    event.map_or(Ok(Content::Withheld), |event| read_event(proven, event).map(Content::Event))
}

fn change(proven: &Proven) -> Result<Content, String> {
    let [change] = fields(proven, ["change"])?;
    let Some(change) = change else { return Ok(Content::WithheldChange) };
    let change: Change =
        canonical::read(change).map_err(|error| format!("the change cannot be read: {error}"))?;
    if proven.leaf.subject.as_deref() != Some(change.event.subject().as_str()) {
        return Err("the change is about somebody else than its leaf says".to_owned());
    }
    Ok(Content::Change(change))
}

fn read_event(proven: &Proven, bytes: &[u8]) -> Result<Event, String> {
    let event: Event =
        canonical::read(bytes).map_err(|error| format!("the event cannot be read: {error}"))?;
    let kind = match &event {
        Event::Requested { .. } => Kind::Request,
        Event::Reviewed { .. } => Kind::Review,
        Event::Asked { .. } => Kind::Question,
        Event::Answered { .. } | Event::Withdrawn { .. } => Kind::Answer,
        Event::Reevaluated { .. } => Kind::Reevaluation,
        Event::Expired {} | Event::Cancelled { .. } => Kind::End,
        Event::Redeemed { .. } => Kind::Execution,
        Event::Finished { .. } => Kind::Outcome,
    };
    if kind != proven.leaf.kind {
        return Err(format!(
            "its leaf says `{}` and its event `{}`",
            proven.leaf.kind.as_str(),
            event.word()
        ));
    }
    Ok(event)
}

/// The values of exactly these fields, `None` for each that is withheld.
///
/// A kind has the same fields always, so that a leaf which commits to two values under one path (to show one here
/// and one there) is found even when the other is withheld.
fn fields<'a, const N: usize>(proven: &'a Proven, paths: [&str; N]) -> Result<[Option<&'a [u8]>; N], String> {
    let other = || format!("it has other fields than `{}` has", proven.leaf.kind.as_str());
    if proven.fields.len() != N {
        return Err(other());
    }
    let mut values = [None; N];
    for ((value, path), field) in values.iter_mut().zip(paths).zip(&proven.fields) {
        match field {
            Disclosure::Open(open) if open.path == path => *value = Some(open.value.0.as_slice()),
            Disclosure::Open(_) => return Err(other()),
            Disclosure::Withheld(_) => {}
        }
    }
    Ok(values)
}
