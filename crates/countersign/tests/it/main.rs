//! The binary as its users meet it: started as a process, on free ports, in a folder of its own.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod support;

mod help;
mod config;
mod offline;
mod public;
mod running;
