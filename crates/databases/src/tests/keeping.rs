//! What is kept: what a session calls its statements, its answer about its names, and judgements.

use std::sync::Arc;

use bytes::Bytes;

use crate::judgements::Judgements;
use crate::limits::{JUDGEMENTS_LIMIT, PREPARED_LIMIT, PREPARED_LIMIT_BYTES};
use crate::names::{Names, Prepared};

fn texts(prepared: &Prepared, name: &str) -> Vec<String> {
    let found = prepared.texts().find(|(known, _)| *known == name);
    found.map(|(_, texts)| texts.iter().cloned().collect()).unwrap_or_default()
}

/// The server may have refused the second: the name stands for both.
#[test]
fn a_name_stands_for_all_that_it_was_given() {
    let prepared =
        Prepared::default().with("p", "PREPARE p AS DELETE FROM t").with("p", "PREPARE p AS SELECT 1");
    assert_eq!(texts(&prepared, "p"), ["PREPARE p AS DELETE FROM t", "PREPARE p AS SELECT 1"]);
    assert_ne!(prepared.digest(), Prepared::default().digest());
    assert_eq!(prepared.digest(), prepared.with("p", "PREPARE p AS SELECT 1").digest());
}

/// Who fills the memory up has no name known any more, and none can be brought back as something else.
#[test]
fn with_too_many_names_none_is_known() {
    let mut prepared = Prepared::default().with("p", "PREPARE p AS DELETE FROM t");
    for n in 0..PREPARED_LIMIT {
        prepared = prepared.with(&format!("n{n}"), "PREPARE n AS SELECT 1");
    }
    assert!(prepared.is_empty());
    assert!(prepared.with("p", "PREPARE p AS SELECT 1").is_empty());
    let long = "x".repeat(PREPARED_LIMIT_BYTES);
    assert!(Prepared::default().with("p", "SELECT 1").with("q", &long).is_empty());
}

fn row(values: &[Option<&str>]) -> Vec<Option<Bytes>> {
    values.iter().map(|value| value.map(|value| Bytes::copy_from_slice(value.as_bytes()))).collect()
}

#[test]
fn a_session_tells_its_names_and_what_is_torn_is_refused() {
    let session =
        row(&[Some("session"), Some("[\"pg_catalog\",\"public\"]"), None, Some("app"), None, None, None]);
    let state = row(&[Some("state"), Some("app"), Some("on"), Some("origin"), Some("off"), None, None]);
    let names = Names::read(vec![session.clone(), state.clone()]).unwrap();
    assert_eq!(names.session.search_path, ["pg_catalog", "public"]);
    let replica = row(&[Some("state"), Some("app"), Some("on"), Some("replica"), Some("off"), None, None]);
    let other = Names::read(vec![session.clone(), replica]).unwrap();
    assert_ne!(names.digest(), other.digest(), "triggers would not fire");
    for torn in [
        vec![],
        vec![session.clone()],
        vec![state.clone()],
        vec![session.clone(), state.clone(), state.clone()],
        vec![session, row(&[Some("state"), Some("app"), None, Some("origin"), Some("off")])],
    ] {
        assert!(Names::read(torn).is_err());
    }
}

#[test]
fn judgements_end_with_their_picture_and_never_fill_memory() {
    let judgements = Judgements::default();
    judgements.put(1, [1; 32], None);
    assert_eq!(judgements.get(1, &[1; 32]), Some(None));
    assert_eq!(judgements.get(2, &[1; 32]), None, "another picture");
    for n in 0..JUDGEMENTS_LIMIT {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&(n as u64).to_be_bytes());
        judgements.put(1, key, None);
    }
    assert_eq!(judgements.get(1, &[1; 32]), None, "the memory began anew");
    drop(Arc::new(judgements));
}
