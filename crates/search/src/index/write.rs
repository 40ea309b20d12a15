//! Writing: records in batches, each batch with the follower's place in one transaction.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use domain::id::{ActionId, Origin};
use roaring::RoaringBitmap;
use rusqlite::{Connection, OptionalExtension as _, params};

use super::state::{EVERY, State, block_of, pack, place_of, posting_id, unpack};
use super::{Index, SearchError};
use crate::limits::{BLOCK_RECORDS, CASES_KEPT, SPAN_RECORDS};
use crate::record::{Facet, Place, Record};

/// What one transaction writes.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    /// Records, oldest first.
    pub(crate) records: Vec<Record>,
    /// The next entry of the log that is to be read, and the hash of the leaf before it.
    pub(crate) log: Option<(u64, Vec<u8>)>,
    /// How far segments were read.
    pub(crate) lines: Vec<Lines>,
    /// Entries whose segment is not in this gateway's folder.
    pub(crate) elsewhere: Vec<u64>,
}

/// How far a segment was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Lines {
    /// The segment's name without its ending.
    pub(crate) segment: String,
    /// Up to which byte.
    pub(crate) offset: u64,
}

/// The one connection that writes.
pub(crate) struct Writer {
    pub(super) connection: Connection,
    /// The next entry of the log that is to be read.
    entry: u64,
    /// The facets that what follows on an action has from it.
    cases: Cases,
    segments: HashMap<String, u64>,
    /// Whether overwritten values may stand in the write-ahead log still. At open nobody knows.
    pub(super) scrub_due: bool,
}

/// The newest actions' facets.
#[derive(Default)]
struct Cases {
    newer: HashMap<ActionId, Arc<[u32]>>,
    older: HashMap<ActionId, Arc<[u32]>>,
}

impl Cases {
    fn get(&self, action: ActionId) -> Option<Arc<[u32]>> {
        self.newer.get(&action).or_else(|| self.older.get(&action)).cloned()
    }

    fn put(&mut self, action: ActionId, values: Arc<[u32]>) {
        if self.newer.len() >= CASES_KEPT / 2 {
            self.older = std::mem::take(&mut self.newer);
        }
        self.newer.insert(action, values);
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

impl Index {
    /// Writes records in one transaction, as the follower does, and no place of the follower: for benchmarks and
    /// tests, and for whoever has records from elsewhere.
    ///
    /// # Errors
    /// When the index cannot be written; then nothing is.
    pub fn add(&self, records: Vec<Record>) -> Result<(), SearchError> {
        self.write(&Batch { records, ..Batch::default() })
    }

    /// Writes records and the follower's place.
    pub(crate) fn write(&self, batch: &Batch) -> Result<(), SearchError> {
        self.commit(|writer, state| writer.write(state, batch))
    }
}

impl Writer {
    pub(super) fn new(connection: Connection, origin: &Origin) -> Result<(Self, State), SearchError> {
        let stands: Option<(String, u64)> = connection
            .query_row("SELECT origin, entry FROM progress", [], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        let entry = match stands {
            Some((of, entry)) if of == origin.as_str() => entry,
            Some((of, _)) => return Err(SearchError::Failed(format!("the index is of the log `{of}`"))),
            None => {
                let insert = "INSERT INTO progress (id, origin, entry, leaf, next) VALUES (1, ?1, 0, x'', 0)";
                connection.execute(insert, [origin.as_str()])?;
                0
            }
        };
        let state = State::load(&connection)?;
        let writer =
            Self { connection, entry, cases: Cases::default(), segments: HashMap::new(), scrub_due: true };
        Ok((writer, state))
    }

    /// The next entry of the log that is to be read.
    pub(crate) fn entry(&self) -> u64 {
        self.entry
    }

    /// How many entries have their segment elsewhere.
    pub(crate) fn elsewhere(&self) -> Result<u64, SearchError> {
        let mut select = self.connection.prepare_cached("SELECT count(*) FROM elsewhere")?;
        Ok(select.query_row([], |row| row.get(0))?)
    }

    /// The hash of the last leaf that was read.
    pub(crate) fn last_leaf(&self) -> Result<Vec<u8>, SearchError> {
        Ok(self.connection.query_row("SELECT leaf FROM progress", [], |row| row.get(0))?)
    }

    /// Every segment that was begun, and how far it was read.
    pub(crate) fn read_so_far(&self) -> Result<Vec<Lines>, SearchError> {
        let mut select = self.connection.prepare_cached("SELECT name, offset FROM segment ORDER BY name")?;
        let rows = select.query_map([], |row| Ok(Lines { segment: row.get(0)?, offset: row.get(1)? }))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Runs `work` in one transaction; what it put at hand is forgotten where it fails.
    pub(super) fn transaction<T>(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<T, SearchError>,
    ) -> Result<T, SearchError> {
        self.connection.execute_batch("BEGIN IMMEDIATE")?;
        let entry = self.entry;
        let done = work(self).and_then(|done| {
            self.connection.execute_batch("COMMIT")?;
            Ok(done)
        });
        if done.is_err() {
            if let Err(error) = self.connection.execute_batch("ROLLBACK") {
                tracing::debug!(%error, "the index's transaction had ended already");
            }
            self.entry = entry;
            self.forget_cases();
            self.segments.clear();
        }
        done
    }

    pub(super) fn forget_cases(&mut self) {
        self.cases.clear();
    }

    fn write(&mut self, state: &mut State, batch: &Batch) -> Result<(), SearchError> {
        for record in &batch.records {
            self.insert(state, record)?;
        }
        self.save_spans(state, batch.records.len())?;
        for lines in &batch.lines {
            let id = self.segment(&lines.segment, state.next)?;
            self.connection
                .prepare_cached("UPDATE segment SET offset = ?2, last = ?3 WHERE id = ?1")?
                .execute(params![id, lines.offset, state.next])?;
        }
        for entry in &batch.elsewhere {
            self.connection
                .prepare_cached("INSERT OR IGNORE INTO elsewhere (entry) VALUES (?1)")?
                .execute([entry])?;
        }
        if let Some((entry, leaf)) = &batch.log {
            self.entry = *entry;
            self.connection
                .prepare_cached("UPDATE progress SET entry = ?1, leaf = ?2")?
                .execute(params![entry, leaf])?;
        }
        self.connection.prepare_cached("UPDATE progress SET next = ?1")?.execute([state.next])?;
        Ok(())
    }

    fn insert(&mut self, state: &mut State, record: &Record) -> Result<(), SearchError> {
        let id = state.next;
        let values = self.values(state, record)?;
        let (segment, place) = match &record.place {
            Place::Log(index) => (0, *index),
            Place::Activity { segment, offset } => (self.segment(segment, id)?, *offset),
        };
        let (action, words) = (record.action.map(|action| *action.uuid().as_bytes()), &record.words);
        self.connection
            .prepare_cached(
                "INSERT INTO record (id, time, segment, place, action, facets, resource, words, detail)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            )?
            .execute(params![
                id,
                record.time.micros(),
                segment,
                place,
                action,
                pack(&values),
                words.resource,
                words.words,
                words.detail
            ])?;
        if words.resource.is_some() || words.words.is_some() || words.detail.is_some() {
            self.connection
                .prepare_cached("INSERT INTO text (rowid, resource, words, detail) VALUES (?1, ?2, ?3, ?4)")?
                .execute(params![id, words.resource, words.words, words.detail])?;
        }
        for value in std::iter::once(EVERY).chain(values) {
            state.set(value, place_of(id));
        }
        state.stretch(id, record.time);
        state.next = id + 1;
        if state.next.is_multiple_of(BLOCK_RECORDS) {
            self.seal(state, block_of(id))?;
        }
        Ok(())
    }

    /// The numbers of a record's values, those with it that its action brings.
    pub(super) fn values(&mut self, state: &mut State, record: &Record) -> Result<Vec<u32>, SearchError> {
        let mut values = BTreeSet::new();
        for (facet, text) in &record.facets {
            values.insert(state.number(&self.connection, *facet, text)?);
        }
        if let Some(action) = record.action {
            if record.origin {
                let of =
                    |value: &u32| state.values.get(*value).is_some_and(|(facet, _)| facet.is_inherited());
                let inherited: Vec<u32> = values.iter().copied().filter(of).collect();
                self.cases.put(action, inherited.into());
            } else {
                values.extend(self.inherited(state, action)?.iter());
            }
        }
        Ok(values.into_iter().collect())
    }

    /// What follows on an action has these from it. The first record that knows the action's verb is its origin.
    fn inherited(&mut self, state: &State, action: ActionId) -> Result<Arc<[u32]>, SearchError> {
        if let Some(values) = self.cases.get(action) {
            return Ok(values);
        }
        let first: Option<Vec<u8>> = self
            .connection
            .prepare_cached("SELECT facets FROM record WHERE action = ?1 ORDER BY id LIMIT 1")?
            .query_row([action.uuid().as_bytes()], |row| row.get(0))
            .optional()?;
        let of =
            |value: &u32| state.values.get(*value).is_some_and(|(facet, _): (Facet, _)| facet.is_inherited());
        let values: Arc<[u32]> = unpack(&first.unwrap_or_default()).filter(of).collect();
        self.cases.put(action, Arc::clone(&values));
        Ok(values)
    }

    fn segment(&mut self, name: &str, first: u64) -> Result<u64, SearchError> {
        if let Some(id) = self.segments.get(name) {
            return Ok(*id);
        }
        self.connection
            .prepare_cached("INSERT INTO segment (name, offset, first, last) VALUES (?1, 0, ?2, ?2) ON CONFLICT DO NOTHING")?
            .execute(params![name, first])?;
        let id: u64 = self
            .connection
            .prepare_cached("SELECT id FROM segment WHERE name = ?1")?
            .query_row([name], |row| row.get(0))?;
        // Segments are read one after the other: no more than a few are at hand.
        if self.segments.len() >= 64 {
            self.segments.clear();
        }
        self.segments.insert(name.to_owned(), id);
        Ok(id)
    }

    /// Writes the bitmaps of a full block; the next one is empty.
    fn seal(&self, state: &mut State, block: u64) -> Result<(), SearchError> {
        for (value, rows) in state.open.iter() {
            self.put_posting(*value, block, RoaringBitmap::clone(rows))?;
        }
        state.open = Arc::default();
        Ok(())
    }

    pub(super) fn put_posting(
        &self,
        value: u32,
        block: u64,
        mut rows: RoaringBitmap,
    ) -> Result<(), SearchError> {
        let id = posting_id(value, block);
        if rows.is_empty() {
            self.connection.prepare_cached("DELETE FROM posting WHERE id = ?1")?.execute([id])?;
            return Ok(());
        }
        rows.optimize();
        let mut bytes = Vec::with_capacity(rows.serialized_size());
        rows.serialize_into(&mut bytes).map_err(|error| SearchError::Failed(error.to_string()))?;
        self.connection
            .prepare_cached("INSERT OR REPLACE INTO posting (id, rows) VALUES (?1, ?2)")?
            .execute(params![id, bytes])?;
        Ok(())
    }

    fn save_spans(&self, state: &State, written: usize) -> Result<(), SearchError> {
        let changed = written / usize::try_from(SPAN_RECORDS).unwrap_or(1) + 2;
        let first = state.spans.len().saturating_sub(changed);
        let mut put = self
            .connection
            .prepare_cached("INSERT OR REPLACE INTO span (id, first, last) VALUES (?1, ?2, ?3)")?;
        for (at, (earliest, latest)) in state.spans.iter().enumerate().skip(first) {
            put.execute(params![at as u64, earliest, latest])?;
        }
        Ok(())
    }
}
