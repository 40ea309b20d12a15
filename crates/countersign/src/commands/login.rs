//! `countersign login`, `logout` and `whoami`.

use std::time::Duration;

use anyhow::Context as _;
use domain::time::Timestamp;
use reqwest::Method;
use serde_json::{Value, json};

use super::{Context, browser};
use crate::cli::Ending;
use crate::client::{Client, ClientError};
use crate::output::{Cell, Tone, note, one_line, relative, waiting};
use crate::sessions::{Saved, Sessions};

/// How often the gateway is asked whether the human has confirmed.
const POLL_EVERY: Duration = Duration::from_millis(500);

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Print the link, and open no browser
    #[arg(long)]
    no_open: bool,
}

pub(crate) async fn login(options: &Options, context: &Context) -> anyhow::Result<Ending> {
    let client = sign_in(&context.anonymous()?, !options.no_open, |line| context.output.line(line)).await?;
    let me = client.get("/v1/me").await?;
    if context.output.json {
        context.output.json(&me);
    } else {
        let name = me.get("name").and_then(Value::as_str).unwrap_or_default();
        let said = format!("signed in at {} as {}", client.url(), one_line(name));
        context.output.line(&context.output.paint(&said, Tone::Good));
    }
    Ok(Ending::Fine)
}

/// Shows a code, waits until a human has confirmed it in the console, and keeps the session.
pub(crate) async fn sign_in(client: &Client, open: bool, say: impl Fn(&str)) -> anyhow::Result<Client> {
    let begun = client.send(Method::POST, "/v1/cli-logins", None, &[]).await?;
    let text =
        |name: &str| begun.get(name).and_then(Value::as_str).context("the gateway's answer is not whole");
    let (code, url, secret) = (text("code")?, text("url")?, text("secret")?);
    say(&format!("Open {}", one_line(url)));
    say(&format!("and type in this code: {}", one_line(code)));
    if open {
        browser::open(url);
    }
    let poll = json!({ "secret": secret });
    let token = waiting("waiting for you to confirm", async {
        loop {
            let answer = client.send(Method::POST, "/v1/cli-logins/poll", Some(&poll), &[]).await?;
            if let Some(token) = answer.get("token").and_then(Value::as_str) {
                return Ok::<_, ClientError>(token.to_owned());
            }
            tokio::time::sleep(POLL_EVERY).await;
        }
    })
    .await
    .context("nobody confirmed the code in time; run `countersign login` again")?;
    Sessions::of_this_user()?.write(&Saved { url: client.url().to_owned(), token: token.clone() })?;
    Ok(client.with_bearer(&token))
}

pub(crate) async fn logout(context: &Context) -> anyhow::Result<Ending> {
    let client = context.signed_in()?;
    if client.has_bearer() {
        // The file goes whatever the gateway says: a session that it does not know any more is over too.
        match client.send(Method::POST, "/v1/logout", None, &[]).await {
            Ok(_) => {}
            Err(ClientError::Refused(refused)) if refused.status == reqwest::StatusCode::UNAUTHORIZED => {}
            Err(error) => note(&format!("the gateway was not told: {error}")),
        }
    }
    let forgotten = Sessions::of_this_user()?.forget(client.url())?;
    if context.output.json {
        context.output.json(&json!({ "url": client.url(), "signed_out": forgotten }));
    } else if forgotten {
        context.output.line(&format!("signed out at {}", client.url()));
    } else {
        context.output.line(&format!("nobody was signed in at {}", client.url()));
    }
    Ok(Ending::Fine)
}

pub(crate) async fn whoami(context: &Context) -> anyhow::Result<Ending> {
    let client = context.signed_in()?;
    let me = client.get("/v1/me").await?;
    if context.output.json {
        context.output.json(&me);
        return Ok(Ending::Fine);
    }
    let text = |name: &str| me.get(name).and_then(Value::as_str).unwrap_or_default();
    let groups: Vec<&str> = super::lookup::list(&me, "groups").filter_map(Value::as_str).collect();
    let session = me.get("session");
    let ends = session.and_then(|session| session.get("ends")?.as_u64()).map(Timestamp::from_micros);
    let fresh = session.and_then(|session| session.get("stepped_up")?.as_bool()).unwrap_or(false);
    let fresh = if fresh { "yes: may propose now" } else { "no: proposals ask you to sign in again" };
    let mut pairs: Vec<(&str, Cell)> = vec![
        ("name", text("name").into()),
        ("id", text("principal").into()),
        ("groups", if groups.is_empty() { "none".into() } else { groups.join(", ").into() }),
        ("at", client.url().into()),
    ];
    if let Some(ends) = ends {
        pairs.push(("session", format!("ends {} if it is not used", relative(ends)).into()));
        pairs.push(("fresh", fresh.into()));
    }
    context.output.pairs(&pairs);
    Ok(Ending::Fine)
}
