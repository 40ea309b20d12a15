//! The embedded twin: one SQLite database in one process.
//!
//! One thread writes (`writer`, `scribe`), in group commits (`batch`); reads run beside it on
//! connections of their own (`reader`). The log is the store (`schema`): an approval is what the sealed
//! fields of its log entries replay to. The traits stand one to a file: `approvals`, `directories`,
//! `ledger`, `vault`.

mod approvals;
mod deliveries;
mod directories;
mod ledger;
mod vault;

mod audit_log;
mod backup;
mod open;
mod prunings;
mod rotations;

pub(crate) mod anchor;
mod batch;
mod cases;
mod checkpointer;
mod fields;
mod glass;
pub(crate) mod files;
mod log;
mod reader;
mod schema;
mod scribe;
mod writer;

#[cfg(test)]
mod tests;

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use audit::NoteSigner;
use domain::directory::Directory;
use domain::id::Origin;
use domain::time::Timestamp;
use tokio::sync::broadcast;

pub use backup::{Restored, restore};
pub(crate) use cases::ended;
pub(crate) use open::{Loss, check_key, genesis};

use crate::keys::Keys;
use crate::seal::SealingKey;
use crate::{Clock, Head, Store, StoreError, Wake};

/// What an embedded store is opened with.
pub struct EmbeddedConfig {
    /// The database's file. Its directory is made where it is missing, with mode 0700; an existing one keeps its
    /// mode. The store's files have mode 0600.
    pub path: PathBuf,
    /// Where the last signed checkpoint is kept, outside the database and outside its backups.
    pub anchor_path: PathBuf,
    /// The deployment's origin; the signer's key bears it as its name.
    pub origin: Origin,
    /// The log's key: the one that genesis or the last rotation names.
    pub signer: Box<dyn NoteSigner>,
    /// The key under which values are sealed at rest.
    pub sealing_key: SealingKey,
    /// The clock.
    pub clock: Arc<dyn Clock>,
}

/// The embedded store.
pub struct EmbeddedStore {
    shared: Arc<Shared>,
    writer: writer::Writer,
    readers: Arc<reader::Readers>,
}

impl EmbeddedStore {
    /// Opens the store, or makes it; blocking. A new log begins with its genesis.
    ///
    /// # Errors
    /// [`StoreError::LogStopped`] when another process has the database open, when a newer release wrote it, and when
    /// the anchor is ahead of it or beside it: an old backup or a fork. [`StoreError::Corrupt`] when it
    /// does not fit its own signed checkpoint.
    pub fn open(config: EmbeddedConfig) -> Result<Self, StoreError> {
        open::open(config, &open::Terms::default())
    }

    /// Opens a store that has lost entries which this log had signed: one behind its anchor, or one
    /// whose anchor is gone. The log says so from then on, in a `gap/1` entry with the operator's reason.
    ///
    /// Whoever has seen the lost entries' checkpoints, a witness above all, will find a fork, and be right.
    /// This is for the day when there is nothing better to restore.
    ///
    /// # Errors
    /// As [`EmbeddedStore::open`], without the refusal of what was lost.
    pub fn open_accepting_loss(config: EmbeddedConfig, reason: &str) -> Result<Self, StoreError> {
        let terms = open::Terms { accept_loss: Some(reason.to_owned()), ..open::Terms::default() };
        open::open(config, &terms)
    }
}

#[async_trait]
impl Store for EmbeddedStore {
    fn wakes(&self) -> broadcast::Receiver<Wake> {
        self.shared.wakes.subscribe()
    }

    async fn close(&self, patience: Duration) {
        self.writer.close(patience).await;
    }
}

/// What the writer and everybody who reads know together.
struct Shared {
    origin: Origin,
    key: SealingKey,
    clock: Arc<dyn Clock>,
    /// The log's size when this process opened it.
    opened: u64,
    head: RwLock<Arc<Head>>,
    keys: RwLock<Arc<Keys>>,
    directory: RwLock<Arc<Directory>>,
    wakes: broadcast::Sender<Wake>,
}

impl Shared {
    /// The clock's time, but never before the head's.
    fn now(&self) -> Timestamp {
        self.clock.now().max(self.head().time)
    }

    fn head(&self) -> Arc<Head> {
        Arc::clone(&self.head.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn set_head(&self, head: Head) {
        *self.head.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(head);
    }

    fn keys(&self) -> Arc<Keys> {
        Arc::clone(&self.keys.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn set_keys(&self, keys: Keys) {
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys);
    }

    fn directory(&self) -> Arc<Directory> {
        Arc::clone(&self.directory.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn set_directory(&self, directory: Arc<Directory>) {
        *self.directory.write().unwrap_or_else(PoisonError::into_inner) = directory;
    }
}

impl fmt::Debug for EmbeddedConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmbeddedConfig")
            .field("path", &self.path)
            .field("anchor_path", &self.anchor_path)
            .field("origin", &self.origin)
            .field("log_key", self.signer.verifier())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for EmbeddedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmbeddedStore")
            .field("origin", &self.shared.origin)
            .field("size", &self.shared.head().size)
            .finish_non_exhaustive()
    }
}
