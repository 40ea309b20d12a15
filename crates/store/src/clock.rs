//! The two clocks: the system's, read once, and one that tests turn by hand.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use domain::time::Timestamp;

use crate::Clock;

/// So much slower than the machine's time goes by does the log's, while the machine's clock is behind the log.
const BEHIND_SLOWER: u32 = 2;

/// The system's clock: the wall clock once, at construction, and the monotonic clock from there on.
///
/// It never goes back within a process, whatever an operator or NTP does to the wall clock. The price:
/// a wall clock that is stepped later is followed from the next start on, and time that the machine
/// spends suspended may be missing until then (Linux' `CLOCK_MONOTONIC` does not count it).
///
/// A wall clock that was set back between two starts is behind the log. Then time goes on from the log's last
/// entry at half its speed until the wall clock is there: no entry is older than the one before it, and what lapses (grants,
/// tokens, sessions) lapses after twice its time at the latest.
#[derive(Debug)]
pub struct SystemClock {
    wall: Duration,
    started: Instant,
    /// Where the log was ahead of the wall clock, and since when it goes on from there.
    resumed: OnceLock<(Timestamp, Instant)>,
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
        Self { wall, started: Instant::now(), resumed: OnceLock::new() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let machine = self.machine();
        let Some((head, since)) = self.resumed.get() else { return machine };
        let gone = (since.elapsed() / BEHIND_SLOWER).as_micros();
        let resumed = head.micros().saturating_add(u64::try_from(gone).unwrap_or(u64::MAX));
        machine.max(Timestamp::from_micros(resumed))
    }

    fn resume(&self, head: Timestamp) {
        let machine = self.machine();
        if head <= machine {
            return;
        }
        let behind = head.since(machine).as_secs();
        // Gateways that share a store differ by less.
        if behind > 0 {
            tracing::warn!(
                behind,
                "the machine's clock is so many seconds behind the log's last entry; the log's time goes on from there \
                 at half its speed until the clock is there: set the clock right"
            );
        }
        // A clock is resumed once, by the store that is opened with it.
        let _ = self.resumed.set((head, Instant::now()));
    }

    fn machine(&self) -> Timestamp {
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

    #[test]
    fn a_clock_behind_its_log_goes_on_from_there_and_does_not_stand_still() {
        const DAY: u64 = 86_400_000_000;
        let clock = SystemClock::new();
        let head = Timestamp::from_micros(clock.now().micros() + DAY);
        clock.resume(head);
        let start = Instant::now();
        let first = clock.now();
        assert!(first >= head);
        std::thread::sleep(Duration::from_millis(60));
        let (gone, most) = (clock.now().since(first), start.elapsed());
        assert!(gone >= Duration::from_millis(30) && gone <= most, "{gone:?} in {most:?}");
        assert!(clock.machine() < head, "the machine's own time is still told");

        // One that is ahead of its log is left alone.
        let clock = SystemClock::new();
        clock.resume(Timestamp::from_micros(clock.now().micros() - DAY));
        assert!(clock.now().since(clock.machine()) < Duration::from_secs(1));
    }
}
