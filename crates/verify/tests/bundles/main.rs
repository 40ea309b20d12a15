//! Good and broken bundles and receipts, made by hand: what the verifier says of each. The same files go before the
//! Python verifier (`tests/verify`), which must say the same.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::wildcard_enum_match_arm, reason = "a test says what it looks for")]

mod agree;
mod bytes;
mod vectors;
mod receipts;
mod cases;
mod logs;
mod periods;
mod archives;
mod standings;
mod clicks;
mod spellings;
mod reviews;
mod later;
mod countersigned;
mod pack;
#[path = "../receipts/scene.rs"]
#[allow(dead_code, reason = "the receipts' tests use more of it")]
mod scene;
