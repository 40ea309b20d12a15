//! The trail in the formats of others: JSON Lines, CSV, OCSF, CloudEvents. Writing one event is pure.

pub mod cloudevents;
pub mod csv;
pub mod ocsf;

use gateway::ports::ExportFormat;
use serde::Deserialize;
use serde_json::Value;

use crate::EvidenceError;
use crate::event::TrailEvent;

pub use ocsf::Ocsf;

/// A format that a sink or an export can have, one JSON text an event.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Shape {
    /// The [`TrailEvent`] as it is.
    #[default]
    Json,
    /// An event of the Open Cybersecurity Schema Framework.
    Ocsf,
    /// A structured event of CloudEvents 1.0.
    CloudEvents,
}

impl Shape {
    /// The event in this shape.
    ///
    /// # Errors
    /// None that a value of this type can cause.
    pub fn value(self, event: &TrailEvent, ocsf: &Ocsf) -> Result<Value, EvidenceError> {
        match self {
            Self::Json => json(event),
            Self::Ocsf => ocsf.value(event),
            Self::CloudEvents => cloudevents::value(event),
        }
    }

    /// The event in this shape, on one line, whatever a reader takes for a line's end.
    ///
    /// # Errors
    /// As [`Shape::value`].
    pub fn text(self, event: &TrailEvent, ocsf: &Ocsf) -> Result<String, EvidenceError> {
        Ok(one_line(self.value(event, ocsf)?.to_string()))
    }
}

/// What an export is written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One JSON text a line.
    Lines(Shape),
    /// RFC 4180.
    Csv,
}

/// The formats of exports by name.
pub const FORMATS: &[ExportFormat] = &[
    ExportFormat { name: "jsonl", media_type: "application/jsonl" },
    ExportFormat { name: "csv", media_type: "text/csv; charset=utf-8; header=present" },
    ExportFormat { name: "ocsf", media_type: "application/jsonl" },
    ExportFormat { name: "cloudevents", media_type: "application/jsonl" },
];

impl Format {
    /// The format of a name.
    ///
    /// # Errors
    /// [`EvidenceError::Format`] for any other.
    pub fn named(name: &str) -> Result<Self, EvidenceError> {
        match name {
            "jsonl" => Ok(Self::Lines(Shape::Json)),
            "csv" => Ok(Self::Csv),
            "ocsf" => Ok(Self::Lines(Shape::Ocsf)),
            "cloudevents" => Ok(Self::Lines(Shape::CloudEvents)),
            other => Err(EvidenceError::Format(domain::text::cut(other, 64).to_owned())),
        }
    }

    /// What stands before the first event.
    ///
    /// # Errors
    /// None that a value of this type can cause.
    pub fn head(self) -> Result<Vec<u8>, EvidenceError> {
        match self {
            Self::Lines(_) => Ok(Vec::new()),
            Self::Csv => csv::head(),
        }
    }

    /// Adds an event.
    ///
    /// # Errors
    /// As [`Shape::value`].
    pub fn write(self, event: &TrailEvent, ocsf: &Ocsf, to: &mut Vec<u8>) -> Result<(), EvidenceError> {
        match self {
            Self::Lines(shape) => {
                to.extend_from_slice(shape.text(event, ocsf)?.as_bytes());
                to.push(b'\n');
            }
            Self::Csv => to.extend_from_slice(&csv::row(event)?),
        }
        Ok(())
    }
}

/// JSON without Unicode's own line ends, which JSON lets stand and many readers of lines split at.
fn one_line(json: String) -> String {
    const ENDS: [(char, &str); 3] = [('\u{85}', "\\u0085"), ('\u{2028}', "\\u2028"), ('\u{2029}', "\\u2029")];
    if !json.contains(ENDS.map(|(end, _)| end)) {
        return json;
    }
    ENDS.iter().fold(json, |json, (end, escape)| json.replace(*end, escape))
}

/// The event as it is.
pub(crate) fn json(event: &TrailEvent) -> Result<Value, EvidenceError> {
    serde_json::to_value(event).map_err(|error| EvidenceError::Write(error.to_string()))
}

/// A word as its type writes itself in JSON.
pub(crate) fn word(value: &impl serde::Serialize) -> Option<String> {
    match serde_json::to_value(value) {
        Ok(Value::String(word)) => Some(word),
        Ok(_) | Err(_) => None,
    }
}

/// A moment in RFC 3339, to the microsecond.
pub(crate) fn rfc3339(time: domain::time::Timestamp) -> String {
    let micros = i64::try_from(time.micros()).unwrap_or(i64::MAX);
    jiff::Timestamp::from_microsecond(micros)
        .map(|time| format!("{time:.6}"))
        .unwrap_or_else(|_| "9999-12-31T23:59:59.999999Z".to_owned())
}
