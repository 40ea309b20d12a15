//! What people must do before an action runs: several holds, all of them, by distinct humans.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::Malformed;
use crate::canonical;
use crate::id::{GroupName, RuleId};
use crate::time::Span;

/// How strongly a review is tied to its human; later is stronger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Assurance {
    /// A click in a linked chat account: no key of the human's.
    Chat,
    /// A FIDO authenticator's signature over the statement, its user present and verified (WebAuthn's UP and UV):
    /// by a passkey, or at a terminal by OpenSSH with a security key's key (`sk-`).
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
    /// Whether this is the hold's break-glass alternative: one named human of the group lifts it alone, and says so
    /// in what they sign. An ordinary approval never counts here, nor one of these anywhere else.
    #[serde(default, deserialize_with = "canonical::only_true", skip_serializing_if = "canonical::is_false")]
    pub break_glass: bool,
}

impl Quorum {
    /// So many of a group, by ordinary approvals.
    #[must_use]
    pub fn of(group: GroupName, count: u8) -> Self {
        Self { group, count, break_glass: false }
    }

    /// One named human of a group, who breaks glass.
    #[must_use]
    pub fn break_glass(group: GroupName) -> Self {
        Self { group, count: 1, break_glass: true }
    }
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

/// Approvals so far, each by another human: how many count under each group, and how many of its people broke glass.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tally {
    ordinary: BTreeMap<GroupName, u8>,
    glass: BTreeMap<GroupName, u8>,
}

impl Tally {
    /// Counts one more human's approval under a group. The caller guarantees that nobody is counted twice.
    pub fn add(&mut self, group: &GroupName, break_glass: bool) {
        let kind = if break_glass { &mut self.glass } else { &mut self.ordinary };
        let count = kind.entry(group.clone()).or_default();
        *count = count.saturating_add(1);
    }

    /// How many count towards a quorum.
    #[must_use]
    pub fn have(&self, quorum: &Quorum) -> u8 {
        let kind = if quorum.break_glass { &self.glass } else { &self.ordinary };
        kind.get(&quorum.group).copied().unwrap_or(0)
    }
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
    pub fn met_by(&self, approvals: &Tally) -> bool {
        self.holds.iter().all(|hold| hold.is_lifted_by(approvals))
            // A requirement without holds is no requirement that people can meet.
            && !self.holds.is_empty()
    }

    /// The groups that some unlifted hold still asks for, and how far each has come; break-glass apart.
    #[must_use]
    pub fn open(&self, approvals: &Tally) -> Vec<Progress> {
        let mut open: BTreeMap<&GroupName, u8> = BTreeMap::new();
        for hold in self.holds.iter().filter(|hold| !hold.is_lifted_by(approvals)) {
            for quorum in hold.any_of.iter().filter(|quorum| !quorum.break_glass) {
                let need = open.entry(&quorum.group).or_default();
                *need = (*need).max(quorum.count);
            }
        }
        open.into_iter()
            .map(|(group, need)| Progress {
                group: group.clone(),
                have: approvals.ordinary.get(group).copied().unwrap_or(0),
                need,
            })
            .collect()
    }

    /// The groups of which one human may still break glass, because a hold that lets them is not lifted.
    #[must_use]
    pub fn open_glass(&self, approvals: &Tally) -> BTreeSet<GroupName> {
        let open = self.holds.iter().filter(|hold| !hold.is_lifted_by(approvals));
        let glass = open.flat_map(|hold| &hold.any_of).filter(|quorum| quorum.break_glass);
        glass.map(|quorum| quorum.group.clone()).collect()
    }

    /// Whether some hold asks for this group's ordinary approval.
    #[must_use]
    pub fn asks_for(&self, group: &GroupName) -> bool {
        self.quorums().any(|quorum| !quorum.break_glass && quorum.group == *group)
    }

    /// Whether some hold lets one human of this group break glass.
    #[must_use]
    pub fn lets_break_glass(&self, group: &GroupName) -> bool {
        self.quorums().any(|quorum| quorum.break_glass && quorum.group == *group)
    }

    /// Whether this group's people have anything to do with it: to review it, or to break its glass.
    #[must_use]
    pub fn concerns(&self, group: &GroupName) -> bool {
        self.quorums().any(|quorum| quorum.group == *group)
    }

    fn quorums(&self) -> impl Iterator<Item = &Quorum> {
        self.holds.iter().flat_map(|hold| &hold.any_of)
    }

    /// Refuses a requirement that could be met by nobody's deed.
    ///
    /// # Errors
    /// No holds, a hold without alternatives or with none but break-glass, a quorum of none or over
    /// [`QUORUM_LIMIT`], or glass that takes more than one.
    pub fn check(&self) -> Result<(), Malformed> {
        let bad = |quorum: &Quorum| {
            quorum.count == 0 || quorum.count > QUORUM_LIMIT || (quorum.break_glass && quorum.count != 1)
        };
        let only_glass = |hold: &Hold| hold.any_of.iter().all(|quorum| quorum.break_glass);
        if self.holds.is_empty() || self.holds.iter().any(only_glass) || self.quorums().any(bad) {
            return Err(Malformed::value(
                "requirement",
                "",
                "at least one hold, each asking for 1 to 32 people besides whoever may break glass",
            ));
        }
        Ok(())
    }
}

impl Hold {
    /// Whether these approvals lift it, by any one of its alternatives.
    #[must_use]
    pub fn is_lifted_by(&self, approvals: &Tally) -> bool {
        self.any_of.iter().any(|quorum| quorum.count > 0 && approvals.have(quorum) >= quorum.count)
    }
}
