//! Moves what was committed from the write-ahead log into the database file, off the writer's thread: that takes a sync of
//! its own, and everybody would wait for it.
//!
//! Nothing hangs on it: what is committed is durable in the write-ahead log, and where this falls behind or fails the
//! writer does it itself, once the log has [`schema::WAL_PAGES`](super::schema::WAL_PAGES) pages. Only then, too, does the log
//! begin anew: as long as somebody writes, this leaves the newest pages to the writer, which finds few left to move.

use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use rusqlite::Connection;

use super::schema;
use crate::StoreError;

/// How much is committed before it is asked to move it, in bytes of values and leaves.
pub(super) const ASK_BYTES: usize = 8 << 20;

/// The way to the thread, which ends with this.
pub(super) struct Checkpointer {
    asking: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Checkpointer {
    /// Starts the thread, with a connection of its own.
    ///
    /// # Errors
    /// When the database does not open, or the thread does not start.
    pub(super) fn start(path: &Path) -> Result<Self, StoreError> {
        let connection = schema::open_beside(path)?;
        let (asking, asked) = sync_channel(1);
        let thread = std::thread::Builder::new()
            .name("store-checkpoint".to_owned())
            .spawn(move || run(&connection, &asked))
            .map_err(|error| StoreError::Failed(format!("cannot start the checkpoint thread: {error}")))?;
        Ok(Self { asking: Some(asking), thread: Some(thread) })
    }

    /// Asks for it. Whoever asks does not wait; while it is under way one more is remembered.
    pub(super) fn ask(&self) {
        if let Some(asking) = &self.asking {
            // Full: it is asked for already. Gone: the writer does it.
            let _ = asking.try_send(());
        }
    }

    /// Ends it, and waits for what is under way: whoever holds the database next finds it free.
    pub(super) fn stop(&mut self) {
        drop(self.asking.take());
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the store's checkpoint thread had died");
        }
    }
}

impl Drop for Checkpointer {
    fn drop(&mut self) {
        self.stop();
    }
}

fn run(connection: &Connection, asked: &Receiver<()>) {
    while asked.recv().is_ok() {
        // Passive: neither waits for whoever reads or writes, nor lets them wait.
        let moved = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
        if let Err(error) = moved {
            tracing::warn!(%error, "the write-ahead log was not moved; the writer does it");
        }
    }
}
