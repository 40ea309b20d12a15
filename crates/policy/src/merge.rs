//! Several holds, one requirement: all of them, the shortest times, the strongest signature. The same for the answers to
//! the several things that one action does.

use std::cmp::Ordering;

use domain::evaluation::{DecidingRule, Decision};
use domain::requirement::{Hold, Requirement, Separation};

use crate::evaluate::{self, Answer};
use crate::rule::{DEFAULT_ASSURANCE, DEFAULT_GRANT, DEFAULT_TTL, REASON_REQUIRED, Rule, Terms};

/// What these holds come to, and the rules that decide.
///
/// # Errors
/// No holds, or a hold that asks for nobody: a requirement that nobody's deed would meet.
pub(crate) fn holds(rules: &[&Rule], has_reason: bool) -> Result<(Decision, Vec<DecidingRule>), String> {
    let mut deciding: Vec<DecidingRule> = rules.iter().map(|rule| rule.deciding()).collect();
    let demanding: Vec<&str> = rules
        .iter()
        .filter(|rule| rule.terms().is_some_and(|terms| terms.reason_required))
        .map(|rule| rule.id.as_str())
        .collect();
    if !has_reason && !demanding.is_empty() {
        deciding.push(reason_required(&demanding)?);
        deciding.sort_by(|a, b| a.id.cmp(&b.id));
        return Ok((Decision::Deny, deciding));
    }
    Ok((Decision::NeedsReview(requirement(rules)?), deciding))
}

/// The strictest of the answers about the several things that one action does: one deny denies all of it, and every hold
/// of any of them must be lifted. No answers at all are a deny.
#[must_use]
pub fn strictest(answers: Vec<Answer>) -> Answer {
    let mut answers = answers.into_iter();
    let Some(mut all) = answers.next() else {
        return evaluate::failed("nothing was asked about", Vec::new());
    };
    for next in answers {
        all.depends_on_values |= next.depends_on_values;
        all.depends_on_history |= next.depends_on_history;
        all.shadow.extend(next.shadow);
        let strictness = |decision: &Decision| match decision {
            Decision::Permit => 0,
            Decision::NeedsReview(_) => 1,
            Decision::Deny => 2,
        };
        match strictness(&next.decision).cmp(&strictness(&all.decision)) {
            Ordering::Less => {}
            Ordering::Greater => (all.decision, all.rules) = (next.decision, next.rules),
            Ordering::Equal => {
                all.rules.extend(next.rules);
                if let (Decision::NeedsReview(all), Decision::NeedsReview(next)) =
                    (&mut all.decision, next.decision)
                {
                    add(all, next);
                }
            }
        }
    }
    all.rules.sort_by(|a, b| (&a.id, &a.why).cmp(&(&b.id, &b.why)));
    all.rules.dedup();
    all.shadow.sort();
    all.shadow.dedup();
    if let Decision::NeedsReview(requirement) = &all.decision
        && let Err(error) = requirement.check()
    {
        return evaluate::failed(&error.to_string(), all.shadow);
    }
    all
}

/// Adds what another requirement asks for. A rule that held two things holds once.
fn add(all: &mut Requirement, next: Requirement) {
    for hold in next.holds {
        if !all.holds.contains(&hold) {
            all.holds.push(hold);
        }
    }
    all.holds.sort_by(|a, b| a.rule.cmp(&b.rule));
    all.ttl = all.ttl.min(next.ttl);
    all.grant = all.grant.min(next.grant);
    all.assurance = all.assurance.max(next.assurance);
    if next.separation == Separation::Full {
        all.separation = Separation::Full;
    }
}

fn requirement(rules: &[&Rule]) -> Result<Requirement, String> {
    let mut holds = Vec::with_capacity(rules.len());
    let mut all: Vec<&Terms> = Vec::with_capacity(rules.len());
    for rule in rules {
        let terms = rule.terms().ok_or_else(|| format!("the rule `{}` held without terms", rule.id))?;
        holds.push(Hold { rule: rule.id.clone(), why: rule.why.clone(), any_of: terms.ways() });
        all.push(terms);
    }
    let requirement = Requirement {
        holds,
        ttl: all.iter().map(|terms| terms.ttl).min().unwrap_or(DEFAULT_TTL),
        grant: all.iter().map(|terms| terms.grant).min().unwrap_or(DEFAULT_GRANT),
        assurance: all.iter().map(|terms| terms.assurance).max().unwrap_or(DEFAULT_ASSURANCE),
        // The gateway lowers it in solo evaluation, and stamps that on the receipt.
        separation: Separation::Full,
    };
    requirement.check().map_err(|error| error.to_string())?;
    Ok(requirement)
}

/// The caller can repair this: the answer says how.
fn reason_required(rules: &[&str]) -> Result<DecidingRule, String> {
    let id = REASON_REQUIRED.parse().map_err(|error| format!("{error}"))?;
    let rules = rules.iter().map(|rule| format!("`{rule}`")).collect::<Vec<_>>().join(", ");
    let why = format!(
        "{rules} asks for a reason and none was stated; state one (the reason header, or `reason` in the API) and ask again"
    );
    Ok(DecidingRule { id, why })
}
