//! sqlx as a client. `../../../clients.py` says what each step has to do and print.

use anyhow::{Context as _, Result, bail};
use futures_util::TryStreamExt as _;
use serde_json::{Value, json};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, Row as _};
use tokio::io::AsyncBufReadExt as _;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let mut words = std::env::args().skip(1);
    let step = words.next().context("which step?")?;
    let mark = words.next().unwrap_or_default();
    let found = match step.as_str() {
        "read" => read().await?,
        "write" => write(&mark).await?,
        "prepared" => prepared(&mark).await?,
        "copy" => copy().await?,
        "cancel" => cancel(&mark).await?,
        other => bail!("`{other}` is not a step"),
    };
    println!("{found}");
    Ok(())
}

/// Everything comes from the environment, as libpq reads it.
async fn connect() -> Result<PgConnection> {
    Ok(PgConnection::connect_with(&PgConnectOptions::new()).await?)
}

async fn read() -> Result<Value> {
    let mut client = connect().await?;
    let name: String =
        sqlx::query_scalar("SELECT name FROM items WHERE id = 7").fetch_one(&mut client).await?;
    let rows = client.fetch_all("SELECT id FROM items ORDER BY id").await?;
    Ok(json!({ "name": name, "rows": rows.len() }))
}

async fn write(mark: &str) -> Result<Value> {
    let mut client = connect().await?;
    let mut transaction = client.begin().await?;
    let delete = AssertSqlSafe(format!("DELETE FROM items WHERE id <= 10 {mark}"));
    let mut found = match sqlx::query(delete).execute(&mut *transaction).await {
        Ok(done) => {
            transaction.commit().await?;
            json!({ "count": done.rows_affected() })
        }
        Err(error) => {
            transaction.rollback().await?;
            told(&error)?
        }
    };
    found["after"] = after(&mut client).await?;
    Ok(found)
}

async fn prepared(mark: &str) -> Result<Value> {
    let mut client = connect().await?;
    let mut names = Vec::new();
    for id in [3, 4] {
        let row = sqlx::query("SELECT name FROM items WHERE id = $1").bind(id).fetch_one(&mut client).await?;
        names.push(row.try_get::<String, _>(0)?);
    }
    let delete = AssertSqlSafe(format!("DELETE FROM items WHERE id = $1 AND name = $2 {mark}"));
    let done = sqlx::query(delete).bind(11).bind("item 11").execute(&mut client).await?;
    Ok(json!({ "names": names, "count": done.rows_affected() }))
}

async fn copy() -> Result<Value> {
    let mut client = connect().await?;
    let data: String = (1001..=2000).map(|n| format!("{n}\tcopied {n}\n")).collect();
    let mut into = client.copy_in_raw("COPY items (id, name) FROM STDIN").await?;
    into.send(data.into_bytes()).await?;
    into.finish().await?;
    let query = "COPY (SELECT id, name FROM items WHERE id > 1000 ORDER BY id) TO STDOUT";
    let out: Vec<_> = client.copy_out_raw(query).await?.try_collect().await?;
    let text = String::from_utf8(out.concat())?;
    let last = text.lines().last().and_then(|line| line.split('\t').nth(1));
    Ok(json!({ "copied": text.lines().count(), "last": last }))
}

/// sqlx has no call that cancels: who gives up drops the connection.
async fn cancel(mark: &str) -> Result<Value> {
    let mut client = connect().await?;
    let delete = AssertSqlSafe(format!("DELETE FROM items WHERE id <= 20 {mark}"));
    let mut line = String::new();
    let mut input = tokio::io::BufReader::new(tokio::io::stdin());
    let done = tokio::select! {
        done = sqlx::query(delete).execute(&mut client) => Some(done?.rows_affected()),
        line = input.read_line(&mut line) => { line?; None }
    };
    drop(client);
    let mut client = connect().await?;
    let mut found = done.map_or_else(|| json!({}), |count| json!({ "count": count }));
    found["after"] = after(&mut client).await?;
    Ok(found)
}

async fn after(client: &mut PgConnection) -> Result<Value> {
    let one: i32 = sqlx::query_scalar("SELECT 1").fetch_one(client).await?;
    Ok(json!(one))
}

fn told(error: &sqlx::Error) -> Result<Value> {
    let error = error.as_database_error().context("not the server's error")?;
    Ok(json!({ "error": error.code(), "words": error.message() }))
}
