//! What may run, under which conditions, and who hears how it ended.

use std::fmt;
use std::ops::RangeInclusive;

use bytes::Bytes;

use crate::parse::backend::Column;
use crate::reply::{Refusal, State};

/// The right to run what was asked about, once.
#[derive(Default)]
pub struct Permit {
    /// Whether it is known that no setting changes by it. Otherwise what comes behind it, before the server's
    /// next [`Sync`](crate::parse::Frontend::Sync), may not hold what a changed setting would read differently.
    pub keeps_settings: bool,
    /// Whether it is known that nothing of it is left in the session: no setting, temporary table, cursor, lock, channel or
    /// sequence's last value. A session in which nothing is left gives its connection to the server back while a
    /// statement of it waits for people.
    pub leaves_nothing: bool,
    /// The most data that its COPY may bring, in bytes; nothing for any.
    pub copy_limit: Option<u64>,
    /// Who hears how it ended.
    pub watch: Option<Box<dyn Watch>>,
    /// What has to be so still when it runs.
    pub recheck: Option<Recheck>,
    /// What it may do at most, and at least.
    pub bounds: Option<Bounds>,
    /// What becomes of its rows on their way to the client.
    pub results: Option<Results>,
}

/// A question whose answer has to be as it was when people looked: asked right before the statement, and again behind it
/// in the same transaction, before it can be committed. Another answer rolls it back.
///
/// With a recheck, bounds or [`Results`] a group has to be one statement: a text of several is refused by the server. Where
/// no transaction is open it runs in one of ours, so what cannot run in a transaction (`VACUUM`, `CREATE INDEX
/// CONCURRENTLY`, a procedure that commits) is refused by the server, and says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recheck {
    /// One statement that changes nothing, as in a [`Lookup`]. What may change forth and back meanwhile needs more than its
    /// content in the answer: a row's `xmin`, say.
    pub sql: String,
    /// The rows that it has to give, as text, in this order.
    pub expected: Rows,
}

/// What a statement may do. Where it does something else it is rolled back, and no row of it leaves the gate.
///
/// Its rows are kept here until then, at most [`KEPT_ROWS_LIMIT_BYTES`](crate::config::KEPT_ROWS_LIMIT_BYTES) of them;
/// with more it is rolled back too. The protocol's limit on rows at once does not hold for such a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bounds {
    /// How many rows its tag may count: those that it affected, of a query those that it gave.
    pub affected: RangeInclusive<u64>,
    /// Which tables it may touch, by the server's own counts (`pg_stat_xact_user_tables`): triggers, rules and cascades
    /// are in them, and a `TRUNCATE` is not. Nothing for any.
    pub tables: Option<Vec<TableBounds>>,
}

/// How many of a table's rows may be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableBounds {
    /// The table, by OID.
    pub table: u32,
    /// Rows that are new.
    pub inserted: RangeInclusive<u64>,
    /// Rows that are changed.
    pub updated: RangeInclusive<u64>,
    /// Rows that are gone.
    pub deleted: RangeInclusive<u64>,
}

/// What becomes of rows on their way to the client. Data of `COPY ... TO` has no columns here, and is refused.
#[derive(Default)]
pub struct Results {
    /// Looks at values, and changes them.
    pub mask: Option<Box<dyn Mask>>,
    /// How many rows may go.
    pub rows: Option<RowLimit>,
}

/// Looks at values on their way to the client, and changes them.
///
/// A row that has to be looked at is read whole, and holds at most
/// [`MASKED_ROW_LIMIT_BYTES`](crate::config::MASKED_ROW_LIMIT_BYTES); all others pass in pieces.
pub trait Mask: Send {
    /// Learns of the columns that are to come, and says by their places which it has to see.
    ///
    /// # Errors
    /// Why none of it may go.
    fn columns(&mut self, columns: &[Column]) -> Result<Vec<usize>, Refusal>;

    /// What goes on instead of a value of the column at this place, in the same [`Format`](crate::parse::Format);
    /// nothing is NULL.
    ///
    /// # Errors
    /// Why nothing more may go.
    fn value(&mut self, column: usize, value: Option<Bytes>) -> Result<Option<Bytes>, Refusal>;
}

/// How many rows may go to a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowLimit {
    /// So many.
    pub most: u64,
    /// What becomes of the others.
    pub beyond: Beyond,
}

/// What becomes of rows beyond a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beyond {
    /// They are left out; a notice says so.
    Cut,
    /// The statement fails. Rows up to the limit may have gone.
    Refuse,
}

/// Hears how one permit ended.
///
/// It is told once. Dropped without being told, it has to take the end for unknown.
pub trait Watch: Send {
    /// It ended so. Called between two messages of the session, which waits meanwhile.
    fn ended(self: Box<Self>, ended: Ended);
}

/// How a permit ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// It has run.
    Complete {
        /// The tags of its statements, such as `DELETE 5`, the first [`TAGS_LIMIT`](crate::config::TAGS_LIMIT) of them.
        /// None where a portal was let go of before its end.
        tags: Vec<Bytes>,
        /// How many rows the server gave.
        rows_returned: u64,
        /// What its COPY brought.
        copied: Option<Copied>,
        /// Whether the transaction that it ran in was open still: what it did stands when that is committed, and
        /// not before.
        open: bool,
    },
    /// The server, or the gate, refused it, and what it had done was rolled back.
    Failed {
        /// What programs look at.
        sqlstate: State,
        /// The server's words, cut off at [`TOLD_LIMIT_BYTES`](crate::config::TOLD_LIMIT_BYTES).
        message: String,
    },
    /// It never began: the client let go of it, or something before it failed.
    NotRun,
    /// It began, and nobody said what came of it.
    Unknown {
        /// Why nobody did.
        why: &'static str,
    },
}

/// What a COPY brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Copied {
    /// How much, in bytes, without the messages' heads.
    pub bytes: u64,
    /// The SHA-256 of it all, in order, however it was cut into messages.
    pub sha256: [u8; 32],
}

/// A question to the session's own backend, before something is decided.
///
/// It is asked in the session's transaction where one is open; an error there fails that transaction, as any error
/// does, and the client's statement with it. Elsewhere it is asked by itself. The client sees nothing of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lookup {
    /// One statement that changes nothing and has no parameters. Its results come as text.
    pub sql: String,
}

/// The rows of a [`Lookup`]; a value that is nothing is NULL.
pub type Rows = Vec<Vec<Option<Bytes>>>;

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit")
            .field("keeps_settings", &self.keeps_settings)
            .field("leaves_nothing", &self.leaves_nothing)
            .field("copy_limit", &self.copy_limit)
            .field("watched", &self.watch.is_some())
            .field("recheck", &self.recheck)
            .field("bounds", &self.bounds)
            .field("results", &self.results)
            .finish()
    }
}

impl fmt::Debug for Results {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Results").field("masked", &self.mask.is_some()).field("rows", &self.rows).finish()
    }
}
