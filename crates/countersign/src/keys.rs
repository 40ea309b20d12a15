//! Key custody, first form: one file a key, readable by this user alone, made at the first start.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::id::Origin;
use gateway::ports::{Entropy as _, SystemEntropy};

/// The deployment's keys, 32 bytes each.
pub(crate) struct KeyRing {
    /// Signs checkpoints (Ed25519). Whoever holds it can forge the log from now on, not what was witnessed.
    pub(crate) log: [u8; 32],
    /// Seals values at rest.
    pub(crate) seal: [u8; 32],
    /// Keys the retry HMAC.
    pub(crate) retry: [u8; 32],
    /// Makes access tokens.
    pub(crate) token: [u8; 32],
}

impl KeyRing {
    /// Opens the folder's keys, and makes those that are missing when `fresh` says that this is a first start.
    pub(crate) fn open(folder: &Path, fresh: bool) -> anyhow::Result<Self> {
        if fresh {
            make_folder(folder)?;
        }
        let key = |name: &str| read_or_make(&folder.join(name), fresh);
        Ok(Self {
            log: key(LOG_KEY)?,
            seal: key("seal.key")?,
            retry: key("retry.key")?,
            token: key("token.key")?,
        })
    }
}

/// The file of the log's key.
pub(crate) const LOG_KEY: &str = "log.key";

/// The file of the log's next key, while the change is under way.
const NEXT_LOG_KEY: &str = "log.key.next";

/// The log's next key, where a change was begun and its files were not switched.
pub(crate) fn next_log_key(folder: &Path) -> anyhow::Result<Option<[u8; 32]>> {
    let path = folder.join(NEXT_LOG_KEY);
    if path.exists() { read_or_make(&path, false).map(Some) } else { Ok(None) }
}

/// The log's next key; made where there is none yet.
pub(crate) fn make_next_log_key(folder: &Path) -> anyhow::Result<[u8; 32]> {
    let key = read_or_make(&folder.join(NEXT_LOG_KEY), true)?;
    std::fs::File::open(folder)?.sync_all()?;
    Ok(key)
}

/// Makes the next key the log's, now that the log says so. The old one stays beside it under a name of its own; the
/// answer is where.
pub(crate) fn promote_next_log_key(folder: &Path, old: &str) -> anyhow::Result<PathBuf> {
    let id = old.split('+').nth(1).unwrap_or("old");
    let retired = folder.join(format!("{LOG_KEY}.retired-{id}"));
    let current = folder.join(LOG_KEY);
    // A link first and then a rename over it: at no moment is there no key.
    match std::fs::hard_link(&current, &retired) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
            return Err(error).with_context(|| format!("cannot keep the old key as `{}`", retired.display()));
        }
        Ok(()) | Err(_) => {}
    }
    std::fs::rename(folder.join(NEXT_LOG_KEY), &current).context("cannot put the new key in place")?;
    std::fs::File::open(folder)?.sync_all()?;
    Ok(retired)
}

/// The deployment's origin: what the configuration says, or what the first start made up. It never changes.
pub(crate) fn origin(folder: &Path, configured: Option<&Origin>, fresh: bool) -> anyhow::Result<Origin> {
    let path = folder.join("origin");
    let stored = match std::fs::read_to_string(&path) {
        Ok(text) => Some(text.trim().parse::<Origin>().context("in the keys' folder, file `origin`")?),
        Err(_) => None,
    };
    match (stored, configured) {
        (Some(stored), Some(configured)) if stored != *configured => bail!(
            "this deployment's origin is `{stored}` and the configuration says `{configured}`; an origin never changes"
        ),
        (Some(stored), _) => Ok(stored),
        (None, configured) => {
            let origin = match configured {
                Some(configured) => configured.clone(),
                None => {
                    let mut random = [0; 6];
                    SystemEntropy.fill(&mut random)?;
                    let hex: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
                    format!("localhost/countersign/{hex}").parse()?
                }
            };
            if !fresh {
                bail!(
                    "the file `origin` is missing from the keys' folder; restore it, or the log cannot be continued"
                );
            }
            write_private(&path, origin.as_str())?;
            Ok(origin)
        }
    }
}

pub(crate) fn make_folder(folder: &Path) -> anyhow::Result<()> {
    let missing: Vec<&Path> = folder.ancestors().take_while(|above| !above.is_dir()).collect();
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make `{}`", folder.display()))?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700))?;
    }
    for made in missing {
        sync_folder_of(made).with_context(|| format!("cannot make `{}` durable", made.display()))?;
    }
    Ok(())
}

pub(crate) fn read_or_make(path: &Path, fresh: bool) -> anyhow::Result<[u8; 32]> {
    if !path.exists() {
        if !fresh {
            bail!("`{}` is missing; restore it from your backup of the keys", path.display());
        }
        let mut key = [0; 32];
        SystemEntropy.fill(&mut key)?;
        write_private(path, &URL_SAFE_NO_PAD.encode(key))?;
        return Ok(key);
    }
    check_private(path)?;
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read `{}`", path.display()))?;
    let bytes = URL_SAFE_NO_PAD.decode(text.trim()).ok().and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
    bytes.with_context(|| {
        format!("`{}` does not hold a key: 32 bytes in base64url are expected", path.display())
    })
}

/// Writes a file that only this user can read: whole or not at all, and durable with its name. One that stands is an
/// error. A key that is used before it is durable could be gone with the power, and all that it sealed with it.
pub(crate) fn write_private(path: &Path, text: &str) -> anyhow::Result<()> {
    let mut draft = path.as_os_str().to_owned();
    draft.push(".draft");
    let draft = PathBuf::from(draft);
    let mut options = OpenOptions::new();
    // What a lost process left behind is written over.
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let write = || {
        let mut file = options.open(&draft)?;
        writeln!(file, "{text}")?;
        file.sync_all()?;
        // Unlike a rename, a link never replaces.
        std::fs::hard_link(&draft, path)?;
        std::fs::remove_file(&draft)?;
        sync_folder_of(path)
    };
    write().with_context(|| format!("cannot make `{}`", path.display()))
}

/// Makes the names in a file's folder durable.
fn sync_folder_of(path: &Path) -> std::io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::File::open(folder)?.sync_all()
}

/// Refuses a key that others on this machine can read.
pub(crate) fn check_private(path: &Path) -> anyhow::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(path)?.permissions().mode();
        if mode & 0o077 != 0 {
            bail!(
                "`{}` can be read by others (mode {:o}); run `chmod 600` on it",
                path.display(),
                mode & 0o777
            );
        }
    }
    Ok(())
}
