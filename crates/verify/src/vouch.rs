//! Who signed for a key before it came to speak for anybody, and for a person's standing in a group: the case that the
//! entry names, replayed up to then.
//!
//! Whoever holds the log's key can log any key and any standing in anybody's name, but cannot sign as an administrator
//! whose own key and standing were signed for in the same way, up to the first administrator's.

use domain::directory::Change;
use domain::id::{ActionId, GroupName, PersonId};
use domain::key::{NotCountersigned, countersigners};
use domain::principal::Principal;
use domain::requirement::Separation;
use domain::statement::Verdict;

use crate::case::Case;
use crate::replay::Slot;
use crate::report::Countersigned;

/// What stands behind a key, or behind a standing in a group.
pub(crate) enum Vouch {
    /// It is the first administrator's: the entry names neither anybody nor an approval. Whether its key is the one
    /// that the auditor was told of.
    Bootstrap { pinned: bool },
    /// A standing that one administrator gave, and nobody signed for, as long as there is no second one.
    Alone(Principal),
    /// These administrators signed for exactly this change.
    Signed { by: Vec<PersonId>, separation: Separation },
    /// What is needed to say so is not there: why.
    NotShown(String),
    /// Nobody who could has signed for it: why.
    Refused(String),
}

impl Vouch {
    /// As reports tell it.
    pub(crate) fn told(&self) -> Countersigned {
        match self {
            Self::Bootstrap { pinned } => {
                Countersigned::Bootstrap { separation: Separation::None, pinned: *pinned }
            }
            Self::Alone(by) => Countersigned::Alone { by: *by },
            Self::Signed { by, separation } => {
                Countersigned::By { people: by.clone(), separation: *separation }
            }
            // What is refused counts for nothing, so no report tells of it.
            Self::NotShown(_) | Self::Refused(_) => Countersigned::NotShown,
        }
    }
}

/// Judges a change by the case `id` that it names, as it stands just before that entry. `owner` is whose key it enrols;
/// of another change nobody is.
pub(crate) fn judge(change: &Change, id: ActionId, owner: Option<PersonId>, named: Option<&Slot>) -> Vouch {
    let case = match named {
        None => return Vouch::NotShown(format!("the approval {id} is not shown")),
        Some(Slot::Blind(why)) => return Vouch::NotShown(why.clone()),
        Some(Slot::Done) => return ended(),
        Some(Slot::Open(case)) => case,
    };
    if let Some(index) = case.broken_at {
        return Vouch::NotShown(format!("entry {index} of the approval {id} is withheld"));
    }
    if case.approval.is_terminal() {
        return ended();
    }
    let Some(payload) = &case.payload else {
        return Vouch::NotShown(NotCountersigned::Withheld.to_string());
    };
    match countersigners(change, &case.approval, &case.action, payload) {
        Ok(people) => administrators(case, &people, owner),
        Err(why @ NotCountersigned::Withheld) => Vouch::NotShown(why.to_string()),
        Err(
            why @ (NotCountersigned::NoApproval
            | NotCountersigned::OtherCase
            | NotCountersigned::NotRun
            | NotCountersigned::OtherChange),
        ) => Vouch::Refused(why.to_string()),
    }
}

fn ended() -> Vouch {
    Vouch::Refused("its approval had ended before it".to_owned())
}

/// Those of the signers who counted for the run as administrators.
fn administrators(case: &Case, people: &[PersonId], owner: Option<PersonId>) -> Vouch {
    let as_admin = |person: &PersonId| {
        case.approval.case().reviews.iter().any(|review| {
            review.dismissed.is_none()
                && review.statement.reviewer == *person
                && review.statement.verdict == Verdict::Approve
                && review.statement.group == Some(GroupName::admins())
        })
    };
    let counted = case.counted.iter().copied();
    let by: Vec<PersonId> = counted.filter(|person| people.contains(person) && as_admin(person)).collect();
    let Some(requirement) = case.evaluation.requirement().filter(|_| !by.is_empty()) else {
        return Vouch::Refused("nobody signed for it as an administrator".to_owned());
    };
    let separation = requirement.separation;
    if separation == Separation::Full && by.iter().all(|person| Some(*person) == owner) {
        return Vouch::Refused("nobody but its own owner signed for it".to_owned());
    }
    if let Some(missing) = case.missing.first() {
        return Vouch::NotShown(missing.clone());
    }
    Vouch::Signed { by, separation }
}
