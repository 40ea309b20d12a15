//! Reviewing at a terminal: the card is shown whole, its reader types what they decide, and OpenSSH signs with a key on
//! a security key. This command only shows, asks and carries; what decides is the signature, for which the
//! authenticator verified its user.

use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, bail, ensure};
use domain::digest::{Blob, Digest, Purpose};
use domain::later::LaterStatement;
use domain::statement::{self, Statement};
use identity::SshEnrolment;
use identity::ssh::{
    ENROLMENT_NAMESPACE, LATER_NAMESPACE, STATEMENT_NAMESPACE, later_message, statement_message,
};
use reqwest::Method;
use serde_json::{Value, json};

use super::look_back::Finding;
use super::review::Verdict;
use super::{Context, lookup, propose, show};
use crate::cli::{Ending, Usage};
use crate::client::Client;
use crate::output::{Cell, Tone, note, one_line, quoted};

/// What is to be signed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Said<'a> {
    pub(crate) verdict: Verdict,
    /// Whether the approval breaks glass.
    pub(crate) break_glass: bool,
    /// The reason, or the question.
    pub(crate) words: Option<&'a str>,
}

/// Shows the request, asks, signs and submits.
pub(crate) async fn review(
    said: Said<'_>,
    key: &Path,
    approval: &Value,
    client: &Client,
    context: &Context,
) -> anyhow::Result<Ending> {
    let Said { verdict, break_glass, words } = said;
    if verdict == Verdict::Ask && words.is_none() {
        return Err(Usage("put the question into `--note`".to_owned()).into());
    }
    if break_glass && words.is_none() {
        return Err(
            Usage("say with `--reason` why it cannot wait; it stands in what you sign".to_owned()).into()
        );
    }
    let word = if break_glass { "break-glass" } else { verdict.word() };
    if let (true, Some(words)) = (break_glass, words) {
        let said = format!(
            "Break-glass: you approve this alone. Your reason stands in what you sign: {}",
            one_line(words)
        );
        context.output.line(&context.output.paint(&said, Tone::Bad));
    }
    let Some(shown) = read_whole(word, approval, client, context).await? else { return Ok(Ending::No) };
    let path = format!("/v1/approvals/{}", shown.id);
    let mut body = json!({ "verdict": verdict.word(), "displayed": shown.displayed });
    if let (Some(words), Some(body)) = (words, body.as_object_mut()) {
        body.insert("note".to_owned(), words.into());
    }
    if let (true, Some(body)) = (break_glass, body.as_object_mut()) {
        body.insert("break_glass".to_owned(), true.into());
    }
    let prepared = client.send(Method::POST, &format!("{path}/statements"), Some(&body), &[]).await?;
    let bytes: Blob = field(&prepared, "statement")?;
    shown.check(&Statement::read(&bytes.0)?, said)?;
    note("Touch your security key when it blinks; it asks for its PIN or your finger first.");
    let signature = sign(key, STATEMENT_NAMESPACE, &statement_message(&bytes.0))?;
    let body = json!({ "statement": bytes, "signature": signature });
    let decided = client.send(Method::POST, &format!("{path}/reviews/ssh"), Some(&body), &[]).await?;
    if context.output.json {
        context.output.json(&decided);
    } else {
        let state = decided.get("state").and_then(Value::as_str).unwrap_or_default();
        let said = format!("signed; the request is {}", one_line(state));
        context.output.line(&context.output.paint(&said, Tone::Good));
    }
    Ok(Ending::Fine)
}

/// Shows broken glass that has ended, asks, signs what was found and submits it.
pub(crate) async fn look_back(
    finding: Finding,
    words: &str,
    key: &Path,
    approval: &Value,
    client: &Client,
    context: &Context,
) -> anyhow::Result<Ending> {
    let finding = finding.stated();
    let Some(shown) = read_whole(finding.as_str(), approval, client, context).await? else {
        return Ok(Ending::No);
    };
    let path = format!("/v1/approvals/{}/later-review", shown.id);
    let body = json!({ "finding": finding.as_str(), "note": words, "displayed": shown.displayed });
    let prepared = client.send(Method::POST, &format!("{path}/statements"), Some(&body), &[]).await?;
    let bytes: Blob = field(&prepared, "statement")?;
    let statement = LaterStatement::read(&bytes.0)?;
    let same = statement.approval.to_string() == shown.id
        && statement.action == shown.action
        && statement.displayed == shown.displayed
        && statement.finding == finding
        && statement.note == words;
    ensure!(
        same,
        "the gateway prepared a statement of something else than what stands here; nothing was signed"
    );
    note("Touch your security key when it blinks; it asks for its PIN or your finger first.");
    let signature = sign(key, LATER_NAMESPACE, &later_message(&bytes.0))?;
    let body = json!({ "statement": bytes, "signature": signature });
    let answer = client.send(Method::POST, &format!("{path}/ssh"), Some(&body), &[]).await?;
    if context.output.json {
        context.output.json(&answer);
    } else {
        let said = format!("signed; the broken glass was found {}", finding.as_str().replace('-', " "));
        context.output.line(&context.output.paint(&said, Tone::Good));
    }
    Ok(Ending::Fine)
}

/// Shows the request whole, and has its reader type what they sign; `None` where they type anything else.
async fn read_whole(
    word: &str,
    approval: &Value,
    client: &Client,
    context: &Context,
) -> anyhow::Result<Option<Shown>> {
    if !std::io::stdin().is_terminal() {
        let why = "a review is signed by somebody who reads it: `--ssh-key` needs a terminal to ask at";
        return Err(Usage(why.to_owned()).into());
    }
    let shown = Shown::read(approval)?;
    show::print_whole(context.output, approval);
    if !shown.complete {
        open_payload(&shown, client, context).await?;
    }
    if typed(&format!("{word} {}", shown.action.short()))? {
        return Ok(Some(shown));
    }
    context.output.line("nothing was signed");
    Ok(None)
}

/// Proposes an SSH key of whoever is signed in; it signs once that it is theirs.
pub(crate) async fn enrol(
    file: &Path,
    label: &str,
    client: &Client,
    context: &Context,
) -> anyhow::Result<Ending> {
    let line = std::fs::read_to_string(file).with_context(|| format!("cannot read `{}`", file.display()))?;
    let body = json!({ "public_key": line.trim(), "label": label });
    let begun = propose::send(client, Method::POST, "/v1/ssh-keys/options", Some(&body)).await?;
    let bytes: Blob = field(&begun, "enrolment")?;
    let enrolment = SshEnrolment::read(&bytes.0)?;
    ensure!(enrolment.key.label == label, "the gateway asks to enrol another key than this one");
    note("Touch your security key when it blinks, to show that the key is yours.");
    let signature = sign(file, ENROLMENT_NAMESPACE, &enrolment.message()?)?;
    let body = json!({ "enrolment": bytes, "signature": signature });
    let answer = propose::send(client, Method::POST, "/v1/ssh-keys", Some(&body)).await?;
    let ending = propose::say(context, &answer, &format!("enrol the SSH key {}", one_line(label)));
    if !context.output.json {
        let print: Cell = enrolment.key.fingerprint().into();
        context.output.pairs(&[("key ", print)]);
    }
    Ok(ending)
}

/// What stands in the terminal, and so what a signature must be over.
struct Shown {
    id: String,
    action: Digest,
    displayed: Digest,
    complete: bool,
}

impl Shown {
    /// Reads what the gateway answered. The card's digest is made here, over what is shown here.
    fn read(approval: &Value) -> anyhow::Result<Self> {
        let card = approval.get("card").context("the gateway sent no card")?;
        let displayed = Digest::of(Purpose::Displayed, &domain::canonical::write(card)?);
        let stated: Digest = field(approval, "card_digest")?;
        ensure!(
            displayed == stated,
            "the card that the gateway sent is not the one that it would have signed"
        );
        Ok(Self {
            id: field(approval, "id")?,
            action: field(card, "action")?,
            displayed,
            complete: field(card, "complete")?,
        })
    }

    /// Whether this is the statement of what was shown and typed, and of nothing else.
    fn check(&self, statement: &Statement, said: Said<'_>) -> anyhow::Result<()> {
        let same = statement.approval.to_string() == self.id
            && statement.action == self.action
            && statement.displayed == self.displayed
            && statement.verdict == said.verdict.stated()
            && statement.break_glass == said.break_glass
            && statement.note.as_deref() == said.words;
        ensure!(
            same,
            "the gateway prepared a statement of something else than what stands here; nothing was signed"
        );
        Ok(())
    }
}

impl Verdict {
    fn word(self) -> &'static str {
        match self {
            Self::Approve => "approve",
            Self::Deny => "deny",
            Self::Ask => "ask",
        }
    }

    fn stated(self) -> statement::Verdict {
        match self {
            Self::Approve => statement::Verdict::Approve,
            Self::Deny => statement::Verdict::Deny,
            Self::Ask => statement::Verdict::Ask,
        }
    }
}

/// The payload whole, where the card does not hold it. That it was opened is logged.
async fn open_payload(shown: &Shown, client: &Client, context: &Context) -> anyhow::Result<()> {
    let path = format!("/v1/approvals/{}/payload/open", shown.id);
    let payload = client.send(Method::POST, &path, None, &[]).await?;
    context.output.line("");
    context.output.line("The payload in full, which is the caller's and nobody has checked:");
    for part in lookup::list(&payload, "fields") {
        let text = |name: &str| part.get(name).and_then(Value::as_str);
        context.output.line(&format!("{} =", one_line(text("path").unwrap_or("erased"))));
        match (text("text"), text("base64")) {
            (Some(text), _) => quoted(text).iter().for_each(|line| context.output.line(line)),
            (None, Some(base64)) => context.output.line(&format!("│ base64 {}", one_line(base64))),
            (None, None) => context.output.line("│ erased"),
        }
    }
    Ok(())
}

/// Whether somebody typed exactly this.
fn typed(wanted: &str) -> anyhow::Result<bool> {
    let mut error = std::io::stderr();
    write!(error, "\nType `{wanted}` to sign it, or anything else to stop: ")?;
    error.flush()?;
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).context("nothing could be read from the terminal")?;
    Ok(line.trim() == wanted)
}

/// Lets OpenSSH sign, which finds the key (in a file or an agent), asks for PIN and touch, and knows the hardware.
///
/// The message lies in a file, in a folder of this user's alone: were it piped in, OpenSSH would take its PIN from
/// somewhere else than this terminal.
fn sign(key: &Path, namespace: &str, message: &[u8]) -> anyhow::Result<String> {
    let folder = tempfile::tempdir().context("cannot make a folder for what is to be signed")?;
    let file = folder.path().join("message");
    std::fs::write(&file, message)?;
    let status = Command::new("ssh-keygen")
        .args(["-q", "-Y", "sign", "-n", namespace, "-f"])
        .arg(key)
        .arg(&file)
        .status()
        .context("cannot run `ssh-keygen`; install OpenSSH 8.9 or newer")?;
    if !status.success() {
        bail!("`ssh-keygen` did not sign; nothing was submitted");
    }
    std::fs::read_to_string(folder.path().join("message.sig")).context("`ssh-keygen` wrote no signature")
}

fn field<T: serde::de::DeserializeOwned>(value: &Value, name: &str) -> anyhow::Result<T> {
    let found = value.get(name).cloned().unwrap_or(Value::Null);
    serde_json::from_value(found).with_context(|| format!("the gateway's answer has no `{name}`"))
}
