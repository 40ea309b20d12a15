//! Asking the database as the session would: its search path, its role, its way of reading dates; and its values as the
//! client wrote them.

use std::error::Error;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use postgres::parse::{Bind, Format};
use tokio_postgres::types::{FromSql, IsNull, Kind, ToSql, Type, to_sql_checked};
use tokio_postgres::{Client, Statement};

use super::Asked;
use super::limits::LOCK_LIMIT;
use crate::catalog::{CatalogError, Source};

/// The settings of a session that change what a text means to the server.
const READING: [&str; 3] = ["DateStyle", "IntervalStyle", "TimeZone"];

/// Begins a transaction in which a statement means what it means in its session.
pub(super) async fn begin(
    client: &Client,
    source: &Source,
    asked: &Asked<'_>,
    patience: Duration,
    reads: bool,
) -> Result<(), CatalogError> {
    let mode = if reads { "READ ONLY" } else { "READ WRITE" };
    client.batch_execute(&format!("BEGIN ISOLATION LEVEL READ COMMITTED {mode}")).await?;
    let temporary = asked.names.temporary.as_ref().map(|own| own.schema.as_str());
    let path: Vec<String> = asked
        .names
        .search_path
        .iter()
        .filter(|schema| Some(schema.as_str()) != temporary)
        .map(|schema| crate::catalog::identifier(schema))
        .collect();
    let patience = patience.as_millis().to_string();
    let lock = LOCK_LIMIT.as_millis().to_string();
    let mut settings = vec![("statement_timeout", patience), ("lock_timeout", lock)];
    for name in READING {
        settings.extend(asked.settings.get(name).map(|value| (name, value.clone())));
    }
    if !asked.names.role.is_empty() && asked.names.role != source.user() {
        settings.push(("role", asked.names.role.clone()));
    }
    // Last, since the names above are PostgreSQL's own.
    settings.push(("search_path", path.join(", ")));
    for (name, value) in settings {
        const SET: &str = "SELECT pg_catalog.set_config($1, $2, true)";
        client.query_typed(SET, &[(&name, Type::TEXT), (&value, Type::TEXT)]).await?;
    }
    Ok(())
}

/// Prepares a text with the client's types for its parameters. What types the server finds for the others is looked at
/// too: reading a value of a type of the database's own may run its code.
pub(super) async fn prepare(
    client: &Client,
    text: &str,
    asked: &Asked<'_>,
) -> Result<Result<Statement, String>, CatalogError> {
    // A type that is not PostgreSQL's own is named by its id; nothing else of it is used.
    let typed = |oid: &u32| {
        Type::from_oid(*oid).unwrap_or_else(|| Type::new(String::new(), *oid, Kind::Simple, String::new()))
    };
    let types: Vec<Type> = asked.types.iter().map(typed).collect();
    let prepared = client.prepare_typed(text, &types).await?;
    let values = asked.bind.map_or(0, |bind| bind.values.len());
    if prepared.params().len() != values {
        return Ok(Err(format!("it takes {} values and has {values}", prepared.params().len())));
    }
    if prepared.params().iter().any(|found| asked.picture.is_active(found.oid())) {
        return Ok(Err("a value is of a type that is not PostgreSQL's own".to_owned()));
    }
    Ok(Ok(prepared))
}

/// The client's values.
pub(super) fn values(bind: Option<&Bind>) -> Vec<Value> {
    let Some(bind) = bind else { return Vec::new() };
    let values = bind.values.iter().enumerate();
    values.map(|(place, bytes)| Value { bytes: bytes.clone(), format: bind.format(place) }).collect()
}

/// A value as the client wrote it.
#[derive(Debug)]
pub(super) struct Value {
    bytes: Option<Bytes>,
    format: Format,
}

impl ToSql for Value {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        let Some(bytes) = &self.bytes else { return Ok(IsNull::Yes) };
        out.extend_from_slice(bytes);
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    fn encode_format(&self, _: &Type) -> tokio_postgres::types::Format {
        match self.format {
            Format::Text => tokio_postgres::types::Format::Text,
            Format::Binary => tokio_postgres::types::Format::Binary,
        }
    }

    to_sql_checked!();
}

/// A value of the server's, of whatever type, as its bytes.
pub(super) struct Answer<'r>(pub(super) &'r [u8]);

impl<'r> FromSql<'r> for Answer<'r> {
    fn from_sql(_: &Type, raw: &'r [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self(raw))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}
