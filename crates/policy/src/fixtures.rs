//! `policy test`: cases in TOML, each with what it expects.
//!
//! ```toml
//! [[case]]
//! name = "a delete in production is held"
//! principal = "agent"                # or "person", or "agent:<uuid>", "person:<uuid>"
//! groups = ["dev"]                   # of the person, or of the agent's sponsor
//! verb = "http.delete"
//! target = "orders"
//! resource = "queues/orders"
//! environment = "prod"
//! labels = { team = "payments" }
//! facts = { rows = 12 }              # matched = true, parsed = true and risk = 0 where they are not given
//! reason = "clean-up"                # none where it is not given
//! expect = "hold"                    # permit, hold or deny
//! rules = ["prod-destroy"]           # all that decide; not compared where it is not given
//! shadow = []                        # not compared where it is not given
//! hold = ["dba:2 | admins:1"]        # each hold, in the order of the rules' ids
//! ttl = "30m"
//! grant = "10m"
//! assurance = "passkey"
//! ```
//!
//! Examples beside a rule (`@example`) are left out: an annotation's value is one string, and a case in one
//! string reads worse than a case here.

use std::collections::BTreeMap;

use domain::action::{Draft, Level, Point, Resource, Target};
use domain::digest::{Blob, Digest, Purpose};
use domain::directory::{Directory, DirectoryEvent};
use domain::evaluation::{Decision, Evaluation, Fact, Facts};
use domain::id::{ActionId, AgentId, Environment, GroupName, PersonId, RuleId, TargetName};
use domain::principal::{Chain, Principal};
use domain::requirement::{Assurance, Quorum, Requirement};
use domain::time::{Span, Timestamp};
use domain::verb::Verb;
use serde::Deserialize;

use crate::evaluate::Question;
use crate::explain::explain;
use crate::set::PolicySet;

/// What came of one case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FixtureResult {
    /// The case's name.
    pub name: String,
    /// What differs from what was expected; nothing where the case passed.
    pub differences: Vec<String>,
    /// The evaluation in words; nothing where the case could not be read.
    pub explanation: String,
}

impl FixtureResult {
    /// Whether everything was as expected.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.differences.is_empty()
    }
}

/// Runs the cases of a TOML text. A text that does not read is one case that failed; so is a text without cases.
#[must_use]
pub fn run_fixtures(text: &str, set: &PolicySet) -> Vec<FixtureResult> {
    match toml::from_str::<File>(text) {
        Ok(file) if !file.case.is_empty() => file.case.iter().map(|case| case.run(set)).collect(),
        Ok(_) => vec![unreadable("the fixtures", "there is no `[[case]]`".to_owned())],
        Err(error) => vec![unreadable("the fixtures", error.to_string())],
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    case: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    principal: String,
    #[serde(default)]
    groups: Vec<GroupName>,
    verb: Verb,
    target: TargetName,
    #[serde(default = "anything")]
    resource: String,
    environment: Environment,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default = "http")]
    point: Point,
    #[serde(default = "enforced")]
    level: Level,
    #[serde(default)]
    facts: Facts,
    reason: Option<String>,
    run: Option<String>,
    expect: Expected,
    rules: Option<Vec<RuleId>>,
    shadow: Option<Vec<RuleId>>,
    hold: Option<Vec<String>>,
    ttl: Option<String>,
    grant: Option<String>,
    assurance: Option<Assurance>,
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Expected {
    Permit,
    Hold,
    Deny,
}

impl Case {
    fn run(&self, set: &PolicySet) -> FixtureResult {
        match self.world() {
            Ok((chain, directory)) => {
                let draft = self.draft(chain);
                let facts = self.facts();
                let digest = Digest::of(Purpose::Action, b"fixture");
                let evaluation =
                    set.evaluate(&Question { action: &draft, digest, facts: &facts, directory: &directory });
                FixtureResult {
                    name: self.name.clone(),
                    differences: self.differences(&evaluation),
                    explanation: explain(&evaluation, &directory),
                }
            }
            Err(error) => unreadable(&self.name, error),
        }
    }

    /// A directory in which the case's principal stands, and its chain.
    fn world(&self) -> Result<(Chain, Directory), String> {
        let someone = PersonId::new(Timestamp::ZERO, &[1; 10]);
        let some_agent = AgentId::new(Timestamp::ZERO, &[2; 10]);
        let principal = match self.principal.as_str() {
            "agent" => Principal::Agent(some_agent),
            "person" => Principal::Person(someone),
            other => other.parse::<Principal>().map_err(|error| error.to_string())?,
        };
        let mut directory = Directory::default();
        let mut apply = |event| directory.apply(&event, Timestamp::ZERO).map_err(|error| error.to_string());
        let (person, chain) = match principal {
            Principal::Agent(agent) => (someone, Chain::agent(agent, someone)),
            Principal::Person(person) => (person, Chain::person(person)),
        };
        apply(DirectoryEvent::PersonAdded { id: person, name: "fixture".to_owned() })?;
        for group in &self.groups {
            apply(DirectoryEvent::GroupJoined { group: group.clone(), person })?;
        }
        if let Principal::Agent(id) = principal {
            apply(DirectoryEvent::AgentAdded {
                id,
                name: "fixture".to_owned(),
                sponsor: person,
                key: Blob(vec![0; 32]),
            })?;
        }
        Ok((chain, directory))
    }

    fn draft(&self, chain: Chain) -> Draft {
        let nothing = Digest::of(Purpose::Definition, b"fixture");
        Draft {
            v: 1,
            id: ActionId::new(Timestamp::ZERO, &[0; 10]),
            point: self.point,
            level: self.level,
            chain,
            verb: self.verb,
            resource: Resource {
                name: self.resource.clone(),
                environment: self.environment.clone(),
                labels: self.labels.clone(),
            },
            target: Target { name: self.target.clone(), definition: nothing },
            credential: None,
            session: BTreeMap::new(),
            run: self.run.clone(),
            reason: self.reason.clone(),
            payload: nothing,
        }
    }

    fn facts(&self) -> Facts {
        let mut facts: Facts = [
            ("matched".to_owned(), Fact::Bool(true)),
            ("parsed".to_owned(), Fact::Bool(true)),
            ("risk".to_owned(), Fact::Int(0)),
        ]
        .into();
        facts.extend(self.facts.clone());
        facts
    }

    fn differences(&self, evaluation: &Evaluation) -> Vec<String> {
        let mut found = Vec::new();
        let (got, got_word) = match evaluation.decision {
            Decision::Permit => (Expected::Permit, "permit"),
            Decision::NeedsReview(_) => (Expected::Hold, "hold"),
            Decision::Deny => (Expected::Deny, "deny"),
        };
        if got != self.expect {
            found.push(format!("expected {}, got {got_word}", self.expect.word()));
        }
        let rules: Vec<RuleId> = evaluation.rules.iter().map(|rule| rule.id.clone()).collect();
        found.extend(differing("rules", self.rules.as_deref().map(sorted).as_deref(), &rules));
        found.extend(differing("shadow", self.shadow.as_deref().map(sorted).as_deref(), &evaluation.shadow));
        found.extend(self.requirement_differences(evaluation.requirement()));
        found
    }

    fn requirement_differences(&self, requirement: Option<&Requirement>) -> Vec<String> {
        let Some(requirement) = requirement else {
            let asked =
                self.hold.is_some() || self.ttl.is_some() || self.grant.is_some() || self.assurance.is_some();
            return if asked { vec!["expected a requirement, got none".to_owned()] } else { Vec::new() };
        };
        let mut found = Vec::new();
        if let Some(expected) = &self.hold {
            let expected: Vec<String> = expected.iter().map(|hold| normal(hold)).collect();
            let got: Vec<String> = requirement.holds.iter().map(|hold| written(&hold.any_of)).collect();
            found.extend(differing("holds", Some(&expected), &got));
        }
        found.extend(span_difference("ttl", self.ttl.as_deref(), requirement.ttl));
        found.extend(span_difference("grant", self.grant.as_deref(), requirement.grant));
        if let Some(expected) = self.assurance.filter(|expected| *expected != requirement.assurance) {
            found.push(format!("expected assurance {expected:?}, got {:?}", requirement.assurance));
        }
        found
    }
}

impl Expected {
    fn word(self) -> &'static str {
        match self {
            Self::Permit => "permit",
            Self::Hold => "hold",
            Self::Deny => "deny",
        }
    }
}

fn differing<T: std::fmt::Debug + PartialEq>(
    what: &str,
    expected: Option<&[T]>,
    got: &[T],
) -> Option<String> {
    let expected = expected?;
    (expected != got).then(|| format!("expected {what} {expected:?}, got {got:?}"))
}

fn span_difference(what: &str, expected: Option<&str>, got: Span) -> Option<String> {
    match Span::parse(expected?) {
        Ok(expected) => (expected != got).then(|| format!("expected {what} {expected}, got {got}")),
        Err(error) => Some(error.to_string()),
    }
}

fn sorted(ids: &[RuleId]) -> Vec<RuleId> {
    let mut ids = ids.to_owned();
    ids.sort();
    ids
}

/// `dba:2|admins:1` as we write it; what does not read stays as it is, and differs.
fn normal(hold: &str) -> String {
    crate::annotations::alternatives(hold).map_or_else(|_| hold.to_owned(), |quorums| written(&quorums))
}

fn written(quorums: &[Quorum]) -> String {
    quorums.iter().map(|quorum| format!("{}:{}", quorum.group, quorum.count)).collect::<Vec<_>>().join(" | ")
}

fn unreadable(name: &str, error: String) -> FixtureResult {
    FixtureResult { name: name.to_owned(), differences: vec![error], explanation: String::new() }
}

fn anything() -> String {
    "anything".to_owned()
}

fn http() -> Point {
    Point::Http
}

fn enforced() -> Level {
    Level::Enforced
}
