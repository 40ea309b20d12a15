//! `countersign slack`.

use anyhow::Context as _;

use crate::cli::{Ending, Usage};
use crate::output::Output;

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Print the app's manifest, to paste where Slack makes an app from one
    Manifest {
        /// For signed requests to this address, such as `https://gate.example/channels/slack`, instead of Socket Mode
        #[arg(long, value_name = "URL")]
        request_url: Option<String>,
    },
}

pub(crate) fn run(options: &Options, output: Output) -> anyhow::Result<Ending> {
    let What::Manifest { request_url } = &options.what;
    let manifest = channels::slack::manifest(request_url.as_deref()).map_err(Usage)?;
    output.line(&serde_json::to_string_pretty(&manifest).context("the manifest does not write")?);
    Ok(Ending::Fine)
}
