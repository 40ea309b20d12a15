//! Who and what is known: the directory is what its logged changes replay to.

use std::sync::Arc;

use async_trait::async_trait;
use domain::Malformed;
use domain::canonical;
use domain::directory::{Change, Directory};
use domain::entry::Draft;
use domain::time::Timestamp;
use rusqlite::Connection;

use super::EmbeddedStore;
use super::batch::{Batch, refused};
use super::cases::read_field;
use super::log::corrupt;
use crate::retention::Vouching;
use crate::seal::SealingKey;
use crate::{Directories, Position, Recorded, StoreError, Wake};

#[async_trait]
impl Directories for EmbeddedStore {
    fn directory(&self) -> Arc<Directory> {
        self.shared.directory()
    }

    async fn change(&self, version: u64, changes: Vec<Change>) -> Result<Recorded<u64>, StoreError> {
        let (version, position) = self.writer.submit(move |batch| change(batch, version, &changes)).await?;
        Ok(Recorded::new(version, position))
    }

    async fn directory_entries(&self, subject: &str) -> Result<Vec<u64>, StoreError> {
        let subject = subject.to_owned();
        self.readers
            .read(move |connection| {
                let mut select = connection.prepare_cached(
                    "SELECT idx FROM entry WHERE kind = 'directory/1' AND subject = ?1 ORDER BY idx",
                )?;
                let rows = select.query_map([subject], |row| row.get(0))?;
                Ok(rows.collect::<Result<_, _>>()?)
            })
            .await
    }
}

fn change(batch: &mut Batch<'_>, version: u64, changes: &[Change]) -> Result<(u64, Position), StoreError> {
    if batch.directory.version() != version {
        return Err(StoreError::Stale);
    }
    let mut last = None;
    for change in changes {
        last = Some(apply(batch, change)?);
    }
    // No changes at all would have no place in the log to point to.
    let position = last.ok_or(StoreError::NotFound("change"))?;
    Ok((batch.directory.version(), position))
}

/// Applies one change to the transaction's directory and writes it down.
pub(super) fn apply(batch: &mut Batch<'_>, change: &Change) -> Result<Position, StoreError> {
    let now = batch.now;
    Arc::make_mut(&mut batch.directory).apply(&change.event, now).map_err(refused)?;
    let version = batch.directory.version();
    let position = batch.append(Draft::of_change(change).map_err(refused)?)?;
    batch.wakes.push(Wake::Directory(version));
    Ok(position)
}

/// The directory as its changes come to.
pub(super) fn replay(connection: &Connection, key: &SealingKey) -> Result<Directory, StoreError> {
    let mut directory = Directory::default();
    each_change(connection, key, |change, time| directory.apply(&change.event, time))?;
    Ok(directory)
}

/// The approvals under which keys and standings changed.
pub(super) fn vouching(connection: &Connection, key: &SealingKey) -> Result<Vouching, StoreError> {
    let mut vouching = Vouching::default();
    each_change(connection, key, |change, _| {
        vouching.add(change);
        Ok(())
    })?;
    Ok(vouching)
}

/// Every change in the log's order, with its time.
fn each_change(
    connection: &Connection,
    key: &SealingKey,
    mut take: impl FnMut(&Change, Timestamp) -> Result<(), Malformed>,
) -> Result<(), StoreError> {
    let mut select =
        connection.prepare_cached("SELECT idx, time FROM entry WHERE kind = 'directory/1' ORDER BY idx")?;
    let rows = select.query_map([], |row| Ok((row.get(0)?, Timestamp::from_micros(row.get(1)?))))?;
    for row in rows {
        let (entry, time) = row?;
        let bad = |why: &dyn std::fmt::Display| corrupt(format!("the directory's change at {entry}: {why}"));
        let change = read_field(connection, key, entry, "change")?;
        let change: Change = canonical::read(&change).map_err(|error| bad(&error))?;
        take(&change, time).map_err(|error| bad(&error))?;
    }
    Ok(())
}
