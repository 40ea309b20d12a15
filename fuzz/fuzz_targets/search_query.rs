//! A query of the trail: one that reads is written so that it reads back the same; one that does not names a place
//! within it. A statement of a database's log is masked, and PostgreSQL's csvlog is read, without a panic.
#![no_main]

use domain::directory::Directory;
use domain::time::Timestamp;
use libfuzzer_sys::fuzz_target;
use search::Query;
use search::reconcile::{LogError, Zone, csvlog, sql};

const NOW: u64 = 1_795_262_400_000_000;

fuzz_target!(|text: &str| {
    let now = Timestamp::from_micros(NOW);
    match Query::parse(text, now) {
        Ok(query) => {
            let _ = query.plan(&Directory::default());
            assert_eq!(Query::parse(&query.to_string(), now), Ok(query));
        }
        Err(error) => assert!(error.at <= text.chars().count()),
    }
    let masked = sql::masked(text);
    assert!(!masked.contains('\n'));
    let _ = csvlog::read(text.as_bytes(), &Zone::default(), |_| Ok::<_, LogError>(()));
});
