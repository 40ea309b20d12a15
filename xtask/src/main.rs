//! The project's own commands, run as `cargo xtask <command>`: test, bench, fuzz, soak.
//!
//! Each command is a table of steps. To add a step, add a row: `test.rs`, `bench.rs` and `soak.rs`
//! each begin with their table and say how.
#![allow(clippy::print_stdout)] // a tool of the command line: what it prints is what it is for

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

mod arrows;
mod bench;
mod fuzz;
mod install;
mod run;
mod soak;
mod test;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "The project's own commands")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Install what the tests need, then run every check and test
    Test {
        /// Run only the step of this name; may be given several times
        #[arg(long, value_name = "NAME")]
        only: Vec<String>,
    },
    /// Run one benchmark, or all of them
    Bench {
        /// The benchmark's name; without it, all run
        name: Option<String>,
    },
    /// Run one fuzz target on the nightly toolchain
    Fuzz {
        /// A target of `fuzz/Cargo.toml`
        target: String,
        /// How long, in seconds
        #[arg(long, default_value_t = fuzz::DEFAULT_SECONDS)]
        seconds: u64,
    },
    /// Run one long test, or all of them
    Soak {
        /// The long test's name; without it, all run
        name: Option<String>,
    },
}

fn main() -> ExitCode {
    match command(Arguments::parse().command) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// True when everything passed.
fn command(command: Command) -> Result<bool> {
    let root = run::metadata()?.workspace_root;
    match command {
        Command::Test { only } => test::test(&root, &only),
        Command::Bench { name } => test::table(&root, "bench", bench::ROWS, name.as_deref()),
        Command::Fuzz { target, seconds } => fuzz::fuzz(&root, &target, seconds),
        Command::Soak { name } => test::table(&root, "soak", soak::ROWS, name.as_deref()),
    }
}
