//! The case, lived through again: each event must be what the gateway's own code would have decided at that
//! moment, over what stood before it and over the keys and groups that earlier entries tell of.

use std::collections::BTreeSet;

use domain::Refusal;
use domain::action::Action;
use domain::approval::{Approval, Command};
use domain::commitment::{Disclosure, disclosed_root};
use domain::evaluation::Evaluation;
use domain::event::Event;
use domain::grant::Permit;
use domain::id::{Origin, PersonId, QuestionId};
use domain::later::CheckedLaterReview;
use domain::principal::Principal;
use domain::review::{CheckedReview, SignedReview};
use domain::time::Timestamp;

use crate::known::Known;
use crate::log::Proven;
use crate::replay::line;
use crate::report::{Account, EntryLine, Key, Membership};

/// What the entries came to.
pub(crate) struct Case {
    /// The approval after its last event.
    pub(crate) approval: Approval,
    /// Its action.
    pub(crate) action: Action,
    /// Its payload, where it is shown, each field open or withheld.
    pub(crate) payload: Option<Vec<Disclosure>>,
    /// The evaluation that stood last: the one that it ran under, where it ran.
    pub(crate) evaluation: Evaluation,
    /// Whose reviews counted for the run.
    pub(crate) counted: Vec<PersonId>,
    /// The approvals, denials and questions, with the keys that signed them where they are known.
    pub(crate) reviews: Vec<Reviewed>,
    /// What somebody found who looked at broken glass afterwards.
    pub(crate) later: Option<LookedBack>,
    /// The index of a withheld entry, behind which nothing could be judged.
    pub(crate) broken_at: Option<u64>,
    /// Names of people and agents, where entries tell them.
    pub(crate) names: Vec<(Principal, String)>,
    /// What was needed and is not there.
    pub(crate) missing: BTreeSet<String>,
    /// The case's own entries, in order.
    pub(crate) lines: Vec<EntryLine>,
}

/// A review that passed.
pub(crate) struct Reviewed {
    pub(crate) index: u64,
    pub(crate) at: Timestamp,
    pub(crate) checked: CheckedReview,
    pub(crate) key: Option<Key>,
    pub(crate) account: Option<Account>,
    pub(crate) membership: Option<Membership>,
}

/// A later review that passed.
pub(crate) struct LookedBack {
    pub(crate) index: u64,
    pub(crate) at: Timestamp,
    pub(crate) checked: CheckedLaterReview,
    pub(crate) key: Option<Key>,
    pub(crate) membership: Option<Membership>,
}

impl Case {
    /// The case as its request opens it.
    ///
    /// # Errors
    /// A payload that is not the one that the action's record commits to.
    pub(crate) fn open(
        event: &Event,
        action: Action,
        payload: Option<Vec<Disclosure>>,
        proven: &Proven,
    ) -> Result<Self, String> {
        if let Some(payload) = &payload {
            let root = disclosed_root(payload).map_err(|error| format!("the payload: {error}"))?;
            if root != action.parts().payload {
                return Err("the payload is not the one that the action's record commits to".to_owned());
            }
        }
        let approval = Approval::apply(None, event, proven.leaf.time).map_err(|error| error.to_string())?;
        Ok(Self {
            evaluation: approval.case().evaluation.clone(),
            approval,
            action,
            payload,
            counted: Vec::new(),
            reviews: Vec::new(),
            later: None,
            broken_at: None,
            names: Vec::new(),
            missing: BTreeSet::new(),
            lines: vec![line(proven)],
        })
    }

    /// Decides the event again, and demands the same.
    pub(crate) fn step(
        &mut self,
        event: &Event,
        (index, at): (u64, Timestamp),
        origin: &Origin,
        known: &Known<'_>,
    ) -> Result<(), String> {
        let command = self.command(event, origin, known).map_err(|refusal| refusal.to_string())?;
        let step = self.approval.handle(&command, at).map_err(|refusal| refusal.to_string())?;
        if step.event != *event {
            return Err("it does not count the reviews that count".to_owned());
        }
        self.approval =
            Approval::apply(Some(self.approval.clone()), event, at).map_err(|error| error.to_string())?;
        match (command, event) {
            (Command::Review { review, .. }, _) => {
                let key = known.key(review.signed(), review.statement().reviewer);
                let account = known.account(review.signed());
                let membership = known.membership(review.statement());
                self.reviews.push(Reviewed { index, at, checked: review, key, account, membership });
            }
            (Command::Redeem(_), Event::Redeemed { evaluation, counted, .. }) => {
                self.evaluation = evaluation.clone();
                self.counted.clone_from(counted);
            }
            (Command::Reevaluate(evaluation), _) => self.evaluation = evaluation,
            (Command::LookBack(checked), _) => {
                let statement = checked.statement();
                let key = known.key(checked.signed(), statement.reviewer);
                let membership = known.membership_in(statement.reviewer, &statement.group);
                self.later = Some(LookedBack { index, at, checked, key, membership });
            }
            (
                Command::Redeem(_)
                | Command::Answer { .. }
                | Command::Withdraw { .. }
                | Command::Dismiss(_)
                | Command::Expire
                | Command::Cancel { .. }
                | Command::Finish(_),
                _,
            ) => {}
        }
        Ok(())
    }

    /// The command that comes to this event, every signature and standing checked on the way.
    fn command(&self, event: &Event, origin: &Origin, known: &Known<'_>) -> Result<Command, Refusal> {
        Ok(match event {
            Event::Requested { .. } => return Err(Refusal::NotInState(self.approval.word())),
            Event::Reviewed { review } => {
                // No question comes of it, so no id is looked at.
                let question = QuestionId::new(Timestamp::ZERO, &[0; 10]);
                Command::Review { review: self.check(review, origin, known)?, question }
            }
            Event::Asked { question, review } => {
                Command::Review { review: self.check(review, origin, known)?, question: *question }
            }
            Event::Answered { question, by, text } => {
                Command::Answer { question: *question, by: *by, text: text.clone() }
            }
            Event::Withdrawn { question, by } => Command::Withdraw { question: *question, by: *by },
            Event::Reevaluated { evaluation } => Command::Reevaluate(evaluation.clone()),
            Event::Dismissed { reviews } => Command::Dismiss(reviews.clone()),
            Event::Expired {} => Command::Expire,
            Event::Cancelled { by, reason } => Command::Cancel { by: *by, reason: reason.clone() },
            Event::Redeemed { grant, evaluation, .. } => {
                let fresh = evaluation.clone();
                Command::Redeem(Permit::issue(&self.approval, &self.action, fresh, origin, known, *grant)?)
            }
            Event::Finished { outcome } => Command::Finish(outcome.clone()),
            Event::LaterReviewed { review } => {
                let (action, approval) = (&self.action, &self.approval);
                Command::LookBack(CheckedLaterReview::check(review.clone(), action, approval, origin, known)?)
            }
        })
    }

    fn check(
        &self,
        review: &SignedReview,
        origin: &Origin,
        known: &Known<'_>,
    ) -> Result<CheckedReview, Refusal> {
        // Where policy permits outright, nobody is asked and no review is taken.
        let requirement = self.approval.case().evaluation.requirement().ok_or(Refusal::Stale)?;
        CheckedReview::check(review.clone(), &self.action, requirement, origin, known)
    }

    /// Notes the names of those who asked and reviewed, which of their keys have ended, and what is missing.
    pub(crate) fn close(&mut self, known: &Known<'_>) {
        for review in &mut self.reviews {
            let ended = known.revocation(review.checked.signed(), review.checked.statement().reviewer);
            review.key.iter_mut().for_each(|key| key.revoked.clone_from(&ended));
        }
        if let Some(looked) = &mut self.later {
            let ended = known.revocation(looked.checked.signed(), looked.checked.statement().reviewer);
            looked.key.iter_mut().for_each(|key| key.revoked.clone_from(&ended));
        }
        let later = self.later.iter().map(|looked| looked.checked.statement().reviewer);
        let reviewers = self.reviews.iter().map(|review| review.checked.statement().reviewer);
        let reviewers = reviewers.chain(later).map(Principal::Person);
        let parties: Vec<_> = self.action.chain().parties().chain(reviewers).collect();
        self.names = parties.into_iter().filter_map(|who| Some((who, known.name(who)?))).collect();
        if let Some(index) = self.broken_at {
            self.missing.insert(format!(
                "entry {index}, an event of the case, is withheld: nothing after it can be judged"
            ));
        }
    }
}
