//! The later review of broken glass: afterwards another human looks at what was done, and signs whether it was justified.
//!
//! It changes nothing of what happened: the case has ended and stays as it ended. It is good once a case, and never by
//! whoever broke the glass, approved it, or stands on the action's chain. Who may: those whom a hold asks for in the
//! ordinary way, since they were passed over, and administrators, since the group may be too small to have anybody left.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::action::Action;
use crate::approval::{Approval, Case};
use crate::canonical;
use crate::digest::{Blob, Digest, Purpose};
use crate::event::Event;
use crate::id::{ActionId, GrantId, GroupName, Origin, PersonId};
use crate::outcome::Outcome;
use crate::requirement::Assurance;
use crate::review::{ReviewVerifier, SignedReview};
use crate::statement::{NOTE_LIMIT_BYTES, Verdict};
use crate::time::Timestamp;
use crate::{Malformed, Refusal};

/// What somebody finds who looks at broken glass afterwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Finding {
    /// It could not wait, and what was done was right.
    Justified,
    /// It could have waited, or what was done was not right.
    NotJustified,
}

impl Finding {
    /// The finding's word, as statements and the API have it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Justified => "justified",
            Self::NotJustified => "not-justified",
        }
    }
}

/// How a case ended, as whoever looks at it afterwards signs it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "lowercase", deny_unknown_fields)]
pub enum End {
    /// A human or policy said no after all; nothing ran.
    Denied {
        /// When.
        at: Timestamp,
    },
    /// Nobody ran it in time.
    Expired {
        /// When.
        at: Timestamp,
    },
    /// It was taken back; nothing ran.
    Cancelled {
        /// When.
        at: Timestamp,
    },
    /// It ran, or was lost while running.
    Finished {
        /// When.
        at: Timestamp,
        /// The grant that ran.
        grant: GrantId,
        /// What came of it.
        outcome: Outcome,
    },
}

impl End {
    /// How an approval ended; `None` while it has not.
    #[must_use]
    pub fn of(approval: &Approval) -> Option<Self> {
        match approval {
            Approval::Pending(_) | Approval::Approved(_) | Approval::Executing(_) => None,
            Approval::Denied(denied) => Some(Self::Denied { at: denied.at }),
            Approval::Expired(ended) => Some(Self::Expired { at: ended.at }),
            Approval::Cancelled(cancelled) => Some(Self::Cancelled { at: cancelled.at }),
            Approval::Finished(finished) => Some(Self::Finished {
                at: finished.at,
                grant: finished.grant,
                outcome: finished.outcome.clone(),
            }),
        }
    }
}

/// What a later reviewer signs. Its canonical bytes are the preimage of the passkey's challenge, behind another line than
/// an approval's statement: `SHA256("countersign/later-review-statement/v1\n" ‖ bytes)`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LaterStatement {
    /// The version of this record: 1.
    #[serde(deserialize_with = "canonical::version_one")]
    pub v: u8,
    /// The deployment.
    pub origin: Origin,
    /// The approval.
    pub approval: ActionId,
    /// The digest of the exact action.
    pub action: Digest,
    /// The statements by which glass was broken, in the log's order, each by its digest: what was signed then.
    pub broken: Vec<Digest>,
    /// How the case ended.
    pub end: End,
    /// What the reviewer finds.
    pub finding: Finding,
    /// Why, in their words; never empty, at most [`NOTE_LIMIT_BYTES`].
    pub note: String,
    /// The group as one of which they look.
    pub group: GroupName,
    /// Who looks.
    pub reviewer: PersonId,
    /// How strongly the review is tied to them.
    pub assurance: Assurance,
    /// 32 random bytes, used once.
    pub nonce: Blob,
    /// When this statement can no longer be submitted.
    pub expires: Timestamp,
    /// The digest of what was displayed.
    pub displayed: Digest,
}

impl LaterStatement {
    /// The canonical bytes.
    ///
    /// # Errors
    /// What [`LaterStatement::read`] would refuse.
    pub fn write(&self) -> Result<Vec<u8>, Malformed> {
        self.check()?;
        canonical::write(self)
    }

    /// Reads a statement strictly.
    ///
    /// # Errors
    /// Another version, a nonce of another length, no broken glass, no words, or more than [`NOTE_LIMIT_BYTES`].
    pub fn read(bytes: &[u8]) -> Result<Self, Malformed> {
        let statement: Self = canonical::read_exact(bytes)?;
        statement.check()?;
        Ok(statement)
    }

    fn check(&self) -> Result<(), Malformed> {
        let bad = |value: &str, why| Err(Malformed::value("later review's statement", value, why));
        if self.v != 1 {
            return bad(&self.v.to_string(), "version 1 is expected");
        }
        if self.nonce.0.len() != 32 {
            return bad("nonce", "32 bytes are expected");
        }
        if self.broken.is_empty() {
            return bad("broken", "at least one statement by which glass was broken is expected");
        }
        if self.note.len() > NOTE_LIMIT_BYTES {
            return Err(Malformed::TooLarge {
                what: "the note",
                actual: self.note.len(),
                limit: NOTE_LIMIT_BYTES,
                unit: "bytes",
            });
        }
        if self.note.trim().is_empty() {
            return bad("note", "a later review says why");
        }
        Ok(())
    }
}

/// A later review that was checked just now: signature, reviewer, group, chain, and that it is of exactly what happened.
/// There is no other way to make one, and only a checked one enters an approval.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckedLaterReview {
    signed: SignedReview,
    statement: LaterStatement,
}

impl CheckedLaterReview {
    /// Checks a signed later review against the action, the case as it ended, and what the verifier knows of the reviewer
    /// now. The statement's own expiry, and whether there is a later review already, are looked at by
    /// [`Approval::handle`], with the commit's time.
    ///
    /// # Errors
    /// The [`Refusal`] that names what is wrong.
    pub fn check(
        signed: SignedReview,
        action: &Action,
        approval: &Approval,
        origin: &Origin,
        verifier: &dyn ReviewVerifier,
    ) -> Result<Self, Refusal> {
        let statement = LaterStatement::read(&signed.statement.0)?;
        if statement.origin != *origin {
            return Err(Refusal::OtherOrigin(statement.origin.to_string()));
        }
        let case = approval.case();
        if case.id != action.id() || case.action != action.digest() {
            return Err(Refusal::OtherAction);
        }
        of_what_happened(&statement, approval)?;
        let standing = verifier.verify_later(&signed, &statement, action)?;
        if statement.assurance > signed.proof.assurance() || statement.assurance < Assurance::Passkey {
            return Err(Refusal::Assurance);
        }
        // Solo evaluation does not reach this far: whoever asked, or acted, judges nothing of it afterwards.
        if action.chain().contains(statement.reviewer) || standing.controls_caller {
            return Err(Refusal::SelfReview);
        }
        let group = statement.group.clone();
        if !may_look_as(case).contains(&group) {
            return Err(Refusal::GroupNotAsked(group));
        }
        if !standing.groups.contains(&group) {
            return Err(Refusal::NotEligible { person: statement.reviewer, group });
        }
        Ok(Self { signed, statement })
    }

    /// The review as it was signed.
    #[must_use]
    pub fn signed(&self) -> &SignedReview {
        &self.signed
    }

    /// What it states.
    #[must_use]
    pub fn statement(&self) -> &LaterStatement {
        &self.statement
    }
}

/// A later review in the record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaterReview {
    /// As it was signed.
    pub signed: SignedReview,
    /// What it states.
    pub statement: LaterStatement,
    /// When it was committed.
    pub at: Timestamp,
}

impl LaterReview {
    /// What a stored event adds to a case; `None` where it is of anything else than what happened.
    pub(crate) fn replayed(signed: &SignedReview, approval: &Approval, at: Timestamp) -> Option<Self> {
        let statement = LaterStatement::read(&signed.statement.0).ok()?;
        of_what_happened(&statement, approval).ok()?;
        Some(Self { signed: signed.clone(), statement, at })
    }
}

/// What a later review comes to.
pub(crate) fn handle(
    review: &CheckedLaterReview,
    approval: &Approval,
    now: Timestamp,
) -> Result<Event, Refusal> {
    of_what_happened(&review.statement, approval)?;
    if now >= review.statement.expires {
        return Err(Refusal::StatementExpired);
    }
    Ok(Event::LaterReviewed { review: review.signed.clone() })
}

/// Whether a statement is of this case, of the glass that was broken in it and of how it ended, by somebody else, and is
/// the first: all that can be said without a key.
fn of_what_happened(statement: &LaterStatement, approval: &Approval) -> Result<(), Refusal> {
    let case = approval.case();
    if statement.approval != case.id || statement.action != case.action {
        return Err(Refusal::OtherAction);
    }
    may_be_looked_at(approval)?;
    if statement.broken != broken(case) || Some(&statement.end) != End::of(approval).as_ref() {
        return Err(Refusal::OtherAction);
    }
    case.not_of_its_own(statement.reviewer)
}

/// Whether anybody may look at it now: glass was broken, it has ended, and nobody has looked yet.
///
/// # Errors
/// [`Refusal::GlassNotBroken`], [`Refusal::NotEnded`], [`Refusal::LaterReviewed`].
pub fn may_be_looked_at(approval: &Approval) -> Result<(), Refusal> {
    let case = approval.case();
    if case.broken_glass().next().is_none() {
        return Err(Refusal::GlassNotBroken);
    }
    if !approval.is_terminal() {
        return Err(Refusal::NotEnded);
    }
    if case.later.is_some() { Err(Refusal::LaterReviewed) } else { Ok(()) }
}

/// The digests of the statements by which glass was broken, in the log's order.
#[must_use]
pub fn broken(case: &Case) -> Vec<Digest> {
    case.broken_glass().map(|record| Digest::of(Purpose::Statement, &record.signed.statement.0)).collect()
}

/// The groups as one of which somebody may look: those that any requirement under which glass was broken asks for in the
/// ordinary way, and administrators.
#[must_use]
pub fn may_look_as(case: &Case) -> BTreeSet<GroupName> {
    let holds = case.broken_glass().flat_map(|record| &record.statement.evaluation.requirement.holds);
    let quorums = holds.flat_map(|hold| &hold.any_of).filter(|quorum| !quorum.break_glass);
    quorums.map(|quorum| quorum.group.clone()).chain([GroupName::admins()]).collect()
}

impl Case {
    /// Whether glass was broken and nobody has looked at it since.
    #[must_use]
    pub fn awaits_later_review(&self) -> bool {
        self.later.is_none() && self.broken_glass().next().is_some()
    }

    /// Whether somebody had no part in approving it, so that they may look at it afterwards.
    ///
    /// # Errors
    /// [`Refusal::SelfReview`] for whoever stands on the chain or broke the glass, [`Refusal::DuplicateReviewer`] for
    /// whoever approved it the ordinary way, whether or not that counts still.
    pub fn not_of_its_own(&self, person: PersonId) -> Result<(), Refusal> {
        if self.chain.contains(person)
            || self.broken_glass().any(|record| record.statement.reviewer == person)
        {
            return Err(Refusal::SelfReview);
        }
        let approved = |record: &crate::approval::Recorded| {
            record.statement.verdict == Verdict::Approve && record.statement.reviewer == person
        };
        if self.reviews.iter().any(approved) { Err(Refusal::DuplicateReviewer) } else { Ok(()) }
    }
}
