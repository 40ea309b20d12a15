//! PostgreSQL's patience: who waits for which approval, in their own session, and how it is handed to them.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use domain::commitment::Fields;
use domain::digest::Digest;
use domain::grant::Redemption;
use domain::id::ActionId;
use domain::outcome::Outcome;
use gateway::store::Recorded;
use tokio::sync::oneshot;

/// An approval that was spent, on its way to the session that runs it. It cannot be copied: what was not recorded
/// cannot be run, and what was handed over once is not there a second time.
pub(crate) struct Released {
    pub(crate) redemption: Recorded<Redemption>,
    /// The digest of the action that was approved.
    pub(crate) action: Digest,
    /// What was approved, as it was stored, held against that digest.
    pub(crate) payload: Fields,
    /// Takes what came of it.
    pub(crate) end: oneshot::Sender<Outcome>,
}

/// Who waits for what, in this process.
#[derive(Default)]
pub(crate) struct Waiters {
    seats: Mutex<HashMap<ActionId, VecDeque<oneshot::Sender<Released>>>>,
}

/// One session that waits; leaving drops it.
pub(crate) struct Seat {
    waiters: Arc<Waiters>,
    id: ActionId,
    released: oneshot::Receiver<Released>,
}

impl Waiters {
    /// Takes a place behind those who wait for the same.
    pub(crate) fn sit(self: &Arc<Self>, id: ActionId) -> Seat {
        let (hand, released) = oneshot::channel();
        self.lock().entry(id).or_default().push_back(hand);
        Seat { waiters: Arc::clone(self), id, released }
    }

    /// Whether somebody waits for it.
    pub(crate) fn is_awaited(&self, id: ActionId) -> bool {
        self.lock().get(&id).is_some_and(|seats| seats.iter().any(|hand| !hand.is_closed()))
    }

    /// Hands it to whoever has waited longest; gives it back where nobody waits any more.
    pub(crate) fn hand_over(&self, id: ActionId, mut released: Released) -> Result<(), Box<Released>> {
        while let Some(hand) = self.lock().get_mut(&id).and_then(VecDeque::pop_front) {
            match hand.send(released) {
                Ok(()) => return Ok(()),
                // Its session has left meanwhile.
                Err(back) => released = back,
            }
        }
        Err(Box::new(released))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ActionId, VecDeque<oneshot::Sender<Released>>>> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seat {
    /// Waits for it to be handed over. Never ends where somebody else got it.
    pub(crate) async fn released(&mut self) -> Released {
        match (&mut self.released).await {
            Ok(released) => released,
            Err(_) => std::future::pending().await,
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.released.close();
        let mut seats = self.waiters.lock();
        if let Some(waiting) = seats.get_mut(&self.id) {
            waiting.retain(|hand| !hand.is_closed());
            if waiting.is_empty() {
                seats.remove(&self.id);
            }
        }
    }
}
