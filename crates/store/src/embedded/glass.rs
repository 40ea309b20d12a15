//! Broken glass that nobody has looked at since: `glass` lists the approvals, so that none of them is ever lost from sight.
//!
//! A row says nothing that the approval's events do not: it is held against them whenever they are replayed.

use domain::approval::Approval;
use domain::id::ActionId;
use rusqlite::{Connection, OptionalExtension as _, params};

use super::cases::{self, Case};
use super::log::corrupt;
use crate::StoreError;
use crate::seal::SealingKey;

/// Writes down whether an approval's broken glass waits for somebody to look at it.
pub(super) fn save(connection: &Connection, id: ActionId, approval: &Approval) -> Result<(), StoreError> {
    let case = approval.case();
    if case.broken_glass().next().is_none() {
        return Ok(());
    }
    let statement = if case.awaits_later_review() {
        "INSERT INTO glass (approval, told) VALUES (?1, 1) ON CONFLICT (approval) DO UPDATE SET told = 1"
    } else {
        "DELETE FROM glass WHERE approval = ?1"
    };
    connection.prepare_cached(statement)?.execute([id.uuid().as_bytes()])?;
    Ok(())
}

/// Whether the list says of this approval what its events come to.
pub(super) fn check(connection: &Connection, id: ActionId, approval: &Approval) -> Result<(), StoreError> {
    let case = approval.case();
    if case.broken_glass().next().is_none() {
        return Ok(());
    }
    let told: Option<bool> = connection
        .prepare_cached("SELECT told FROM glass WHERE approval = ?1")?
        .query_row([id.uuid().as_bytes()], |row| row.get(0))
        .optional()?;
    // One that an older release left is told of when the store is opened.
    if told == Some(false) || told.is_some() == case.awaits_later_review() {
        return Ok(());
    }
    Err(corrupt(format!("approval {id}: the list of broken glass is not what its events come to")))
}

/// Whether an approval's broken glass waits for somebody to look at it.
pub(super) fn waits(connection: &Connection, id: ActionId) -> Result<bool, StoreError> {
    let found: Option<i64> = connection
        .prepare_cached("SELECT 1 FROM glass WHERE approval = ?1")?
        .query_row([id.uuid().as_bytes()], |row| row.get(0))
        .optional()?;
    Ok(found.is_some())
}

/// How many wait.
pub(super) fn count(connection: &Connection) -> Result<u64, StoreError> {
    Ok(connection
        .prepare_cached("SELECT count(*) FROM glass WHERE told = 1")?
        .query_row([], |row| row.get(0))?)
}

/// Looks at the approvals that an older release left: it kept no list. One that does not read back stays on it, where an
/// audit finds it.
pub(super) fn tell(connection: &Connection, key: &SealingKey) -> Result<(), StoreError> {
    let mut select = connection.prepare_cached("SELECT approval FROM glass WHERE told = 0")?;
    let untold = select.query_map([], |row| cases::read_id(row, 0))?.collect::<Result<Vec<_>, _>>()?;
    for id in untold {
        let waits = match Case::load(connection, key, id) {
            Ok(case) => case.approval.case().awaits_later_review(),
            Err(StoreError::NotFound(_)) => false,
            Err(StoreError::Corrupt(_)) => continue,
            Err(error) => return Err(error),
        };
        let statement = if waits {
            "UPDATE glass SET told = 1 WHERE approval = ?1"
        } else {
            "DELETE FROM glass WHERE approval = ?1"
        };
        connection.prepare_cached(statement)?.execute(params![id.uuid().as_bytes()])?;
    }
    Ok(())
}
