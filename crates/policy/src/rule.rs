//! A rule of a loaded set: what its annotations say, checked.

use domain::evaluation::DecidingRule;
use domain::id::{GroupName, RuleId};
use domain::requirement::{Assurance, Quorum};
use domain::time::Span;

/// How long a request waits where its rule does not say (`@ttl`).
pub const DEFAULT_TTL: Span = Span::from_seconds(3_600);
/// How long an approval can be spent where its rule does not say (`@grant`).
pub const DEFAULT_GRANT: Span = Span::from_seconds(600);
/// The weakest review that counts where a rule does not say (`@assurance`): chat is opted into per rule.
pub const DEFAULT_ASSURANCE: Assurance = Assurance::Passkey;

/// The most rules that a set may have.
pub const RULES_LIMIT: usize = 10_000;
/// The longest rule, in bytes.
pub const RULE_LIMIT_BYTES: usize = 16_384;
/// The longest `@why`, in bytes.
pub const WHY_LIMIT_BYTES: usize = 300;
/// The longest `@notify`, in bytes.
pub const NOTIFY_LIMIT_BYTES: usize = 256;
/// The most alternatives in one `@hold`.
pub const ALTERNATIVES_LIMIT: usize = 8;

/// What the ids of the built-in rules begin with; refused in a deployment's text.
pub const BUILTIN_PREFIX: &str = "countersign.";

/// The id under which "no rule permits this" decides.
pub const NO_PERMIT: &str = "no-permit";
/// The id under which an error of policy, facts or directory decides.
pub const POLICY_ERROR: &str = "policy-error";
/// The id under which a missing reason decides.
pub const REASON_REQUIRED: &str = "reason-required";
/// Ids that are ours to give.
pub(crate) const RESERVED: [&str; 3] = [NO_PERMIT, POLICY_ERROR, REASON_REQUIRED];

/// A rule of a loaded set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Its `@id`.
    pub id: RuleId,
    /// Its `@why`, or words that name it.
    pub why: String,
    /// What it does where it matches.
    pub effect: Effect,
    /// Whether it only watches: it decides nothing and is recorded.
    pub shadow: bool,
    /// The line of the deployment's text on which it begins; none for a built-in rule.
    pub line: Option<usize>,
}

/// What a rule does where it matches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Lets run what nothing else denies or holds.
    Permit,
    /// Denies, finally.
    Forbid,
    /// Asks people.
    Hold(Terms),
}

/// What a hold asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// The alternatives, such as 2 of `dba` or 1 of `admins`.
    pub any_of: Vec<Quorum>,
    /// The group of which one named human may lift this hold alone, by breaking glass (`@break_glass`).
    pub break_glass: Option<GroupName>,
    /// How long the request waits.
    pub ttl: Span,
    /// How long an approval can be spent.
    pub grant: Span,
    /// The weakest review that counts.
    pub assurance: Assurance,
    /// Whether the caller must state a reason; without one the answer is a deny that says so.
    pub reason_required: bool,
    /// Where the request is made known besides the inbox, such as `#dba`.
    pub notify: Vec<String>,
    /// Whom to ask when nobody answers.
    pub escalate: Option<Escalation>,
}

/// Whom to ask when nobody answers. It widens who hears of a request, never who may review it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Escalation {
    /// After how long.
    pub after: Span,
    /// Which group.
    pub group: GroupName,
}

impl Terms {
    /// Every way to lift the hold: the alternatives, and breaking glass last.
    #[must_use]
    pub fn ways(&self) -> Vec<Quorum> {
        self.any_of.iter().cloned().chain(self.break_glass.clone().map(Quorum::break_glass)).collect()
    }
}

impl Rule {
    /// What the rule asks for, where it holds.
    #[must_use]
    pub fn terms(&self) -> Option<&Terms> {
        match &self.effect {
            Effect::Hold(terms) => Some(terms),
            Effect::Permit | Effect::Forbid => None,
        }
    }

    /// The rule as one that decided.
    pub(crate) fn deciding(&self) -> DecidingRule {
        DecidingRule { id: self.id.clone(), why: self.why.clone() }
    }
}
