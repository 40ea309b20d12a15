//! What of the index stands in memory: the values' numbers, the newest block, and the spans of time.
//!
//! A writer works on a copy, which shares what it does not change, and puts it in place after its commit.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use domain::time::Timestamp;
use roaring::RoaringBitmap;
use rusqlite::{Connection, params};

use super::SearchError;
use crate::limits::{BLOCK_RECORDS, OTHER, SPAN_RECORDS, VALUES_LIMIT};
use crate::record::Facet;

/// The number under which every record stands.
pub(super) const EVERY: u32 = 0;

/// A facet's value by number, with the bits of a block below it.
pub(super) const BLOCK_BITS: u32 = 24;

/// The row of a value's bitmap in a block.
pub(super) fn posting_id(value: u32, block: u64) -> u64 {
    u64::from(value) << BLOCK_BITS | block
}

/// A record's block.
pub(super) fn block_of(id: u64) -> u64 {
    id / BLOCK_RECORDS
}

/// A record's place in its block.
pub(super) fn place_of(id: u64) -> u32 {
    u32::try_from(id % BLOCK_RECORDS).unwrap_or(u32::MAX)
}

/// The record at a place of a block.
pub(super) fn id_at(block: u64, place: u32) -> u64 {
    block * BLOCK_RECORDS + u64::from(place)
}

/// The state at one commit.
#[derive(Debug, Clone, Default)]
pub(super) struct State {
    /// The id of the next record.
    pub(super) next: u64,
    pub(super) values: Arc<Values>,
    /// The newest block's bitmaps, by value.
    pub(super) open: Arc<HashMap<u32, Arc<RoaringBitmap>>>,
    /// The earliest and latest time of each run of [`SPAN_RECORDS`].
    pub(super) spans: Arc<Vec<(u64, u64)>>,
}

/// The values of facets, both ways.
#[derive(Debug, Clone, Default)]
pub(super) struct Values {
    numbers: HashMap<(Facet, String), u32>,
    texts: BTreeMap<u32, (Facet, String)>,
    counts: HashMap<Facet, usize>,
}

impl Values {
    /// Values that stand in the tables.
    fn load(connection: &Connection) -> Result<Self, SearchError> {
        let mut values = Self::default();
        let mut select = connection.prepare("SELECT id, facet, text FROM value")?;
        let mut rows = select.query([])?;
        while let Some(row) = rows.next()? {
            let facet = Facet::numbered(row.get(1)?);
            let facet = facet.ok_or_else(|| SearchError::Failed("a value is of no facet".to_owned()))?;
            values.insert(row.get(0)?, facet, row.get(2)?);
        }
        Ok(values)
    }

    fn insert(&mut self, number: u32, facet: Facet, text: String) {
        self.numbers.insert((facet, text.clone()), number);
        self.texts.insert(number, (facet, text));
        *self.counts.entry(facet).or_default() += 1;
    }

    /// Takes a value out that no record has any more.
    pub(super) fn remove(&mut self, number: u32) {
        if let Some((facet, text)) = self.texts.remove(&number) {
            self.numbers.remove(&(facet, text));
            if let Some(count) = self.counts.get_mut(&facet) {
                *count = count.saturating_sub(1);
            }
        }
    }

    /// A value by its number.
    pub(super) fn get(&self, number: u32) -> Option<(Facet, &str)> {
        self.texts.get(&number).map(|(facet, text)| (*facet, text.as_str()))
    }

    /// The numbers of a facet's values that fit.
    pub(super) fn fitting(&self, facet: Facet, fits: impl Fn(&str) -> bool) -> Vec<u32> {
        let of_facet = self.texts.iter().filter(|(_, (of, _))| *of == facet);
        of_facet.filter(|(_, (_, text))| fits(text)).map(|(number, _)| *number).collect()
    }
}

impl State {
    /// What the tables come to. The newest block is read from its records.
    pub(super) fn load(connection: &Connection) -> Result<Self, SearchError> {
        let next: Option<u64> =
            connection.query_row("SELECT max(next) FROM progress", [], |row| row.get(0))?;
        let mut state =
            Self { next: next.unwrap_or(0), values: Arc::new(Values::load(connection)?), ..Self::default() };
        let mut spans = Vec::new();
        let mut select = connection.prepare("SELECT first, last FROM span ORDER BY id")?;
        let mut rows = select.query([])?;
        while let Some(row) = rows.next()? {
            spans.push((row.get(0)?, row.get(1)?));
        }
        state.spans = Arc::new(spans);
        let mut open: HashMap<u32, RoaringBitmap> = HashMap::new();
        let mut select = connection.prepare("SELECT id, facets FROM record WHERE id >= ?1")?;
        let mut rows = select.query([id_at(block_of(state.next), 0)])?;
        while let Some(row) = rows.next()? {
            let place = place_of(row.get(0)?);
            for value in std::iter::once(EVERY).chain(unpack(row.get_ref(1)?.as_blob().unwrap_or_default())) {
                open.entry(value).or_default().insert(place);
            }
        }
        state.open = Arc::new(open.into_iter().map(|(value, rows)| (value, Arc::new(rows))).collect());
        Ok(state)
    }

    /// The number of a value, which is made where it is new. A facet that has too many gets "other".
    pub(super) fn number(
        &mut self,
        connection: &Connection,
        facet: Facet,
        text: &str,
    ) -> Result<u32, SearchError> {
        if let Some(number) = self.values.numbers.get(&(facet, text.to_owned())) {
            return Ok(*number);
        }
        let full = self.values.counts.get(&facet).is_some_and(|count| *count >= VALUES_LIMIT);
        if full && text != OTHER {
            return self.number(connection, facet, OTHER);
        }
        let largest: Option<u32> = connection.query_row("SELECT max(id) FROM value", [], |row| row.get(0))?;
        let number = largest.unwrap_or(EVERY) + 1;
        connection
            .prepare_cached("INSERT INTO value (id, facet, text) VALUES (?1, ?2, ?3)")?
            .execute(params![number, facet.number(), text])?;
        Arc::make_mut(&mut self.values).insert(number, facet, text.to_owned());
        Ok(number)
    }

    /// Sets a bit of the newest block.
    pub(super) fn set(&mut self, value: u32, place: u32) {
        let open = Arc::make_mut(&mut self.open);
        Arc::make_mut(open.entry(value).or_default()).insert(place);
    }

    /// Takes bits of the newest block away.
    pub(super) fn clear(&mut self, value: u32, rows: &RoaringBitmap) {
        let open = Arc::make_mut(&mut self.open);
        let Some(bitmap) = open.get_mut(&value) else { return };
        *Arc::make_mut(bitmap) -= rows;
        if bitmap.is_empty() {
            open.remove(&value);
        }
    }

    /// Notes a record's time.
    pub(super) fn stretch(&mut self, id: u64, time: Timestamp) {
        let spans = Arc::make_mut(&mut self.spans);
        let at = usize::try_from(id / SPAN_RECORDS).unwrap_or(usize::MAX);
        match spans.get_mut(at) {
            Some((first, last)) => {
                *first = (*first).min(time.micros());
                *last = (*last).max(time.micros());
            }
            None => spans.push((time.micros(), time.micros())),
        }
    }
}

/// Values' numbers as bytes.
pub(super) fn pack(values: &[u32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// The numbers that these bytes hold.
pub(super) fn unpack(bytes: &[u8]) -> impl Iterator<Item = u32> + '_ {
    bytes.as_chunks::<4>().0.iter().map(|word| u32::from_le_bytes(*word))
}
