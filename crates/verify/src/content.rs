//! What proven entries say: events of approvals, changes of the directory.

use domain::action::Action;
use domain::canonical;
use domain::commitment::Disclosure;
use domain::directory::Change;
use domain::entry::Kind;
use domain::event::Event;
use domain::id::ActionId;

use crate::log::Proven;

/// What an entry says.
#[derive(Debug)]
pub(crate) enum Content {
    /// The request, with the action's record.
    Requested {
        /// Of which approval.
        id: ActionId,
        /// The event.
        event: Event,
        /// The record.
        action: Box<Action>,
    },
    /// A later event of an approval.
    Event(ActionId, Event),
    /// An event of an approval that is not shown.
    Withheld(ActionId),
    /// A request of which something is not shown.
    WithheldRequest(ActionId, &'static str),
    /// A change of the directory.
    Change(Change),
    /// A change of the directory that is not shown: it proves nothing, and may speak against whomever it is about.
    WithheldChange,
    /// A decision without people.
    Decision(ActionId),
    /// An entry that says nothing of a case that the verdict needs (a heartbeat, a reveal).
    Other,
}

impl Content {
    /// The case that it is of.
    pub(crate) fn case(&self) -> Option<ActionId> {
        match self {
            Self::Requested { id, .. }
            | Self::Event(id, _)
            | Self::Withheld(id)
            | Self::WithheldRequest(id, _)
            | Self::Decision(id) => Some(*id),
            Self::Change(_) | Self::WithheldChange | Self::Other => None,
        }
    }
}

/// Reads one entry. `only` names the approval of which events are looked at; `None` looks at every approval's.
pub(crate) fn read(proven: &Proven, only: Option<ActionId>) -> Result<Content, String> {
    match proven.leaf.kind {
        Kind::Directory => change(proven),
        Kind::Request => case_of(proven, only, |id| request(proven, id)),
        Kind::Decision => case_of(proven, only, |id| Ok(Content::Decision(id))),
        Kind::Review
        | Kind::Question
        | Kind::Answer
        | Kind::Reevaluation
        | Kind::End
        | Kind::Execution
        | Kind::Outcome
        | Kind::LaterReview => case_of(proven, only, |id| event(proven, id)),
        Kind::Genesis
        | Kind::Activity
        | Kind::Refusal
        | Kind::Reveal
        | Kind::Erasure
        | Kind::Heartbeat
        | Kind::Gap
        | Kind::Rotation
        | Kind::Pruning
        | Kind::Reported
        | Kind::Backup => Ok(Content::Other),
    }
}

/// Reads an entry of a case, where it is one that is looked at.
fn case_of(
    proven: &Proven,
    only: Option<ActionId>,
    read: impl FnOnce(ActionId) -> Result<Content, String>,
) -> Result<Content, String> {
    let subject = proven.leaf.subject.as_deref();
    match only {
        Some(ours) if subject == Some(ours.to_string().as_str()) => read(ours),
        Some(_) => Ok(Content::Other),
        // One spelling only, or two cases could pass for one.
        None => read(self::subject(proven).ok_or("it is of no approval")?),
    }
}

/// The approval that an entry is of, in its only spelling.
pub(crate) fn subject(proven: &Proven) -> Option<ActionId> {
    let subject = proven.leaf.subject.as_deref()?;
    subject.parse::<ActionId>().ok().filter(|id| id.to_string() == subject)
}

fn request(proven: &Proven, id: ActionId) -> Result<Content, String> {
    let [action, event] = fields(proven, ["action", "event"])?;
    let Some(action) = action else { return Ok(Content::WithheldRequest(id, "the record")) };
    let Some(event) = event else { return Ok(Content::WithheldRequest(id, "the event")) };
    let action = Action::read(action.to_vec()).map_err(|error| format!("the action's record: {error}"))?;
    let event = read_event(proven, event)?;
    let Event::Requested { id: requested, action: digest, chain, evaluation } = &event else {
        return Err("a request entry that requests nothing".to_owned());
    };
    if *requested != id || action.id() != id {
        return Err("the request is of another approval".to_owned());
    }
    if *digest != action.digest() || evaluation.action != action.digest() {
        return Err("the action's record does not hash to the digest that was held".to_owned());
    }
    if chain != action.chain() {
        return Err("the request names another chain than the action's record".to_owned());
    }
    Ok(Content::Requested { id, event, action: Box::new(action) })
}

fn event(proven: &Proven, id: ActionId) -> Result<Content, String> {
    let [event] = fields(proven, ["event"])?;
    match event {
        Some(event) => Ok(Content::Event(id, read_event(proven, event)?)),
        None => Ok(Content::Withheld(id)),
    }
}

fn change(proven: &Proven) -> Result<Content, String> {
    let [change] = fields(proven, ["change"])?;
    let Some(change) = change else { return Ok(Content::WithheldChange) };
    let change: Change =
        canonical::read_exact(change).map_err(|error| format!("the change cannot be read: {error}"))?;
    if proven.leaf.subject.as_deref() != Some(change.event.subject().as_str()) {
        return Err("the change is about somebody else than its leaf says".to_owned());
    }
    Ok(Content::Change(change))
}

fn read_event(proven: &Proven, bytes: &[u8]) -> Result<Event, String> {
    let event: Event =
        canonical::read_exact(bytes).map_err(|error| format!("the event cannot be read: {error}"))?;
    let kind = match &event {
        Event::Requested { .. } => Kind::Request,
        Event::Reviewed { .. } => Kind::Review,
        Event::Asked { .. } => Kind::Question,
        Event::Answered { .. } | Event::Withdrawn { .. } => Kind::Answer,
        Event::Reevaluated { .. } | Event::Dismissed { .. } => Kind::Reevaluation,
        Event::Expired {} | Event::Cancelled { .. } => Kind::End,
        Event::Redeemed { .. } => Kind::Execution,
        Event::Finished { .. } => Kind::Outcome,
        Event::LaterReviewed { .. } => Kind::LaterReview,
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
pub(crate) fn fields<'a, const N: usize>(
    proven: &'a Proven,
    paths: [&str; N],
) -> Result<[Option<&'a [u8]>; N], String> {
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
