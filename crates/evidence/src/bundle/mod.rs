//! The maker of bundles: what an auditor takes away, in the format of `docs/verifying.md`.
//!
//! A bundle begins with its manifest, which names every file's length and digest; so each file is spooled to disk first
//! ([`spool`]), whatever its size, and then handed out in pieces. The entries come from [`maker`]; what they mean is for
//! the verifier to find out.

mod maker;
pub(crate) mod place;
mod spool;

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use gateway::ports::{BundleOrder, Bundles, MadeBundle};
use gateway::{Gateway, GatewayError};
use store::StoreError;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, mpsc};
use verify::bundle::{Outline, Part, length, write_bundle};

use maker::Maker;
use spool::{PieceWriter, Spooled};

/// The most approvals that one bundle of cases holds.
pub const CASES_LIMIT: usize = 10_000;

/// Why no bundle was made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BundleError {
    #[error(transparent)]
    Gateway(#[from] GatewayError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Malformed(#[from] domain::Malformed),
    #[error("the bundle cannot be written: {0}")]
    Io(#[from] std::io::Error),
    /// A stored entry or note is not what it should be.
    #[error("{0}")]
    Corrupt(String),
}

impl From<BundleError> for GatewayError {
    fn from(error: BundleError) -> Self {
        match error {
            BundleError::Gateway(error) => error,
            BundleError::Store(error) => error.into(),
            BundleError::Malformed(error) => error.into(),
            BundleError::Io(_) | BundleError::Corrupt(_) => {
                tracing::error!(%error, "a bundle could not be made");
                Self::Unavailable(
                    "the bundle could not be made; ask an operator to look at the log".to_owned(),
                )
            }
        }
    }
}

/// The newest checkpoint that has its cosignatures, where somebody collects them.
pub type Cosigned = Arc<dyn Fn() -> Option<String> + Send + Sync>;

/// Makes the bundles of one gateway, one at a time.
pub struct BundleService {
    gateway: Arc<Gateway>,
    folder: PathBuf,
    cosigned: Option<Cosigned>,
    one_at_a_time: Arc<Semaphore>,
}

impl std::fmt::Debug for BundleService {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BundleService").field("folder", &self.folder).finish_non_exhaustive()
    }
}

impl BundleService {
    /// A maker that spools in a folder. Its bundles lead to `cosigned`'s checkpoint where there is one, and to the
    /// head's own otherwise.
    #[must_use]
    pub fn new(gateway: Arc<Gateway>, folder: PathBuf, cosigned: Option<Cosigned>) -> Self {
        Self { gateway, folder, cosigned, one_at_a_time: Arc::new(Semaphore::new(1)) }
    }
}

#[async_trait]
impl Bundles for BundleService {
    async fn make(&self, order: BundleOrder) -> Result<MadeBundle, GatewayError> {
        let place = Arc::clone(&self.one_at_a_time).try_acquire_owned().map_err(|_| GatewayError::Busy)?;
        let gateway = Arc::clone(&self.gateway);
        let (folder, cosigned) = (self.folder.clone(), self.cosigned.as_ref().and_then(|newest| newest()));
        let runtime = Handle::current();
        // Lines go to disk as they are made: not on the threads that carry requests.
        let made = tokio::task::spawn_blocking(move || {
            let maker = Maker::new(gateway, folder, cosigned);
            runtime.block_on(maker.make(order))
        });
        let (outline, parts) = made.await.map_err(|_| GatewayError::Busy)??;
        let bytes = length(&outline, &parts).map_err(BundleError::Io)?;
        let (send, pieces) = mpsc::channel(crate::limits::PIECES);
        tokio::task::spawn_blocking(move || {
            let _place = place;
            hand_out(&outline, parts, &send);
        });
        Ok(MadeBundle { bytes, pieces })
    }
}

fn hand_out(
    outline: &Outline,
    parts: Vec<Part<Spooled>>,
    send: &mpsc::Sender<Result<Vec<u8>, GatewayError>>,
) {
    let mut out = PieceWriter::new(send);
    if let Err(error) = write_bundle(&mut out, outline, parts) {
        // A reader that has gone wants no reason.
        let _ = send.blocking_send(Err(BundleError::Io(error).into()));
    }
}
