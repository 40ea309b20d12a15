//! The index: one SQLite file, one writer, a few readers.

mod find;
mod read;
mod rewrite;
mod schema;
mod state;
mod write;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use domain::id::Origin;
use rusqlite::Connection;
use tokio::sync::Semaphore;

pub use find::Ask;
pub use read::{Answer, Counts, FacetCount, Hit};
pub(crate) use write::{Batch, Lines};

use crate::limits::SEARCHES_AT_ONCE;
use state::State;
use write::Writer;

/// Why a search, or the index itself, came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum SearchError {
    /// The index cannot be read or written. It is derived: removing its file mends it.
    #[error("the search index failed: {0}")]
    Failed(String),
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] store::StoreError),
}

impl From<rusqlite::Error> for SearchError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Failed(error.to_string())
    }
}

impl SearchError {
    pub(crate) fn file(what: &str, path: &Path, error: &std::io::Error) -> Self {
        Self::Failed(format!("cannot {what} `{}`: {error}", path.display()))
    }
}

/// How far the index has followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// How many entries of the log have been read.
    pub entries: u64,
    /// How many records stand, those of activity with them; a removed one still counts.
    pub records: u64,
}

/// Whether an index is opened as it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reset {
    /// As it stands, where it is of this log.
    Keep,
    /// Dropped, to be filled anew.
    Drop,
}

/// The index.
pub struct Index {
    path: PathBuf,
    state: RwLock<State>,
    writer: Mutex<Writer>,
    idle: Mutex<Vec<Connection>>,
    searches: Semaphore,
}

impl Index {
    /// Opens the index of a log, or makes it, with mode 0600; blocking. A file of another log, of another version or
    /// one that does not read is dropped and filled anew by the follower.
    ///
    /// # Errors
    /// When the file cannot be made.
    pub fn open(path: &Path, origin: &Origin, reset: Reset) -> Result<Arc<Self>, SearchError> {
        if reset == Reset::Drop {
            schema::remove(path)?;
        }
        let connection = schema::open_writer(path)?;
        let (writer, state) = match Writer::new(connection, origin) {
            Ok(opened) => opened,
            Err(error) => {
                tracing::warn!(%error, "the search index is built anew");
                schema::remove(path)?;
                Writer::new(schema::open_writer(path)?, origin)?
            }
        };
        Ok(Arc::new(Self {
            path: path.to_owned(),
            state: RwLock::new(state),
            writer: Mutex::new(writer),
            idle: Mutex::default(),
            searches: Semaphore::new(SEARCHES_AT_ONCE),
        }))
    }

    /// How far the index has followed.
    #[must_use]
    pub fn progress(&self) -> Progress {
        let entries = self.writing(|writer| writer.entry());
        Progress { entries, records: self.state().next }
    }

    /// Looks for records, newest first; off the async threads, a few at once.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub async fn search(self: &Arc<Self>, ask: Ask) -> Result<Answer, SearchError> {
        let failed = |error: &dyn fmt::Display| SearchError::Failed(error.to_string());
        let _free = self.searches.acquire().await.map_err(|error| failed(&error))?;
        let index = Arc::clone(self);
        tokio::task::spawn_blocking(move || index.search_now(&ask)).await.map_err(|error| failed(&error))?
    }

    /// As [`Index::search`], here and now; blocking.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn search_now(&self, ask: &Ask) -> Result<Answer, SearchError> {
        // The state first: what it holds was committed, so the snapshot after it is no older.
        let state = self.state();
        let idle = || self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting = idle().pop();
        let connection = match waiting {
            Some(connection) => connection,
            None => schema::open_reader(&self.path)?,
        };
        let snapshot = connection.unchecked_transaction()?;
        let answer = find::find(&snapshot, &state, ask);
        drop(snapshot);
        let mut idle = idle();
        if idle.len() < SEARCHES_AT_ONCE {
            idle.push(connection);
        }
        answer
    }

    fn state(&self) -> State {
        self.state.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn writing<T>(&self, work: impl FnOnce(&mut Writer) -> T) -> T {
        work(&mut self.writer.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// How many segments of activity the log names that are not in this gateway's folder, so that their lines are not
    /// found here: other gateways over the same store have them, or they are gone.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn elsewhere(&self) -> Result<u64, SearchError> {
        self.writing(|writer| writer.elsewhere())
    }

    /// Runs one transaction of the writer, and puts its state in place once it is committed.
    fn commit<T>(
        &self,
        work: impl FnOnce(&mut Writer, &mut State) -> Result<T, SearchError>,
    ) -> Result<T, SearchError> {
        self.writing(|writer| {
            let mut state = self.state();
            let done = writer.transaction(|writer| work(writer, &mut state))?;
            *self.state.write().unwrap_or_else(PoisonError::into_inner) = state;
            Ok(done)
        })
    }
}

impl fmt::Debug for Index {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Index").field("path", &self.path).finish_non_exhaustive()
    }
}
