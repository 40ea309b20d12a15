//! Statements over one connection, and what can go wrong with them.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use deadpool_postgres::{ClientWrapper, Transaction};
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;
use tokio_postgres::{IsolationLevel, Row};

use crate::StoreError;

/// What a statement is given.
pub(super) type Params<'p> = &'p [&'p (dyn ToSql + Sync)];

/// Why something did not come to be.
#[derive(Debug)]
pub(super) enum Fault {
    /// The caller is to hear of it.
    Store(StoreError),
    /// The connection broke, or the server was in no state to do it: the next try may work.
    Passing(String),
    /// It was asked over a directory that this process has not seen yet.
    Behind,
}

/// How long a statement may take before its connection is given up. The server gives up a little earlier, if it can
/// be reached.
const STATEMENT_LIMIT: Duration = Duration::from_secs(15);
/// The same for whoever reads everything.
const LONG_LIMIT: Duration = Duration::from_secs(1_800);
/// For how long after a connection was given up each of the others is tried out before it is used.
const SUSPICION: Duration = Duration::from_secs(60);

/// When a connection was last given up. All of a process take the same road, so what befell one may have befallen the
/// others.
static GIVEN_UP: Mutex<Option<Instant>> = Mutex::new(None);

/// Whether connections are to be tried out before they are used.
pub(super) fn is_suspicious() -> bool {
    let given_up = *GIVEN_UP.lock().unwrap_or_else(PoisonError::into_inner);
    given_up.is_some_and(|when| when.elapsed() < SUSPICION)
}

/// One transaction.
pub(super) struct Link<'c> {
    transaction: Transaction<'c>,
    limit: Duration,
}

impl<'c> Link<'c> {
    /// Begins to write. Every statement sees what was committed before it.
    pub(super) async fn write(client: &'c mut ClientWrapper) -> Result<Self, Fault> {
        let begin = client.build_transaction().isolation_level(IsolationLevel::ReadCommitted).start();
        let transaction = within(STATEMENT_LIMIT, begin).await?;
        Ok(Self { transaction, limit: STATEMENT_LIMIT })
    }

    /// Begins to read, all of it in one snapshot.
    pub(super) async fn read(client: &'c mut ClientWrapper) -> Result<Self, Fault> {
        let begin = client
            .build_transaction()
            .isolation_level(IsolationLevel::RepeatableRead)
            .read_only(true)
            .start();
        let transaction = within(STATEMENT_LIMIT, begin).await?;
        Ok(Self { transaction, limit: STATEMENT_LIMIT })
    }

    /// Begins to read everything there is.
    pub(super) async fn read_all(client: &'c mut ClientWrapper) -> Result<Self, Fault> {
        let mut link = Self::read(client).await?;
        link.batch(
            "SET LOCAL statement_timeout = 0;
             SET LOCAL idle_in_transaction_session_timeout = '60s';
             SET LOCAL enable_seqscan = on;
             SET LOCAL enable_hashjoin = on;
             SET LOCAL enable_mergejoin = on",
        )
        .await?;
        link.limit = LONG_LIMIT;
        Ok(link)
    }

    pub(super) async fn commit(self) -> Result<(), Fault> {
        within(self.limit, self.transaction.commit()).await
    }

    pub(super) async fn rollback(self) -> Result<(), Fault> {
        within(self.limit, self.transaction.rollback()).await
    }

    pub(super) async fn batch(&self, statements: &str) -> Result<(), Fault> {
        within(self.limit, self.transaction.batch_execute(statements)).await
    }

    pub(super) async fn query(&self, statement: &str, params: Params<'_>) -> Result<Vec<Row>, Fault> {
        within(self.limit, async {
            let prepared = self.transaction.prepare_cached(statement).await?;
            self.transaction.query(&prepared, params).await
        })
        .await
    }

    pub(super) async fn one(&self, statement: &str, params: Params<'_>) -> Result<Row, Fault> {
        let row = self.maybe(statement, params).await?;
        row.ok_or_else(|| Fault::Store(corrupt("a row that is always there is missing")))
    }

    pub(super) async fn maybe(&self, statement: &str, params: Params<'_>) -> Result<Option<Row>, Fault> {
        within(self.limit, async {
            let prepared = self.transaction.prepare_cached(statement).await?;
            self.transaction.query_opt(&prepared, params).await
        })
        .await
    }

    pub(super) async fn execute(&self, statement: &str, params: Params<'_>) -> Result<u64, Fault> {
        within(self.limit, async {
            let prepared = self.transaction.prepare_cached(statement).await?;
            self.transaction.execute(&prepared, params).await
        })
        .await
    }
}

/// Waits for the server's answer, and not for ever: a road that is cut gives no sign.
pub(super) async fn within<T>(
    limit: Duration,
    answer: impl Future<Output = Result<T, tokio_postgres::Error>>,
) -> Result<T, Fault> {
    if let Ok(answer) = tokio::time::timeout(limit, answer).await {
        return Ok(answer?);
    }
    *GIVEN_UP.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    Err(Fault::Passing("the database did not answer in time".to_owned()))
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<audit::Error> for Fault {
    fn from(error: audit::Error) -> Self {
        Self::Store(error.into())
    }
}

impl From<tokio_postgres::Error> for Fault {
    fn from(error: tokio_postgres::Error) -> Self {
        let said = said(&error);
        let Some(code) = error.code() else {
            // No answer of the server's: the connection. What our own types could not hold is no connection's fault.
            let ours = ["deserializing", "serializing", "column", "rows"];
            return if !error.is_closed() && ours.iter().any(|word| said.contains(word)) {
                Self::Store(StoreError::Corrupt(said))
            } else {
                Self::Passing(said)
            };
        };
        let passing = [
            SqlState::T_R_SERIALIZATION_FAILURE,
            SqlState::T_R_DEADLOCK_DETECTED,
            SqlState::LOCK_NOT_AVAILABLE,
            SqlState::QUERY_CANCELED,
            SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT,
            SqlState::READ_ONLY_SQL_TRANSACTION,
            // Statements are sent one behind the other: a later one may be heard before the one that really failed.
            SqlState::IN_FAILED_SQL_TRANSACTION,
        ];
        // Connections (08), resources (53), somebody's intervention (57), the system's errors (58).
        let class = ["08", "53", "57", "58"].iter().any(|class| code.code().starts_with(class));
        if class || passing.contains(code) {
            Self::Passing(said)
        } else if *code == SqlState::DATA_CORRUPTED || *code == SqlState::INDEX_CORRUPTED {
            Self::Store(StoreError::Corrupt(said))
        } else {
            Self::Store(StoreError::Failed(said))
        }
    }
}

impl From<Fault> for StoreError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Store(error) => error,
            Fault::Passing(why) => Self::Failed(why),
            Fault::Behind => Self::Stale,
        }
    }
}

/// The error in words; never the details, which may hold values.
fn said(error: &tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(told) => format!("the database said: {} ({})", told.message(), told.code().code()),
        None => {
            let cause =
                std::error::Error::source(error).map(|cause| format!(": {cause}")).unwrap_or_default();
            format!("the database: {error}{cause}")
        }
    }
}

/// As the database holds it.
pub(super) fn big(number: u64) -> Result<i64, StoreError> {
    i64::try_from(number).map_err(|_| StoreError::Failed(format!("{number} is more than the database holds")))
}

/// As the log counts.
pub(super) fn natural(row: &Row, at: usize) -> Result<u64, StoreError> {
    counted(column(row, at)?)
}

/// The same, where it may be missing.
pub(super) fn maybe_natural(row: &Row, at: usize) -> Result<Option<u64>, StoreError> {
    column::<Option<i64>>(row, at)?.map(counted).transpose()
}

/// A column's value.
pub(super) fn column<'r, T: tokio_postgres::types::FromSql<'r>>(
    row: &'r Row,
    at: usize,
) -> Result<T, StoreError> {
    row.try_get(at).map_err(|error| corrupt(format!("column {at} of a row: {error}")))
}

/// A hash, or whatever else has so many bytes.
pub(super) fn bytes<const N: usize>(row: &Row, at: usize) -> Result<[u8; N], StoreError> {
    column::<&[u8]>(row, at)?
        .try_into()
        .map_err(|_| corrupt(format!("column {at} of a row has not the {N} bytes that it must have")))
}

pub(super) fn corrupt(why: impl Into<String>) -> StoreError {
    StoreError::Corrupt(why.into())
}

fn counted(number: i64) -> Result<u64, StoreError> {
    u64::try_from(number).map_err(|_| corrupt(format!("{number} is no count")))
}
