//! Several holds, one requirement: all of them, the shortest times, the strongest signature.

use domain::evaluation::{DecidingRule, Decision};
use domain::requirement::{Hold, Requirement, Separation};

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
