//! The query language: what reads, what does not and where, and what it comes to.

use domain::time::Timestamp;
use proptest::prelude::*;

use crate::query::{Names, Query};

/// 2026-11-21T12:00:00Z.
const NOW: u64 = 1_795_262_400_000_000;

fn now() -> Timestamp {
    Timestamp::from_micros(NOW)
}

struct Nobody;

impl Names for Nobody {
    fn called(&self, name: &str, _: bool) -> Vec<String> {
        if name == "ana" { vec!["person:1".to_owned(), "agent:2".to_owned()] } else { Vec::new() }
    }
}

#[test]
fn queries_read() {
    let read = [
        r#"who:ana verb:http.delete env:production "drop table" since:2026-11-01"#,
        "-kind:heartbeat verb:http.* rule:\"no exports\"",
        "orders -archive queue* resource:\"queues/%2F\" words:please",
        "since:7d until:2026-11-20T08:30Z",
        "id:01890a5d-ac96-774b-bcce-b302099a8057 entry:12",
        "since:\"2026-11-20 08:30\"",
        "WHO:ana",
        "",
        "  ",
    ];
    let mut lines = Vec::new();
    for text in read {
        let query = Query::parse(text, now()).unwrap();
        assert_eq!(Query::parse(&query.to_string(), now()).as_ref(), Ok(&query), "{text}");
        lines.push(format!("{text}\n  = {query}\n  {:?}", query.plan(&Nobody)));
    }
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn what_does_not_read_is_told_where_and_why() {
    let broken = [
        "foo:bar",
        "who:",
        "orders \"drop table",
        "a\"b\"",
        "\"a\"b",
        "-",
        "...",
        "-archive",
        "since:yesterday",
        "-since:7d",
        "since:99999999999d",
        "id:1",
        "entry:-1",
        "entry:99999999999999999999",
        "verb:\u{1}",
        "\u{0}",
        "http://example.com",
    ];
    let mut lines = Vec::new();
    for text in broken {
        let error = Query::parse(text, now()).unwrap_err();
        lines.push(format!("{text:?} [{}+{}] {error}", error.at, error.length));
    }
    let long = Query::parse(&"a ".repeat(600), now()).unwrap_err();
    let many = Query::parse(&"a ".repeat(40), now()).unwrap_err();
    lines.extend([long.to_string(), many.to_string()]);
    insta::assert_snapshot!(lines.join("\n"));
}

proptest! {
    #[test]
    fn whatever_is_written_never_panics_and_names_a_place_in_it(text in "\\PC{0,60}|[a-z:\"*\\- ]{0,40}") {
        match Query::parse(&text, now()) {
            Ok(query) => {
                let again = Query::parse(&query.to_string(), now());
                prop_assert_eq!(again, Ok(query));
            }
            Err(error) => {
                prop_assert!(error.at <= text.chars().count());
                prop_assert!(error.at + error.length <= text.chars().count().max(1) + 1);
            }
        }
    }
}
