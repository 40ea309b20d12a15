//! `countersign audit search` and `audit reindex`.

use anyhow::Context as _;
use serde_json::{Value, json};

use super::{Context, lookup};
use crate::cli::Ending;
use crate::client::escaped;
use crate::output::{Cell, Output, Tone, note, one_line, when};
use crate::up;

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// What to look for: `who:ana verb:http.delete env:production "drop table" since:7d`; all where it is empty
    #[arg(value_name = "QUERY")]
    query: Vec<String>,
    /// How many results
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=200))]
    limit: u16,
    /// Where the page begins, as the page before said it
    #[arg(long, value_name = "NUMBER")]
    cursor: Option<u64>,
    /// Count how many results have which values too
    #[arg(long)]
    counts: bool,
}

pub(crate) async fn run(options: &Options, context: &Context) -> anyhow::Result<Ending> {
    let client = context.signed_in()?;
    let mut path = format!("/v1/search?q={}&limit={}", escaped(&query(&options.query)), options.limit);
    if let Some(cursor) = options.cursor {
        path.push_str(&format!("&cursor={cursor}"));
    }
    if options.counts {
        path.push_str("&counts=true");
    }
    let page = client.get(&path).await?;
    if context.output.json {
        context.output.json(&page);
        return Ok(Ending::Fine);
    }
    print(&page, context.output);
    Ok(Ending::Fine)
}

/// The words of the command line as one query. A shell has taken the quotes off what held blanks.
fn query(words: &[String]) -> String {
    if let [whole] = words {
        return whole.clone();
    }
    let quoted = |word: &String| {
        let (key, value) = match word.split_once(':') {
            Some((key, value)) => (format!("{key}:"), value),
            None => (String::new(), word.as_str()),
        };
        if value.contains(char::is_whitespace) && !value.contains('"') {
            format!("{key}\"{value}\"")
        } else {
            word.clone()
        }
    };
    words.iter().map(quoted).collect::<Vec<_>>().join(" ")
}

fn print(page: &Value, output: Output) {
    let rows: Vec<Vec<Cell>> = lookup::list(page, "results").map(row).collect();
    output.table(
        &["time", "kind", "who", "what", "resource", "answer", "rule", "action"],
        &rows,
        "nothing fits",
    );
    if let Some(counts) = page.get("counts") {
        let more = counts.get("more").and_then(Value::as_bool).unwrap_or(false);
        let number = |value: &Value| {
            let records = value.get("records").and_then(Value::as_u64).unwrap_or(0);
            if more { format!("at least {records}") } else { records.to_string() }
        };
        let rows: Vec<Vec<Cell>> = lookup::list(counts, "facets")
            .map(|one| {
                let value = if text(one, "name").is_empty() { text(one, "value") } else { text(one, "name") };
                vec![text(one, "facet").into(), value.into(), number(one).into()]
            })
            .collect();
        output.line("");
        output.table(&["facet", "value", "results"], &rows, "nothing to count");
    }
    if let Some(next) = page.get("next").and_then(Value::as_u64) {
        note(&format!("there is more: add `--cursor {next}`"));
    }
    if page.get("incomplete").and_then(Value::as_bool).unwrap_or(false) {
        note(&format!("incomplete: {}", text(page, "incomplete_why")));
    }
    let indexed = |name: &str| page.pointer(&format!("/indexed/{name}")).and_then(Value::as_u64).unwrap_or(0);
    if indexed("entries") < indexed("of") {
        note(&format!(
            "the index has read {} of {} entries of the log so far",
            indexed("entries"),
            indexed("of")
        ));
    }
}

fn row(result: &Value) -> Vec<Cell> {
    let time = result.get("time").and_then(Value::as_u64).unwrap_or(0);
    let name = |of: &str| {
        let name = result.pointer(&format!("/{of}/name")).and_then(Value::as_str);
        name.map(str::to_owned)
    };
    let who = name("by").or_else(|| name("agent")).unwrap_or_else(|| "countersign".to_owned());
    let answer = [text(result, "verdict"), text(result, "outcome")];
    let answer: Vec<&str> = answer.iter().map(String::as_str).filter(|word| !word.is_empty()).collect();
    let tone = answer.last().map_or(Tone::Plain, |word| Tone::of_state(word));
    let rules: Vec<&str> = lookup::list(result, "rules").filter_map(Value::as_str).collect();
    vec![
        when(domain::time::Timestamp::from_micros(time)).into(),
        text(result, "kind").into(),
        who.into(),
        text(result, "verb").into(),
        shortened(&text(result, "resource")).into(),
        Cell::toned(answer.join(" "), tone),
        rules.join(", ").into(),
        lookup::short(&text(result, "action")).into(),
    ]
}

/// The longest resource that a table shows, in characters.
const RESOURCE_CHARS: usize = 48;

fn shortened(text: &str) -> String {
    if text.chars().count() <= RESOURCE_CHARS {
        return text.to_owned();
    }
    let begin: String = text.chars().take(RESOURCE_CHARS - 1).collect();
    format!("{begin}…")
}

fn text(value: &Value, name: &str) -> String {
    one_line(value.get(name).and_then(Value::as_str).unwrap_or_default())
}

/// Drops the search index of a stopped gateway, and fills it anew from the log and the segments.
pub(crate) async fn reindex(context: &Context) -> anyhow::Result<Ending> {
    let config = context.config()?;
    up::require_store(&config)?;
    let opened = up::open_store(&config, None).await;
    let up::OpenedStore { store, .. } =
        opened.context("only a stopped gateway's index is built anew here")?;
    let mut follower =
        up::follower(&config, std::sync::Arc::clone(&store) as _, ::search::Reset::Drop).await?;
    let filling = follower.catch_up(|_| ());
    let filled = crate::output::waiting("reading the log and the segments", filling).await;
    let progress = follower.index().progress();
    store.close(std::time::Duration::from_secs(5)).await;
    filled?;
    if context.output.json {
        context.output.json(&json!({ "entries": progress.entries, "records": progress.records }));
    } else {
        context.output.line(&context.output.paint("the search index stands anew", Tone::Good));
        context.output.pairs(&[
            ("entries read", progress.entries.to_string().into()),
            ("records", progress.records.to_string().into()),
        ]);
    }
    Ok(Ending::Fine)
}

#[cfg(test)]
mod tests {
    use super::query;

    #[test]
    fn a_query_is_put_together_as_it_was_meant() {
        let check = |words: &[&str]| query(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>());
        assert_eq!(check(&[]), "");
        assert_eq!(check(&["who:ana \"drop table\""]), "who:ana \"drop table\"");
        assert_eq!(check(&["who:ana", "drop table"]), "who:ana \"drop table\"");
        assert_eq!(check(&["who:ana smith", "-rule:x"]), "who:\"ana smith\" -rule:x");
        assert_eq!(check(&["a", "\"b c\""]), "a \"b c\"");
    }
}
