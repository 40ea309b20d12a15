//! The two clocks: the system's, read once, and one that tests turn by hand.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use domain::time::Timestamp;

use crate::Clock;

/// The system's clock: the wall clock once, at construction, and the monotonic clock from there on.
///
/// It never goes back within a process, whatever an operator or NTP does to the wall clock. The price:
/// a wall clock that is stepped later is followed from the next start on, and time that the machine
/// spends suspended may be missing until then (Linux' `CLOCK_MONOTONIC` does not count it).
#[derive(Debug)]
pub struct SystemClock {
    wall: Duration,
    started: Instant,
}

impl SystemClock {
    /// Reads the wall clock: the one place that does.
    #[must_use]
    #[allow(
        clippy::disallowed_methods,
        reason = "the one place that reads the wall clock; everybody else asks the store"
    )]
    pub fn new() -> Self {
        // A wall clock before 1970 is wrong anyway; the log's head keeps commits from going back.
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { wall, started: Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let micros = self.wall.saturating_add(self.started.elapsed()).as_micros();
        Timestamp::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
    }
}

/// A clock that stands still until a test turns it, in either direction.
#[derive(Debug)]
pub struct ManualClock(AtomicU64);

impl ManualClock {
    /// A clock that stands at this moment.
    #[must_use]
    pub fn new(at: Timestamp) -> Self {
        Self(AtomicU64::new(at.micros()))
    }

    /// Turns the clock, forward or back.
    pub fn set(&self, at: Timestamp) {
        self.0.store(at.micros(), Ordering::SeqCst);
    }

    /// Turns the clock forward.
    pub fn forward(&self, by: Duration) {
        let micros = u64::try_from(by.as_micros()).unwrap_or(u64::MAX);
        self.0.fetch_add(micros, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(Ordering::SeqCst))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_clock_stands_in_this_century_and_never_goes_back() {
        let clock = SystemClock::new();
        let mut last = clock.now();
        assert!(last > Timestamp::from_micros(1_700_000_000_000_000), "{last:?}");
        for _ in 0..1_000 {
            let now = clock.now();
            assert!(now >= last);
            last = now;
        }
    }
}
