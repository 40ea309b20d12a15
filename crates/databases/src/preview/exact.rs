//! An exact preview: the statement is run in a transaction that is always rolled back, under limits of time, and counted.

use std::collections::BTreeSet;

use mask::Masker;
use serde::Serialize;
use tokio_postgres::{Client, SimpleQueryMessage};

use super::limits::{
    EXACT_LIMIT, LOCK_LIMIT, SAMPLE_COLUMNS_LIMIT, SAMPLE_ROWS_LIMIT, SAMPLE_TABLES_LIMIT,
    VALUE_LIMIT_CHARACTERS,
};
use super::{Asked, Known, ask, safe};
use crate::catalog::{CatalogError, Source, identifier};

/// What a statement did before it was rolled back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Exact {
    /// The rows of its command tag: those that it says it wrote, or returned.
    pub rows: u64,
    /// The tables that it changed, those that it reached by foreign keys and rules too.
    pub tables: Vec<Changed>,
    /// Why the tables were not counted; nothing where they were.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uncounted: Option<String>,
}

/// What was changed in one table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Changed {
    /// The table, with its schema.
    pub table: String,
    /// How many rows were added.
    pub inserted: u64,
    /// How many were changed.
    pub updated: u64,
    /// How many were removed.
    pub deleted: u64,
    /// Some rows as they are: columns and values, masked. In the order of the primary key where the table has one.
    pub before: Vec<Vec<(String, String)>>,
    /// Some rows as they would be. With a primary key that stays as it is, the same as in `before`.
    pub after: Vec<Vec<(String, String)>>,
}

pub(super) async fn exact(source: &Source, asked: &Asked<'_>, masker: &Masker) -> Known<Exact> {
    if let Some(why) = safe::not_run(asked) {
        return Known::Not(why);
    }
    match run(source, asked, masker).await {
        Ok(known) => known,
        Err(error) => Known::Not(error.to_string()),
    }
}

/// Whatever ends this before its end ends the connection, and the server rolls back.
async fn run(source: &Source, asked: &Asked<'_>, masker: &Masker) -> Result<Known<Exact>, CatalogError> {
    let asker = source.connect(EXACT_LIMIT, LOCK_LIMIT).await?;
    let client = &asker.client;
    const STATE: &str = "SELECT pg_is_in_recovery(), current_setting('track_counts')::bool";
    let state = client.query_one(STATE, &[]).await?;
    if state.try_get(0)? {
        return Ok(Known::Not("the copy is a standby, which takes no writes".to_owned()));
    }
    let counts: bool = state.try_get(1)?;
    ask::begin(client, source, asked, EXACT_LIMIT, false).await?;
    let statement = match ask::prepare(client, asked.text, asked).await? {
        Ok(statement) => statement,
        Err(why) => return Ok(Known::Not(why)),
    };
    let values = ask::values(asked.bind);
    let rows = client.execute_raw(&statement, &values).await?;
    // What is checked at the end is checked now.
    client.batch_execute("SET CONSTRAINTS ALL IMMEDIATE; SET LOCAL search_path = ''").await?;
    let mut exact = Exact { rows, tables: Vec::new(), uncounted: None };
    if counts {
        exact.tables = counted(client).await?;
        samples(source, client, asked, masker, &mut exact.tables).await;
    } else {
        exact.uncounted = Some("the server counts no rows (track_counts is off)".to_owned());
    }
    client.batch_execute("ROLLBACK").await?;
    Ok(Known::Is(exact))
}

async fn counted(client: &Client) -> Result<Vec<Changed>, CatalogError> {
    const COUNTS: &str = "SELECT schemaname::text, relname::text, n_tup_ins, n_tup_upd, n_tup_del
         FROM pg_stat_xact_user_tables WHERE n_tup_ins + n_tup_upd + n_tup_del > 0 ORDER BY 1, 2";
    let count = |number: i64| u64::try_from(number).unwrap_or_default();
    let mut all = Vec::new();
    for row in client.query(COUNTS, &[]).await? {
        let (schema, name): (String, String) = (row.try_get(0)?, row.try_get(1)?);
        all.push(Changed {
            table: format!("{}.{}", identifier(&schema), identifier(&name)),
            inserted: count(row.try_get(2)?),
            updated: count(row.try_get(3)?),
            deleted: count(row.try_get(4)?),
            before: Vec::new(),
            after: Vec::new(),
        });
    }
    Ok(all)
}

/// Some rows of each table, as they are and as they would be. What cannot be read within the limits is left out.
///
/// The old versions are seen by another connection, to which the transaction that has not ended is not visible: they bear
/// its number as `xmax`. The new ones bear it as `xmin`, and are seen by its own.
async fn samples(
    source: &Source,
    client: &Client,
    asked: &Asked<'_>,
    masker: &Masker,
    tables: &mut [Changed],
) {
    const NUMBER: &str = "SELECT pg_current_xact_id()::xid::text";
    let Some(number) =
        client.query_one(NUMBER, &[]).await.ok().and_then(|row| row.try_get::<_, String>(0).ok())
    else {
        return;
    };
    let Ok(other) = source.connect(EXACT_LIMIT, LOCK_LIMIT).await else { return };
    if ask::begin(&other.client, source, asked, EXACT_LIMIT, true).await.is_err()
        || other.client.batch_execute("SET LOCAL search_path = ''").await.is_err()
    {
        return;
    }
    for changed in tables.iter_mut().take(SAMPLE_TABLES_LIMIT) {
        let order = order(&other.client, &changed.table).await;
        let text = |version: &str| {
            format!(
                "SELECT * FROM ONLY {} WHERE {version} = '{number}'::xid ORDER BY {order} LIMIT {SAMPLE_ROWS_LIMIT}",
                changed.table
            )
        };
        let (before, after) = (text("xmax"), text("xmin"));
        let hidden = hidden(asked, &changed.table);
        if changed.deleted + changed.updated > 0 {
            changed.before = sample(&other.client, &before, &hidden, masker).await;
        }
        if changed.inserted + changed.updated > 0 {
            changed.after = sample(client, &after, &hidden, masker).await;
        }
    }
}

/// The columns of the primary key, or the place in the table.
async fn order(client: &Client, table: &str) -> String {
    const KEY: &str = "SELECT a.attname::text FROM pg_index i CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k
          (number, place) JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number
         WHERE i.indrelid = $1::text::regclass AND i.indisprimary ORDER BY k.place";
    let rows = client.query(KEY, &[&table]).await.unwrap_or_default();
    let columns: Vec<String> =
        rows.iter().filter_map(|row| row.try_get(0).ok()).map(|name: String| identifier(&name)).collect();
    if columns.is_empty() { "ctid".to_owned() } else { columns.join(", ") }
}

/// The columns of a table whose values are never shown.
fn hidden(asked: &Asked<'_>, table: &str) -> BTreeSet<String> {
    let found =
        asked.picture.objects.all().find(|relation| {
            format!("{}.{}", identifier(&relation.schema), identifier(&relation.name)) == table
        });
    let columns = found.map(|relation| relation.columns.as_slice()).unwrap_or_default();
    columns.iter().filter(|column| !column.classes.is_empty()).map(|column| column.name.clone()).collect()
}

async fn sample(
    client: &Client,
    text: &str,
    hidden: &BTreeSet<String>,
    masker: &Masker,
) -> Vec<Vec<(String, String)>> {
    let answer = client.simple_query(text).await.unwrap_or_default();
    let row = |message: SimpleQueryMessage| {
        let SimpleQueryMessage::Row(row) = message else { return None };
        let columns = row.columns().iter().enumerate().take(SAMPLE_COLUMNS_LIMIT);
        let shown = columns.map(|(place, column)| {
            let value = row.try_get(place).ok().flatten();
            (column.name().to_owned(), shown(column.name(), value, hidden, masker))
        });
        Some(shown.collect())
    };
    answer.into_iter().filter_map(row).collect()
}

/// A value as it is shown: masked first, and cut then.
fn shown(column: &str, value: Option<&str>, hidden: &BTreeSet<String>, masker: &Masker) -> String {
    let Some(value) = value else { return "NULL".to_owned() };
    if hidden.contains(column) {
        return "[masked: by the column's class]".to_owned();
    }
    let masked = masker.mask(Some(column), value.as_bytes()).to_string();
    let mut characters = masked.chars();
    let cut: String = characters.by_ref().take(VALUE_LIMIT_CHARACTERS).collect();
    if characters.next().is_some() { format!("{cut}…") } else { cut }
}
