//! A text becomes one action: what people see first, each thing that it does, and what it leaves behind.

use domain::evaluation::Fact;
use proptest::prelude::*;
use sql::Classifier;
use sql::catalog::{Catalog, Column, Objects, Relation};
use sql::statement::ObjectKind;

use crate::judge::{Judged, Unasked, judged};
use crate::limits::PARTS_LIMIT;

/// Two tables, `orders` and `users`, in the schema `public`.
fn catalog() -> Catalog {
    let mut objects = Objects::default();
    for (oid, name) in [(20_001, "orders"), (20_002, "users")] {
        objects.add_relation(Relation {
            oid,
            kind: ObjectKind::Table,
            schema: "public".to_owned(),
            name: name.to_owned(),
            columns: ["id", "note"]
                .map(|name| Column { name: name.to_owned(), classes: Default::default() })
                .into(),
            query: None,
            rules: Vec::new(),
            triggers: Vec::new(),
            referenced_by: Vec::new(),
            children: Vec::new(),
        });
    }
    Catalog::over(
        objects.into(),
        Objects::default(),
        "shop",
        vec!["pg_catalog".to_owned(), "public".to_owned()],
    )
}

fn judge_in(text: &str, shifting: bool) -> Result<Option<Judged>, Unasked> {
    let classified = Classifier::default().classify(text.as_bytes(), true, &catalog());
    judged(text, &classified, false, shifting)
}

fn judge(text: &str) -> Judged {
    judge_in(text, false).unwrap().unwrap_or_else(|| panic!("nothing in {text}"))
}

/// The headline, and whether everything in it is known.
fn short(judged: &Judged) -> String {
    let parts: Vec<String> =
        judged.parts.iter().map(|part| format!("{} {}", part.verb, part.resource)).collect();
    let known = judged.facts.get("parsed") == Some(&Fact::Bool(true))
        && judged.parts.iter().all(|part| part.facts.get("parsed") == Some(&Fact::Bool(true)));
    format!("{} {} [{}]{}", judged.verb, judged.resource, parts.join(", "), if known { "" } else { " ?" })
}

#[test]
fn the_worst_is_seen_first_and_everything_is_a_part() {
    let cases = [
        "SELECT note FROM orders",
        "DELETE FROM orders WHERE id = 1",
        "WITH gone AS (DELETE FROM users RETURNING id) SELECT * FROM orders",
        "BEGIN; UPDATE orders SET note = 'x' WHERE id = 1; COMMIT",
        "SELECT 1; DROP TABLE users",
        "INSERT INTO orders SELECT * FROM users",
        "SELECT nosuch()",
    ];
    let said: Vec<String> = cases.iter().map(|text| format!("{text}\n    {}", short(&judge(text)))).collect();
    insta::assert_snapshot!("headlines_and_parts", said.join("\n"));
}

#[test]
fn what_stands_behind_a_change_of_names_is_not_believed() {
    for text in [
        "SET search_path = evil; DELETE FROM orders WHERE id = 1",
        "SET ROLE boss; SELECT note FROM orders",
        "CREATE TABLE x (id int); SELECT note FROM orders",
        "DO $$ BEGIN END $$; SELECT note FROM orders",
    ] {
        let judged = judge(text);
        let last = judged.parts.last().unwrap();
        assert_eq!(last.facts.get("parsed"), Some(&Fact::Bool(false)), "{text}");
        assert_eq!(last.facts.get("matched"), Some(&Fact::Bool(false)), "{text}");
        assert!(!judged.opaque.is_empty(), "{text}");
    }
    // A transaction that ends takes with it what was set in it.
    let text = "ROLLBACK; SELECT note FROM orders";
    let known = |shifting| judge_in(text, shifting).unwrap().unwrap().opaque.is_empty();
    assert!(known(false));
    assert!(!known(true));
}

#[test]
fn what_a_text_leaves_behind() {
    let cases = [
        "SELECT note FROM orders",
        "SET application_name = 'x'",
        "SET search_path = x",
        "RESET ALL",
        "SET countersign.reason = 'ticket 42'",
        "RESET countersign.reason",
        "ROLLBACK",
        "COMMIT",
        "CREATE TABLE x (id int)",
        "CREATE TEMP TABLE x (id int)",
        "SELECT nosuch()",
        "PREPARE p AS SELECT 1",
        "SELECT set_config('search_path', 'x', false)",
    ];
    let said: Vec<String> =
        cases.iter().map(|text| format!("{text}\n    {:?}", judge(text).leaves)).collect();
    insta::assert_snapshot!("what_is_left_behind", said.join("\n"));
}

#[test]
fn literals_change_nothing_that_policy_is_told_and_everything_else_does() {
    let digest = |text: &str| judge(text).digest;
    let one = digest("DELETE FROM orders WHERE id = 1");
    assert_eq!(one, digest("DELETE FROM orders WHERE id = 2 /* another */"));
    for other in
        ["DELETE FROM orders", "DELETE FROM users WHERE id = 1", "UPDATE orders SET id = 1 WHERE id = 1"]
    {
        assert_ne!(one, digest(other), "{other}");
    }
}

#[test]
fn a_reason_is_taken_from_the_text_that_gives_it() {
    let reason = |text: &str| judge(text).reason;
    assert_eq!(reason("/* countersign: reason=\"ticket 1\" */ SELECT 1").as_deref(), Some("ticket 1"));
    assert_eq!(reason("SET countersign.reason = 'ticket 2'; SELECT 1").as_deref(), Some("ticket 2"));
    assert_eq!(reason("SELECT 1"), None);
}

#[test]
fn blanks_are_nothing_and_too_much_is_refused() {
    for text in ["", "  ", "-- nothing", "/* nothing */;;"] {
        assert_eq!(judge_in(text, false), Ok(None), "{text:?}");
    }
    let many: String = (0..=PARTS_LIMIT).map(|n| format!("DROP TABLE t{n};")).collect();
    assert!(matches!(judge_in(&many, false), Err(Unasked::TooMuch(_) | Unasked::Unwritten(_))));
}

proptest! {
    /// However statements are put together, each thing that one of them does alone is among what all do together.
    #[test]
    fn nothing_is_lost_when_statements_are_put_together(
        chosen in proptest::collection::vec(0_usize..6, 1..6),
    ) {
        let known = [
            "SELECT note FROM orders",
            "DELETE FROM users WHERE id = 1",
            "UPDATE orders SET note = 'x'",
            "INSERT INTO users VALUES (1, 'x')",
            "TRUNCATE orders",
            "COPY users TO STDOUT",
        ];
        let texts: Vec<&str> = chosen.iter().map(|at| known[*at]).collect();
        let all = judge(&texts.join("; "));
        for text in texts {
            let one = judge(text);
            let parts = if all.parts.is_empty() {
                vec![(all.verb, all.resource.clone())]
            } else {
                all.parts.iter().map(|part| (part.verb, part.resource.clone())).collect()
            };
            prop_assert!(parts.contains(&(one.verb, one.resource.clone())), "{text} is not in {parts:?}");
        }
    }
}
