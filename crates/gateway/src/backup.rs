//! Copies of the whole store, made while it runs: who asked for one, and that it is in the log before it is made.

use std::path::Path;

use domain::entry::{Draft, Kind};
use domain::principal::Principal;
use domain::time::Timestamp;

use crate::people::Human;
use crate::{Gateway, GatewayError};

/// A copy that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backup {
    /// The file's name within the folder.
    pub file: String,
    /// How many entries the log had at least.
    pub size: u64,
    /// When it was asked for.
    pub time: Timestamp,
}

impl Gateway {
    /// Copies the store into a new file of the operator's folder. The keys are not in it. That it was asked for, and by
    /// whom, is in the log before, so that the copy itself says it.
    ///
    /// # Errors
    /// [`GatewayError::Refused`] unless an administrator asks; when the store cannot be written or copied.
    pub async fn back_up(&self, human: &Human, folder: &Path) -> Result<Backup, GatewayError> {
        self.require_admin(human)?;
        let time = self.store().now();
        // Named by the gateway: nothing of a caller's choosing enters a path.
        let file = format!("countersign-{}.backup", time.micros());
        let fields = vec![
            ("by".to_owned(), Principal::Person(human.person).to_string().into_bytes()),
            ("file".to_owned(), file.clone().into_bytes()),
        ];
        let recorded = self.store().record(Draft { kind: Kind::Backup, subject: None, fields }).await?;
        let size = recorded.position().index.saturating_add(1);
        self.store().backup(&folder.join(&file)).await?;
        tracing::info!(file, size, "the store was copied");
        Ok(Backup { file, size, time: recorded.position().time })
    }
}
