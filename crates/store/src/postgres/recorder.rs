//! Entries that belong to nothing, many in one transaction: whoever records waits for nobody's decision, so what waits
//! goes together.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use domain::entry::Draft;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::ledger;
use super::link::Fault;
use super::sequencer::again;
use super::tx::{Role, Tx};
use super::writer::{Job, Writer, closed};
use crate::{Position, StoreError, limits};

/// How many such transactions are under way at once.
const LANES: u32 = 2;

/// The way to the log for entries that belong to nothing.
pub(super) struct Recorder {
    asking: Mutex<Option<mpsc::Sender<Asked>>>,
    task: Mutex<Option<JoinHandle<()>>>,
}

struct Asked {
    draft: Draft,
    reply: oneshot::Sender<Result<Position, StoreError>>,
}

impl Recorder {
    pub(super) fn start(writer: Arc<Writer>) -> Self {
        let (asking, asked) = mpsc::channel(limits::QUEUE_LIMIT);
        let task = tokio::spawn(run(writer, asked));
        Self { asking: Mutex::new(Some(asking)), task: Mutex::new(Some(task)) }
    }

    pub(super) async fn record(&self, draft: Draft) -> Result<Position, StoreError> {
        let (reply, answer) = oneshot::channel();
        let asking = self.asking.lock().unwrap_or_else(PoisonError::into_inner).clone().ok_or_else(closed)?;
        asking.try_send(Asked { draft, reply }).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => StoreError::Busy,
            mpsc::error::TrySendError::Closed(_) => closed(),
        })?;
        drop(asking);
        answer.await.map_err(|_| closed())?
    }

    /// Takes no more, and waits until what waits is written.
    pub(super) async fn close(&self, patience: Duration) {
        drop(self.asking.lock().unwrap_or_else(PoisonError::into_inner).take());
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(task) = task
            && tokio::time::timeout(patience, task).await.is_err()
        {
            tracing::warn!("patience ended before everything was recorded");
        }
    }
}

async fn run(writer: Arc<Writer>, mut asked: mpsc::Receiver<Asked>) {
    let lanes = Arc::new(Semaphore::new(LANES as usize));
    loop {
        // A lane first: what comes in while none is free goes together.
        let Ok(lane) = Arc::clone(&lanes).acquire_owned().await else { return };
        let mut waiting = Vec::new();
        if asked.recv_many(&mut waiting, limits::BATCH_LIMIT).await == 0 {
            drop(lane);
            break;
        }
        let writer = Arc::clone(&writer);
        tokio::spawn(async move {
            let _lane = lane;
            write(&writer, waiting).await;
        });
    }
    // What is under way ends first.
    let _ = lanes.acquire_many(LANES).await;
}

async fn write(writer: &Arc<Writer>, waiting: Vec<Asked>) {
    // Whoever went away wants it no more.
    let waiting = waiting.into_iter().filter(|asked| !asked.reply.is_closed());
    let (drafts, replies): (Vec<_>, Vec<_>) = waiting.map(|asked| (asked.draft, asked.reply)).unzip();
    let (written, places) = match Box::pin(writer.submit(Batch(drafts))).await {
        Ok(written) => written,
        Err(error) => {
            for reply in replies {
                let _ = reply.send(Err(again(&error)));
            }
            return;
        }
    };
    let mut places = places.into_iter();
    for (written, reply) in written.into_iter().zip(replies) {
        let place = written.and_then(|()| {
            places
                .next()
                .ok_or_else(|| StoreError::Corrupt("an entry was written and has no place".to_owned()))
        });
        let _ = reply.send(place);
    }
}

/// Many entries; one that is refused harms no other.
struct Batch(Vec<Draft>);

#[async_trait]
impl Job for Batch {
    type Output = Vec<Result<(), StoreError>>;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<(Self::Output, Vec<Uuid>), Fault> {
        let (mut written, mut ids) = (Vec::with_capacity(self.0.len()), Vec::with_capacity(self.0.len()));
        for draft in &self.0 {
            let added = match ledger::check_kind(tx, draft).await {
                Ok(()) => tx.append(draft.clone(), Role::Alone),
                Err(Fault::Store(error)) => Err(error),
                Err(fault) => return Err(fault),
            };
            written.push(match added {
                Ok(id) => {
                    ids.push(id);
                    Ok(())
                }
                Err(refused @ StoreError::Refused(_)) => Err(refused),
                Err(error) => return Err(error.into()),
            });
        }
        Ok((written, ids))
    }
}
