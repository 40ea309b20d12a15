//! Risk: a sum that a reviewer can read. It feeds `context.risk` and the order of the inbox, and is never
//! authority: a policy may only add holds for it.

use domain::action::Draft;
use domain::evaluation::{Fact, Facts};
use domain::verb::VerbGroup;
use serde::Serialize;
use store::Prior;

/// A score from 0 to 100 and the addends, largest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Risk {
    /// The sum, at most 100.
    pub score: i64,
    /// What it is made of, in words.
    pub reasons: Vec<Reason>,
}

/// One addend.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reason {
    /// How much it adds.
    pub points: i64,
    /// Why.
    pub why: String,
}

/// The facts that history adds to an action's own, and the risk that comes of all of them.
pub(crate) const OF_HISTORY: [&str; 4] = ["prior_runs", "prior_denials", "denied_today", "risk"];

/// The facts that history adds to an action's own.
#[must_use]
pub fn facts(parts: &Draft, mut facts: Facts, prior: Prior) -> Facts {
    let count = |n: u64| Fact::Int(i64::try_from(n).unwrap_or(i64::MAX));
    facts.insert("prior_runs".to_owned(), count(prior.ran));
    facts.insert("prior_denials".to_owned(), count(prior.denied));
    facts.insert("denied_today".to_owned(), count(prior.denied_today));
    let score = of(parts, &facts).score;
    facts.insert("risk".to_owned(), Fact::Int(score));
    facts
}

/// The risk that these facts come to.
#[must_use]
pub fn of(parts: &Draft, facts: &Facts) -> Risk {
    let mut reasons = Vec::new();
    let mut add = |points: i64, why: String| reasons.push(Reason { points, why });
    let (points, what) = match parts.verb.group() {
        VerbGroup::Read => (0, "only reads"),
        VerbGroup::Write => (10, "changes something"),
        VerbGroup::Export => (25, "takes data out in bulk"),
        VerbGroup::Exec => (25, "runs code"),
        VerbGroup::Admin => (30, "changes who may do what"),
        VerbGroup::Destroy => (35, "removes something"),
    };
    add(points, format!("{what} ({})", parts.verb));
    if parts.resource.is_production() {
        add(25, format!("in production ({})", parts.resource.environment));
    }
    let int = |name: &str| match facts.get(name) {
        Some(Fact::Int(n)) => Some(*n),
        Some(Fact::Bool(_) | Fact::Text(_)) | None => None,
    };
    let is = |name: &str, wanted: bool| facts.get(name) == Some(&Fact::Bool(wanted));
    if is("matched", false) {
        add(10, "no route describes this operation".to_owned());
    }
    if is("parsed", false) {
        add(20, "it was not understood in full".to_owned());
    }
    if is("bulk", true) {
        add(15, "touches many at once".to_owned());
    }
    match (int("prior_runs"), int("prior_denials")) {
        (Some(0), Some(0)) => add(10, "this agent has never had such an action approved".to_owned()),
        (Some(0), Some(n)) if n > 0 => {
            add(20, format!("such an action of this agent was denied {} and never ran", counted(n)))
        }
        _ => {}
    }
    if let Some(n) = int("denied_today").filter(|n| *n > 0) {
        add(15, format!("this agent was denied {} in the last 24 hours", counted(n)));
    }
    reasons.retain(|reason| reason.points > 0);
    reasons.sort_by_key(|reason| std::cmp::Reverse(reason.points));
    let score = reasons.iter().map(|reason| reason.points).sum::<i64>().min(100);
    Risk { score, reasons }
}

/// How often, in words.
fn counted(n: i64) -> String {
    match n {
        1 => "once".to_owned(),
        n => format!("{n} times"),
    }
}
