//! What people must do before an action runs: several holds, all of them, by distinct humans.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Malformed;
use crate::id::{GroupName, RuleId};
use crate::time::Span;

/// How strongly a review is tied to its human; later is stronger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Assurance {
    /// A click in a linked chat account: no key of the human's.
    Chat,
    /// A passkey's signature over the statement, with user verification.
    Passkey,
}

/// Whether those who ask and those who review are different people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Separation {
    /// Nobody on the chain reviews.
    Full,
    /// Solo evaluation: the deployment has one person, who sponsors the agent and reviews it. The
    /// receipt says so, and production refuses it.
    None,
}

/// So many distinct humans of one group.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quorum {
    /// Of which group.
    pub group: GroupName,
    /// How many.
    pub count: u8,
}

/// The largest quorum.
pub const QUORUM_LIMIT: u8 = 32;

/// One rule's hold: any one of its alternatives lifts it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hold {
    /// The rule that holds.
    pub rule: RuleId,
    /// Its author's words on why.
    pub why: String,
    /// The alternatives, such as 2 of `dev` or 1 of `admin`.
    pub any_of: Vec<Quorum>,
}

/// Everything that must happen before the action runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Requirement {
    /// Every one of these must be lifted.
    pub holds: Vec<Hold>,
    /// How long the request waits for people.
    pub ttl: Span,
    /// How long an approval can be spent, from when it was complete.
    pub grant: Span,
    /// The weakest review that counts.
    pub assurance: Assurance,
    /// Whether those who ask and those who review are different people.
    pub separation: Separation,
}

/// How far one group's part of a requirement has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Progress {
    /// The group.
    pub group: GroupName,
    /// Distinct humans who approved under it.
    pub have: u8,
    /// How many it takes.
    pub need: u8,
}

impl Requirement {
    /// Whether these approvals, each counted under one group and each by another human, lift every
    /// hold. The caller guarantees that the humans are distinct; see [`crate::review::CheckedReview`].
    #[must_use]
    pub fn met_by(&self, approvals: &BTreeMap<GroupName, u8>) -> bool {
        self.holds.iter().all(|hold| hold.any_of.iter().any(|quorum| lifts(quorum, approvals)))
            // A requirement without holds is no requirement that people can meet.
            && !self.holds.is_empty()
    }

    /// The groups that some unlifted hold still asks for, and how far each has come.
    #[must_use]
    pub fn open(&self, approvals: &BTreeMap<GroupName, u8>) -> Vec<Progress> {
        let mut open: BTreeMap<&GroupName, u8> = BTreeMap::new();
        for hold in &self.holds {
            if hold.any_of.iter().any(|quorum| lifts(quorum, approvals)) {
                continue;
            }
            for quorum in &hold.any_of {
                let need = open.entry(&quorum.group).or_default();
                *need = (*need).max(quorum.count);
            }
        }
        open.into_iter()
            .map(|(group, need)| Progress {
                group: group.clone(),
                have: approvals.get(group).copied().unwrap_or(0),
                need,
            })
            .collect()
    }

    /// Whether some hold asks for this group.
    #[must_use]
    pub fn asks_for(&self, group: &GroupName) -> bool {
        self.holds.iter().any(|hold| hold.any_of.iter().any(|quorum| quorum.group == *group))
    }

    /// Refuses a requirement that could be met by nobody's deed.
    ///
    /// # Errors
    /// No holds, a hold without alternatives, or a quorum of none or over [`QUORUM_LIMIT`].
    pub fn check(&self) -> Result<(), Malformed> {
        let bad = self.holds.is_empty()
            || self.holds.iter().any(|hold| {
                hold.any_of.is_empty() || hold.any_of.iter().any(|q| q.count == 0 || q.count > QUORUM_LIMIT)
            });
        if bad {
            return Err(Malformed::value(
                "requirement",
                "",
                "at least one hold, each asking for 1 to 32 people",
            ));
        }
        Ok(())
    }
}

fn lifts(quorum: &Quorum, approvals: &BTreeMap<GroupName, u8>) -> bool {
    quorum.count > 0 && approvals.get(&quorum.group).copied().unwrap_or(0) >= quorum.count
}
