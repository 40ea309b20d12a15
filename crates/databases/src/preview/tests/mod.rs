//! What a reviewer is told, against a real PostgreSQL; and that telling it changes nothing.

mod plans;
mod trials;

use std::collections::BTreeMap;

use bytes::Bytes;
use mask::Masker;
use postgres::parse::{Bind, Format, Text};

use super::{Asked, Exactly, Preview, preview};
use crate::catalog::tests::{Database, classify, fresh};

/// The preview of a statement without values.
async fn previewed(database: &Database, text: &str, exactly: Exactly<'_>) -> Preview {
    bound(database, text, &[], None, exactly).await
}

async fn bound(
    database: &Database,
    text: &str,
    types: &[u32],
    bind: Option<&Bind>,
    exactly: Exactly<'_>,
) -> Preview {
    let picture = fresh(&database.pictures().await).await;
    let names = database.session().await.names().await;
    let statement = classify(&picture, &names, text);
    let settings = BTreeMap::from([("DateStyle".to_owned(), "German, DMY".to_owned())]);
    let asked = Asked {
        picture: &picture,
        names: &names,
        statement: &statement,
        text,
        types,
        bind,
        settings: &settings,
    };
    preview(&database.source(), &asked, exactly, &Masker::default()).await
}

fn values(values: &[&str], format: Format) -> Bind {
    let name = || Text::read(Bytes::new()).unwrap();
    Bind {
        portal: name(),
        statement: name(),
        formats: vec![format],
        values: values.iter().map(|value| Some(Bytes::copy_from_slice(value.as_bytes()))).collect(),
        results: Vec::new(),
    }
}

/// A shop with rows in it.
const STOCKED: &str = "
CREATE TABLE customers (id int PRIMARY KEY, name text, note text);
COMMENT ON COLUMN customers.name IS 'countersign: pii';
CREATE TABLE orders (id int PRIMARY KEY, customer int REFERENCES customers ON DELETE CASCADE, total int);
CREATE TABLE lines (id serial PRIMARY KEY, number int REFERENCES orders ON DELETE CASCADE);
CREATE TABLE plain (id int, word text);
CREATE TABLE born (day date);
CREATE VIEW totals AS SELECT customer, sum(total) AS sum FROM orders GROUP BY customer;
CREATE RULE sweep AS ON DELETE TO plain DO ALSO DELETE FROM born;
INSERT INTO customers SELECT n, 'Ms ' || n, CASE WHEN n = 2 THEN 'write to ada@example.org' ELSE repeat('x', 200) END FROM generate_series(1, 20) n;
INSERT INTO orders SELECT n, (n - 1) % 20 + 1, n FROM generate_series(1, 100) n;
INSERT INTO lines (number) SELECT n FROM generate_series(1, 100) n;
INSERT INTO plain SELECT n, 'w' || n FROM generate_series(1, 7) n;
INSERT INTO born VALUES ('2001-02-03'), ('2001-03-02');
ANALYZE;";

/// Everything that the database holds, so that a preview is seen to leave all of it.
fn contents(database: &Database) -> String {
    database.sql(
        "SELECT string_agg(line, ',') FROM (SELECT 'c' || c::text AS line FROM customers c UNION ALL SELECT 'o' || o::text
           FROM orders o UNION ALL SELECT 'l' || l::text FROM lines l UNION ALL SELECT 'p' || p::text FROM plain p
           UNION ALL SELECT 'b' || b::text FROM born b UNION ALL SELECT 's' || last_value FROM lines_id_seq ORDER BY 1) x",
    )
}
