//! Reading: a few connections, each used by one blocking task at a time, each read one snapshot.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;
use tokio::sync::Semaphore;

use super::schema;
use crate::StoreError;

/// How many reads run at once.
const READERS: usize = 4;

/// The connections that read. In WAL mode they never wait for the writer, nor it for them.
pub(super) struct Readers {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
    free: Semaphore,
}

impl Readers {
    pub(super) fn open(path: &Path) -> Result<Arc<Self>, StoreError> {
        // One now, so that what cannot be opened is found at the start; the others when they are needed.
        let first = schema::open_reader(path)?;
        Ok(Arc::new(Self {
            path: path.to_owned(),
            idle: Mutex::new(vec![first]),
            free: Semaphore::new(READERS),
        }))
    }

    /// Reads in one snapshot, off the async threads.
    pub(super) async fn read<T, W>(self: &Arc<Self>, work: W) -> Result<T, StoreError>
    where
        T: Send + 'static,
        W: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    {
        let failed = |error: &dyn std::fmt::Display| StoreError::Failed(error.to_string());
        let _free = self.free.acquire().await.map_err(|error| failed(&error))?;
        let readers = Arc::clone(self);
        tokio::task::spawn_blocking(move || readers.read_now(work)).await.map_err(|error| failed(&error))?
    }

    fn read_now<T>(&self, work: impl FnOnce(&Connection) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let idle = || self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting = idle().pop();
        let connection = match waiting {
            Some(connection) => connection,
            None => schema::open_reader(&self.path)?,
        };
        let snapshot = connection.unchecked_transaction()?;
        let result = work(&snapshot);
        drop(snapshot);
        idle().push(connection);
        result
    }
}
