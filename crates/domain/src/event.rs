//! What can happen to an approval. The approval is what its events replay to.

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::evaluation::Evaluation;
use crate::id::{ActionId, GrantId, PersonId, QuestionId};
use crate::outcome::Outcome;
use crate::principal::{Chain, Principal};
use crate::review::SignedReview;

/// An approval that counts no more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dismissal {
    /// Whose.
    pub reviewer: PersonId,
    /// The refusal's code, see [`crate::Refusal::code`].
    pub why: String,
}

/// One thing that happened. The store gives it its time at commit and writes its log entry in the
/// same transaction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Event {
    /// Policy held the action; people are asked.
    Requested {
        /// The approval's id, which is the action's.
        id: ActionId,
        /// The action's digest.
        action: Digest,
        /// Who asks, and for whom.
        chain: Chain,
        /// What policy answered; its decision is `needs-review`.
        evaluation: Evaluation,
    },
    /// A human approved or denied.
    Reviewed {
        /// The review as signed.
        review: SignedReview,
    },
    /// A human asked; nothing runs until the question is answered or withdrawn.
    Asked {
        /// The question's id.
        question: QuestionId,
        /// The review, whose note is the question.
        review: SignedReview,
    },
    /// Somebody of the chain answered.
    Answered {
        /// Which question.
        question: QuestionId,
        /// Who answered.
        by: Principal,
        /// The answer: untrusted words.
        text: String,
    },
    /// The asker took the question back.
    Withdrawn {
        /// Which question.
        question: QuestionId,
        /// Who asked it.
        by: PersonId,
    },
    /// Policy was asked again and its answer stands from now on.
    Reevaluated {
        /// The new evaluation.
        evaluation: Evaluation,
    },
    /// Approvals count no more: their reviewers have left, lost their group or their key, or come to stand on the
    /// action's chain. Others are asked in their place.
    Dismissed {
        /// Whose, and why.
        reviews: Vec<Dismissal>,
    },
    /// Nobody decided in time, or nobody ran it in time.
    Expired {},
    /// Somebody of the chain took the request back.
    Cancelled {
        /// Who.
        by: Principal,
        /// Why, in their words.
        reason: String,
    },
    /// The approval was spent: the action runs now, once.
    Redeemed {
        /// The grant that was made of it.
        grant: GrantId,
        /// The fresh evaluation that allowed it.
        evaluation: Evaluation,
        /// Whose reviews counted.
        counted: Vec<PersonId>,
    },
    /// It ran, or was lost while running.
    Finished {
        /// What came of it.
        outcome: Outcome,
    },
    /// Another human looked at broken glass afterwards, once the case had ended; nothing of it changes.
    LaterReviewed {
        /// The later review as signed; see [`crate::later::LaterStatement`].
        review: SignedReview,
    },
}
