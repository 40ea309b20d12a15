//! For every text: no panic, no byte lost, no write that passes as a read.

use proptest::prelude::*;

use super::{classify, is_plain_read, shop, verbs};
use crate::Classifier;

/// Reads around a hole, into which anything that is a query goes.
const QUERIES: &[&str] = &[
    "SELECT * FROM ({}) q",
    "SELECT ({}) IS NULL",
    "SELECT 1 WHERE EXISTS ({})",
    "SELECT 1 IN ({})",
    "SELECT ARRAY({})",
    "({}) UNION ALL SELECT 1",
    "WITH w AS ({}) SELECT * FROM w",
    "SELECT coalesce(({}), 1)",
    "SELECT CASE WHEN true THEN ({}) END",
    "SELECT 1 ORDER BY ({})",
    "SELECT 1 LIMIT ({})",
    "VALUES (({}))",
    "SELECT * FROM orders o LEFT JOIN LATERAL ({}) l ON true",
    "SELECT json_build_object('a', ({}))",
];

/// Statements around a query.
const AROUND: &[&str] = &[
    "{}",
    "DECLARE c CURSOR FOR {}",
    "PREPARE p AS {}",
    "EXPLAIN ANALYZE {}",
    "COPY ({}) TO STDOUT",
    "BEGIN; {}; COMMIT",
    "/* countersign: reason=\"x\" */ {}",
    "CREATE VIEW v AS {}",
    "INSERT INTO notes {}",
];

fn nested(core: &'static str) -> impl Strategy<Value = String> {
    let layers = prop::collection::vec(prop::sample::select(QUERIES), 0..6);
    (layers, prop::sample::select(AROUND)).prop_map(move |(layers, around)| {
        let query = layers.iter().fold(core.to_owned(), |inner, layer| layer.replace("{}", &inner));
        around.replace("{}", &query)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn a_call_is_found_however_deep_it_stands(text in nested("SELECT reckon(1)")) {
        prop_assert!(classify(&text).unread.is_none(), "{text}");
        prop_assert!(verbs(&text).contains("sql.call"), "{text}");
    }

    #[test]
    fn a_table_is_found_however_deep_it_stands(text in nested("SELECT id FROM audit.log")) {
        let classified = classify(&text);
        let mut atoms = classified.statements.iter().flat_map(|statement| &statement.atoms);
        prop_assert!(atoms.any(|atom| atom.object.oid == Some(5)), "{text}");
    }

    #[test]
    fn a_write_in_a_with_is_found_wherever_the_statement_allows_it(around in prop::sample::select(AROUND)) {
        let text = around.replace("{}", "WITH gone AS (DELETE FROM audit.log RETURNING id) SELECT id FROM gone");
        prop_assert!(verbs(&text).contains("sql.delete"), "{text}");
    }

    #[test]
    fn bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let classified = Classifier::default().classify(&bytes, true, &shop());
        prop_assert!(classified.unread.is_none() || classified.statements.len() == 1);
    }

    #[test]
    fn words_never_panic_and_every_atom_has_facts(
        words in prop::collection::vec(prop::sample::select(&WORDS[..]), 1..14)
    ) {
        let text = words.join(" ");
        let classified = classify(&text);
        let mut end = 0;
        for statement in &classified.statements {
            prop_assert!(!statement.atoms.is_empty());
            prop_assert!(statement.range.start >= end && statement.range.end <= text.len());
            end = statement.range.end;
            for atom in &statement.atoms {
                let facts = statement.facts(atom);
                prop_assert!(facts.contains_key("parsed") && facts.contains_key("matched"));
            }
        }
        // What stands outside of the statements is blank, a comment or a semicolon.
        let gaps: String = text
            .char_indices()
            .filter(|(at, _)| !classified.statements.iter().any(|statement| statement.range.contains(at)))
            .map(|(_, c)| c)
            .collect();
        prop_assert!(gaps.chars().all(|c| c == ';' || c.is_whitespace()), "{text}: {gaps}");
    }

    /// A text that the parser takes, with DELETE put after it, is never a plain read.
    #[test]
    fn nothing_before_a_delete_hides_it(words in prop::collection::vec(prop::sample::select(&WORDS[..]), 0..10)) {
        let text = format!("{}; DELETE FROM orders", words.join(" "));
        prop_assert!(!is_plain_read(&text), "{text}");
    }
}

const WORDS: [&str; 44] = [
    "SELECT",
    "1",
    "*",
    "FROM",
    "orders",
    "customers",
    "WHERE",
    "id",
    "=",
    "(",
    ")",
    ",",
    ";",
    "DELETE",
    "UPDATE",
    "SET",
    "INSERT",
    "INTO",
    "VALUES",
    "WITH",
    "AS",
    "x",
    "UNION",
    "ALL",
    "'a'",
    "E'\\'",
    "$$ ; $$",
    "\"q\"",
    "now()",
    "reckon(1)",
    "COPY",
    "TO",
    "STDOUT",
    "EXPLAIN",
    "ANALYZE",
    "BEGIN",
    "COMMIT",
    "TABLE",
    "DROP",
    "CREATE",
    "JOIN",
    "ON",
    "true",
    "::text",
];
