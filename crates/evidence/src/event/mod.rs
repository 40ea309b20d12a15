//! One model of what happened: [`TrailEvent`], told from an entry of the log or from a line of activity.
//!
//! Telling is pure ([`tell`]); walking over the log and its segments is in [`walk`]. An event says what was recorded
//! and nothing more: what was erased is counted and not guessed at, words from outside are marked as untrusted, and
//! what somebody reported never reads as what the gateway saw.

pub mod tell;
pub mod walk;

mod segment;

use domain::action::{Level, Point};
use domain::digest::Digest;
use domain::entry::Kind;
use domain::evaluation::Fact;
use domain::id::{AgentId, Origin, PersonId};
use domain::outcome::{Ending, Witnessed};
use domain::requirement::Separation;
use domain::time::Timestamp;
use domain::verb::VerbGroup;
use gateway::report::{Data, Reported};
use mask::TrailMasks;
use serde::{Serialize, Serializer};
use sha2::{Digest as _, Sha256};

pub use tell::Brief;
pub use walk::{Place, Told, Walk};

/// What happened, as other systems are told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TrailEvent {
    /// The version of this record: 1.
    pub v: u8,
    /// The same whenever and however often it is told: see [`event_id`].
    pub id: String,
    /// The deployment.
    pub origin: Origin,
    /// When, in microseconds since 1970.
    pub time: Timestamp,
    /// Where it stands in the log; nowhere yet for activity whose segment has no leaf.
    pub log: Option<Standing>,
    /// What kind of thing.
    pub kind: What,
    /// Whose doing it is.
    pub who: Who,
    /// What was done or asked, in the house's vocabulary.
    pub verb: Option<String>,
    /// The verb's group.
    pub group: Option<VerbGroup>,
    /// To what: its name in the target.
    pub resource: Option<String>,
    /// Where that stands.
    pub environment: Option<String>,
    /// In which target, by its route's name.
    pub target: Option<String>,
    /// Where it was intercepted.
    pub point: Option<Point>,
    /// Whether the caller could have gone round the point.
    pub level: Option<Level>,
    /// The run that it belongs to, as the caller claims.
    pub run: Option<String>,
    /// `permit`, `needs-review` or `deny` of policy; `approve`, `deny` or `ask` of a human; `expired`, `cancelled`.
    pub verdict: Option<&'static str>,
    /// The rules that decided, by their ids.
    pub rules: Vec<String>,
    /// The policy set that decided.
    pub policy: Option<Digest>,
    /// The action's id, which is the approval's where people were asked; a report's own id.
    pub approval: Option<String>,
    /// The digest over all that would run.
    pub action: Option<Digest>,
    /// What came of it.
    pub outcome: Option<Ending>,
    /// The target's own word on that, such as `204`.
    pub detail: Option<String>,
    /// Words of an agent or a human: why they ask, or what they answer.
    pub reason: Option<Untrusted>,
    /// Whether the gateway saw it or was told.
    pub witnessed: Witnessed,
    /// Whether those who ask and those who review are different people.
    pub separation: Option<Separation>,
    /// What there is to say beside, in our words.
    pub note: Option<String>,
    /// What was reported, where somebody did.
    pub reported: Option<Reported>,
    /// How many of the entry's values were erased or pruned.
    pub withheld: u32,
    /// Whether parts were left out because the receiver takes only so much.
    #[serde(skip_serializing_if = "is_false")]
    pub cut: bool,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
fn is_false(value: &bool) -> bool {
    !*value
}

/// Where an event stands in the log. A line of activity stands in its segment, whose digest is in the entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Standing {
    /// The entry's index.
    pub index: u64,
    /// The line in the segment, from 1; none for the entry itself.
    pub line: Option<u64>,
    /// The leaf's hash (RFC 6962); none where a pruning dropped the leaf.
    pub leaf: Option<Digest>,
    /// The size of a checkpoint that covers it.
    pub size: u64,
}

/// What kind of thing happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum What {
    /// An entry of this kind.
    Entry(Kind),
    /// An entry whose leaf a pruning dropped: that it was there is all that is left.
    Pruned,
    /// A line of activity: permitted at once.
    Permit,
    /// A line of activity: denied at once.
    Denial,
    /// A line of activity: what came of a permitted action.
    Outcome,
    /// A line of activity: what somebody outside reported.
    Report,
    /// A line of activity that does not read; its bytes are what was written.
    Unreadable,
    /// A segment whose bytes are not those that its leaf names: somebody altered it. None of its lines is told.
    Altered,
    /// A segment that should be here and is not: somebody removed it.
    Missing,
    /// A segment that another gateway over the same store has: it tells its lines.
    Elsewhere,
}

impl What {
    /// The kind's stable name: an entry's without its version, an activity line's behind `activity.`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Entry(kind) => {
                let name = kind.as_str();
                name.split_once('/').map_or(name, |(name, _)| name)
            }
            Self::Pruned => "pruned",
            Self::Permit => "activity.permit",
            Self::Denial => "activity.deny",
            Self::Outcome => "activity.outcome",
            Self::Report => "activity.reported",
            Self::Unreadable => "activity.unreadable",
            Self::Altered => "activity.altered",
            Self::Missing => "activity.missing",
            Self::Elsewhere => "activity.elsewhere",
        }
    }

    /// Whether it says that evidence was altered or lost.
    #[must_use]
    pub fn is_alarm(self) -> bool {
        matches!(self, Self::Unreadable | Self::Altered | Self::Missing | Self::Entry(Kind::Gap))
    }
}

impl Serialize for What {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// Whose doing it is; names are as the directory has them when it is told.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Who {
    /// The agent that asked or ran.
    pub agent: Option<AgentId>,
    /// Its name.
    pub agent_name: Option<String>,
    /// The human who answers for the agent.
    pub sponsor: Option<PersonId>,
    /// Their name.
    pub sponsor_name: Option<String>,
    /// The human who did it: asked, reviewed, answered, changed.
    pub person: Option<PersonId>,
    /// Their name.
    pub person_name: Option<String>,
}

/// Words from outside. They are shown, and nothing ever follows them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Untrusted {
    /// The words.
    pub untrusted: String,
}

impl Untrusted {
    /// Marks words.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self { untrusted: text.to_owned() }
    }
}

/// The id of the event at a place: a digest of the deployment's name, the index, and the line where it is one.
/// It holds no full stop, which Standard Webhooks sign as a separator.
#[must_use]
pub fn event_id(origin: &Origin, index: u64, line: Option<u64>) -> String {
    let deployment: String =
        Sha256::digest(origin.as_str().as_bytes()).iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    match line {
        Some(line) => format!("{deployment}-{index}-{line}"),
        None => format!("{deployment}-{index}"),
    }
}

/// Masks a report by the rules of all routes: whose it is nobody knows.
fn mask_reported(reported: &mut Reported, masks: &TrailMasks) {
    let masked = |text: &mut String| *text = masks.by_routes(None, std::mem::take(text));
    let names = [&mut reported.event, &mut reported.subject, &mut reported.severity].into_iter().flatten();
    names.chain([&mut reported.kind, &mut reported.source]).for_each(masked);
    for value in reported.attributes.values_mut() {
        if let Fact::Text(text) = value {
            masked(text);
        }
    }
    if let Some(Data::Text(text)) = &mut reported.data {
        masked(text);
    }
}

/// How much of a resource's name and of a note a cut event keeps, in bytes.
const CUT_TEXT_BYTES: usize = 256;
/// How many rules a cut event keeps.
const CUT_RULES: usize = 8;

impl TrailEvent {
    /// The event in one sentence, for people.
    #[must_use]
    pub fn sentence(&self) -> String {
        let who = [&self.who.person_name, &self.who.agent_name].into_iter().flatten().next();
        let mut text = self.kind.as_str().to_owned();
        let parts = [("by", who), ("of", self.verb.as_ref()), ("on", self.resource.as_ref())];
        for (word, part) in parts {
            if let Some(part) = part {
                text.push_str(&format!(" {word} {part}"));
            }
        }
        if let Some(verdict) = self.verdict {
            text.push_str(&format!(": {verdict}"));
        }
        if let Some(note) = &self.note {
            text.push_str(&format!(" ({note})"));
        }
        domain::text::visible(&text).replace(['\n', '\t'], " ")
    }

    /// Masks secrets and personal data in what others wrote: names, reasons, a target's words, by every detector and by
    /// the routes' own rules. Reports were seen by the detectors before they were put on record; no route is theirs.
    pub(crate) fn mask(&mut self, masks: &TrailMasks) {
        let route = self.target.as_deref();
        let reason = self.reason.as_mut().map(|reason| &mut reason.untrusted);
        let texts =
            [self.resource.as_mut(), self.run.as_mut(), self.detail.as_mut(), self.note.as_mut(), reason];
        for text in texts.into_iter().flatten() {
            *text = masks.text(route, text);
        }
        if let Some(reported) = self.reported.as_mut().filter(|_| masks.has_routes()) {
            mask_reported(reported, masks);
        }
    }

    /// The event for a receiver that takes little: free text is left out or cut, everything that finds it in the
    /// log stays.
    #[must_use]
    pub fn cut_down(&self) -> Self {
        let short = |text: &Option<String>| {
            text.as_ref().map(|text| domain::text::cut(text, CUT_TEXT_BYTES).to_owned())
        };
        Self {
            cut: true,
            resource: short(&self.resource),
            run: short(&self.run),
            note: short(&self.note),
            detail: None,
            reason: None,
            reported: None,
            rules: self.rules.iter().take(CUT_RULES).cloned().collect(),
            ..self.clone()
        }
    }
}
