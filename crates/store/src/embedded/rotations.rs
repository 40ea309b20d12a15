//! Changes of the log's key. The entry says it, and the old key's last checkpoint proves it.

use audit::{NoteSigner, TreeReader, VerifierKey};
use domain::commitment::{Disclosure, disclosed_root};
use domain::id::Origin;
use rusqlite::{Connection, params};

use super::batch::Batch;
use super::fields::Owner;
use super::log::{SqlTiles, StoredLeaf, corrupt};
use crate::keys::{self, Keys};
use crate::seal::SealingKey;
use crate::{Position, Rotation, StoreError};

/// Has the log's key change at the end of this transaction.
pub(super) fn rotate(
    batch: &mut Batch<'_>,
    to: Box<dyn NoteSigner>,
    reason: &str,
) -> Result<Position, StoreError> {
    let known = batch.shared.keys();
    known.check_next(&batch.shared.origin, to.verifier())?;
    keys::try_out(to.as_ref())?;
    let position = batch.append(keys::draft(known.current(), to.verifier(), reason))?;
    batch.successor = Some((position.index, to));
    Ok(position)
}

/// Keeps the old key's last checkpoint.
pub(super) fn save(connection: &Connection, entry: u64, note: &str) -> Result<(), StoreError> {
    connection
        .prepare_cached("INSERT INTO rotation (entry, note) VALUES (?1, ?2)")?
        .execute(params![entry, note])?;
    Ok(())
}

/// Every change of the key, oldest first.
pub(super) fn all(connection: &Connection, key: &SealingKey) -> Result<Vec<Rotation>, StoreError> {
    let mut select = connection.prepare_cached("SELECT entry, note FROM rotation ORDER BY entry")?;
    let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let mut rotations = Vec::new();
    for row in rows {
        let (index, note): (u64, String) = row?;
        rotations.push(keys::read(index, &fields(connection, key, index)?, note)?);
    }
    Ok(rotations)
}

/// The keys that the log names: genesis' own, and what its rotations come to.
///
/// # Errors
/// [`StoreError::Corrupt`] where they do not fit the log or each other.
pub(super) fn keys(connection: &Connection, origin: &Origin, key: &SealingKey) -> Result<Keys, StoreError> {
    let first: VerifierKey = keys::of_genesis(&fields(connection, key, 0)?)?;
    let rotations = all(connection, key)?;
    let tiles = SqlTiles(connection);
    Keys::replay(origin, first, &rotations, |size| Ok(TreeReader::at_size(&tiles, size)?.root()))
}

/// An entry's fields, held against its leaf.
fn fields(connection: &Connection, key: &SealingKey, index: u64) -> Result<Vec<Disclosure>, StoreError> {
    let stored = StoredLeaf::at(connection, index)?;
    stored.check()?;
    let fields = Owner::Entry(index).disclosures(connection, key)?;
    let root = disclosed_root(&fields).map_err(|error| corrupt(format!("entry {index}: {error}")))?;
    if root != stored.read()?.fields {
        return Err(corrupt(format!("entry {index}: its fields are not those that its leaf commits to")));
    }
    Ok(fields)
}
