//! What a witness remembers, on disk: for each log one file, the note that it cosigned last. A file
//! is replaced whole or not at all, and is durable before anybody gets the cosignature in it.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use audit::WitnessKey;
use audit::witness::Witnessed;
use sha2::{Digest as _, Sha256};

/// The name of the file that the folder's one process has locked.
const LOCK: &str = "lock";
/// The ending of a file that is not in its place yet.
const DRAFT: &str = "new";

/// A folder that one process has for itself.
#[derive(Debug)]
pub(super) struct Records {
    folder: PathBuf,
    /// Locked for as long as it is open: two witnesses with one key could contradict each other.
    _lock: File,
}

/// Why a witness's memory cannot be used. It cosigns nothing then.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The disk refused.
    #[error("cannot {doing} `{}`: {error}", path.display())]
    Disk {
        /// What was tried.
        doing: &'static str,
        /// On which file or folder.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// Another process has the folder.
    #[error("`{}` is in use by another witness; stop it, since two of them could contradict each other", path.display())]
    InUse {
        /// The lock's file.
        path: PathBuf,
    },
    /// A file is not what this witness wrote for that log.
    #[error(
        "`{}` is not what this witness keeps for the log `{origin}` ({error}); restore it, or the key that it was \
         cosigned with", path.display()
    )]
    Altered {
        /// The file.
        path: PathBuf,
        /// The log's origin.
        origin: String,
        /// What is wrong with it.
        error: audit::Error,
    },
}

/// SHA-256 of a log's origin in lowercase hex: its name in the monitoring API (C2SP `tlog-witness`)
/// and on disk.
pub(super) fn origin_hash(origin: &str) -> String {
    let digest: [u8; 32] = Sha256::digest(origin).into();
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Records {
    /// Takes the folder, and makes it if it is not there.
    ///
    /// # Errors
    /// [`RecordError::Disk`], [`RecordError::InUse`].
    pub(super) fn open(folder: &Path) -> Result<Self, RecordError> {
        fs::create_dir_all(folder).map_err(disk("make", folder))?;
        let path = folder.join(LOCK);
        let lock = File::create(&path).map_err(disk("make", &path))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { folder: folder.to_owned(), _lock: lock }),
            Err(fs::TryLockError::WouldBlock) => Err(RecordError::InUse { path }),
            Err(fs::TryLockError::Error(error)) => Err(RecordError::Disk { doing: "lock", path, error }),
        }
    }

    /// Whether a folder holds anything that was cosigned; a draft was seen by nobody.
    ///
    /// # Errors
    /// [`RecordError::Disk`].
    pub(super) fn any(folder: &Path) -> Result<bool, RecordError> {
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(disk("read", folder)(error)),
        };
        for entry in entries {
            let path = entry.map_err(disk("read", folder))?.path();
            if !path.ends_with(LOCK) && path.extension().is_none_or(|ending| ending != DRAFT) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// What was cosigned last for a log; nothing if never.
    ///
    /// # Errors
    /// [`RecordError::Disk`], [`RecordError::Altered`].
    pub(super) fn read(&self, origin: &str, key: &WitnessKey) -> Result<Option<Witnessed>, RecordError> {
        let path = self.path(origin);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(RecordError::Disk { doing: "read", path, error }),
        };
        let read = Witnessed::restore(&bytes, origin, key);
        read.map(Some).map_err(|error| RecordError::Altered { path, origin: origin.to_owned(), error })
    }

    /// Puts a note in the last one's place, durably.
    ///
    /// # Errors
    /// [`RecordError::Disk`]: nobody knows then which of the two a restart would find.
    pub(super) fn write(&self, origin: &str, witnessed: &Witnessed) -> Result<(), RecordError> {
        let path = self.path(origin);
        let new = path.with_extension(DRAFT);
        let mut file = File::create(&new).map_err(disk("make", &new))?;
        file.write_all(witnessed.note().to_string().as_bytes()).map_err(disk("write", &new))?;
        file.sync_all().map_err(disk("make durable", &new))?;
        fs::rename(&new, &path).map_err(disk("replace", &path))?;
        let folder = File::open(&self.folder).map_err(disk("open", &self.folder))?;
        folder.sync_all().map_err(disk("make durable", &self.folder))
    }

    fn path(&self, origin: &str) -> PathBuf {
        self.folder.join(origin_hash(origin))
    }
}

fn disk(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> RecordError {
    let path = path.to_owned();
    move |error| RecordError::Disk { doing, path, error }
}
