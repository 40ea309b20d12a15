//! The files: who may read them, who holds them, and how one comes to stand whole or not at all.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use crate::StoreError;

/// Only the owner reads and writes.
const PRIVATE_FILE: u32 = 0o600;
const PRIVATE_DIRECTORY: u32 = 0o700;
/// Anybody may write.
const OTHERS_WRITE: u32 = 0o002;

/// Makes the database's directory and file where they are missing, for the owner only. SQLite gives the
/// file's permissions to what it puts beside it.
pub(crate) fn prepare(database: &Path) -> Result<(), StoreError> {
    prepare_directory(database)?;
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(PRIVATE_FILE)
        .open(database)
        .map_err(|error| failed("open", database, &error))?;
    for path in [database.to_owned(), beside(database, "-wal"), beside(database, "-shm")] {
        make_private(&path)?;
    }
    Ok(())
}

/// Leaves a file to its owner only, if it is there.
pub(crate) fn make_private(path: &Path) -> Result<(), StoreError> {
    match fs::set_permissions(path, Permissions::from_mode(PRIVATE_FILE)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("make private", path, &error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Makes a file's directory where it is missing, for the owner only.
pub(crate) fn prepare_directory(file: &Path) -> Result<(), StoreError> {
    let directory = directory_of(file);
    let missing: Vec<&Path> = directory.ancestors().take_while(|above| !above.is_dir()).collect();
    let make = || {
        DirBuilder::new().recursive(true).mode(PRIVATE_DIRECTORY).create(directory)?;
        // A log whose folder is gone with the power would begin anew under the same key.
        missing.iter().try_for_each(|made| sync_directory(made))
    };
    make().map_err(|error: io::Error| failed("make", directory, &error))?;
    let mode =
        fs::metadata(directory).map_err(|error| failed("look at", directory, &error))?.permissions().mode();
    if mode & OTHERS_WRITE != 0 {
        return Err(StoreError::LogStopped(format!(
            "anybody may write to `{0}`, where the log is to stand; run `chmod 700 {0}`, or choose another place",
            directory.display()
        )));
    }
    Ok(())
}

/// How long a lock is asked for before it counts as another's. A process that has just ended may still be giving it up,
/// and a child being started has a share in it until it runs its own program.
const LOCK_PATIENCE: Duration = Duration::from_secs(1);
/// How often.
const LOCK_PAUSE: Duration = Duration::from_millis(20);

/// Takes the lock beside a file, which one process has at a time, for as long as what comes back is kept. Sleeps while
/// somebody else has it, for a second at most; then `taken` says so.
pub(crate) fn lock(beside_this: &Path, taken: impl FnOnce() -> String) -> Result<File, StoreError> {
    let path = beside(beside_this, ".lock");
    let file = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(PRIVATE_FILE)
        .open(&path)
        .map_err(|error| failed("open", &path, &error))?;
    let asked = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if asked.elapsed() < LOCK_PATIENCE => thread::sleep(LOCK_PAUSE),
            Err(TryLockError::WouldBlock) => return Err(StoreError::LogStopped(taken())),
            Err(TryLockError::Error(error)) => return Err(failed("lock", &path, &error)),
        }
    }
}

/// Puts a whole file in place of what stood there. With `durable`, it survives a power cut from here on;
/// without, it survives the end of the process, and a power cut may leave it empty.
pub(crate) fn replace(path: &Path, content: &[u8], durable: bool) -> io::Result<()> {
    let draft = beside(path, ".draft");
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(PRIVATE_FILE).open(&draft)?;
    file.write_all(content)?;
    if durable {
        file.sync_all()?;
    }
    fs::rename(&draft, path)?;
    if durable {
        sync_directory(path)?;
    }
    Ok(())
}

/// Makes a new file for the owner only; one that stands is an error.
pub(crate) fn create_new(path: &Path) -> Result<File, StoreError> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(PRIVATE_FILE)
        .open(path)
        .map_err(|error| failed("make", path, &error))
}

/// Gives a finished draft its name, durably; a file that bears the name already stays and is an error.
pub(crate) fn publish(draft: &Path, path: &Path) -> Result<(), StoreError> {
    let publish = || {
        File::open(draft)?.sync_all()?;
        // Unlike a rename, a link never replaces.
        fs::hard_link(draft, path)?;
        fs::remove_file(draft)?;
        sync_directory(path)
    };
    publish().map_err(|error: io::Error| failed("make", path, &error))
}

fn sync_directory(file: &Path) -> io::Result<()> {
    File::open(directory_of(file))?.sync_all()
}

fn directory_of(file: &Path) -> &Path {
    match file.parent() {
        Some(directory) if !directory.as_os_str().is_empty() => directory,
        _ => Path::new("."),
    }
}

/// The file whose name is this one's with an ending.
pub(crate) fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

pub(crate) fn failed(what: &str, path: &Path, error: &io::Error) -> StoreError {
    StoreError::Failed(format!("cannot {what} `{}`: {error}", path.display()))
}
