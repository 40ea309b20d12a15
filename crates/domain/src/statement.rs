//! What a reviewer signs: one statement, whole, so that the signature can mean nothing else.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Malformed;
use crate::canonical;
use crate::digest::{Blob, Digest};
use crate::id::{ActionId, GroupName, Origin, PersonId};
use crate::requirement::{Assurance, Requirement};
use crate::time::{Span, Timestamp};

/// A reviewer's verdict. `edit` and `respond` are reserved words of the format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It may run, as far as this human's group goes.
    Approve,
    /// It may not run.
    Deny,
    /// The reviewer wants an answer first.
    Ask,
}

/// Under which evaluation the reviewer decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvaluationRef {
    /// The evaluation's digest.
    pub digest: Digest,
    /// The policy set's.
    pub policy: Digest,
    /// What was required.
    pub requirement: Requirement,
}

/// How far an approval reaches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GrantBounds {
    /// How often it may run: 1. A bounded series is reserved.
    pub uses: u32,
    /// How long the approval can be spent once complete.
    pub seconds: Span,
}

/// The longest note (a reason for a denial, or a question), in bytes.
pub const NOTE_LIMIT_BYTES: usize = 2_000;

/// The statement. Its canonical bytes are the preimage of the passkey's challenge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Statement {
    /// The version of this record: 1.
    pub v: u8,
    /// The deployment.
    pub origin: Origin,
    /// The approval.
    pub approval: ActionId,
    /// The digest of the exact action.
    pub action: Digest,
    /// Under which evaluation.
    pub evaluation: EvaluationRef,
    /// The verdict.
    pub verdict: Verdict,
    /// The reason of a denial or of breaking glass, or the question.
    pub note: Option<String>,
    /// The group that an approval counts under.
    pub group: Option<GroupName>,
    /// How far the approval reaches.
    pub grant: GrantBounds,
    /// Bounds on the effects, by name; empty until a point can hold a run to them.
    pub effects: BTreeMap<String, i64>,
    /// Who decides.
    pub reviewer: PersonId,
    /// How strongly the review is tied to them.
    pub assurance: Assurance,
    /// 32 random bytes, used once.
    pub nonce: Blob,
    /// When this statement can no longer be submitted.
    pub expires: Timestamp,
    /// The digest of what was displayed.
    pub displayed: Digest,
    /// Whether this human breaks glass: they approve alone, where a hold lets one of their group, and answer for it
    /// afterwards. Nobody does so by an ordinary approval.
    #[serde(default, deserialize_with = "canonical::only_true", skip_serializing_if = "canonical::is_false")]
    pub break_glass: bool,
}

impl Statement {
    /// The canonical bytes.
    ///
    /// # Errors
    /// What [`Statement::read`] would refuse.
    pub fn write(&self) -> Result<Vec<u8>, Malformed> {
        self.check()?;
        canonical::write(self)
    }

    /// Reads a statement strictly.
    ///
    /// # Errors
    /// Another version, an approval without a group, a question without words, glass broken without a reason or by
    /// anything but an approval, a note over its limit, effects or uses that this version cannot bind.
    pub fn read(bytes: &[u8]) -> Result<Self, Malformed> {
        let statement: Self = canonical::read_exact(bytes)?;
        statement.check()?;
        Ok(statement)
    }

    fn check(&self) -> Result<(), Malformed> {
        let bad = |value: &str, why| Err(Malformed::value("statement", value, why));
        if self.v != 1 {
            return bad(&self.v.to_string(), "version 1 is expected");
        }
        if self.nonce.0.len() != 32 {
            return bad("nonce", "32 bytes are expected");
        }
        if self.grant.uses != 1 {
            return bad("grant", "one use is what this version can bind");
        }
        if !self.effects.is_empty() {
            return bad("effects", "effect bounds are reserved");
        }
        let note = self.note.as_deref().unwrap_or("");
        if note.len() > NOTE_LIMIT_BYTES {
            return Err(Malformed::TooLarge {
                what: "the note",
                actual: note.len(),
                limit: NOTE_LIMIT_BYTES,
                unit: "bytes",
            });
        }
        if self.break_glass && (self.verdict != Verdict::Approve || note.trim().is_empty()) {
            return bad("break_glass", "glass is broken by an approval, with the reason in its note");
        }
        match self.verdict {
            Verdict::Approve if self.group.is_none() => {
                bad("group", "an approval names the group it counts under")
            }
            Verdict::Ask if note.trim().is_empty() => bad("note", "a question needs words"),
            Verdict::Approve | Verdict::Deny | Verdict::Ask => Ok(()),
        }
    }
}
