//! How long to wait between tries: doubling from half a second to a minute, and a random part of that, so that
//! many sinks do not come back at once (AWS, "Exponential Backoff and Jitter").

use std::time::Duration;

use crate::limits::{PAUSE_FIRST, PAUSE_LONGEST};

/// The pause after so many failures in a row, at least one; `random` picks a point between half of it and the whole.
/// A receiver that asks for more gets it.
#[must_use]
pub fn pause(failures: u32, random: u32, asked: Option<Duration>) -> Duration {
    let doublings = failures.saturating_sub(1).min(16);
    let whole = PAUSE_FIRST.saturating_mul(1 << doublings).min(PAUSE_LONGEST);
    let half = whole / 2;
    let part = half.mul_f64(f64::from(random) / f64::from(u32::MAX));
    let asked = asked.unwrap_or_default().min(PAUSE_LONGEST);
    (half + part).max(asked)
}
