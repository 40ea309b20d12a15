//! Where a log is published: a place that holds files, some of which never change.

use async_trait::async_trait;
use audit::TilePath;

/// The name of the one file that changes.
pub const CHECKPOINT: &str = "checkpoint";

/// Why a target did not do it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// Another publisher changed the checkpoint meanwhile, or is at work there.
    #[error("another publisher writes to the same place: {0}")]
    Moved(String),
    /// A file that never changes stands there with other bytes.
    #[error("`{0}` is published already, with other bytes")]
    Conflict(String),
    /// It failed, and may succeed later.
    #[error("{0}")]
    Failed(String),
}

/// A checkpoint as it stands at a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The note's bytes.
    pub note: Vec<u8>,
    /// The target's own mark of this version; opaque.
    pub version: String,
}

/// A place for a published log.
///
/// Contract: a file appears whole or not at all, and survives a power cut once the call has answered. [`put`](Self::put)
/// never replaces other bytes. [`set_checkpoint`](Self::set_checkpoint) replaces the version that the caller has seen,
/// and no other.
#[async_trait]
pub trait Target: Send + Sync {
    /// What to call it, in messages.
    fn name(&self) -> String;

    /// A file's bytes; `None` where there is none.
    ///
    /// # Errors
    /// [`TargetError::Failed`].
    async fn get(&self, path: &str) -> Result<Option<Vec<u8>>, TargetError>;

    /// Puts a file there that never changes. One that stands with the same bytes is fine.
    ///
    /// # Errors
    /// [`TargetError::Conflict`] where other bytes stand; [`TargetError::Failed`].
    async fn put(&self, path: &str, bytes: &[u8]) -> Result<(), TargetError>;

    /// The checkpoint as it stands.
    ///
    /// # Errors
    /// [`TargetError::Failed`].
    async fn checkpoint(&self) -> Result<Option<Standing>, TargetError>;

    /// Replaces the checkpoint, if this version of it still stands; with `None`, if there is none.
    ///
    /// # Errors
    /// [`TargetError::Moved`] where another one stands; [`TargetError::Failed`], and then it is unknown whether it
    /// was replaced.
    async fn set_checkpoint(&self, note: &[u8], over: Option<&Standing>) -> Result<(), TargetError>;

    /// Removes every partial tile of a tile, now that the full one stands.
    ///
    /// # Errors
    /// [`TargetError::Failed`].
    async fn remove_partials(&self, tile: TilePath) -> Result<(), TargetError>;
}

/// The name that all partial tiles of a tile begin with: `tile/0/000.p/`.
pub(crate) fn partials_of(tile: TilePath) -> String {
    let path = tile.to_string();
    let full = path.split_once(".p/").map_or(path.as_str(), |(full, _)| full);
    format!("{full}.p/")
}
