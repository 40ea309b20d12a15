//! PostgreSQL's log read, its statements masked, and both held against actions.

use domain::id::ActionId;
use domain::time::Timestamp;
use proptest::prelude::*;

use crate::reconcile::csvlog::{self, Row};
use crate::reconcile::{FINDINGS_LIMIT, LogError, Mapping, Matcher, Ran, Report, Zone, sql};

const ACTION: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

/// A row as PostgreSQL 14 and later write it.
fn row(time: &str, user: &str, database: &str, line: u64, application: &str, message: &str) -> String {
    let message = message.replace('"', "\"\"");
    format!(
        "{time},\"{user}\",\"{database}\",4711,\"10.0.0.7:50000\",6740ab01.1267,{line},\"SELECT\",\
         2026-11-21 05:00:00 UTC,3/12,0,LOG,00000,\"{message}\",,,,,,,,,\"{application}\",\"client backend\",,0\n"
    )
}

fn read(log: &str, zone: &Zone) -> Result<Vec<Row>, LogError> {
    let mut rows = Vec::new();
    csvlog::read(log.as_bytes(), zone, |row| {
        rows.push(row);
        Ok::<_, LogError>(())
    })?;
    Ok(rows)
}

fn micros(text: &str) -> Timestamp {
    let at: jiff::Timestamp = text.parse().unwrap();
    Timestamp::from_micros(u64::try_from(at.as_microsecond()).unwrap())
}

#[test]
fn statements_of_every_form_are_read() {
    let at = "2026-11-21 05:29:11.123 UTC";
    let statement = |message: &str| {
        let rows = read(&row(at, "ana", "shop", 1, "psql", message), &Zone::default()).unwrap();
        rows.first().unwrap().statement.clone().map(|statement| statement.text)
    };
    let check = |message: &str, expected: Option<&str>| {
        assert_eq!(statement(message).as_deref(), expected, "{message}")
    };
    check("statement: SELECT 1", Some("SELECT 1"));
    check("statement: INSERT INTO t VALUES ('a,\n\"b\"')", Some("INSERT INTO t VALUES ('a,\n\"b\"')"));
    check("execute <unnamed>: SELECT $1", Some("SELECT $1"));
    check("execute fetch from S_1/C_2: FETCH 10", Some("FETCH 10"));
    check("duration: 12.5 ms  statement: SELECT 2", Some("SELECT 2"));
    check("duration: 12.5 ms  execute s1: SELECT 3", Some("SELECT 3"));
    check("fastpath function call: \"lo_creat\" (OID 957)", Some("\"lo_creat\" (OID 957)"));
    check("duration: 12.5 ms", None);
    check("duration: 12.5 ms  bind <unnamed>: SELECT 1", None);
    check("connection authorized: user=ana", None);
}

#[test]
fn times_are_told_in_their_zone_or_not_at_all() {
    let time = |text: &str, zone: &Zone| {
        let rows = read(&row(text, "a", "b", 1, "", "statement: SELECT 1"), zone)?;
        Ok::<_, LogError>(rows.first().unwrap().statement.as_ref().unwrap().time)
    };
    let vienna = Zone::named("Europe/Vienna").unwrap();
    let expected = micros("2026-11-21T05:29:11.123Z");
    assert_eq!(time("2026-11-21 05:29:11.123 UTC", &vienna).unwrap(), expected);
    assert_eq!(time("2026-11-21 06:29:11.123 CET", &vienna).unwrap(), expected);
    assert_eq!(time("2026-11-21 10:59:11.123 +0530", &Zone::default()).unwrap(), expected);
    assert_eq!(time("2026-11-21 01:29:11.123 -04", &Zone::default()).unwrap(), expected);
    for text in ["2026-11-21 06:29:11.123 CET", "yesterday", "2026-13-21 06:29:11 UTC"] {
        assert!(matches!(time(text, &Zone::default()), Err(LogError::Time { row: 1, .. })), "{text}");
    }
    assert!(Zone::named("Middle/Earth").is_none());
}

#[test]
fn what_is_no_csvlog_is_refused_with_its_row() {
    let good = row("2026-11-21 05:29:11.123 UTC", "a", "b", 1, "", "statement: SELECT 1");
    let thirteen = good.replace(",,0\n", "\n");
    assert_eq!(read(&thirteen, &Zone::default()).unwrap().len(), 1);
    let short = read(&format!("{good}a,b,c\n"), &Zone::default()).unwrap_err();
    assert_eq!(
        short.to_string(),
        "row 2 has 3 columns; PostgreSQL 13 writes 24, and 14 to 18 write 26: is it a csvlog?"
    );
    assert!(read(&good.replace(",1,\"SELECT\"", ",x,\"SELECT\""), &Zone::default()).is_err());
}

#[test]
fn statements_are_shown_without_their_values() {
    let check = |text: &str, expected: &str| assert_eq!(sql::masked(text), expected, "{text}");
    check("SELECT * FROM t WHERE a = 'it''s' AND b=42", "SELECT * FROM t WHERE a = ? AND b=?");
    check("ALTER ROLE ana PASSWORD E'a\\'b'; SELECT 1", "ALTER ROLE ana PASSWORD ?; SELECT ?");
    check("DO $x$ BEGIN secret; END $x$ -- why 'no'\n;", "DO ? ;");
    check(
        "SELECT $1, $$s$$, U&'d\\0061', b'01', X'1F', 1.5e-7, .5, t1.c2",
        "SELECT $1, ?, ?, ?, ?, ?-?, ?, t1.c2",
    );
    check("SELECT /* a /* 'b' */ c */ \"Col\"\"'umn\" FROM \"t", "SELECT \"Col\"\"'umn\" FROM \"t");
    check("SELECT 'open", "SELECT ?");
    check("SELECT $a$open", "SELECT ?");
    check("  SELECT\n\t1  ", "SELECT ?");
    check("$", "$");
    check("SELECT \"a\nb\"", "SELECT \"a b\"");
}

fn mapping() -> Mapping {
    serde_json::from_value(serde_json::json!({ "database": [
        { "name": "shop", "target": "shop-db", "gateway_users": ["gateway"], "ignore_users": ["monitor"] },
    ] }))
    .unwrap()
}

fn ran(id: &str, target: &str, from: &str, to: Option<&str>) -> Ran {
    Ran { action: id.parse().unwrap(), target: target.to_owned(), from: micros(from), to: to.map(micros) }
}

fn reconciled(log: &str, actions: Vec<Ran>) -> Report {
    let mapping = mapping();
    let mut matcher =
        Matcher::new(&mapping, actions, micros("2026-11-21T00:00:00Z"), micros("2026-11-22T00:00:00Z"));
    read(log, &Zone::default()).unwrap().iter().for_each(|row| matcher.see(row));
    matcher.report()
}

#[test]
fn what_did_not_pass_us_is_found() {
    let other = ACTION.replace("57", "58");
    let log = [
        row(
            "2026-11-21 10:00:00 UTC",
            "mallory",
            "shop",
            1,
            "psql",
            "statement: DELETE FROM users WHERE name = 'jane'",
        ),
        row("2026-11-21 10:00:01 UTC", "gateway", "shop", 2, "pool", "statement: SELECT 1"),
        row(
            "2026-11-21 10:00:02 UTC",
            "gateway",
            "shop",
            3,
            &format!("countersign:{ACTION}"),
            "statement: SELECT 2",
        ),
        row(
            "2026-11-21 10:00:03 UTC",
            "gateway",
            "shop",
            4,
            "x",
            &format!("statement: SELECT 3 /* countersign:{ACTION} */"),
        ),
        row(
            "2026-11-21 10:00:04 UTC",
            "gateway",
            "shop",
            5,
            &format!("countersign:{other}"),
            "statement: SELECT 4",
        ),
        row("2026-11-21 12:00:00 UTC", "gateway", "shop", 6, "pool", "statement: DROP TABLE orders"),
        row("2026-11-21 12:00:01 UTC", "monitor", "shop", 7, "m", "statement: SELECT 5"),
        row("2026-11-21 12:00:02 UTC", "mallory", "elsewhere", 8, "p", "statement: SELECT 6"),
        row("2026-11-23 12:00:02 UTC", "mallory", "shop", 11, "p", "statement: SELECT 7"),
    ]
    .concat();
    let actions = vec![
        ran(ACTION, "shop-db", "2026-11-21T09:59:59Z", Some("2026-11-21T10:00:05Z")),
        ran(&other, "another", "2026-11-21T09:59:59Z", None),
    ];
    insta::assert_json_snapshot!(reconciled(&log, actions));
}

#[test]
fn clocks_may_differ_a_little_and_no_more() {
    let covered = |time: &str, to: Option<&str>| {
        let log = row(time, "gateway", "shop", 1, "", "statement: SELECT 1");
        let actions = vec![
            ran(ACTION, "shop-db", "2026-11-21T10:00:00Z", to),
            ran(
                &ACTION.replace("57", "59"),
                "shop-db",
                "2026-11-21T10:00:01Z",
                Some("2026-11-21T10:00:01.5Z"),
            ),
        ];
        reconciled(&log, actions).found == 0
    };
    assert!(covered("2026-11-21 09:59:58 UTC", Some("2026-11-21T10:00:05Z")));
    assert!(!covered("2026-11-21 09:59:57.9 UTC", Some("2026-11-21T10:00:05Z")));
    // One that began later and ended sooner hides none that is still running.
    assert!(covered("2026-11-21 10:00:07 UTC", Some("2026-11-21T10:00:05Z")));
    assert!(!covered("2026-11-21 10:00:07.1 UTC", Some("2026-11-21T10:00:05Z")));
    // Without an outcome it may have run for ten minutes.
    assert!(covered("2026-11-21 10:10:01 UTC", None));
    assert!(!covered("2026-11-21 10:10:03 UTC", None));
}

#[test]
fn findings_beyond_the_limit_are_counted() {
    let one =
        |n: usize| row("2026-11-21 10:00:00 UTC", "mallory", "shop", n as u64 + 1, "", "statement: SELECT 1");
    let report = reconciled(&(0..FINDINGS_LIMIT + 3).map(one).collect::<String>(), Vec::new());
    assert_eq!((report.found, report.findings.len()), (FINDINGS_LIMIT as u64 + 3, FINDINGS_LIMIT));
    assert_eq!(report.missing_rows, 0);
}

proptest! {
    #[test]
    fn no_value_stands_in_what_is_shown(value in "[a-z]{6,12}", tail in "[ -~]{0,30}", quote in 0_usize..5) {
        let tag = "q7";
        let doubled = value.clone();
        let literal = match quote {
            0 => format!("'{doubled}'"),
            1 => format!("E'\\'{doubled}'"),
            2 => format!("${tag}${value}${tag}$"),
            3 => format!("/* {value} */"),
            _ => format!("U&'{doubled}'"),
        };
        let shown = sql::masked(&format!("UPDATE t SET c = {literal} {}", tail.replace(&value, "")));
        prop_assert!(!shown.contains(&value), "{shown}");
    }

    #[test]
    fn any_text_is_masked_without_a_panic(text in "\\PC{0,200}", bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = sql::masked(&text);
        let _ = csvlog::read(bytes.as_slice(), &Zone::default(), |_| Ok::<_, LogError>(()));
    }

    #[test]
    fn an_action_covers_what_ran_in_it(start in 0_u64..5_000, length in 0_u64..5_000, at in 0_u64..12_000) {
        let base = micros("2026-11-21T10:00:00Z").micros();
        let moment = |ms: u64| Timestamp::from_micros(base + ms * 1_000);
        let action = Ran { action: ActionId::from_uuid(uuid::Uuid::nil()), target: "shop-db".to_owned(),
            from: moment(start), to: Some(moment(start + length)) };
        let clock = jiff::Timestamp::from_microsecond((base + at * 1_000) as i64).unwrap();
        let log = row(&clock.strftime("%Y-%m-%d %H:%M:%S%.3f UTC").to_string(), "gateway", "shop", 1, "", "statement: SELECT 1");
        let expected = at + 2_000 >= start && at <= start + length + 2_000;
        prop_assert_eq!(reconciled(&log, vec![action]).found == 0, expected);
    }
}
