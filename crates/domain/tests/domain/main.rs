//! What the domain promises, tried from outside: random lives of an approval, a table of every state and
//! command, and the formats' frozen bytes.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::wildcard_enum_match_arm, reason = "a test says what it looks for")]

mod later;
mod lives;
mod table;
mod checks;
mod records;
mod format;
mod support;
