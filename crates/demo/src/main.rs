//! `cargo demo`: the story of one dangerous call, told in two minutes with everything real.
//!
//! A gateway starts on an empty store; a small HTTP service stands behind it; an agent calls. With
//! `--unattended` a passkey in software stands in for the person, and a second person joins.

mod house;
mod orders;
mod stage;
mod story;

use std::process::ExitCode;

use clap::Parser;

/// Watch an agent's dangerous call stop, approve it with a passkey, see it run once, verify the proof.
#[derive(Debug, Parser)]
#[command(name = "cargo demo")]
pub(crate) struct Options {
    /// A passkey in software approves; nobody has to be there
    #[arg(long)]
    unattended: bool,
    /// Print links, and open no browser
    #[arg(long)]
    no_open: bool,
    /// Keep the folder with the store, the keys and the receipts
    #[arg(long)]
    keep: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    let options = Options::parse();
    match Box::pin(story::tell(&options)).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            stage::complain(&format!("the demo stopped: {error:#}"));
            ExitCode::FAILURE
        }
    }
}
