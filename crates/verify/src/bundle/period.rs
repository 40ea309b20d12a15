//! A population: the tree is rebuilt from all leaves of the period, so that none can be left out, put in or moved.

use std::io::Read;

use audit::{Frontier, Hash, leaf_hash, verify_consistency};
use domain::canonical::{self, INTEGER_LIMIT};
use domain::commitment::Disclosure;
use domain::entry::Leaf;

use super::lines::Files;
use super::manifest::{LEAVES, LeafLine, PERIOD, PERIOD_LIMIT_BYTES, Period};
use super::{Check, Population, Reading};
use crate::head::Head;
use crate::log::{Proven, belongs, fits, hashes};

/// Reads `period.json`.
pub(super) fn read(files: &mut Files<impl Read>) -> Result<Period, String> {
    let bytes = files.whole(PERIOD, PERIOD_LIMIT_BYTES)?;
    let period: Period = canonical::read_exact(&bytes).map_err(|error| format!("`{PERIOD}`: {error}"))?;
    if period.first < period.end { Ok(period) } else { Err("the period has no entries".to_owned()) }
}

impl Reading<'_> {
    /// Reads every leaf of the period and proves that they are the log's.
    pub(super) fn population(
        &mut self,
        check: &mut Check<'_>,
        files: &mut Files<impl Read>,
        period: &Period,
        before: Option<&Head>,
    ) -> Result<Population, String> {
        let edge = hashes(&period.frontier).map_err(|error| format!("the period's first tree: {error}"))?;
        let mut tree = Frontier::from_parts(period.first, edge)
            .map_err(|error| format!("the period's first tree: {error}"))?;
        let first_root = tree.root();
        if let Some(before) = before
            && (before.checkpoint.size() != period.first || before.checkpoint.root() != first_root)
        {
            return Err("the earlier checkpoint is not of the tree that the period goes on from".to_owned());
        }
        files.each_line(LEAVES, |line| {
            let index = tree.size();
            if index >= period.end {
                return Err("the period has more entries than the manifest says".to_owned());
            }
            match self.leaf(check, line, index) {
                Ok(hash) => tree.append(hash).map(drop).map_err(|error| error.to_string())?,
                Err(reason) => return Err(format!("entry {index}: {reason}")),
            }
            check.bearable()
        })?;
        if tree.size() != period.end {
            return Err(format!(
                "the period has {} entries of {}",
                tree.size() - period.first,
                period.end - period.first
            ));
        }
        let head = &self.head.checkpoint;
        let proof =
            hashes(&period.consistency).map_err(|error| format!("the period's last tree: {error}"))?;
        verify_consistency(period.end, tree.root(), head.size(), head.root(), &proof).map_err(|error| {
            format!("the period's entries are not those that the checkpoint signed: {error}")
        })?;
        self.ends_where_it_must(period)?;
        if self.counts.pruned > 0 {
            check.missing.push(format!(
                "{} entries of the period were pruned: that they stood there is proven, what they said is not shown",
                self.counts.pruned
            ));
        }
        Ok(Population {
            first: period.first,
            end: period.end,
            since: period.since,
            until: period.until,
            pruned: self.counts.pruned,
            before: before.map(|_| first_root.to_string()),
        })
    }

    /// A line of `leaves.jsonl`: its hash. What it says is proven only when the tree is.
    fn leaf(&mut self, check: &mut Check<'_>, line: &[u8], index: u64) -> Result<Hash, String> {
        let line: LeafLine = typed(line).map_err(|error| error.to_string())?;
        let bytes = match (line.leaf, line.hash) {
            (Some(leaf), None) => leaf.0,
            (None, Some(hash)) if line.fields.is_none() && line.payload.is_none() => {
                self.counts.lines += 1;
                self.counts.pruned += 1;
                self.replay.pruned();
                return Hash::try_from(hash.0.as_slice()).map_err(|error| error.to_string());
            }
            _ => return Err("it has a leaf, or the hash of one that was pruned and nothing else".to_owned()),
        };
        let leaf: Leaf = typed(&bytes).map_err(|error| format!("its leaf cannot be read: {error}"))?;
        if leaf.time.micros() > INTEGER_LIMIT {
            return Err("its leaf cannot be read: its time is beyond 2^53".to_owned());
        }
        belongs(&leaf, self.origin)?;
        let fields = match line.fields {
            Some(fields) => {
                fits(&leaf, &fields)?;
                fields
            }
            // Nothing of them is shown. No commitment is made up: whatever asks for one finds it withheld.
            None => unshown(&leaf),
        };
        let hash = leaf_hash(&bytes);
        let proven = Proven { index, leaf, fields };
        if let Err(reason) = self.take(check, &proven, line.payload) {
            check.against(reason);
        }
        Ok(hash)
    }

    /// Whether the entries outside of the period show that it leaves none out that its moments ask for.
    fn ends_where_it_must(&self, period: &Period) -> Result<(), String> {
        let head = &self.head.checkpoint;
        match (period.since, self.edges.before) {
            (None, _) => {}
            (Some(_), None) if period.first == 0 => {}
            (Some(_), None) => {
                return Err(
                    "the entry before the period is missing: an earlier one may be left out".to_owned()
                );
            }
            (Some(since), Some(before)) if before >= since => {
                return Err("the entry before the period belongs into it".to_owned());
            }
            (Some(_), Some(_)) => {}
        }
        match (period.until, self.edges.behind) {
            _ if period.end == head.size() => Ok(()),
            (None, _) => Ok(()),
            (Some(_), None) => {
                Err("the entry behind the period is missing: a later one may be left out".to_owned())
            }
            (Some(until), Some(behind)) if behind < until => {
                Err("the entry behind the period belongs into it".to_owned())
            }
            (Some(_), Some(_)) => Ok(()),
        }
    }
}

/// Reads JSON straight into its type, which takes a third of the time of [`domain::canonical::read`]: there are a
/// million lines. A type without maps refuses duplicate and unknown keys by itself, and one without floats refuses every
/// number that is no integer; integers beyond 2^53 are left to the caller. Its members see to it that an object is no
/// list and a word no object; that the whole is an object is seen here.
#[allow(clippy::disallowed_methods, reason = "for these types it is as strict, see above")]
fn typed<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Result<T, serde_json::Error> {
    if bytes.trim_ascii_start().first() != Some(&b'{') {
        return Err(serde::de::Error::custom("an object is expected"));
    }
    serde_json::from_slice(bytes)
}

/// As many withheld fields as the leaf counts; their commitments are not known and not told.
fn unshown(leaf: &Leaf) -> Vec<Disclosure> {
    let unknown = domain::digest::Digest::from_bytes([0; 32]);
    let count = usize::try_from(leaf.count).unwrap_or(usize::MAX).min(domain::commitment::FIELDS_LIMIT);
    vec![Disclosure::Withheld(unknown); count]
}
