//! Secrets: named in the configuration, and never standing there.

use std::fmt;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use zeroize::Zeroizing;

/// The longest secret that is read, in bytes.
pub const SECRET_BYTES: u64 = 16 << 10;

/// Where a secret comes from.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "lowercase")]
pub enum SecretRef {
    /// An environment variable of the gateway.
    Env(String),
    /// A file, read at start.
    File(PathBuf),
}

/// A secret in memory. It is not printed, and is wiped when dropped.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// The secret itself, for the one place that sends or signs with it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(Zeroizing::new(text))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl SecretRef {
    /// Reads it.
    ///
    /// # Errors
    /// In words: a variable that is not set, a file that cannot be read, nothing in it, control characters.
    pub fn read(&self) -> Result<Secret, String> {
        let text = match self {
            Self::Env(name) => {
                Zeroizing::new(std::env::var(name).map_err(|_| format!("the variable `{name}` is not set"))?)
            }
            Self::File(path) => {
                let mut text = Zeroizing::new(String::new());
                std::fs::File::open(path)
                    .and_then(|file| file.take(SECRET_BYTES).read_to_string(&mut text))
                    .map_err(|error| format!("cannot read `{}`: {error}", path.display()))?;
                text
            }
        };
        let trimmed = text.trim_end_matches(['\r', '\n']);
        if trimmed.is_empty() || trimmed.chars().any(char::is_control) {
            return Err("the secret is empty or holds control characters".to_owned());
        }
        Ok(Secret(Zeroizing::new(trimmed.to_owned())))
    }

    /// Makes a relative path relative to the configuration's folder.
    pub fn rebase(&mut self, folder: &Path) {
        if let Self::File(path) = self {
            *path = folder.join(&path);
        }
    }
}
