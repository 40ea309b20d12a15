//! `countersign audit`: receipts and the log. Verifying needs no gateway, no network and no store.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::Subcommand;
use domain::text::visible;
use gateway::store::{Ledger as _, Store as _};
use serde_json::{Value, json};
use verify::{Report, Trust, Verdict, VerifierKey};

use super::{Context, lookup};
use crate::cli::{Ending, Usage};
use crate::output::{Output, Tone, note, when};
use crate::up;

#[derive(Debug, Subcommand)]
pub(crate) enum Audit {
    /// Verify receipts, offline: exit code 0 valid, 1 invalid, 2 indeterminate
    Verify(Verify),
    /// Fetch the receipt of a request
    Receipt(Receipt),
    /// Print the log's newest signed checkpoint
    Checkpoint,
    /// Read the whole log of a stopped gateway again and hold it against its checkpoint
    Log,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Verify {
    /// The receipts' files; `-` reads standard input
    #[arg(required = true, value_name = "RECEIPT")]
    receipts: Vec<PathBuf>,
    /// A file with the log's verifier key, as `name+hash+key`
    #[arg(long, value_name = "FILE")]
    trust: Option<PathBuf>,
    /// The log's verifier key itself, received another way than the receipt
    #[arg(long, value_name = "VKEY", conflicts_with = "trust")]
    log_key: Option<String>,
    /// Every passkey must have been enrolled for this relying party
    #[arg(long, value_name = "HOST")]
    rp_id: Option<String>,
    /// Every passkey must have signed at this web origin; may be given more than once
    #[arg(long, value_name = "ORIGIN")]
    web_origin: Vec<String>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Receipt {
    /// The request: its id, or the beginning of it
    id: String,
    /// Where to put it; standard output where it is not given
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// With the payload open
    #[arg(long)]
    with_payload: bool,
    /// Fetch it as this agent; as whoever is signed in where it is not given
    #[arg(long, value_name = "FILE", env = "COUNTERSIGN_AGENT_KEY", hide_env_values = true)]
    agent_key: Option<PathBuf>,
}

pub(crate) async fn run(audit: &Audit, context: &Context) -> anyhow::Result<Ending> {
    match audit {
        Audit::Verify(options) => verify_all(options, context.output),
        Audit::Receipt(options) => receipt(options, context).await,
        Audit::Checkpoint => checkpoint(context).await,
        Audit::Log => log(context).await,
    }
}

fn verify_all(options: &Verify, output: Output) -> anyhow::Result<Ending> {
    let trust = trust(options)?;
    let mut reports = Vec::new();
    for path in &options.receipts {
        reports.push((path, verify::verify_receipt(&read(path)?, &trust)));
    }
    if output.json {
        let reports: Vec<Value> = reports
            .iter()
            .map(|(path, report)| json!({ "file": path.display().to_string(), "report": report }))
            .collect();
        output.json(&Value::Array(reports));
    } else {
        for (position, (path, report)) in reports.iter().enumerate() {
            if position > 0 {
                output.line("");
            }
            if reports.len() > 1 {
                output.line(&output.paint(&visible(&path.display().to_string()), Tone::Bold));
            }
            print(report, output);
        }
    }
    Ok(worst(reports.iter().map(|(_, report)| report.verdict)))
}

fn print(report: &Report, output: Output) {
    let text = report.render();
    let (verdict, rest) = text.split_once('\n').unwrap_or((&text, ""));
    let tone = match report.verdict {
        Verdict::Valid => Tone::Good,
        Verdict::Invalid => Tone::Bad,
        Verdict::Indeterminate => Tone::Warn,
    };
    output.line(&output.paint(verdict, tone));
    if !rest.trim_end().is_empty() {
        output.line(rest.trim_end());
    }
}

fn worst(verdicts: impl Iterator<Item = Verdict>) -> Ending {
    verdicts.fold(Ending::Fine, |worst, verdict| match (worst, verdict) {
        (_, Verdict::Invalid) | (Ending::No, _) => Ending::No,
        (_, Verdict::Indeterminate) | (Ending::Open, _) => Ending::Open,
        (Ending::Fine, Verdict::Valid) => Ending::Fine,
    })
}

/// What the auditor trusts. It never comes from the receipt, nor from the gateway that made it.
fn trust(options: &Verify) -> anyhow::Result<Trust> {
    let key = match (&options.log_key, &options.trust) {
        (Some(key), _) => key.clone(),
        (None, Some(path)) => {
            std::fs::read_to_string(path).with_context(|| format!("cannot read `{}`", path.display()))?
        }
        (None, None) => {
            let why = "whose log is trusted? Give `--log-key VKEY` or `--trust FILE`; `countersign up` prints the key \
                       at start, and it must reach you another way than the receipt";
            bail!(Usage(why.to_owned()))
        }
    };
    let log: VerifierKey = key.trim().parse().map_err(|error| {
        Usage(format!("this is no log key: {error}; one is written `<origin>+<8 hex digits>+<base64>`"))
    })?;
    let web_origins = (!options.web_origin.is_empty()).then(|| options.web_origin.clone());
    Ok(Trust { log, rp_id: options.rp_id.clone(), web_origins })
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    // One byte more than is read strictly, so that a file that is too long is told so.
    let limit = domain::canonical::RECORD_LIMIT_BYTES as u64 + 1;
    let mut bytes = Vec::new();
    let read = if path == Path::new("-") {
        std::io::stdin().lock().take(limit).read_to_end(&mut bytes)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(limit).read_to_end(&mut bytes))
    };
    read.with_context(|| format!("cannot read `{}`", path.display()))?;
    Ok(bytes)
}

async fn receipt(options: &Receipt, context: &Context) -> anyhow::Result<Ending> {
    let client = context.agent_or_person(options.agent_key.as_deref()).await?;
    let id = lookup::approval(&client, &options.id).await?;
    let payload = if options.with_payload { "?payload=true" } else { "" };
    if options.with_payload && options.agent_key.is_none() {
        // That somebody opened a payload is on record before they have it. An agent wrote its own.
        client.send(reqwest::Method::POST, &format!("/v1/approvals/{id}/payload/open"), None, &[]).await?;
    }
    let receipt = client.get(&format!("/v1/approvals/{id}/receipt{payload}")).await?;
    // A receipt's bytes are canonical JSON, so they are the same whoever fetched them.
    let text = String::from_utf8(domain::canonical::write(&receipt)?)?;
    match &options.output {
        Some(path) => {
            std::fs::write(path, text + "\n")
                .with_context(|| format!("cannot write `{}`", path.display()))?;
            note(&format!(
                "wrote `{0}`; verify it with `countersign audit verify {0} --log-key …`",
                path.display()
            ));
        }
        None => context.output.line(&text),
    }
    Ok(Ending::Fine)
}

async fn checkpoint(context: &Context) -> anyhow::Result<Ending> {
    let client = context.signed_in()?;
    let checkpoint = client.text("/v1/log/checkpoint").await?;
    if context.output.json {
        context.output.json(&json!({ "checkpoint": checkpoint }));
    } else {
        context.output.line(visible(&checkpoint).trim_end());
    }
    Ok(Ending::Fine)
}

async fn log(context: &Context) -> anyhow::Result<Ending> {
    let config = context.config()?;
    let database = up::database(&config);
    if !database.exists() {
        bail!("there is no store at `{}`; name its bootstrap file with `--config`", database.display());
    }
    let up::OpenedStore { store, log_key, .. } =
        up::open_store(&config, None).context("only a stopped gateway's log is read again here")?;
    let head = crate::output::waiting("reading the whole log", store.audit()).await;
    store.close(std::time::Duration::from_secs(5)).await;
    let head = head.context("the log does not hold")?;
    if context.output.json {
        context.output.json(&json!({ "size": head.size, "time": head.time, "checkpoint": head.checkpoint }));
    } else {
        context
            .output
            .line(&context.output.paint("the log holds: every entry hashes to what was signed", Tone::Good));
        context.output.pairs(&[
            ("entries", head.size.to_string().into()),
            ("last", when(head.time).into()),
            ("log key", log_key.into()),
        ]);
        context.output.line("");
        context.output.line(visible(&head.checkpoint).trim_end());
    }
    Ok(Ending::Fine)
}
