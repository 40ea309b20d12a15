//! Any words and any facets: what was put in is found by them, and never breaks the search.

use domain::time::Timestamp;
use proptest::prelude::*;

use super::finding::new_index;
use crate::derive;
use crate::index::Ask;
use crate::query::{Clause, Names, Query};
use crate::record::{Facet, Place, Record};

struct NoNames;

impl Names for NoNames {
    fn called(&self, _: &str, _: bool) -> Vec<String> {
        Vec::new()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_said_is_found(texts in prop::collection::vec("\\PC{0,40}", 1..8), sought in "\\PC{1,20}") {
        let (_folder, index) = new_index();
        let records = texts.iter().enumerate().map(|(n, text)| {
            let mut record = Record::new(Timestamp::from_micros(n as u64), Place::Log(n as u64));
            record.words.words = Some(text.clone());
            record.add(Facet::Rule, text);
            record
        });
        index.add(records.collect()).unwrap();
        let ask = |clause| {
            let plan = Query::of(vec![clause]).plan(&NoNames);
            index.search_now(&Ask { plan, limit: 50, counts: true, ..Ask::default() }).unwrap()
        };
        let words = |text: &str| Clause::Words { column: None, text: text.to_owned(), prefix: false, not: false };
        for (n, text) in texts.iter().enumerate() {
            if text.bytes().any(|b| b.is_ascii_alphanumeric()) {
                prop_assert!(ask(words(text)).hits.iter().any(|hit| hit.id == n as u64), "{:?}", text);
            }
            if !text.is_empty() {
                let facet = Clause::Facet { facet: Facet::Rule, value: text.clone(), prefix: false, not: false };
                prop_assert!(ask(facet).hits.iter().any(|hit| hit.id == n as u64), "{:?}", text);
            }
        }
        ask(words(&sought));
    }

    #[test]
    fn any_line_of_activity_is_read_or_left(bytes in prop::collection::vec(any::<u8>(), 0..200), text in "\\PC{0,80}") {
        let masks = crate::Masks::of(&domain::directory::Directory::default());
        let _ = derive::line(&bytes, "s", 0, &masks);
        let line = serde_json::json!({ "time": 1, "id": text, "effect": text, "caller": text, "resource": text,
            "target": text, "rules": [text, 1], "outcome": text, "event": { "kind": text } });
        prop_assert!(derive::line(line.to_string().as_bytes(), "s", 0, &masks).is_some());
    }
}
