//! Rewriting: what was erased from the store leaves the index, overwritten and not only unlinked.

use std::collections::{BTreeMap, BTreeSet};

use roaring::RoaringBitmap;
use rusqlite::{OptionalExtension as _, params};

use super::state::{BLOCK_BITS, EVERY, State, block_of, pack, place_of, posting_id, unpack};
use super::write::Writer;
use super::{Index, SearchError};
use crate::limits::BATCH_RECORDS;
use crate::record::{Record, Words};

/// A record as it stands.
struct Standing {
    id: u64,
    values: Vec<u32>,
    words: Words,
}

impl Index {
    /// The entries whose records were made of what this entry held: itself, and what followed on its action.
    pub(crate) fn made_of(&self, entry: u64) -> Result<Vec<u64>, SearchError> {
        self.writing(|writer| {
            let action: Option<Option<Vec<u8>>> = writer
                .connection
                .prepare_cached("SELECT action FROM record WHERE segment = 0 AND place = ?1")?
                .query_row([entry], |row| row.get(0))
                .optional()?;
            let Some(action) = action else { return Ok(Vec::new()) };
            let Some(action) = action else { return Ok(vec![entry]) };
            let mut select = writer
                .connection
                .prepare_cached("SELECT place FROM record WHERE action = ?1 AND segment = 0 ORDER BY id")?;
            let places = select.query_map([action], |row| row.get(0))?;
            Ok(places.collect::<Result<_, _>>()?)
        })
    }

    /// Puts these records in the place of those that stand for their entries; `None` removes one.
    pub(crate) fn replace(&self, records: &[(u64, Option<Record>)]) -> Result<(), SearchError> {
        self.commit(|writer, state| {
            writer.forget_cases();
            for (entry, record) in records {
                let Some(standing) = writer.standing(*entry)? else { continue };
                match record {
                    Some(record) => writer.replace(state, &standing, record)?,
                    None => writer.remove(state, &[standing])?,
                }
            }
            Ok(())
        })?;
        self.scrub();
        Ok(())
    }

    /// Forgets segments elsewhere that entries of a range name: their leaves' values are gone.
    pub(crate) fn forget_elsewhere(&self, from: u64, below: u64) -> Result<(), SearchError> {
        self.commit(|writer, _| {
            let delete = "DELETE FROM elsewhere WHERE entry >= ?1 AND entry < ?2";
            Ok(writer.connection.execute(delete, [from, below])?)
        })?;
        Ok(())
    }

    /// Removes every record of a segment whose file is gone.
    pub(crate) fn remove_segment(&self, name: &str) -> Result<(), SearchError> {
        let select = "SELECT record.id, facets, resource, words, detail FROM segment JOIN record
                      ON record.id >= segment.first AND record.id < segment.last AND record.segment = segment.id
                      WHERE segment.name = ?1 LIMIT ?2";
        while self.remove_some(select, params![name, BATCH_RECORDS as u64])? {}
        self.commit(|writer, _| {
            Ok(writer.connection.execute("DELETE FROM segment WHERE name = ?1", [name])?)
        })?;
        self.scrub();
        Ok(())
    }

    /// Removes the records that a statement finds; whether there were any.
    fn remove_some(&self, select: &str, parameters: impl rusqlite::Params) -> Result<bool, SearchError> {
        self.commit(|writer, state| {
            let found = {
                let mut select = writer.connection.prepare_cached(select)?;
                let rows = select.query_map(parameters, Standing::read)?;
                rows.collect::<Result<Vec<_>, _>>()?
            };
            writer.remove(state, &found)?;
            Ok(!found.is_empty())
        })
    }

    /// Brings the write-ahead log into the file and empties it, so that what was overwritten is gone from both.
    /// A search that runs just now keeps it from that; then it is due at the follower's next step.
    fn scrub(&self) {
        self.writing(|writer| {
            let checkpoint = "PRAGMA wal_checkpoint(TRUNCATE)";
            let busy: Result<i64, _> = writer.connection.query_row(checkpoint, [], |row| row.get(0));
            writer.scrub_due = !matches!(busy, Ok(0));
        });
    }

    /// Does what a search kept [`Index::scrub`] from.
    pub(crate) fn scrub_if_due(&self) {
        if self.writing(|writer| writer.scrub_due) {
            self.scrub();
        }
    }
}

impl Standing {
    fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<Self> {
        let words = Words { resource: row.get(2)?, words: row.get(3)?, detail: row.get(4)? };
        Ok(Self { id: row.get(0)?, values: unpack(row.get_ref(1)?.as_blob()?).collect(), words })
    }
}

impl Writer {
    fn standing(&self, entry: u64) -> Result<Option<Standing>, SearchError> {
        let select =
            "SELECT id, facets, resource, words, detail FROM record WHERE segment = 0 AND place = ?1";
        Ok(self.connection.prepare_cached(select)?.query_row([entry], Standing::read).optional()?)
    }

    fn replace(&mut self, state: &mut State, old: &Standing, record: &Record) -> Result<(), SearchError> {
        let values = self.values(state, record)?;
        self.remove_words(old)?;
        let words = &record.words;
        self.connection
            .prepare_cached(
                "UPDATE record SET action = ?2, facets = ?3, resource = ?4, words = ?5, detail = ?6 WHERE id = ?1",
            )?
            .execute(params![
                old.id,
                record.action.map(|action| *action.uuid().as_bytes()),
                pack(&values),
                words.resource,
                words.words,
                words.detail
            ])?;
        if *words != Words::default() {
            self.connection
                .prepare_cached("INSERT INTO text (rowid, resource, words, detail) VALUES (?1, ?2, ?3, ?4)")?
                .execute(params![old.id, words.resource, words.words, words.detail])?;
        }
        let (before, after): (BTreeSet<u32>, BTreeSet<u32>) =
            (old.values.iter().copied().collect(), values.into_iter().collect());
        let row = RoaringBitmap::from_iter([place_of(old.id)]);
        for value in before.difference(&after) {
            self.change(state, *value, block_of(old.id), |rows| *rows -= &row)?;
        }
        for value in after.difference(&before) {
            self.change(state, *value, block_of(old.id), |rows| *rows |= &row)?;
        }
        self.drop_orphans(state, before.difference(&after))
    }

    fn remove(&mut self, state: &mut State, standing: &[Standing]) -> Result<(), SearchError> {
        let mut rows: BTreeMap<(u64, u32), RoaringBitmap> = BTreeMap::new();
        for old in standing {
            self.remove_words(old)?;
            self.connection.prepare_cached("DELETE FROM record WHERE id = ?1")?.execute([old.id])?;
            for value in std::iter::once(EVERY).chain(old.values.iter().copied()) {
                rows.entry((block_of(old.id), value)).or_default().insert(place_of(old.id));
            }
        }
        for ((block, value), gone) in &rows {
            self.change(state, *value, *block, |rows| *rows -= gone)?;
        }
        let values: BTreeSet<u32> = rows.keys().map(|(_, value)| *value).collect();
        self.drop_orphans(state, values.iter().filter(|value| **value != EVERY))
    }

    /// Takes a record's words out of the full-text index, which needs to be told what they were.
    fn remove_words(&self, old: &Standing) -> Result<(), SearchError> {
        let words = &old.words;
        if *words != Words::default() {
            self.connection
                .prepare_cached(
                    "INSERT INTO text (text, rowid, resource, words, detail) VALUES ('delete', ?1, ?2, ?3, ?4)",
                )?
                .execute(params![old.id, words.resource, words.words, words.detail])?;
        }
        Ok(())
    }

    /// Changes a value's bitmap in a block, wherever that stands.
    fn change(
        &self,
        state: &mut State,
        value: u32,
        block: u64,
        change: impl FnOnce(&mut RoaringBitmap),
    ) -> Result<(), SearchError> {
        if block == block_of(state.next) {
            let mut rows = state.open.get(&value).map(|rows| RoaringBitmap::clone(rows)).unwrap_or_default();
            let before = rows.clone();
            change(&mut rows);
            (&rows - &before).iter().for_each(|place| state.set(value, place));
            state.clear(value, &(before - rows));
            return Ok(());
        }
        let mut rows = posting(&self.connection, value, block)?;
        change(&mut rows);
        self.put_posting(value, block, rows)
    }

    /// Takes values out that no record has any more.
    fn drop_orphans<'a>(
        &self,
        state: &mut State,
        values: impl Iterator<Item = &'a u32>,
    ) -> Result<(), SearchError> {
        for value in values {
            let (first, end) = (posting_id(*value, 0), u64::from(*value + 1) << BLOCK_BITS);
            let stands: bool = self
                .connection
                .prepare_cached("SELECT EXISTS (SELECT 1 FROM posting WHERE id >= ?1 AND id < ?2)")?
                .query_row([first, end], |row| row.get(0))?;
            if !stands && !state.open.contains_key(value) {
                self.connection.prepare_cached("DELETE FROM value WHERE id = ?1")?.execute([value])?;
                std::sync::Arc::make_mut(&mut state.values).remove(*value);
            }
        }
        Ok(())
    }
}

/// A value's bitmap in a block that is written; empty where none stands.
pub(super) fn posting(
    connection: &rusqlite::Connection,
    value: u32,
    block: u64,
) -> Result<RoaringBitmap, SearchError> {
    let mut select = connection.prepare_cached("SELECT rows FROM posting WHERE id = ?1")?;
    let mut rows = select.query([posting_id(value, block)])?;
    let Some(row) = rows.next()? else { return Ok(RoaringBitmap::new()) };
    let bytes = row.get_ref(0)?.as_blob().map_err(|error| SearchError::Failed(error.to_string()))?;
    RoaringBitmap::deserialize_from(bytes).map_err(|error| SearchError::Failed(error.to_string()))
}
