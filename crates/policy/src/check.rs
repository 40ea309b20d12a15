//! A loaded set held against the directory: what would hold forever, what never matches, what is unwise.
//! A finding stops nothing by itself; whoever applies a set sees them first.

use std::collections::BTreeSet;

use cedar_policy as cedar;
use domain::action::{Draft, Level, Point, Resource, Target};
use domain::digest::{Digest, Purpose};
use domain::directory::{Directory, Person};
use domain::evaluation::{Decision, Fact, Facts};
use domain::id::{ActionId, GroupName, PersonId, RuleId};
use domain::principal::Chain;
use domain::requirement::{Assurance, Quorum};
use domain::time::Timestamp;
use domain::verb::{VOCABULARY, VerbGroup};

use crate::evaluate::Question;
use crate::rule::{BUILTIN_PREFIX, Effect, Rule, Terms};
use crate::schema::{CONFIG_ENVIRONMENT, CONFIG_TARGET};
use crate::set::PolicySet;

/// The verbs by which a deployment is repaired.
const REPAIRS: [&str; 2] = ["config.policy", "config.group"];

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Worth a thought.
    Note,
    /// Wrong for some actions.
    Warning,
    /// Wrong for all actions that the rule is about.
    Error,
}

/// One thing found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// The rule that it is about; none where it is about the whole set.
    pub rule: Option<RuleId>,
    /// The rule's line in the text.
    pub line: Option<usize>,
    /// What was found, and what to do.
    pub message: String,
}

impl PolicySet {
    /// Holds the set against the directory: unknown or too small groups, rules that never match, holds on reads,
    /// what estimates let run, a set that nobody could replace. The worst comes first.
    #[must_use]
    pub fn check(&self, directory: &Directory) -> Vec<Finding> {
        let mut findings: Vec<Finding> =
            REPAIRS.iter().filter_map(|verb| self.repairable(verb, directory)).collect();
        findings.extend(self.permits_something());
        findings.extend(self.never_match().iter().map(|(id, why)| {
            let rule = self.rule(id);
            found(Severity::Warning, rule, format!("it can never match: {why}; correct or remove it"))
        }));
        for loaded in self.loaded() {
            let rule = &loaded.rule;
            if let Some(terms) = rule.terms() {
                findings.extend(staffing(rule, terms, directory));
                findings.extend(held_reads(rule, &loaded.cedar));
            }
            for estimate in &loaded.reads.lifting_estimates {
                let message = format!(
                    "it lets run by `{estimate}`, which is an estimate; that is safe only where the run is bound to it \
                     (effects compared, rolled back when they differ)"
                );
                findings.push(found(Severity::Note, Some(rule), message));
            }
        }
        findings.sort_by(|a, b| {
            b.severity.cmp(&a.severity).then_with(|| (&a.rule, &a.message).cmp(&(&b.rule, &b.message)))
        });
        findings
    }

    /// Whether an administrator could still repair the deployment: a set that denies or holds that for nobody
    /// locks everybody out.
    fn repairable(&self, verb: &str, directory: &Directory) -> Option<Finding> {
        let admin = directory.members(&GroupName::admins()).next()?;
        let draft = repair(verb, admin.id)?;
        let facts: Facts = [
            ("matched".to_owned(), Fact::Bool(true)),
            ("parsed".to_owned(), Fact::Bool(true)),
            ("risk".to_owned(), Fact::Int(0)),
        ]
        .into();
        let question =
            Question { action: &draft, digest: Digest::of(Purpose::Action, b""), facts: &facts, directory };
        let answer = self.answer(&question);
        let in_the_way: Vec<String> = match &answer.decision {
            Decision::Permit => Vec::new(),
            Decision::Deny => answer.rules.iter().map(|rule| format!("`{}`", rule.id)).collect(),
            Decision::NeedsReview(requirement) => requirement
                .holds
                .iter()
                // The built-in hold is the deployment's own quorum; a deployment of one person has another way.
                .filter(|hold| !hold.rule.as_str().starts_with(BUILTIN_PREFIX))
                .filter(|hold| {
                    !hold.any_of.iter().any(|quorum| is_staffed(quorum, requirement.assurance, directory))
                })
                .map(|hold| format!("`{}`", hold.rule))
                .collect(),
        };
        (!in_the_way.is_empty()).then(|| {
            let rules = in_the_way.join(", ");
            let message = format!("under this set {rules} stops `{verb}`, by which an administrator would repair the deployment; exclude `{verb}` or add reviewers first");
            found(Severity::Error, None, message)
        })
    }

    fn permits_something(&self) -> Option<Finding> {
        let permits = self.rules().any(|rule| rule.effect == Effect::Permit && rule.line.is_some());
        (!permits).then(|| {
            found(
                Severity::Warning,
                None,
                "no rule permits anything, so everything is denied; add a permit".to_owned(),
            )
        })
    }
}

/// Whether as many can review as the quorum takes, nobody's chain considered.
pub(crate) fn is_staffed(quorum: &Quorum, assurance: Assurance, directory: &Directory) -> bool {
    reviewers(&quorum.group, assurance, directory).len() >= usize::from(quorum.count)
}

/// Whether enough people can lift the hold, for every agent and whatever its sponsor.
fn staffing(rule: &Rule, terms: &Terms, directory: &Directory) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut liftable = false;
    for quorum in &terms.any_of {
        let reviewers = reviewers(&quorum.group, terms.assurance, directory);
        let lacking = Lacking { quorum, reviewers: &reviewers, directory };
        match lacking.found() {
            None => liftable = true,
            Some((severity, message)) => {
                liftable |= severity < Severity::Error;
                findings.push((severity, message));
            }
        }
    }
    // While another alternative can lift it, a short one is no more than a warning.
    let soften = |severity: Severity| if liftable { severity.min(Severity::Warning) } else { severity };
    findings.into_iter().map(|(severity, message)| found(soften(severity), Some(rule), message)).collect()
}

struct Lacking<'a> {
    quorum: &'a Quorum,
    reviewers: &'a BTreeSet<PersonId>,
    directory: &'a Directory,
}

impl Lacking<'_> {
    fn found(&self) -> Option<(Severity, String)> {
        let Quorum { group, count, .. } = self.quorum;
        let (have, need) = (self.reviewers.len(), usize::from(*count));
        if self.directory.members(group).next().is_none() {
            return Some((
                Severity::Error,
                format!(
                    "the group `{group}` has no active members, so nobody can approve; add people or correct the name"
                ),
            ));
        }
        if have < need {
            return Some((
                Severity::Error,
                format!(
                    "{need} of `{group}` must approve and {have} of its active members can review; enrol keys or add people"
                ),
            ));
        }
        if have > need {
            return None;
        }
        // Exactly enough: whoever of them stands on the chain is one too few.
        let sponsored =
            self.directory.agents().find(|agent| agent.active && self.reviewers.contains(&agent.sponsor));
        match sponsored {
            Some(agent) => Some((
                Severity::Warning,
                format!(
                    "nobody can approve what the agent `{}` asks: its sponsor is one of exactly {need} who can review for `{group}`",
                    agent.name
                ),
            )),
            None => Some((
                Severity::Note,
                format!("exactly {need} can review for `{group}`: when one of them asks, nobody can approve"),
            )),
        }
    }
}

/// The people whose review could count: active members, with a key where a key must sign.
fn reviewers(group: &GroupName, assurance: Assurance, directory: &Directory) -> BTreeSet<PersonId> {
    let can = |person: &&Person| assurance == Assurance::Chat || !person.keys.is_empty();
    directory.members(group).filter(can).map(|person| person.id).collect()
}

/// A rule that holds reads and nothing else but reads tires its reviewers.
fn held_reads(rule: &Rule, policy: &cedar::Policy) -> Option<Finding> {
    let reads = |uid: &cedar::EntityUid| {
        let name = uid.id().unescaped();
        name == VerbGroup::Read.as_str()
            || VOCABULARY.iter().any(|(verb, group, _)| *verb == name && *group == VerbGroup::Read)
    };
    let holds = match policy.action_constraint() {
        cedar::ActionConstraint::Any => !policy.has_non_scope_constraint(),
        cedar::ActionConstraint::Eq(uid) => reads(&uid),
        cedar::ActionConstraint::In(uids) => uids.iter().any(reads),
    };
    holds.then(|| {
        found(
            Severity::Note,
            Some(rule),
            "it holds reads; people who are asked too often stop looking".to_owned(),
        )
    })
}

fn found(severity: Severity, rule: Option<&Rule>, message: String) -> Finding {
    Finding {
        severity,
        rule: rule.map(|rule| rule.id.clone()),
        line: rule.and_then(|rule| rule.line),
        message,
    }
}

/// The action of an administrator who would repair the deployment.
fn repair(verb: &str, admin: PersonId) -> Option<Draft> {
    let nothing = Digest::of(Purpose::Definition, b"");
    Some(Draft {
        v: 1,
        id: ActionId::new(Timestamp::ZERO, &[0; 10]),
        point: Point::Rest,
        level: Level::Enforced,
        chain: Chain::person(admin),
        verb: verb.parse().ok()?,
        resource: Resource {
            name: "repair".to_owned(),
            environment: CONFIG_ENVIRONMENT.parse().ok()?,
            labels: [].into(),
        },
        target: Target { name: CONFIG_TARGET.parse().ok()?, definition: nothing },
        credential: None,
        session: [].into(),
        run: None,
        reason: Some("repair".to_owned()),
        payload: nothing,
    })
}
