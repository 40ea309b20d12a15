//! A folder as a target: any web server serves it as it stands.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use audit::TilePath;

use super::target::{CHECKPOINT, Standing, Target, TargetError, partials_of};

/// The ending of a file that is being written. A crash leaves one behind at most; the next write replaces it.
const DRAFT: &str = ".draft";

/// A folder that this publisher has to itself.
#[derive(Debug, Clone)]
pub struct Folder {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    root: PathBuf,
    /// The lock on the folder, for as long as this is held.
    _lock: File,
}

impl Folder {
    /// Takes a folder for publishing, and makes it where it is missing. Blocking.
    ///
    /// # Errors
    /// [`TargetError::Moved`] while another process publishes there; [`TargetError::Failed`].
    pub fn open(root: &Path) -> Result<Self, TargetError> {
        fs::create_dir_all(root).map_err(|error| failed("make", root, &error))?;
        let lock = File::open(root).map_err(|error| failed("open", root, &error))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { inner: Arc::new(Inner { root: root.to_owned(), _lock: lock }) }),
            Err(TryLockError::WouldBlock) => {
                Err(TargetError::Moved(format!("another process holds `{}`", root.display())))
            }
            Err(TryLockError::Error(error)) => Err(failed("lock", root, &error)),
        }
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner) -> Result<T, TargetError> + Send + 'static,
    ) -> Result<T, TargetError> {
        let inner = Arc::clone(&self.inner);
        tokio::task::spawn_blocking(move || work(&inner))
            .await
            .map_err(|error| TargetError::Failed(error.to_string()))?
    }
}

#[async_trait]
impl Target for Folder {
    fn name(&self) -> String {
        format!("folder `{}`", self.inner.root.display())
    }

    async fn get(&self, path: &str) -> Result<Option<Vec<u8>>, TargetError> {
        let path = path.to_owned();
        self.blocking(move |inner| inner.read(&path)).await
    }

    async fn put(&self, path: &str, bytes: &[u8]) -> Result<(), TargetError> {
        let (path, bytes) = (path.to_owned(), bytes.to_vec());
        self.blocking(move |inner| match inner.read(&path)? {
            // It may have been renamed and not yet synced when the process ended.
            Some(standing) if standing == bytes => inner.sync(&path),
            Some(_) => Err(TargetError::Conflict(path)),
            None => inner.write(&path, &bytes),
        })
        .await
    }

    async fn checkpoint(&self) -> Result<Option<Standing>, TargetError> {
        self.blocking(|inner| inner.checkpoint()).await
    }

    async fn set_checkpoint(&self, note: &[u8], over: Option<&Standing>) -> Result<(), TargetError> {
        let (note, over) = (note.to_vec(), over.cloned());
        self.blocking(move |inner| {
            if inner.checkpoint()? != over {
                return Err(TargetError::Moved("the checkpoint is not the one that was read".to_owned()));
            }
            inner.write(CHECKPOINT, &note)
        })
        .await
    }

    async fn remove_partials(&self, tile: TilePath) -> Result<(), TargetError> {
        self.blocking(move |inner| {
            let folder = inner.root.join(partials_of(tile));
            match fs::remove_dir_all(&folder) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    Err(failed("remove", &folder, &error))
                }
                Ok(()) | Err(_) => Ok(()),
            }
        })
        .await
    }
}

impl Inner {
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, TargetError> {
        let path = self.root.join(path);
        match fs::read(&path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed("read", &path, &error)),
        }
    }

    fn checkpoint(&self) -> Result<Option<Standing>, TargetError> {
        // The folder is ours alone, so the bytes are their own version.
        let standing = |note| Standing { note, version: String::new() };
        Ok(self.read(CHECKPOINT)?.map(standing))
    }

    /// Draft, sync, rename, sync the folder; so that a file is whole from the moment it bears its name.
    fn write(&self, path: &str, bytes: &[u8]) -> Result<(), TargetError> {
        let path = self.root.join(path);
        let folder = path.parent().unwrap_or(&self.root);
        let write = || {
            self.make_folders(folder)?;
            let mut name = path.as_os_str().to_owned();
            name.push(DRAFT);
            let draft = PathBuf::from(name);
            let mut file = OpenOptions::new().write(true).create(true).truncate(true).open(&draft)?;
            file.write_all(bytes)?;
            file.sync_all()?;
            fs::rename(&draft, &path)?;
            File::open(folder)?.sync_all()
        };
        write().map_err(|error| failed("write", &path, &error))
    }

    fn sync(&self, path: &str) -> Result<(), TargetError> {
        let path = self.root.join(path);
        let folder = path.parent().unwrap_or(&self.root);
        let sync = || {
            File::open(&path)?.sync_all()?;
            File::open(folder)?.sync_all()
        };
        sync().map_err(|error| failed("sync", &path, &error))
    }

    /// Makes what is missing of a folder's path, each durable in the one above.
    fn make_folders(&self, folder: &Path) -> io::Result<()> {
        if folder.is_dir() {
            return Ok(());
        }
        let Some(above) = folder.parent() else { return Ok(()) };
        self.make_folders(above)?;
        match fs::create_dir(folder) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            Ok(()) | Err(_) => {}
        }
        File::open(above)?.sync_all()
    }
}

fn failed(what: &str, path: &Path, error: &io::Error) -> TargetError {
    TargetError::Failed(format!("cannot {what} `{}`: {error}", path.display()))
}
