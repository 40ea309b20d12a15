//! Tests that look at the crate from outside; data in, answer out.

mod traps;
mod lint;
mod decisions;
mod properties;
mod checks;
mod starter;
mod conforms;

use std::collections::BTreeMap;

use domain::action::{Draft, Level, Point, Resource, Target};
use domain::digest::{Blob, Digest, Purpose};
use domain::directory::{Directory, DirectoryEvent, Passkey};
use domain::evaluation::{Decision, Evaluation, Fact, Facts};
use domain::id::{ActionId, AgentId, PersonId};
use domain::principal::Chain;
use domain::time::Timestamp;

use crate::{PolicySet, Question};

pub(crate) fn person(n: u8) -> PersonId {
    PersonId::new(Timestamp::ZERO, &[n; 10])
}

pub(crate) fn agent(n: u8) -> AgentId {
    AgentId::new(Timestamp::ZERO, &[100 + n; 10])
}

/// Ada (1) in `admins` and `dba`, Bob (2) in `dba`, Cyd (3) in `dev`, all with keys; Dan (4) in `dev` without.
/// Agent 1 is Ada's, agent 2 is Cyd's.
pub(crate) fn directory() -> Directory {
    let mut directory = Directory::default();
    let mut apply = |event| directory.apply(&event, Timestamp::ZERO).unwrap();
    for (n, name, groups) in [
        (1, "Ada", vec!["admins", "dba"]),
        (2, "Bob", vec!["dba"]),
        (3, "Cyd", vec!["dev"]),
        (4, "Dan", vec!["dev"]),
    ] {
        apply(DirectoryEvent::PersonAdded { id: person(n), name: name.to_owned() });
        for group in groups {
            apply(DirectoryEvent::GroupJoined { group: group.parse().unwrap(), person: person(n) });
        }
        if n < 4 {
            let key = Passkey {
                credential_id: Blob(vec![n]),
                public_key: Blob(vec![n]),
                rp_id: "localhost".to_owned(),
                origin: "https://localhost".to_owned(),
                label: "key".to_owned(),
            };
            apply(DirectoryEvent::KeyEnrolled { person: person(n), key });
        }
    }
    for (n, sponsor) in [(1, 1), (2, 3)] {
        let (id, sponsor) = (agent(n), person(sponsor));
        apply(DirectoryEvent::AgentAdded { id, name: format!("agent-{n}"), sponsor, key: Blob(vec![n; 32]) });
    }
    directory
}

/// Agent 1 asks, in production, with a reason.
pub(crate) fn draft(verb: &str) -> Draft {
    let nothing = Digest::of(Purpose::Definition, b"");
    Draft {
        v: 1,
        id: ActionId::new(Timestamp::ZERO, &[0; 10]),
        point: Point::Http,
        level: Level::Enforced,
        chain: Chain::agent(agent(1), person(1)),
        verb: verb.parse().unwrap(),
        resource: Resource {
            name: "queues/orders".to_owned(),
            environment: "prod".parse().unwrap(),
            labels: BTreeMap::from([("team".to_owned(), "payments".to_owned())]),
        },
        target: Target { name: "broker".parse().unwrap(), definition: nothing },
        credential: None,
        session: BTreeMap::new(),
        run: None,
        reason: Some("because".to_owned()),
        payload: nothing,
    }
}

pub(crate) fn facts(more: &[(&str, Fact)]) -> Facts {
    let mut facts: Facts = [
        ("matched".to_owned(), Fact::Bool(true)),
        ("parsed".to_owned(), Fact::Bool(true)),
        ("risk".to_owned(), Fact::Int(10)),
    ]
    .into();
    facts.extend(more.iter().map(|(name, fact)| ((*name).to_owned(), fact.clone())));
    facts
}

pub(crate) fn load(text: &str) -> PolicySet {
    PolicySet::load(text).unwrap_or_else(|errors| panic!("{}", written(&errors)))
}

pub(crate) fn written(errors: &[crate::LoadError]) -> String {
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

pub(crate) fn ask(set: &PolicySet, draft: &Draft, facts: &Facts) -> Evaluation {
    let directory = directory();
    set.evaluate(&Question {
        action: draft,
        digest: Digest::of(Purpose::Action, b"x"),
        facts,
        directory: &directory,
    })
}

/// `permit`, `hold` or `deny`, and the ids that decided.
pub(crate) fn short(evaluation: &Evaluation) -> String {
    let word = match evaluation.decision {
        Decision::Permit => "permit",
        Decision::NeedsReview(_) => "hold",
        Decision::Deny => "deny",
    };
    let rules: Vec<&str> = evaluation.rules.iter().map(|rule| rule.id.as_str()).collect();
    let shadow: Vec<&str> = evaluation.shadow.iter().map(domain::id::RuleId::as_str).collect();
    let shadow = if shadow.is_empty() { String::new() } else { format!(" (shadow {})", shadow.join(" ")) };
    format!("{word} {}{shadow}", rules.join(" "))
}

/// The answer to agent 1's `verb` in production under `text`.
pub(crate) fn answer(text: &str, verb: &str) -> String {
    short(&ask(&load(text), &draft(verb), &facts(&[])))
}
