//! `countersign cancel`: takes a request back, by somebody of its chain.

use std::path::PathBuf;

use reqwest::Method;
use serde_json::json;

use super::{Context, lookup};
use crate::cli::Ending;

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The request: its id, or the beginning or end of it
    id: String,
    /// Why
    #[arg(long, value_name = "TEXT", default_value = "no longer needed")]
    reason: String,
    /// Cancel as this agent; as whoever is signed in where it is not given
    #[arg(long, value_name = "FILE", env = "COUNTERSIGN_AGENT_KEY", hide_env_values = true)]
    agent_key: Option<PathBuf>,
}

pub(crate) async fn run(options: &Options, context: &Context) -> anyhow::Result<Ending> {
    let client = context.agent_or_person(options.agent_key.as_deref()).await?;
    let id = lookup::approval(&client, &options.id).await?;
    let body = json!({ "reason": options.reason });
    let answer = client.send(Method::POST, &format!("/v1/approvals/{id}/cancel"), Some(&body), &[]).await?;
    if context.output.json {
        context.output.json(&answer);
    } else {
        context.output.line(&format!("{id} is taken back; nothing runs"));
    }
    Ok(Ending::Fine)
}
