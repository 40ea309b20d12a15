//! The right to feed a sink, where several gateways share one store: one has it at a time.
//!
//! Time is cut into terms of [`LEASE_SECONDS`]. A term is claimed once, in the vault; whoever has this one
//! may claim the next before it begins, and everybody else only once it has begun. Two gateways whose clocks
//! differ can both send for a moment: then events arrive twice, with the same ids, and none is lost, since a place is
//! only ever moved behind what its mover delivered.

use domain::time::{Span, Timestamp};
use store::Store;

use crate::EvidenceError;
use crate::limits::LEASE_SECONDS;

/// One gateway's claim to feed one sink.
#[derive(Debug)]
pub struct Lease {
    key: String,
    /// The last term that this gateway has.
    term: Option<u64>,
}

impl Lease {
    /// A claim that holds nothing yet.
    #[must_use]
    pub fn new(sink: &str) -> Self {
        Self { key: format!("sink/{sink}/lease"), term: None }
    }

    /// Whether this gateway may send now. Takes the term, or the next one, where that is free.
    ///
    /// # Errors
    /// Store failures: then nobody sends.
    pub async fn holds(&mut self, store: &dyn Store, now: Timestamp) -> Result<bool, EvidenceError> {
        let seconds = now.micros() / 1_000_000;
        let term = seconds / LEASE_SECONDS;
        if self.term.is_none_or(|held| held < term) {
            if !self.claim(store, term).await? {
                self.term = None;
                return Ok(false);
            }
            self.term = Some(term);
        }
        let half_gone = seconds % LEASE_SECONDS >= LEASE_SECONDS / 2;
        if half_gone && self.term == Some(term) && self.claim(store, term + 1).await? {
            self.term = Some(term + 1);
        }
        Ok(true)
    }

    async fn claim(&self, store: &dyn Store, term: u64) -> Result<bool, EvidenceError> {
        // Kept for longer than the term, so that nobody takes it again at its end.
        let lifetime = Span::from_seconds(LEASE_SECONDS * 4);
        Ok(store.claim(&format!("{}/{term}", self.key), lifetime).await?)
    }
}
