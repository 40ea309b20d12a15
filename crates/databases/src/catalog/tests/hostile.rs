//! Catalogs that somebody made to be difficult.

use std::time::{Duration, Instant};

use super::super::{Pictures, SessionNames, recheck, resolve};
use super::{Database, classify, fresh, told};

fn names() -> SessionNames {
    let search_path = ["pg_catalog", "public"].map(str::to_owned).into();
    SessionNames { search_path, role: "postgres".to_owned(), ..SessionNames::default() }
}

/// Names that would end a quotation, a line or a field, turn the reading direction, or look like another.
const NAMES: &[&str] = &[
    "quo\"te",
    "a'b",
    "back\\slash",
    "new\nline",
    "tab\tbed",
    "E'\\'",
    "$1",
    "--",
    "/*",
    "; DROP TABLE x",
    "\u{202e}redro",
    "ord\u{200b}ers",
    "оrders",
    "ORDERS",
    "select",
    "pg_temp",
    "{a,b}",
    "[\"a\"]",
    "ü",
    " ",
    "%s%n",
    "NULL",
];

#[tokio::test]
async fn names_of_every_kind_are_read_and_bound() {
    let quoted = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
    let mut script = String::new();
    for name in NAMES {
        let name = quoted(name);
        script.push_str(&format!(
            "CREATE TABLE {name} ({name} int);
             CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
             CREATE TRIGGER {name} BEFORE DELETE ON {name} FOR EACH ROW EXECUTE FUNCTION {name}();
             CREATE RULE {name} AS ON UPDATE TO {name} DO ALSO DELETE FROM {name};
             CREATE TYPE {type_} AS ENUM ('x');",
            type_ = name.replacen('"', "\"t ", 1),
        ));
    }
    script.push_str("CREATE SCHEMA \"a\"\"b.c\"; CREATE TABLE \"a\"\"b.c\".\"d.e\" (id int);");
    let database = Database::new("names", &script);
    let picture = fresh(&database.pictures().await).await;
    let session = database.session().await;
    let own = session.names().await;
    for name in NAMES {
        let quoted = quoted(name);
        for text in [
            format!("DELETE FROM {quoted} WHERE {quoted} = 1"),
            format!("UPDATE {quoted} SET {quoted} = 1 WHERE {quoted} = 1"),
            format!("SELECT {quoted}, 'x'::{} FROM public.{quoted}", quoted.replacen('"', "\"t ", 1)),
        ] {
            let statement = classify(&picture, &own, &text);
            let found = told(&statement);
            assert!(
                !found.iter().any(|line| line.contains("Nowhere") || line.contains("OPAQUE")),
                "{text}: {found:?}"
            );
            let fires = found.iter().any(|line| line.contains("triggers") || line.contains("rules"));
            assert_eq!(fires, !text.starts_with("SELECT"), "{text}: {found:?}");
            let asked = recheck(&resolve(&picture, &own, &statement).unwrap());
            let answer = session.rows(&asked.sql).await;
            assert_eq!(asked.differs(&answer), None, "{text}\n{}", asked.sql);
        }
    }
    let text = "DELETE FROM \"a\"\"b.c\".\"d.e\"";
    let asked = recheck(&resolve(&picture, &own, &classify(&picture, &own, text)).unwrap());
    assert_eq!(asked.differs(&session.rows(&asked.sql).await), None, "{}", asked.sql);
    // A search path of such names is read and bound like any other.
    session.run("SET search_path = \"a\"\"b.c\", \"new\nline\", public").await;
    let own = session.names().await;
    assert_eq!(own.search_path, ["pg_catalog", "a\"b.c", "public"]);
    let asked = recheck(&resolve(&picture, &own, &classify(&picture, &own, "DELETE FROM \"d.e\"")).unwrap());
    assert_eq!(asked.differs(&session.rows(&asked.sql).await), None, "{}", asked.sql);
}

/// Views upon views, rules and triggers that go round: the catalog is read, and what has no end is not understood.
#[tokio::test]
async fn views_without_end_and_rules_in_circles_are_not_understood() {
    let mut script = "CREATE TABLE t (id int); CREATE TABLE u (id int);
        CREATE RULE there AS ON DELETE TO t DO ALSO DELETE FROM u; CREATE RULE back AS ON DELETE TO u DO ALSO DELETE FROM t;
        CREATE FUNCTION again() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN UPDATE t SET id = id + 1; RETURN NEW; END';
        CREATE TRIGGER again AFTER UPDATE ON t FOR EACH ROW EXECUTE FUNCTION again();
        CREATE TABLE tree (id int PRIMARY KEY, parent int REFERENCES tree ON DELETE CASCADE);
        CREATE VIEW v0 AS SELECT * FROM t;"
        .to_owned();
    for number in 1..60 {
        script.push_str(&format!("CREATE VIEW v{number} AS SELECT a.id FROM v{} a;", number - 1));
    }
    let database = Database::new("circles", &script);
    let picture = fresh(&database.pictures().await).await;
    assert!(classify(&picture, &names(), "SELECT * FROM v10").is_parsed());
    assert!(!classify(&picture, &names(), "SELECT * FROM v59").is_parsed());
    let round = told(&classify(&picture, &names(), "DELETE FROM t"));
    assert_eq!(round, ["sql.delete public.t Catalog rules", "sql.delete public.u Catalog rules"]);
    assert_eq!(
        told(&classify(&picture, &names(), "UPDATE t SET id = 1")),
        ["sql.update public.t Catalog triggers"]
    );
    let tree = told(&classify(&picture, &names(), "DELETE FROM tree WHERE id = 1"));
    assert_eq!(tree, ["sql.delete public.tree Catalog"]);
}

/// Ten thousand tables, each with a key, a view and a comment: read once, probed cheaply, and free for each statement.
#[tokio::test]
async fn ten_thousand_tables_cost_nothing_for_each_statement() {
    let database = Database::new("many", "");
    for part in 0..10 {
        database.sql(&format!(
            "DO $$ BEGIN FOR n IN {}..{} LOOP
               EXECUTE format('CREATE TABLE t%s (id int, name text, note text DEFAULT now()::text)', n);
               EXECUTE format('COMMENT ON COLUMN t%s.name IS ''countersign: pii''', n);
               IF n % 10 = 0 THEN EXECUTE format('CREATE VIEW v%s AS SELECT name FROM t%s', n, n); END IF;
             END LOOP; END $$",
            part * 1_000,
            part * 1_000 + 999
        ));
    }
    let start = Instant::now();
    let pictures = Pictures::load(database.source(), Vec::new()).await.unwrap();
    let read = start.elapsed();
    let picture = fresh(&pictures).await;
    assert!(picture.relations() >= 11_000);
    let start = Instant::now();
    pictures.changed();
    assert_eq!(fresh(&pictures).await.generation(), picture.generation());
    let probed = start.elapsed();
    let start = Instant::now();
    for _ in 0..1_000 {
        assert!(picture.of_session(&names()).relation("public", "t7").is_some());
    }
    let session = start.elapsed();
    println!("read {read:?}, probe {probed:?}, a thousand sessions {session:?}");
    // A copy of the picture takes some milliseconds; a thousand took seconds.
    assert!(session < Duration::from_secs(1), "{session:?}");
    assert!(read < super::super::limits::READ_LIMIT);
    let found = told(&classify(&picture, &names(), "SELECT * FROM v9990"));
    assert_eq!(found, ["sql.select public.v9990 Catalog", "sql.select public.t9990 Catalog {\"pii\"}"]);
    let own = database.session().await.names().await;
    assert_eq!(own.role, "postgres");
    // A server with so many files takes long to end.
    drop(pictures);
    database.server.sql("postgres", "DROP DATABASE many WITH (FORCE)");
}
