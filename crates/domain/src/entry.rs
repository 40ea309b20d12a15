//! Leaf v1: what the log holds of each thing that happened.
//!
//! A leaf is canonical JSON `{"count","fields","kind","origin","subject","time","v"}`; `fields` is the root
//! over salted commitments, so the leaf says nothing of the values. Values and salts stand in an erasable store.

use serde::{Deserialize, Serialize};

use crate::Malformed;
use crate::action::Action;
use crate::canonical;
use crate::commitment::{self, Field, Fields, Salt};
use crate::digest::Digest;
use crate::directory::Change;
use crate::event::Event;
use crate::id::Origin;
use crate::time::Timestamp;

/// What kind of thing an entry records; each kind carries its version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Kind {
    /// The log's first entry: origin and keys.
    #[serde(rename = "genesis/1")]
    Genesis,
    /// A request for review, with action and evaluation.
    #[serde(rename = "request/1")]
    Request,
    /// A decision on an action that people were not asked about: a permit recorded before it ran, or a denial.
    #[serde(rename = "decision/1")]
    Decision,
    /// A human's signed verdict.
    #[serde(rename = "review/1")]
    Review,
    /// A reviewer's signed question.
    #[serde(rename = "question/1")]
    Question,
    /// An answer to a question, or its withdrawal.
    #[serde(rename = "answer/1")]
    Answer,
    /// Policy's new answer on a standing request, or reviews that count for it no more.
    #[serde(rename = "reevaluation/1")]
    Reevaluation,
    /// The end of a request that was never run.
    #[serde(rename = "end/1")]
    End,
    /// An approval spent: execution starts.
    #[serde(rename = "execution/1")]
    Execution,
    /// What came of an execution.
    #[serde(rename = "outcome/1")]
    Outcome,
    /// A change of people, keys, groups, agents, routes or policy.
    #[serde(rename = "directory/1")]
    Directory,
    /// A segment of permitted activity.
    #[serde(rename = "activity/1")]
    Activity,
    /// Somebody refused: a review, a login, a forged click.
    #[serde(rename = "refusal/1")]
    Refusal,
    /// A payload was opened by somebody with the right.
    #[serde(rename = "reveal/1")]
    Reveal,
    /// Values were erased.
    #[serde(rename = "erasure/1")]
    Erasure,
    /// The log is alive.
    #[serde(rename = "heartbeat/1")]
    Heartbeat,
    /// Something was or may have been lost, said plainly.
    #[serde(rename = "gap/1")]
    Gap,
    /// The log's key changes: the old key signs the checkpoint that this entry comes under, the new one every
    /// checkpoint after it.
    #[serde(rename = "rotation/1")]
    Rotation,
    /// Values, and leaves that are published elsewhere, were dropped below an index for their age.
    #[serde(rename = "pruning/1")]
    Pruning,
    /// Activity that somebody outside reported: what they say, not what this gateway saw.
    #[serde(rename = "reported/1")]
    Reported,
    /// Somebody had the whole store copied.
    #[serde(rename = "backup/1")]
    Backup,
    /// A human's signed finding on broken glass, afterwards.
    #[serde(rename = "later-review/1")]
    LaterReview,
}

impl Kind {
    /// The kind's name with its version.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Genesis => "genesis/1",
            Self::Request => "request/1",
            Self::Decision => "decision/1",
            Self::Review => "review/1",
            Self::Question => "question/1",
            Self::Answer => "answer/1",
            Self::Reevaluation => "reevaluation/1",
            Self::End => "end/1",
            Self::Execution => "execution/1",
            Self::Outcome => "outcome/1",
            Self::Directory => "directory/1",
            Self::Activity => "activity/1",
            Self::Refusal => "refusal/1",
            Self::Reveal => "reveal/1",
            Self::Erasure => "erasure/1",
            Self::Heartbeat => "heartbeat/1",
            Self::Gap => "gap/1",
            Self::Rotation => "rotation/1",
            Self::Pruning => "pruning/1",
            Self::Reported => "reported/1",
            Self::Backup => "backup/1",
            Self::LaterReview => "later-review/1",
        }
    }
}

/// An entry before the store gives it time and salts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// What kind of thing.
    pub kind: Kind,
    /// What it is about: an approval's id, a person's, or nothing.
    pub subject: Option<String>,
    /// Field paths and exact values.
    pub fields: Vec<(String, Vec<u8>)>,
}

/// The leaf's shape.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Leaf {
    /// The version of this shape: 1.
    #[serde(deserialize_with = "canonical::version_one")]
    pub v: u8,
    /// The deployment.
    pub origin: Origin,
    /// What kind of thing.
    #[serde(deserialize_with = "canonical::word")]
    pub kind: Kind,
    /// When, by the store's clock.
    pub time: Timestamp,
    /// What it is about.
    pub subject: Option<String>,
    /// How many fields.
    pub count: u32,
    /// The root over their commitments.
    pub fields: Digest,
}

/// The largest leaf, in bytes: a C2SP entry bundle's 16-bit length.
pub const LEAF_LIMIT_BYTES: usize = 65_535;

/// An entry ready for the log: the leaf's bytes, and the fields that stand behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// The leaf's exact bytes.
    pub leaf: Vec<u8>,
    /// The fields in the open, for the erasable store.
    pub fields: Fields,
    /// What the leaf commits to of each, in their order.
    pub commitments: Vec<Digest>,
}

/// An entry whose fields have their salts, and which has no time yet: what can be worked out before its turn comes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    kind: Kind,
    subject: Option<String>,
    fields: Fields,
    commitments: Vec<Digest>,
}

impl Committed {
    /// What kind of thing.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// What it is about.
    #[must_use]
    pub fn subject(&self) -> Option<&str> {
        self.subject.as_deref()
    }

    /// Gives the entry its time.
    ///
    /// # Errors
    /// A leaf over [`LEAF_LIMIT_BYTES`].
    pub fn seal(self, origin: &Origin, time: Timestamp) -> Result<Sealed, Malformed> {
        let Self { kind, subject, fields, commitments } = self;
        let leaf = Leaf {
            v: 1,
            origin: origin.clone(),
            kind,
            time,
            subject,
            count: u32::try_from(commitments.len()).unwrap_or(u32::MAX),
            fields: commitment::root(&commitments),
        };
        let leaf = canonical::write(&leaf)?;
        if leaf.len() > LEAF_LIMIT_BYTES {
            return Err(Malformed::TooLarge {
                what: "the log entry",
                actual: leaf.len(),
                limit: LEAF_LIMIT_BYTES,
                unit: "bytes",
            });
        }
        Ok(Sealed { leaf, fields, commitments })
    }
}

impl Draft {
    /// Gives the entry's fields their salts, and works out what its leaf will commit to.
    ///
    /// # Errors
    /// Fields over their limits.
    pub fn commit(self, mut salt: impl FnMut() -> Salt) -> Result<Committed, Malformed> {
        let fields = self.fields.into_iter().map(|(path, value)| Field::new(path, salt(), value)).collect();
        let fields = Fields::new(fields)?;
        let commitments = fields.commitments()?;
        Ok(Committed { kind: self.kind, subject: self.subject, fields, commitments })
    }

    /// Gives the entry its time and its fields their salts.
    ///
    /// # Errors
    /// Fields over their limits, or a leaf over [`LEAF_LIMIT_BYTES`].
    pub fn seal(
        self,
        origin: &Origin,
        time: Timestamp,
        salt: impl FnMut() -> Salt,
    ) -> Result<Sealed, Malformed> {
        self.commit(salt)?.seal(origin, time)
    }

    /// The entry of an approval's event. The request's carries the action's record.
    ///
    /// # Errors
    /// None that a value of this type can cause; see [`canonical::write`].
    pub fn of_event(event: &Event, action: &Action) -> Result<Self, Malformed> {
        let kind = match event {
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
        let mut fields = vec![("event".to_owned(), canonical::write(event)?)];
        if kind == Kind::Request {
            fields.push(("action".to_owned(), action.bytes().to_vec()));
        }
        Ok(Self { kind, subject: Some(action.id().to_string()), fields })
    }

    /// The entry of a change of the directory.
    ///
    /// # Errors
    /// None that a value of this type can cause; see [`canonical::write`].
    pub fn of_change(change: &Change) -> Result<Self, Malformed> {
        let fields = vec![("change".to_owned(), canonical::write(change)?)];
        Ok(Self { kind: Kind::Directory, subject: Some(change.event.subject()), fields })
    }
}
