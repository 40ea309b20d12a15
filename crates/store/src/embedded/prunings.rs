//! What goes for its age: values, and leaves where that is asked for, with an entry that says so in the same
//! transaction.

use rusqlite::{Connection, OptionalExtension as _, params};

use super::batch::Batch;
use super::directories;
use super::log::{StoredLeaf, corrupt};
use crate::retention::{self, Range};
use crate::{Leaves, Position, Pruned, Pruning, StoreError, limits};

/// One step: the next entries that are old enough, at most [`limits::PRUNE_LIMIT`].
pub(super) fn prune(
    batch: &mut Batch<'_>,
    pruning: &Pruning,
) -> Result<Option<(Pruned, Position)>, StoreError> {
    let connection = batch.connection;
    let from = done_below(connection, pruning.leaves)?;
    let below = due_below(connection, from, batch.base, pruning)?;
    if below <= from {
        return Ok(None);
    }
    // What stays is read from the leaves themselves: nothing is destroyed on the word of a row.
    let vouching = directories::vouching(connection, &batch.shared.key)?;
    let mut kept = Vec::new();
    for stored in StoredLeaf::range(connection, from, below)? {
        stored.check()?;
        if vouching.keeps(&stored.read()?) {
            kept.push(stored.index);
        }
    }
    let mut first = from;
    for stays in kept.iter().copied().chain([below]) {
        drop_run(connection, first, stays, pruning.leaves)?;
        first = stays.saturating_add(1);
    }
    batch.erased = true;
    let entries = (below - from).saturating_sub(kept.len() as u64);
    let range = Range { from, below, kept, leaves: pruning.leaves };
    let position = batch.append(range.draft(pruning)?)?;
    connection
        .prepare_cached("INSERT INTO pruning (entry, first, below, leaves) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![position.index, from, below, pruning.leaves == Leaves::Drop])?;
    Ok(Some((Pruned { from, below, entries }, position)))
}

/// Up to where this was done before.
pub(super) fn done_below(connection: &Connection, leaves: Leaves) -> Result<u64, StoreError> {
    let select = "SELECT ifnull(max(below), 0) FROM pruning WHERE leaves >= ?1";
    Ok(connection.prepare_cached(select)?.query_row([leaves == Leaves::Drop], |row| row.get(0))?)
}

/// Up to where entries are old enough and needed no more, in whole tiles.
fn due_below(connection: &Connection, from: u64, size: u64, pruning: &Pruning) -> Result<u64, StoreError> {
    let edge = retention::whole_tiles(size.saturating_sub(1));
    let end = edge.min(from.saturating_add(limits::PRUNE_LIMIT));
    let before = pruning.before.micros();
    let young: Option<u64> = connection
        .prepare_cached(
            "SELECT idx FROM entry WHERE idx >= ?1 AND idx < ?2 AND time >= ?3 ORDER BY idx LIMIT 1",
        )?
        .query_row([from, end, before], |row| row.get(0))
        .optional()?;
    let needed: Option<u64> = connection
        .prepare_cached(
            "SELECT min(request) FROM approval WHERE request >= ?1 AND request < ?2
               AND (ended IS NULL OR ended >= ?3 OR id IN (SELECT approval FROM glass))",
        )?
        .query_row([from, end, before], |row| row.get(0))?;
    Ok(retention::whole_tiles([young, needed].into_iter().flatten().fold(end, u64::min)))
}

/// Drops what entries `from..below` hold.
fn drop_run(connection: &Connection, from: u64, below: u64, leaves: Leaves) -> Result<(), StoreError> {
    if from >= below {
        return Ok(());
    }
    connection
        .prepare_cached("DELETE FROM payload WHERE id >= ?1 << 10 AND id < ?2 << 10")?
        .execute([from, below])?;
    connection
        .prepare_cached("UPDATE approval SET erased = 1 WHERE request >= ?1 AND request < ?2")?
        .execute([from, below])?;
    match leaves {
        Leaves::Keep => {
            connection
                .prepare_cached(
                    "UPDATE field SET sealed = NULL WHERE id >= ?1 << 10 AND id < ?2 << 10 AND sealed IS NOT NULL",
                )?
                .execute([from, below])?;
        }
        Leaves::Drop => {
            connection
                .prepare_cached("DELETE FROM field WHERE id >= ?1 << 10 AND id < ?2 << 10")?
                .execute([from, below])?;
            connection
                .prepare_cached("UPDATE entry SET leaf = x'', subject = NULL WHERE idx >= ?1 AND idx < ?2")?
                .execute([from, below])?;
        }
    }
    Ok(())
}

/// Holds a pruning's row against what its entry says.
pub(super) fn check(connection: &Connection, entry: u64, range: &Range) -> Result<(), StoreError> {
    let row: Option<(u64, u64, bool)> = connection
        .prepare_cached("SELECT first, below, leaves FROM pruning WHERE entry = ?1")?
        .query_row([entry], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()?;
    if row == Some((range.from, range.below, range.leaves == Leaves::Drop)) {
        return Ok(());
    }
    Err(corrupt(format!("entry {entry} says what was pruned, and its row says otherwise")))
}
