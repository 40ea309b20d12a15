//! `countersign completions SHELL`.

use clap_complete::Shell;

use crate::cli::{Ending, grammar};
use crate::output::Output;

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// For which shell: source it, or put it where your shell looks for completions
    shell: Shell,
}

pub(crate) fn run(options: &Options, output: Output) -> Ending {
    let mut script = Vec::new();
    clap_complete::generate(options.shell, &mut grammar(), "countersign", &mut script);
    output.line(String::from_utf8_lossy(&script).trim_end());
    Ending::Fine
}
