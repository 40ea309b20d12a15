//! The PostgreSQL twin: one database, any number of gateways.
//!
//! A job is decided in a transaction of its own, which puts its entry into an outbox (`tx`, `writer`); any gateway
//! gives what waits there its place in the log and signs the tree (`sequencer`); all others hear of it (`watch`).
//! The log is the store (`schema`), as in the embedded twin, and its bytes are the same. The traits stand
//! one to a file: `approvals`, `directories`, `ledger`, `vault`.

mod approvals;
mod deliveries;
mod directories;
mod ledger;
mod vault;

mod audit_log;
mod open;
mod prunings;
mod rotations;

mod cases;
mod connect;
mod fields;
mod glass;
mod health;
mod link;
mod log;
mod recorder;
mod schema;
mod sequencer;
mod spent;
mod tx;
mod watch;
mod writer;

#[cfg(test)]
mod tests;

use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use audit::NoteSigner;
use deadpool_postgres::Pool;
use domain::directory::Directory;
use domain::id::Origin;
use domain::time::Timestamp;
use tokio::sync::{broadcast, watch as signal};
use uuid::Uuid;

pub use connect::DatabaseUrl;

use crate::keys::Keys;
use crate::seal::SealingKey;
use crate::{Clock, Store, StoreError, Wake};

/// On which channel processes tell each other that the log grew.
const CHANNEL: &str = "countersign_log";

/// What a PostgreSQL store is opened with.
pub struct PostgresConfig {
    /// Where the database is.
    pub url: DatabaseUrl,
    /// Where this process keeps the last signed checkpoint, outside the database and its backups. Each process has a file of
    /// its own; one that joins is given a copy of another's, so that it can tell the log from an old backup.
    pub anchor_path: PathBuf,
    /// The deployment's origin; the signer's key bears it as its name.
    pub origin: Origin,
    /// The log's key, the same in every process: the one that genesis or the last rotation names.
    pub signer: Box<dyn NoteSigner>,
    /// The key under which values are sealed at rest, the same in every process.
    pub sealing_key: SealingKey,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// How far the clock may be from the database's before nothing is written; `None` where the clock is made by hand.
    pub skew_limit: Option<Duration>,
}

/// How far a gateway's clock may be from the database's. One that runs ahead would take the log's time with it, and end
/// everybody's approvals early.
pub const SKEW_LIMIT: Duration = Duration::from_secs(30);

/// The PostgreSQL store, as one process has it open.
pub struct PostgresStore {
    shared: Arc<Shared>,
    writer: Arc<writer::Writer>,
    recorder: recorder::Recorder,
    sequencer: sequencer::Sequencer,
    stop: signal::Sender<bool>,
    keeper: Mutex<Option<tokio::task::JoinHandle<()>>>,
}

impl PostgresStore {
    /// Opens the store, or makes it. A new log begins with its genesis.
    ///
    /// # Errors
    /// [`StoreError::LogStopped`] for a server on which a commit could be lost, when a newer release wrote the database,
    /// and when the anchor is ahead of it or beside it, or missing: an old backup, a fork, or nobody can tell.
    /// [`StoreError::Corrupt`] when it does not fit its own signed checkpoint; [`StoreError::Failed`] when
    /// the server cannot be reached.
    pub async fn open(config: PostgresConfig) -> Result<Self, StoreError> {
        Box::pin(open::open(config, &open::Terms::default())).await
    }

    /// Opens a store that has lost entries which this log had signed: one behind its anchor, or one whose anchor is gone.
    /// The log says so from then on, in a `gap/1` entry with the operator's reason.
    ///
    /// Whoever has seen the lost entries' checkpoints, a witness above all, will find a fork, and be right.
    ///
    /// # Errors
    /// As [`PostgresStore::open`], without the refusal of what was lost.
    pub async fn open_accepting_loss(config: PostgresConfig, reason: &str) -> Result<Self, StoreError> {
        let terms = open::Terms { accept_loss: Some(reason.to_owned()), ..open::Terms::default() };
        Box::pin(open::open(config, &terms)).await
    }
}

/// Whether a database holds a log already, so that whoever joins needs its keys.
///
/// # Errors
/// [`StoreError::Failed`] when the server cannot be reached.
pub async fn holds_log(url: &DatabaseUrl) -> Result<bool, StoreError> {
    let pool = url.pool(connect::OWN_CONNECTIONS)?;
    let client = connect::connection(&pool).await?;
    let there = "SELECT to_regclass('countersign.entry') IS NOT NULL";
    let there = client.query_one(there, &[]).await.map_err(link::Fault::from)?;
    if !there.try_get::<_, bool>(0).map_err(link::Fault::from)? {
        return Ok(false);
    }
    let begun =
        client.query_one("SELECT EXISTS (SELECT 1 FROM entry)", &[]).await.map_err(link::Fault::from)?;
    Ok(begun.try_get(0).map_err(link::Fault::from)?)
}

#[async_trait]
impl Store for PostgresStore {
    fn wakes(&self) -> broadcast::Receiver<Wake> {
        self.shared.wakes.subscribe()
    }

    fn is_shared(&self) -> bool {
        true
    }

    async fn close(&self, patience: Duration) {
        self.recorder.close(patience).await;
        self.writer.close(patience).await;
        let _ = self.stop.send(true);
        let keeper = self.keeper.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(keeper) = keeper {
            let _ = tokio::time::timeout(patience, keeper).await;
        }
        self.shared.leave(patience).await;
    }
}

impl Drop for PostgresStore {
    fn drop(&mut self) {
        let _ = self.stop.send(true);
    }
}

/// What all tasks of one process know together.
struct Shared {
    origin: Origin,
    key: SealingKey,
    clock: Arc<dyn Clock>,
    skew_limit: Option<Duration>,
    url: DatabaseUrl,
    pool: Pool,
    /// Connections that nobody else takes, for what everybody waits for: the sequencer and the watch.
    own: Pool,
    /// This process, among those that have the store open.
    node: Uuid,
    signers: RwLock<Signers>,
    keys: RwLock<Arc<Keys>>,
    /// The signed tree as this process has seen it last. It only ever grows.
    seen: RwLock<Arc<log::Signed>>,
    directory: RwLock<Arc<Directory>>,
    wakes: broadcast::Sender<Wake>,
    /// Whoever holds this moves `seen`.
    catching: tokio::sync::Mutex<()>,
    health: health::Health,
    /// How many jobs are being decided.
    deciding: AtomicUsize,
    /// What this process has spent.
    spent: Mutex<spent::Spent>,
}

/// The key that signs, and the one that comes next.
struct Signers {
    current: Arc<dyn NoteSigner>,
    next: Option<Arc<dyn NoteSigner>>,
}

impl Shared {
    /// The clock's time, but never before the head's.
    fn now(&self) -> Timestamp {
        self.clock.now().max(self.seen().tree.time)
    }

    fn seen(&self) -> Arc<log::Signed> {
        Arc::clone(&self.seen.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn set_seen(&self, signed: log::Signed) {
        *self.seen.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(signed);
    }

    fn keys(&self) -> Arc<Keys> {
        Arc::clone(&self.keys.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn set_keys(&self, keys: Keys) {
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys);
    }

    fn signer(&self) -> Arc<dyn NoteSigner> {
        Arc::clone(&self.signers.read().unwrap_or_else(PoisonError::into_inner).current)
    }

    fn directory(&self) -> Arc<Directory> {
        Arc::clone(&self.directory.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn set_directory(&self, directory: Arc<Directory>) {
        *self.directory.write().unwrap_or_else(PoisonError::into_inner) = directory;
    }

    /// A new id whose beginning is the time, so that rows that belong together stand together.
    fn new_id(&self, now: Timestamp) -> Result<Uuid, StoreError> {
        let mut random = [0; 10];
        getrandom::fill(&mut random).map_err(|error| StoreError::Failed(error.to_string()))?;
        Ok(uuid::Builder::from_unix_timestamp_millis(now.micros() / 1_000, &random).into_uuid())
    }
}

impl fmt::Debug for PostgresConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresConfig")
            .field("url", &self.url)
            .field("anchor_path", &self.anchor_path)
            .field("origin", &self.origin)
            .field("log_key", self.signer.verifier())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore")
            .field("url", &self.shared.url)
            .field("origin", &self.shared.origin)
            .field("size", &self.shared.seen().tree.size())
            .finish_non_exhaustive()
    }
}
