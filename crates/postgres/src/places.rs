//! How many sessions each principal has.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The sessions of all principals that have one.
#[derive(Default)]
pub(crate) struct Places(Mutex<HashMap<String, usize>>);

/// A principal's place, until it is dropped.
pub(crate) struct Place {
    places: Arc<Places>,
    principal: String,
}

impl Places {
    /// A place for one more session of a principal that may have `most`.
    pub(crate) fn take(self: &Arc<Places>, principal: String, most: usize) -> Option<Place> {
        let mut counts = self.lock();
        let count = counts.get(&principal).copied().unwrap_or(0);
        if count >= most {
            return None;
        }
        counts.insert(principal.clone(), count + 1);
        Some(Place { places: Arc::clone(self), principal })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, usize>> {
        // Nothing in here can be left half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.places.lock();
        match counts.get_mut(&self.principal) {
            Some(count) if *count > 1 => *count -= 1,
            Some(_) | None => {
                counts.remove(&self.principal);
            }
        }
    }
}
