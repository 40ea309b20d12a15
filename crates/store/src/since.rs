//! Where in the log a moment falls.

use domain::canonical;
use domain::entry::Leaf;
use domain::time::Timestamp;

use crate::{Ledger, StoreError};

/// The index of the first of `size` entries that was committed at a moment or after it, `size` where none was: time never
/// falls in the log. Of entries whose leaves were pruned none counts as so late.
///
/// # Errors
/// Store failures, and [`StoreError::Corrupt`] for a leaf that does not read.
pub async fn first_since<L: Ledger + ?Sized>(
    ledger: &L,
    moment: Timestamp,
    size: u64,
) -> Result<u64, StoreError> {
    let (mut low, mut high) = (0, size);
    while low < high {
        let middle = low + (high - low) / 2;
        let leaf = ledger.leaves(middle, middle + 1).await?.into_iter().next().unwrap_or_default();
        // What was pruned is older than what stands.
        let is_before = leaf.is_empty() || time(middle, &leaf)? < moment;
        if is_before { low = middle + 1 } else { high = middle }
    }
    Ok(low)
}

fn time(index: u64, leaf: &[u8]) -> Result<Timestamp, StoreError> {
    let leaf = canonical::read::<Leaf>(leaf);
    leaf.map(|leaf| leaf.time).map_err(|error| StoreError::Corrupt(format!("entry {index}: {error}")))
}
