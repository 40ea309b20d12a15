//! One message a second into one conversation, and nothing at all while Slack asks for a pause. Pure: time is given.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::limits::{CONVERSATIONS, SPACING, TURN_PATIENCE};

/// Whose turn is when.
#[derive(Debug, Default)]
pub(super) struct Pace(Mutex<Turns>);

#[derive(Debug, Default)]
struct Turns {
    /// When each conversation takes its next message.
    next: HashMap<String, Turn>,
    /// Until when Slack wants to hear nothing.
    silent_until: Option<Instant>,
}

#[derive(Debug, Clone, Copy)]
struct Turn {
    /// When the next message goes.
    at: Instant,
    /// Until when turns were promised to those who were sent away: they come back one after the other.
    promised: Instant,
}

impl Pace {
    /// How long to wait before a message into a conversation, whose turn that then is.
    ///
    /// # Errors
    /// When to come back, where the wait is longer than [`TURN_PATIENCE`] or too many conversations wait: no turn is taken,
    /// and each who is sent away is told a later time.
    pub(super) fn turn(&self, channel: &str, now: Instant) -> Result<Duration, Duration> {
        let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let turn = turns.next.get(channel).copied();
        let free = turn.map_or(now, |turn| turn.at).max(now);
        let at = turns.silent_until.map_or(free, |until| free.max(until));
        let wait = at.saturating_duration_since(now);
        if turn.is_none() && turns.next.len() >= CONVERSATIONS {
            turns.next.retain(|_, turn| turn.at.max(turn.promised) > now);
            if turns.next.len() >= CONVERSATIONS {
                return Err(SPACING);
            }
        }
        if wait > TURN_PATIENCE {
            let promised = turn.map_or(at, |turn| turn.promised).max(at) + SPACING;
            turns.next.insert(channel.to_owned(), Turn { at: free, promised });
            return Err(promised.saturating_duration_since(now));
        }
        let promised = turn.map_or(now, |turn| turn.promised);
        turns.next.insert(channel.to_owned(), Turn { at: at + SPACING, promised });
        Ok(wait)
    }

    /// How long to wait before anything else than a message, such as a change of one.
    ///
    /// # Errors
    /// How long it would be, where that is longer than [`TURN_PATIENCE`].
    pub(super) fn quiet(&self, now: Instant) -> Result<Duration, Duration> {
        let turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let wait = turns.silent_until.map_or(Duration::ZERO, |until| until.saturating_duration_since(now));
        if wait > TURN_PATIENCE { Err(wait) } else { Ok(wait) }
    }

    /// Slack asked for a pause.
    pub(super) fn pause(&self, after: Duration, now: Instant) {
        let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let until = now + after;
        turns.silent_until = Some(turns.silent_until.map_or(until, |silent| silent.max(until)));
    }
}
