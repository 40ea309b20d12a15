//! Reading what was found: the page's records whole, and the counts.

use std::collections::{BTreeMap, HashMap};

use domain::id::ActionId;
use domain::time::Timestamp;
use rusqlite::{Connection, OptionalExtension as _};

use super::SearchError;
use super::state::{State, unpack};
use crate::limits::{COUNT_LIMIT, COUNTED_VALUES};
use crate::record::{Facet, Place, Words};

/// What a search came to.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The page's records, newest first.
    pub hits: Vec<Hit>,
    /// Where the next page begins; none on the last. A page may be short, or empty, and still have one: what
    /// one search may cost is bounded.
    pub next: Option<u64>,
    /// The counts, where they were asked for.
    pub counts: Option<Counts>,
}

/// A record, as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit {
    /// Its place in the order of the index.
    pub id: u64,
    /// When.
    pub time: Timestamp,
    /// Where the thing itself is on record.
    pub place: Place,
    /// Which action it belongs to.
    pub action: Option<ActionId>,
    /// Its facets.
    pub facets: BTreeMap<Facet, Vec<String>>,
    /// Its words. The resource is the action's where the record has none of its own.
    pub words: Words,
}

impl Hit {
    /// The first value of a facet.
    #[must_use]
    pub fn first(&self, facet: Facet) -> Option<&str> {
        self.facets.get(&facet)?.first().map(String::as_str)
    }

    /// All values of a facet.
    pub fn all(&self, facet: Facet) -> impl Iterator<Item = &str> {
        self.facets.get(&facet).into_iter().flatten().map(String::as_str)
    }
}

/// How many records were found, and how many of them have which values.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Counts {
    /// How many records were counted, the newest first.
    pub records: u64,
    /// Whether there are more than were counted: then every number says "at least".
    pub more: bool,
    /// The commonest values of each facet that is counted.
    pub facets: Vec<FacetCount>,
}

/// How many records have a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FacetCount {
    /// The facet.
    pub facet: Facet,
    /// Its value.
    pub value: String,
    /// How many.
    pub records: u64,
}

/// Reads the page, and counts.
pub(super) fn answer(
    connection: &Connection,
    state: &State,
    found: &[u64],
    stopped: Option<u64>,
    limit: usize,
    counts: bool,
) -> Result<Answer, SearchError> {
    let shown = found.get(..limit).unwrap_or(found);
    let mut hits = Vec::with_capacity(shown.len());
    for id in shown {
        hits.extend(hit(connection, state, *id)?);
    }
    // The cursor is the last record that is shown: what lies behind it is the next page.
    let next = if found.len() > limit { shown.last().copied() } else { stopped };
    let counts = if counts { Some(count(connection, state, found, stopped)?) } else { None };
    Ok(Answer { hits, next, counts })
}

fn hit(connection: &Connection, state: &State, id: u64) -> Result<Option<Hit>, SearchError> {
    type Row = (u64, u64, u64, Option<[u8; 16]>, Vec<u8>, Words, Option<String>);
    let row: Option<Row> = connection
        .prepare_cached(
            "SELECT time, place, segment, action, facets, resource, words, detail,
                    (SELECT name FROM segment WHERE segment.id = record.segment) FROM record WHERE id = ?1",
        )?
        .query_row([id], |row| {
            let words = Words { resource: row.get(5)?, words: row.get(6)?, detail: row.get(7)? };
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, words, row.get(8)?))
        })
        .optional()?;
    let Some((time, place, segment, action, values, mut words, name)) = row else { return Ok(None) };
    let mut facets: BTreeMap<Facet, Vec<String>> = BTreeMap::new();
    for (facet, text) in unpack(&values).filter_map(|value| state.values.get(value)) {
        facets.entry(facet).or_default().push(text.to_owned());
    }
    if let (None, Some(action)) = (&words.resource, &action) {
        words.resource = connection
            .prepare_cached(
                "SELECT resource FROM record WHERE action = ?1 AND resource IS NOT NULL ORDER BY id LIMIT 1",
            )?
            .query_row([action], |row| row.get(0))
            .optional()?;
    }
    let place = match segment {
        0 => Place::Log(place),
        _ => Place::Activity { segment: name.unwrap_or_default(), offset: place },
    };
    let action = action.map(|bytes| ActionId::from_uuid(uuid::Uuid::from_bytes(bytes)));
    Ok(Some(Hit { id, time: Timestamp::from_micros(time), place, action, facets, words }))
}

fn count(
    connection: &Connection,
    state: &State,
    found: &[u64],
    stopped: Option<u64>,
) -> Result<Counts, SearchError> {
    let counted = found.get(..COUNT_LIMIT).unwrap_or(found);
    let mut tally: HashMap<u32, u64> = HashMap::new();
    let mut select = connection.prepare_cached("SELECT facets FROM record WHERE id = ?1")?;
    for id in counted {
        let mut rows = select.query([id])?;
        if let Some(row) = rows.next()? {
            for value in unpack(row.get_ref(0)?.as_blob().unwrap_or_default()) {
                *tally.entry(value).or_default() += 1;
            }
        }
    }
    let mut facets: Vec<FacetCount> = tally
        .into_iter()
        .filter_map(|(value, records)| {
            let (facet, value) = state.values.get(value)?;
            Facet::COUNTED.contains(&facet).then(|| FacetCount { facet, value: value.to_owned(), records })
        })
        .collect();
    let order = |facet: Facet| Facet::COUNTED.iter().position(|one| *one == facet);
    facets.sort_by(|a, b| {
        let key = |one: &FacetCount| (order(one.facet), std::cmp::Reverse(one.records));
        key(a).cmp(&key(b)).then_with(|| a.value.cmp(&b.value))
    });
    let mut named: HashMap<Facet, usize> = HashMap::new();
    facets.retain(|one| {
        let named = named.entry(one.facet).or_default();
        *named += 1;
        *named <= COUNTED_VALUES
    });
    let more = found.len() > COUNT_LIMIT || stopped.is_some();
    Ok(Counts { records: counted.len() as u64, more, facets })
}
