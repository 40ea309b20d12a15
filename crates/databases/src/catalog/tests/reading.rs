//! What a picture holds of a database.

use std::collections::BTreeSet;

use super::super::{ColumnLabel, SessionNames};
use super::{Database, SHOP, classify, fresh, told};

fn names() -> SessionNames {
    let search_path = ["pg_catalog", "public"].map(str::to_owned).into();
    SessionNames { search_path, role: "postgres".to_owned(), ..SessionNames::default() }
}

#[tokio::test]
async fn everything_that_fires_is_read() {
    let database = Database::new("reading", SHOP);
    let labels = vec![
        ColumnLabel {
            schema: "public".to_owned(),
            table: "orders".to_owned(),
            column: "total".to_owned(),
            classes: BTreeSet::from(["finance".to_owned()]),
        },
        ColumnLabel {
            schema: "public".to_owned(),
            table: "orders".to_owned(),
            column: "no_such".to_owned(),
            classes: BTreeSet::from(["pii".to_owned()]),
        },
    ];
    let pictures = database.pictures_with(labels).await;
    let picture = fresh(&pictures).await;
    assert_eq!(picture.generation(), 1);
    assert!(picture.version() >= 130_000);
    assert_eq!(picture.unmatched_labels(), ["public.orders.no_such"]);
    let mut all = Vec::new();
    for text in [
        "SELECT id, name, card, email FROM customers",
        "SELECT total FROM orders",
        "SELECT loud FROM names",
        "SELECT * FROM names_of_names",
        "DELETE FROM customers WHERE id = 1",
        "UPDATE customers SET id = 2 WHERE id = 1",
        "UPDATE orders SET total = 1 WHERE id = 1",
        "INSERT INTO orders (total) VALUES (1)",
        "UPDATE notes SET text = ''",
        "DELETE FROM months WHERE month = 1",
        "SELECT reckon(1), plain(2), upper('x')",
        "SELECT 1 === 2",
        "SELECT 1 ==== 2",
        "SELECT 'happy'::mood, 1::checked",
        "SELECT * FROM nothing",
        "DROP INDEX orders_pkey",
    ] {
        all.push(format!("{text}\n    {}", told(&classify(&picture, &names(), text)).join("\n    ")));
    }
    insta::assert_snapshot!(all.join("\n"));
}

#[tokio::test]
async fn extensions_that_only_compute_are_trusted_and_others_are_not() {
    let database = Database::new(
        "extensions",
        "CREATE EXTENSION citext; CREATE EXTENSION dblink; CREATE EXTENSION tablefunc; CREATE EXTENSION hstore;
         CREATE TABLE t (name citext, tags hstore);
         CREATE FUNCTION mine(citext) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 1';",
    );
    let picture = fresh(&database.pictures().await).await;
    let only_computes = |text: &str| classify(&picture, &names(), text).only_computes();
    for text in [
        "SELECT * FROM t WHERE name = 'x' AND tags ? 'a' AND replace(name, 'a', 'b') <> 'c'",
        "SELECT 'x'::citext, 'a=>1'::hstore -> 'a'",
        "DELETE FROM t WHERE name ~ 'x'",
    ] {
        assert!(only_computes(text), "{text}: {:?}", told(&classify(&picture, &names(), text)));
    }
    for text in
        ["SELECT dblink('', '')", "SELECT * FROM crosstab('SELECT 1') AS x (a int)", "SELECT mine('x')"]
    {
        assert!(!only_computes(text), "{text}");
        assert!(
            told(&classify(&picture, &names(), text)).iter().any(|atom| atom.starts_with("sql.call")),
            "{text}"
        );
    }
}

/// A role that may read nothing still gets a picture: the catalog is open to all.
#[tokio::test]
async fn an_ordinary_role_is_enough() {
    let database = Database::new("ordinary", SHOP);
    database.sql("CREATE ROLE nobody_special LOGIN");
    let pictures =
        super::super::Pictures::load(database.source_as("nobody_special"), Vec::new()).await.unwrap();
    let found = told(&classify(&*fresh(&pictures).await, &names(), "SELECT name FROM names"));
    assert_eq!(found.len(), 2, "{found:?}");
}

/// A superuser who replaces one of PostgreSQL's own functions by code does not pass.
#[tokio::test]
async fn a_builtin_that_was_replaced_is_not_postgresqls_own() {
    let database = Database::new(
        "replaced",
        "CREATE OR REPLACE FUNCTION pg_catalog.initcap(text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN 1; END';
         CREATE FUNCTION pg_catalog.added() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    );
    let picture = fresh(&database.pictures().await).await;
    for text in ["SELECT initcap('x')", "SELECT pg_catalog.initcap('x')", "SELECT added()"] {
        let found = told(&classify(&picture, &names(), text));
        assert!(found.iter().any(|atom| atom.starts_with("sql.call")), "{text}: {found:?}");
    }
}

/// A label of whatever provider counts. Without one of its modules only a superuser's hand can put it there.
#[tokio::test]
async fn security_labels_are_read() {
    let database = Database::new(
        "labelled",
        "CREATE TABLE t (id int, name text);
         SET allow_system_table_mods = on;
         INSERT INTO pg_seclabel (objoid, classoid, objsubid, provider, label)
         VALUES ('t'::regclass, 'pg_class'::regclass, 2, 'anon', 'MASKED WITH VALUE NULL')",
    );
    let picture = fresh(&database.pictures().await).await;
    let found = told(&classify(&picture, &names(), "SELECT name FROM t"));
    assert_eq!(found, ["sql.select public.t Catalog {\"pii\"}"]);
    assert_eq!(told(&classify(&picture, &names(), "SELECT id FROM t")), ["sql.select public.t Catalog"]);
}
