//! What this process has spent: it runs what it has heard of, and nobody runs the rest.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use domain::id::ActionId;
use uuid::Uuid;

use super::Shared;
use super::writer::Told;

/// How long what may have been spent unheard is looked for. Whoever looks does so every few seconds.
const REMEMBERED: Duration = Duration::from_secs(3_600);

/// The approvals that this process has spent and that have not come to their end.
#[derive(Debug, Default)]
pub(super) struct Spent {
    /// Somebody here runs them.
    heard: BTreeSet<ActionId>,
    /// They may be spent, and nobody here knows that they are.
    unheard: BTreeMap<ActionId, Instant>,
}

impl Spent {
    /// Notes how the answer to a redemption went. A second try that fails takes nothing away from one that was heard.
    pub(super) fn note(&mut self, id: ActionId, how: Told) {
        match how {
            Told::Heard => {
                self.heard.insert(id);
            }
            Told::ToNobody => {
                self.heard.remove(&id);
                self.unheard.insert(id, Instant::now());
            }
            Told::Unclear => {
                self.unheard.insert(id, Instant::now());
            }
        }
    }

    /// It has come to its end.
    pub(super) fn forget(&mut self, id: ActionId) {
        self.heard.remove(&id);
        self.unheard.remove(&id);
    }

    /// What nobody here runs.
    pub(super) fn unheard(&mut self) -> Vec<Uuid> {
        self.unheard.retain(|_, since| since.elapsed() < REMEMBERED);
        self.unheard.keys().filter(|id| !self.heard.contains(id)).map(|id| id.uuid()).collect()
    }
}

impl Shared {
    pub(super) fn spent(&self) -> MutexGuard<'_, Spent> {
        self.spent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use domain::time::Timestamp;

    use super::*;

    #[test]
    fn what_somebody_runs_is_never_among_what_nobody_does() {
        let id = |n| ActionId::new(Timestamp::ZERO, &[n; 10]);
        let mut spent = Spent::default();
        spent.note(id(1), Told::Heard);
        spent.note(id(2), Told::Heard);
        spent.note(id(2), Told::ToNobody);
        spent.note(id(3), Told::Unclear);
        // Whichever of two tries is heard of first.
        spent.note(id(4), Told::Unclear);
        spent.note(id(4), Told::Heard);
        spent.note(id(1), Told::Unclear);
        assert_eq!(spent.unheard(), [id(2).uuid(), id(3).uuid()]);
        for n in 1..=4 {
            spent.forget(id(n));
        }
        assert_eq!(spent.unheard(), Vec::<Uuid>::new());
        assert!(spent.heard.is_empty());
    }
}
