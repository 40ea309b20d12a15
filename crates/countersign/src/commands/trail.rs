//! `countersign audit export`, `tail` and `sinks`: the trail for other systems.

use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, bail};
use domain::canonical;
use domain::time::Timestamp;
use serde_json::Value;

use super::{Context, lookup};
use crate::cli::Ending;
use crate::client::{Client, ClientError, escaped};
use crate::output::{Cell, Tone, note, one_line, when};

/// How long a whole export may take.
const EXPORT_PATIENCE: Duration = Duration::from_secs(6 * 3_600);
/// How long one connection of a tail may stand: longer than the gateway lets it.
const TAIL_PATIENCE: Duration = Duration::from_secs(2 * 3_600);
/// How long a tail waits before it asks again, when its connection ended.
const TAIL_PAUSE: Duration = Duration::from_secs(1);
/// The longest event that a tail reads, in bytes.
const EVENT_LIMIT_BYTES: usize = 4 << 20;

#[derive(Debug, clap::Args)]
pub(crate) struct Export {
    /// As what: JSON Lines, CSV, OCSF or CloudEvents (both JSON Lines too)
    #[arg(long, value_parser = ["jsonl", "csv", "ocsf", "cloudevents"], default_value = "jsonl")]
    format: String,
    /// Where it begins: an index of the log, a date such as 2027-01-15, or a time such as 2027-01-15T08:00:00Z [default: the first entry]
    #[arg(long, value_name = "PLACE")]
    from: Option<String>,
    /// Where it ends, not included: an index of the log, or a time [default: the newest entry]
    #[arg(long, value_name = "PLACE")]
    to: Option<String>,
    /// Where to put it; standard output where it is not given
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Tail {
    /// Where it begins: an index of the log, `index.line`, or a time [default: now]
    #[arg(long, value_name = "PLACE")]
    from: Option<String>,
    /// Go on when what is there has been told, and when the connection breaks
    #[arg(short, long)]
    follow: bool,
}

pub(crate) async fn export(options: &Export, context: &Context) -> anyhow::Result<Ending> {
    let client = context.signed_in()?;
    let mut path = format!("/v1/trail?format={}", options.format);
    for (name, value) in [("from", &options.from), ("to", &options.to)] {
        if let Some(value) = value {
            path.push_str(&format!("&{name}={}", escaped(value)));
        }
    }
    let mut pieces = client.stream(&path, &[], EXPORT_PATIENCE).await?;
    match &options.output {
        None => {
            let mut out = std::io::stdout();
            while let Some(piece) = pieces.next().await? {
                // A reader that has gone wants no more.
                if out.write_all(&piece).is_err() {
                    return Ok(Ending::Fine);
                }
            }
        }
        Some(file) => {
            let unwritten = || format!("cannot write `{}`", file.display());
            // Under its own name only once it is whole.
            let part = file.with_added_extension("part");
            let mut out = std::fs::File::create(&part).with_context(unwritten)?;
            while let Some(piece) = pieces.next().await? {
                out.write_all(&piece).with_context(unwritten)?;
            }
            out.sync_all().with_context(unwritten)?;
            std::fs::rename(&part, file).with_context(unwritten)?;
            note(&format!("wrote `{}`", file.display()));
        }
    }
    Ok(Ending::Fine)
}

pub(crate) async fn tail(options: &Tail, context: &Context) -> anyhow::Result<Ending> {
    let client = context.signed_in()?;
    // Without `--follow` it ends where the log ended when it began.
    let end = if options.follow { None } else { Some(size(&client).await?) };
    let mut path = "/v1/trail/events".to_owned();
    if let Some(from) = &options.from {
        path.push_str(&format!("?from={}", escaped(from)));
    } else if end.is_some() {
        bail!("nothing has happened since now; say where to begin with `--from`, or wait with `--follow`");
    }
    let mut last: Option<String> = None;
    loop {
        let broke = read(&client, &path, &mut last, end, context).await;
        match broke {
            Ok(true) => return Ok(Ending::Fine),
            Ok(false) => {}
            Err(error) if options.follow && may_come_back(&error) => {
                note(&format!("{error:#}; trying again"))
            }
            Err(error) => return Err(error),
        }
        tokio::time::sleep(TAIL_PAUSE).await;
    }
}

fn may_come_back(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref::<ClientError>(), Some(ClientError::Unreachable { .. }))
}

/// Reads one connection's events; true where the end was reached.
async fn read(
    client: &Client,
    path: &str,
    last: &mut Option<String>,
    end: Option<u64>,
    context: &Context,
) -> anyhow::Result<bool> {
    let headers = last.clone();
    let headers: Vec<_> = headers.iter().map(|id| ("last-event-id", id.as_str())).collect();
    let mut pieces = client.stream(path, &headers, TAIL_PATIENCE).await?;
    let (mut buffer, mut id, mut data) = (Vec::new(), None, None);
    while let Some(piece) = pieces.next().await? {
        buffer.extend_from_slice(&piece);
        if buffer.len() > EVENT_LIMIT_BYTES {
            bail!("an event is larger than {EVENT_LIMIT_BYTES} bytes");
        }
        while let Some(at) = buffer.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = buffer.drain(..=at).collect();
            let line = String::from_utf8(line).context("the event stream is no text")?;
            match line.trim_end_matches(['\r', '\n']).split_once(':') {
                Some(("id", value)) => id = Some(value.trim_start().to_owned()),
                Some(("data", value)) => data = Some(value.strip_prefix(' ').unwrap_or(value).to_owned()),
                Some(_) => {}
                None if line.trim().is_empty() => {
                    if let Some(event) = data.take() {
                        tell(&event, context)?;
                        *last = id.take().or_else(|| last.take());
                    }
                }
                None => {}
            }
        }
        let reached = last.as_deref().and_then(|id| id.split('.').next()?.parse::<u64>().ok());
        if end.is_some_and(|end| reached.is_some_and(|at| at >= end)) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn tell(event: &str, context: &Context) -> anyhow::Result<()> {
    if context.output.json {
        context.output.line(event);
        return Ok(());
    }
    let event = canonical::read_value(event.as_bytes()).context("an event does not read")?;
    let text = |path: &str| event.pointer(path).and_then(Value::as_str).unwrap_or_default();
    let time = event.get("time").and_then(Value::as_u64).map(Timestamp::from_micros).map(when);
    let who = [text("/who/person_name"), text("/who/agent_name")].into_iter().find(|name| !name.is_empty());
    let words = [
        time.unwrap_or_default(),
        text("/kind").to_owned(),
        who.unwrap_or_default().to_owned(),
        text("/verb").to_owned(),
        text("/resource").to_owned(),
        text("/verdict").to_owned(),
        text("/outcome").to_owned(),
    ];
    let words: Vec<_> = words.iter().filter(|word| !word.is_empty()).map(|word| one_line(word)).collect();
    context.output.line(&words.join("  "));
    Ok(())
}

async fn size(client: &Client) -> anyhow::Result<u64> {
    let checkpoint = client.text("/v1/log/checkpoint").await?;
    checkpoint.lines().nth(1).and_then(|size| size.parse().ok()).context("the checkpoint does not read")
}

pub(crate) async fn sinks(context: &Context) -> anyhow::Result<Ending> {
    let answer = context.signed_in()?.get("/v1/sinks").await?;
    if context.output.json {
        context.output.json(&answer);
        return Ok(Ending::Fine);
    }
    let rows: Vec<_> = lookup::list(&answer, "sinks").map(row).collect();
    let nothing = "there is no sink; name one under `[[sinks]]` in the bootstrap file";
    let headings = ["name", "kind", "state", "next", "behind", "last sent", "last error"];
    context.output.table(&headings, &rows, nothing);
    Ok(Ending::Fine)
}

fn row(sink: &Value) -> Vec<Cell> {
    let text = |name: &str| sink.get(name).and_then(Value::as_str).unwrap_or_default();
    let number = |name: &str| sink.get(name).and_then(Value::as_u64);
    let failing = number("failures").unwrap_or(0) > 0;
    let error = if failing { text("last_error") } else { "" };
    vec![
        text("name").into(),
        text("kind").into(),
        Cell::toned(text("state"), if failing { Tone::Bad } else { Tone::Plain }),
        text("next").into(),
        number("lag").unwrap_or(0).to_string().into(),
        number("last_sent").map(Timestamp::from_micros).map(when).unwrap_or_default().into(),
        Cell::toned(error, Tone::Bad),
    ]
}
