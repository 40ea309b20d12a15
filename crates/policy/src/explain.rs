//! An evaluation in plain words: why, and what would make it run.

use std::fmt::Write as _;

use domain::directory::Directory;
use domain::evaluation::{DecidingRule, Decision, Evaluation};
use domain::requirement::{Assurance, Hold, Quorum, Requirement, Separation};

use crate::check::is_staffed;
use crate::rule::{NO_PERMIT, POLICY_ERROR, REASON_REQUIRED};

/// Why this was permitted, held or denied, and what would make it run. Plain text, one sentence a line; the
/// authors' words stand as they were loaded, where hidden characters were refused.
#[must_use]
pub fn explain(evaluation: &Evaluation, directory: &Directory) -> String {
    let mut text = match &evaluation.decision {
        Decision::Permit => listed("It may run now, permitted by:", &evaluation.rules),
        Decision::NeedsReview(requirement) => held(requirement, directory),
        Decision::Deny => denied(&evaluation.rules),
    };
    if !evaluation.shadow.is_empty() {
        let ids = evaluation.shadow.iter().map(|id| format!("`{id}`")).collect::<Vec<_>>().join(", ");
        let _ = writeln!(text, "Rules in shadow mode would have stopped it and decide nothing: {ids}.");
    }
    let _ = writeln!(
        text,
        "Decided under policy {} and directory version {}.",
        evaluation.policy.short(),
        evaluation.directory
    );
    text
}

fn held(requirement: &Requirement, directory: &Directory) -> String {
    let mut text = match requirement.holds.len() {
        1 => "It waits for people, held by one rule:\n".to_owned(),
        n => format!("It waits for people, held by {n} rules, and every one must be lifted:\n"),
    };
    for hold in &requirement.holds {
        let _ =
            writeln!(text, "- `{}`: {}. Lifted by {}.", hold.rule, sentence(&hold.why), alternatives(hold));
    }
    text.push_str(match requirement.separation {
        Separation::Full => "Nobody on the action's chain can review it; one person counts once.\n",
        Separation::None => {
            "One person is all there is, so the sponsor may review, and the receipt says so.\n"
        }
    });
    text.push_str(match requirement.assurance {
        Assurance::Passkey => "Each approval is signed with a passkey.\n",
        Assurance::Chat => "A click in a linked chat account is enough.\n",
    });
    let _ = writeln!(
        text,
        "It waits {} and then expires; once approved, it can run within {}.",
        requirement.ttl, requirement.grant
    );
    let staffed =
        |hold: &Hold| ordinary(hold).any(|quorum| is_staffed(quorum, requirement.assurance, directory));
    for hold in requirement.holds.iter().filter(|hold| !staffed(hold)) {
        let _ = writeln!(
            text,
            "As things stand nobody can lift `{}`: too few can review. It stays closed until people are added.",
            hold.rule
        );
    }
    text
}

fn ordinary(hold: &Hold) -> impl Iterator<Item = &Quorum> {
    hold.any_of.iter().filter(|quorum| !quorum.break_glass)
}

fn denied(rules: &[DecidingRule]) -> String {
    let is = |id: &str| rules.iter().any(|rule| rule.id.as_str() == id);
    let mut text = listed("It is denied, and nobody is asked:", rules);
    text.push_str(if is(POLICY_ERROR) {
        "To make it run: repair what failed; an administrator should look at it now.\n"
    } else if is(NO_PERMIT) {
        "To make it run: add a rule that permits it. Holds still apply.\n"
    } else if is(REASON_REQUIRED) {
        "To make it run: state a reason and ask again; then people are asked.\n"
    } else {
        "To make it run: change the action so that the rule does not match, or change the rule.\n"
    });
    text
}

fn listed(head: &str, rules: &[DecidingRule]) -> String {
    let mut text = format!("{head}\n");
    for rule in rules {
        let _ = writeln!(text, "- `{}`: {}.", rule.id, sentence(&rule.why));
    }
    text
}

fn alternatives(hold: &Hold) -> String {
    hold.any_of
        .iter()
        .map(|quorum| match quorum.break_glass {
            false => format!("{} of `{}`", quorum.count, quorum.group),
            true => format!("in an emergency one of `{}`, who breaks glass and says why", quorum.group),
        })
        .collect::<Vec<_>>()
        .join(", or ")
}

fn sentence(why: &str) -> &str {
    why.trim_end_matches(['.', ';'])
}
