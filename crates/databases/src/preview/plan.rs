//! The server's own plan, and how large the tables are.

use std::fmt::Write as _;

use serde::Serialize;
use serde_json::Value;

use super::facts::Touched;
use super::limits::{LOCK_LIMIT, PLAN_LIMIT, PLAN_LIMIT_BYTES, STEPS_LIMIT};
use super::{Asked, Known, ask, safe};
use crate::catalog::{CatalogError, Source};

/// What the server's planner says. It estimates: cascades and triggers are not in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// How many rows it expects to read out or to write.
    pub rows: u64,
    /// Its cost, in the planner's units.
    pub cost: u64,
    /// Its steps, each indented by its depth.
    pub steps: Vec<String>,
}

/// Sizes of the tables, and the plan where it is safe to make one.
pub(super) async fn plan(source: &Source, asked: &Asked<'_>, tables: &mut [Touched]) -> Known<Plan> {
    match asking(source, asked, tables).await {
        Ok(known) => known,
        Err(error) => Known::Not(error.to_string()),
    }
}

async fn asking(
    source: &Source,
    asked: &Asked<'_>,
    tables: &mut [Touched],
) -> Result<Known<Plan>, CatalogError> {
    let asker = source.connect(PLAN_LIMIT, LOCK_LIMIT).await?;
    let client = &asker.client;
    sizes(client, tables).await?;
    if let Some(why) = safe::not_planned(asked) {
        return Ok(Known::Not(why));
    }
    ask::begin(client, source, asked, PLAN_LIMIT, true).await?;
    let text = format!("EXPLAIN (FORMAT JSON, COSTS) {}", asked.text);
    let statement = match ask::prepare(client, &text, asked).await? {
        Ok(statement) => statement,
        Err(why) => return Ok(Known::Not(why)),
    };
    let values = ask::values(asked.bind);
    let parameters: Vec<&(dyn tokio_postgres::types::ToSql + Sync)> =
        values.iter().map(|value| value as _).collect();
    let rows = client.query(&statement, &parameters).await?;
    let answer = rows.first().map(|row| row.try_get::<_, ask::Answer<'_>>(0)).transpose()?;
    let bytes = answer.map(|answer| answer.0).unwrap_or_default();
    let read = read(bytes);
    client.batch_execute("ROLLBACK").await?;
    Ok(read.map_or_else(|| Known::Not("the server's plan does not read".to_owned()), Known::Is))
}

async fn sizes(client: &tokio_postgres::Client, tables: &mut [Touched]) -> Result<(), CatalogError> {
    const SIZES: &str = "
        SELECT c.oid, pg_total_relation_size(c.oid),
               CASE WHEN c.relkind IN ('r', 'm', 'p', 'f') THEN coalesce(nullif(s.n_live_tup, 0), c.reltuples::int8) END
          FROM pg_class c LEFT JOIN pg_stat_all_tables s ON s.relid = c.oid
         WHERE c.oid = ANY ($1) AND c.relkind IN ('r', 'p', 'm', 'f', 't', 'i')";
    let oids: Vec<u32> = tables.iter().filter_map(|touched| touched.oid).collect();
    for row in client.query(SIZES, &[&oids]).await? {
        let (oid, bytes): (u32, Option<i64>) = (row.try_get(0)?, row.try_get(1)?);
        let rows: Option<i64> = row.try_get(2)?;
        for touched in tables.iter_mut().filter(|touched| touched.oid == Some(oid)) {
            touched.bytes = bytes.and_then(|bytes| u64::try_from(bytes).ok());
            // A table that was never analysed says -1.
            touched.rows = rows.and_then(|rows| u64::try_from(rows).ok());
        }
    }
    Ok(())
}

/// Reads `EXPLAIN (FORMAT JSON)`. A rule may make several statements of one.
pub(super) fn read(bytes: &[u8]) -> Option<Plan> {
    if bytes.len() > PLAN_LIMIT_BYTES {
        return None;
    }
    let all = domain::canonical::read_foreign(bytes).ok()?;
    let mut plan = Plan { rows: 0, cost: 0, steps: Vec::new() };
    for one in all.as_array()? {
        // A rule that does nothing instead has no plan.
        let Some(top) = one.get("Plan") else { continue };
        plan.rows = plan.rows.saturating_add(rows(top)?);
        plan.cost = plan.cost.saturating_add(number(top, "Total Cost")?);
        steps(top, 0, &mut plan.steps);
    }
    Some(plan)
}

/// What writes rows says that it returns none; how many it writes, the steps below it say.
fn rows(node: &Value) -> Option<u64> {
    if node.get("Node Type").and_then(Value::as_str) != Some("ModifyTable") {
        return number(node, "Plan Rows");
    }
    let below = node.get("Plans").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    // What computes a value beside the rows is no source of rows.
    let sources = below.iter().filter(|node| {
        let relation = node.get("Parent Relationship").and_then(Value::as_str);
        !matches!(relation, Some("InitPlan" | "SubPlan"))
    });
    sources.map(|node| number(node, "Plan Rows")).try_fold(0_u64, |sum, rows| Some(sum.saturating_add(rows?)))
}

/// A number of the planner's, which are never negative.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn number(node: &Value, name: &str) -> Option<u64> {
    let number = node.get(name)?.as_f64()?;
    // Casting saturates.
    (number >= 0.0).then_some(number.round() as u64)
}

fn steps(node: &Value, depth: usize, all: &mut Vec<String>) {
    if all.len() >= STEPS_LIMIT {
        return;
    }
    let text = |name: &str| node.get(name).and_then(Value::as_str);
    let mut line = "  ".repeat(depth);
    line.push_str(text("Operation").or_else(|| text("Node Type")).unwrap_or("?"));
    if let Some(relation) = text("Relation Name") {
        let _ = write!(line, " on {relation}");
    }
    if let Some(index) = text("Index Name") {
        let _ = write!(line, " by {index}");
    }
    if let Some(rows) = number(node, "Plan Rows").filter(|_| text("Operation").is_none()) {
        let _ = write!(line, ", about {rows} rows");
    }
    all.push(line);
    for below in node.get("Plans").and_then(Value::as_array).into_iter().flatten() {
        steps(below, depth + 1, all);
    }
}
