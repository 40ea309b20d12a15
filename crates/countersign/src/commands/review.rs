//! `countersign approve`, `deny` and `ask`. A verdict is signed with a passkey, and only the console's page can ask a
//! passkey; so these open the page, and can wait for what comes of it. With `--ssh-key` it is signed here, see
//! [`super::terminal`].

use std::path::PathBuf;

use serde_json::{Value, json};

use super::{Context, browser, lookup, terminal};
use crate::cli::{Ending, Usage};
use crate::client::Client;
use crate::output::{Tone, one_line, waiting};

/// How long one request waits, in seconds.
const WAIT_SECONDS: u64 = 50;

/// What a reviewer says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Approve,
    Deny,
    Ask,
}

impl Verdict {
    /// Whether a request in this state has become what the reviewer said.
    fn met_by(self, state: &str) -> Ending {
        match (self, state) {
            (Self::Approve, "approved" | "executing" | "finished")
            | (Self::Deny, "denied")
            | (Self::Ask, "pending") => Ending::Fine,
            _ => Ending::No,
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
    /// Wait for the decision
    #[arg(long)]
    wait: bool,
    /// Break glass: approve alone, in an emergency; only `approve`, and only where a rule lets you
    #[arg(long)]
    break_glass: bool,
    /// Sign here, with this SSH key on a security key (`sk-`) that is enrolled for you
    #[arg(long, value_name = "FILE", conflicts_with_all = ["no_open", "wait"])]
    ssh_key: Option<PathBuf>,
    /// The reason of a denial or of breaking glass, or the question; with `--ssh-key`
    #[arg(long, value_name = "TEXT", visible_alias = "reason")]
    note: Option<String>,
}

pub(crate) async fn run(verdict: Verdict, options: &Options, context: &Context) -> anyhow::Result<Ending> {
    if options.break_glass && verdict != Verdict::Approve {
        return Err(Usage(
            "glass is broken by an approval: `countersign approve ID --break-glass`".to_owned(),
        )
        .into());
    }
    let client = context.signed_in()?;
    let id = lookup::approval(&client, &options.id).await?;
    let approval = client.get(&format!("/v1/approvals/{id}")).await?;
    let text =
        |value: &Value, name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (state, url) = (text(&approval, "state"), text(&approval, "approval_url"));
    let decides = state == "pending" || (verdict == Verdict::Deny && state == "approved");
    if !decides {
        if context.output.json {
            context.output.json(&approval);
        } else {
            context.output.line(&format!("the request is {} already", one_line(&state)));
        }
        return Ok(verdict.met_by(&state));
    }
    let standing = approval.get("standing");
    let may = |name: &str| standing.and_then(|standing| standing.get(name)?.as_bool()).unwrap_or(false);
    let glass = standing.and_then(|standing| standing.get("break_glass")?.as_str()).is_some();
    let allowed = match verdict {
        Verdict::Approve if options.break_glass => glass,
        Verdict::Deny => may("may_deny"),
        Verdict::Approve | Verdict::Ask => may("may_approve"),
    };
    if !allowed {
        let why = standing.map(|standing| text(standing, "why_not")).filter(|why| !why.is_empty());
        let why = match (options.break_glass, why) {
            (true, Some(why)) => format!("no rule that holds this lets you break glass now; {why}"),
            (true, None) => {
                "no rule that holds this lets you break glass; approve it as any reviewer does".to_owned()
            }
            (false, Some(why)) => why,
            (false, None) => "you may not review this request".to_owned(),
        };
        context.output.line(&context.output.paint(&one_line(&why), Tone::Bad));
        return Ok(Ending::No);
    }
    if let Some(key) = &options.ssh_key {
        let said =
            terminal::Said { verdict, break_glass: options.break_glass, words: options.note.as_deref() };
        return terminal::review(said, key, &approval, &client, context).await;
    }
    if options.note.is_some() {
        return Err(Usage("`--note` goes with `--ssh-key`; the console's page asks for it".to_owned()).into());
    }
    if !context.output.json {
        let word = match verdict {
            Verdict::Approve if options.break_glass => "Break glass on",
            Verdict::Approve => "Approve",
            Verdict::Deny => "Deny",
            Verdict::Ask => "Ask",
        };
        context.output.line(&format!("{word} it with your passkey at {}", one_line(&url)));
    } else if !options.wait {
        context.output.json(&json!({ "id": id, "state": state, "approval_url": url }));
    }
    if !options.no_open {
        browser::open(&url);
    }
    if !options.wait {
        return Ok(Ending::Fine);
    }
    let version = approval.get("version").and_then(Value::as_u64).unwrap_or(0);
    let moved = waiting("waiting for the decision", decided(&client, &id, version, verdict)).await?;
    let state = text(&moved, "state");
    if context.output.json {
        context.output.json(&moved);
    } else {
        let why = text(&moved, "why_not");
        let why = if why.is_empty() { String::new() } else { format!(": {}", one_line(&why)) };
        context
            .output
            .line(&context.output.paint(&format!("{}{why}", one_line(&state)), Tone::of_state(&state)));
    }
    Ok(verdict.met_by(&state))
}

/// The request once it is decided; for a question, once anything has happened.
async fn decided(client: &Client, id: &str, mut version: u64, verdict: Verdict) -> anyhow::Result<Value> {
    loop {
        let path = format!("/v1/approvals/{id}/wait?seconds={WAIT_SECONDS}&version={version}");
        let approval = client.get(&path).await?;
        let now = approval.get("version").and_then(Value::as_u64).unwrap_or(version);
        let pending = approval.get("state").and_then(Value::as_str) == Some("pending");
        if !pending || (verdict == Verdict::Ask && now != version) {
            return Ok(approval);
        }
        version = now;
    }
}
