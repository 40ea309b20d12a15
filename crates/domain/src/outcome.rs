//! What came of an action.

use serde::{Deserialize, Serialize};

use crate::digest::Digest;

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ending {
    /// The target said that it worked.
    Succeeded,
    /// The target said that it did not, or was never reached.
    Failed,
    /// Nobody knows: the gateway died or lost the target between start and answer. It is never run
    /// again by us.
    Unknown,
}

/// Who says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Witnessed {
    /// The gateway ran it and saw the answer.
    Observed,
    /// Somebody else ran it and told us.
    Reported,
}

/// The longest detail, in bytes; longer ones are cut on a character border.
pub const DETAIL_LIMIT_BYTES: usize = 1_000;

/// What came of an action.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outcome {
    /// How it ended.
    pub ending: Ending,
    /// Who says so.
    pub witnessed: Witnessed,
    /// The target's own word, such as `204` or `connection refused`; never a body.
    pub detail: String,
    /// The digest of the result's bytes, where they were seen whole.
    pub result: Option<Digest>,
    /// How many bytes the result had.
    pub bytes: u64,
}

impl Outcome {
    /// An outcome that nobody knows.
    #[must_use]
    pub fn unknown(detail: &str) -> Self {
        Self::new(Ending::Unknown, Witnessed::Observed, detail)
    }

    /// An outcome without a result's bytes.
    #[must_use]
    pub fn new(ending: Ending, witnessed: Witnessed, detail: &str) -> Self {
        let mut end = detail.len().min(DETAIL_LIMIT_BYTES);
        while !detail.is_char_boundary(end) {
            end -= 1;
        }
        let detail = detail.get(..end).unwrap_or_default().to_owned();
        Self { ending, witnessed, detail, result: None, bytes: 0 }
    }

    /// The same outcome with the result that was seen.
    #[must_use]
    pub fn with_result(mut self, result: Digest, bytes: u64) -> Self {
        self.result = Some(result);
        self.bytes = bytes;
        self
    }
}
