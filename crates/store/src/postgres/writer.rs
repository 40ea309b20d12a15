//! Writing: a job is decided in a transaction of its own and put into the outbox; then it waits for its place in the
//! signed log.
//!
//! A transaction that fails for a passing reason is tried again; nothing of it stood. Where the commit's own
//! answer is lost, nobody knows whether it stands: then the sequencer tells. It passes the gate alone, so
//! whatever was under way has ended by then, one way or the other.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{Semaphore, oneshot};
use uuid::Uuid;

use super::Shared;
use super::connect::{CONNECTIONS, connection};
use super::link::{Fault, Link};
use super::sequencer::Sequencer;
use super::tx::Tx;
use crate::{Position, StoreError, limits};

/// How many jobs are decided at once. The connections that are left are for those who read.
const WRITERS: usize = CONNECTIONS / 2;
/// How often a job is tried in all.
const TRIES: u32 = 4;
/// How long it waits before the first new try; twice as long before each one after.
const PAUSE: Duration = Duration::from_millis(20);
/// How long one try may take.
const TRY_LIMIT: Duration = Duration::from_secs(25);

/// Something to be decided and written. It may be tried more than once.
#[async_trait]
pub(super) trait Job: Send + Sync + 'static {
    /// What it comes to.
    type Output: Send + 'static;

    /// Hears, before or instead of whoever asked, how its answer went.
    fn told(&self, _shared: &Shared, _how: Told) {}

    /// Decides and writes; answers what it came to, and the ids of the entries whose places whoever asked is told.
    async fn run(&self, tx: &mut Tx<'_>) -> Result<(Self::Output, Vec<Uuid>), Fault>;
}

/// How a job's answer went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    /// It stands, and whoever asked is about to be told so.
    Heard,
    /// It stands, and whoever asked has gone.
    ToNobody,
    /// It may stand, and whoever asked was told of a failure.
    Unclear,
}

/// The way to the outbox.
pub(super) struct Writer {
    shared: Arc<Shared>,
    sequencer: Sequencer,
    queue: Arc<Semaphore>,
    turns: Arc<Semaphore>,
    closed: AtomicBool,
}

/// How one try ended.
enum Tried<T> {
    /// It stands in the outbox.
    Committed(T, Vec<Uuid>),
    /// The commit was asked for, and no answer came.
    Unknown(T, Vec<Uuid>, String),
}

impl Writer {
    pub(super) fn new(shared: Arc<Shared>, sequencer: Sequencer) -> Arc<Self> {
        Arc::new(Self {
            shared,
            sequencer,
            queue: Arc::new(Semaphore::new(limits::QUEUE_LIMIT)),
            turns: Arc::new(Semaphore::new(WRITERS)),
            closed: AtomicBool::new(false),
        })
    }

    /// Has a job done; answers once its entries stand under a signed checkpoint, with their places.
    pub(super) async fn submit<J: Job>(
        self: &Arc<Self>,
        job: J,
    ) -> Result<(J::Output, Vec<Position>), StoreError> {
        self.check_open()?;
        let place = Arc::clone(&self.queue).try_acquire_owned().map_err(|_| StoreError::Busy)?;
        let (reply, answer) = oneshot::channel();
        let writer = Arc::clone(self);
        // On a task of its own: whoever waits may go away, and a commit is not left halfway.
        tokio::spawn(async move {
            let _place = place;
            let turn = Arc::clone(&writer.turns).acquire_owned().await;
            // Whoever went away before it began wants it no more: an approval is not spent on nobody.
            let (Ok(turn), false) = (turn, reply.is_closed()) else { return };
            let done = Box::pin(writer.run(&job, turn)).await;
            match &done {
                Ok(_) => job.told(&writer.shared, Told::Heard),
                Err(
                    StoreError::Refused(_) | StoreError::NotFound(_) | StoreError::Stale | StoreError::Busy,
                ) => {}
                Err(StoreError::Failed(_) | StoreError::LogStopped(_) | StoreError::Corrupt(_)) => {
                    job.told(&writer.shared, Told::Unclear);
                }
            }
            // Whoever waited may have gone; what stands stands.
            if let Err(Ok(_)) = reply.send(done) {
                job.told(&writer.shared, Told::ToNobody);
            }
        });
        answer.await.map_err(|_| closed())?
    }

    async fn run<J: Job>(
        &self,
        job: &J,
        turn: tokio::sync::OwnedSemaphorePermit,
    ) -> Result<(J::Output, Vec<Position>), StoreError> {
        let mut turn = Some(turn);
        let mut pause = PAUSE;
        for left in (0..TRIES).rev() {
            self.shared.check_health()?;
            self.shared.deciding.fetch_add(1, Ordering::Relaxed);
            let tried = tokio::time::timeout(TRY_LIMIT, self.attempt(job)).await;
            self.shared.deciding.fetch_sub(1, Ordering::Relaxed);
            let tried =
                tried.unwrap_or_else(|_| Err(Fault::Passing("the database took too long".to_owned())));
            match tried {
                Ok(Tried::Committed(output, ids)) if ids.is_empty() => return Ok((output, Vec::new())),
                Ok(Tried::Committed(output, ids)) => {
                    // Others may write while this one waits for its place.
                    drop(turn.take());
                    let places = self.sequencer.place(ids).await?;
                    let places = places.ok_or_else(|| {
                        StoreError::Corrupt(
                            "what was committed stands neither in the outbox nor in the log".to_owned(),
                        )
                    })?;
                    return Ok((output, places));
                }
                // Without an entry there is nothing to look for.
                Ok(Tried::Unknown(_, ids, why)) if ids.is_empty() => return Err(StoreError::Failed(why)),
                Ok(Tried::Unknown(output, ids, why)) => {
                    tracing::warn!(%why, "a commit's answer was lost: looking whether it stands");
                    match self.sequencer.place(ids).await? {
                        Some(places) => return Ok((output, places)),
                        None if left > 0 => {}
                        None => return Err(StoreError::Failed(why)),
                    }
                }
                Err(Fault::Store(error)) => return Err(error),
                // What this process has not seen yet it sees after this; then it is decided anew.
                Err(Fault::Behind) => self.sequencer.settle().await?,
                Err(Fault::Passing(why)) if left > 0 => {
                    tracing::warn!(%why, left, "a write failed; trying again");
                    tokio::time::sleep(pause).await;
                    pause *= 2;
                }
                Err(Fault::Passing(why)) => return Err(StoreError::Failed(why)),
            }
        }
        // Only a directory that changes faster than it is read comes here.
        Err(StoreError::Stale)
    }

    async fn attempt<J: Job>(&self, job: &J) -> Result<Tried<J::Output>, Fault> {
        let mut client = connection(&self.shared.pool).await?;
        let link = Link::write(&mut client).await?;
        let mut tx = Tx::begin(link, &self.shared).await?;
        let (output, ids) = job.run(&mut tx).await?;
        let link = tx.flush().await?;
        match link.commit().await {
            Ok(()) => Ok(Tried::Committed(output, ids)),
            // The server said no: nothing stands.
            Err(Fault::Store(error)) => Err(Fault::Store(error)),
            Err(Fault::Behind) => Err(Fault::Behind),
            Err(Fault::Passing(why)) => {
                // What is on the other end of this connection is not known; nobody is to use it again.
                drop(deadpool_postgres::Object::take(client));
                Ok(Tried::Unknown(output, ids, why))
            }
        }
    }

    /// Refuses once the store was closed.
    pub(super) fn check_open(&self) -> Result<(), StoreError> {
        if self.closed.load(Ordering::SeqCst) { Err(closed()) } else { Ok(()) }
    }

    /// Takes no more jobs, and waits until those that wait have been answered.
    pub(super) async fn close(&self, patience: Duration) {
        self.closed.store(true, Ordering::SeqCst);
        let all = u32::try_from(limits::QUEUE_LIMIT).unwrap_or(u32::MAX);
        if tokio::time::timeout(patience, self.queue.acquire_many(all)).await.is_err() {
            tracing::warn!(
                "patience ended before the store's queue; what waits in the outbox is sequenced later"
            );
        }
    }
}

pub(super) fn closed() -> StoreError {
    StoreError::LogStopped("the store was closed".to_owned())
}
