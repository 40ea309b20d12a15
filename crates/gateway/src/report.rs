//! **report**: what somebody outside says that happened: calls of models, reads of data, steps of a pipeline.
//!
//! A report is a claim. It stands under the caller that was admitted with it, marked `reported`, and nothing in it
//! can say otherwise; nothing here decides, permits or runs anything. It enters the open segment by the same
//! discipline as a permit: the operating system has it before the caller is told so.

use std::collections::BTreeMap;

use domain::Malformed;
use domain::canonical::INTEGER_LIMIT;
use domain::digest::Blob;
use domain::evaluation::Fact;
use domain::id::ActionId;
use domain::principal::{Link, Principal};
use domain::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::admit::Caller;
use crate::{Gateway, GatewayError, limits};

/// One event as its sender told it. Every field is the sender's claim.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reported {
    /// In which form it came.
    pub form: Form,
    /// What kind of thing, in the sender's vocabulary, such as `com.example.model.called`.
    pub kind: String,
    /// What it comes from: a CloudEvents source, or a service and its scope.
    pub source: String,
    /// The sender's own id of it.
    pub event: Option<String>,
    /// What it is about.
    pub subject: Option<String>,
    /// When the sender says that it happened.
    pub occurred: Option<Timestamp>,
    /// How grave the sender finds it.
    pub severity: Option<String>,
    /// The trace that it belongs to: 32 hexadecimal digits.
    pub trace: Option<String>,
    /// What else is said of it. Numbers that are no integers within 2^53 stand as text, and so do lists.
    pub attributes: BTreeMap<String, Fact>,
    /// Its data.
    pub data: Option<Data>,
}

/// In which form an event came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Form {
    /// CloudEvents 1.0.
    CloudEvents,
    /// An OpenTelemetry log record.
    Otlp,
}

/// An event's data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Data {
    /// Text, JSON's too.
    Text(String),
    /// Any other bytes.
    Bytes(Blob),
}

impl Reported {
    /// Whether it is about a model, by OpenTelemetry's names.
    #[must_use]
    pub fn is_model(&self) -> bool {
        self.attributes.keys().any(|name| name.starts_with("gen_ai."))
    }

    /// How long it is as JSON, in bytes: escapes can make text six times as long.
    #[must_use]
    pub fn written(&self) -> usize {
        struct Length(usize);
        impl std::io::Write for Length {
            fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
                self.0 = self.0.saturating_add(bytes.len());
                Ok(bytes.len())
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        let mut length = Length(0);
        // What cannot be written is over every limit.
        if serde_json::to_writer(&mut length, self).is_ok() { length.0 } else { usize::MAX }
    }

    /// Holds the event against the limits.
    ///
    /// # Errors
    /// [`Malformed::TooLarge`] over one of [`limits`], and an empty name, or a time beyond 2^53 microseconds.
    pub fn check(&self) -> Result<(), Malformed> {
        let names = [
            ("the event's kind", Some(&self.kind)),
            ("the event's source", Some(&self.source)),
            ("the event's id", self.event.as_ref()),
            ("the event's subject", self.subject.as_ref()),
            ("the event's severity", self.severity.as_ref()),
            ("the event's trace", self.trace.as_ref()),
        ];
        for (what, name) in names {
            let Some(name) = name else { continue };
            if name.is_empty() {
                return Err(malformed("event", what, "it is not empty"));
            }
            within(what, name.len(), limits::REPORTED_NAME_BYTES, "bytes")?;
        }
        within("the event", self.attributes.len(), limits::REPORTED_ATTRIBUTES, "attributes")?;
        for (name, value) in &self.attributes {
            within("an attribute's name", name.len(), limits::REPORTED_ATTRIBUTE_NAME_BYTES, "bytes")?;
            let length = match value {
                Fact::Text(text) => text.len(),
                Fact::Int(number) if number.unsigned_abs() > INTEGER_LIMIT => {
                    return Err(malformed("attribute", name, "an integer within 2^53 is expected"));
                }
                Fact::Bool(_) | Fact::Int(_) => 0,
            };
            within("an attribute", length, limits::REPORTED_ATTRIBUTE_BYTES, "bytes")?;
        }
        let length = match &self.data {
            Some(Data::Text(text)) => text.len(),
            Some(Data::Bytes(bytes)) => bytes.0.len(),
            None => 0,
        };
        within("the event's data", length, limits::REPORTED_DATA_BYTES, "bytes")?;
        within("the event", self.written(), limits::REPORTED_LINE_BYTES, "bytes")?;
        match self.occurred {
            Some(time) if time.micros() > INTEGER_LIMIT => {
                Err(malformed("event time", &time.micros().to_string(), "a time before 2255 is expected"))
            }
            Some(_) | None => Ok(()),
        }
    }
}

fn malformed(what: &'static str, value: &str, why: &'static str) -> Malformed {
    Malformed::Value { what, value: domain::text::cut(value, 64).to_owned(), why }
}

fn within(what: &'static str, actual: usize, limit: usize, unit: &'static str) -> Result<(), Malformed> {
    if actual > limit { Err(Malformed::TooLarge { what, actual, limit, unit }) } else { Ok(()) }
}

/// A line of a segment: what somebody says.
#[derive(Serialize)]
struct ReportedRecord<'a> {
    v: u8,
    id: ActionId,
    time: Timestamp,
    effect: &'static str,
    caller: Principal,
    behind: &'a [Link],
    event: &'a Reported,
}

impl Gateway {
    /// Puts reported events on record under the caller that was admitted with them, all or none; answers their
    /// ids, in their order. Whoever is answered can rely on it: a kill of the gateway loses none of them.
    ///
    /// # Errors
    /// [`GatewayError::Malformed`] for the first event that is over a limit, for more than
    /// [`limits::REPORTED_EVENTS`] or [`limits::REPORTED_BYTES`] together, and [`GatewayError::Unavailable`] when nothing
    /// can be recorded.
    pub async fn report_activity(
        &self,
        caller: &Caller,
        events: &[Reported],
    ) -> Result<Vec<ActionId>, GatewayError> {
        self.room_for_activity().await?;
        within("the report", events.len(), limits::REPORTED_EVENTS, "events")?;
        let chain = caller.chain();
        let time = self.store.now();
        let (mut lines, mut ids) = (Vec::new(), Vec::with_capacity(events.len()));
        for event in events {
            event.check()?;
            let id = ActionId::new(time, &self.draw()?);
            let (caller, behind) = (chain.caller, chain.behind.as_slice());
            let record = ReportedRecord { v: 1, id, time, effect: "reported", caller, behind, event };
            serde_json::to_writer(&mut lines, &record).map_err(|error| {
                GatewayError::Unavailable(format!("the reported event cannot be written: {error}"))
            })?;
            lines.push(b'\n');
            within("the report", lines.len(), limits::REPORTED_BYTES, "bytes")?;
            ids.push(id);
        }
        if !ids.is_empty() {
            self.activity.append_lines(time, &lines, ids.len() as u64)?;
        }
        metrics::counter!("countersign_reported_events_total").increment(ids.len() as u64);
        Ok(ids)
    }
}
