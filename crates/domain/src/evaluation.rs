//! What policy answered, from which facts, by which rules.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Malformed;
use crate::canonical;
use crate::digest::{Digest, Purpose};
use crate::id::RuleId;
use crate::requirement::Requirement;

/// A fact about an action that is not part of its digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Fact {
    /// Yes or no.
    Bool(bool),
    /// A count or a score.
    Int(i64),
    /// A word.
    Text(String),
}

/// Facts by name: `rows`, `risk`, `prior_runs`, `matched`, …
pub type Facts = BTreeMap<String, Fact>;

/// Policy's answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "effect", content = "requirement", deny_unknown_fields)]
pub enum Decision {
    /// It may run now.
    Permit,
    /// It may run once these people have approved.
    NeedsReview(Requirement),
    /// It may not run; nobody is asked.
    Deny,
}

/// A rule that decided, and its author's words on why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DecidingRule {
    /// The rule's `@id`.
    pub id: RuleId,
    /// Its `@why`, or what went wrong.
    pub why: String,
}

/// One evaluation of one action under one policy set. It is logged with the request and named, by
/// its digest, in every statement that a reviewer signs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evaluation {
    /// The version of this record: 1.
    #[serde(deserialize_with = "canonical::version_one")]
    pub v: u8,
    /// Of which action.
    pub action: Digest,
    /// Under which policy set.
    pub policy: Digest,
    /// The directory's version that was looked at.
    pub directory: u64,
    /// From which facts.
    pub facts: Facts,
    /// The answer.
    pub decision: Decision,
    /// The rules that decided, in the order of their ids.
    pub rules: Vec<DecidingRule>,
    /// Rules in shadow mode that would have held or denied; they decide nothing.
    pub shadow: Vec<RuleId>,
}

impl Evaluation {
    /// The evaluation's digest, over its canonical bytes.
    ///
    /// # Errors
    /// None that a value of this type can cause; see [`canonical::write`].
    pub fn digest(&self) -> Result<Digest, Malformed> {
        Ok(Digest::of(Purpose::Evaluation, &canonical::write(self)?))
    }

    /// What people must do before it runs, where they must.
    #[must_use]
    pub fn requirement(&self) -> Option<&Requirement> {
        match &self.decision {
            Decision::NeedsReview(requirement) => Some(requirement),
            Decision::Permit | Decision::Deny => None,
        }
    }
}
