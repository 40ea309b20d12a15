//! One table of statements, with what each would do.

use super::{classify, tell};
use crate::statement::{BindPlace, Control};

/// Snapshots of a list of texts, one after the other.
macro_rules! told {
    ($($text:expr),+ $(,)?) => {
        insta::assert_snapshot!([$(tell($text)),+].join("\n"))
    };
}

#[test]
fn reads() {
    told!(
        "SELECT 1",
        "SELECT id FROM orders WHERE id = $1",
        "SELECT name FROM customers",
        "SELECT * FROM customers",
        "SELECT customers FROM customers",
        "SELECT a FROM customers AS c (x, a, b)",
        "SELECT count(*), max(id) FROM customers",
        "TABLE orders",
        "VALUES ((SELECT id FROM orders))",
        "SELECT * FROM names",
        "SELECT * FROM sums",
        "SELECT upper('x'), pg_catalog.lower('Y'), now(), random()",
        "SELECT 'happy'::mood, NULL::customers, '1'::int",
        "SELECT rolname FROM pg_roles",
        "SELECT * FROM pg_authid",
        "SELECT table_name FROM information_schema.tables",
        "SHOW search_path",
        "EXPLAIN DELETE FROM orders",
        "FETCH 10 FROM c",
    );
}

#[test]
fn writes() {
    told!(
        "INSERT INTO orders (id) VALUES ($1) RETURNING id",
        "INSERT INTO customers VALUES (1, 'a', 'b')",
        "INSERT INTO orders (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET total = 0",
        "UPDATE orders SET total = 0 WHERE id = 1",
        "UPDATE orders SET total = 0",
        "UPDATE customers SET name = 'x' WHERE id = 1",
        "UPDATE customers SET id = 2 WHERE id = 1",
        "UPDATE notes SET text = '' WHERE id = 1",
        "UPDATE names SET name = '' WHERE at IS NULL",
        "DELETE FROM customers WHERE id = 1",
        "DELETE FROM orders",
        "DELETE FROM orders WHERE true",
        "DELETE FROM orders WHERE id = 1 OR 1 = 1",
        "DELETE FROM orders WHERE id = id",
        "DELETE FROM orders WHERE CURRENT OF c",
        "MERGE INTO orders o USING customers c ON o.customer = c.id WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT (id) VALUES (1)",
        "TRUNCATE customers",
        "TRUNCATE customers CASCADE",
        "SELECT id FROM orders FOR UPDATE",
        "LOCK TABLE orders IN ACCESS EXCLUSIVE MODE",
        "NOTIFY news, 'x'",
    );
}

#[test]
fn definitions_and_rights() {
    told!(
        "CREATE TABLE t (id int REFERENCES customers)",
        "CREATE TEMP TABLE orders AS SELECT * FROM customers",
        "SELECT id INTO t FROM orders",
        "CREATE VIEW v AS SELECT name FROM customers",
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC DELETE FROM orders; SELECT 1; END",
        "CREATE RULE r AS ON INSERT TO orders DO ALSO DELETE FROM notes",
        "ALTER TABLE orders DROP COLUMN total",
        "ALTER TABLE orders DISABLE TRIGGER ALL",
        "DROP TABLE orders, audit.log CASCADE",
        "DROP TRIGGER stamp ON orders",
        "DROP FUNCTION reckon(int)",
        "DROP SCHEMA audit CASCADE",
        "DROP DATABASE shop",
        "DROP OWNED BY app",
        "CREATE INDEX CONCURRENTLY ON orders (id)",
        "GRANT SELECT ON orders TO app",
        "GRANT admin TO app",
        "CREATE ROLE app SUPERUSER",
        "ALTER ROLE app SET search_path = evil",
        "ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO PUBLIC",
        "CREATE POLICY p ON orders USING (true)",
        "ALTER TABLE orders OWNER TO app",
        "COMMENT ON TABLE orders IS 'x'",
        "CREATE EXTENSION dblink",
        "ALTER SYSTEM SET archive_command = 'x'",
        "LOAD 'x'",
        "VACUUM FULL orders",
        "REINDEX DATABASE shop",
        "REFRESH MATERIALIZED VIEW names",
    );
}

#[test]
fn sessions_and_copies() {
    told!(
        "BEGIN; SAVEPOINT s; ROLLBACK TO s; COMMIT AND CHAIN",
        "PREPARE TRANSACTION 'x'",
        "SET statement_timeout = 1000",
        "SET LOCAL search_path = public, audit",
        "SET ROLE postgres",
        "SET SESSION AUTHORIZATION postgres",
        "RESET ALL",
        "SET standard_conforming_strings = off",
        "SET session_replication_role = replica",
        "DISCARD ALL",
        "LISTEN news",
        "COPY orders TO STDOUT",
        "COPY customers (id) TO STDOUT",
        "COPY (SELECT card FROM customers) TO STDOUT",
        "COPY orders FROM STDIN",
        "COPY orders FROM '/etc/passwd'",
        "COPY orders TO PROGRAM 'curl example.org'",
        "DECLARE c CURSOR FOR SELECT id FROM orders",
        "PREPARE p AS DELETE FROM orders WHERE id = $1",
        "EXECUTE p(1)",
        "DEALLOCATE p",
        "DO 'BEGIN DELETE FROM orders; END'",
        "CALL reckon(1)",
        "CALL nothing()",
    );
}

#[test]
fn a_text_of_several_statements_names_the_bytes_of_each() {
    let text = "  SELECT 1 ; /* ; */ DELETE FROM orders WHERE text = 'ü;' ;;\n COMMIT";
    let classified = classify(text);
    let parts: Vec<&str> =
        classified.statements.iter().map(|statement| &text[statement.range.clone()]).map(str::trim).collect();
    assert_eq!(parts, ["SELECT 1", "DELETE FROM orders WHERE text = 'ü;'", "COMMIT"]);
    assert!(classify(" -- nothing\n /* at all */ ;; ").statements.is_empty());
}

#[test]
fn a_reason_stands_in_a_leading_comment_or_in_a_setting() {
    for (text, reason) in [
        (
            "/* countersign: reason=\"restore \\\"17\\\" \\\\ ü\" */ DELETE FROM orders",
            Some("restore \"17\" \\ ü"),
        ),
        ("-- first\n/* other */ /*countersign:reason=\"x\"*/SELECT 1", Some("x")),
        ("/* countersign: reason=\"\" */ SELECT 1", None),
        ("/* countersign: reason=\"a\" b */ SELECT 1", None),
        ("/* countersign: reason=\"a\\n\" */ SELECT 1", None),
        ("/* countersign: reason=\"a /* b */ \" */ SELECT 1", None),
        ("SELECT 1 /* countersign: reason=\"late\" */", None),
        ("SELECT '/* countersign: reason=\"text\" */'", None),
    ] {
        assert_eq!(classify(text).reason.as_deref(), reason, "{text}");
    }
    let long = format!("/* countersign: reason=\"{}\" */ SELECT 1", "x".repeat(2_001));
    assert_eq!(classify(&long).reason, None);
    let set = classify("SET countersign.reason = 'clean-up'").statements.remove(0);
    assert_eq!(set.reason.as_deref(), Some("clean-up"));
    assert_eq!(set.settings[0].value.as_deref(), Some("clean-up"));
    assert_eq!(classify("SET countersign.reason = ''").statements[0].reason, None);
}

#[test]
fn transactions_and_kept_statements_are_told() {
    let one = |text: &str| classify(text).statements.remove(0);
    assert_eq!(one("start transaction read only").control, Some(Control::Begin));
    assert_eq!(one("END AND CHAIN").control, Some(Control::Commit { chain: true }));
    assert_eq!(one("ABORT").control, Some(Control::Rollback { chain: false }));
    assert_eq!(one("ROLLBACK TO a").control, Some(Control::RollbackTo("a".to_owned())));
    assert_eq!(one("RELEASE a").control, Some(Control::Release("a".to_owned())));
    assert_eq!(one("COMMIT PREPARED 'x'").control, Some(Control::CommitPrepared));
    assert_eq!(one("SELECT 1").control, None);
    assert_eq!(one("PREPARE p AS SELECT 1").prepares.as_deref(), Some("p"));
    assert_eq!(one("EXECUTE p").executes.as_deref(), Some("p"));
}

#[test]
fn a_kept_statement_that_is_known_runs_what_it_was() {
    let mut shop = super::shop();
    let kept = classify("PREPARE p AS DELETE FROM orders").statements.remove(0);
    std::sync::Arc::make_mut(&mut shop.prepared).insert("p".to_owned(), kept.atoms);
    let run = crate::Classifier::default().classify(b"EXECUTE p", true, &shop).statements.remove(0);
    assert!(run.is_parsed());
    insta::assert_snapshot!(super::told(&run), @r#"
    sql.delete table public.orders all-rows via Prepared("p")
    sql.delete table public.orders_2026 all-rows via Prepared("p")
    "#);
}

#[test]
fn places_of_bound_values_are_told() {
    let places = |text: &str| -> Vec<(i64, BindPlace)> {
        let statement = classify(text).statements.remove(0);
        statement.binds.iter().map(|bind| (bind.number, bind.place)).collect()
    };
    assert_eq!(
        places("UPDATE orders SET total = $2 WHERE id = $1 AND total > $1"),
        [(2, BindPlace::Value), (1, BindPlace::Filter)]
    );
    assert_eq!(places("SELECT id FROM orders LIMIT $1"), [(1, BindPlace::Limit)]);
    assert_eq!(
        places("SELECT set_config($1, $2, false)"),
        [(1, BindPlace::Argument), (2, BindPlace::Argument)]
    );
    assert_eq!(places("SELECT upper($1)"), [(1, BindPlace::Value)]);
    assert!(classify("SELECT set_config($1, 'x', false)").statements[0].depends_on_binds());
    assert!(!classify("DELETE FROM orders WHERE id = $1").statements[0].depends_on_binds());
}

#[test]
fn a_cursor_s_query_and_the_text_after_copy_are_read() {
    assert!(super::verbs("DECLARE c CURSOR FOR SELECT reckon(1)").contains("sql.call"));
    assert!(super::verbs("COPY orders FROM STDIN; DROP TABLE orders").contains("sql.drop"));
}
