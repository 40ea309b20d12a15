//! Who and what is known: the directory is what its logged changes replay to.

use std::sync::Arc;

use async_trait::async_trait;
use audit::leaf_hash;
use domain::canonical;
use domain::directory::{Change, Directory};
use domain::entry::{Draft, Leaf};
use domain::time::Timestamp;
use uuid::Uuid;

use super::PostgresStore;
use super::connect::connection;
use super::fields::{EntryRef, Owner, StoredField};
use super::link::{Fault, Link, big, column, corrupt, natural};
use super::tx::{Holding, Role, Tx, refused};
use super::writer::Job;
use crate::retention::Vouching;
use crate::seal::SealingKey;
use crate::{Directories, Recorded, StoreError};

#[async_trait]
impl Directories for PostgresStore {
    fn directory(&self) -> Arc<Directory> {
        self.shared.directory()
    }

    async fn change(&self, version: u64, changes: Vec<Change>) -> Result<Recorded<u64>, StoreError> {
        let (version, places) = self.writer.submit(Changing { version, changes }).await?;
        // No changes at all would have no place in the log to point to.
        Ok(Recorded::new(version, *places.first().ok_or(StoreError::NotFound("change"))?))
    }

    async fn directory_entries(&self, subject: &str) -> Result<Vec<u64>, StoreError> {
        let mut client = connection(&self.shared.pool).await?;
        let link = Link::read(&mut client).await?;
        let select = "SELECT idx FROM entry
                      WHERE kind = 'directory/1' AND subject = $1 AND idx < (SELECT size FROM checkpoint) ORDER BY idx";
        let rows = link.query(select, &[&subject]).await?;
        rows.iter().map(|row| natural(row, 0)).collect()
    }
}

/// Commits changes over one version.
struct Changing {
    version: u64,
    changes: Vec<Change>,
}

#[async_trait]
impl Job for Changing {
    type Output = u64;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<(u64, Vec<Uuid>), Fault> {
        if tx.directory(Holding::Alone).await?.version() != self.version {
            return Err(StoreError::Stale.into());
        }
        let mut last = None;
        for change in &self.changes {
            last = Some(apply(tx, change).await?);
        }
        Ok((tx.directory(Holding::Shared).await?.version(), last.into_iter().collect()))
    }
}

/// Applies one change to the transaction's directory and writes it down.
pub(super) async fn apply(tx: &mut Tx<'_>, change: &Change) -> Result<Uuid, Fault> {
    let now = tx.now;
    let directory = tx.directory(Holding::Alone).await?;
    Arc::make_mut(directory).apply(&change.event, now).map_err(refused)?;
    let version = directory.version();
    Ok(tx.append(Draft::of_change(change).map_err(refused)?, Role::Change(version))?)
}

/// The whole directory, held against how many changes the log says there were.
pub(super) async fn replay_all(link: &Link<'_>, key: &SealingKey, below: u64) -> Result<Directory, Fault> {
    let directory = replay(link, key, &Directory::default(), below).await?;
    let select = "SELECT count(*) FROM entry WHERE kind = 'directory/1' AND idx < $1";
    let changes = natural(&link.one(select, &[&big(below)?]).await?, 0)?;
    let row = natural(&link.one("SELECT version FROM directory", &[]).await?, 0)?;
    if directory.version() == changes && row >= changes {
        return Ok(directory);
    }
    Err(corrupt(format!(
        "the log has {changes} changes of the directory, it replays to version {}, and its row says {row}",
        directory.version()
    ))
    .into())
}

/// The directory as the changes that stand below an index come to, from one that is known on.
pub(super) async fn replay(
    link: &Link<'_>,
    key: &SealingKey,
    known: &Directory,
    below: u64,
) -> Result<Directory, Fault> {
    let mut directory = known.clone();
    for Logged { version, change, time } in changes(link, key, known.version(), below).await? {
        let bad =
            |why: &dyn std::fmt::Display| corrupt(format!("the directory's change to {version}: {why}"));
        directory.apply(&change.event, time).map_err(|error| bad(&error))?;
        if directory.version() != version {
            return Err(bad(&"it is not the next").into());
        }
    }
    Ok(directory)
}

/// The approvals under which keys and standings changed, by the entries below an index.
pub(super) async fn vouching(link: &Link<'_>, key: &SealingKey, below: u64) -> Result<Vouching, Fault> {
    let mut vouching = Vouching::default();
    for logged in changes(link, key, 0, below).await? {
        vouching.add(&logged.change);
    }
    Ok(vouching)
}

/// A change as the log has it.
struct Logged {
    version: u64,
    change: Change,
    time: Timestamp,
}

/// The changes behind a version that stand below an index, in their order.
async fn changes(link: &Link<'_>, key: &SealingKey, behind: u64, below: u64) -> Result<Vec<Logged>, Fault> {
    let rows = link
        .query(
            "SELECT change.version, change.entry, entry.leaf, field.position, field.path, field.commitment, field.sealed
             FROM change JOIN entry ON entry.id = change.entry JOIN field ON field.entry = change.entry
             WHERE change.version > $1 AND entry.idx < $2 AND field.path = 'change'::bytea
             ORDER BY change.version",
            &[&big(behind)?, &big(below)?],
        )
        .await?;
    let mut changes = Vec::with_capacity(rows.len());
    for row in &rows {
        let version = natural(row, 0)?;
        let bad =
            |why: &dyn std::fmt::Display| corrupt(format!("the directory's change to {version}: {why}"));
        let (id, leaf): (Uuid, Vec<u8>) = (column(row, 1)?, column(row, 2)?);
        let owner = Owner::Entry(EntryRef { id, leaf: *leaf_hash(&leaf).as_bytes(), event: 0 });
        let field = owner.open(key, &StoredField::read(row, 3)?)?;
        let change = field.ok_or_else(|| bad(&"it was erased"))?.value.0;
        let change: Change = canonical::read(&change).map_err(|error| bad(&error))?;
        let leaf: Leaf = canonical::read(&leaf).map_err(|error| bad(&error))?;
        changes.push(Logged { version, change, time: leaf.time });
    }
    Ok(changes)
}
