//! `countersign agent`.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::Subcommand;
use domain::id::AgentId;
use domain::time::Timestamp;
use reqwest::Method;
use serde_json::{Value, json};

use super::{Context, lookup, person, propose};
use crate::agents::{AgentFile, NewKey};
use crate::cli::Ending;
use crate::client::Client;
use crate::output::{note, one_line, when};

#[derive(Debug, Subcommand)]
pub(crate) enum Agent {
    /// Make an agent's key here and propose the agent; the gateway never sees the key's secret half
    New {
        /// Its name, as cards show it
        name: String,
        /// The human who answers for it: their name, or their id
        #[arg(long, value_name = "PERSON")]
        sponsor: String,
        /// Where to put its key file [default: NAME.agent.json]
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// List the agents
    List {
        /// Those that are disabled too
        #[arg(long)]
        all: bool,
    },
    /// Let an agent in no more
    Disable {
        /// Which: its name, or its id
        agent: String,
    },
    /// Give an agent another key, made here; its tokens end with the old one
    Rekey {
        /// Which: its name, or its id
        agent: String,
        /// Where to put its new key file [default: NAME.agent.json]
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Give an agent another sponsor
    Sponsor {
        /// Which: its name, or its id
        agent: String,
        /// Who answers for it from then on: their name, or their id
        person: String,
    },
    /// Print an access token for the agent, good for 15 minutes
    Token {
        /// The agent's key file
        #[arg(env = "COUNTERSIGN_AGENT_KEY", hide_env_values = true)]
        file: PathBuf,
    },
}

pub(crate) async fn run(agent: &Agent, context: &Context) -> anyhow::Result<Ending> {
    match agent {
        Agent::Token { file } => return token(file, context).await,
        Agent::New { .. }
        | Agent::List { .. }
        | Agent::Disable { .. }
        | Agent::Rekey { .. }
        | Agent::Sponsor { .. } => {}
    }
    let client = context.signed_in()?;
    match agent {
        Agent::New { name, sponsor, output } => new(name, sponsor, output.as_deref(), &client, context).await,
        Agent::Rekey { agent, output } => rekey(agent, output.as_deref(), &client, context).await,
        Agent::List { all } => {
            let answer = client.get("/v1/agents").await?;
            if context.output.json {
                context.output.json(&answer);
            } else {
                list(context, &answer, *all);
            }
            Ok(Ending::Fine)
        }
        Agent::Disable { agent } => {
            let found = lookup::agent(&client, agent).await?;
            let what = format!("disable {}", person::name(&found));
            let path = format!("/v1/agents/{}", lookup::id(&found));
            propose::propose(context, &client, Method::DELETE, &path, None, &what).await
        }
        Agent::Sponsor { agent, person: who } => {
            let (found, sponsor) =
                (lookup::agent(&client, agent).await?, lookup::person(&client, who).await?);
            let what = format!("make {} the sponsor of {}", person::name(&sponsor), person::name(&found));
            let path = format!("/v1/agents/{}/sponsor", lookup::id(&found));
            let body = json!({ "sponsor": lookup::id(&sponsor) });
            propose::propose(context, &client, Method::PUT, &path, Some(&body), &what).await
        }
        Agent::Token { file } => token(file, context).await,
    }
}

async fn new(
    name: &str,
    sponsor: &str,
    output: Option<&Path>,
    client: &Client,
    context: &Context,
) -> anyhow::Result<Ending> {
    let path = key_path(name, output)?;
    let sponsor = lookup::person(client, sponsor).await?;
    let key = NewKey::draw()?;
    let body = json!({ "name": name, "sponsor": lookup::id(&sponsor), "key": key.public() });
    let proposal = propose::send(client, Method::POST, "/v1/agents", Some(&body)).await?;
    let subject = proposal.get("subject").and_then(Value::as_str).unwrap_or_default();
    let id: AgentId =
        subject.strip_prefix("agent:").unwrap_or(subject).parse().context("the answer names no agent")?;
    keep(&key, id, name, &path, client).await?;
    let ending = propose::say(context, &proposal, &format!("add the agent {}", one_line(name)));
    if !context.output.json {
        note(&format!("its key is in `{}`: give it to the agent, and to nobody else", path.display()));
    }
    Ok(ending)
}

async fn rekey(
    agent: &str,
    output: Option<&Path>,
    client: &Client,
    context: &Context,
) -> anyhow::Result<Ending> {
    let found = lookup::agent(client, agent).await?;
    let name = found.get("name").and_then(Value::as_str).unwrap_or_default();
    let path = key_path(name, output)?;
    let id: AgentId = lookup::id(&found).parse()?;
    let key = NewKey::draw()?;
    let body = json!({ "key": key.public() });
    let proposal = propose::send(client, Method::PUT, &format!("/v1/agents/{id}/key"), Some(&body)).await?;
    keep(&key, id, name, &path, client).await?;
    let ending = propose::say(context, &proposal, &format!("give {} another key", one_line(name)));
    if !context.output.json {
        note(&format!("the new key is in `{}`", path.display()));
    }
    Ok(ending)
}

/// Where the key file goes. Nothing that stands there is replaced: it may be the only copy of a key.
fn key_path(name: &str, output: Option<&Path>) -> anyhow::Result<PathBuf> {
    let plain = |c: char| if c.is_alphanumeric() || matches!(c, '.' | '-' | '_') { c } else { '-' };
    let path = output.map_or_else(
        || {
            PathBuf::from(format!(
                "{}.agent.json",
                name.chars().map(plain).collect::<String>().trim_start_matches('.')
            ))
        },
        Path::to_owned,
    );
    if path.exists() {
        bail!(
            "`{}` stands already and is not replaced; move it away, or name another file with `-o`",
            path.display()
        );
    }
    Ok(path)
}

async fn keep(key: &NewKey, id: AgentId, name: &str, path: &Path, client: &Client) -> anyhow::Result<()> {
    let info = client.get("/v1/info").await?;
    let origin = info
        .get("origin")
        .and_then(Value::as_str)
        .context("the gateway does not say which deployment it is")?;
    key.file(id, name, client.url(), origin).write(path).with_context(|| {
        format!("the proposal stands but its key is lost; run `countersign agent rekey {id}`")
    })
}

async fn token(file: &Path, context: &Context) -> anyhow::Result<Ending> {
    let file = AgentFile::read(file)?;
    let client = Client::anonymous(Some(context.url().unwrap_or(&file.url)))?;
    let answer = file.token(&client).await?;
    match answer.get("access_token").and_then(Value::as_str).filter(|_| !context.output.json) {
        Some(token) => context.output.line(&one_line(token)),
        None => context.output.json(&answer),
    }
    Ok(Ending::Fine)
}

fn list(context: &Context, answer: &Value, all: bool) {
    let rows: Vec<_> = lookup::list(answer, "agents")
        .filter_map(|agent| {
            let active = agent.get("active")?.as_bool()?;
            let since = agent.get("since").and_then(Value::as_u64).map(Timestamp::from_micros).map(when);
            let sponsor = agent.get("sponsor_name").and_then(Value::as_str).unwrap_or_default();
            (active || all).then(|| {
                vec![
                    person::name(agent).into(),
                    super::state(if active { "active" } else { "disabled" }),
                    sponsor.into(),
                    since.unwrap_or_default().into(),
                    lookup::id(agent).into(),
                ]
            })
        })
        .collect();
    let nothing = "there is no agent yet; make one with `countersign agent new NAME --sponsor PERSON`";
    context.output.table(&["name", "state", "sponsor", "since", "id"], &rows, nothing);
}
