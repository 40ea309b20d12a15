//! CSV by RFC 4180, with a header, for spreadsheets too: a cell that a spreadsheet would take for a formula begins
//! with an apostrophe (OWASP, "CSV Injection").

use crate::EvidenceError;
use crate::event::TrailEvent;
use crate::export::{rfc3339, word};

/// The columns, in their order. New ones come at the end.
pub const COLUMNS: &[&str] = &[
    "id",
    "time",
    "index",
    "line",
    "leaf",
    "checkpoint_size",
    "kind",
    "agent",
    "agent_name",
    "sponsor",
    "sponsor_name",
    "person",
    "person_name",
    "verb",
    "group",
    "resource",
    "environment",
    "target",
    "point",
    "level",
    "run",
    "verdict",
    "rules",
    "policy",
    "approval",
    "action",
    "outcome",
    "detail",
    "reason_untrusted",
    "witnessed",
    "separation",
    "note",
    "reported",
    "withheld",
    "origin",
];

/// The header line.
///
/// # Errors
/// None that a constant can cause.
pub fn head() -> Result<Vec<u8>, EvidenceError> {
    line(COLUMNS)
}

/// The event's line.
///
/// # Errors
/// None that a value of this type can cause.
pub fn row(event: &TrailEvent) -> Result<Vec<u8>, EvidenceError> {
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let id = |value: Option<String>| value.unwrap_or_default();
    let reported = match &event.reported {
        Some(reported) => {
            serde_json::to_string(reported).map_err(|error| EvidenceError::Write(error.to_string()))?
        }
        None => String::new(),
    };
    let log = event.log.as_ref();
    let cells: [String; 35] = [
        event.id.clone(),
        rfc3339(event.time),
        id(log.map(|log| log.index.to_string())),
        id(log.and_then(|log| log.line).map(|line| line.to_string())),
        id(log.and_then(|log| log.leaf).map(|leaf| leaf.to_string())),
        id(log.map(|log| log.size.to_string())),
        event.kind.as_str().to_owned(),
        id(event.who.agent.map(|agent| agent.to_string())),
        text(&event.who.agent_name),
        id(event.who.sponsor.map(|person| person.to_string())),
        text(&event.who.sponsor_name),
        id(event.who.person.map(|person| person.to_string())),
        text(&event.who.person_name),
        text(&event.verb),
        id(event.group.map(|group| group.as_str().to_owned())),
        text(&event.resource),
        text(&event.environment),
        text(&event.target),
        id(event.point.map(|point| point.as_str().to_owned())),
        id(event.level.as_ref().and_then(word)),
        text(&event.run),
        event.verdict.unwrap_or_default().to_owned(),
        event.rules.join(" "),
        id(event.policy.map(|digest| digest.to_string())),
        text(&event.approval),
        id(event.action.map(|digest| digest.to_string())),
        id(event.outcome.as_ref().and_then(word)),
        text(&event.detail),
        id(event.reason.as_ref().map(|reason| reason.untrusted.clone())),
        id(word(&event.witnessed)),
        id(event.separation.as_ref().and_then(word)),
        text(&event.note),
        reported,
        event.withheld.to_string(),
        event.origin.to_string(),
    ];
    line(&cells.map(|cell| defused(&cell)))
}

/// A cell that no spreadsheet takes for a formula. Tab, carriage return and line feed lead one in too, and so do the wide
/// forms of the signs; blanks and what does not show before a sign are skipped by some.
#[must_use]
pub fn defused(cell: &str) -> String {
    const SIGNS: [char; 8] = ['=', '+', '-', '@', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}'];
    let blank =
        |c: char| c.is_whitespace() || c.is_control() || matches!(c, '\u{feff}' | '\u{200b}'..='\u{200f}');
    let leads = cell.starts_with(['\t', '\r', '\n']) || cell.trim_start_matches(blank).starts_with(SIGNS);
    if leads { format!("'{cell}") } else { cell.to_owned() }
}

fn line<T: AsRef<[u8]>>(cells: &[T]) -> Result<Vec<u8>, EvidenceError> {
    let mut writer = ::csv::WriterBuilder::new().terminator(::csv::Terminator::CRLF).from_writer(Vec::new());
    writer.write_record(cells).map_err(|error| EvidenceError::Write(error.to_string()))?;
    writer.into_inner().map_err(|error| EvidenceError::Write(error.to_string()))
}
