//! The right to run one action once, and how it comes to be.

use std::collections::BTreeSet;

use crate::Refusal;
use crate::action::Action;
use crate::approval::{Approval, Recorded};
use crate::digest::Digest;
use crate::evaluation::{Decision, Evaluation};
use crate::event::Dismissal;
use crate::id::{ActionId, GrantId, Origin, PersonId};
use crate::requirement::Tally;
use crate::review::{CheckedReview, ReviewVerifier};
use crate::statement::Verdict;

/// Policy was asked again over the same digest, every recorded review's signature and reviewer
/// was checked again, and together they satisfy what policy asks for now.
///
/// An approval is evidence, not authority: this is the authority, and it is good only for the version of
/// approval and directory that it was issued over.
#[derive(Debug)]
pub struct Permit {
    approval: ActionId,
    action: Digest,
    version: u64,
    grant: GrantId,
    evaluation: Evaluation,
    counted: Vec<PersonId>,
}

impl Permit {
    /// Issues the permit, or says what is missing.
    ///
    /// # Errors
    /// [`Refusal::NotInState`] unless the approval is approved, [`Refusal::OtherAction`] for another
    /// digest, [`Refusal::PolicyDenies`], [`Refusal::Signature`] when a stored review no longer verifies (it
    /// was altered: raise an alarm), [`Refusal::RequirementNotMet`].
    pub fn issue(
        approval: &Approval,
        action: &Action,
        fresh: Evaluation,
        origin: &Origin,
        verifier: &dyn ReviewVerifier,
        grant: GrantId,
    ) -> Result<Self, Refusal> {
        let Approval::Approved(approved) = approval else {
            return Err(Refusal::NotInState(approval.word()));
        };
        let case = &approved.case;
        if case.id != action.id() || case.action != action.digest() || fresh.action != action.digest() {
            return Err(Refusal::OtherAction);
        }
        let counted = match &fresh.decision {
            Decision::Deny => {
                let rules: Vec<_> = fresh.rules.iter().map(|rule| rule.why.as_str()).collect();
                return Err(Refusal::PolicyDenies(rules.join("; ")));
            }
            Decision::Permit => Vec::new(),
            Decision::NeedsReview(requirement) => {
                let mut humans = BTreeSet::new();
                let mut approvals = Tally::default();
                for record in case.reviews.iter().filter(|record| record.dismissed.is_none()) {
                    let checked = match CheckedReview::check(
                        record.signed.clone(),
                        action,
                        requirement,
                        origin,
                        verifier,
                    ) {
                        Ok(checked) => checked,
                        Err(
                            altered @ (Refusal::Signature(_)
                            | Refusal::Malformed(_)
                            | Refusal::OtherAction
                            | Refusal::OtherOrigin(_)),
                        ) => {
                            return Err(altered);
                        }
                        // A reviewer who has left, or a group that is no longer asked: it does not count.
                        Err(_) => continue,
                    };
                    let statement = checked.statement();
                    if statement.verdict != Verdict::Approve || !humans.insert(statement.reviewer) {
                        continue;
                    }
                    if let Some(group) = &statement.group {
                        approvals.add(group, statement.break_glass);
                    }
                }
                if !requirement.met_by(&approvals) {
                    return Err(Refusal::RequirementNotMet);
                }
                humans.into_iter().collect()
            }
        };
        Ok(Self {
            approval: case.id,
            action: case.action,
            version: case.version,
            grant,
            evaluation: fresh,
            counted,
        })
    }

    /// The approval that it is good for.
    #[must_use]
    pub fn approval(&self) -> ActionId {
        self.approval
    }

    /// The action's digest.
    #[must_use]
    pub fn action(&self) -> Digest {
        self.action
    }

    /// The approval's version that it was issued over.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The grant that spending it makes.
    #[must_use]
    pub fn grant(&self) -> GrantId {
        self.grant
    }

    /// The fresh evaluation.
    #[must_use]
    pub fn evaluation(&self) -> &Evaluation {
        &self.evaluation
    }

    /// Whose reviews counted.
    #[must_use]
    pub fn counted(&self) -> &[PersonId] {
        &self.counted
    }
}

/// The approvals of a pending or approved request that count no more, because of how their reviewers stand now:
/// what [`crate::approval::Command::Dismiss`] takes.
///
/// # Errors
/// [`Refusal::Signature`], [`Refusal::OtherAction`], [`Refusal::OtherOrigin`], [`Refusal::Malformed`] when a stored
/// review is not what was signed (it was altered: raise an alarm).
pub fn dismissals(
    approval: &Approval,
    action: &Action,
    origin: &Origin,
    verifier: &dyn ReviewVerifier,
) -> Result<Vec<Dismissal>, Refusal> {
    let case = approval.case();
    let Some(requirement) = case.evaluation.requirement() else { return Ok(Vec::new()) };
    if !matches!(approval, Approval::Pending(_) | Approval::Approved(_)) {
        return Ok(Vec::new());
    }
    let mut dismissed = Vec::new();
    let counting =
        |record: &&Recorded| record.dismissed.is_none() && record.statement.verdict == Verdict::Approve;
    for record in case.reviews.iter().filter(counting) {
        let checked = CheckedReview::check(record.signed.clone(), action, requirement, origin, verifier);
        match checked {
            // A group that is asked no more is policy's doing: should it be asked again, the review stands.
            Ok(_) | Err(Refusal::GroupNotAsked(_) | Refusal::NoGlass(_)) => {}
            Err(
                lost @ (Refusal::NotActive(_)
                | Refusal::NotEligible { .. }
                | Refusal::SelfReview
                | Refusal::Assurance),
            ) => {
                let reviewer = record.statement.reviewer;
                dismissed.push(Dismissal { reviewer, why: lost.code().to_owned() });
            }
            Err(altered) => return Err(altered),
        }
    }
    Ok(dismissed)
}

/// The right to run one action once. It is made by spending a permit and cannot be copied, stored or
/// made otherwise; a runner takes it by value.
#[derive(Debug)]
pub struct Grant {
    id: GrantId,
    action: Digest,
}

impl Grant {
    /// The grant's id.
    #[must_use]
    pub fn id(&self) -> GrantId {
        self.id
    }

    /// The digest of the only action that it runs.
    #[must_use]
    pub fn action(&self) -> Digest {
        self.action
    }
}

/// An approval that has been spent: what a runner needs, once the store has it on record.
#[derive(Debug)]
pub struct Redemption {
    approval: ActionId,
    grant: Grant,
}

impl Redemption {
    pub(crate) fn new(permit: &Permit) -> Self {
        Self { approval: permit.approval, grant: Grant { id: permit.grant, action: permit.action } }
    }

    /// Which approval was spent.
    #[must_use]
    pub fn approval(&self) -> ActionId {
        self.approval
    }

    /// Takes the grant out, to be run.
    #[must_use]
    pub fn into_grant(self) -> Grant {
        self.grant
    }
}
