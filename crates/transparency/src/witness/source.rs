//! Where the client gets the log from that it has cosigned.

use std::sync::Arc;

use async_trait::async_trait;
use audit::Hash;
use store::Ledger;

/// The log's head and the proofs that it only grew.
#[async_trait]
pub trait WitnessedLog: Send + Sync + 'static {
    /// The newest checkpoint's note, signed by the log.
    ///
    /// # Errors
    /// [`SourceError`] if the log cannot be read now.
    async fn head(&self) -> Result<String, SourceError>;

    /// The consistency proof between two sizes (RFC 6962 §2.1.2), in leaves.
    ///
    /// # Errors
    /// [`SourceError`] if the log cannot be read now, or has no such sizes.
    async fn consistency(&self, old: u64, new: u64) -> Result<Vec<Hash>, SourceError>;
}

/// Why the log could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the log cannot be read: {0}")]
pub struct SourceError(pub String);

/// A store's log.
pub struct Stored<L: ?Sized>(pub Arc<L>);

#[async_trait]
impl<L: Ledger + ?Sized + 'static> WitnessedLog for Stored<L> {
    async fn head(&self) -> Result<String, SourceError> {
        let head = self.0.head().await.map_err(|error| SourceError(error.to_string()))?;
        Ok(head.checkpoint)
    }

    async fn consistency(&self, old: u64, new: u64) -> Result<Vec<Hash>, SourceError> {
        let proof = self.0.consistency(old, new).await.map_err(|error| SourceError(error.to_string()))?;
        Ok(proof.into_iter().map(Hash::from_bytes).collect())
    }
}
