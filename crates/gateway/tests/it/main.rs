//! The gateway's promises, tried from outside: the real gateway over the real embedded store in a
//! directory of its own, with a runner that counts and a passkey made by hand.
//!
//! Each row of the threat list ("how such a gateway gets bypassed") that lives at this level has a test whose
//! comment begins with the row's head: **Binding**, **Reviewer** or **Authority**.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::wildcard_enum_match_arm, reason = "a test says what it looks for")]

mod way;
mod retries;
mod results;

mod binding;
mod statement;
mod card;
mod masked;
mod authority;
mod later;
mod races;
mod edits;
mod solo;

mod config;
mod people;
mod keys;
mod terminal;
mod clicks;
mod standing;

mod remembered;
mod parts;
mod shown;
mod activity;
mod shared;
mod restart;
mod failures;
mod clocks;
mod receipts;

mod house;
mod staffed;
mod passkey;
mod ssh;
mod runner;
mod between;
#[path = "../../../store/src/postgres/tests/server.rs"]
mod server;
