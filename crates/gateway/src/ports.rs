//! What others implement for the gateway.

use std::cell::RefCell;

use async_trait::async_trait;
use domain::action::{Action, Point};
use domain::commitment::Fields;
use domain::grant::Redemption;
use domain::id::ActionId;
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

    /// Whether the action can be run now. A point that runs only for whoever waits, in their own session, says no while
    /// nobody does: the approval then stays unspent until somebody who asks for the same comes, or it lapses.
    fn is_awaited(&self, _approval: ActionId) -> bool {
        true
    }

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

/// The operating system's randomness, fetched a page at a time by each thread: every action takes a few bytes.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemEntropy;

/// How much is fetched at a time, in bytes.
const FETCHED_BYTES: usize = 1_024;

thread_local! {
    /// Bytes that nobody has had yet; each is cleared as it is handed out.
    static FETCHED: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

impl Entropy for SystemEntropy {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), GatewayError> {
        let none = |error| GatewayError::Unavailable(format!("no randomness: {error}"));
        if bytes.len() > FETCHED_BYTES {
            return getrandom::fill(bytes).map_err(none);
        }
        FETCHED.with_borrow_mut(|fetched| {
            if fetched.len() < bytes.len() {
                fetched.resize(FETCHED_BYTES, 0);
                if let Err(error) = getrandom::fill(fetched) {
                    fetched.clear();
                    return Err(none(error));
                }
            }
            let rest = fetched.len() - bytes.len();
            if let Some(fresh) = fetched.get_mut(rest..) {
                bytes.copy_from_slice(fresh);
                fresh.fill(0);
            }
            fetched.truncate(rest);
            Ok(())
        })
    }
}

/// The trail, told for other systems: what the API hands out of it. The room that writes formats and feeds sinks
/// implements it.
#[async_trait]
pub trait Trail: Send + Sync + 'static {
    /// The formats that an export can have.
    fn formats(&self) -> &'static [ExportFormat];

    /// The trail between two places, in a format. It comes in pieces; an error ends it, so that nobody takes a
    /// torn export for a whole one.
    ///
    /// # Errors
    /// [`GatewayError::Malformed`] for an unknown format or a place that does not read, store failures.
    async fn export(&self, format: &str, range: Range) -> Result<Pieces<Vec<u8>>, GatewayError>;

    /// Every event from a place on, then each new one as it comes, until the reader goes.
    ///
    /// # Errors
    /// As [`Trail::export`].
    async fn follow(&self, from: Option<&str>) -> Result<Pieces<Told>, GatewayError>;

    /// The sinks and how far each one is.
    ///
    /// # Errors
    /// Store failures.
    async fn sinks(&self) -> Result<Vec<SinkStatus>, GatewayError>;
}

/// Pieces as they come; whoever drops the receiver ends it.
pub type Pieces<T> = tokio::sync::mpsc::Receiver<Result<T, GatewayError>>;

/// A format of an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExportFormat {
    /// Its name, as `format=` takes it.
    pub name: &'static str,
    /// Its media type.
    pub media_type: &'static str,
}

/// From where to where: an index of the log, or a date or time (RFC 3339). The end is not part of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Range {
    /// Where it begins; the log's beginning where it is not given.
    pub from: Option<String>,
    /// Where it ends; the log's head where it is not given.
    pub to: Option<String>,
}

/// One event of the trail, with the place to go on from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// Where the next event stands: `<index>` or `<index>.<line>`.
    pub next: String,
    /// The event, JSON on one line.
    pub json: String,
}

/// How far one sink is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SinkStatus {
    /// Its name in the configuration.
    pub name: String,
    /// What kind of sink.
    pub kind: &'static str,
    /// `sending`, `waiting` (after a failure), `standby` (another gateway sends) or `stopped`.
    pub state: &'static str,
    /// The place of the next event to send: `<index>` or `<index>.<line>`.
    pub next: String,
    /// The index of the last event that the sink has taken.
    pub last_index: Option<u64>,
    /// When it took it.
    pub last_sent: Option<domain::time::Timestamp>,
    /// How many entries of the log it has not been sent yet.
    pub lag: u64,
    /// How many events it took since the start of this gateway.
    pub sent: u64,
    /// How many tries have failed since the last that did not.
    pub failures: u32,
    /// Why the last try failed, where it did.
    pub last_error: Option<String>,
    /// When it failed.
    pub last_error_at: Option<domain::time::Timestamp>,
}

/// Makes bundles: what an auditor takes away. The room that knows the format implements it.
#[async_trait]
pub trait Bundles: Send + Sync + 'static {
    /// Makes a bundle of what is asked for; one at a time. It is made whole before it is handed out, so that its
    /// length is known.
    ///
    /// # Errors
    /// [`GatewayError::Busy`] while another is made, [`GatewayError::NotFound`] for an approval that there is not,
    /// [`GatewayError::Malformed`] for a place that does not read or an empty period, store failures.
    async fn make(&self, order: BundleOrder) -> Result<MadeBundle, GatewayError>;
}

/// What a bundle is to be of, and for whom.
#[derive(Debug)]
pub struct BundleOrder {
    /// Of what.
    pub of: BundleOf,
    /// Which fields of payloads stand open in it; that they were opened is logged for each approval.
    pub open: OpenFields,
    /// For whom: an administrator.
    pub by: crate::people::Human,
}

/// Which fields of payloads a bundle shows, each with its salt; of all others it has the commitments.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum OpenFields {
    /// None.
    #[default]
    Nothing,
    /// Those at these paths, where a payload has them.
    Paths(std::collections::BTreeSet<String>),
    /// All.
    Everything,
}

/// What a bundle is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BundleOf {
    /// These approvals.
    Cases(Vec<domain::id::ActionId>),
    /// Every entry between two places.
    Period(Range),
    /// Every entry since a signed checkpoint of this log, which goes into the bundle, up to a place.
    Since {
        /// The checkpoint's note.
        checkpoint: String,
        /// Where it ends; the log's head where it is not given.
        to: Option<String>,
    },
}

/// A bundle that is ready.
#[derive(Debug)]
pub struct MadeBundle {
    /// Its length, in bytes.
    pub bytes: u64,
    /// It, in pieces.
    pub pieces: Pieces<Vec<u8>>,
}
