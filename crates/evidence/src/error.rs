use domain::Malformed;
use gateway::GatewayError;
use store::StoreError;

use crate::event::Place;

/// Why the trail was not told.
#[derive(Debug, thiserror::Error)]
pub enum EvidenceError {
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An entry does not read.
    #[error("{0}")]
    Entry(String),
    /// A segment cannot be read.
    #[error("the activity segment: {0}")]
    Segment(String),
    /// What is written is no place in the trail.
    #[error(
        "`{0}` is no place in the trail; an index, `index.line`, a date like `2027-01-15`, or a time like `2027-01-15T08:00:00Z` is expected"
    )]
    Place(String),
    /// There is no such format.
    #[error("there is no format `{0}`; take `jsonl`, `csv`, `ocsf` or `cloudevents`")]
    Format(String),
    /// The log is shorter than what was told of it: it was restored from an older copy.
    #[error("the log has {size} entries, and {at} was told already: it was restored from an older copy")]
    Ahead {
        /// The place that was told.
        at: Place,
        /// The log's size.
        size: u64,
    },
    /// A sink is configured as it cannot be.
    #[error("sink `{sink}`: {why}")]
    Config {
        /// Which.
        sink: String,
        /// What is wrong, and what to do.
        why: String,
    },
    /// An event cannot be written.
    #[error("the event cannot be written: {0}")]
    Write(String),
}

impl From<EvidenceError> for GatewayError {
    fn from(error: EvidenceError) -> Self {
        match error {
            EvidenceError::Store(error) => error.into(),
            EvidenceError::Place(text) => malformed(
                "place in the trail",
                &text,
                "an index, `index.line`, a date like `2027-01-15`, or a time like `2027-01-15T08:00:00Z` is expected",
            )
            .into(),
            EvidenceError::Format(name) => {
                malformed("format", &name, "take `jsonl`, `csv`, `ocsf` or `cloudevents`").into()
            }
            EvidenceError::Entry(_)
            | EvidenceError::Segment(_)
            | EvidenceError::Ahead { .. }
            | EvidenceError::Config { .. }
            | EvidenceError::Write(_) => {
                tracing::error!(%error, "the trail could not be told");
                Self::Unavailable("the trail cannot be read; ask an operator to look at the log".to_owned())
            }
        }
    }
}

fn malformed(what: &'static str, value: &str, why: &'static str) -> Malformed {
    Malformed::Value { what, value: value.to_owned(), why }
}
