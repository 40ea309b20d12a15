//! Values that are sealed at rest, lapse, and are claimed at most once.

use async_trait::async_trait;
use domain::Malformed;
use domain::time::{Span, Timestamp};
use rusqlite::{Connection, OptionalExtension as _, params};

use super::EmbeddedStore;
use super::batch::{Batch, refused};
use crate::seal::{Place, SealingKey};
use crate::{StoreError, Vault, limits};

/// Each write takes so many lapsed rows with it: more go than come, and no clock is needed.
const SWEEP: usize = 4;

#[async_trait]
impl Vault for EmbeddedStore {
    async fn keep(&self, key: &str, value: &[u8], lifetime: Span) -> Result<(), StoreError> {
        check_size(value)?;
        let (key, value) = (key.to_owned(), value.to_vec());
        self.writer.submit(move |batch| keep(batch, &key, &value, lifetime)).await
    }

    async fn look(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let (key, shared) = (key.to_owned(), self.shared.clone());
        self.readers.read(move |connection| look(connection, &shared.key, &key, shared.now())).await
    }

    async fn take(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let key = key.to_owned();
        self.writer.submit(move |batch| take(batch, &key)).await
    }

    async fn claim(&self, key: &str, lifetime: Span) -> Result<bool, StoreError> {
        let key = key.to_owned();
        self.writer.submit(move |batch| claim(batch, &key, lifetime)).await
    }

    async fn forget(&self, prefix: &str) -> Result<u64, StoreError> {
        let prefix = prefix.to_owned();
        self.writer.submit(move |batch| forget(batch, &prefix)).await
    }
}

pub(super) fn check_size(value: &[u8]) -> Result<(), StoreError> {
    if value.len() <= limits::VAULT_VALUE_LIMIT_BYTES {
        return Ok(());
    }
    Err(refused(Malformed::TooLarge {
        what: "the value",
        actual: value.len(),
        limit: limits::VAULT_VALUE_LIMIT_BYTES,
        unit: "bytes",
    }))
}

pub(super) fn keep(batch: &mut Batch<'_>, key: &str, value: &[u8], lifetime: Span) -> Result<(), StoreError> {
    let expires = lapse(batch.now, lifetime);
    let sealed = batch.shared.key.seal(Place::Vault { key, expires }, value)?;
    batch.bytes += sealed.len();
    batch
        .connection
        .prepare_cached(
            "INSERT INTO vault (key, expires, sealed) VALUES (?1, ?2, ?3)
             ON CONFLICT (key) DO UPDATE SET expires = excluded.expires, sealed = excluded.sealed",
        )?
        .execute(params![key, expires.micros(), sealed])?;
    sweep(batch, SWEEP)
}

fn look(
    connection: &Connection,
    sealing: &SealingKey,
    key: &str,
    now: Timestamp,
) -> Result<Option<Vec<u8>>, StoreError> {
    let row = connection
        .prepare_cached("SELECT expires, sealed FROM vault WHERE key = ?1 AND expires > ?2")?
        .query_row(params![key, now.micros()], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    row.map(|row| open(sealing, key, row)).transpose()
}

fn take(batch: &mut Batch<'_>, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
    let row = batch
        .connection
        .prepare_cached("DELETE FROM vault WHERE key = ?1 AND expires > ?2 RETURNING expires, sealed")?
        .query_row(params![key, batch.now.micros()], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    row.map(|row| open(&batch.shared.key, key, row)).transpose()
}

fn open(sealing: &SealingKey, key: &str, (expires, sealed): (u64, Vec<u8>)) -> Result<Vec<u8>, StoreError> {
    let expires = Timestamp::from_micros(expires);
    sealing.open(Place::Vault { key, expires }, &sealed)
}

fn claim(batch: &mut Batch<'_>, key: &str, lifetime: Span) -> Result<bool, StoreError> {
    let expires = lapse(batch.now, lifetime);
    let claimed = batch
        .connection
        .prepare_cached(
            "INSERT INTO claim (key, expires) VALUES (?1, ?2)
             ON CONFLICT (key) DO UPDATE SET expires = excluded.expires WHERE claim.expires <= ?3",
        )?
        .execute(params![key, expires.micros(), batch.now.micros()])?;
    if claimed > 0 {
        sweep(batch, SWEEP)?;
    }
    Ok(claimed > 0)
}

fn forget(batch: &mut Batch<'_>, prefix: &str) -> Result<u64, StoreError> {
    // Text is compared byte by byte: what begins with the prefix stands from it up to its successor.
    let removed = batch
        .connection
        .prepare_cached("DELETE FROM vault WHERE key >= ?1 AND (?2 IS NULL OR key < ?2)")?
        .execute(params![prefix, successor(prefix)])?;
    Ok(removed as u64)
}

/// The first text behind all that begin with this one; none where there is no end to them.
fn successor(prefix: &str) -> Option<String> {
    let mut text = prefix.to_owned();
    while let Some(last) = text.pop() {
        if let Some(next) = (last..=char::MAX).nth(1) {
            text.push(next);
            return Some(text);
        }
    }
    None
}

/// Removes lapsed rows, at most so many of each kind.
pub(super) fn sweep(batch: &mut Batch<'_>, limit: usize) -> Result<(), StoreError> {
    for statement in [
        "DELETE FROM vault WHERE rowid IN
             (SELECT rowid FROM vault WHERE expires <= ?1 ORDER BY expires LIMIT ?2)",
        "DELETE FROM claim WHERE key IN
             (SELECT key FROM claim WHERE expires <= ?1 ORDER BY expires LIMIT ?2)",
    ] {
        batch.connection.prepare_cached(statement)?.execute(params![batch.now.micros(), limit])?;
    }
    Ok(())
}

/// When it lapses; within what the database can hold.
fn lapse(now: Timestamp, lifetime: Span) -> Timestamp {
    now.after(lifetime).min(Timestamp::from_micros(i64::MAX.cast_unsigned()))
}
