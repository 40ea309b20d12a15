//! The last signed checkpoint, kept outside the database.
//!
//! A database restored from an old backup is whole and well signed; what gives it away is that this log
//! has signed more than it holds. So the note of every commit is kept in files of their own, best on
//! another volume, which backups of the database do not carry.
//!
//! Two files, both plain signed notes: `<anchor>.latest` is replaced after every commit, before anybody is
//! answered, and is not synced; `<anchor>` is the same, synced with its directory, at most
//! [`SYNC_EVERY`] behind. What that can miss: the end of the process misses nothing. A power cut may lose
//! `.latest`, and then a backup that is younger than the synced anchor (at most a second old) would
//! be taken for the log itself. An anchor older than the database is always fine: a commit may have come
//! after it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use audit::Checkpoint;

use super::files;
use crate::StoreError;
use crate::keys::Keys;

/// How long a commit may stand before the synced anchor knows of it.
pub(crate) const SYNC_EVERY: Duration = Duration::from_secs(1);

/// The anchor's writer.
#[derive(Debug)]
pub(crate) struct Anchor {
    path: PathBuf,
    latest: PathBuf,
    synced: Option<Instant>,
    /// What `.latest` holds and the synced file does not.
    unsynced: Option<String>,
}

impl Anchor {
    pub(crate) fn new(path: &Path) -> Result<Self, StoreError> {
        files::prepare_directory(path)?;
        Ok(Self {
            path: path.to_owned(),
            latest: files::beside(path, ".latest"),
            synced: None,
            unsynced: None,
        })
    }

    /// The newest checkpoint that this log is known to have signed.
    ///
    /// # Errors
    /// [`StoreError::LogStopped`] when the synced file does not read as this log's checkpoint. A torn
    /// `.latest` is what a power cut leaves, and is passed over.
    pub(crate) fn read(&self, keys: &Keys) -> Result<Option<Checkpoint>, StoreError> {
        let synced = match self.parse(&self.path, keys) {
            Ok(synced) => synced,
            Err(why) => {
                return Err(StoreError::LogStopped(format!(
                    "the anchor `{}` does not read as this log's checkpoint ({why}); put the right file back, \
                     or check that origin and log key are this log's",
                    self.path.display()
                )));
            }
        };
        let latest = self.parse(&self.latest, keys).unwrap_or_else(|why| {
            tracing::warn!(%why, "the unsynced anchor does not read; the synced one stands");
            None
        });
        Ok(synced.into_iter().chain(latest).max_by_key(Checkpoint::size))
    }

    fn parse(&self, path: &Path, keys: &Keys) -> Result<Option<Checkpoint>, String> {
        let note = match fs::read(path) {
            Ok(note) => note,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.to_string()),
        };
        keys.open(&note).map(Some).map_err(|error| error.to_string())
    }

    /// Keeps a commit's note; the synced file follows when its time has come.
    pub(crate) fn keep(&mut self, note: &str) -> io::Result<()> {
        files::replace(&self.latest, note.as_bytes(), false)?;
        self.unsynced = Some(note.to_owned());
        if self.synced.is_none_or(|synced| synced.elapsed() >= SYNC_EVERY) {
            self.sync()?;
        }
        Ok(())
    }

    /// Whether any anchor stands, whatever it says. A log without one cannot be told from an old backup.
    pub(crate) fn stands(&self) -> bool {
        self.path.exists() || self.latest.exists()
    }

    /// Brings the synced file up to date.
    pub(crate) fn sync(&mut self) -> io::Result<()> {
        if let Some(note) = &self.unsynced {
            // A failure waits its time too, and is not tried in a circle.
            self.synced = Some(Instant::now());
            files::replace(&self.path, note.as_bytes(), true)?;
            self.unsynced = None;
        }
        Ok(())
    }

    /// How long until the synced file is to follow; none where it is up to date.
    pub(crate) fn due(&self) -> Option<Duration> {
        self.unsynced.as_ref()?;
        Some(self.synced.map_or(Duration::ZERO, |synced| SYNC_EVERY.saturating_sub(synced.elapsed())))
    }
}
