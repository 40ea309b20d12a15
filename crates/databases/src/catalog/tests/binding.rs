//! What was reviewed is what runs: every change in between gives the session's answer other bytes.

use super::super::{Recheck, SessionNames, recheck, resolve};
use super::{Database, SHOP, Session, classify, fresh};

/// The question for a statement, as the session stands now.
async fn asked(database: &Database, session: &Session, text: &str) -> Recheck {
    let picture = fresh(&database.pictures().await).await;
    let names = session.names().await;
    recheck(&resolve(&picture, &names, &classify(&picture, &names, text)).unwrap())
}

async fn differs(session: &Session, recheck: &Recheck) -> Option<String> {
    recheck.differs(&session.rows(&recheck.sql).await)
}

/// Statements of every shape: each answers its own question, asked in a session with whatever search path.
const STATEMENTS: &[&str] = &[
    "SELECT 1",
    "SELECT id, upper(name) FROM customers WHERE id = 1 ORDER BY 1",
    "DELETE FROM customers WHERE id = 1",
    "UPDATE orders SET total = reckon(1) WHERE id === 1",
    "UPDATE notes SET text = 'x'",
    "INSERT INTO careful (id) VALUES (1)",
    "SELECT 'happy'::mood, 1::checked, 'x'::public.mood, '1'::regclass, plain(1)",
    "SELECT * FROM names_of_names, pg_class, information_schema.tables, months",
    "SELECT * FROM nothing, nowhere.nothing WHERE no_such(1) <==> 2",
    "DROP TABLE public.orders, notes",
    "CREATE TABLE fresh (id int)",
    "TRUNCATE months CASCADE",
];

#[tokio::test]
async fn nothing_changed_answers_the_same() {
    let database = Database::new("unchanged", SHOP);
    let session = database.session().await;
    for text in STATEMENTS {
        let asked = asked(&database, &session, text).await;
        assert_eq!(differs(&session, &asked).await, None, "{text}\n{}", asked.sql);
        session.run("BEGIN").await;
        assert_eq!(differs(&session, &asked).await, None, "{text}");
        session.run("COMMIT").await;
    }
}

/// A search path full of things that are named like PostgreSQL's own does not answer for them.
#[tokio::test]
async fn a_hostile_search_path_is_told_and_does_not_lie() {
    let database = Database::new("hostile_path", SHOP);
    database.sql(
        "CREATE SCHEMA evil;
         CREATE FUNCTION evil.sha256(text) RETURNS bytea LANGUAGE sql AS $$SELECT 'x'::bytea$$;
         CREATE FUNCTION evil.convert_to(text, text) RETURNS text LANGUAGE sql AS $$SELECT 'x'::text$$;
         CREATE FUNCTION evil.coalesce(text, text) RETURNS text LANGUAGE sql AS $$SELECT 'x'::text$$;
         CREATE FUNCTION evil.current_schemas(bool) RETURNS name[] LANGUAGE sql AS $$SELECT '{pg_catalog,public}'::name[]$$;
         CREATE FUNCTION evil.to_regclass(text) RETURNS oid LANGUAGE sql AS $$SELECT 1::oid$$;
         CREATE FUNCTION evil.eq(oid, oid) RETURNS bool LANGUAGE sql AS $$SELECT true$$;
         CREATE OPERATOR evil.= (LEFTARG = oid, RIGHTARG = oid, FUNCTION = evil.eq);
         CREATE TABLE evil.pg_proc (oid oid); CREATE TABLE evil.pg_class (oid oid); CREATE TABLE evil.pg_namespace (oid oid);
         CREATE DOMAIN evil.text AS int; CREATE DOMAIN evil.oid AS int; CREATE DOMAIN evil.name AS int;
         CREATE TABLE evil.customers (id int PRIMARY KEY);",
    );
    let session = database.session().await;
    let asked_for = asked(&database, &session, "DELETE FROM customers WHERE id = 1").await;
    session.run("SET search_path = evil, pg_catalog, public").await;
    assert_eq!(differs(&session, &asked_for).await.as_deref(), Some("the search path"));
    // Under that path the names mean the other table, and the same question for it holds.
    let names = session.names().await;
    assert_eq!(names.search_path, ["evil", "pg_catalog", "public"]);
    let evil = asked(&database, &session, "DELETE FROM customers WHERE id = 1").await;
    assert_ne!(evil.expected, asked_for.expected);
    assert_eq!(differs(&session, &evil).await, None, "{}", evil.sql);
    for text in STATEMENTS {
        let asked = asked(&database, &session, text).await;
        assert_eq!(differs(&session, &asked).await, None, "{text}\n{}", asked.sql);
    }
}

/// Each change after the review, and a statement that must not run any more because of it.
const CHANGES: &[(&str, &str)] = &[
    ("CREATE TEMP TABLE customers (id int)", "DELETE FROM customers WHERE id = 1"),
    ("SET search_path = public, pg_catalog", "DELETE FROM customers WHERE id = 1"),
    ("SET ROLE other", "DELETE FROM customers WHERE id = 1"),
    ("CREATE OR REPLACE FUNCTION reckon(int) RETURNS int LANGUAGE sql AS 'SELECT 2'", "SELECT reckon(1)"),
    ("ALTER FUNCTION reckon(int) SECURITY DEFINER", "SELECT reckon(1)"),
    ("ALTER FUNCTION reckon(int) SET search_path = evil", "SELECT reckon(1)"),
    ("ALTER FUNCTION reckon(int) OWNER TO other", "SELECT reckon(1)"),
    ("CREATE FUNCTION reckon(text) RETURNS int LANGUAGE sql AS 'SELECT 3'", "SELECT reckon(1)"),
    (
        "CREATE FUNCTION upper(varchar) RETURNS text LANGUAGE sql AS 'SELECT 1::text'",
        "SELECT upper(name) FROM customers",
    ),
    (
        "CREATE OPERATOR = (LEFTARG = int, RIGHTARG = text, FUNCTION = plainly)",
        "SELECT id FROM customers WHERE id = 1",
    ),
    (
        "CREATE OR REPLACE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
        "UPDATE orders SET total = 1",
    ),
    (
        "CREATE TRIGGER more AFTER DELETE ON customers FOR EACH ROW EXECUTE FUNCTION stamp()",
        "DELETE FROM customers WHERE id = 1",
    ),
    ("ALTER TABLE orders DISABLE TRIGGER stamp", "UPDATE orders SET total = 1"),
    (
        "CREATE TABLE more (id int REFERENCES customers ON DELETE CASCADE)",
        "DELETE FROM customers WHERE id = 1",
    ),
    (
        "CREATE OR REPLACE RULE sweep AS ON UPDATE TO notes DO INSTEAD DELETE FROM orders",
        "UPDATE notes SET text = 'x'",
    ),
    (
        "CREATE OR REPLACE VIEW names AS SELECT c.card::text AS name, upper(c.name) AS loud FROM customers c",
        "SELECT name FROM names",
    ),
    (
        "ALTER TABLE customers RENAME TO clients; CREATE TABLE customers (id int)",
        "DELETE FROM public.customers WHERE id = 1",
    ),
    ("ALTER TABLE notes ALTER COLUMN id SET DEFAULT reckon(1)", "INSERT INTO notes (text) VALUES ('x')"),
    (
        "CREATE OR REPLACE FUNCTION reckon(int) RETURNS int LANGUAGE sql AS 'SELECT 4'",
        "INSERT INTO careful DEFAULT VALUES",
    ),
    ("ALTER TABLE months ATTACH PARTITION months_3 FOR VALUES FROM (3) TO (4)", "DELETE FROM months"),
    ("CREATE POLICY own ON notes USING (reckon(1) = 1)", "DELETE FROM notes"),
    ("ALTER TABLE notes ENABLE ROW LEVEL SECURITY", "DELETE FROM notes"),
    ("ALTER DOMAIN checked ADD CHECK (VALUE > 7)", "SELECT 1::checked"),
    ("ALTER TYPE mood RENAME VALUE 'sad' TO 'glad'", "SELECT 'sad'::mood"),
    ("CREATE DOMAIN pg_temp.mood AS int CHECK (reckon(VALUE) = 1)", "SELECT 'happy'::mood"),
    ("CREATE TEMP TABLE regclass (id int)", "SELECT '1'::regclass"),
    ("CREATE TABLE nothing (id int)", "SELECT * FROM nothing"),
    ("CREATE EVENT TRIGGER watch ON ddl_command_start EXECUTE FUNCTION watches()", "DROP TABLE notes"),
    (
        "CREATE OR REPLACE FUNCTION grow(int, int) RETURNS int LANGUAGE sql AS 'SELECT 9'",
        "SELECT total(id) FROM notes",
    ),
];

#[tokio::test]
async fn every_change_after_the_review_is_found_in_the_transaction() {
    let database = Database::new("changed", SHOP);
    database.sql(
        "CREATE ROLE other; GRANT ALL ON SCHEMA public TO other; GRANT SELECT ON ALL TABLES IN SCHEMA public TO other;
         CREATE SCHEMA evil; CREATE TABLE months_3 (id int, month int);
         CREATE FUNCTION plainly(int, text) RETURNS bool LANGUAGE sql AS 'SELECT true';
         CREATE FUNCTION grow(int, int) RETURNS int LANGUAGE sql AS 'SELECT 1';
         CREATE AGGREGATE total(int) (SFUNC = grow, STYPE = int, INITCOND = 0);
         CREATE FUNCTION watches() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
         CREATE FUNCTION watched() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
         CREATE EVENT TRIGGER watched ON sql_drop EXECUTE FUNCTION watched();",
    );
    let session = database.session().await;
    for (change, text) in CHANGES {
        let asked = asked(&database, &session, text).await;
        assert_eq!(differs(&session, &asked).await, None, "{text}\n{}", asked.sql);
        session.run("BEGIN").await;
        session.run(change).await;
        let found = differs(&session, &asked).await;
        session.run("ROLLBACK; RESET ALL").await;
        assert!(found.is_some(), "{change}; {text}\n{}", asked.sql);
    }
}

/// What only looks different is not held against anybody.
#[tokio::test]
async fn what_changes_nothing_answers_the_same() {
    let database = Database::new("harmless", SHOP);
    let session = database.session().await;
    let text = "DELETE FROM customers WHERE id = 1 AND reckon(1) = 1";
    let asked = asked(&database, &session, text).await;
    for change in [
        "INSERT INTO customers VALUES (9, 'x')",
        "ANALYZE customers",
        "GRANT SELECT ON customers TO PUBLIC",
        "GRANT EXECUTE ON FUNCTION reckon(int) TO PUBLIC",
        "ALTER FUNCTION reckon(int) COST 7",
        "CREATE INDEX ON customers (name)",
        "CREATE TABLE other_customers (id int)",
        "SET extra_float_digits = 0; SET bytea_output = escape; SET DateStyle = 'German'; SET quote_all_identifiers = on",
    ] {
        session.run("BEGIN").await;
        session.run(change).await;
        assert_eq!(differs(&session, &asked).await, None, "{change}");
        session.run("ROLLBACK").await;
    }
}

/// The same statement has the same bytes in another session, or after a vacuum; with a temporary table it has not.
#[tokio::test]
async fn the_bytes_are_the_same_in_every_session() {
    let database = Database::new("bytes", SHOP);
    let (first, second) = (database.session().await, database.session().await);
    let pictures = database.pictures().await;
    let bytes = |names: SessionNames, text: &'static str| {
        let picture = pictures.current().unwrap();
        resolve(&picture, &names, &classify(&picture, &names, text)).unwrap().bytes().unwrap()
    };
    let text = "DELETE FROM customers WHERE id = 1";
    let expected = bytes(first.names().await, text);
    assert_eq!(bytes(second.names().await, text), expected);
    database.sql("VACUUM FULL");
    assert_eq!(bytes(second.names().await, text), expected);
    second.run("CREATE TEMP TABLE customers (id int)").await;
    assert_ne!(bytes(second.names().await, text), expected);
    insta::assert_snapshot!(shape(&String::from_utf8(expected).unwrap()));
}

/// Ids and hashes are the server's; the shape is ours.
fn shape(record: &str) -> String {
    let mut shape = String::new();
    for word in record.split_inclusive(|c: char| !c.is_ascii_alphanumeric()) {
        let (body, end) =
            word.split_at(word.len() - word.ends_with(|c: char| !c.is_ascii_alphanumeric()) as usize);
        let number = body.len() > 3 && body.bytes().all(|byte| byte.is_ascii_digit());
        let hash = body.len() == 64 && body.bytes().all(|byte| byte.is_ascii_hexdigit());
        shape.push_str(if number {
            "OID"
        } else if hash {
            "HASH"
        } else {
            body
        });
        shape.push_str(end);
    }
    shape
}

#[tokio::test]
async fn a_session_s_own_tables_are_told_and_bound() {
    let database = Database::new("temporary", SHOP);
    let session = database.session().await;
    session
        .run(
            "CREATE TEMP TABLE own (id int); CREATE TEMP VIEW seen AS SELECT * FROM customers;
             CREATE TEMP TABLE fires (id int);
             CREATE TRIGGER t BEFORE INSERT ON fires FOR EACH ROW EXECUTE FUNCTION stamp();
             CREATE DOMAIN pg_temp.odd AS int;",
        )
        .await;
    let picture = fresh(&database.pictures().await).await;
    let names = session.names().await;
    let own = names.temporary.clone().unwrap();
    assert!(own.schema.starts_with("pg_temp_"), "{}", own.schema);
    let told = |text: &str| super::told(&classify(&picture, &names, text));
    assert_eq!(told("INSERT INTO own VALUES (1)"), ["sql.insert pg_temp.own Temporary"]);
    assert_eq!(told("INSERT INTO fires VALUES (1)"), ["sql.insert pg_temp.fires Temporary triggers"]);
    // What a temporary view reads was not read, and is therefore not understood.
    assert!(told("SELECT * FROM seen").iter().any(|line| line.starts_with("OPAQUE")));
    assert!(told("SELECT 1::odd").iter().any(|line| line.starts_with("sql.call")));
    let asked = asked(&database, &session, "INSERT INTO own VALUES (1)").await;
    assert_eq!(differs(&session, &asked).await, None);
    session.run("BEGIN; ALTER TABLE own ADD COLUMN more text DEFAULT now()::text").await;
    assert!(differs(&session, &asked).await.is_some());
}
