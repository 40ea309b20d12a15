//! A text of SQL, out of any bytes; the first says how the session reads strings. Nothing panics, every statement lies in the text after the
//! one before it, has an atom with facts, and what could not be read is one opaque statement over all of it.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use sql::{Catalog, Classifier};

static CLASSIFIER: LazyLock<Classifier> = LazyLock::new(Classifier::default);

fuzz_target!(|bytes: &[u8]| {
    let (first, text) = bytes.split_first().map_or((0, bytes), |(first, text)| (*first, text));
    let catalog = Catalog::new("shop", &["pg_catalog", "public"]);
    let classified = CLASSIFIER.classify(text, first % 2 == 0, &catalog);
    assert_eq!(classified, CLASSIFIER.classify(text, first % 2 == 0, &catalog));
    if classified.unread.is_some() {
        assert_eq!(classified.statements.len(), 1);
        assert_eq!(classified.statements[0].range, 0..text.len());
        assert!(!classified.statements[0].is_parsed());
    }
    let mut end = 0;
    for statement in &classified.statements {
        assert!(statement.range.start >= end && statement.range.end <= text.len());
        end = statement.range.end;
        assert!(!statement.atoms.is_empty());
        for atom in &statement.atoms {
            assert!(statement.facts(atom).contains_key("parsed"));
        }
        if !statement.is_parsed() {
            assert!(statement.atoms.iter().any(|atom| atom.verb.as_str() == "sql.opaque"));
        }
    }
});
