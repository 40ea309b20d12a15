//! `countersign request`: asks, as an agent, whether an action may run. The agent then runs it itself.

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use serde_json::{Map, Value, json};

use super::Context;
use crate::agents::AgentFile;
use crate::cli::{Ending, Usage};
use crate::client::{Client, ClientError, Refused};
use crate::output::{Cell, Output, Tone, note, one_line, waiting};

/// How long one request waits before it is asked again, in seconds.
const WAIT_SECONDS: &str = "50";
/// How long to pause where the gateway does not say.
const PAUSE: std::time::Duration = std::time::Duration::from_secs(1);

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// What would be done: read, write, destroy, admin, exec or export
    #[arg(long, value_name = "VERB")]
    verb: String,
    /// To what: its name in the target
    #[arg(long, value_name = "NAME")]
    resource: String,
    /// Where it stands, such as `prod`
    #[arg(long, value_name = "NAME")]
    environment: String,
    /// In which target
    #[arg(long, value_name = "NAME")]
    target: Option<String>,
    /// A parameter that would run, as `name=value` or `name=@file`; may be given more than once
    #[arg(long, value_name = "K=V")]
    param: Vec<String>,
    /// What its owners say of the resource, as `name=value`; may be given more than once
    #[arg(long, value_name = "K=V")]
    label: Vec<String>,
    /// How many rows or objects it would touch
    #[arg(long, value_name = "N")]
    rows: Option<u64>,
    /// Why, for the people who are asked
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// The run or trace that it belongs to
    #[arg(long, value_name = "ID")]
    run: Option<String>,
    /// An earlier request of the same agent that this one replaces
    #[arg(long, value_name = "ID")]
    supersedes: Option<String>,
    /// Wait until people have decided
    #[arg(long)]
    wait: bool,
    /// Tells two intended identical actions apart
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
    /// The agent's key file, from `countersign agent new`
    #[arg(long, value_name = "FILE", env = "COUNTERSIGN_AGENT_KEY", hide_env_values = true)]
    agent_key: PathBuf,
}

pub(crate) async fn run(options: &Options, context: &Context) -> anyhow::Result<Ending> {
    let body = body(options)?;
    let file = AgentFile::read(&options.agent_key)?;
    let client = file.sign_in(context.url()).await?;
    let asked = ask(&client, &body, options, if options.wait { None } else { Some("respond-async") }).await;
    match asked {
        Ok(answer) => Ok(say(&answer, context.output)),
        Err(ClientError::Refused(refused)) if is_verdict(&refused) => Ok(say_no(&refused, context.output)),
        Err(error) => Err(error.into()),
    }
}

/// Asks once, or again and again until people have decided: an identical request attaches to the one that stands.
async fn ask(
    client: &Client,
    body: &Value,
    options: &Options,
    prefer: Option<&str>,
) -> Result<Value, ClientError> {
    let waits = format!("wait={WAIT_SECONDS}");
    let mut headers = vec![("prefer", prefer.unwrap_or("wait=0"))];
    headers.extend(options.idempotency_key.as_deref().map(|key| ("idempotency-key", key)));
    let first = client.send(Method::POST, "/v1/actions", Some(body), &headers).await;
    let Err(ClientError::Refused(refused)) = &first else { return first };
    if refused.code != "approval-pending" {
        return first;
    }
    // Said before the waiting begins: somebody must know where to look.
    if let Some(url) = refused.body.get("approval_url").and_then(Value::as_str) {
        note(&format!("people are asked: {}", one_line(url)));
    }
    if let Some(first) = headers.first_mut() {
        *first = ("prefer", &waits);
    }
    waiting("waiting for people", async {
        loop {
            match client.send(Method::POST, "/v1/actions", Some(body), &headers).await {
                Err(ClientError::Refused(refused)) if refused.code == "approval-pending" => {}
                Err(ClientError::Refused(refused)) if refused.code == "busy" => {
                    tokio::time::sleep(PAUSE).await
                }
                other => return other,
            }
        }
    })
    .await
}

fn is_verdict(refused: &Refused) -> bool {
    matches!(
        refused.code.as_str(),
        "denied" | "approval-expired" | "approval-cancelled" | "already-ran" | "already-running"
    )
}

fn say(answer: &Value, output: Output) -> Ending {
    let text = |name: &str| answer.get(name).and_then(Value::as_str).unwrap_or_default();
    let decision = text("decision");
    let ending = if decision == "pending" { Ending::Open } else { Ending::Fine };
    if output.json {
        output.json(answer);
        return ending;
    }
    let (said, tone) = match decision {
        "permit" => ("permitted: run it", Tone::Good),
        "approved" => ("approved: redeem it, run it once, and report what came of it", Tone::Good),
        _ => ("held: people are asked; nothing runs until they approve", Tone::Warn),
    };
    output.line(&output.paint(said, tone));
    let mut pairs: Vec<(&str, Cell)> = vec![("id", text("id").into())];
    for rule in answer.get("rules").and_then(Value::as_array).into_iter().flatten() {
        pairs.push(("because", super::show::rule(rule).into()));
    }
    if !text("approval_url").is_empty() {
        pairs.push(("open", text("approval_url").into()));
    }
    if decision == "approved" {
        pairs.push(("redeem", format!("POST {}/redeem", text("status_url")).into()));
    }
    for difference in answer.get("difference").and_then(Value::as_array).into_iter().flatten() {
        let part = |name: &str| difference.get(name).and_then(Value::as_str).unwrap_or("nothing").to_owned();
        pairs.push(("changed", format!("{}: {} → {}", part("part"), part("before"), part("after")).into()));
    }
    output.pairs(&pairs);
    if decision == "pending" {
        note("ask the same again with `--wait` to hear the decision");
    }
    ending
}

fn say_no(refused: &Refused, output: Output) -> Ending {
    if output.json {
        output.json(&refused.body);
    } else {
        let said = format!("{}: {refused}", refused.code.trim_start_matches("approval-").replace('-', " "));
        output.line(&output.paint(&said, Tone::Bad));
        let id = refused.body.get("id").and_then(Value::as_str);
        output.pairs(&id.map(|id| ("id", id.into())).into_iter().collect::<Vec<_>>());
    }
    Ending::No
}

fn body(options: &Options) -> anyhow::Result<Value> {
    let verb = match options.verb.as_str() {
        verb if verb.starts_with("action.") => verb.to_owned(),
        group => format!("action.{group}"),
    };
    let mut body = json!({ "verb": verb, "resource": options.resource, "environment": options.environment });
    let mut set = |name: &str, value: Option<Value>| {
        if let (Some(value), Some(body)) = (value, body.as_object_mut()) {
            body.insert(name.to_owned(), value);
        }
    };
    set("target", options.target.clone().map(Value::String));
    set("reason", options.reason.clone().map(Value::String));
    set("run", options.run.clone().map(Value::String));
    set("rows", options.rows.map(Value::from));
    set("supersedes", options.supersedes.clone().map(Value::String));
    let named = |given: &[String], value: fn(&str) -> anyhow::Result<Value>| {
        let mut named = Map::new();
        for given in given {
            let Some((name, text)) = given.split_once('=') else {
                bail!(Usage(format!("`{given}` is not written as `name=value`")));
            };
            if named.insert(name.to_owned(), value(text)?).is_some() {
                bail!(Usage(format!("`{name}` is given twice; give it once")));
            }
        }
        Ok((!named.is_empty()).then_some(Value::Object(named)))
    };
    set("labels", named(&options.label, |text| Ok(text.into()))?);
    set("parameters", named(&options.param, parameter)?);
    Ok(body)
}

/// A parameter's value: text as it stands, or a file's bytes.
fn parameter(text: &str) -> anyhow::Result<Value> {
    let Some(path) = text.strip_prefix('@') else { return Ok(text.into()) };
    let bytes = std::fs::read(path).with_context(|| format!("cannot read `{path}`"))?;
    Ok(match String::from_utf8(bytes) {
        Ok(text) => text.into(),
        Err(bytes) => json!({ "base64": STANDARD.encode(bytes.as_bytes()) }),
    })
}
