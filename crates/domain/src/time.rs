//! Time is UTC microseconds, given by the store at commit and never before the log's head.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A moment: microseconds since 1970-01-01T00:00:00Z, without leap seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The beginning of time, before every log entry.
    pub const ZERO: Self = Self(0);

    /// A moment from its microseconds.
    #[must_use]
    pub fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// Microseconds since the epoch.
    #[must_use]
    pub fn micros(self) -> u64 {
        self.0
    }

    /// This moment and a span later; the end of time where it would overflow.
    #[must_use]
    pub fn after(self, span: Span) -> Self {
        Self(self.0.saturating_add(span.seconds().saturating_mul(1_000_000)))
    }

    /// How long from an earlier moment to this one; nothing where that is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

/// A length of time in whole seconds, as policies and routes state it (`30m`, `2h`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Span(u64);

/// The longest span that a policy or route may state: 31 days, in seconds.
pub const SPAN_LIMIT_SECONDS: u64 = 31 * 24 * 3_600;

impl Span {
    /// A span of whole seconds.
    #[must_use]
    pub const fn from_seconds(seconds: u64) -> Self {
        Self(seconds)
    }

    /// The span's seconds.
    #[must_use]
    pub const fn seconds(self) -> u64 {
        self.0
    }

    /// The span as the standard library's type.
    #[must_use]
    pub const fn duration(self) -> Duration {
        Duration::from_secs(self.0)
    }

    /// Reads `45s`, `30m`, `2h` or `7d`.
    ///
    /// # Errors
    /// Anything else, zero, and more than [`SPAN_LIMIT_SECONDS`].
    pub fn parse(text: &str) -> Result<Self, crate::Malformed> {
        let bad = || {
            crate::Malformed::value(
                "length of time",
                text,
                "`45s`, `30m`, `2h` or `7d`, up to 31 days, is expected",
            )
        };
        let unit = match text.as_bytes().last() {
            Some(b's') => 1,
            Some(b'm') => 60,
            Some(b'h') => 3_600,
            Some(b'd') => 86_400,
            _ => return Err(bad()),
        };
        let digits = text.get(..text.len() - 1).ok_or_else(bad)?;
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(bad());
        }
        let seconds = digits.parse::<u64>().ok().and_then(|n| n.checked_mul(unit)).ok_or_else(bad)?;
        if seconds == 0 || seconds > SPAN_LIMIT_SECONDS {
            return Err(bad());
        }
        Ok(Self(seconds))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            s if s % 86_400 == 0 => write!(f, "{}d", s / 86_400),
            s if s % 3_600 == 0 => write!(f, "{}h", s / 3_600),
            s if s % 60 == 0 => write!(f, "{}m", s / 60),
            s => write!(f, "{s}s"),
        }
    }
}
