//! Reads statements from standard input, each with a zero byte after it, and prints what could not be read or was not
//! understood: one line of JSON each, with the statement's number. For `tests/postgres/corpus.py`.

#![allow(clippy::print_stdout)]

use std::io::{self, Read as _};
use std::process::ExitCode;

use serde_json::json;
use sql::{Catalog, Classifier};

fn main() -> ExitCode {
    let mut all = Vec::new();
    if let Err(error) = io::stdin().read_to_end(&mut all) {
        println!("{}", json!({ "error": error.to_string() }));
        return ExitCode::FAILURE;
    }
    let catalog = Catalog::new("postgres", &["pg_catalog", "public"]);
    let classifier = Classifier::default();
    for (number, text) in all.split(|byte| *byte == 0).enumerate() {
        let classified = classifier.classify(text, true, &catalog);
        let opaque: Vec<_> = classified.statements.iter().flat_map(|statement| &statement.opaque).collect();
        let unread = classified.unread.as_ref().map(ToString::to_string);
        let statements = classified.statements.len();
        println!(
            "{}",
            json!({ "number": number, "statements": statements, "unread": unread, "opaque": opaque })
        );
    }
    ExitCode::SUCCESS
}
