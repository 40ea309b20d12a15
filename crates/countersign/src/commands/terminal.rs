//! Reviewing at a terminal: the card is shown whole, its reader types what they decide, and OpenSSH signs with a key on
//! a security key. This command only shows, asks and carries; what decides is the signature, for which the
//! authenticator verified its user.

use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, bail, ensure};
use domain::digest::{Blob, Digest, Purpose};
use domain::statement::{self, Statement};
use identity::SshEnrolment;
use identity::ssh::{ENROLMENT_NAMESPACE, STATEMENT_NAMESPACE, statement_message};
use reqwest::Method;
use serde_json::{Value, json};

use super::review::Verdict;
use super::{Context, lookup, propose, show};
use crate::cli::{Ending, Usage};
use crate::client::Client;
use crate::output::{Cell, Tone, note, one_line, quoted};

/// Shows the request, asks, signs and submits.
pub(crate) async fn review(
    verdict: Verdict,
    words: Option<&str>,
    key: &Path,
    approval: &Value,
    client: &Client,
    context: &Context,
) -> anyhow::Result<Ending> {
    if !std::io::stdin().is_terminal() {
        let why = "a review is signed by somebody who reads it: `--ssh-key` needs a terminal to ask at";
        return Err(Usage(why.to_owned()).into());
    }
    if verdict == Verdict::Ask && words.is_none() {
        return Err(Usage("put the question into `--note`".to_owned()).into());
    }
    let shown = Shown::read(approval)?;
    show::print_whole(context.output, approval);
    if !shown.complete {
        open_payload(&shown, client, context).await?;
    }
    let asked = format!("{} {}", verdict.word(), shown.action.short());
    if !typed(&asked)? {
        context.output.line("nothing was signed");
        return Ok(Ending::No);
    }
    let path = format!("/v1/approvals/{}", shown.id);
    let mut body = json!({ "verdict": verdict.word(), "displayed": shown.displayed });
    if let (Some(words), Some(body)) = (words, body.as_object_mut()) {
        body.insert("note".to_owned(), words.into());
    }
    let prepared = client.send(Method::POST, &format!("{path}/statements"), Some(&body), &[]).await?;
    let bytes: Blob = field(&prepared, "statement")?;
    shown.check(&Statement::read(&bytes.0)?, verdict, words)?;
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
    fn check(&self, statement: &Statement, verdict: Verdict, words: Option<&str>) -> anyhow::Result<()> {
        let same = statement.approval.to_string() == self.id
            && statement.action == self.action
            && statement.displayed == self.displayed
            && statement.verdict == verdict.stated()
            && statement.note.as_deref() == words;
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
