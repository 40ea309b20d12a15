use crate::id::{GroupName, PersonId};

/// Bytes or words from outside that are not what they claim to be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Not JSON, or JSON that two readers would read differently.
    #[error("not strict JSON: {0}")]
    Json(String),
    /// A value that does not fit its type; `what` names the type.
    #[error("`{value}` is not a valid {what}: {why}")]
    Value {
        /// The type's name in our vocabulary.
        what: &'static str,
        /// What was given, cut to a readable length.
        value: String,
        /// What is expected.
        why: &'static str,
    },
    /// More than a named limit allows.
    #[error("{what} has {actual} {unit}, and the limit is {limit}")]
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// How large it is.
        actual: usize,
        /// The limit.
        limit: usize,
        /// The unit of both.
        unit: &'static str,
    },
    /// The bytes do not hash to what they are held against.
    #[error("{0} does not match its digest")]
    Digest(&'static str),
}

impl Malformed {
    pub(crate) fn value(what: &'static str, value: &str, why: &'static str) -> Self {
        Self::Value { what, value: value.chars().take(80).collect(), why }
    }
}

/// Why a step of an approval was refused. Every reason has a name, so that a reviewer, a caller and
/// an auditor read the same word.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The review is of another approval or of other bytes.
    #[error("the review is of another action: its digest is not this one's")]
    OtherAction,
    /// The statement names another deployment.
    #[error("the statement was made for `{0}`, another deployment")]
    OtherOrigin(String),
    /// The reviewer stands on the action's own chain.
    #[error("self-review: the reviewer asked for this action, sponsors its agent, or controls it")]
    SelfReview,
    /// One human counts once.
    #[error("this person has reviewed this action already; one human counts once")]
    DuplicateReviewer,
    /// The reviewer is not in the group that the review would count under.
    #[error("`{person}` is not in the group `{group}`, whose review is required")]
    NotEligible {
        /// Who reviewed.
        person: PersonId,
        /// The group named in the statement.
        group: GroupName,
    },
    /// The requirement does not ask for the group that the statement names.
    #[error("no hold on this action asks for the group `{0}`")]
    GroupNotAsked(GroupName),
    /// No hold lets somebody of this group break glass.
    #[error("no hold on this action lets somebody of the group `{0}` break glass")]
    NoGlass(GroupName),
    /// Nobody broke glass, so there is nothing to look at afterwards.
    #[error("nobody broke glass on this request; only broken glass has a later review")]
    GlassNotBroken,
    /// Broken glass is looked at once all is done.
    #[error("the request has not come to its end; it is looked at afterwards")]
    NotEnded,
    /// One later review a case.
    #[error("somebody has looked at this broken glass already; there is one later review")]
    LaterReviewed,
    /// The reviewer is unknown, deactivated, or the signing key is revoked.
    #[error("the reviewer or the signing key is not active: {0}")]
    NotActive(String),
    /// The signature does not verify.
    #[error("the review's signature does not verify: {0}")]
    Signature(String),
    /// The signature is weaker than the rule demands.
    #[error("a rule demands a stronger signature than this review carries")]
    Assurance,
    /// The statement's own expiry has passed; open the page again and sign a fresh one.
    #[error("the statement has expired; open the request again and sign a fresh one")]
    StatementExpired,
    /// The approval waited longer than its time.
    #[error("the request has expired; nothing ran")]
    Expired,
    /// The approval stands in a state from which this step does not start.
    #[error("the request is {0} already")]
    NotInState(&'static str),
    /// A question stands open; it is answered or withdrawn first.
    #[error("a reviewer's question is open; answer it or let the reviewer withdraw it")]
    QuestionOpen,
    /// There is no such open question.
    #[error("there is no such open question")]
    NoSuchQuestion,
    /// Only somebody who may do this did not.
    #[error("this is for {0} only")]
    NotYours(&'static str),
    /// The recorded reviews do not satisfy what policy asks for now.
    #[error("the reviews do not satisfy what policy asks for now")]
    RequirementNotMet,
    /// Policy, asked again, denies.
    #[error("policy, asked again before running, denies: {0}")]
    PolicyDenies(String),
    /// What was decided upon has changed in the meantime; read again and retry.
    #[error("the request or the directory changed in the meantime; read it again and retry")]
    Stale,
    /// The time to do this has not come.
    #[error("the request has not expired yet")]
    NotYetExpired,
    /// A text is over its limit or holds what it may not.
    #[error("{0}")]
    Malformed(#[from] Malformed),
}

impl Refusal {
    /// A stable machine name, used in problem+json `type`s, metrics and the log.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::OtherAction => "other-action",
            Self::OtherOrigin(_) => "other-origin",
            Self::SelfReview => "self-review",
            Self::DuplicateReviewer => "duplicate-reviewer",
            Self::NotEligible { .. } => "not-eligible",
            Self::GroupNotAsked(_) => "group-not-asked",
            Self::NoGlass(_) => "no-break-glass",
            Self::GlassNotBroken => "glass-not-broken",
            Self::NotEnded => "not-ended",
            Self::LaterReviewed => "later-reviewed",
            Self::NotActive(_) => "not-active",
            Self::Signature(_) => "bad-signature",
            Self::Assurance => "assurance-too-low",
            Self::StatementExpired => "statement-expired",
            Self::Expired => "expired",
            Self::NotInState(_) => "wrong-state",
            Self::QuestionOpen => "question-open",
            Self::NoSuchQuestion => "no-such-question",
            Self::NotYours(_) => "not-yours",
            Self::RequirementNotMet => "requirement-not-met",
            Self::PolicyDenies(_) => "policy-denies",
            Self::Stale => "stale",
            Self::NotYetExpired => "not-yet-expired",
            Self::Malformed(_) => "malformed",
        }
    }
}
