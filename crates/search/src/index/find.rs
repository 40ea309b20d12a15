//! Finding: newest first, block by block, bitmaps before words.
//!
//! A block's bitmaps are loaded for the values that are asked for, and no others. Words are looked for only within
//! blocks in which the bitmaps left something, in growing windows. What one search may cost is bounded; where
//! the bound is met, the answer says where it stopped, and its cursor goes on from there.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Instant;

use domain::time::Timestamp;
use roaring::RoaringBitmap;
use rusqlite::Connection;

use super::SearchError;
use super::read::{self, Answer};
use super::rewrite::posting;
use super::state::{EVERY, State, block_of, id_at, place_of};
use crate::limits::{
    ASKED_ONE_BY_ONE, BLOCK_RECORDS, COUNT_LIMIT, PAGE_LIMIT, SCAN_LIMIT, SEARCH_TIME, SPAN_RECORDS,
    WINDOW_BLOCKS,
};
use crate::query::{Only, Plan};

/// What is looked for, and how much of it.
#[derive(Debug, Clone, Default)]
pub struct Ask {
    /// What is looked for.
    pub plan: Plan,
    /// Where the page begins: behind this record.
    pub cursor: Option<u64>,
    /// How many records, at most [`PAGE_LIMIT`].
    pub limit: usize,
    /// Whether the values of facets are counted. Only on the first page.
    pub counts: bool,
}

/// The search.
pub(super) fn find(connection: &Connection, state: &State, ask: &Ask) -> Result<Answer, SearchError> {
    let limit = ask.limit.clamp(1, PAGE_LIMIT);
    let counts = ask.counts && ask.cursor.is_none();
    // One more than is shown, so that it is known whether there is more.
    let wanted = if counts { COUNT_LIMIT.max(limit) + 1 } else { limit + 1 };
    let mut finder = Finder::new(connection, state, ask, wanted)?;
    finder.run()?;
    let Finder { found, stopped, .. } = finder;
    read::answer(connection, state, &found, stopped, limit, counts)
}

/// A search under way.
struct Finder<'a> {
    connection: &'a Connection,
    state: &'a State,
    plan: &'a Plan,
    /// For each facet that is asked for, the values of which a record has one.
    any_of: Vec<Vec<u32>>,
    none_of: Vec<u32>,
    only: Option<BTreeMap<u64, RoaringBitmap>>,
    /// The first record that is not looked at.
    end: u64,
    wanted: usize,
    found: Vec<u64>,
    scanned: u64,
    started: Instant,
    /// Where the search stopped before its end: everything from here on was looked at.
    stopped: Option<u64>,
}

impl<'a> Finder<'a> {
    fn new(
        connection: &'a Connection,
        state: &'a State,
        ask: &'a Ask,
        wanted: usize,
    ) -> Result<Self, SearchError> {
        let plan = &ask.plan;
        let numbers = |clause: &crate::query::Values| {
            state.values.fitting(clause.facet, |text| clause.texts.iter().any(|one| one.fits(text)))
        };
        Ok(Self {
            connection,
            state,
            plan,
            any_of: plan.any_of.iter().map(numbers).collect(),
            none_of: plan.none_of.iter().flat_map(numbers).collect(),
            only: only(connection, &plan.only)?,
            end: ask.cursor.unwrap_or(u64::MAX).min(state.next),
            wanted,
            found: Vec::new(),
            scanned: 0,
            started: Instant::now(),
            stopped: None,
        })
    }

    fn run(&mut self) -> Result<(), SearchError> {
        if self.end == 0 || self.any_of.iter().any(Vec::is_empty) {
            return Ok(());
        }
        // Blocks are named from behind: `above` is one more than the next that is looked at.
        let mut above = block_of(self.end - 1) + 1;
        let mut width = 1;
        while above > 0 && self.found.len() < self.wanted && self.stopped.is_none() {
            let window = above.saturating_sub(width)..above;
            self.window(window.clone())?;
            above = window.start;
            if self.plan.words.is_some() {
                width = (width * 2).min(WINDOW_BLOCKS);
            }
            if above > 0 && self.found.len() < self.wanted && self.started.elapsed() > SEARCH_TIME {
                self.stopped.get_or_insert(id_at(above, 0));
            }
        }
        Ok(())
    }

    fn window(&mut self, window: Range<u64>) -> Result<(), SearchError> {
        let mut blocks = BTreeMap::new();
        for block in window.rev() {
            let rows = self.rows(block)?;
            if !rows.is_empty() {
                blocks.insert(block, rows);
            }
        }
        let Some(words) = &self.plan.words else {
            let room = self.wanted - self.found.len();
            let newest =
                blocks.iter().rev().flat_map(|(block, rows)| rows.iter().rev().map(|at| id_at(*block, at)));
            self.found.extend(newest.take(room));
            return Ok(());
        };
        let total: u64 = blocks.values().map(RoaringBitmap::len).sum();
        if total <= ASKED_ONE_BY_ONE {
            return self.one_by_one(words, &blocks);
        }
        self.stream(words, &blocks)
    }

    /// Asks of a few records whether they hold the words.
    fn one_by_one(&mut self, words: &str, blocks: &BTreeMap<u64, RoaringBitmap>) -> Result<(), SearchError> {
        let mut select =
            self.connection.prepare_cached("SELECT 1 FROM text WHERE text MATCH ?1 AND rowid = ?2")?;
        for (block, rows) in blocks.iter().rev() {
            for place in rows.iter().rev() {
                let id = id_at(*block, place);
                if select.exists(rusqlite::params![words, id])? {
                    self.found.push(id);
                }
            }
        }
        Ok(())
    }

    /// Reads the records that hold the words, newest first, and keeps those that the bitmaps left.
    fn stream(&mut self, words: &str, blocks: &BTreeMap<u64, RoaringBitmap>) -> Result<(), SearchError> {
        let edge = |block: Option<(&u64, &RoaringBitmap)>, place: fn(&RoaringBitmap) -> Option<u32>| {
            block.and_then(|(block, rows)| Some(id_at(*block, place(rows)?))).unwrap_or(0)
        };
        let first = edge(blocks.first_key_value(), RoaringBitmap::min);
        let last = edge(blocks.last_key_value(), RoaringBitmap::max);
        let mut select = self.connection.prepare_cached(
            "SELECT rowid FROM text WHERE text MATCH ?1 AND rowid >= ?2 AND rowid <= ?3 ORDER BY rowid DESC",
        )?;
        let mut rows = select.query(rusqlite::params![words, first, last])?;
        while let Some(row) = rows.next()? {
            let id: u64 = row.get(0)?;
            if blocks.get(&block_of(id)).is_some_and(|rows| rows.contains(place_of(id))) {
                self.found.push(id);
                if self.found.len() >= self.wanted {
                    return Ok(());
                }
            }
            self.scanned += 1;
            let late = self.scanned.is_multiple_of(1_024) && self.started.elapsed() > SEARCH_TIME;
            if self.scanned >= SCAN_LIMIT || late {
                self.stopped = Some(id);
                return Ok(());
            }
        }
        Ok(())
    }

    /// The records of a block that the facets, the time and the cursor leave.
    fn rows(&self, block: u64) -> Result<RoaringBitmap, SearchError> {
        let mut rows = match &self.only {
            Some(only) => match only.get(&block) {
                Some(rows) => rows & &self.posting(EVERY, block)?,
                None => return Ok(RoaringBitmap::new()),
            },
            None => RoaringBitmap::new(),
        };
        let mut narrowed = self.only.is_some();
        for values in &self.any_of {
            let mut one = RoaringBitmap::new();
            for value in values {
                one |= self.posting(*value, block)?;
            }
            rows = if narrowed { rows & one } else { one };
            narrowed = true;
            if rows.is_empty() {
                return Ok(rows);
            }
        }
        if !narrowed {
            rows = self.posting(EVERY, block)?;
        }
        for value in &self.none_of {
            rows -= self.posting(*value, block)?;
        }
        if block == block_of(self.end) {
            rows.remove_range(place_of(self.end)..);
        }
        self.within_time(block, &mut rows)?;
        Ok(rows)
    }

    fn posting(&self, value: u32, block: u64) -> Result<RoaringBitmap, SearchError> {
        if block == block_of(self.state.next) {
            return Ok(self
                .state
                .open
                .get(&value)
                .map(|rows| RoaringBitmap::clone(rows))
                .unwrap_or_default());
        }
        posting(self.connection, value, block)
    }

    /// Takes out what lies outside the time that is asked for. Whole spans are told by their edges; only in
    /// spans that cross an edge are records looked at one by one.
    fn within_time(&self, block: u64, rows: &mut RoaringBitmap) -> Result<(), SearchError> {
        let since = self.plan.since.map_or(0, Timestamp::micros);
        let until = self.plan.until.map_or(u64::MAX, Timestamp::micros);
        if since == 0 && until == u64::MAX {
            return Ok(());
        }
        let mut select = self.connection.prepare_cached("SELECT time FROM record WHERE id = ?1")?;
        for first in (id_at(block, 0)..id_at(block + 1, 0)).step_by(span_records()) {
            let at = usize::try_from(first / SPAN_RECORDS).unwrap_or(usize::MAX);
            let Some((earliest, latest)) = self.state.spans.get(at).copied() else { break };
            let places = place_of(first)..=place_of(first + SPAN_RECORDS - 1);
            if latest < since || earliest >= until {
                rows.remove_range(places);
            } else if earliest < since || latest >= until {
                for place in rows.range(places).collect::<Vec<_>>() {
                    let time: u64 = select.query_row([id_at(block, place)], |row| row.get(0))?;
                    if time < since || time >= until {
                        rows.remove(place);
                    }
                }
            }
        }
        Ok(())
    }
}

/// The step of the spans.
fn span_records() -> usize {
    usize::try_from(SPAN_RECORDS).unwrap_or(1)
}

/// The records of one action, or of one entry, where only those are asked for.
fn only(
    connection: &Connection,
    wanted: &[Only],
) -> Result<Option<BTreeMap<u64, RoaringBitmap>>, SearchError> {
    let mut left: Option<BTreeMap<u64, RoaringBitmap>> = None;
    for one in wanted {
        let ids: Vec<u64> = match one {
            Only::Action(action) => connection
                .prepare_cached("SELECT id FROM record WHERE action = ?1 ORDER BY id DESC LIMIT ?2")?
                .query_map(rusqlite::params![action.uuid().as_bytes(), BLOCK_RECORDS], |row| row.get(0))?
                .collect::<Result<_, _>>()?,
            Only::Entry(entry) => connection
                .prepare_cached("SELECT id FROM record WHERE segment = 0 AND place = ?1")?
                .query_map([entry], |row| row.get(0))?
                .collect::<Result<_, _>>()?,
        };
        let mut rows: BTreeMap<u64, RoaringBitmap> = BTreeMap::new();
        for id in ids {
            rows.entry(block_of(id)).or_default().insert(place_of(id));
        }
        left = Some(match left {
            None => rows,
            Some(left) => {
                let both = |(block, one): (u64, RoaringBitmap)| Some((block, rows.get(&block)? & one));
                left.into_iter().filter_map(both).collect()
            }
        });
    }
    Ok(left)
}
