//! The case, lived through again: each event must be what the gateway's own code would have decided at that
//! moment, over what stood before it and over the keys and groups that earlier entries tell of.

use domain::Refusal;
use domain::action::Action;
use domain::approval::{Approval, Command};
use domain::evaluation::Evaluation;
use domain::event::Event;
use domain::grant::Permit;
use domain::id::{Origin, PersonId, QuestionId};
use domain::principal::Principal;
use domain::receipt::Receipt;
use domain::review::{CheckedReview, SignedReview};
use domain::time::Timestamp;

use crate::content::{Content, Read};
use crate::known::Known;
use crate::report::Key;
use crate::verify::Trust;

/// What the entries came to.
pub(crate) struct Case<'a> {
    /// The approval after its last event.
    pub(crate) approval: Approval,
    /// Its action.
    pub(crate) action: &'a Action,
    /// The evaluation that stood last: the one that it ran under, where it ran.
    pub(crate) evaluation: Evaluation,
    /// Whose reviews counted for the run.
    pub(crate) counted: Vec<PersonId>,
    /// The approvals, denials and questions, with the keys that signed them where they are known.
    pub(crate) reviews: Vec<Reviewed>,
    /// The index of a withheld entry, behind which nothing could be judged.
    pub(crate) broken_at: Option<u64>,
    /// Names of people and agents, where entries tell them.
    pub(crate) names: Vec<(Principal, String)>,
    /// What was needed and is not in the receipt.
    pub(crate) missing: Vec<String>,
}

/// A review that passed.
pub(crate) struct Reviewed {
    pub(crate) index: u64,
    pub(crate) at: Timestamp,
    pub(crate) checked: CheckedReview,
    pub(crate) key: Option<Key>,
}

/// Replays the case, or says where it does not hold.
pub(crate) fn replay<'a>(
    receipt: &Receipt,
    entries: &'a [Read<'a>],
    trust: &'a Trust,
) -> Result<Case<'a>, Vec<String>> {
    let changes = entries.iter().filter_map(|entry| match &entry.content {
        Content::Change(change) => Some((entry.proven.index, change)),
        Content::Requested { .. }
        | Content::Event(_)
        | Content::Withheld
        | Content::WithheldRequest(_)
        | Content::WithheldChange
        | Content::Decision
        | Content::Other => None,
    });
    let mut known = Known::new(trust, changes);
    let mut case: Option<Case<'a>> = None;
    for entry in entries {
        let (index, at) = (entry.proven.index, entry.proven.leaf.time);
        let held = match (&entry.content, &mut case) {
            (Content::Change(change), _) => {
                known.learn(index, change);
                Ok(())
            }
            (Content::Requested { event, action }, None) => {
                Case::open(event, action, at).map(|opened| case = Some(opened))
            }
            (Content::Requested { .. }, Some(_)) => Err("a second request of one case".to_owned()),
            (Content::Event(_) | Content::Withheld, None) => {
                Err("the request that it follows on is missing".to_owned())
            }
            (Content::Event(_), Some(case)) if case.broken_at.is_some() => Ok(()),
            (Content::Event(event), Some(case)) => case.step(event, (index, at), &receipt.origin, &known),
            (Content::Withheld, Some(case)) => {
                case.broken_at = case.broken_at.or(Some(index));
                Ok(())
            }
            (
                Content::WithheldRequest(_) | Content::WithheldChange | Content::Decision | Content::Other,
                _,
            ) => Ok(()),
        };
        held.map_err(|reason| {
            vec![format!("entry {index} ({}): {reason}", entry.proven.leaf.kind.as_str())]
        })?;
    }
    let mut case =
        case.ok_or_else(|| vec!["the request is missing: a receipt has a case's first event".to_owned()])?;
    case.close(known);
    Ok(case)
}

impl<'a> Case<'a> {
    fn open(event: &Event, action: &'a Action, at: Timestamp) -> Result<Self, String> {
        let approval = Approval::apply(None, event, at).map_err(|error| error.to_string())?;
        Ok(Self {
            evaluation: approval.case().evaluation.clone(),
            approval,
            action,
            counted: Vec::new(),
            reviews: Vec::new(),
            broken_at: None,
            names: Vec::new(),
            missing: Vec::new(),
        })
    }

    /// Decides the event again, and demands the same.
    fn step(
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
                self.reviews.push(Reviewed { index, at, checked: review, key });
            }
            (Command::Redeem(_), Event::Redeemed { evaluation, counted, .. }) => {
                self.evaluation = evaluation.clone();
                self.counted.clone_from(counted);
            }
            (Command::Reevaluate(evaluation), _) => self.evaluation = evaluation,
            (
                Command::Redeem(_)
                | Command::Answer { .. }
                | Command::Withdraw { .. }
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
            Event::Expired {} => Command::Expire,
            Event::Cancelled { by, reason } => Command::Cancel { by: *by, reason: reason.clone() },
            Event::Redeemed { grant, evaluation, .. } => {
                let fresh = evaluation.clone();
                Command::Redeem(Permit::issue(&self.approval, self.action, fresh, origin, known, *grant)?)
            }
            Event::Finished { outcome } => Command::Finish(outcome.clone()),
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
        CheckedReview::check(review.clone(), self.action, requirement, origin, known)
    }

    fn close(&mut self, known: Known<'_>) {
        let reviewers =
            self.reviews.iter().map(|review| Principal::Person(review.checked.statement().reviewer));
        let parties: Vec<_> = self.action.chain().parties().chain(reviewers).collect();
        self.names = parties.into_iter().filter_map(|who| Some((who, known.name(who)?))).collect();
        self.missing = known.into_missing();
        if let Some(index) = self.broken_at {
            self.missing.push(format!(
                "entry {index}, an event of the case, is withheld: nothing after it can be judged"
            ));
        }
    }
}
