//! `countersign look-back`: broken glass, looked at afterwards. As a verdict, what somebody finds is signed with a passkey
//! in the console, or with `--ssh-key` here; see [`super::terminal`].

use std::path::PathBuf;

use serde_json::{Value, json};

use super::{Context, browser, lookup, terminal};
use crate::cli::{Ending, Usage};
use crate::output::{Tone, one_line};

/// What somebody finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Finding {
    /// It could not wait, and what was done was right
    Justified,
    /// It could have waited, or what was done was not right
    NotJustified,
}

impl Finding {
    /// As statements have it.
    pub(crate) fn stated(self) -> domain::later::Finding {
        match self {
            Self::Justified => domain::later::Finding::Justified,
            Self::NotJustified => domain::later::Finding::NotJustified,
        }
    }
}

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The request: its id, or the beginning or end of it
    id: String,
    /// Print the link, and open no browser
    #[arg(long)]
    no_open: bool,
    /// Sign here, with this SSH key on a security key (`sk-`) that is enrolled for you
    #[arg(long, value_name = "FILE", conflicts_with = "no_open", requires_all = ["finding", "note"])]
    ssh_key: Option<PathBuf>,
    /// What you find; with `--ssh-key`
    #[arg(long, requires = "ssh_key")]
    finding: Option<Finding>,
    /// Why; with `--ssh-key`
    #[arg(long, value_name = "TEXT", requires = "ssh_key")]
    note: Option<String>,
}

pub(crate) async fn run(options: &Options, context: &Context) -> anyhow::Result<Ending> {
    let client = context.signed_in()?;
    let id = lookup::approval(&client, &options.id).await?;
    let approval = client.get(&format!("/v1/approvals/{id}")).await?;
    let standing = approval.get("later_standing");
    let said = |name: &str| standing.and_then(|standing| standing.get(name)?.as_str());
    if said("group").is_none() {
        let why = said("why_not").unwrap_or("nobody broke glass on this request");
        if context.output.json {
            context.output.json(&approval);
        } else {
            context.output.line(&context.output.paint(&one_line(why), Tone::Bad));
        }
        return Ok(Ending::No);
    }
    match (&options.ssh_key, options.finding, &options.note) {
        (Some(key), Some(finding), Some(note)) => {
            terminal::look_back(finding, note, key, &approval, &client, context).await
        }
        (Some(_), _, _) => Err(Usage("`--ssh-key` takes `--finding` and `--note`".to_owned()).into()),
        (None, _, _) => {
            let url = approval.get("approval_url").and_then(Value::as_str).unwrap_or_default();
            if context.output.json {
                context.output.json(&json!({ "id": id, "approval_url": url }));
            } else {
                context.output.line(&format!("Look at it, and sign with your passkey, at {}", one_line(url)));
            }
            if !options.no_open {
                browser::open(url);
            }
            Ok(Ending::Fine)
        }
    }
}
