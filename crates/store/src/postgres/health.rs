//! How this process fares: whether its log is stopped, whether the anchor can be kept, whether its clock is right.

use std::fs::File;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::Shared;
use crate::StoreError;
use crate::embedded::anchor::Anchor;

/// So many failures in a row stop the log; as many of the anchor, and nothing is written until it can be kept again.
const FAILURES_LIMIT: u32 = 3;

pub(super) struct Health(Mutex<State>);

struct State {
    anchor: Anchor,
    /// Held for as long as the anchor is this process's.
    lock: Option<File>,
    /// What the anchor is to hold.
    note: String,
    anchor_failures: u32,
    failures: u32,
    /// When the log last grew, or failed to.
    grew: Instant,
    stopped: Option<String>,
    /// What is wrong with the clock.
    skewed: Option<String>,
}

impl Health {
    pub(super) fn new(anchor: Anchor, lock: File, note: String) -> Self {
        Self(Mutex::new(State {
            anchor,
            lock: Some(lock),
            note,
            anchor_failures: 0,
            failures: 0,
            grew: Instant::now(),
            stopped: None,
            skewed: None,
        }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long the log has stood silent.
    pub(super) fn silent_for(&self) -> Duration {
        self.state().grew.elapsed()
    }

    pub(super) fn note_growth(&self) {
        let mut state = self.state();
        state.grew = Instant::now();
        state.failures = 0;
    }

    pub(super) fn set_skew(&self, skewed: Option<String>) {
        self.state().skewed = skewed;
    }

    /// Brings the synced anchor up to date when its time has come, and tries again what failed. Blocking.
    pub(super) fn tend_anchor(&self) {
        let mut state = self.state();
        let due = state.anchor.due().is_some_and(|due| due.is_zero());
        if state.anchor_failures > 0 {
            let note = state.note.clone();
            state.keep(note);
        } else if due {
            let synced = state.anchor.sync();
            state.count(synced);
        }
    }

    /// Leaves the anchor in order, and to whoever comes next. Blocking.
    pub(super) fn end(&self) {
        let mut state = self.state();
        let synced = state.anchor.sync();
        state.count(synced);
        drop(state.lock.take());
    }
}

impl State {
    fn keep(&mut self, note: String) {
        let kept = self.anchor.keep(&note);
        self.note = note;
        self.count(kept);
    }

    fn count(&mut self, kept: std::io::Result<()>) {
        match kept {
            Ok(()) => self.anchor_failures = 0,
            Err(error) => {
                tracing::error!(%error, "the anchor was not kept");
                self.anchor_failures = self.anchor_failures.saturating_add(1);
            }
        }
    }
}

impl Shared {
    /// Refuses to write while something is wrong.
    pub(super) fn check_health(&self) -> Result<(), StoreError> {
        let state = self.health.state();
        if let Some(why) = &state.stopped {
            return Err(StoreError::LogStopped(why.clone()));
        }
        // Without the anchor an old backup would pass.
        if state.anchor_failures >= FAILURES_LIMIT || (state.anchor_failures > 0 && !state.anchor.stands()) {
            return Err(StoreError::Failed("the anchor cannot be written".to_owned()));
        }
        match &state.skewed {
            Some(why) => Err(StoreError::Failed(why.clone())),
            None => Ok(()),
        }
    }

    /// Keeps the anchor of a log whose last process ended right after genesis, before it had one.
    pub(super) async fn begin_anchor(self: &std::sync::Arc<Self>) {
        let (stands, note) = {
            let state = self.health.state();
            (state.anchor.stands(), state.note.clone())
        };
        if !stands && !note.is_empty() {
            self.keep_anchor(note).await;
        }
    }

    /// Keeps a signed checkpoint outside the database, before anybody is answered.
    pub(super) async fn keep_anchor(self: &std::sync::Arc<Self>, note: String) {
        let shared = std::sync::Arc::clone(self);
        let kept = tokio::task::spawn_blocking(move || shared.health.state().keep(note)).await;
        if let Err(error) = kept {
            tracing::error!(%error, "the anchor's task broke off");
        }
    }

    /// What a failure of the sequencer's means: what does not fit stops the log, and so does what keeps failing.
    pub(super) fn judge(&self, error: StoreError) -> StoreError {
        let mut state = self.health.state();
        state.grew = Instant::now();
        state.failures = state.failures.saturating_add(1);
        let why = match &error {
            StoreError::LogStopped(why) | StoreError::Corrupt(why) => why.clone(),
            StoreError::Failed(why) if state.failures >= FAILURES_LIMIT => why.clone(),
            StoreError::Failed(_)
            | StoreError::Busy
            | StoreError::Stale
            | StoreError::Refused(_)
            | StoreError::NotFound(_) => return error,
        };
        if state.stopped.is_none() {
            tracing::error!(%why, "the log is stopped");
            state.stopped = Some(format!("{why}; look at the database, then start again"));
        }
        StoreError::LogStopped(state.stopped.clone().unwrap_or(why))
    }
}
