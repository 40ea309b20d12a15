//! Whether a segment of activity has its leaf: a kill between the leaf and the segment's name, or an answer that was
//! lost, leaves that open.

use domain::canonical;
use domain::entry::{Kind, Leaf};
use domain::time::Timestamp;
use store::{StoreError, open_fields};

use crate::activity::SealedSegment;
use crate::{Gateway, GatewayError, limits};

impl Gateway {
    /// The time of a segment's leaf, where the log has it.
    ///
    /// # Errors
    /// Store failures; a leaf that does not read.
    pub(crate) async fn leaf_of(&self, sealed: &SealedSegment) -> Result<Option<Timestamp>, GatewayError> {
        self.store.settle().await?;
        let size = self.store.head().await?.size;
        // A leaf is not older than its segment's last line, unless the machine's clock was set back between the two.
        let since = store::first_since(self.store.as_ref(), sealed.last, size).await?;
        let mut from = since.min(size.saturating_sub(limits::LEAVES_LOOKED_BACK));
        while from < size {
            let leaves = self.store.leaves(from, size).await?;
            for (index, bytes) in (from..).zip(&leaves) {
                // One that was pruned away is older than any segment that still waits.
                if bytes.is_empty() {
                    continue;
                }
                let leaf: Leaf = canonical::read(bytes)?;
                if leaf.kind == Kind::Activity && self.is_leaf_of(index, sealed).await? {
                    tracing::warn!(file = sealed.file, index, "the segment stands in the log already");
                    return Ok(Some(leaf.time));
                }
            }
            if leaves.is_empty() {
                break;
            }
            from += leaves.len() as u64;
        }
        Ok(None)
    }

    /// Whether the entry speaks of this segment: of the same lines in the file of the same name. How it was closed, and
    /// by a gateway of which name, may differ.
    async fn is_leaf_of(&self, index: u64, sealed: &SealedSegment) -> Result<bool, GatewayError> {
        let entry = match self.store.entry(index).await {
            Ok(entry) => entry,
            Err(StoreError::NotFound(_)) => return Ok(false),
            Err(error) => return Err(error.into()),
        };
        let open = open_fields(&entry.fields);
        let Some(field) = open.iter().find(|field| field.path == "segment") else { return Ok(false) };
        let told: SealedSegment = canonical::read(&field.value.0)?;
        Ok(told.digest == sealed.digest && told.file == sealed.file)
    }
}
