//! A population as a table: one row a case, made by the verifier from what it proved. A table that comes with a bundle
//! would have to be believed; this one does not.

use domain::principal::Principal;

use crate::bundle::CaseReport;
use crate::render::{line as visible_line, time};
use crate::report::{Party, Summary};

/// The table's columns.
pub const COLUMNS: [&str; 22] = [
    "approval",
    "verdict",
    "state",
    "asked_at",
    "caller",
    "caller_name",
    "behind",
    "verb",
    "effect",
    "resource",
    "environment",
    "target",
    "point",
    "reason",
    "policy",
    "rules",
    "approved_by",
    "denied_by",
    "separation",
    "started_at",
    "ended_at",
    "ending",
];

/// The first line of the table (RFC 4180), with its line end.
#[must_use]
pub fn heading() -> String {
    row(&COLUMNS.map(str::to_owned))
}

/// A case's line of the table, with its line end. What is not known stands empty.
#[must_use]
pub fn line(case: &CaseReport) -> String {
    let id = case.approval.to_string();
    let verdict = case.verdict.as_str().to_owned();
    let Some(summary) = &case.summary else {
        let mut cells = vec![id, verdict, "undetermined".to_owned()];
        cells.resize(COLUMNS.len(), String::new());
        return row(&cells);
    };
    let caller = summary.asked_by.first();
    let execution = summary.execution.as_ref();
    let ended = execution.and_then(|run| run.finished.as_ref());
    let what = &summary.what;
    row(&[
        id,
        verdict,
        summary.state.word().to_owned(),
        time(summary.asked_at),
        caller.map(|party| party.principal.to_string()).unwrap_or_default(),
        caller.and_then(|party| party.name.clone()).unwrap_or_default(),
        summary.asked_by.iter().skip(1).map(behind).collect::<Vec<_>>().join("; "),
        what.verb.to_string(),
        what.group.as_str().to_owned(),
        what.resource.clone(),
        what.environment.to_string(),
        what.target.to_string(),
        what.point.as_str().to_owned(),
        summary.reason.clone().unwrap_or_default(),
        summary.policy.to_string(),
        summary.rules.iter().map(|rule| rule.id.to_string()).collect::<Vec<_>>().join("; "),
        reviewers(summary, domain::statement::Verdict::Approve),
        reviewers(summary, domain::statement::Verdict::Deny),
        summary.separation.map(separation).unwrap_or_default().to_owned(),
        execution.map(|run| time(run.started)).unwrap_or_default(),
        ended.map(|(at, _)| time(*at)).unwrap_or_default(),
        ended.map(|(_, outcome)| ending(outcome.ending)).unwrap_or_default().to_owned(),
    ])
}

fn behind(party: &Party) -> String {
    format!("{} {}", party.role, party.principal)
}

fn reviewers(summary: &Summary, verdict: domain::statement::Verdict) -> String {
    let reviews = summary.reviews.iter().filter(|review| review.verdict == verdict);
    reviews.map(|review| Principal::Person(review.person).to_string()).collect::<Vec<_>>().join("; ")
}

fn separation(separation: domain::requirement::Separation) -> &'static str {
    match separation {
        domain::requirement::Separation::Full => "full",
        domain::requirement::Separation::None => "none",
    }
}

fn ending(ending: domain::outcome::Ending) -> &'static str {
    match ending {
        domain::outcome::Ending::Succeeded => "succeeded",
        domain::outcome::Ending::Failed => "failed",
        domain::outcome::Ending::Unknown => "unknown",
    }
}

fn row(cells: &[String]) -> String {
    let mut line = cells.iter().map(|cell| quoted(&visible_line(cell))).collect::<Vec<_>>().join(",");
    line.push_str("\r\n");
    line
}

/// A cell in quotation marks. A spreadsheet takes some first characters for a formula, which an agent could have
/// written: an apostrophe keeps it from that.
fn quoted(cell: &str) -> String {
    let guard = if cell.starts_with(['=', '+', '-', '@', '\t', '\r']) { "'" } else { "" };
    format!("\"{guard}{}\"", cell.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_one_cell_and_no_formula() {
        assert_eq!(quoted("a\"b,c\nd"), "\"a\"\"b,c\nd\"");
        assert_eq!(quoted("=cmd()"), "\"'=cmd()\"");
        assert_eq!(heading().matches(',').count() + 1, COLUMNS.len());
    }
}
