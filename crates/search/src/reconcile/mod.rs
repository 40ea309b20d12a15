//! Reconciliation: the trail against the target's own log. What ran there without passing us?
//!
//! A log of ours shows what was removed from it; it cannot show what never came to it. The target's own log can.
//! [`csvlog`] reads PostgreSQL's, [`matching`] holds each statement against the actions that were running, and
//! [`sql`] takes the values out of what is reported. All of it is pure but for reading the file.
//!
//! What this cannot see: statements that the target does not log (`log_statement` below `all`, statements within
//! functions), a log that somebody with rights on the target's machine altered in place, and which of several
//! statements in an action's time was the action's, where none carries a mark.

pub mod csvlog;
pub mod matching;
pub mod sql;

pub use csvlog::{LogError, Statement, Zone};
pub use matching::{Database, Finding, Mapping, Matcher, Ran, Report, Why};

use std::time::Duration;

/// How far the clocks of gateway and database may differ, either way.
pub const SLACK: Duration = Duration::from_secs(2);
/// How long an action is taken to have run that has no outcome on record.
pub const OPEN_ENDED: Duration = Duration::from_secs(600);
/// The most findings that a report lists; all are counted.
pub const FINDINGS_LIMIT: usize = 10_000;
/// The longest statement that a report shows, in bytes.
pub const STATEMENT_LIMIT_BYTES: usize = 2_000;
/// The most sessions whose line numbers are followed at once; the longest silent ones are forgotten beyond.
pub const SESSIONS_LIMIT: usize = 100_000;
