//! What `login` keeps on this machine: one file a gateway, readable by this user alone, and which one was the last.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};

use crate::keys;

/// Where a gateway is looked for when nothing says otherwise.
pub(crate) const DEFAULT_URL: &str = "http://localhost:7676";

/// A session of the command line, as its file holds it.
#[derive(Serialize, Deserialize)]
pub(crate) struct Saved {
    /// The gateway's address.
    pub(crate) url: String,
    /// The session's token: whoever has it can list and propose as its person, and never review.
    pub(crate) token: String,
}

/// The folder of the sessions.
pub(crate) struct Sessions(PathBuf);

impl Sessions {
    /// `$XDG_CONFIG_HOME/countersign`, or `~/.config/countersign`.
    pub(crate) fn of_this_user() -> anyhow::Result<Self> {
        let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let config = set("XDG_CONFIG_HOME").or_else(|| set("HOME").map(|home| home.join(".config")));
        let config = config.context("neither `XDG_CONFIG_HOME` nor `HOME` says where settings are kept")?;
        Ok(Self(config.join("countersign")))
    }

    /// The gateway that was signed in to last.
    pub(crate) fn last_url(&self) -> Option<String> {
        let url = fs::read_to_string(self.0.join("current")).ok()?;
        Some(url.trim().to_owned()).filter(|url| !url.is_empty())
    }

    /// The session at a gateway.
    pub(crate) fn read(&self, url: &str) -> anyhow::Result<Option<Saved>> {
        let path = self.path(url)?;
        if !path.exists() {
            return Ok(None);
        }
        keys::check_private(&path)?;
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read `{}`", path.display()))?;
        let saved: Saved = serde_json::from_str(&text)
            .with_context(|| format!("`{}` is no session; run `countersign login` again", path.display()))?;
        // Two addresses can come to one file name; a token goes to nobody but whom it is for.
        Ok(Some(saved).filter(|saved| saved.url == url))
    }

    /// Keeps a session, and remembers its gateway as the last.
    pub(crate) fn write(&self, saved: &Saved) -> anyhow::Result<PathBuf> {
        let path = self.path(&saved.url)?;
        keys::make_folder(&self.0)?;
        replace(&path, &serde_json::to_string(saved)?)?;
        replace(&self.0.join("current"), &saved.url)?;
        Ok(path)
    }

    /// Forgets the session at a gateway; whether there was one.
    pub(crate) fn forget(&self, url: &str) -> anyhow::Result<bool> {
        match fs::remove_file(self.path(url)?) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error).context("cannot remove the session's file"),
        }
    }

    fn path(&self, url: &str) -> anyhow::Result<PathBuf> {
        let Some((_, host)) = url.split_once("://").filter(|(scheme, _)| matches!(*scheme, "http" | "https"))
        else {
            bail!("`{url}` is no gateway's address; write it like `{DEFAULT_URL}`");
        };
        let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':') { c } else { '_' };
        Ok(self.0.join(format!("{}.session", host.chars().map(plain).collect::<String>())))
    }
}

/// Writes a private file in place of what stood there.
fn replace(path: &Path, text: &str) -> anyhow::Result<()> {
    let draft = path.with_extension("draft");
    let _ = fs::remove_file(&draft);
    keys::write_private(&draft, text)?;
    fs::rename(&draft, path).with_context(|| format!("cannot write `{}`", path.display()))
}
