//! What others implement for the gateway.

use async_trait::async_trait;
use domain::action::{Action, Point};
use domain::commitment::Fields;
use domain::grant::Redemption;
use domain::outcome::Outcome;
use store::Recorded;

use crate::GatewayError;

/// A point that can run what it once intercepted, from the stored bytes alone.
#[async_trait]
pub trait Runner: Send + Sync + 'static {
    /// Which point's actions it runs.
    fn point(&self) -> Point;

    /// Whether the action's target still stands as it was defined when the action was sealed.
    ///
    /// # Errors
    /// What changed, in words for the reviewer.
    fn stands(&self, action: &Action) -> Result<(), String>;

    /// Runs the action, once. Taking the recorded redemption by value is what makes it once: what was
    /// not recorded cannot be run, and there is no second one.
    async fn run(&self, redemption: Recorded<Redemption>, action: &Action, payload: &Fields) -> Ran;
}

/// What came of a run.
pub struct Ran {
    /// How it ended.
    pub outcome: Outcome,
    /// What the caller gets.
    pub result: RunResult,
}

/// What the caller of a run gets.
pub enum RunResult {
    /// Bytes that can wait for the caller, as the point wrote them for itself to read.
    Whole(Vec<u8>),
    /// Something that only a caller who waits now can take, such as a stream; the point knows its type.
    Live(Box<dyn std::any::Any + Send>),
    /// Nothing.
    Nothing,
}

impl std::fmt::Debug for RunResult {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Whole(bytes) => write!(f, "Whole({} bytes)", bytes.len()),
            Self::Live(_) => f.write_str("Live(..)"),
            Self::Nothing => f.write_str("Nothing"),
        }
    }
}

/// The one source of randomness.
pub trait Entropy: Send + Sync + 'static {
    /// Fills the bytes.
    ///
    /// # Errors
    /// When the system gives none: whatever needed it does not happen.
    fn fill(&self, bytes: &mut [u8]) -> Result<(), GatewayError>;
}

/// The operating system's randomness.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), GatewayError> {
        getrandom::fill(bytes).map_err(|error| GatewayError::Unavailable(format!("no randomness: {error}")))
    }
}
