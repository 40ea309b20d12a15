//! The paused case: one struct per state, decided by [`Approval::handle`], replayed by [`Approval::apply`].

use std::collections::BTreeSet;

use crate::Refusal;
use crate::digest::Digest;
use crate::evaluation::{Decision, Evaluation};
use crate::event::{Dismissal, Event};
use crate::grant::{Permit, Redemption};
use crate::id::{ActionId, GrantId, PersonId, QuestionId};
use crate::later::{self, CheckedLaterReview, LaterReview};
use crate::outcome::Outcome;
use crate::principal::{Chain, Principal};
use crate::requirement::{Progress, Tally};
use crate::review::{CheckedReview, SignedReview};
use crate::statement::{NOTE_LIMIT_BYTES, Statement, Verdict};
use crate::time::Timestamp;

/// An approval in its state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Approval {
    /// People are asked.
    Pending(Pending),
    /// The requirement that stood is met and no question is open; it can be spent until `spend_by`.
    Approved(Approved),
    /// A human or policy said no. Terminal.
    Denied(Denied),
    /// Nobody decided, or nobody ran it, in time. Terminal.
    Expired(Ended),
    /// Taken back by those who asked. Terminal.
    Cancelled(Cancelled),
    /// Spent, and running.
    Executing(Executing),
    /// It ran, or was lost while running. Terminal.
    Finished(Finished),
}

/// What every state knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// The approval's id, which is the action's.
    pub id: ActionId,
    /// The action's digest.
    pub action: Digest,
    /// Who asks, and for whom.
    pub chain: Chain,
    /// The evaluation that stands.
    pub evaluation: Evaluation,
    /// When it was requested.
    pub requested: Timestamp,
    /// When the request lapses if it is still pending.
    pub expires: Timestamp,
    /// Every approval and denial, in order.
    pub reviews: Vec<Recorded>,
    /// Every question, in order.
    pub questions: Vec<Question>,
    /// What somebody found who looked at broken glass afterwards.
    pub later: Option<LaterReview>,
    /// How many events stand behind this.
    pub version: u64,
}

/// A review in the record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// As it was signed.
    pub signed: SignedReview,
    /// What it states.
    pub statement: Statement,
    /// When it was committed.
    pub at: Timestamp,
    /// Since when it counts no more, where that is so.
    pub dismissed: Option<Timestamp>,
}

impl Recorded {
    fn new(signed: &SignedReview, at: Timestamp) -> Result<Self, crate::Malformed> {
        Ok(Self { signed: signed.clone(), statement: signed.read_statement()?, at, dismissed: None })
    }

    fn is_approval_of(&self, person: PersonId) -> bool {
        self.dismissed.is_none()
            && self.statement.verdict == Verdict::Approve
            && self.statement.reviewer == person
    }
}

/// A reviewer's question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// Its id.
    pub id: QuestionId,
    /// Who asked, as signed.
    pub asked: Recorded,
    /// How it was settled, if it was.
    pub settled: Option<Settled>,
}

/// How a question was settled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settled {
    /// Answered by somebody of the chain, in their words.
    Answered {
        /// Who.
        by: Principal,
        /// Their words: untrusted.
        text: String,
        /// When.
        at: Timestamp,
    },
    /// Taken back by the asker.
    Withdrawn(Timestamp),
}

/// People are asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pending {
    /// What every state knows.
    pub case: Case,
}

/// The requirement is met.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approved {
    /// What every state knows.
    pub case: Case,
    /// When the last missing review came.
    pub since: Timestamp,
    /// When the approval lapses unspent.
    pub spend_by: Timestamp,
}

/// Somebody said no.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denied {
    /// What every state knows.
    pub case: Case,
    /// Who or what said no.
    pub by: DeniedBy,
    /// When.
    pub at: Timestamp,
}

/// Who or what said no.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeniedBy {
    /// A human, with their reason.
    Person(PersonId, Option<String>),
    /// Policy, asked again.
    Policy(String),
}

/// Lapsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// What every state knows.
    pub case: Case,
    /// When.
    pub at: Timestamp,
}

/// Taken back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cancelled {
    /// What every state knows.
    pub case: Case,
    /// By whom.
    pub by: Principal,
    /// Why, in their words.
    pub reason: String,
    /// When.
    pub at: Timestamp,
}

/// Spent, and running.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Executing {
    /// What every state knows.
    pub case: Case,
    /// The grant that runs.
    pub grant: GrantId,
    /// Since when.
    pub since: Timestamp,
}

/// It ran, or was lost while running.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    /// What every state knows.
    pub case: Case,
    /// The grant that ran.
    pub grant: GrantId,
    /// When it started.
    pub started: Timestamp,
    /// When it ended.
    pub at: Timestamp,
    /// What came of it.
    pub outcome: Outcome,
}

/// What somebody wants to happen to an approval.
#[derive(Debug)]
pub enum Command {
    /// A human's checked verdict. `question` names the question, should it be one.
    Review {
        /// The review.
        review: CheckedReview,
        /// An id for the question, should it be one.
        question: QuestionId,
    },
    /// An answer to a question.
    Answer {
        /// Which.
        question: QuestionId,
        /// From whom: somebody of the chain.
        by: Principal,
        /// The words.
        text: String,
    },
    /// The asker takes a question back.
    Withdraw {
        /// Which.
        question: QuestionId,
        /// Who asked it.
        by: PersonId,
    },
    /// Policy was asked again; its new answer stands.
    Reevaluate(Evaluation),
    /// Approvals count no more; see [`crate::grant::dismissals`]. It can only keep something from running, so
    /// nothing is demanded of whoever says it.
    Dismiss(Vec<Dismissal>),
    /// Its time is over.
    Expire,
    /// Somebody of the chain takes the request back.
    Cancel {
        /// Who.
        by: Principal,
        /// Why.
        reason: String,
    },
    /// Spend it.
    Redeem(Permit),
    /// It ran.
    Finish(Outcome),
    /// Another human looked at broken glass, once all was done; nothing that happened changes.
    LookBack(CheckedLaterReview),
}

/// What a command comes to.
#[derive(Debug)]
pub struct Step {
    /// The event to commit.
    pub event: Event,
    /// The right to run, where the command was to redeem; good only once the event is on record.
    pub redemption: Option<Redemption>,
}

/// A stored event that cannot follow on what stands before it: the store was altered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the stored event `{event}` cannot follow on the state `{state}`")]
pub struct ReplayError {
    state: &'static str,
    event: &'static str,
}

impl Approval {
    /// Decides what a command comes to at a moment; changes nothing.
    ///
    /// # Errors
    /// The [`Refusal`] that names why it comes to nothing.
    pub fn handle(&self, command: &Command, now: Timestamp) -> Result<Step, Refusal> {
        let event = match (self, command) {
            (Self::Executing(_), Command::Finish(outcome)) => Event::Finished { outcome: outcome.clone() },
            (_, Command::LookBack(review)) => later::handle(review, self, now)?,
            (Self::Pending(_) | Self::Approved(_), Command::Expire) => {
                if !self.lapsed(now) {
                    return Err(Refusal::NotYetExpired);
                }
                Event::Expired {}
            }
            (Self::Pending(_) | Self::Approved(_), Command::Finish(_)) => {
                return Err(Refusal::NotInState(self.word()));
            }
            (Self::Pending(_) | Self::Approved(_), _) if self.lapsed(now) => return Err(Refusal::Expired),
            (Self::Pending(_) | Self::Approved(_), Command::Review { review, question }) => {
                self.case().review(review, *question, now)?
            }
            (Self::Pending(_) | Self::Approved(_), Command::Answer { question, by, text }) => {
                self.case().answer(*question, *by, text)?
            }
            (Self::Pending(_) | Self::Approved(_), Command::Withdraw { question, by }) => {
                self.case().withdraw(*question, *by)?
            }
            (Self::Pending(_) | Self::Approved(_), Command::Cancel { by, reason }) => {
                if !self.case().chain.parties().any(|party| party == *by) {
                    return Err(Refusal::NotYours("those who asked for the action"));
                }
                Event::Cancelled { by: *by, reason: note(reason)? }
            }
            (Self::Pending(_) | Self::Approved(_), Command::Reevaluate(evaluation)) => {
                if evaluation.action != self.case().action {
                    return Err(Refusal::OtherAction);
                }
                Event::Reevaluated { evaluation: evaluation.clone() }
            }
            (Self::Pending(_) | Self::Approved(_), Command::Dismiss(reviews)) => {
                self.case().dismiss(reviews)?
            }
            (Self::Approved(approved), Command::Redeem(permit)) => return approved.redeem(permit),
            (Self::Pending(pending), Command::Redeem(_)) if pending.case.question_open() => {
                return Err(Refusal::QuestionOpen);
            }
            (
                Self::Pending(_)
                | Self::Denied(_)
                | Self::Expired(_)
                | Self::Cancelled(_)
                | Self::Executing(_)
                | Self::Finished(_),
                _,
            ) => return Err(Refusal::NotInState(self.word())),
        };
        Ok(Step { event, redemption: None })
    }

    /// The state after an event: the one total function by which approvals come to be.
    ///
    /// # Errors
    /// [`ReplayError`] when the event cannot follow: the store was altered.
    pub fn apply(before: Option<Self>, event: &Event, at: Timestamp) -> Result<Self, ReplayError> {
        let bad = |state| ReplayError { state, event: event.word() };
        let Some(before) = before else {
            let Event::Requested { id, action, chain, evaluation } = event else {
                return Err(bad("nothing"));
            };
            let Decision::NeedsReview(requirement) = &evaluation.decision else { return Err(bad("nothing")) };
            let case = Case {
                id: *id,
                action: *action,
                chain: chain.clone(),
                requested: at,
                expires: at.after(requirement.ttl),
                evaluation: evaluation.clone(),
                reviews: Vec::new(),
                questions: Vec::new(),
                later: None,
                version: 1,
            };
            return Ok(Self::Pending(Pending { case }));
        };
        let word = before.word();
        match (before, event) {
            (Self::Pending(Pending { case }), event) => case.next(event, at, None),
            (Self::Approved(Approved { case, since, .. }), event) => case.next(event, at, Some(since)),
            (Self::Executing(Executing { mut case, grant, since }), Event::Finished { outcome }) => {
                case.version += 1;
                Ok(Self::Finished(Finished { case, grant, started: since, at, outcome: outcome.clone() }))
            }
            (
                ended @ (Self::Denied(_) | Self::Expired(_) | Self::Cancelled(_) | Self::Finished(_)),
                Event::LaterReviewed { review },
            ) => ended.looked_at(review, at).ok_or_else(|| bad(word)),
            (
                Self::Executing(_)
                | Self::Denied(_)
                | Self::Expired(_)
                | Self::Cancelled(_)
                | Self::Finished(_),
                _,
            ) => Err(bad(word)),
        }
    }

    /// As it ended, with what somebody found afterwards; `None` where that is of anything else.
    fn looked_at(mut self, review: &SignedReview, at: Timestamp) -> Option<Self> {
        let later = LaterReview::replayed(review, &self, at)?;
        let case = match &mut self {
            Self::Pending(_) | Self::Approved(_) | Self::Executing(_) => return None,
            Self::Denied(denied) => &mut denied.case,
            Self::Expired(ended) => &mut ended.case,
            Self::Cancelled(cancelled) => &mut cancelled.case,
            Self::Finished(finished) => &mut finished.case,
        };
        case.version += 1;
        case.later = Some(later);
        Some(self)
    }

    /// What these events come to.
    ///
    /// # Errors
    /// As [`Approval::apply`]; no events at all are an error too.
    pub fn replay<'a>(events: impl IntoIterator<Item = (&'a Event, Timestamp)>) -> Result<Self, ReplayError> {
        let mut approval = None;
        for (event, at) in events {
            approval = Some(Self::apply(approval, event, at)?);
        }
        approval.ok_or(ReplayError { state: "nothing", event: "nothing" })
    }

    /// What every state knows.
    #[must_use]
    pub fn case(&self) -> &Case {
        match self {
            Self::Pending(state) => &state.case,
            Self::Approved(state) => &state.case,
            Self::Denied(state) => &state.case,
            Self::Expired(state) => &state.case,
            Self::Cancelled(state) => &state.case,
            Self::Executing(state) => &state.case,
            Self::Finished(state) => &state.case,
        }
    }

    /// The state's name, as the API and the log say it.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Pending(_) => "pending",
            Self::Approved(_) => "approved",
            Self::Denied(_) => "denied",
            Self::Expired(_) => "expired",
            Self::Cancelled(_) => "cancelled",
            Self::Executing(_) => "executing",
            Self::Finished(_) => "finished",
        }
    }

    /// Whether nothing of it can change any more; broken glass may still be looked at.
    #[must_use]
    pub fn is_terminal(&self) -> bool {
        match self {
            Self::Pending(_) | Self::Approved(_) | Self::Executing(_) => false,
            Self::Denied(_) | Self::Expired(_) | Self::Cancelled(_) | Self::Finished(_) => true,
        }
    }

    /// When it lapses, where it can.
    #[must_use]
    pub fn deadline(&self) -> Option<Timestamp> {
        match self {
            Self::Pending(pending) => Some(pending.case.expires),
            Self::Approved(approved) => Some(approved.spend_by),
            Self::Denied(_)
            | Self::Expired(_)
            | Self::Cancelled(_)
            | Self::Executing(_)
            | Self::Finished(_) => None,
        }
    }

    fn lapsed(&self, now: Timestamp) -> bool {
        self.deadline().is_some_and(|deadline| now >= deadline)
    }
}

impl Approved {
    fn redeem(&self, permit: &Permit) -> Result<Step, Refusal> {
        if permit.approval() != self.case.id || permit.action() != self.case.action {
            return Err(Refusal::OtherAction);
        }
        // A review, a question or a re-evaluation came after the permit was issued.
        if permit.version() != self.case.version {
            return Err(Refusal::Stale);
        }
        let event = Event::Redeemed {
            grant: permit.grant(),
            evaluation: permit.evaluation().clone(),
            counted: permit.counted().to_vec(),
        };
        Ok(Step { event, redemption: Some(Redemption::new(permit)) })
    }
}

impl Case {
    /// The approvals that count, each by another human.
    #[must_use]
    pub fn approvals(&self) -> Tally {
        let mut approvals = Tally::default();
        for review in self.reviews.iter().filter(|review| review.dismissed.is_none()) {
            if let (Verdict::Approve, Some(group)) = (review.statement.verdict, &review.statement.group) {
                approvals.add(group, review.statement.break_glass);
            }
        }
        approvals
    }

    /// Each time that glass was broken, in order, whether or not it counts still: it was done.
    pub fn broken_glass(&self) -> impl Iterator<Item = &Recorded> {
        self.reviews.iter().filter(|review| review.statement.break_glass)
    }

    /// The groups still asked for.
    #[must_use]
    pub fn open(&self) -> Vec<Progress> {
        self.evaluation
            .requirement()
            .map(|requirement| requirement.open(&self.approvals()))
            .unwrap_or_default()
    }

    /// Whether a question stands open.
    #[must_use]
    pub fn question_open(&self) -> bool {
        self.questions.iter().any(|question| question.settled.is_none())
    }

    /// Whether this human approved or denied already, and it counts still.
    #[must_use]
    pub fn reviewed_by(&self, person: PersonId) -> bool {
        self.reviews.iter().any(|review| review.dismissed.is_none() && review.statement.reviewer == person)
    }

    fn review(&self, review: &CheckedReview, question: QuestionId, now: Timestamp) -> Result<Event, Refusal> {
        let statement = review.statement();
        if statement.approval != self.id || statement.action != self.action {
            return Err(Refusal::OtherAction);
        }
        if now >= statement.expires {
            return Err(Refusal::StatementExpired);
        }
        // Signed under an evaluation that stands no more: the reviewer saw another requirement. What the
        // statement says in words must be what the digest covers, or the signature would prove two things.
        let named = &statement.evaluation;
        let shown = Some(&named.requirement) == self.evaluation.requirement()
            && named.policy == self.evaluation.policy;
        if !shown || self.evaluation.digest()? != named.digest {
            return Err(Refusal::Stale);
        }
        let nonces = self.reviews.iter().chain(self.questions.iter().map(|question| &question.asked));
        if nonces.into_iter().any(|record| record.statement.nonce == statement.nonce) {
            return Err(Refusal::DuplicateReviewer);
        }
        match statement.verdict {
            Verdict::Ask => Ok(Event::Asked { question, review: review.signed().clone() }),
            // Deny wins: whoever approved may still change their mind to a denial.
            Verdict::Deny => Ok(Event::Reviewed { review: review.signed().clone() }),
            Verdict::Approve if self.reviewed_by(statement.reviewer) => Err(Refusal::DuplicateReviewer),
            Verdict::Approve => Ok(Event::Reviewed { review: review.signed().clone() }),
        }
    }

    fn answer(&self, question: QuestionId, by: Principal, text: &str) -> Result<Event, Refusal> {
        if !self.chain.parties().any(|party| party == by) {
            return Err(Refusal::NotYours("those who asked for the action"));
        }
        self.open_question(question)?;
        Ok(Event::Answered { question, by, text: note(text)? })
    }

    fn withdraw(&self, question: QuestionId, by: PersonId) -> Result<Event, Refusal> {
        if self.open_question(question)?.asked.statement.reviewer != by {
            return Err(Refusal::NotYours("the reviewer who asked the question"));
        }
        Ok(Event::Withdrawn { question, by })
    }

    fn dismiss(&self, reviews: &[Dismissal]) -> Result<Event, Refusal> {
        let people: BTreeSet<PersonId> = reviews.iter().map(|review| review.reviewer).collect();
        let counts = |person| self.reviews.iter().any(|review| review.is_approval_of(person));
        // Somebody was quicker, and dismissed it.
        if reviews.is_empty() || people.len() != reviews.len() || !people.into_iter().all(counts) {
            return Err(Refusal::Stale);
        }
        Ok(Event::Dismissed { reviews: reviews.to_vec() })
    }

    fn open_question(&self, id: QuestionId) -> Result<&Question, Refusal> {
        self.questions
            .iter()
            .find(|question| question.id == id && question.settled.is_none())
            .ok_or(Refusal::NoSuchQuestion)
    }

    /// The state after an event on a case that is pending, or approved since then.
    fn next(
        mut self,
        event: &Event,
        at: Timestamp,
        approved: Option<Timestamp>,
    ) -> Result<Approval, ReplayError> {
        let state = if approved.is_some() { "approved" } else { "pending" };
        let bad = || ReplayError { state, event: event.word() };
        // One more approval, or policy asked again, does not give an approval that stands more time.
        let since = approved.unwrap_or(at);
        self.version += 1;
        match event {
            Event::Requested { .. } | Event::Finished { .. } | Event::LaterReviewed { .. } => Err(bad()),
            Event::Reviewed { review } => {
                let recorded = Recorded::new(review, at).map_err(|_| bad())?;
                let said = &recorded.statement;
                let (verdict, by, why) = (said.verdict, said.reviewer, said.note.clone());
                self.reviews.push(recorded);
                match verdict {
                    Verdict::Approve => Ok(self.settle(since)),
                    Verdict::Deny => {
                        Ok(Approval::Denied(Denied { case: self, by: DeniedBy::Person(by, why), at }))
                    }
                    Verdict::Ask => Err(bad()),
                }
            }
            Event::Asked { question, review } => {
                let asked = Recorded::new(review, at).map_err(|_| bad())?;
                self.questions.push(Question { id: *question, asked, settled: None });
                Ok(self.settle(at))
            }
            Event::Answered { question, by, text } => {
                let settled = Settled::Answered { by: *by, text: text.clone(), at };
                self.settle_question(*question, settled).ok_or_else(bad)?;
                Ok(self.settle(at))
            }
            Event::Withdrawn { question, .. } => {
                self.settle_question(*question, Settled::Withdrawn(at)).ok_or_else(bad)?;
                Ok(self.settle(at))
            }
            Event::Reevaluated { evaluation } => {
                self.evaluation = evaluation.clone();
                match &evaluation.decision {
                    Decision::Deny => {
                        let why: Vec<_> = evaluation.rules.iter().map(|rule| rule.why.as_str()).collect();
                        let by = DeniedBy::Policy(why.join("; "));
                        Ok(Approval::Denied(Denied { case: self, by, at }))
                    }
                    Decision::Permit | Decision::NeedsReview(_) => Ok(self.settle(since)),
                }
            }
            Event::Dismissed { reviews } => {
                for dismissal in reviews {
                    let mut counted = self.reviews.iter_mut();
                    let review = counted.find(|review| review.is_approval_of(dismissal.reviewer));
                    review.ok_or_else(bad)?.dismissed = Some(at);
                }
                Ok(self.settle(since))
            }
            Event::Expired {} => Ok(Approval::Expired(Ended { case: self, at })),
            Event::Cancelled { by, reason } => {
                Ok(Approval::Cancelled(Cancelled { case: self, by: *by, reason: reason.clone(), at }))
            }
            Event::Redeemed { grant, .. } if approved.is_some() => {
                Ok(Approval::Executing(Executing { case: self, grant: *grant, since: at }))
            }
            Event::Redeemed { .. } => Err(bad()),
        }
    }

    fn settle_question(&mut self, id: QuestionId, settled: Settled) -> Option<()> {
        let open =
            self.questions.iter_mut().find(|question| question.id == id && question.settled.is_none())?;
        open.settled = Some(settled);
        Some(())
    }

    /// Pending or approved, by what stands; if approved, then since this moment.
    fn settle(self, since: Timestamp) -> Approval {
        let grant = match &self.evaluation.decision {
            Decision::NeedsReview(requirement) if requirement.met_by(&self.approvals()) => {
                Some(requirement.grant)
            }
            Decision::NeedsReview(_) | Decision::Deny => None,
            // Policy was changed to permit it outright: the hold is lifted for as long as it would have waited.
            Decision::Permit => Some(crate::time::Span::from_seconds(self.expires.since(since).as_secs())),
        };
        match grant {
            Some(grant) if !self.question_open() => {
                Approval::Approved(Approved { spend_by: since.after(grant), since, case: self })
            }
            _ => Approval::Pending(Pending { case: self }),
        }
    }
}

impl Event {
    /// The event's name, as the log says it.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Requested { .. } => "requested",
            Self::Reviewed { .. } => "reviewed",
            Self::Asked { .. } => "asked",
            Self::Answered { .. } => "answered",
            Self::Withdrawn { .. } => "withdrawn",
            Self::Reevaluated { .. } => "reevaluated",
            Self::Dismissed { .. } => "dismissed",
            Self::Expired {} => "expired",
            Self::Cancelled { .. } => "cancelled",
            Self::Redeemed { .. } => "redeemed",
            Self::Finished { .. } => "finished",
            Self::LaterReviewed { .. } => "later-reviewed",
        }
    }
}

fn note(text: &str) -> Result<String, Refusal> {
    if text.len() > NOTE_LIMIT_BYTES {
        return Err(crate::Malformed::TooLarge {
            what: "the text",
            actual: text.len(),
            limit: NOTE_LIMIT_BYTES,
            unit: "bytes",
        }
        .into());
    }
    Ok(text.to_owned())
}
