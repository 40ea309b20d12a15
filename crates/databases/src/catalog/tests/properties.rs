//! What holds for every name and every answer.

use bytes::Bytes;
use proptest::prelude::*;

use super::super::labels::words;
use super::super::recheck::{identifier, literal};
use super::super::{Definition, SessionNames};

/// Reads a literal as PostgreSQL's lexer does.
fn unquoted(literal: &str) -> Option<String> {
    let escapes = literal.starts_with('E');
    let body = literal.strip_prefix('E').unwrap_or(literal).strip_prefix('\'')?.strip_suffix('\'')?;
    let mut read = String::new();
    let mut characters = body.chars();
    while let Some(one) = characters.next() {
        match one {
            '\'' => read.push(characters.next().filter(|next| *next == '\'')?),
            '\\' if escapes => read.push(characters.next().filter(|next| *next == '\\')?),
            '\\' => return None,
            other => read.push(other),
        }
    }
    Some(read)
}

proptest! {
    #[test]
    fn a_literal_reads_back_whatever_it_holds(text in "[^\0]*") {
        let said = literal(&text);
        let read = unquoted(&said);
        prop_assert_eq!(read.as_deref(), Some(text.as_str()));
        let classifier = sql::Classifier::default();
        let parsed = classifier.classify(format!("SELECT {said}").as_bytes(), true, &super::super::blind("d"));
        prop_assert!(parsed.unread.is_none() && parsed.statements.len() == 1);
    }

    #[test]
    fn an_identifier_stays_one_name(name in "[^\0]{1,40}") {
        let text = format!("SELECT 1 FROM {}", identifier(&name));
        let classifier = sql::Classifier::default();
        let parsed = classifier.classify(text.as_bytes(), true, &super::super::blind("d"));
        prop_assert!(parsed.unread.is_none() && parsed.statements.len() == 1, "{text}");
        let used: Vec<_> = parsed.statements[0].uses.iter().collect();
        prop_assert_eq!(used.len(), 1);
        // The server cuts names at 63 bytes, and so does its parser.
        prop_assert!(name.starts_with(&used[0].name));
    }

    #[test]
    fn a_definition_reads_back(bytes in any::<[u8; 32]>()) {
        let hex = Definition(bytes).hex();
        prop_assert_eq!(Definition::read(&hex), Some(Definition(bytes)));
        prop_assert_eq!(Definition::read(&hex[1..]), None);
    }

    /// Whatever a server answers is names or an error, and never a panic.
    #[test]
    fn an_answer_is_names_or_an_error(
        rows in prop::collection::vec(
            prop::collection::vec(prop::option::of(prop::sample::select(&CELLS[..])), 0..8), 0..5)
    ) {
        let rows: Vec<Vec<Option<Bytes>>> = rows
            .into_iter()
            .map(|row| row.into_iter().map(|cell| cell.map(|cell| Bytes::from_static(cell.as_bytes()))).collect())
            .collect();
        if let Ok(names) = SessionNames::read(&rows) {
            let sessions = rows.iter().filter(|row| row.first() == Some(&Some(Bytes::from_static(b"session"))));
            prop_assert_eq!(sessions.count(), 1);
            prop_assert!(names.temporary.is_none_or(|own| !own.schema.is_empty()));
        }
    }

    #[test]
    fn every_class_is_a_plain_word(comment in "(countersign:|[a-z]|,| |\n|[^\0]){0,60}") {
        for class in words(&comment) {
            prop_assert!(!class.is_empty() && class.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_')));
        }
    }
}

const CELLS: [&str; 14] = [
    "session",
    "relation",
    "type",
    "[\"pg_catalog\"]",
    "[\"a\",\"a\"",
    "pg_temp_3",
    "",
    "1",
    "4294967296",
    "r",
    "v",
    "true",
    "x",
    "0000000000000000000000000000000000000000000000000000000000000000",
];
