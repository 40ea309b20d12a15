//! `countersign verbs`.

use std::fmt::Write as _;

use domain::verb::{VOCABULARY, VerbGroup};
use serde_json::json;

use crate::cli::Ending;
use crate::output::Output;

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// As docs/verbs.md has it
    #[arg(long)]
    markdown: bool,
}

pub(crate) fn run(options: &Options, output: Output) -> Ending {
    if options.markdown {
        output.line(markdown().trim_end());
    } else if output.json {
        let verbs = VOCABULARY.iter().map(
            |(verb, group, meaning)| json!({ "verb": verb, "group": group.as_str(), "meaning": meaning }),
        );
        output.json(&verbs.collect());
    } else {
        let rows: Vec<_> = VOCABULARY
            .iter()
            .map(|(verb, group, meaning)| vec![(*verb).into(), group.as_str().into(), (*meaning).into()])
            .collect();
        output.table(&["verb", "group", "meaning"], &rows, "");
    }
    Ending::Fine
}

fn markdown() -> String {
    let mut text = "\
# Verbs

Printed by `countersign verbs --markdown` from `crates/domain/src/verb.rs`. Every enforcement point and every policy
uses these. The table only grows: a verb never changes its group, since a policy's meaning would change with it.

"
    .to_owned();
    for group in VerbGroup::ALL {
        let _ = writeln!(text, "## `{}`\n\n| verb | what it is |\n|---|---|", group.as_str());
        for (verb, _, meaning) in VOCABULARY.iter().filter(|(_, of, _)| *of == group) {
            let _ = writeln!(text, "| `{verb}` | {meaning} |");
        }
        text.push('\n');
    }
    text
}
