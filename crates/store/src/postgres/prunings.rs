//! What goes for its age: values, and leaves where that is asked for, with an entry that says so in the same
//! transaction.

use async_trait::async_trait;
use tokio_postgres::Row;
use uuid::Uuid;

use super::directories;
use super::link::{Fault, Link, big, column, corrupt, maybe_natural, natural};
use super::log::{Signed, StoredLeaf};
use super::tx::{Role, Tx};
use super::writer::Job;
use crate::retention::{self, Range};
use crate::{Leaves, Pruned, Pruning, StoreError, limits};

/// One step: the next entries that are old enough, at most [`limits::PRUNE_LIMIT`].
pub(super) struct Prune(pub(super) Pruning);

#[async_trait]
impl Job for Prune {
    type Output = Option<Pruned>;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<(Option<Pruned>, Vec<Uuid>), Fault> {
        let pruning = &self.0;
        // One at a time, at whichever gateway.
        tx.link.batch("LOCK TABLE pruning IN SHARE ROW EXCLUSIVE MODE").await?;
        let size = Signed::load(&tx.link).await?.tree.size();
        let from = done_below(&tx.link, pruning.leaves).await?;
        let below = due_below(&tx.link, from, size, pruning).await?;
        if below <= from {
            return Ok((None, Vec::new()));
        }
        // What stays is read from the leaves themselves: nothing is destroyed on the word of a row.
        let vouching = directories::vouching(&tx.link, &tx.shared.key, size).await?;
        let mut kept = Vec::new();
        for stored in StoredLeaf::range(&tx.link, from, below).await? {
            // One whose leaf an earlier pruning dropped is no entry that stays.
            if stored.is_pruned() {
                continue;
            }
            stored.check()?;
            if vouching.keeps(&stored.read()?) {
                kept.push(stored.index);
            }
        }
        drop_values(&tx.link, (from, below), &kept, pruning.leaves).await?;
        let entries = (below - from).saturating_sub(kept.len() as u64);
        let range = Range { from, below, kept, leaves: pruning.leaves };
        let entry = tx.append(range.draft(pruning)?, Role::Alone)?;
        tx.link
            .execute(
                "INSERT INTO pruning (entry, first, below, leaves) VALUES ($1, $2, $3, $4)",
                &[&entry, &big(from)?, &big(below)?, &(pruning.leaves == Leaves::Drop)],
            )
            .await?;
        Ok((Some(Pruned { from, below, entries }), vec![entry]))
    }
}

/// Up to where this was done before.
pub(super) async fn done_below(link: &Link<'_>, leaves: Leaves) -> Result<u64, Fault> {
    let select = "SELECT coalesce(max(below), 0) FROM pruning WHERE leaves >= $1";
    Ok(natural(&link.one(select, &[&(leaves == Leaves::Drop)]).await?, 0)?)
}

/// Up to where entries are old enough and needed no more, in whole tiles.
async fn due_below(link: &Link<'_>, from: u64, size: u64, pruning: &Pruning) -> Result<u64, Fault> {
    let edge = retention::whole_tiles(size.saturating_sub(1));
    let end = edge.min(from.saturating_add(limits::PRUNE_LIMIT));
    let range = (big(from)?, big(end)?, big(pruning.before.micros())?);
    let row = link
        .one(
            "SELECT (SELECT min(idx) FROM entry WHERE idx >= $1 AND idx < $2 AND time >= $3),
                    (SELECT min(idx) FROM entry JOIN approval ON approval.request = entry.id
                     WHERE idx >= $1 AND idx < $2
                       AND (ended IS NULL OR ended >= $3 OR approval.id IN (SELECT approval FROM glass)))",
            &[&range.0, &range.1, &range.2],
        )
        .await?;
    let (young, needed) = (maybe_natural(&row, 0)?, maybe_natural(&row, 1)?);
    Ok(retention::whole_tiles([young, needed].into_iter().flatten().fold(end, u64::min)))
}

/// Drops what the entries of a range hold, but for those that are kept.
async fn drop_values(
    link: &Link<'_>,
    (from, below): (u64, u64),
    kept: &[u64],
    leaves: Leaves,
) -> Result<(), Fault> {
    let kept = kept.iter().map(|index| big(*index)).collect::<Result<Vec<_>, _>>()?;
    let (from, below) = (big(from)?, big(below)?);
    let approvals = [
        "DELETE FROM payload USING approval, entry
         WHERE payload.approval = approval.id AND approval.request = entry.id
           AND idx >= $1 AND idx < $2 AND idx <> ALL ($3)",
        "UPDATE approval SET erased = true FROM entry
         WHERE approval.request = entry.id AND idx >= $1 AND idx < $2 AND idx <> ALL ($3)",
    ];
    for statement in approvals {
        link.execute(statement, &[&from, &below, &kept]).await?;
    }
    let entries: &[&str] = match leaves {
        Leaves::Keep => &["UPDATE field SET sealed = NULL FROM entry
             WHERE field.entry = entry.id AND idx >= $1 AND idx < $2 AND idx <> ALL ($3) AND sealed IS NOT NULL"],
        Leaves::Drop => &[
            "DELETE FROM field USING entry
             WHERE field.entry = entry.id AND idx >= $1 AND idx < $2 AND idx <> ALL ($3)",
            "UPDATE entry SET leaf = '', subject = NULL WHERE idx >= $1 AND idx < $2 AND idx <> ALL ($3)",
        ],
    };
    for statement in entries {
        link.execute(statement, &[&from, &below, &kept]).await?;
    }
    Ok(())
}

/// Holds a pruning's row against what its entry says.
pub(super) async fn check(link: &Link<'_>, index: u64, entry: Uuid, range: &Range) -> Result<(), Fault> {
    let row = link.maybe("SELECT first, below, leaves FROM pruning WHERE entry = $1", &[&entry]).await?;
    let read = |row: &Row| Ok::<_, StoreError>((natural(row, 0)?, natural(row, 1)?, column(row, 2)?));
    let row = row.as_ref().map(read).transpose()?;
    if row == Some((range.from, range.below, range.leaves == Leaves::Drop)) {
        return Ok(());
    }
    Err(corrupt(format!("entry {index} says what was pruned, and its row says otherwise")).into())
}
