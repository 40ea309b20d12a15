//! Moments as people name them, and where in the log they fall.

use domain::canonical;
use domain::entry::Leaf;
use domain::time::Timestamp;
use store::{Ledger, StoreError};

/// Reads a time (RFC 3339), or a date, which is its midnight in UTC; nothing before 1970.
pub(crate) fn read(text: &str) -> Option<Timestamp> {
    let time = text.parse::<jiff::Timestamp>().ok().or_else(|| {
        let date = text.parse::<jiff::civil::Date>().ok().filter(|_| text.len() == "2027-01-15".len())?;
        Some(date.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp())
    })?;
    u64::try_from(time.as_microsecond()).ok().map(Timestamp::from_micros)
}

/// The index of the first of `size` entries that was committed at a moment or after it: time never falls in the log.
///
/// # Errors
/// Store failures, and [`StoreError::Corrupt`] for a leaf that does not read.
pub(crate) async fn first_since<L: Ledger + ?Sized>(
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

#[cfg(test)]
mod tests {
    use super::read;

    #[test]
    fn a_date_is_its_midnight_in_utc() {
        let cases = [
            ("2026-11-01", Some(1_793_491_200_000_000)),
            ("2026-11-01T00:00:00Z", Some(1_793_491_200_000_000)),
            ("2026-11-01T01:00:00+01:00", Some(1_793_491_200_000_000)),
            ("1969-12-31", None),
            ("20261101", None),
            ("2026-11", None),
            ("2026-13-01", None),
            ("yesterday", None),
            ("", None),
        ];
        for (text, micros) in cases {
            assert_eq!(read(text).map(|time| time.micros()), micros, "{text}");
        }
    }
}
