//! What the verifier found, for people and for machines.

use std::collections::BTreeMap;

use domain::action::{Level, Point};
use domain::digest::Digest;
use domain::evaluation::DecidingRule;
use domain::id::{ActionId, Environment, GrantId, GroupName, Origin, PersonId, TargetName};
use domain::later::Finding;
use domain::outcome::Outcome;
use domain::principal::Principal;
use domain::requirement::{Assurance, Requirement, Separation};
use domain::statement;
use domain::time::Timestamp;
use domain::verb::{Verb, VerbGroup};
use serde::{Deserialize, Serialize};

/// The verdict on a receipt, why, and what it shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The verdict on the evidence.
    pub verdict: Verdict,
    /// Why it is not valid, in plain words; empty where it is. Words from the receipt may stand in them: escape
    /// them for whatever shows them, as [`Report::render`] does.
    pub reasons: Vec<String>,
    /// What it shows; absent where nothing that it says can be relied on.
    pub summary: Option<Summary>,
}

/// The verdict on the evidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Everything that the receipt shows is proven.
    Valid,
    /// Something is wrong: do not rely on any of it.
    Invalid,
    /// Nothing is wrong with what is there, but something that is needed is withheld or missing.
    Indeterminate,
}

impl Verdict {
    /// The verdict's word, as JSON has it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Valid => "valid",
            Self::Invalid => "invalid",
            Self::Indeterminate => "indeterminate",
        }
    }
}

/// What happened to one action, as far as the receipt shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// The action's and approval's id.
    pub approval: ActionId,
    /// Where the case stands after the last entry of the receipt.
    pub state: State,
    /// Who asked, the caller first and then everybody behind it.
    pub asked_by: Vec<Party>,
    /// When.
    pub asked_at: Timestamp,
    /// Why, in the caller's words: untrusted.
    pub reason: Option<String>,
    /// What would be done, to what.
    pub what: What,
    /// The payload, as far as it is shown.
    pub payload: Vec<Part>,
    /// The policy set that decided last, by its digest.
    pub policy: Digest,
    /// Its rules that decided.
    pub rules: Vec<DecidingRule>,
    /// What people had to do, as policy asked last; none where it permits outright.
    pub requirement: Option<Requirement>,
    /// Whether those who asked and those who reviewed were different people; none where nobody had to review.
    pub separation: Option<Separation>,
    /// Approvals, denials and questions, in order.
    pub reviews: Vec<Review>,
    /// What somebody found who looked at broken glass afterwards; none where nobody has, or no glass was broken.
    pub later_review: Option<LaterReview>,
    /// Whether glass was broken and none of these entries says that somebody has looked at it.
    pub awaits_later_review: bool,
    /// Answers to questions and their withdrawals, in order.
    pub answers: Vec<Answer>,
    /// Its run, where it was run.
    pub execution: Option<Execution>,
    /// Where the proof stands.
    pub log: Log,
}

/// Where a case stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "word")]
pub enum State {
    /// People are asked; nothing has run.
    Pending,
    /// Approved and not spent; nothing has run.
    Approved,
    /// A human or policy said no; nothing ran.
    Denied {
        /// The human, or `None` for policy.
        by: Option<PersonId>,
        /// Their words.
        why: Option<String>,
        /// When.
        at: Timestamp,
    },
    /// It lapsed; nothing ran.
    Expired {
        /// When.
        at: Timestamp,
    },
    /// It was taken back; nothing ran.
    Cancelled {
        /// By whom.
        by: Principal,
        /// Their words: untrusted.
        why: String,
        /// When.
        at: Timestamp,
    },
    /// It was started; the receipt shows no outcome.
    Executing,
    /// It ran.
    Finished,
    /// An entry of the case is withheld: what came after it cannot be judged.
    Undetermined,
}

impl State {
    /// The state's word, as JSON has it.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Approved => "approved",
            Self::Denied { .. } => "denied",
            Self::Expired { .. } => "expired",
            Self::Cancelled { .. } => "cancelled",
            Self::Executing => "executing",
            Self::Finished => "finished",
            Self::Undetermined => "undetermined",
        }
    }
}

/// Somebody who stands behind the action.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Party {
    /// Who.
    pub principal: Principal,
    /// Their name, where an entry of the receipt tells it.
    pub name: Option<String>,
    /// `caller`, or why they stand behind it.
    pub role: String,
}

/// What would be done, to what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct What {
    /// The action's digest, which every review signed.
    pub digest: Digest,
    /// What would be done.
    pub verb: Verb,
    /// Which kind of effect that is.
    pub group: VerbGroup,
    /// To what.
    pub resource: String,
    /// Where it stands.
    pub environment: Environment,
    /// What its owners say of it.
    pub labels: BTreeMap<String, String>,
    /// In which system.
    pub target: TargetName,
    /// Where it was intercepted.
    pub point: Point,
    /// Whether the caller could have gone round.
    pub level: Level,
    /// With which credential, by name.
    pub credential: Option<String>,
    /// Session state that changes what the payload means.
    pub session: BTreeMap<String, String>,
}

/// A field of the payload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "kind")]
pub enum Part {
    /// Text: untrusted.
    Text {
        /// Which field.
        path: String,
        /// Its value, whole.
        text: String,
    },
    /// Bytes that are not text.
    Binary {
        /// Which field.
        path: String,
        /// How many bytes.
        bytes: u64,
    },
    /// Withheld or erased.
    Withheld {
        /// Its commitment.
        commitment: Digest,
    },
}

/// One human's verdict.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Review {
    /// Who.
    pub person: PersonId,
    /// Their name, where an entry of the receipt tells it.
    pub name: Option<String>,
    /// What they said.
    pub verdict: statement::Verdict,
    /// The reason of a denial or of breaking glass, or the question.
    pub note: Option<String>,
    /// The group that it counts under.
    pub group: Option<GroupName>,
    /// How strongly it is tied to the human.
    pub assurance: Assurance,
    /// When it was logged.
    pub at: Timestamp,
    /// Its entry's index.
    pub entry: u64,
    /// The key that signed; absent where the receipt does not show its enrolment, and then the signature is unchecked.
    pub key: Option<Key>,
    /// The account in which it was clicked, where it was: then no key of theirs signed, and that it was made is the log's
    /// word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<Account>,
    /// Why the reviewer stood in `group`; absent where no entry tells, or where nothing counts under a group.
    pub membership: Option<Membership>,
    /// Whether it broke glass: one human approved alone, in an emergency, and the note says why.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub break_glass: bool,
    /// Whether it counted for the run.
    pub counted: bool,
}

/// What another human found who looked at broken glass, once all was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaterReview {
    /// Who.
    pub person: PersonId,
    /// Their name, where an entry of the receipt tells it.
    pub name: Option<String>,
    /// What they found.
    pub finding: Finding,
    /// Why, in their words.
    pub note: String,
    /// The group as one of which they looked.
    pub group: GroupName,
    /// When it was logged.
    pub at: Timestamp,
    /// Its entry's index.
    pub entry: u64,
    /// The key that signed; absent where the receipt does not show its enrolment, and then the signature is unchecked.
    pub key: Option<Key>,
    /// Why they stood in `group`; absent where no entry tells.
    pub membership: Option<Membership>,
}

/// The passkey or SSH key that signed a review.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key {
    /// What its owner calls it.
    pub label: String,
    /// The index of the entry that enrolled it.
    pub enrolled: u64,
    /// Who enrolled it; nobody at bootstrap.
    pub enrolled_by: Option<Principal>,
    /// The approval under which it was enrolled; none at bootstrap.
    pub under: Option<ActionId>,
    /// Who signed for it before it came to speak for anybody.
    pub countersigned: Countersigned,
    /// That it was taken away, where an entry at hand says so.
    pub revoked: Option<Revoked>,
}

/// The end of a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revoked {
    /// The index of the entry that took it away.
    pub entry: u64,
    /// Who did, as the log has it.
    pub by: Option<Principal>,
    /// The approval under which it was taken away. None where it was taken away at once: then nobody signed for that,
    /// and who did it is the log's word alone.
    pub under: Option<ActionId>,
    /// Who signed for that in the approval. It was taken away in any case: the doubt counts against the key.
    pub countersigned: Option<Countersigned>,
}

/// An account elsewhere, such as in a chat service, in which a review was clicked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// With which provider, such as `slack`.
    pub provider: String,
    /// In which of its teams.
    pub team: String,
    /// Which user there.
    pub user: String,
    /// The index of the entry that linked it to the reviewer; absent where none here does, and then whose click it was is
    /// unchecked.
    pub linked: Option<u64>,
    /// That it was taken away, where an entry at hand says so.
    pub unlinked: Option<Unlinked>,
}

/// The end of an account's link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unlinked {
    /// The index of the entry that took it away.
    pub entry: u64,
    /// Who did, as the log has it.
    pub by: Option<Principal>,
}

/// Why a reviewer stood in the group that their approval counts under.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Membership {
    /// The index of the entry that put them there.
    pub entry: u64,
    /// Who signed for that.
    pub approved: Countersigned,
}

/// Who signed for a key, or for a standing in a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "word")]
pub enum Countersigned {
    /// Nobody could: it is the first administrator's, with whom the log's people begin.
    Bootstrap {
        /// None, always: whoever held it enrolled it.
        separation: Separation,
        /// Whether the auditor was told of this very key another way ([`crate::Trust::bootstrap`]). Where not, that it
        /// is the first administrator's is taken on trust from the log.
        pinned: bool,
    },
    /// Nobody did: one administrator changed it alone, while there was no second one. Who that was is the log's word.
    Alone {
        /// They, as the log has it.
        by: Principal,
    },
    /// Administrators, by reviews of exactly this key.
    By {
        /// They.
        people: Vec<PersonId>,
        /// Whether they had to be others than those who asked for it.
        separation: Separation,
    },
    /// It is not shown.
    NotShown,
}

/// How a question was settled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// Who answered or withdrew.
    pub by: Principal,
    /// The words, untrusted; none where the question was withdrawn.
    pub text: Option<String>,
    /// When.
    pub at: Timestamp,
}

/// One run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Execution {
    /// The grant that was spent.
    pub grant: GrantId,
    /// When it was spent.
    pub started: Timestamp,
    /// Whose reviews counted; empty where policy had come to permit it outright.
    pub counted: Vec<PersonId>,
    /// When it ended and what came of it, where the receipt shows it.
    pub finished: Option<(Timestamp, Outcome)>,
}

/// Where the proof stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Log {
    /// The log's name.
    pub origin: Origin,
    /// The key that signed the checkpoint, as `name+hex(key id)+base64`.
    pub key: String,
    /// How many entries the log had when the checkpoint was signed.
    pub size: u64,
    /// The tree's root, base64.
    pub root: String,
    /// The witnesses that the trust file knows, in its order.
    pub witnesses: Vec<Witness>,
    /// The changes of the log's key that led from a trusted key to the one that signed.
    pub rotations: Vec<Rotation>,
    /// The receipt's entries, in order; in a bundle, those of the case.
    pub entries: Vec<EntryLine>,
}

/// Whether a witness cosigned the checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Witness {
    /// Its name in the trust file.
    pub name: String,
    /// When it did, by its own clock; `None` where it did not.
    pub cosigned: Option<Timestamp>,
}

/// One change of the log's key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rotation {
    /// The index of its entry.
    pub entry: u64,
    /// When it was logged.
    pub at: Timestamp,
    /// The key before, as `name+hex(key id)+base64`.
    pub old: String,
    /// The key after.
    pub new: String,
}

/// One proven entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntryLine {
    /// Where it stands in the log.
    pub index: u64,
    /// When it was logged, by the store's clock.
    pub at: Timestamp,
    /// Its kind, such as `review/1`.
    pub kind: String,
    /// What it is about.
    pub subject: Option<String>,
}
