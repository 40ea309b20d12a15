//! Who signed for a key before it came to speak for anybody: the case that its enrolment names, replayed up to then.
//!
//! Whoever holds the log's key can enrol any key in anybody's name, but cannot sign as an administrator whose own key
//! was signed for in the same way, up to the first administrator's.

use domain::approval::Approval;
use domain::directory::Change;
use domain::id::{GroupName, PersonId};
use domain::key::{NotCountersigned, countersigners};
use domain::requirement::Separation;
use domain::statement::Verdict;

use crate::case::Case;
use crate::replay::Slot;
use crate::report::Countersigned;

/// What stands behind a key.
pub(crate) enum Vouch {
    /// It is the first administrator's: the entry names neither anybody nor an approval.
    Bootstrap,
    /// These administrators signed for exactly this key.
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
            Self::Bootstrap => Countersigned::Bootstrap { separation: Separation::None },
            Self::Signed { by, separation } => {
                Countersigned::By { people: by.clone(), separation: *separation }
            }
            // A refused key signs nothing, so no report tells of it.
            Self::NotShown(_) | Self::Refused(_) => Countersigned::NotShown,
        }
    }
}

/// Judges the enrolment of a key for its owner by the case that it names, as it stands just before that entry.
pub(crate) fn judge(change: &Change, owner: PersonId, named: Option<&Slot>) -> Vouch {
    let Some(id) = change.approval else {
        return match change.by {
            None => Vouch::Bootstrap,
            Some(_) => Vouch::Refused(NotCountersigned::NoApproval.to_string()),
        };
    };
    let case = match named {
        None => return Vouch::NotShown(format!("the approval {id} is not shown")),
        Some(Slot::Blind(why)) => return Vouch::NotShown(why.clone()),
        Some(Slot::Done) => return ended(),
        Some(Slot::Open(case)) => case,
    };
    if let Some(index) = case.broken_at {
        return Vouch::NotShown(format!("entry {index} of the approval {id} is withheld"));
    }
    if matches!(case.approval, Approval::Finished(_)) {
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
fn administrators(case: &Case, people: &[PersonId], owner: PersonId) -> Vouch {
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
    if separation == Separation::Full && by.iter().all(|person| *person == owner) {
        return Vouch::Refused("nobody but its own owner signed for it".to_owned());
    }
    if let Some(missing) = case.missing.first() {
        return Vouch::NotShown(missing.clone());
    }
    Vouch::Signed { by, separation }
}
