//! The names that a statement uses, with what they mean: what its digest binds.

use std::sync::Arc;

use super::{classify, relation, shop};
use crate::catalog::{Catalog, Function, Objects, Trust};
use crate::statement::{Found, ObjectKind};
use crate::{Classifier, Statement};

/// Each name once: what it is, how it is written, what it can mean, and `stored` where a view or a rule says it.
fn told(statement: &Statement) -> Vec<String> {
    let one = |used: &crate::Use| {
        let schema = used.schema.as_ref().map(|schema| format!("{schema}.")).unwrap_or_default();
        let stored = if used.stored { " stored" } else { "" };
        format!("{} {schema}{} {:?}{stored}", used.kind.as_str(), used.name, used.oids)
    };
    statement.uses.iter().map(one).collect()
}

fn uses(text: &str) -> Vec<String> {
    told(&classify(text).statements[0])
}

#[test]
fn every_name_stands_with_what_it_can_mean() {
    assert_eq!(
        uses(
            "SELECT reckon(o.id), upper('x') FROM orders o WHERE o.id = 1 AND o.id === 2 AND 'x'::mood IS NULL"
        ),
        [
            "table orders {2}",
            "function reckon {100}",
            "function upper {}",
            "operator = {}",
            "operator === {110}",
            "type mood {120}",
        ]
    );
}

#[test]
fn what_names_postgresqls_own_schema_cannot_change_its_meaning() {
    let found =
        uses("SELECT pg_catalog.upper('x'), 1 OPERATOR(pg_catalog.+) 2, 1::int FROM pg_catalog.pg_class");
    assert_eq!(found, ["table pg_catalog.pg_class {}"]);
}

#[test]
fn views_and_rules_bring_theirs_and_say_so() {
    assert_eq!(
        uses("SELECT sum FROM sums"),
        ["table sums {7}", "table audit.log {5} stored", "function public.reckon {100} stored"]
    );
    assert_eq!(uses("UPDATE notes SET text = ''"), ["table notes {4}", "table public.notes {4} stored"]);
}

#[test]
fn a_name_that_is_dropped_is_used_too() {
    assert_eq!(uses("DROP TABLE orders, audit.log"), ["table orders {2}", "table audit.log {5}"]);
    assert_eq!(uses("DROP TRIGGER stamp ON orders"), ["table orders {2}"]);
}

#[test]
fn a_made_or_a_common_table_is_no_name_that_is_used() {
    assert!(uses("CREATE TABLE fresh (id int)").is_empty());
    assert_eq!(uses("WITH w AS (SELECT 1) SELECT * FROM w"), Vec::<String>::new());
}

#[test]
fn only_what_is_postgresqls_own_or_shipped_only_computes() {
    for (text, expected) in [
        ("SELECT upper('x') FROM orders WHERE id = 1", true),
        ("DELETE FROM orders WHERE id = 1", true),
        ("SELECT word_similarity('a', 'b')", true),
        ("SELECT 'x'::mood", true),
        // Its owners trust it, and it is theirs all the same.
        ("SELECT plain(1)", false),
        ("SELECT 1 ~=~ 2", false),
        ("SELECT reckon(1)", false),
        ("SELECT * FROM sums", false),
        ("SELECT 'x'::checked", false),
        ("SELECT nextval('s')", false),
        ("SELECT * FROM no_such_table", false),
        ("DO 'x'", false),
        ("SELEKT", false),
    ] {
        assert_eq!(classify(text).statements[0].only_computes(), expected, "{text}");
    }
}

/// A view over `pg_class` reads PostgreSQL's own, whatever the session has made under that name.
#[test]
fn stored_texts_are_read_without_the_session_s_search_path() {
    let mut catalog = shop();
    let mut view = relation(60, "public", "tables", Vec::new());
    view.kind = ObjectKind::View;
    view.query = Some("SELECT c.relname, upper(c.relname) FROM pg_class c".to_owned());
    catalog.add_relation(view);
    catalog.temporary = Some("pg_temp_3".to_owned());
    catalog.search_path = ["pg_temp_3", "evil", "pg_catalog", "public"].map(str::to_owned).into();
    catalog.add_relation(relation(61, "pg_temp_3", "pg_class", Vec::new()));
    let classify = |text: &[u8]| Classifier::default().classify(text, true, &catalog).statements.remove(0);
    let through = classify(b"SELECT * FROM tables");
    let found: Vec<_> = through.atoms.iter().map(|atom| (atom.verb.as_str(), atom.object.found)).collect();
    assert_eq!(found, [("sql.select", Found::Catalog), ("sql.select", Found::System)]);
    // Said by the statement itself, both names mean the session's.
    let own = classify(b"SELECT upper(relname) FROM pg_class");
    assert!(own.atoms.iter().any(|atom| atom.object.found == Found::Temporary));
    assert!(own.atoms.iter().any(|atom| atom.verb.as_str() == "sql.call"));
}

/// Two sessions over one database: each has its own tables, and neither copies what both share.
#[test]
fn sessions_share_what_the_database_has() {
    let mut shared = Objects::default();
    for oid in 1..=5_000 {
        shared.add_relation(relation(oid, "public", &format!("t{oid}"), Vec::new()));
    }
    shared.add_function("f", Function { oid: 9_000, schema: "public".to_owned(), trust: Trust::Never });
    let shared = Arc::new(shared);
    let path = || vec!["pg_catalog".to_owned(), "public".to_owned()];
    let session = |own| Catalog::over(Arc::clone(&shared), own, "shop", path());
    let (first, mut second) = (session(Objects::default()), session(Objects::default()));
    second.temporary = Some("pg_temp_4".to_owned());
    second.search_path.insert(0, "pg_temp_4".to_owned());
    second.add_relation(relation(9_001, "pg_temp_4", "t7", Vec::new()));
    assert_eq!(Arc::strong_count(&shared), 3);
    let target = |catalog: &Catalog| {
        let classified = Classifier::default().classify(b"DELETE FROM t7 WHERE f(1) = 1", true, catalog);
        told(&classified.statements[0])
    };
    assert_eq!(target(&first), ["table t7 {7}", "function f {9000}", "operator = {}"]);
    assert_eq!(target(&second), ["table t7 {9001}", "function f {9000}", "operator = {}"]);
}

/// `pg_stat_statements` and its like stand in the database's own schemas, and begin as PostgreSQL's own do.
#[test]
fn a_table_that_is_named_like_postgresqls_own_is_found() {
    let mut shared = Objects::default();
    shared.add_system("pg_catalog", "pg_class");
    shared.add_relation(relation(7, "public", "pg_secrets", vec![super::column("id", &["secret"])]));
    let path = vec!["pg_catalog".to_owned(), "public".to_owned()];
    let catalog = Catalog::over(Arc::new(shared), Objects::default(), "shop", path);
    let classify = |text: &[u8]| Classifier::default().classify(text, true, &catalog).statements.remove(0);
    let own = classify(b"SELECT id FROM pg_secrets");
    assert_eq!((own.atoms[0].object.oid, own.atoms[0].classes.len()), (Some(7), 1));
    assert_eq!(classify(b"SELECT relname FROM pg_class").atoms[0].object.found, Found::System);
    assert_eq!(classify(b"SELECT * FROM pg_nothing").atoms[0].object.found, Found::Nowhere);
}
