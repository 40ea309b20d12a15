//! The outbox and the click's way, over the real gateway and the real embedded store, with channels that live in memory.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::wildcard_enum_match_arm, reason = "a test says what it looks for")]
#![allow(dead_code, unused_imports, reason = "the gateway's own house has rooms that nobody enters here")]

mod clicks;
mod outbox;

mod memory;

// The house of the gateway's own tests.
#[path = "../../../gateway/tests/it/between.rs"]
mod between;
#[path = "../../../gateway/tests/it/house.rs"]
mod house;
#[path = "../../../gateway/tests/it/passkey.rs"]
mod passkey;
#[path = "../../../gateway/tests/it/runner.rs"]
mod runner;
#[path = "../../../gateway/tests/it/ssh.rs"]
mod ssh;
