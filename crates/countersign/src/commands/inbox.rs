//! `countersign inbox`: what waits for people.

use domain::time::Timestamp;
use serde_json::Value;

use super::{Context, lookup};
use crate::cli::Ending;
use crate::output::{Cell, Tone, note, relative};

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Whatever its state: decided, lapsed and run ones too
    #[arg(long)]
    all: bool,
    /// Those whose broken glass nobody has looked at since; with `--all`, those looked at too
    #[arg(long)]
    broken_glass: bool,
    /// How many rows at most
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=200))]
    limit: u16,
}

pub(crate) async fn run(options: &Options, context: &Context) -> anyhow::Result<Ending> {
    let client = context.signed_in()?;
    let which = match (options.all, options.broken_glass) {
        (true, true) => "&broken_glass=true",
        (false, true) => "&awaits_later_review=true",
        (true, false) => "",
        (false, false) => "&state=pending",
    };
    let page = client.get(&format!("/v1/approvals?limit={}{which}", options.limit)).await?;
    if context.output.json {
        context.output.json(&page);
        return Ok(Ending::Fine);
    }
    let rows: Vec<_> = lookup::list(&page, "approvals").map(row).collect();
    let headings =
        ["id", "state", "verb", "resource", "in", "asked by", "risk", "approvals", "expires", "you"];
    let empty = if options.broken_glass {
        "no broken glass waits to be looked at"
    } else {
        "nothing waits for people"
    };
    context.output.table(&headings, &rows, empty);
    if page.get("next").is_some_and(|next| !next.is_null()) {
        note("there are more; see `--limit`");
    }
    Ok(Ending::Fine)
}

fn row(approval: &Value) -> Vec<Cell> {
    let text = |name: &str| approval.get(name).and_then(Value::as_str).unwrap_or_default();
    let flag = |name: &str| approval.get(name).and_then(Value::as_bool).unwrap_or(false);
    let state = text("state");
    let expires = approval.get("deadline").and_then(Value::as_u64).map(Timestamp::from_micros).map(relative);
    let caller = approval.get("caller").and_then(|caller| caller.get("name")?.as_str()).unwrap_or_default();
    let risk = approval.get("risk").and_then(Value::as_i64).unwrap_or(0);
    let place = format!("{} {}", text("target"), text("environment"));
    let you = match (flag("may_approve"), flag("question_open")) {
        (_, _) if flag("awaits_later_review") => {
            Cell::toned("BREAK-GLASS: one person approved it alone, and nobody has looked since", Tone::Bad)
        }
        (_, _) if flag("broken_glass") => Cell::toned("BREAK-GLASS: looked at since", Tone::Warn),
        (true, false) => Cell::toned("may approve", Tone::Bold),
        (true, true) => Cell::toned("may approve, once the question is settled", Tone::Warn),
        (false, true) => Cell::toned("a question is open", Tone::Warn),
        (false, false) => "".into(),
    };
    vec![
        lookup::short(text("id")).into(),
        super::state(state),
        text("verb").into(),
        text("resource").into(),
        Cell::toned(place, if flag("production") { Tone::Bad } else { Tone::Plain }),
        caller.into(),
        risk.to_string().into(),
        progress(approval).into(),
        expires.unwrap_or_default().into(),
        you,
    ]
}

/// `1/2 dba or 0/1 admins; 0/1 reviewers`.
fn progress(approval: &Value) -> String {
    let hold = |hold: &Value| super::show::alternatives(hold).join(" or ");
    lookup::list(approval, "progress").map(hold).collect::<Vec<_>>().join("; ")
}
