//! `countersign audit reconcile`: the trail against the target's own log.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use ::search::reconcile::{Finding, LogError, Mapping, Matcher, OPEN_ENDED, Ran, Report, Zone, csvlog};
use anyhow::{Context as _, bail};
use domain::id::ActionId;
use domain::time::Timestamp;
use serde_json::{Value, json};

use super::{Context, lookup};
use crate::cli::{Ending, Usage};
use crate::client::{Client, escaped};
use crate::output::{Cell, Output, Tone, note, waiting, when};

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// PostgreSQL's logs (`log_destination = csvlog`, `log_statement = all`), oldest first
    #[arg(long, required = true, num_args = 1.., value_name = "FILE")]
    postgres_csvlog: Vec<PathBuf>,
    /// Which databases stand behind which routes, and which of their users are the gateway's (TOML)
    #[arg(long, value_name = "FILE")]
    map: PathBuf,
    /// Statements from this moment on: `2026-11-01`, `2026-11-01T08:30Z` or `7d` [default: the first]
    #[arg(long, value_name = "MOMENT")]
    from: Option<String>,
    /// Statements before this moment [default: the last]
    #[arg(long, value_name = "MOMENT")]
    to: Option<String>,
    /// The server's `log_timezone`, where its times do not say it
    #[arg(long, value_name = "ZONE")]
    timezone: Option<String>,
    /// Print what was found as CSV
    #[arg(long)]
    csv: bool,
}

/// The most pages of the trail that are read for evidence.
const PAGES_LIMIT: usize = 5_000;
/// The largest map, in bytes.
const MAP_LIMIT_BYTES: u64 = 1 << 20;

pub(crate) async fn run(options: &Options, context: &Context) -> anyhow::Result<Ending> {
    let mapping = mapping(&options.map)?;
    let zone = zone(options.timezone.as_deref())?;
    let (from, to) = window(options, &zone)?;
    let client = context.signed_in()?;
    let mut actions = Vec::new();
    for database in &mapping.database {
        let read = evidence(&client, &database.target, from, to);
        actions.extend(waiting("reading the trail", read).await?);
    }
    let known = actions.len();
    let mut matcher = Matcher::new(&mapping, actions, from, to);
    for path in &options.postgres_csvlog {
        read(path, &zone, |row| matcher.see(&row))?;
    }
    let report = matcher.report();
    if context.output.json {
        context.output.json(&json!({ "from": from, "to": to, "actions": known, "report": report }));
    } else if options.csv {
        print_csv(&report, context.output)?;
    } else {
        print(&report, (from, to), known, context.output);
    }
    Ok(match (report.found, report.missing_rows) {
        (0, 0) => Ending::Fine,
        // Nobody can say what stood in rows that are gone.
        (0, _) => Ending::Open,
        (_, _) => Ending::No,
    })
}

fn mapping(path: &Path) -> anyhow::Result<Mapping> {
    let size = std::fs::metadata(path).with_context(|| format!("cannot read `{}`", path.display()))?.len();
    if size > MAP_LIMIT_BYTES {
        bail!(Usage(format!("`{}` is larger than {MAP_LIMIT_BYTES} bytes: is it the map?", path.display())));
    }
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read `{}`", path.display()))?;
    let mapping: Mapping = toml::from_str(&text).with_context(|| format!("in `{}`", path.display()))?;
    let mut names = std::collections::BTreeSet::new();
    for database in &mapping.database {
        if !names.insert(&database.name) {
            bail!(Usage(format!("`{}` names the database `{}` twice", path.display(), database.name)));
        }
        if let Some(user) = database.gateway_users.intersection(&database.ignore_users).next() {
            bail!(Usage(format!("`{}` leaves the gateway's own user `{user}` out", path.display())));
        }
    }
    Ok(mapping)
}

fn zone(name: Option<&str>) -> anyhow::Result<Zone> {
    let Some(name) = name else { return Ok(Zone::default()) };
    let unknown = || Usage(format!("there is no time zone `{name}`; write it like `Europe/Vienna`"));
    Ok(Zone::named(name).ok_or_else(unknown)?)
}

fn read(path: &Path, zone: &Zone, mut each: impl FnMut(csvlog::Row)) -> anyhow::Result<()> {
    let file = File::open(path).with_context(|| format!("cannot read `{}`", path.display()))?;
    csvlog::read(BufReader::new(file), zone, |row| {
        each(row);
        Ok::<_, LogError>(())
    })
    .with_context(|| format!("in `{}`", path.display()))
}

/// The time that is judged: what was asked for, or from the first statement of the logs to the last.
fn window(options: &Options, zone: &Zone) -> anyhow::Result<(Timestamp, Timestamp)> {
    let now = Timestamp::from_micros(super::now_micros());
    let moment = |name: &str, text: &Option<String>| match text {
        None => Ok(None),
        Some(text) => ::search::Moment::read(text, now).map(|moment| Some(moment.at)).ok_or_else(|| {
            Usage(format!("`{name} {text}` is no moment; write `2026-11-01`, `2026-11-01T08:30Z` or `7d`"))
        }),
    };
    let (from, to) = (moment("--from", &options.from)?, moment("--to", &options.to)?);
    if let (Some(from), Some(to)) = (from, to) {
        return Ok((from, to));
    }
    let mut seen: Option<(Timestamp, Timestamp)> = None;
    for path in &options.postgres_csvlog {
        read(path, zone, |row| {
            let time = row.statement.map(|statement| statement.time);
            if let Some(time) = time {
                let (first, last) = seen.unwrap_or((time, time));
                seen = Some((first.min(time), last.max(time)));
            }
        })?;
    }
    let (first, last) = seen.unwrap_or((now, now));
    // The end is not in the window; the last statement is.
    let behind = Timestamp::from_micros(last.micros().saturating_add(1));
    Ok((from.unwrap_or(first), to.unwrap_or(behind)))
}

/// The actions on a route that may have been running then. One that began long before is found by its outcome.
async fn evidence(client: &Client, target: &str, from: Timestamp, to: Timestamp) -> anyhow::Result<Vec<Ran>> {
    let earlier = from.micros().saturating_sub(u64::try_from(OPEN_ENDED.as_micros()).unwrap_or(u64::MAX));
    let later = to.micros().saturating_add(u64::try_from(OPEN_ENDED.as_micros()).unwrap_or(u64::MAX));
    let (since, until) = (iso(earlier), iso(later));
    let query =
        format!("since={}&until={}&target={}&limit=200", escaped(&since), escaped(&until), escaped(target));
    let mut ran: BTreeMap<ActionId, (Option<Timestamp>, Option<Timestamp>)> = BTreeMap::new();
    let mut cursor = String::new();
    for _ in 0..PAGES_LIMIT {
        let page = client.get(&format!("/v1/search?{query}{cursor}")).await?;
        let (read, of) = (number(&page, "/indexed/entries"), number(&page, "/indexed/of"));
        if read < of {
            bail!(
                "the search index has read {read} of {of} entries of the log; try again when it has caught up"
            );
        }
        for result in lookup::list(&page, "results") {
            note_action(&mut ran, result);
        }
        match page.get("next").and_then(Value::as_u64) {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return Ok(actions(ran, target, Timestamp::from_micros(earlier))),
        }
    }
    bail!("the trail holds too much in this time; name a shorter one with `--from` and `--to`")
}

fn note_action(ran: &mut BTreeMap<ActionId, (Option<Timestamp>, Option<Timestamp>)>, result: &Value) {
    let text = |name: &str| result.get(name).and_then(Value::as_str).unwrap_or_default();
    let Ok(action) = text("action").parse() else { return };
    let time = Timestamp::from_micros(number(result, "/time"));
    match (text("kind"), text("verdict")) {
        // What only asks, and what was refused, ran nothing.
        ("decision", "permit") | ("execution", _) => ran.entry(action).or_default().0 = Some(time),
        ("outcome", _) => ran.entry(action).or_default().1 = Some(time),
        (_, _) => {}
    }
}

fn actions(
    ran: BTreeMap<ActionId, (Option<Timestamp>, Option<Timestamp>)>,
    target: &str,
    earliest: Timestamp,
) -> Vec<Ran> {
    let of = |(action, (from, to)): (ActionId, (Option<Timestamp>, Option<Timestamp>))| Ran {
        action,
        target: target.to_owned(),
        // It began before what was read, and ended within.
        from: from.unwrap_or(earliest),
        to,
    };
    ran.into_iter().map(of).collect()
}

fn number(value: &Value, path: &str) -> u64 {
    value.pointer(path).and_then(Value::as_u64).unwrap_or(0)
}

fn iso(micros: u64) -> String {
    let at = i64::try_from(micros).ok().and_then(|micros| jiff::Timestamp::from_microsecond(micros).ok());
    at.map_or_else(String::new, |at| at.strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string())
}

fn print(report: &Report, (from, to): (Timestamp, Timestamp), actions: usize, output: Output) {
    let rows: Vec<Vec<Cell>> = report.findings.iter().map(row).collect();
    output.table(
        &["time", "database", "user", "from", "application", "why", "statement"],
        &rows,
        "nothing ran without passing the gateway, as far as this log shows",
    );
    output.line("");
    let found = Cell::toned(report.found.to_string(), if report.found > 0 { Tone::Bad } else { Tone::Good });
    let sum = |counts: &BTreeMap<String, u64>| {
        let parts: Vec<String> = counts.iter().map(|(name, count)| format!("{name} {count}")).collect();
        if parts.is_empty() { "none".to_owned() } else { parts.join(", ") }
    };
    output.pairs(&[
        ("from", when(from).into()),
        ("to", when(to).into()),
        ("actions in the trail", actions.to_string().into()),
        ("statements judged", report.judged.to_string().into()),
        ("by an action's mark", report.matched_by_mark.to_string().into()),
        ("by time alone", report.matched_by_time.to_string().into()),
        ("without passing us", found),
        ("left out by the map", sum(&report.ignored).into()),
        ("in other databases", sum(&report.unmapped).into()),
        ("outside the time", report.outside.to_string().into()),
    ]);
    if report.missing_rows > 0 {
        note(&format!("the log is not whole: {} rows are missing within sessions", report.missing_rows));
    }
    if report.found > report.findings.len() as u64 {
        note(&format!("only the first {} are listed", report.findings.len()));
    }
}

fn row(finding: &Finding) -> Vec<Cell> {
    vec![
        when(finding.time).into(),
        finding.database.as_str().into(),
        finding.user.as_str().into(),
        finding.from.as_str().into(),
        finding.application.as_str().into(),
        Cell::toned(finding.why.as_str(), Tone::Bad),
        finding.statement.as_str().into(),
    ]
}

/// One row a finding, RFC 4180. A cell that a spreadsheet would take for a formula begins with an apostrophe.
fn print_csv(report: &Report, output: Output) -> anyhow::Result<()> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record([
        "time",
        "database",
        "user",
        "from",
        "application",
        "session",
        "why",
        "statement",
    ])?;
    for finding in &report.findings {
        let time = iso(finding.time.micros());
        let cells = [
            time.as_str(),
            &finding.database,
            &finding.user,
            &finding.from,
            &finding.application,
            &finding.session,
            finding.why.as_str(),
            &finding.statement,
        ];
        writer.write_record(cells.map(harmless))?;
    }
    let text = String::from_utf8(writer.into_inner()?)?;
    output.line(text.trim_end());
    Ok(())
}

fn harmless(cell: &str) -> String {
    if cell.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{cell}") } else { cell.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_ran_is_evidence() {
        const ID: &str = "01890a5d-ac96-774b-bcce-b302099a8057";
        let check = |results: &[(&str, &str, u64)]| {
            let mut ran = BTreeMap::new();
            for (kind, verdict, time) in results {
                note_action(
                    &mut ran,
                    &json!({ "action": ID, "kind": kind, "verdict": verdict, "time": time }),
                );
            }
            let all = actions(ran, "db", Timestamp::from_micros(1));
            all.iter().map(|one| (one.from.micros(), one.to.map(Timestamp::micros))).collect::<Vec<_>>()
        };
        assert_eq!(check(&[("outcome", "", 9), ("decision", "permit", 5)]), [(5, Some(9))]);
        assert_eq!(check(&[("execution", "permit", 5), ("request", "needs-review", 2)]), [(5, None)]);
        assert_eq!(check(&[("decision", "deny", 5), ("review", "approve", 6), ("end", "", 7)]), []);
        assert_eq!(check(&[("outcome", "", 9)]), [(1, Some(9))]);
    }

    #[test]
    fn no_cell_is_a_formula() {
        assert_eq!(harmless("=cmd()"), "'=cmd()");
        assert_eq!(harmless("SELECT ?"), "SELECT ?");
    }
}
