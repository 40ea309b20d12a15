//! What every store must do. The docs of these traits are the contract; `conformance` tests it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use audit::NoteSigner;
use domain::Refusal;
use domain::action::Action;
use domain::approval::{Approval, Command};
use domain::commitment::{Disclosure, Field, Fields};
use domain::directory::{Change, Directory};
use domain::entry;
use domain::evaluation::Evaluation;
use domain::event::Event;
use domain::grant::Redemption;
use domain::id::{ActionId, Origin};
use domain::principal::Principal;
use domain::retry::RetryKey;
use domain::time::{Span, Timestamp};
use tokio::sync::broadcast;

/// The store's limits, in one place.
pub mod limits {
    use std::time::Duration;

    /// The most writes that one transaction carries.
    pub const BATCH_LIMIT: usize = 256;
    /// The most writes that wait for the writer; more are refused with [`super::StoreError::Busy`].
    pub const QUEUE_LIMIT: usize = 16_384;
    /// The largest sealed value in the vault, in bytes.
    pub const VAULT_VALUE_LIMIT_BYTES: usize = 8 << 20;
    /// The most rows that one page of a listing carries.
    pub const PAGE_LIMIT: usize = 200;
    /// How long the log may stand silent before a heartbeat.
    pub const HEARTBEAT: Duration = Duration::from_secs(60);
    /// The most entries whose values one pruning drops; the next goes on behind it.
    pub const PRUNE_LIMIT: u64 = 4_096;
    /// How many wakes a slow listener may miss before it must look for itself.
    pub const WAKE_BUFFER: usize = 65_536;
}

/// The one clock of a store. Production's never goes back within a process; tests turn it by hand.
pub trait Clock: Send + Sync + 'static {
    /// UTC microseconds. The store itself keeps a commit's time from standing before the log's head.
    fn now(&self) -> Timestamp;

    /// The log that this clock is for ends at this time. A clock that is behind it goes on from there, slowly, so that
    /// time does not stand still: nothing would lapse until the machine's clock came to where the log is.
    fn resume(&self, _head: Timestamp) {}

    /// What the machine's clock says, wherever the log is.
    fn machine(&self) -> Timestamp {
        self.now()
    }
}

/// Why the store did not do it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The domain refused the command.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// There is no such approval, entry or value.
    #[error("there is no {0} with this id")]
    NotFound(&'static str),
    /// The directory changed between reading and writing; read again and retry.
    #[error("the directory changed in the meantime; read it again and retry")]
    Stale,
    /// Too many writes wait; retry shortly.
    #[error("the store is busy; retry in a second")]
    Busy,
    /// The log cannot be written or must not be: nothing runs until a human has looked.
    #[error("the log is stopped: {0}")]
    LogStopped(String),
    /// What is stored does not read back: it was altered, or the key is another.
    #[error("the store holds what it should not: {0}")]
    Corrupt(String),
    /// The database failed.
    #[error("the store failed: {0}")]
    Failed(String),
}

/// A value whose state change and log entry are durable together. Only a store's commit makes one.
#[derive(Debug)]
pub struct Recorded<T> {
    value: T,
    position: Position,
}

impl<T> Recorded<T> {
    pub(crate) fn new(value: T, position: Position) -> Self {
        Self { value, position }
    }

    /// Where in the log it stands.
    pub fn position(&self) -> Position {
        self.position
    }

    /// What was recorded.
    pub fn get(&self) -> &T {
        &self.value
    }

    /// Takes it out; what comes after no longer knows that it was recorded.
    pub fn into_inner(self) -> T {
        self.value
    }
}

impl Recorded<Advance> {
    /// The right to run, where the recorded step was a redemption.
    #[must_use]
    pub fn redemption(self) -> Option<Recorded<Redemption>> {
        let position = self.position;
        self.value.redemption.map(|value| Recorded { value, position })
    }
}

/// Where in the log an entry stands, and when it was committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// The entry's index.
    pub index: u64,
    /// The commit's time.
    pub time: Timestamp,
}

/// The log's head: size, time and signed checkpoint (a C2SP signed note).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// How many entries.
    pub size: u64,
    /// The time of the last commit.
    pub time: Timestamp,
    /// The checkpoint's note.
    pub checkpoint: String,
}

/// One change of the log's key: what a verifier follows who trusts the old key only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rotation {
    /// The index of its `rotation/1` entry, whose fields are `new`, `old` and `reason`.
    pub index: u64,
    /// The key that signed every checkpoint up to size `index + 1`, as C2SP writes a verifier key.
    pub old: String,
    /// The key that signs every checkpoint of a larger size.
    pub new: String,
    /// Why the key changed, in the operator's words.
    pub reason: String,
    /// The old key's last checkpoint, a signed note: of size `index + 1`, so that the entry is its last leaf.
    pub checkpoint: String,
}

/// What is to be pruned for its age.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pruning {
    /// Entries that were committed before this moment.
    pub before: Timestamp,
    /// Whether their leaves go too, and not only the values behind them.
    pub leaves: Leaves,
    /// Whose doing it is, in words: a person, or the rule that asks for it. It enters the log.
    pub by: String,
    /// The rule, in words: "values are kept for 400 days". It enters the log.
    pub policy: String,
}

/// Whether a pruning drops the leaves' bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leaves {
    /// They stay: a leaf holds commitments and no values, and the log can still be read whole.
    Keep,
    /// They go where nothing needs them; their hashes stay, and with them every proof. Whoever wants to read
    /// them later has kept the published entry bundles.
    Drop,
}

/// What one pruning did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pruned {
    /// The first entry that it looked at.
    pub from: u64,
    /// The first entry behind it: a multiple of 256.
    pub below: u64,
    /// How many entries lost their values; the others among them are kept for good.
    pub entries: u64,
}

/// A request for review, to be opened.
#[derive(Debug, Clone)]
pub struct Request {
    /// The sealed action.
    pub action: Action,
    /// The payload's fields in the open; their root stands in the action.
    pub payload: Fields,
    /// What policy answered: `needs-review`.
    pub evaluation: Evaluation,
    /// By which an identical call finds it.
    pub retry: RetryKey,
    /// How long after its end an identical call still finds it.
    pub retry_window: Span,
    /// Groups actions of one shape, for "prior runs of this shape": never for authority.
    pub shape: String,
    /// Whether it runs once approved though its caller has gone.
    pub run_when_gone: RunWhenGone,
}

/// Whether an action runs once approved though its caller has gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunWhenGone {
    /// It runs; the result waits for the caller.
    Yes,
    /// It waits for an identical call until the grant lapses.
    No,
}

/// What opening a request came to.
#[derive(Debug)]
pub enum Opened {
    /// A new approval stands.
    New(Recorded<Approval>),
    /// An identical call's approval stands already, and this one attaches to it.
    Attached(Attached),
}

/// The standing approval that an identical call attached to.
#[derive(Debug, Clone)]
pub struct Attached {
    /// Its id.
    pub id: ActionId,
    /// Its state.
    pub approval: Approval,
}

/// What a command on an approval came to.
#[derive(Debug)]
pub struct Advance {
    /// The approval after it.
    pub approval: Approval,
    /// What happened.
    pub event: Event,
    /// The right to run, where it was a redemption.
    pub redemption: Option<Redemption>,
}

/// What else a command changes, in the same transaction.
#[derive(Debug, Default)]
pub struct Effect {
    /// Changes of the directory (a configuration change that was approved and now runs). They are
    /// refused as a whole with [`StoreError::Stale`] unless the directory is still at this version.
    pub changes: Vec<Change>,
    /// The directory's version that the command was prepared over; `None` where it does not matter.
    pub directory: Option<u64>,
    /// A value for the vault: key, bytes, and for how long.
    pub keep: Option<(String, Vec<u8>, Span)>,
}

/// Which approvals a listing shows.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Only these states (`pending`, `approved`, …); empty means all.
    pub states: Vec<String>,
    /// Only those whose caller this is.
    pub caller: Option<Principal>,
    /// Only those of this shape.
    pub shape: Option<String>,
    /// Only those whose glass was broken and that nobody has looked at since.
    pub awaits_later_review: bool,
}

/// Where the next page begins: behind this id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor(pub ActionId);

/// A page of a listing, newest first.
#[derive(Debug, Clone)]
pub struct Page<T> {
    /// The rows.
    pub rows: Vec<T>,
    /// Where the next page begins; `None` on the last.
    pub next: Option<Cursor>,
}

/// An approval in a listing.
#[derive(Debug, Clone)]
pub struct Summary {
    /// The sealed action.
    pub action: Action,
    /// The approval.
    pub approval: Approval,
    /// Its shape.
    pub shape: String,
    /// Whether it runs though its caller has gone.
    pub run_when_gone: RunWhenGone,
}

/// What went before, of one caller and shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Prior {
    /// Held actions of this shape that ran.
    pub ran: u64,
    /// Held actions of this shape that were denied.
    pub denied: u64,
    /// Denials of this caller, of any shape, in the last 24 hours.
    pub denied_today: u64,
}

/// Somebody should look: an approval moved, or the directory did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wake {
    /// This approval has a new event.
    Approval(ActionId),
    /// The directory has a new version.
    Directory(u64),
}

/// One entry as it stands in the log.
#[derive(Debug, Clone)]
pub struct EntryView {
    /// Its index.
    pub index: u64,
    /// The leaf's exact bytes.
    pub leaf: Vec<u8>,
    /// Its fields: open, or withheld where they were erased.
    pub fields: Vec<Disclosure>,
}

/// Cases and their events.
///
/// Contract: an event, its log entry and the new checkpoint are one transaction; a command is decided
/// by [`Approval::handle`] inside it, over the events that stand, with the commit's time; two commands on
/// one approval are serial; what was acknowledged survives `kill -9` and a power cut.
#[async_trait]
pub trait Approvals: Send + Sync {
    /// Opens a request, or attaches to the approval that stands under the same retry key: a case that is not
    /// terminal, or one that ended within the retry window. The look-up and the opening are one transaction.
    ///
    /// # Errors
    /// [`StoreError::Refused`] when the evaluation does not ask for review; [`StoreError::Stale`] when the
    /// directory is no longer at the evaluation's version; store failures.
    async fn open(&self, request: Request) -> Result<Opened, StoreError>;

    /// Commits what a command comes to, with its effects.
    ///
    /// # Errors
    /// [`StoreError::Refused`] with the domain's reason, [`StoreError::NotFound`], [`StoreError::Stale`], store failures.
    /// Nothing is changed on an error.
    async fn advance(
        &self,
        id: ActionId,
        command: Command,
        effect: Effect,
    ) -> Result<Recorded<Advance>, StoreError>;

    /// An approval with its action.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], store failures.
    async fn approval(&self, id: ActionId) -> Result<Summary, StoreError>;

    /// An approval's events with their positions, oldest first.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], store failures.
    async fn history(&self, id: ActionId) -> Result<Vec<(Event, Position)>, StoreError>;

    /// A request's payload, open; erased fields are withheld.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], store failures.
    async fn payload(&self, id: ActionId) -> Result<Vec<Disclosure>, StoreError>;

    /// Approvals, newest first, at most [`limits::PAGE_LIMIT`] a page.
    ///
    /// # Errors
    /// Store failures.
    async fn list(
        &self,
        filter: &Filter,
        after: Option<Cursor>,
        limit: usize,
    ) -> Result<Page<Summary>, StoreError>;

    /// Approvals whose deadline has passed, up to `limit`: they are to be expired.
    ///
    /// # Errors
    /// Store failures.
    async fn lapsed(&self, limit: usize) -> Result<Vec<ActionId>, StoreError>;

    /// Approvals that were spent and that no process runs any more, up to `limit`: the one that spent them has closed the
    /// store, or has gone without a word, or never heard that it did spend them. What a process that lives spent and
    /// heard of is never among them. They are to be finished as `unknown`, unless somebody else still reports.
    ///
    /// # Errors
    /// Store failures.
    async fn orphans(&self, limit: usize) -> Result<Vec<ActionId>, StoreError>;

    /// How many approvals [`Filter::awaits_later_review`] lets through.
    ///
    /// # Errors
    /// Store failures.
    async fn awaiting_later_review(&self) -> Result<u64, StoreError>;

    /// What went before, of this caller and shape.
    ///
    /// # Errors
    /// Store failures.
    async fn prior(&self, caller: Principal, shape: &str) -> Result<Prior, StoreError>;
}

/// Who and what is known.
///
/// Contract: the directory is what its changes replay to; a change and its log entry are one
/// transaction; the snapshot is whole and immutable.
#[async_trait]
pub trait Directories: Send + Sync {
    /// The directory as of the last commit that this process has seen. Cheap.
    fn directory(&self) -> Arc<Directory>;

    /// Commits changes, all or none, if the directory is still at `version`.
    ///
    /// # Errors
    /// [`StoreError::Stale`]; [`StoreError::Refused`] when a change makes no sense; store failures.
    async fn change(&self, version: u64, changes: Vec<Change>) -> Result<Recorded<u64>, StoreError>;

    /// The log positions at which this subject's directory entries stand, oldest first.
    ///
    /// # Errors
    /// Store failures.
    async fn directory_entries(&self, subject: &str) -> Result<Vec<u64>, StoreError>;
}

/// The log.
///
/// Contract: entries have consecutive indices from 0; the first is genesis; time never falls; before it
/// signs, the store re-reads and re-hashes what it wrote; it refuses to sign a smaller size, and stops when the
/// last signed checkpoint, kept outside the database too, is ahead of or beside the database.
#[async_trait]
pub trait Ledger: Send + Sync {
    /// The deployment's origin.
    fn origin(&self) -> &Origin;

    /// The time that a commit would have now: the clock's, but never before the log's head.
    fn now(&self) -> Timestamp;

    /// The log's head.
    ///
    /// # Errors
    /// Store failures.
    async fn head(&self) -> Result<Head, StoreError>;

    /// Waits until whatever was committed before this call has its place in the log, and [`Ledger::head`] knows of it:
    /// a write whose answer was lost stands by then, or never will. A store whose commits have their places at once
    /// has nothing to wait for.
    ///
    /// # Errors
    /// Store failures.
    async fn settle(&self) -> Result<(), StoreError> {
        Ok(())
    }

    /// Appends one entry that belongs to no approval and no directory change.
    ///
    /// # Errors
    /// Store failures.
    async fn record(&self, draft: entry::Draft) -> Result<Recorded<()>, StoreError>;

    /// An entry with its fields.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], store failures.
    async fn entry(&self, index: u64) -> Result<EntryView, StoreError>;

    /// Leaves `from..to`, bytes only, at most [`limits::PAGE_LIMIT`]. One that a pruning dropped is empty, which no
    /// leaf is.
    ///
    /// # Errors
    /// Store failures.
    async fn leaves(&self, from: u64, to: u64) -> Result<Vec<Vec<u8>>, StoreError>;

    /// The first `width` hashes of a tile, as C2SP `tlog-tiles` names them; level 0 holds leaf hashes. They are as
    /// they stand: whoever publishes them holds them against a checkpoint first.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] unless the log has them all; store failures.
    async fn tile(&self, level: u8, index: u64, width: u16) -> Result<Vec<[u8; 32]>, StoreError>;

    /// The inclusion proof of an entry in the tree of a size.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] outside the tree; store failures.
    async fn inclusion(&self, index: u64, size: u64) -> Result<Vec<[u8; 32]>, StoreError>;

    /// The consistency proof between two sizes.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] outside the tree; store failures.
    async fn consistency(&self, old: u64, new: u64) -> Result<Vec<[u8; 32]>, StoreError>;

    /// Erases fields of an entry (value and salt) and logs that it was done. The leaf stays.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], store failures.
    async fn erase(&self, index: u64, paths: &[String], by: Principal) -> Result<Recorded<()>, StoreError>;

    /// Drops the values of entries that are older than a limit, and their leaves where that is asked for, and logs
    /// it in a `pruning/1` entry in the same transaction. At most [`limits::PRUNE_LIMIT`] entries at a time,
    /// in whole tiles: repeat it until it answers `None`, which says that nothing is left to do.
    ///
    /// Nothing is pruned that something still needs: not the tile on the right edge; not genesis, directory, erasure,
    /// gap, rotation and pruning entries; and nothing from the first request on whose approval has not come to
    /// its end, or came to it after the limit, or whose broken glass nobody has looked at. Tile hashes stay, and so does
    /// every proof.
    ///
    /// # Errors
    /// Store failures.
    async fn prune(&self, pruning: Pruning) -> Result<Option<Recorded<Pruned>>, StoreError>;

    /// Up to which index values were pruned: those of the entries below it are gone, but for what prunings keep. 0 where
    /// nothing was.
    ///
    /// # Errors
    /// Store failures.
    async fn pruned_below(&self) -> Result<u64, StoreError>;

    /// Changes the log's key: the old key signs one more checkpoint, whose last leaf says so, and the new key
    /// every one after it. A store is opened with the key that the log says is current, and with no other.
    ///
    /// # Errors
    /// [`StoreError::Refused`] for a key that bears another name than the origin, or that this log had before;
    /// [`StoreError::LogStopped`] where another store has changed the key meanwhile; store failures.
    async fn rotate(&self, to: Box<dyn NoteSigner>, reason: &str) -> Result<Recorded<()>, StoreError>;

    /// Every change of the log's key, oldest first. Genesis names the first key.
    ///
    /// # Errors
    /// Store failures.
    async fn rotations(&self) -> Result<Vec<Rotation>, StoreError>;

    /// Re-reads and re-hashes the whole log against the last signed checkpoint. Where a leaf was dropped, its
    /// hash stands for it, and an entry of the log must say that it was dropped.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] with the first place that does not fit.
    async fn audit(&self) -> Result<Head, StoreError>;

    /// A consistent copy of the whole store into a new file, while it runs.
    ///
    /// # Errors
    /// An existing file, store failures.
    async fn backup(&self, to: &Path) -> Result<(), StoreError>;
}

/// Values that are sealed at rest, lapse, and are claimed at most once: sessions, nonces, results.
#[async_trait]
pub trait Vault: Send + Sync {
    /// Keeps a value under a key for a time, replacing what stood there.
    ///
    /// # Errors
    /// A value over [`limits::VAULT_VALUE_LIMIT_BYTES`]; store failures.
    async fn keep(&self, key: &str, value: &[u8], lifetime: Span) -> Result<(), StoreError>;

    /// A value that has not lapsed.
    ///
    /// # Errors
    /// Store failures.
    async fn look(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError>;

    /// Takes a value out: of any number of callers at once, one gets it.
    ///
    /// # Errors
    /// Store failures.
    async fn take(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError>;

    /// Claims a key for a time: true for the first, false for everybody after.
    ///
    /// # Errors
    /// Store failures.
    async fn claim(&self, key: &str, lifetime: Span) -> Result<bool, StoreError>;

    /// Removes every value whose key begins so (a person's sessions, say).
    ///
    /// # Errors
    /// Store failures.
    async fn forget(&self, prefix: &str) -> Result<u64, StoreError>;
}

/// The whole store.
#[async_trait]
pub trait Store: Approvals + Directories + Ledger + Vault + crate::Deliveries + 'static {
    /// Wakes, from this call on. A listener that lags must look for itself.
    fn wakes(&self) -> broadcast::Receiver<Wake>;

    /// Whether other processes may have the same store open.
    fn is_shared(&self) -> bool {
        false
    }

    /// Waits until everything queued is durable, then stops taking writes.
    async fn close(&self, patience: Duration);
}

/// The open fields among disclosed ones.
#[must_use]
pub fn open_fields(fields: &[Disclosure]) -> Vec<&Field> {
    fields
        .iter()
        .filter_map(|field| match field {
            Disclosure::Open(open) => Some(open),
            Disclosure::Withheld(_) => None,
        })
        .collect()
}
