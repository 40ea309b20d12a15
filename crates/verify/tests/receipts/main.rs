//! Receipts made by hand, in a log made by hand: good ones are valid, and whatever is done to them is found.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::wildcard_enum_match_arm, reason = "a test says what it looks for")]

mod good;
mod lies;
mod missing;
mod tampered;
mod bytes;
#[allow(dead_code, reason = "the bundles' tests use more of it")]
mod scene;
