//! A picture is of now, or it is none.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::super::limits::{AGE_LIMIT, PROBE_EVERY};
use super::super::{Pictures, SessionNames};
use super::{Database, SHOP, classify, fresh, told};

const PATIENCE: Duration = Duration::from_secs(20);

fn names() -> SessionNames {
    let search_path = ["pg_catalog", "public"].map(str::to_owned).into();
    SessionNames { search_path, role: "postgres".to_owned(), ..SessionNames::default() }
}

/// Every change of a definition is seen by the probe; each is told of at once, so that nobody waits for its turn.
#[tokio::test]
async fn every_kind_of_change_gives_another_picture() {
    let database = Database::new("changes", SHOP);
    let pictures = database.pictures().await;
    let mut generation = fresh(&pictures).await.generation();
    for change in [
        "CREATE TABLE fresh (id int)",
        "ALTER TABLE fresh ADD COLUMN name text",
        "ALTER TABLE fresh RENAME COLUMN name TO title",
        "ALTER TABLE fresh ALTER COLUMN title SET DEFAULT 'x'",
        "COMMENT ON COLUMN fresh.title IS 'countersign: pii'",
        "CREATE OR REPLACE FUNCTION reckon(int) RETURNS int LANGUAGE sql AS 'SELECT 2'",
        "COMMENT ON FUNCTION reckon(int) IS 'countersign: trusted'",
        "CREATE TRIGGER extra AFTER DELETE ON orders FOR EACH ROW EXECUTE FUNCTION stamp()",
        "ALTER TABLE orders DISABLE TRIGGER extra",
        "CREATE OR REPLACE VIEW names AS SELECT c.name, lower(c.name) AS loud FROM customers c",
        "CREATE OR REPLACE RULE sweep AS ON UPDATE TO notes DO INSTEAD NOTHING",
        "ALTER TABLE notes ADD CONSTRAINT few CHECK (id < 10)",
        "ALTER TABLE months DETACH PARTITION months_2",
        "ALTER TYPE mood ADD VALUE 'mild'",
        "CREATE POLICY own ON notes USING (id = 1)",
        "ALTER TABLE notes ENABLE ROW LEVEL SECURITY",
        "CREATE OPERATOR <=== (LEFTARG = int, RIGHTARG = int, FUNCTION = int4le)",
        "ALTER SCHEMA public RENAME TO shop",
        "DROP TABLE shop.gone CASCADE",
    ] {
        database.sql(change);
        pictures.changed();
        let picture = fresh(&pictures).await;
        assert!(picture.generation() > generation, "{change}");
        generation = picture.generation();
    }
    // What changes no definition leaves the picture as it is.
    for same in [
        "INSERT INTO shop.customers VALUES (1, 'x')",
        "ANALYZE",
        "CREATE TEMP TABLE own (id int)",
        "VACUUM shop.customers",
    ] {
        database.sql(same);
        pictures.changed();
        assert_eq!(fresh(&pictures).await.generation(), generation, "{same}");
    }
}

#[tokio::test]
async fn a_change_that_nobody_tells_of_is_seen_by_the_probe() {
    let database = Database::new("probed", SHOP);
    let pictures = database.pictures().await;
    let first = fresh(&pictures).await;
    database.sql("CREATE RULE all_gone AS ON INSERT TO notes DO ALSO DELETE FROM orders");
    let end = Instant::now() + PROBE_EVERY + PATIENCE;
    let picture = loop {
        let picture = fresh(&pictures).await;
        if picture.generation() > first.generation() {
            break picture;
        }
        assert!(Instant::now() < end, "the change was never seen");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    let found = told(&classify(&picture, &names(), "INSERT INTO notes VALUES (1)"));
    assert!(found.iter().any(|atom| atom.starts_with("sql.delete public.orders")), "{found:?}");
}

#[tokio::test]
async fn what_was_told_of_leaves_no_picture_until_it_is_read() {
    let database = Database::new("told", "");
    let pictures = database.pictures().await;
    assert!(pictures.current().is_some());
    pictures.changed();
    // No other task has run since.
    assert!(pictures.current().is_none());
    assert!(pictures.health().generation.is_none());
    assert!(pictures.fresh(PATIENCE).await.is_some());
}

#[tokio::test]
async fn a_picture_is_not_believed_for_ever() {
    let database = Database::new("aged", "");
    let pictures = database.pictures().await;
    // No connection may be made any more, and the one that is there ends.
    database.server.sql("postgres", "ALTER DATABASE aged ALLOW_CONNECTIONS false");
    database.server.sql(
        "postgres",
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'aged' AND application_name = 'countersign'",
    );
    pictures.changed();
    assert!(pictures.fresh(Duration::from_secs(2)).await.is_none());
    assert!(pictures.health().failure.is_some());
    assert!(AGE_LIMIT > PROBE_EVERY * 2);
    database.server.sql("postgres", "ALTER DATABASE aged ALLOW_CONNECTIONS true");
    assert!(pictures.fresh(PATIENCE).await.is_some());
    assert!(pictures.health().failure.is_none());
}

#[tokio::test]
async fn a_database_that_is_not_there_has_no_picture() {
    let database = Database { server: super::server(), name: "never_made" };
    let failed = Pictures::load(database.source(), Vec::new()).await.unwrap_err().to_string();
    assert!(failed.contains("never_made"), "{failed}");
}

#[tokio::test]
async fn sessions_share_one_picture() {
    let database = Database::new("shared_picture", SHOP);
    let pictures = database.pictures().await;
    let picture = fresh(&pictures).await;
    let before = Arc::strong_count(&picture.objects);
    let catalogs: Vec<_> = (0..100).map(|_| picture.of_session(&names())).collect();
    assert_eq!(Arc::strong_count(&picture.objects), before + 100);
    assert!(catalogs.iter().all(|catalog| catalog.relation("public", "orders").is_some()));
    // A transaction that changed definitions sees what nobody else does: no name is found.
    let changed = picture.of_session(&SessionNames { changed: true, ..names() });
    assert!(changed.relation("public", "orders").is_none());
    let blind = classify(&picture, &SessionNames { changed: true, ..names() }, "SELECT now() FROM orders");
    assert!(told(&blind).iter().all(|atom| atom.contains("Nowhere")), "{:?}", told(&blind));
}
