//! Each way round that somebody has shown, or that we thought of, with what stops it here.

use super::{classify, is_plain_read, shop, tell, verbs};
use crate::Classifier;
use crate::statement::{Found, Object};

/// What must never pass as a read of what was found.
const NO_READS: &[&str] = &[
    // Writes below reads.
    "WITH gone AS (DELETE FROM orders RETURNING *) SELECT * FROM gone",
    "WITH a AS (SELECT 1), b AS (UPDATE orders SET total = 0 RETURNING 1) SELECT 1",
    "SELECT * FROM (WITH x AS (SELECT 1) SELECT * FROM x) y; DELETE FROM orders",
    "EXPLAIN ANALYZE DELETE FROM orders",
    "EXPLAIN (ANALYZE) DELETE FROM orders",
    "EXPLAIN (ANALYZE false, ANALYZE true) DELETE FROM orders",
    "EXPLAIN (FORMAT json, \"analyze\") DELETE FROM orders",
    "EXPLAIN ANALYZE EXECUTE p",
    "COPY (DELETE FROM orders RETURNING *) TO STDOUT",
    "COPY (SELECT 1) TO PROGRAM 'sh'",
    "COPY orders TO '/var/x'",
    "PREPARE p AS DELETE FROM orders",
    "EXECUTE p",
    "SELECT 1 INTO t",
    "CREATE TABLE t AS SELECT 1",
    "SELECT id FROM orders FOR UPDATE",
    "SELECT id FROM orders FOR KEY SHARE",
    // Code that nobody reads.
    "DO 'x'",
    "DO LANGUAGE plpgsql $$ BEGIN EXECUTE 'DROP TABLE orders'; END $$",
    "CALL reckon(1)",
    "SELECT reckon(1)",
    "SELECT public.reckon(1)",
    "SELECT * FROM reckon(1)",
    "SELECT * FROM ROWS FROM (reckon(1), generate_series(1, 2))",
    "SELECT 1 ORDER BY reckon(1)",
    "SELECT max(id) FILTER (WHERE reckon(1) = 1) FROM orders",
    "SELECT sum(1) OVER (ORDER BY reckon(1))",
    "SELECT CASE WHEN reckon(1) = 1 THEN 1 END",
    "SELECT ARRAY[reckon(1)]",
    "SELECT id FROM orders LIMIT reckon(1)",
    "SELECT id FROM orders TABLESAMPLE bernoulli (reckon(1))",
    "SELECT id FROM orders TABLESAMPLE reckon (1)",
    "SELECT * FROM orders JOIN notes ON reckon(1) = 1",
    "SELECT json_object('a': reckon(1))",
    "SELECT xmlelement(name a, reckon(1))",
    "VALUES (reckon(1))",
    "SELECT * FROM sums",
    // Functions that run SQL, read tables or files, wait, or change the session.
    "SELECT query_to_xml('DELETE FROM orders', true, true, '')",
    "SELECT pg_catalog.query_to_xml('DELETE FROM orders', true, true, '')",
    "SELECT table_to_xml('customers', true, true, '')",
    "SELECT schema_to_xml('public', true, true, '')",
    "SELECT database_to_xml(true, true, '')",
    "SELECT cursor_to_xml('c', 1, true, true, '')",
    "SELECT ts_stat('SELECT 1')",
    "SELECT ts_rewrite('a'::tsquery, 'SELECT 1')",
    "SELECT dblink('', 'DROP TABLE orders')",
    "SELECT pg_read_file('/etc/passwd')",
    "SELECT pg_read_binary_file('/etc/passwd')",
    "SELECT pg_ls_dir('/')",
    "SELECT pg_stat_file('/etc/passwd')",
    "SELECT lo_import('/etc/passwd')",
    "SELECT lo_export(1, '/var/x')",
    "SELECT lo_unlink(1)",
    "SELECT lo_get(1)",
    "SELECT set_config('role', 'postgres', false)",
    "SELECT pg_terminate_backend(1)",
    "SELECT pg_cancel_backend(1)",
    "SELECT pg_reload_conf()",
    "SELECT pg_sleep(1000000)",
    "SELECT pg_advisory_lock(1)",
    "SELECT nextval('s')",
    "SELECT setval('s', 1)",
    "SELECT pg_notify('a', 'b')",
    "SELECT pg_logical_emit_message(true, 'a', 'b')",
    "SELECT pg_export_snapshot()",
    "SELECT pg_switch_wal()",
    "SELECT pg_promote()",
    "SELECT pg_create_physical_replication_slot('x')",
    "SELECT \"pg_read_file\"('/etc/passwd')",
    "SELECT U&\"pg_re\\0061d_file\"('/etc/passwd')",
    // `value.function`, which is a call.
    "SELECT ('/etc/passwd'::text).pg_read_file",
    "SELECT (o).reckon FROM orders o",
    "SELECT o.reckon FROM orders o",
    "SELECT s.query_to_xml FROM (SELECT 1) s",
    // A name that means something else here.
    "SELECT 1 === 2",
    "SELECT 1 OPERATOR(public.===) 2",
    "SELECT 1 OPERATOR(evil.+) 2",
    "SELECT 1 ORDER BY 1 USING ===",
    "SELECT 1 === ANY (SELECT 2)",
    "SELECT 'x'::checked",
    "SELECT CAST('x' AS public.checked)",
    "SELECT 'x'::evil.unknown",
    "SELECT checked 'x'",
    "SELECT evil.upper('x')",
    "SELECT other.shop.upper('x')",
    "SELECT no_such_function()",
    "SELECT * FROM no_such_table",
    "SELECT * FROM other.public.orders",
    "WITH t AS (SELECT * FROM no_such_table) SELECT * FROM t",
    "WITH no_such_table AS (SELECT * FROM no_such_table) SELECT * FROM no_such_table",
    "SELECT * FROM (WITH no_such_table AS (SELECT 1) SELECT 1) a, no_such_table",
    "WITH orders AS (SELECT 1) DELETE FROM orders",
    // The session.
    "SET ROLE postgres",
    "RESET ROLE",
    "SET SESSION AUTHORIZATION DEFAULT",
    "SET standard_conforming_strings = off",
    "SET \"Standard_Conforming_Strings\" TO off",
    "SET client_encoding = 'SJIS'",
    "SET NAMES 'BIG5'",
    "SET backslash_quote = on",
    "SET row_security = off",
    "SET transform_null_equals = on",
    "SET some.other = 1",
    "RESET ALL",
    "DISCARD ALL",
];

#[test]
fn nothing_of_the_list_passes_as_a_read() {
    let passed: Vec<&&str> = NO_READS.iter().filter(|text| is_plain_read(text)).collect();
    assert!(passed.is_empty(), "{passed:#?}");
}

/// What the list above must not be stopped by: the same shapes, harmless.
#[test]
fn harmless_neighbours_pass_as_reads() {
    for text in [
        "WITH gone AS (SELECT id FROM orders) SELECT * FROM gone",
        "WITH RECURSIVE t AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM t) SELECT n FROM t LIMIT 3",
        "EXPLAIN DELETE FROM orders",
        "SELECT o.id, o.total FROM orders o JOIN customers c ON c.id = o.customer ORDER BY 1",
        "SELECT upper(c.name) FROM customers c",
        "SELECT plain(1)",
        "SELECT ('abc'::text).upper",
        "SELECT (c).name FROM customers c",
        "SELECT 'x' || 'y', 1 OPERATOR(pg_catalog.+) 2, ARRAY[1] @> ARRAY[1]",
        "SELECT 'happy'::mood, '{1}'::int[], now() - interval '1 day'",
        "SELECT count(*) FILTER (WHERE id > 1) FROM orders GROUP BY total HAVING sum(total) > 1",
        "SELECT extract(year FROM now()), trim(' x '), substring('abc' FROM 2), position('a' IN 'b')",
        "SELECT DISTINCT id FROM orders UNION SELECT id FROM notes",
        "SELECT json_build_object('a', 1) ->> 'a', 1 ~=~ 2, 1 NOT BETWEEN SYMMETRIC 2 AND 3",
        "SELECT id FROM orders WHERE id = ANY ($1) AND total BETWEEN 1 AND 2 AND NOT total IS NULL",
        "SELECT * FROM generate_series(1, 3) AS g (n)",
        "BEGIN; SET TRANSACTION READ ONLY; SET application_name = 'x'; SELECT 1; COMMIT",
        "SELECT current_user, current_setting('timezone'), version()",
        "SELECT relname FROM pg_class WHERE oid = 'orders'::regclass",
        "SELECT * FROM names",
        "SELECT id FROM orders TABLESAMPLE system (1) REPEATABLE (2)",
    ] {
        assert!(is_plain_read(text), "{}", tell(text));
    }
}

/// What the grammar leaves empty is no node that the parser could not tell.
#[test]
fn empty_places_of_the_grammar_are_known() {
    for text in [
        "SELECT DISTINCT id FROM orders",
        "DROP OPERATOR !! (NONE, int)",
        "CREATE PROCEDURE p () BEGIN ATOMIC END",
        "SELECT * FROM generate_series(1, 2) g, ROWS FROM (generate_series(1, 2)) h",
        "CREATE AGGREGATE a (*) (sfunc = f, stype = int)",
        "DROP AGGREGATE a (*)",
        "COMMENT ON AGGREGATE a (*) IS 'x'",
        "SELECT count(*) FROM orders GROUP BY ()",
        "CREATE OPERATOR CLASS c FOR TYPE int USING btree AS OPERATOR 1 <",
    ] {
        assert!(classify(text).statements[0].is_parsed(), "{}", tell(text));
    }
}

#[test]
fn a_temporary_table_shadows_a_name_and_is_told_by_its_own() {
    let mut catalog = shop();
    catalog.temporary = Some("pg_temp_3".to_owned());
    catalog.search_path.insert(0, "pg_temp_3".to_owned());
    catalog.add_relation(super::relation(50, "pg_temp_3", "orders", Vec::new()));
    let target = |text: &str| -> Object {
        Classifier::default().classify(text.as_bytes(), true, &catalog).statements[0].atoms[0].object.clone()
    };
    let shadow = target("DELETE FROM orders WHERE id = 1");
    assert_eq!(
        (shadow.full_name().as_str(), shadow.oid, shadow.found),
        ("pg_temp.orders", Some(50), Found::Temporary)
    );
    let own = target("DELETE FROM public.orders WHERE id = 1");
    assert_eq!((own.full_name().as_str(), own.oid, own.found), ("public.orders", Some(2), Found::Catalog));
    assert_eq!(target("DELETE FROM pg_temp.orders").oid, Some(50));
}

#[test]
fn the_search_path_decides_what_a_name_means() {
    let mut catalog = shop();
    let verbs = |catalog: &crate::Catalog, text: &str| {
        let classified = Classifier::default().classify(text.as_bytes(), true, catalog);
        classified.statements[0].atoms.iter().map(|atom| atom.verb.as_str()).collect::<Vec<_>>()
    };
    // A function of the path's could be the better match than PostgreSQL's own.
    assert_eq!(verbs(&catalog, "SELECT upper('x')"), ["sql.select"]);
    catalog.search_path.push("evil".to_owned());
    assert_eq!(verbs(&catalog, "SELECT upper('x')"), ["sql.call"]);
    assert_eq!(verbs(&catalog, "SELECT pg_catalog.upper('x')"), ["sql.select"]);
    // Without PostgreSQL's own schema nothing of it is meant.
    catalog.search_path = vec!["public".to_owned()];
    assert_eq!(verbs(&catalog, "SELECT now()"), ["sql.call"]);
}

#[test]
fn strings_that_the_session_reads_otherwise_are_not_read() {
    // Off, the string goes on after `\'`, and what looks like a string is a statement.
    let text = br"SELECT 'a\' ; DELETE FROM orders; --'";
    let off = Classifier::default().classify(text, false, &shop());
    assert!(off.unread.is_some());
    assert!(!off.statements[0].is_parsed());
    assert_eq!(off.statements[0].range, 0..text.len());
    // Without a backslash both ways are one.
    assert!(Classifier::default().classify(b"SELECT 'a'", false, &shop()).unread.is_none());
    // `E''` and `U&''` say themselves how they are read.
    assert_eq!(classify(r"SELECT E'a\' ; DELETE FROM orders; --'").statements.len(), 1);
    assert_eq!(classify(r"SELECT 'a\' ; DELETE FROM orders; --'").statements.len(), 2);
    assert_eq!(classify("SELECT $a$ ' ; $a$ ; DELETE FROM orders").statements.len(), 2);
    assert_eq!(classify("SELECT /* /* */ ; DELETE FROM orders; */ 1").statements.len(), 1);
    assert_eq!(classify("SELECT 1 -- ; DELETE\n ; DELETE FROM orders").statements.len(), 2);
}

#[test]
fn a_statement_hides_behind_no_other() {
    for text in [
        "SELECT 1; DELETE FROM orders",
        "COPY orders FROM STDIN; DELETE FROM orders",
        ";;DELETE FROM orders;",
    ] {
        assert!(verbs(text).contains("sql.delete"), "{text}");
    }
}

#[test]
fn what_a_rule_or_a_key_does_is_told_of_its_own_table() {
    let told = tell("UPDATE notes SET text = ''");
    assert!(told.contains("sql.delete table public.notes all-rows via Rule(\"notes.sweep\")"), "{told}");
    let told = tell("DELETE FROM customers WHERE id = 1");
    assert!(
        told.contains("sql.delete table public.orders where cascades via Cascade(\"customers\")"),
        "{told}"
    );
    assert!(told.contains("sql.delete table public.orders_2026"), "{told}");
}
