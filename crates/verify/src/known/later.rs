//! The later review of broken glass, held against what is known of its reviewer.

use domain::Refusal;
use domain::action::Action;
use domain::id::{GroupName, PersonId};
use domain::later::LaterStatement;
use domain::principal::Principal;
use domain::review::{SignedReview, Standing};

use super::{Known, Member, Said};
use crate::report::Membership;

impl Known<'_> {
    /// Checks the signature over a later review's statement, and says how its reviewer stands.
    ///
    /// # Errors
    /// As for a verdict.
    pub(super) fn look_back(
        &self,
        signed: &SignedReview,
        statement: &LaterStatement,
        action: &Action,
    ) -> Result<Standing, Refusal> {
        let (reviewer, group) = (statement.reviewer, &statement.group);
        self.active(reviewer)?;
        self.signature(signed, reviewer, Said::LaterReview)?;
        self.unwithheld(reviewer, action);
        self.standing_as(reviewer, group)?;
        let mut groups = self.groups_of(reviewer);
        if self.people.get(&reviewer).is_none_or(|known| !known.groups.contains_key(group)) {
            self.note(format!("no entry tells whether {reviewer} stood in the group `{group}`"));
            groups.insert(group.clone());
        }
        // Whoever sponsors any agent of the chain judges nothing that it did.
        let sponsors = |party| match party {
            Principal::Agent(id) => self.agents.get(&id).is_some_and(|agent| agent.sponsor == Some(reviewer)),
            Principal::Person(_) => false,
        };
        Ok(Standing { groups, controls_caller: action.chain().parties().any(sponsors) })
    }

    /// Why a person stands in a group.
    pub(crate) fn membership_in(&self, person: PersonId, group: &GroupName) -> Option<Membership> {
        match self.people.get(&person)?.groups.get(group)? {
            Member::In(entry, vouch) => Some(Membership { entry: *entry, approved: vouch.told() }),
            Member::Out => None,
        }
    }
}
