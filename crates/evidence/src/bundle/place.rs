//! Where a period begins and ends in the log.

use audit::{Checkpoint, Frontier, Hash, Note, leaf_hash, node_hash};
use domain::Malformed;
use domain::time::Timestamp;
use store::Store;

use super::BundleError;
use crate::moment;

/// A place that somebody named: an index, or a moment and the first entry that is not before it.
pub(crate) struct Place {
    pub(crate) index: u64,
    pub(crate) moment: Option<Timestamp>,
}

/// The place that a text names, in a log of so many entries.
pub(crate) async fn read(store: &dyn Store, text: &str, size: u64) -> Result<Place, BundleError> {
    if let Ok(index) = text.parse::<u64>() {
        return Ok(Place { index: index.min(size), moment: None });
    }
    let time = moment::read(text).ok_or_else(|| Malformed::Value {
        what: "place in the log",
        value: domain::text::cut(text, 64).to_owned(),
        why: "an index, a date like `2027-01-15`, or a time like `2027-01-15T08:00:00Z` is expected",
    })?;
    Ok(Place { index: store::first_since(store, time, size).await?, moment: Some(time) })
}

/// A leaf's bytes; none where it was pruned.
pub(crate) async fn leaf(store: &dyn Store, index: u64) -> Result<Vec<u8>, BundleError> {
    let leaves = store.leaves(index, index + 1).await?;
    leaves.into_iter().next().ok_or_else(|| BundleError::Corrupt(format!("there is no entry {index}")))
}

/// A leaf's hash, whether its bytes are there or were pruned.
pub(crate) async fn hash(store: &dyn Store, index: u64) -> Result<Hash, BundleError> {
    let leaf = leaf(store, index).await?;
    if !leaf.is_empty() {
        return Ok(leaf_hash(&leaf));
    }
    let width = u64::from(audit::TILE_WIDTH);
    let within = u16::try_from(index % width).unwrap_or(u16::MAX);
    let tile = store.tile(0, index / width, within.saturating_add(1)).await?;
    let last =
        tile.last().ok_or_else(|| BundleError::Corrupt(format!("the hash of entry {index} is gone")))?;
    Hash::try_from(last.as_slice()).map_err(|error| BundleError::Corrupt(error.to_string()))
}

/// The right edge of the tree of the first `size` entries, from the inclusion proof of its last leaf: every sibling on
/// that leaf's path stands on the left, so the path's lower part makes the last perfect subtree, and what is left of
/// the proof are the others.
pub(crate) async fn frontier(store: &dyn Store, size: u64) -> Result<Frontier, BundleError> {
    let Some(last) = size.checked_sub(1) else { return Ok(Frontier::new()) };
    let proof = store.inclusion(last, size).await?;
    let siblings = proof.iter().map(|hash| Hash::try_from(hash.as_slice()));
    let siblings: Vec<Hash> =
        siblings.collect::<Result<_, _>>().map_err(|error| BundleError::Corrupt(error.to_string()))?;
    let height = size.trailing_zeros() as usize;
    let (within, others) = siblings.split_at(height.min(siblings.len()));
    let subtree = within.iter().fold(hash(store, last).await?, |right, left| node_hash(*left, right));
    let edge = others.iter().rev().copied().chain(std::iter::once(subtree)).collect();
    Frontier::from_parts(size, edge).map_err(|error| BundleError::Corrupt(error.to_string()))
}

/// The size of the tree that a note says that it is of; nothing of it is checked.
pub(crate) fn size_of(note: &str) -> Result<u64, Malformed> {
    let bad = |_| Malformed::Value {
        what: "checkpoint",
        value: domain::text::cut(note, 64).to_owned(),
        why: "a signed checkpoint of this log is expected",
    };
    Ok(Note::parse(note.as_bytes()).map_err(bad)?.text().parse::<Checkpoint>().map_err(bad)?.size())
}
