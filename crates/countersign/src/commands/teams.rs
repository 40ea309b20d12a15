//! `countersign teams`.

use std::path::PathBuf;

use anyhow::Context as _;

use super::Context;
use crate::cli::{Ending, Usage};

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Write the app package, to upload where Teams' administrators manage apps
    Manifest {
        /// Where to
        #[arg(long, value_name = "FILE", default_value = "countersign-teams.zip")]
        out: PathBuf,
        /// The bot's app id; that of `[channels.teams]` where it is not given
        #[arg(long, value_name = "ID")]
        app: Option<String>,
        /// The gateway's public address; `public_url` where it is not given
        #[arg(long, value_name = "URL")]
        public_url: Option<String>,
    },
}

pub(crate) fn run(options: &Options, context: &Context) -> anyhow::Result<Ending> {
    let What::Manifest { out, app, public_url } = &options.what;
    let config = context.config()?;
    let bot = match (app, &config.channels.teams) {
        (Some(app), _) => app
            .parse()
            .map_err(|_| Usage(format!("`{app}` is no app id: an id like `5f0d6a4e-…` is expected")))?,
        (None, Some(teams)) => teams.app,
        (None, None) => {
            return Err(Usage(
                "there is no `[channels.teams]` in the configuration: name the bot's id with `--app`"
                    .to_owned(),
            )
            .into());
        }
    };
    let public_url = public_url.as_deref().unwrap_or(&config.public_url);
    let package = channels::teams::package(bot, public_url)?;
    std::fs::write(out, package).with_context(|| format!("cannot write `{}`", out.display()))?;
    context.output.line(&format!("wrote {}", out.display()));
    context.output.line(&format!(
        "the bot's messaging endpoint is {}{}",
        public_url.trim_end_matches('/'),
        channels::teams::ENDPOINT
    ));
    Ok(Ending::Fine)
}
