//! The conditions of one permit, looked at while its statement runs. No messages here.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::parse::backend::Column;
use crate::permit::{Beyond, Bounds, Mask, Recheck, Results, RowLimit, Rows, TableBounds};
use crate::reply::{Refusal, State};

/// Asks how many rows of each table the transaction has written so far; not at all where the server does not count.
pub(crate) const COUNTS: &str = "SELECT relid::pg_catalog.text, n_tup_ins::pg_catalog.text, \
    n_tup_upd::pg_catalog.text, n_tup_del::pg_catalog.text FROM pg_catalog.pg_stat_xact_user_tables \
    WHERE n_tup_ins + n_tup_upd + n_tup_del > 0 \
    UNION ALL SELECT NULL, NULL, NULL, NULL WHERE NOT pg_catalog.current_setting('track_counts')::pg_catalog.bool";

/// What is asked of one statement.
#[derive(Default)]
pub(crate) struct Terms {
    pub(crate) recheck: Option<Recheck>,
    pub(crate) bounds: Option<Bounds>,
    mask: Option<Box<dyn Mask>>,
    limit: Option<RowLimit>,
    /// The columns that the mask has to see, once it has seen what they are.
    seen: Option<Vec<usize>>,
    rows: u64,
    /// Rows written to each table before the statement, by the server's counts.
    before: Option<Counts>,
}

/// Rows inserted, updated and deleted, by table.
type Counts = BTreeMap<u32, [u64; 3]>;

/// What becomes of a row.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Row {
    /// It goes as it is.
    Pass,
    /// It has to be read whole, for [`Terms::mask`].
    Look,
    /// It does not go.
    Cut,
}

impl Terms {
    pub(crate) fn new(recheck: Option<Recheck>, bounds: Option<Bounds>, results: Option<Results>) -> Terms {
        let Results { mask, rows } = results.unwrap_or_default();
        Terms { recheck, bounds, mask, limit: rows, ..Terms::default() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.recheck.is_none() && self.bounds.is_none() && !self.shapes_rows()
    }

    /// Whether the statement has to be in a transaction that ends as we say.
    pub(crate) fn checks(&self) -> bool {
        self.recheck.is_some() || self.bounds.is_some()
    }

    /// Whether rows do not simply go.
    pub(crate) fn shapes_rows(&self) -> bool {
        self.mask.is_some() || self.limit.is_some()
    }

    /// Whether the columns have to be asked for.
    pub(crate) fn needs_columns(&self) -> bool {
        self.mask.is_some() && self.seen.is_none()
    }

    pub(crate) fn counts_tables(&self) -> bool {
        self.bounds.as_ref().is_some_and(|bounds| bounds.tables.is_some())
    }

    pub(crate) fn columns(&mut self, columns: &[Column]) -> Result<(), Refusal> {
        if let Some(mask) = &mut self.mask {
            let mut seen = mask.columns(columns)?;
            seen.sort_unstable();
            seen.dedup();
            self.seen = Some(seen);
        }
        Ok(())
    }

    /// What becomes of the next row.
    pub(crate) fn row(&mut self) -> Result<Row, Refusal> {
        self.rows = self.rows.saturating_add(1);
        match self.limit {
            Some(limit) if self.rows > limit.most => match limit.beyond {
                Beyond::Cut => return Ok(Row::Cut),
                Beyond::Refuse => {
                    let message =
                        format!("the statement gives more than {} rows, as many as are allowed", limit.most);
                    return Err(Refusal::new(State::LIMIT, message).with_hint("ask for fewer rows"));
                }
            },
            Some(_) | None => {}
        }
        match (&self.mask, &self.seen) {
            (None, _) => Ok(Row::Pass),
            (Some(_), Some(seen)) if seen.is_empty() => Ok(Row::Pass),
            (Some(_), Some(_)) => Ok(Row::Look),
            (Some(_), None) => Err(Refusal::new(State::DENIED, "rows came whose columns are not known")),
        }
    }

    /// Whether rows were left out.
    pub(crate) fn has_cut(&self) -> Option<RowLimit> {
        self.limit.filter(|limit| self.rows > limit.most)
    }

    pub(crate) fn mask(&mut self, row: &mut [Option<Bytes>]) -> Result<(), Refusal> {
        let (Some(mask), Some(seen)) = (&mut self.mask, &self.seen) else { return Ok(()) };
        for place in seen {
            let Some(value) = row.get_mut(*place) else {
                return Err(Refusal::new(State::DENIED, "a row has fewer columns than were told of"));
            };
            *value = mask.value(*place, value.take())?;
        }
        Ok(())
    }

    /// Whether an answer is what it was when people looked.
    pub(crate) fn is_as_expected(&self, rows: &Rows) -> Result<(), Refusal> {
        if self.recheck.as_ref().is_none_or(|recheck| recheck.expected == *rows) {
            return Ok(());
        }
        let refusal =
            Refusal::new(State::CHANGED, "what this statement meets is not what was approved any more");
        Err(refusal.with_hint("send it again: it is asked about anew"))
    }

    /// Notes what was written before the statement.
    pub(crate) fn counted_before(&mut self, rows: &Rows) -> Result<(), Refusal> {
        self.before = Some(counts(rows)?);
        Ok(())
    }

    /// Whether the statement wrote what it may, where `rows` say what was written by then.
    pub(crate) fn counted_after(&self, rows: &Rows) -> Result<(), Refusal> {
        let Some(tables) = self.bounds.as_ref().and_then(|bounds| bounds.tables.as_ref()) else {
            return Ok(());
        };
        let (before, mut after) = (self.before.clone().unwrap_or_default(), counts(rows)?);
        for (table, earlier) in before {
            for (now, earlier) in after.entry(table).or_default().iter_mut().zip(earlier) {
                *now = now.checked_sub(earlier).ok_or_else(no_counts)?;
            }
        }
        for TableBounds { table, inserted, updated, deleted } in tables {
            let written = after.remove(table).unwrap_or_default();
            for ((count, bound), what) in
                written.iter().zip([inserted, updated, deleted]).zip(["inserted", "updated", "deleted"])
            {
                if !bound.contains(count) {
                    let detail = format!("in the table with OID {table} {count} rows were {what}");
                    return Err(out_of_bounds(format!("{detail}, and {} were approved", range(bound))));
                }
            }
        }
        match after.into_iter().find(|(_, written)| written.iter().any(|count| *count > 0)) {
            Some((table, _)) => Err(out_of_bounds(format!("it wrote to the table with OID {table}"))),
            None => Ok(()),
        }
    }

    /// Whether the statement affected as many rows as it may, by its tag.
    pub(crate) fn affected(&self, tag: Option<&Bytes>) -> Result<(), Refusal> {
        let Some(Bounds { affected, .. }) = &self.bounds else { return Ok(()) };
        let count = tag.map_or(0, count_of);
        if affected.contains(&count) {
            return Ok(());
        }
        Err(out_of_bounds(format!("{count} rows were affected, and {} were approved", range(affected))))
    }
}

impl std::fmt::Debug for Terms {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Terms")
            .field("recheck", &self.recheck)
            .field("bounds", &self.bounds)
            .finish_non_exhaustive()
    }
}

/// What a tag counts: its last word, if that is a number.
fn count_of(tag: &Bytes) -> u64 {
    let last = tag.rsplit(|byte| *byte == b' ').next().and_then(|word| std::str::from_utf8(word).ok());
    last.and_then(|word| word.parse().ok()).unwrap_or(0)
}

fn counts(rows: &Rows) -> Result<Counts, Refusal> {
    let number = |value: &Option<Bytes>| std::str::from_utf8(value.as_ref()?).ok()?.parse::<u64>().ok();
    let mut counts = Counts::new();
    for row in rows {
        let [table, inserted, updated, deleted] = row.as_slice() else { return Err(no_counts()) };
        let table = number(table).and_then(|table| u32::try_from(table).ok());
        let (Some(table), Some(inserted), Some(updated), Some(deleted)) =
            (table, number(inserted), number(updated), number(deleted))
        else {
            return Err(no_counts());
        };
        counts.insert(table, [inserted, updated, deleted]);
    }
    Ok(counts)
}

fn no_counts() -> Refusal {
    Refusal::new(State::NOT_SUPPORTED, "the server does not count what this statement writes")
        .with_detail("what it may do is bound by table")
        .with_hint("turn track_counts on")
}

fn out_of_bounds(detail: String) -> Refusal {
    Refusal::new(State::CHANGED, "the statement did something else than was approved, and was rolled back")
        .with_detail(detail)
        .with_hint("send it again: it is asked about anew")
}

fn range(range: &std::ops::RangeInclusive<u64>) -> String {
    match (range.start(), range.end()) {
        (start, end) if start == end => start.to_string(),
        (0, end) => format!("at most {end}"),
        (start, &u64::MAX) => format!("at least {start}"),
        (start, end) => format!("{start} to {end}"),
    }
}
