//! Exact previews: run, counted, and rolled back.

use postgres::parse::Format;

use super::super::{Exact, Exactly, Known};
use super::{STOCKED, bound, contents, previewed, values};
use crate::catalog::tests::Database;

async fn tried(database: &Database, text: &str) -> Result<Exact, String> {
    let before = contents(database);
    let preview = previewed(database, text, Exactly::Primary).await;
    assert_eq!(contents(database), before, "{text}");
    match preview.exact.unwrap() {
        Known::Is(exact) => Ok(exact),
        Known::Not(why) => Err(why),
    }
}

#[tokio::test]
async fn cascades_and_rules_are_counted_in_every_table() {
    let database = Database::new("tried", STOCKED);
    let exact = tried(&database, "DELETE FROM customers WHERE id < 4").await.unwrap();
    assert_eq!(exact.rows, 3);
    let counts: Vec<_> =
        exact.tables.iter().map(|one| (one.table.as_str(), one.inserted, one.updated, one.deleted)).collect();
    assert_eq!(
        counts,
        [
            ("\"public\".\"customers\"", 0, 0, 3),
            ("\"public\".\"lines\"", 0, 0, 15),
            ("\"public\".\"orders\"", 0, 0, 15)
        ]
    );
    let rule = tried(&database, "DELETE FROM plain WHERE id = 1").await.unwrap();
    let deleted: Vec<_> = rule.tables.iter().map(|one| one.deleted).collect();
    assert_eq!((rule.rows, deleted), (1, vec![2, 1]));
    let none = tried(&database, "UPDATE plain SET word = 'x' WHERE id = 99").await.unwrap();
    assert_eq!((none.rows, none.tables.len()), (0, 0));
    let merged = tried(
        &database,
        "MERGE INTO plain p USING (VALUES (1), (2), (50)) v (id) ON p.id = v.id
         WHEN MATCHED AND v.id = 1 THEN DELETE WHEN MATCHED THEN UPDATE SET word = 'x'
         WHEN NOT MATCHED THEN INSERT VALUES (v.id, 'new')",
    )
    .await;
    // A table with rules takes no MERGE.
    assert!(merged.unwrap_err().contains("0A000"));
}

#[tokio::test]
async fn rows_before_and_after_stand_side_by_side_and_are_masked() {
    let database = Database::new("sampled", STOCKED);
    let exact =
        tried(&database, "UPDATE customers SET note = 'call +49 30 901820' || id, name = 'x' WHERE id <= 12")
            .await;
    let exact = exact.unwrap();
    let changed = &exact.tables[0];
    assert_eq!((exact.rows, changed.updated, changed.before.len(), changed.after.len()), (12, 12, 5, 5));
    let ids = |rows: &[Vec<(String, String)>]| rows.iter().map(|row| row[0].1.clone()).collect::<Vec<_>>();
    assert_eq!(ids(&changed.before), ["1", "2", "3", "4", "5"]);
    assert_eq!(ids(&changed.before), ids(&changed.after));
    let all = format!("{exact:?}");
    for secret in ["Ms 1", "ada@example.org", "901820"] {
        assert!(!all.contains(secret), "{secret}: {all}");
    }
    assert_eq!(changed.before[1][1].1, "[masked: by the column's class]");
    assert!(changed.before[1][2].1.starts_with("write to [masked"), "{:?}", changed.before[1]);
    assert!(changed.before[0][2].1.ends_with('…'));
    let inserted =
        tried(&database, "INSERT INTO plain SELECT n, NULL FROM generate_series(100, 200) n").await.unwrap();
    assert_eq!((inserted.tables[0].inserted, inserted.tables[0].before.len()), (101, 0));
    assert_eq!(
        inserted.tables[0].after[0],
        [("id".to_owned(), "100".to_owned()), ("word".to_owned(), "NULL".to_owned())]
    );
}

#[tokio::test]
async fn bound_values_are_tried_as_they_are() {
    let database = Database::new("tried_values", STOCKED);
    let bind = values(&["2", "'; DROP TABLE plain; --"], Format::Text);
    let before = contents(&database);
    let text = "UPDATE plain SET word = $2 WHERE id <= $1";
    let preview = bound(&database, text, &[], Some(&bind), Exactly::Primary).await;
    let Some(Known::Is(exact)) = preview.exact else { panic!("{:?}", preview.exact) };
    assert_eq!(exact.rows, 2);
    assert_eq!(exact.tables[0].after[0][1].1, "'; DROP TABLE plain; --");
    assert_eq!(contents(&database), before);
}

#[tokio::test]
async fn what_cannot_be_tried_says_why() {
    let database = Database::new(
        "untried",
        &format!(
            "{STOCKED} CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
             CREATE TABLE fires (id int); CREATE TRIGGER loud BEFORE DELETE ON fires FOR EACH ROW EXECUTE FUNCTION f();
             CREATE TABLE numbered (id int GENERATED ALWAYS AS IDENTITY, what int);
             CREATE TABLE late (id int REFERENCES customers DEFERRABLE INITIALLY DEFERRED);"
        ),
    );
    for (text, part) in [
        ("VACUUM plain", "cannot run inside a transaction"),
        ("CREATE INDEX CONCURRENTLY ON plain (id)", "cannot run inside a transaction"),
        ("DROP TABLE plain", "has no plan"),
        ("SELECT * FROM plain", "only reads"),
        ("DELETE FROM fires", "the trigger loud of public.fires"),
        ("INSERT INTO lines (number) VALUES (1)", "from a sequence"),
        ("INSERT INTO numbered (what) VALUES (1)", "from a sequence"),
        ("SELECT id FROM plain FOR UPDATE", "more than read and write rows"),
        ("INSERT INTO late VALUES (999)", "23503"),
        ("UPDATE plain SET id = 'x'::text::int", "22P02"),
        ("UPDATE customers SET id = 1 WHERE id = 2", "23505"),
    ] {
        let why = tried(&database, text).await.unwrap_err();
        assert!(why.contains(part), "{text}: {why}");
    }
}

/// Whatever runs too long, or waits for a lock, is given up, and nothing of it stays.
#[tokio::test]
async fn time_and_locks_are_limited() {
    let database = Database::new("limited", STOCKED);
    let start = std::time::Instant::now();
    let slow = "DELETE FROM plain WHERE (SELECT count(*) FROM generate_series(1, 100000) a, generate_series(1, 100000) b) > id";
    let why = tried(&database, slow).await.unwrap_err();
    assert!(why.contains("57014"), "{why}");
    assert!(start.elapsed() < super::super::limits::PREVIEW_LIMIT);
    let blocker = database.session().await;
    blocker.run("BEGIN; UPDATE plain SET word = 'mine' WHERE id = 1").await;
    let why = tried(&database, "DELETE FROM plain").await.unwrap_err();
    assert!(why.contains("55P03"), "{why}");
    blocker.run("ROLLBACK").await;
    let left = "SELECT count(*) FROM pg_stat_activity WHERE datname = 'limited' AND xact_start IS NOT NULL AND pid <> pg_backend_pid()";
    for _ in 0..100 {
        if database.sql(left) == "0" {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    panic!("a transaction of a preview stays open");
}

/// A copy is another database: what is tried there touches nothing here.
#[tokio::test]
async fn a_copy_is_tried_instead_of_the_database() {
    let database = Database::new("original", STOCKED);
    database.server.sql("postgres", "CREATE DATABASE copy TEMPLATE original");
    let copy = Database { server: std::sync::Arc::clone(&database.server), name: "copy" };
    let blocker = database.session().await;
    blocker.run("BEGIN; SELECT * FROM plain FOR UPDATE").await;
    let source = copy.source();
    let preview = previewed(&database, "DELETE FROM plain", Exactly::Copy(&source)).await;
    assert!(matches!(&preview.exact, Some(Known::Is(exact)) if exact.rows == 7), "{:?}", preview.exact);
    // A server that counts nothing says so, and the command tag stands.
    copy.sql("ALTER ROLE postgres IN DATABASE copy SET track_counts = off");
    let preview = previewed(&database, "DELETE FROM plain", Exactly::Copy(&source)).await;
    let Some(Known::Is(exact)) = preview.exact else { panic!("{:?}", preview.exact) };
    assert!(exact.rows == 7 && exact.tables.is_empty() && exact.uncounted.is_some(), "{exact:?}");
}
