//! Proposals: what changes people, groups, agents, routes or policy. They apply at once while there is one
//! administrator, and wait for another one from then on.

use std::io::IsTerminal as _;

use reqwest::Method;
use serde_json::Value;

use super::{Context, login};
use crate::cli::Ending;
use crate::client::{Client, ClientError};
use crate::output::{Cell, Tone, note};

/// Proposes a change, and says what came of it.
pub(crate) async fn propose(
    context: &Context,
    client: &Client,
    method: Method,
    path: &str,
    body: Option<&Value>,
    what: &str,
) -> anyhow::Result<Ending> {
    let proposal = send(client, method, path, body).await?;
    Ok(say(context, &proposal, what))
}

/// Sends what needs a passkey that was used just now. At a terminal, one that was not is asked for at once.
pub(crate) async fn send(
    client: &Client,
    method: Method,
    path: &str,
    body: Option<&Value>,
) -> anyhow::Result<Value> {
    let first = client.send(method.clone(), path, body, &[]).await;
    match first {
        Ok(answer) => Ok(answer),
        Err(ClientError::Refused(refused)) if refused.code == "step-up-required" && at_a_terminal() => {
            note("This needs a passkey that was used within the last minutes.");
            let fresh = login::sign_in(client, true, note).await?;
            Ok(fresh.send(method, path, body, &[]).await?)
        }
        Err(error) => Err(error.into()),
    }
}

/// Says what came of a proposal: 0 where it applies, 2 while another administrator is asked.
pub(crate) fn say(context: &Context, proposal: &Value, what: &str) -> Ending {
    let text = |name: &str| proposal.get(name).and_then(Value::as_str).unwrap_or_default();
    let held = text("status") == "held";
    let ending = if held { Ending::Open } else { Ending::Fine };
    if context.output.json {
        context.output.json(proposal);
        return ending;
    }
    if held {
        let said = format!("{what}: another administrator must approve it first");
        context.output.line(&context.output.paint(&said, Tone::Warn));
        let pairs: [(&str, Cell); 2] = [("id", text("id").into()), ("open", text("approval_url").into())];
        context.output.pairs(&pairs);
    } else {
        context.output.line(&context.output.paint(&format!("{what}: done"), Tone::Good));
    }
    ending
}

fn at_a_terminal() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}
