//! `countersign audit`: receipts and the log. Verifying needs no gateway, no network and no store.

use std::cell::Cell;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Subcommand;
use domain::text::visible;
use domain::time::Timestamp;
use gateway::store::{Leaves, Pruning};
use serde_json::{Value, json};
use verify::{Trust, Verdict, Verified};

use super::{Context, lookup, reconcile, search, trail};
use crate::cli::{Ending, Usage};
use crate::client::{Client, escaped};
use crate::output::{Output, Tone, note, when};
use crate::{retention, up};

/// The most cases of a bundle that are told; `countersign-verify --csv` tells all.
const CASES_SHOWN: usize = 1_000;
/// How long a bundle may take, from the request to its last byte: one of a million entries takes minutes.
const BUNDLE_PATIENCE: Duration = Duration::from_secs(3_600);
/// A bundle that is longer says how far it is, in bytes.
const PROGRESS_FROM_BYTES: u64 = 64 << 20;

#[derive(Debug, Subcommand)]
pub(crate) enum Audit {
    /// Verify receipts and bundles, offline: exit code 0 valid, 1 invalid, 2 indeterminate
    Verify(Verify),
    /// Make a bundle of requests, or of everything in a period, that verifies without the gateway
    Bundle(Bundle),
    /// Fetch the receipt of a request
    Receipt(Receipt),
    /// Search the trail, newest first
    Search(search::Options),
    /// Write the trail out, in a format of others
    Export(trail::Export),
    /// Print the trail's events as they come
    Tail(trail::Tail),
    /// List the sinks, and how far each one is
    Sinks,
    /// Print the log's newest signed checkpoint
    Checkpoint,
    /// Read the whole log of a stopped gateway again and hold it against its checkpoint
    Log,
    /// Fill the search index of a stopped gateway anew
    Reindex,
    /// Hold the trail against a database's own log: exit code 1 when something ran without passing us
    Reconcile(reconcile::Options),
    /// Drop the values of old entries of a stopped gateway; hashes and proofs stay, and the log says so
    Prune(Prune),
}

#[derive(Debug, clap::Args)]
pub(crate) struct Prune {
    /// Values of entries from before this day (UTC), as 2026-01-31
    #[arg(long, value_name = "DATE")]
    before: jiff::civil::Date,
    /// Drop the leaves too; whoever wants to read them later needs the published log
    #[arg(long)]
    leaves: bool,
    /// Why, in words; it enters the log
    #[arg(long, default_value = "asked for at the command line")]
    policy: String,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Verify {
    /// The files of receipts and bundles; `-` reads standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// A trust file (C2SP tlog-policy: logs, witnesses, quorum), or one with the log's verifier key alone
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
    /// The first administrator's key: its fingerprint `SHA256:...`, or a file that begins with it
    #[arg(long, value_name = "KEY")]
    bootstrap_key: Option<String>,
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

#[derive(Debug, clap::Args)]
pub(crate) struct Bundle {
    /// The requests: their ids, or the beginnings of them
    #[arg(value_name = "ID", conflicts_with_all = ["from", "to", "since", "state"])]
    ids: Vec<String>,
    /// Every request in this state
    #[arg(long, value_name = "STATE", conflicts_with_all = ["from", "to", "since"])]
    state: Option<String>,
    /// Everything in the log from here on: a date like 2027-01-15, a time like 2027-01-15T08:00:00Z, or an index
    #[arg(long, value_name = "TIME", conflicts_with = "since")]
    from: Option<String>,
    /// Up to here, not included; the newest checkpoint where it is not given
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
    /// Everything since this signed checkpoint, the last that you hold
    #[arg(long, value_name = "FILE")]
    since: Option<PathBuf>,
    /// Where to put it
    #[arg(short, long, value_name = "FILE", default_value = "countersign.bundle.tar")]
    output: PathBuf,
    /// With payloads open; that you opened them is logged, for each request
    #[arg(long)]
    with_payload: bool,
    /// With this field of the payloads open, such as `http.body`, and the others committed to; may be given more than
    /// once, and is logged for each request
    #[arg(long, value_name = "PATH", conflicts_with = "with_payload")]
    disclose: Vec<String>,
}

pub(crate) async fn run(audit: &Audit, context: &Context) -> anyhow::Result<Ending> {
    match audit {
        Audit::Verify(options) => verify_all(options, context.output),
        Audit::Bundle(options) => bundle(options, context).await,
        Audit::Receipt(options) => receipt(options, context).await,
        Audit::Search(options) => search::run(options, context).await,
        Audit::Reindex => search::reindex(context).await,
        Audit::Reconcile(options) => reconcile::run(options, context).await,
        Audit::Export(options) => trail::export(options, context).await,
        Audit::Tail(options) => trail::tail(options, context).await,
        Audit::Sinks => trail::sinks(context).await,
        Audit::Checkpoint => checkpoint(context).await,
        Audit::Log => log(context).await,
        Audit::Prune(options) => prune(options, context).await,
    }
}

fn verify_all(options: &Verify, output: Output) -> anyhow::Result<Ending> {
    let trust = trust(options)?;
    let mut found = Vec::new();
    for path in &options.files {
        let verified = open(path).and_then(|file| verify::verify_file(file, &trust, CASES_SHOWN));
        let verified = verified.with_context(|| format!("cannot read `{}`", path.display()))?;
        found.push((path, verified));
    }
    if output.json {
        let reports: Vec<Value> = found.iter().map(|(path, verified)| as_json(path, verified)).collect();
        output.json(&Value::Array(reports));
    } else {
        for (position, (path, verified)) in found.iter().enumerate() {
            if position > 0 {
                output.line("");
            }
            if found.len() > 1 {
                output.line(&output.paint(&visible(&path.display().to_string()), Tone::Bold));
            }
            print(verified, output);
        }
    }
    Ok(worst(found.iter().map(|(_, verified)| verified.verdict())))
}

fn as_json(path: &Path, verified: &Verified) -> Value {
    let file = path.display().to_string();
    match verified {
        Verified::Receipt(report) => json!({ "file": file, "report": report }),
        Verified::Bundle { report, cases, more } => {
            json!({ "file": file, "bundle": report, "cases": cases, "cases_not_told": more })
        }
    }
}

fn print(verified: &Verified, output: Output) {
    let text = match verified {
        Verified::Receipt(report) => report.render(),
        Verified::Bundle { report, cases, more } => {
            let mut text = report.render();
            for case in cases {
                text.push_str(&format!("\n{}", case.line()));
            }
            if *more > 0 {
                text.push_str(&format!(
                    "\nand {more} more; `countersign-verify` lists all with `--csv FILE`"
                ));
            }
            text
        }
    };
    let (verdict, rest) = text.split_once('\n').unwrap_or((&text, ""));
    let tone = match verified.verdict() {
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

/// What the auditor trusts. It never comes from the receipt or bundle, nor from the gateway that made it.
fn trust(options: &Verify) -> anyhow::Result<Trust> {
    let text = match (&options.log_key, &options.trust) {
        (Some(key), _) => key.clone().into_bytes(),
        (None, Some(path)) => {
            std::fs::read(path).with_context(|| format!("cannot read `{}`", path.display()))?
        }
        (None, None) => {
            let why = "whose log is trusted? Give `--trust FILE` or `--log-key VKEY`; `countersign up` prints the key \
                       at start, and it must reach you another way than the receipt";
            bail!(Usage(why.to_owned()))
        }
    };
    let mut trust = Trust::read(&text).map_err(|error| {
        Usage(format!(
            "this is neither a trust file nor a log key: {error}; a key is written `<origin>+<8 hex digits>+<base64>`"
        ))
    })?;
    trust.rp_id.clone_from(&options.rp_id);
    trust.bootstrap = options.bootstrap_key.as_deref().map(bootstrap).transpose()?;
    trust.web_origins = (!options.web_origin.is_empty()).then(|| options.web_origin.clone());
    Ok(trust)
}

/// A fingerprint, or a file that begins with one.
fn bootstrap(word: &str) -> anyhow::Result<String> {
    let text = if word.starts_with(verify::FINGERPRINT_PREFIX) {
        word.to_owned()
    } else {
        std::fs::read_to_string(word).with_context(|| format!("cannot read `{}`", visible(word)))?
    };
    Trust::read_bootstrap(&text).map_err(|why| Usage(why).into())
}

fn open(path: &Path) -> std::io::Result<Box<dyn Read>> {
    if path == Path::new("-") {
        Ok(Box::new(std::io::stdin().lock()))
    } else {
        Ok(Box::new(File::open(path)?))
    }
}

async fn bundle(options: &Bundle, context: &Context) -> anyhow::Result<Ending> {
    let client = context.signed_in()?;
    let mut order = serde_json::Map::new();
    if let Some(state) = &options.state {
        order.insert("approvals".to_owned(), json!(in_state(&client, state).await?));
    } else if !options.ids.is_empty() {
        let mut ids = Vec::new();
        for id in &options.ids {
            ids.push(lookup::approval(&client, id).await?);
        }
        order.insert("approvals".to_owned(), json!(ids));
    }
    for (name, value) in [("from", &options.from), ("to", &options.to)] {
        order.extend(value.as_ref().map(|value| (name.to_owned(), json!(value))));
    }
    if let Some(path) = &options.since {
        let note =
            std::fs::read_to_string(path).with_context(|| format!("cannot read `{}`", path.display()))?;
        order.insert("checkpoint".to_owned(), json!(note));
    }
    order.insert("payload".to_owned(), json!(options.with_payload));
    if !options.disclose.is_empty() {
        order.insert("disclose".to_owned(), json!(options.disclose));
    }
    let written = write_bundle(&client, &Value::Object(order), &options.output).await?;
    if context.output.json {
        context.output.json(&json!({ "file": options.output.display().to_string(), "bytes": written }));
    } else {
        note(&format!(
            "wrote `{0}` ({written} bytes); verify it with `countersign-verify {0} --trust FILE`",
            options.output.display()
        ));
    }
    Ok(Ending::Fine)
}

/// Fetches the bundle beside its place, and puts it there once it is whole.
async fn write_bundle(client: &Client, order: &Value, path: &Path) -> anyhow::Result<u64> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = path.file_name().context("a file's name is expected for `--output`")?;
    let partial = folder.join(format!("{}.part", name.to_string_lossy()));
    let cannot = || format!("cannot write `{}`", partial.display());
    let file = std::io::BufWriter::new(File::create(&partial).with_context(cannot)?);
    let told = Cell::new(0);
    let progress = |received: u64, length: Option<u64>| {
        // Once for each tenth of a long one.
        let tenth =
            length.filter(|length| *length > PROGRESS_FROM_BYTES).map_or(0, |all| received * 10 / all);
        if tenth > told.replace(tenth) {
            note(&format!("{}0 %", tenth));
        }
    };
    let fetched = client.download("/v1/bundles", order, BUNDLE_PATIENCE, file, progress);
    match crate::output::waiting("making the bundle", fetched).await {
        Ok(written) => {
            std::fs::rename(&partial, path).with_context(|| format!("cannot write `{}`", path.display()))?;
            Ok(written)
        }
        Err(error) => {
            let _ = std::fs::remove_file(&partial);
            Err(error)
        }
    }
}

/// The ids of every request in a state.
async fn in_state(client: &Client, state: &str) -> anyhow::Result<Vec<Value>> {
    let mut ids = Vec::new();
    let mut after = String::new();
    loop {
        let page = client.get(&format!("/v1/approvals?state={}&limit=200{after}", escaped(state))).await?;
        let rows = page.get("approvals").and_then(Value::as_array);
        ids.extend(rows.into_iter().flatten().filter_map(|row| row.get("id").cloned()));
        match page.get("next").and_then(Value::as_str) {
            Some(next) => after = format!("&cursor={}", escaped(next)),
            None if ids.is_empty() => bail!("there is no request in the state `{}`", visible(state)),
            None => return Ok(ids),
        }
    }
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
    up::require_store(&config)?;
    let up::OpenedStore { store, log_key, .. } =
        up::open_store(&config, None).await.context("only a stopped gateway's log is read again here")?;
    let head = crate::output::waiting("reading the whole log", store.audit()).await;
    let bootstrap = gateway::receipt::bootstrap_key(store.as_ref()).await;
    store.close(std::time::Duration::from_secs(5)).await;
    let head = head.context("the log does not hold")?;
    let bootstrap = bootstrap?;
    if context.output.json {
        context.output.json(&json!({
            "size": head.size,
            "time": head.time,
            "checkpoint": head.checkpoint,
            "bootstrap_key": bootstrap,
        }));
    } else {
        context
            .output
            .line(&context.output.paint("the log holds: every entry hashes to what was signed", Tone::Good));
        context.output.pairs(&[
            ("entries", head.size.to_string().into()),
            ("last", when(head.time).into()),
            ("log key", log_key.into()),
            ("bootstrap key", bootstrap.unwrap_or_else(|| "none yet".to_owned()).into()),
        ]);
        context.output.line("");
        context.output.line(visible(&head.checkpoint).trim_end());
    }
    Ok(Ending::Fine)
}

async fn prune(options: &Prune, context: &Context) -> anyhow::Result<Ending> {
    let config = context.config()?;
    up::require_store(&config)?;
    let before = options.before.to_zoned(jiff::tz::TimeZone::UTC)?.timestamp();
    let before = Timestamp::from_micros(u64::try_from(before.as_microsecond()).unwrap_or(0));
    let up::OpenedStore { store, .. } = up::open_store(&config, None)
        .await
        .context("a running gateway prunes by itself: set `[retention]`")?;
    let pruning = Pruning {
        before,
        leaves: if options.leaves { Leaves::Drop } else { Leaves::Keep },
        by: "an operator at the command line".to_owned(),
        policy: options.policy.clone(),
    };
    let pruned = retention::prune(store.as_ref(), &pruning, std::time::Duration::ZERO);
    let sum = crate::output::waiting("pruning", pruned).await;
    store.close(std::time::Duration::from_secs(5)).await;
    let sum = sum?;
    if context.output.json {
        context.output.json(&json!({ "entries": sum.entries, "below": sum.below }));
    } else if sum.entries == 0 {
        context.output.line(
            "nothing is old enough: whole tiles of 256 entries go, and only what nothing needs any more",
        );
    } else {
        let said = format!("dropped the values of {} entries below entry {}", sum.entries, sum.below);
        context.output.line(&context.output.paint(&said, Tone::Good));
    }
    Ok(Ending::Fine)
}
