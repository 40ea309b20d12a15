//! `countersign answer`: an answer to a reviewer's question, by somebody of the action's chain.

use std::path::PathBuf;

use anyhow::bail;
use reqwest::Method;
use serde_json::{Value, json};

use super::{Context, lookup};
use crate::cli::Ending;
use crate::output::{Tone, one_line};

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The request: its id, or the beginning or end of it
    id: String,
    /// The question: its id, or the beginning or end of it
    question: String,
    /// The answer
    text: String,
    /// Answer as this agent; as whoever is signed in where it is not given
    #[arg(long, value_name = "FILE", env = "COUNTERSIGN_AGENT_KEY", hide_env_values = true)]
    agent_key: Option<PathBuf>,
}

pub(crate) async fn run(options: &Options, context: &Context) -> anyhow::Result<Ending> {
    let client = context.agent_or_person(options.agent_key.as_deref()).await?;
    let id = lookup::approval(&client, &options.id).await?;
    let approval = client.get(&format!("/v1/approvals/{id}")).await?;
    let card = approval.get("card").cloned().unwrap_or_default();
    let wanted = options.question.to_lowercase();
    let known: Vec<&str> = lookup::list(&card, "questions").map(lookup::id).collect();
    let fits: Vec<&&str> =
        known.iter().filter(|id| id.starts_with(&wanted) || id.ends_with(&wanted)).collect();
    let [question] = fits.as_slice() else {
        bail!(
            "`{}` is no one question of this request; `countersign show {id}` lists them",
            one_line(&wanted)
        );
    };
    let body = json!({ "question": question, "text": options.text });
    let answer = client.send(Method::POST, &format!("/v1/approvals/{id}/answers"), Some(&body), &[]).await?;
    if context.output.json {
        context.output.json(&answer);
    } else {
        let state = answer.get("state").and_then(Value::as_str).unwrap_or_default();
        let said = format!("answered; the request is {}", one_line(state));
        context.output.line(&context.output.paint(&said, Tone::Good));
    }
    Ok(Ending::Fine)
}
