//! The index against a plain reading of the same records.

use std::sync::Arc;

use domain::id::ActionId;
use domain::time::Timestamp;
use tempfile::TempDir;

use crate::index::{Ask, Index, Reset};
use crate::limits::{BLOCK_RECORDS, COUNT_LIMIT, COUNTED_VALUES, VALUES_LIMIT};
use crate::query::{Names, Query};
use crate::record::{Facet, Place, Record};

struct NoNames;

impl Names for NoNames {
    fn called(&self, _: &str, _: bool) -> Vec<String> {
        Vec::new()
    }
}

pub(crate) fn new_index() -> (TempDir, Arc<Index>) {
    let folder = tempfile::tempdir().unwrap();
    let index = Index::open(&folder.path().join("search.db"), &"a.example/log".parse().unwrap(), Reset::Keep)
        .unwrap();
    (folder, index)
}

/// Records of a busy house, by number.
fn record(n: u64) -> Record {
    let mut record = Record::new(Timestamp::from_micros(1_000_000_000 + n * 1_000), Place::Log(n));
    record.add(Facet::Verb, ["http.get", "http.post", "http.delete"][(n % 3) as usize]);
    record.add(Facet::Environment, if n.is_multiple_of(5) { "production" } else { "staging" });
    record.add(Facet::Agent, format!("agent:{}", uuid::Uuid::from_u128(u128::from(n % 11))));
    record.add(Facet::Rule, if n.is_multiple_of(4_999) { "rare" } else { "common" });
    record.words.resource = Some(format!("queues/orders-{}", n % 7));
    record.words.words = (n.is_multiple_of(2)).then(|| format!("please drop table t{}", n % 1_000));
    record.action = Some(ActionId::from_uuid(uuid::Uuid::from_u128(u128::from(n / 2))));
    record.origin = true;
    record
}

fn search(index: &Index, text: &str, cursor: Option<u64>, limit: usize) -> crate::Answer {
    let plan = Query::parse(text, Timestamp::from_micros(2_000_000_000)).unwrap().plan(&NoNames);
    index.search_now(&Ask { plan, cursor, limit, counts: cursor.is_none() }).unwrap()
}

/// Every page of a search.
fn all(index: &Index, text: &str, limit: usize) -> Vec<u64> {
    let (mut found, mut cursor) = (Vec::new(), None);
    loop {
        let page = search(index, text, cursor, limit);
        found.extend(page.hits.iter().map(|hit| hit.id));
        match page.next {
            Some(next) => {
                assert!(cursor.is_none_or(|before| next < before), "a page goes on behind the one before");
                cursor = Some(next);
            }
            None => return found,
        }
    }
}

/// A cursor is a place in the order and nothing more: one that nobody was given shows what lies behind it, and of that
/// only what the query finds.
#[test]
fn a_cursor_that_was_made_up_shows_nothing_more() {
    const RECORDS: u64 = 5_000;
    let (_folder, index) = new_index();
    index.add((0..RECORDS).map(record).collect()).unwrap();
    let texts = ["env:production", "env:production table", "verb:http.delete -env:staging", "rule:rare"];
    for text in texts {
        let whole = all(&index, text, 200);
        let first = whole.first().copied().unwrap();
        let cursors =
            [0, 1, 2, first, first + 1, first.saturating_sub(1), 1 << 20, 1 << 53, u64::MAX - 1, u64::MAX];
        for cursor in cursors.into_iter().chain(whole.iter().step_by(97).map(|id| id ^ 1)) {
            let page = search(&index, text, Some(cursor), 50);
            let shown: Vec<u64> = page.hits.iter().map(|hit| hit.id).collect();
            let behind: Vec<u64> = whole.iter().copied().filter(|id| *id < cursor).take(50).collect();
            assert_eq!(shown, behind, "{text}, behind {cursor}");
            assert!(page.counts.is_none(), "counts are of the first page alone");
        }
    }
}

#[test]
fn pages_hold_what_a_plain_reading_finds() {
    const RECORDS: u64 = BLOCK_RECORDS + 3_000;
    let (folder, index) = new_index();
    for first in (0..RECORDS).step_by(4_096) {
        index.add((first..RECORDS.min(first + 4_096)).map(record).collect()).unwrap();
    }
    type Plain = fn(u64) -> bool;
    let cases: [(&str, Plain); 14] = [
        ("verb:http.delete env:production agent:\"agent:00000000-0000-0000-0000-000000000003\"", |n| {
            n % 3 == 2 && n % 5 == 0 && n % 11 == 3
        }),
        ("rule:rare", |n| n % 4_999 == 0),
        ("rule:rare table", |n| n % 4_999 == 0 && n % 2 == 0),
        ("rule:rare -verb:http.get", |n| n % 4_999 == 0 && n % 3 != 0),
        ("verb:http.get verb:http.post rule:rare", |n| n % 4_999 == 0 && n % 3 != 2),
        ("verb:HTTP.* rule:rare", |n| n % 4_999 == 0),
        ("\"drop table\" t998 -orders", |_| false),
        ("t998", |n| n % 1_000 == 998),
        ("t998 \"orders 3\"", |n| n % 1_000 == 998 && n % 7 == 3),
        ("t99* resource:orders words:\"drop table\" env:production", |n| n % 10 == 0 && n % 1_000 == 990),
        ("verb:none", |_| false),
        ("since:1970-01-01T00:17:10Z until:1970-01-01T00:17:11Z env:production", |n| {
            (30_000..31_000).contains(&n) && n % 5 == 0
        }),
        ("entry:65540", |n| n == 65_540),
        ("id:00000000-0000-0000-0000-000000008003", |n| n / 2 == 0x8003),
    ];
    let check = |index: &Index| {
        for (text, plain) in cases {
            let expected: Vec<u64> = (0..RECORDS).rev().filter(|n| plain(*n)).collect();
            for limit in [1, 7, 200] {
                if limit == 1 && expected.len() > 300 {
                    continue;
                }
                assert_eq!(all(index, text, limit), expected, "{text} by {limit}");
            }
            let counts = search(index, text, None, 10).counts.unwrap();
            let least = expected.len().min(COUNT_LIMIT) as u64;
            assert_eq!((counts.records, counts.more), (least, expected.len() > COUNT_LIMIT), "{text}");
        }
        let everything = search(index, "", None, 3);
        assert_eq!(everything.hits.iter().map(|hit| hit.id).collect::<Vec<_>>(), [68_535, 68_534, 68_533]);
        let counts = everything.counts.unwrap();
        assert_eq!((counts.records, counts.more), (COUNT_LIMIT as u64, true));
        let agents = counts.facets.iter().filter(|one| one.facet == Facet::Agent);
        assert!(
            agents.clone().count() <= COUNTED_VALUES && agents.map(|one| one.records).sum::<u64>() == 10_000
        );
    };
    check(&index);
    drop(index);
    // What a restart reads back is the same.
    let origin = "a.example/log".parse().unwrap();
    let index = Index::open(&folder.path().join("search.db"), &origin, Reset::Keep).unwrap();
    assert_eq!(index.progress().records, RECORDS);
    check(&index);
    // What is added behind a restart joins the newest block.
    index.add(vec![record(RECORDS)]).unwrap();
    assert_eq!(all(&index, "entry:68536 rule:common", 5), [RECORDS]);
    // Another log's index is dropped, and so is a file that is none.
    drop(index);
    let other = Index::open(&folder.path().join("search.db"), &"b.example/log".parse().unwrap(), Reset::Keep);
    assert_eq!(other.unwrap().progress().records, 0);
    let broken = folder.path().join("broken.db");
    std::fs::write(&broken, vec![b'x'; 4_096]).unwrap();
    assert_eq!(
        Index::open(&broken, &"b.example/log".parse().unwrap(), Reset::Keep).unwrap().progress().records,
        0
    );
}

#[test]
fn a_page_shows_the_record() {
    let (_folder, index) = new_index();
    let mut outcome = Record::new(
        Timestamp::from_micros(2_000_000),
        Place::Activity { segment: "s1".to_owned(), offset: 9 },
    );
    outcome.add(Facet::Outcome, "failed");
    let mut origin = record(0);
    origin.add(Facet::Who, "person:ana");
    outcome.action = origin.action;
    index.add(vec![origin, outcome]).unwrap();
    let found = search(&index, "outcome:failed verb:http.get who:\"person:ana\"", None, 10);
    // A name that is no principal's id finds nobody.
    assert!(found.hits.is_empty());
    let found = search(&index, "outcome:failed verb:http.get", None, 10);
    insta::assert_debug_snapshot!(found);
}

#[test]
fn a_facet_has_so_many_values_and_no_more() {
    let (_folder, index) = new_index();
    let numbered = |n: usize| {
        let mut record = Record::new(Timestamp::from_micros(n as u64), Place::Log(n as u64));
        record.add(Facet::Target, format!("t{n}"));
        record
    };
    index.add((0..VALUES_LIMIT + 5).map(numbered).collect()).unwrap();
    assert_eq!(all(&index, "target:t9999", 5), [9_999]);
    assert!(all(&index, "target:t10001", 5).is_empty());
    assert_eq!(all(&index, "target:\"(other)\"", 9).len(), 5);
}

#[test]
fn no_words_become_syntax() {
    let (_folder, index) = new_index();
    let mut said = record(0);
    said.words.words =
        Some("NEAR(a b) OR rowid AND resource:x ^begin {col} \"q\" it's; DROP TABLE record; --".to_owned());
    index.add(vec![said]).unwrap();
    for text in [
        "NEAR",
        "OR",
        "AND",
        "\"NEAR(a b)\"",
        "\"OR rowid\"",
        "{col}",
        "^begin",
        "\"resource:x\"",
        "it's;",
        "'q'",
        "DROP",
        "\"resource:x ^begin {col}\"",
        "table\u{2019}",
        "(col)*",
        "NOT*",
        "a+b",
    ] {
        let plan = Query::parse(text, Timestamp::ZERO).unwrap().plan(&NoNames);
        let found = index.search_now(&Ask { plan, limit: 5, ..Ask::default() }).unwrap();
        let expected = usize::from(!matches!(text, "NOT*" | "(col)*" | "table\u{2019}") || text != "NOT*");
        assert_eq!(found.hits.len(), expected, "{text}");
    }
}
