//! `countersign deliveries`: where requests were brought to people, and whether they arrived.

use domain::time::Timestamp;
use serde_json::Value;

use super::{Context, lookup};
use crate::cli::Ending;
use crate::client::escaped;
use crate::output::{Cell, Output, Tone, note, one_line, relative, when};

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Only of this request: its id, or the beginning or end of it; all otherwise, for administrators
    id: Option<String>,
    /// Only by this channel
    #[arg(long, value_name = "NAME")]
    channel: Option<String>,
    /// How many
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=200))]
    limit: u16,
    /// Where the page begins, as the page before said it
    #[arg(long, value_name = "PLACE")]
    cursor: Option<String>,
}

pub(crate) async fn run(options: &Options, context: &Context) -> anyhow::Result<Ending> {
    let client = context.signed_in()?;
    let mut path = format!("/v1/deliveries?limit={}", options.limit);
    if let Some(id) = &options.id {
        path.push_str(&format!("&approval={}", lookup::approval(&client, id).await?));
    }
    for (name, value) in [("channel", &options.channel), ("cursor", &options.cursor)] {
        if let Some(value) = value {
            path.push_str(&format!("&{name}={}", escaped(value)));
        }
    }
    let page = client.get(&path).await?;
    if context.output.json {
        context.output.json(&page);
    } else {
        print(&page, context.output);
    }
    Ok(Ending::Fine)
}

fn print(page: &Value, output: Output) {
    let rows: Vec<Vec<Cell>> = lookup::list(page, "deliveries").map(row).collect();
    output.table(
        &["planned", "request", "channel", "for", "where", "state", "arrived", "next", "what went wrong"],
        &rows,
        "nothing was brought to anybody",
    );
    if let Some(next) = page.get("next").and_then(Value::as_str) {
        note(&format!("more: --cursor {next}"));
    }
}

fn row(row: &Value) -> Vec<Cell> {
    let text = |name: &str| row.get(name).and_then(Value::as_str).map(one_line).unwrap_or_default();
    let time = |name: &str| row.get(name).and_then(Value::as_u64).map(Timestamp::from_micros);
    let state = text("state");
    let tone = match state.as_str() {
        "delivered" => Tone::Good,
        "failed" => Tone::Bad,
        "retrying" => Tone::Warn,
        _ => Tone::Plain,
    };
    let who = if text("name").is_empty() { "everybody there".to_owned() } else { text("name") };
    vec![
        time("planned").map(when).unwrap_or_default().into(),
        lookup::short(&text("approval")).into(),
        text("channel").into(),
        who.into(),
        text("to").into(),
        Cell::toned(state, tone),
        time("arrived").map(relative).unwrap_or_default().into(),
        time("next").map(relative).unwrap_or_default().into(),
        text("error").into(),
    ]
}
