//! Plans, sizes, and what fires.

use postgres::parse::Format;

use super::super::plan::read;
use super::super::{Exactly, Known, Preview, Undo};
use super::{STOCKED, bound, previewed, values};
use crate::catalog::tests::{Database, SHOP};

fn not(preview: &Preview) -> &str {
    match &preview.plan {
        Known::Not(why) => why,
        Known::Is(plan) => panic!("it was planned: {plan:?}"),
    }
}

fn rows(preview: &Preview) -> u64 {
    match &preview.plan {
        Known::Is(plan) => plan.rows,
        Known::Not(why) => panic!("{why}"),
    }
}

#[tokio::test]
async fn rows_sizes_and_cascades_are_told() {
    let database = Database::new("planned", STOCKED);
    let preview = previewed(&database, "DELETE FROM customers WHERE id < 4", Exactly::Never).await;
    // It is an estimate, from a sample of the rows.
    assert!((2..=4).contains(&rows(&preview)), "{}", rows(&preview));
    assert_eq!(preview.undo, Undo::Backup);
    assert_eq!(preview.exact, None);
    let tables: Vec<_> = preview.tables.iter().map(|one| (one.table.as_str(), one.rows)).collect();
    assert_eq!(
        tables,
        [("public.customers", Some(20)), ("public.orders", Some(100)), ("public.lines", Some(100))]
    );
    assert!(preview.tables.iter().all(|one| one.bytes.is_some_and(|bytes| bytes >= 8192)));
    let estimate = format!("about {} rows", rows(&preview));
    let lines: Vec<String> = preview
        .lines()
        .into_iter()
        .filter(|line| !line.starts_with("public."))
        .map(|line| line.replace(&estimate, "about N rows"))
        .collect();
    assert_eq!(
        lines,
        [
            "It cannot be undone: what was there comes back only from a backup.",
            "The server expects about N rows, cascades not counted.",
            "A foreign key to orders reaches public.lines.",
            "A foreign key to customers reaches public.orders.",
            "  Delete on customers",
            "    Seq Scan on customers, about N rows",
        ]
    );
    let view = previewed(&database, "SELECT * FROM totals", Exactly::Never).await;
    assert_eq!((rows(&view), view.undo), (20, Undo::Nothing));
    let through: Vec<_> = view.tables.iter().flat_map(|one| &one.through).collect();
    assert_eq!(through, ["the view totals"]);
    // A rule makes two statements of one.
    let rule = previewed(&database, "DELETE FROM plain", Exactly::Never).await;
    assert_eq!(rule.fires.iter().map(|one| one.kind).collect::<Vec<_>>(), ["rule"]);
    assert!(rows(&rule) >= 7);
}

#[tokio::test]
async fn values_are_those_that_the_client_bound() {
    const INT4: u32 = 23;
    let database = Database::new("valued", STOCKED);
    let text = "DELETE FROM orders WHERE id <= $1";
    for (many, types) in [("10", &[INT4][..]), ("90", &[0]), ("50", &[])] {
        let bind = values(&[many], Format::Text);
        let preview = bound(&database, text, types, Some(&bind), Exactly::Never).await;
        assert!(rows(&preview).abs_diff(many.parse().unwrap()) <= 2, "{many}: {}", rows(&preview));
    }
    let four = String::from_utf8(vec![0, 0, 0, 4]).unwrap();
    let bind = values(&[&four], Format::Binary);
    assert!(rows(&bound(&database, text, &[INT4], Some(&bind), Exactly::Never).await) <= 6);
    // Dates are read as the session reads them: the third of February.
    let bind = values(&["3.2.2001"], Format::Text);
    let preview =
        bound(&database, "DELETE FROM born WHERE day = $1", &[], Some(&bind), Exactly::Primary).await;
    assert!(matches!(&preview.exact, Some(Known::Is(exact)) if exact.rows == 1), "{:?}", preview.exact);
    assert_eq!(not(&previewed(&database, text, Exactly::Never).await), "its values are not known yet");
    let bind = values(&["1", "2"], Format::Text);
    assert!(not(&bound(&database, text, &[], Some(&bind), Exactly::Never).await).contains("takes 1 values"));
    let bind = values(&["no number"], Format::Text);
    assert!(not(&bound(&database, text, &[], Some(&bind), Exactly::Never).await).contains("22P02"));
}

/// A table that takes notes of whoever evaluates what calls itself immutable.
const TRAPS: &str = "
CREATE TABLE tracks (at timestamptz DEFAULT now());
CREATE FUNCTION trap(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN PERFORM nextval(''steps''); RETURN 1; END';
CREATE SEQUENCE steps;
CREATE TABLE t (id int, what int);
CREATE VIEW looks AS SELECT * FROM t WHERE id = trap(1);
CREATE TABLE defaulted (id int, what int DEFAULT trap(1));
CREATE TABLE checked (id int, CHECK (id > trap(1)));
CREATE TABLE indexed (id int); CREATE INDEX ON indexed (id) WHERE id > trap(1);
CREATE TABLE policed (id int); CREATE POLICY p ON policed USING (id = trap(1)); ALTER TABLE policed ENABLE ROW LEVEL SECURITY;
ALTER TABLE policed FORCE ROW LEVEL SECURITY;
CREATE DOMAIN odd AS int CHECK (trap(VALUE) = 1);
CREATE TABLE typed (id odd);
CREATE TABLE ruled (id int); CREATE RULE r AS ON DELETE TO ruled DO ALSO DELETE FROM t WHERE id = trap(1);
CREATE OPERATOR === (LEFTARG = int, RIGHTARG = int, FUNCTION = trapped);
CREATE TABLE parted (id int) PARTITION BY LIST (id); CREATE TABLE parted_1 PARTITION OF parted (CHECK (id > trap(1))) FOR VALUES IN (1);
";

/// Whatever would evaluate a function of the database's own is not planned, and nothing of it has run.
#[tokio::test]
async fn nothing_is_planned_that_could_run_somebodys_code() {
    let script = TRAPS.replace(
        "CREATE SEQUENCE steps;",
        "CREATE SEQUENCE steps; CREATE FUNCTION trapped(int, int) RETURNS bool LANGUAGE plpgsql IMMUTABLE
         AS 'BEGIN PERFORM nextval(''steps''); RETURN true; END';",
    );
    let database = Database::new("traps", &script);
    // Reading a table's definition runs nothing, and neither did making it, but once for a partial index.
    let before = database.sql("SELECT last_value, is_called FROM steps");
    for text in [
        "SELECT trap(1)",
        "DELETE FROM t WHERE id = trap(1)",
        "SELECT * FROM looks",
        "INSERT INTO defaulted (id) VALUES (1)",
        "SELECT * FROM checked WHERE id = 1",
        "SELECT * FROM indexed WHERE id = 1",
        "SELECT * FROM policed",
        "DELETE FROM typed",
        "INSERT INTO typed VALUES (1)",
        "DELETE FROM ruled",
        "DELETE FROM t WHERE id === 1",
        "SELECT 1::odd",
        "DELETE FROM parted",
        "EXPLAIN ANALYZE DELETE FROM t",
        "DO 'BEGIN PERFORM trap(1); END'",
        "CALL nothing()",
        "SELECT nextval('steps')",
        "COPY t TO STDOUT",
        "VACUUM t",
        "DROP TABLE t",
        "SELEKT",
    ] {
        let preview = previewed(&database, text, Exactly::Primary).await;
        assert!(!not(&preview).is_empty(), "{text}");
        assert!(matches!(preview.exact, Some(Known::Not(_))), "{text}: {:?}", preview.exact);
    }
    // A value that the server would read as the domain.
    let bind = values(&["1"], Format::Text);
    let preview =
        bound(&database, "SELECT * FROM t WHERE id = $1::odd", &[], Some(&bind), Exactly::Primary).await;
    assert!(!not(&preview).is_empty());
    assert_eq!(database.sql("SELECT last_value, is_called FROM steps"), before);
    assert!(matches!(
        previewed(&database, "DELETE FROM t WHERE id = 1", Exactly::Never).await.plan,
        Known::Is(_)
    ));
}

#[tokio::test]
async fn a_lock_or_a_missing_server_is_told_in_time() {
    let database = Database::new("locked", STOCKED);
    let blocker = database.session().await;
    let picture = crate::catalog::tests::fresh(&database.pictures().await).await;
    let names = database.session().await.names().await;
    blocker.run("BEGIN; LOCK TABLE plain IN ACCESS EXCLUSIVE MODE").await;
    let text = "DELETE FROM plain WHERE id = 1";
    let statement = crate::catalog::tests::classify(&picture, &names, text);
    let settings = crate::catalog::tests::no_settings();
    let asked = super::Asked {
        picture: &picture,
        names: &names,
        statement: &statement,
        text,
        types: &[],
        bind: None,
        settings: &settings,
    };
    let start = std::time::Instant::now();
    let preview =
        super::preview(&database.source(), &asked, Exactly::Primary, &mask::Masker::default()).await;
    assert!(start.elapsed() < std::time::Duration::from_secs(10));
    assert!(not(&preview).contains("55P03"), "{}", not(&preview));
    // What is known without the database is told all the same.
    assert_eq!(preview.tables.first().map(|one| one.table.as_str()), Some("public.plain"));
    assert_eq!(preview.undo, Undo::Backup);
    let gone = Database { server: std::sync::Arc::clone(&database.server), name: "no_such_database" };
    let preview = super::preview(&gone.source(), &asked, Exactly::Never, &mask::Masker::default()).await;
    assert!(not(&preview).contains("no_such_database"), "{}", not(&preview));
}

#[tokio::test]
async fn what_can_be_undone_is_told_of_every_kind() {
    let database = Database::new("undone", SHOP);
    for (text, expected) in [
        ("SELECT 1", Undo::Nothing),
        ("COPY orders TO STDOUT", Undo::Nothing),
        ("VACUUM orders", Undo::Nothing),
        ("INSERT INTO gone VALUES (1)", Undo::Statement),
        ("CREATE TABLE fresh (id int)", Undo::Statement),
        ("GRANT SELECT ON orders TO PUBLIC", Undo::Statement),
        ("DELETE FROM gone", Undo::Backup),
        ("TRUNCATE gone", Undo::Backup),
        ("DROP TABLE gone", Undo::Backup),
        ("COPY orders TO PROGRAM 'cat'", Undo::Outside),
        ("NOTIFY news", Undo::Outside),
        ("UPDATE orders SET total = 1", Undo::Unknown),
        ("SELECT reckon(1)", Undo::Unknown),
        ("DO 'x'", Undo::Unknown),
    ] {
        let preview = previewed(&database, text, Exactly::Never).await;
        assert_eq!(preview.undo, expected, "{text}");
    }
    let preview = previewed(&database, "UPDATE orders SET total = 1", Exactly::Never).await;
    let fires: Vec<_> =
        preview.fires.iter().map(|one| (one.kind, one.name.as_str(), one.runs.as_str())).collect();
    assert_eq!(fires, [("trigger", "stamp", "public.stamp")]);
}

#[test]
fn a_plan_that_does_not_read_is_none() {
    for bytes in [
        &b""[..],
        b"{}",
        b"[{\"Plan\": {}}]",
        b"[{\"Plan\": {\"Plan Rows\": -1, \"Total Cost\": 1}}]",
        b"[1",
        b"null",
    ] {
        assert!(read(bytes).is_none(), "{}", String::from_utf8_lossy(bytes));
    }
    let none = read(b"[\"Utility Statement\"]").map(|plan| plan.rows);
    assert_eq!(none, Some(0));
    let huge =
        read(b"[{\"Plan\": {\"Node Type\": \"Scan\", \"Plan Rows\": 1e300, \"Total Cost\": 1.5}}]").unwrap();
    assert_eq!((huge.rows, huge.cost), (u64::MAX, 2));
}
