//! Values that are sealed at rest, lapse, and are claimed at most once. Each is one statement: of any number of callers,
//! at whichever gateway, the database lets one be first.

use async_trait::async_trait;
use domain::Malformed;
use domain::time::{Span, Timestamp};
use tokio_postgres::Row;

use super::connect::connection;
use super::link::{Fault, Link, big, column, natural};
use super::tx::{Tx, refused};
use super::{PostgresStore, Shared};
use crate::seal::{Place, SealingKey};
use crate::{StoreError, Vault, limits};

/// Each write takes so many lapsed rows with it: more go than come, and no clock is needed.
const SWEEP: i64 = 4;

#[async_trait]
impl Vault for PostgresStore {
    async fn keep(&self, key: &str, value: &[u8], lifetime: Span) -> Result<(), StoreError> {
        check_size(value)?;
        let now = self.shared.now();
        let expires = lapse(now, lifetime);
        // Before the transaction begins: the server ends one that is idle for long, and a large value takes its time.
        let sealed = self.shared.key.seal(Place::Vault { key, expires }, value)?;
        let mut client = self.to_write().await?;
        let link = Link::write(&mut client).await?;
        put(&link, key, expires, &sealed).await?;
        sweep_within(&link, now, SWEEP).await?;
        Ok(link.commit().await?)
    }

    async fn look(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let now = big(self.shared.now().micros())?;
        let mut client = connection(&self.shared.pool).await?;
        let link = Link::read(&mut client).await?;
        let select = "SELECT expires, sealed FROM vault WHERE key = $1 AND expires > $2";
        let row = link.maybe(select, &[&key.as_bytes(), &now]).await?;
        // Opened once nothing waits for it: a large value takes its time.
        link.rollback().await?;
        row.map(|row| open(&self.shared.key, key, &row)).transpose()
    }

    async fn take(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let now = big(self.shared.now().micros())?;
        let mut client = self.to_write().await?;
        let link = Link::write(&mut client).await?;
        let delete = "DELETE FROM vault WHERE key = $1 AND expires > $2 RETURNING expires, sealed";
        let row = link.maybe(delete, &[&key.as_bytes(), &now]).await?;
        // Opened before it is gone for good.
        let value = row.map(|row| open(&self.shared.key, key, &row)).transpose()?;
        link.commit().await?;
        Ok(value)
    }

    async fn claim(&self, key: &str, lifetime: Span) -> Result<bool, StoreError> {
        let now = self.shared.now();
        let expires = big(lapse(now, lifetime).micros())?;
        let mut client = self.to_write().await?;
        let link = Link::write(&mut client).await?;
        let claimed = link
            .execute(
                "INSERT INTO claim (key, expires) VALUES ($1, $2)
                 ON CONFLICT (key) DO UPDATE SET expires = excluded.expires WHERE claim.expires <= $3",
                &[&key.as_bytes(), &expires, &big(now.micros())?],
            )
            .await?;
        if claimed > 0 {
            sweep_within(&link, now, SWEEP).await?;
        }
        link.commit().await?;
        Ok(claimed > 0)
    }

    async fn forget(&self, prefix: &str) -> Result<u64, StoreError> {
        let end = successor(prefix);
        let mut client = self.to_write().await?;
        let link = Link::write(&mut client).await?;
        // Keys are compared byte by byte: what begins with the prefix stands from it up to its successor.
        let delete = "DELETE FROM vault WHERE key >= $1 AND ($2::bytea IS NULL OR key < $2)";
        let removed = link.execute(delete, &[&prefix.as_bytes(), &end]).await?;
        link.commit().await?;
        Ok(removed)
    }
}

impl PostgresStore {
    /// A connection to write without an entry. Such a write is not tried again: whoever claims must not find that they
    /// were first twice.
    pub(super) async fn to_write(&self) -> Result<deadpool_postgres::Client, StoreError> {
        self.writer.check_open()?;
        self.shared.check_health()?;
        Ok(connection(&self.shared.pool).await?)
    }
}

/// Keeps a value in a transaction that does more.
pub(super) async fn keep_within(tx: &Tx<'_>, key: &str, value: &[u8], lifetime: Span) -> Result<(), Fault> {
    let expires = lapse(tx.now, lifetime);
    let sealed = tx.shared.key.seal(Place::Vault { key, expires }, value)?;
    put(&tx.link, key, expires, &sealed).await
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

/// Removes lapsed rows, at most so many of each kind.
pub(super) async fn sweep(shared: &Shared, limit: i64) -> Result<(), Fault> {
    let mut client = connection(&shared.pool).await?;
    let link = Link::write(&mut client).await?;
    sweep_within(&link, shared.now(), limit).await?;
    link.commit().await
}

async fn put(link: &Link<'_>, key: &str, expires: Timestamp, sealed: &[u8]) -> Result<(), Fault> {
    link.execute(
        "INSERT INTO vault (key, expires, sealed) VALUES ($1, $2, $3)
         ON CONFLICT (key) DO UPDATE SET expires = excluded.expires, sealed = excluded.sealed",
        &[&key.as_bytes(), &big(expires.micros())?, &sealed],
    )
    .await?;
    Ok(())
}

/// Rows that somebody else is just removing are left to them: nobody waits, and nobody waits in a circle.
async fn sweep_within(link: &Link<'_>, now: Timestamp, limit: i64) -> Result<(), Fault> {
    let now = big(now.micros())?;
    for delete in [
        "DELETE FROM vault WHERE key IN
             (SELECT key FROM vault WHERE expires <= $1 ORDER BY expires LIMIT $2 FOR UPDATE SKIP LOCKED)",
        "DELETE FROM claim WHERE key IN
             (SELECT key FROM claim WHERE expires <= $1 ORDER BY expires LIMIT $2 FOR UPDATE SKIP LOCKED)",
    ] {
        link.execute(delete, &[&now, &limit]).await?;
    }
    Ok(())
}

fn open(sealing: &SealingKey, key: &str, row: &Row) -> Result<Vec<u8>, StoreError> {
    let expires = Timestamp::from_micros(natural(row, 0)?);
    sealing.open(Place::Vault { key, expires }, column(row, 1)?)
}

/// The first bytes behind all that begin with this text; none where there is no end to them.
fn successor(prefix: &str) -> Option<Vec<u8>> {
    let mut bytes = prefix.as_bytes().to_vec();
    // UTF-8 has no byte 255, so the last one can always be raised.
    let last = bytes.last_mut()?;
    *last = last.saturating_add(1);
    Some(bytes)
}

/// When it lapses; within what the database can hold.
fn lapse(now: Timestamp, lifetime: Span) -> Timestamp {
    now.after(lifetime).min(Timestamp::from_micros(i64::MAX.cast_unsigned()))
}
