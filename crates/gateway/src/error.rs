use domain::{Malformed, Refusal};
use store::StoreError;

/// Why the gateway did not do it, named after what went wrong for the caller.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// Nobody is signed in, or the credential is not good.
    #[error("{0}")]
    Unauthenticated(String),
    /// Somebody is signed in who may not do this.
    #[error("{0}")]
    Forbidden(String),
    /// The human must touch their passkey again first.
    #[error("this needs a fresh passkey check; sign in again and retry")]
    StepUp,
    /// What was sent is not what it must be.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// The domain refused, with its reason.
    #[error("{0}")]
    Refused(Refusal),
    /// There is no such thing, or none that this caller may see.
    #[error("there is no {0} with this id")]
    NotFound(&'static str),
    /// What was looked at has changed; look again.
    #[error("{0}")]
    Stale(String),
    /// Too much at once; retry shortly.
    #[error("the gateway is busy; retry in a second")]
    Busy,
    /// The store or the log cannot be written: nothing runs.
    #[error("nothing can be recorded now, so nothing runs: {0}")]
    Unavailable(String),
}

impl From<StoreError> for GatewayError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Refused(refusal) => Self::Refused(refusal),
            StoreError::NotFound(what) => Self::NotFound(what),
            StoreError::Stale => {
                Self::Stale("the directory changed in the meantime; look again and retry".to_owned())
            }
            StoreError::Busy => Self::Busy,
            StoreError::LogStopped(why) | StoreError::Corrupt(why) | StoreError::Failed(why) => {
                tracing::error!(why, "the store refused");
                Self::Unavailable("the store does not answer; ask an operator to look at its log".to_owned())
            }
        }
    }
}

impl From<Refusal> for GatewayError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}
