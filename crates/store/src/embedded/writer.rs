//! The one thread that writes, and the way to it.
//!
//! Jobs wait in a bounded queue. The thread takes what waits, up to [`limits::BATCH_LIMIT`], into one
//! transaction (see [`Scribe::commit`]) and answers when that stands: who has an answer has it durably.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::batch::Batch;
use super::scribe::{Failure, Scribe};
use crate::{StoreError, limits};

/// How many jobs in one transaction are a crowd, which comes again together.
const CROWD: usize = 16;
/// How long the crowd is waited for, in a transaction's time: a fraction of a disk's sync.
const LINGER: Duration = Duration::from_micros(500);
/// How often closing looks for room in a full queue.
const CLOSE_RETRY: Duration = Duration::from_millis(10);

/// The way to the writer thread.
pub(super) struct Writer {
    queue: Mutex<Option<SyncSender<Message>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

enum Message {
    Job(Box<dyn Job>),
    Close(oneshot::Sender<()>),
}

/// Something to be written, and somebody who waits for it.
pub(super) trait Job: Send {
    /// Whether a refusal may come after something was written, which is then undone.
    fn wants_savepoint(&self) -> bool;
    /// Does it.
    fn run(&mut self, batch: &mut Batch<'_>) -> Ran;
    /// Tells whoever waits, once the transaction has ended.
    fn answer(self: Box<Self>, outcome: Result<(), &Failure>);
}

/// What a job did to the transaction.
pub(super) enum Ran {
    /// What it wrote is to be kept.
    Kept,
    /// It was refused, or nobody wants it any more: nothing of it is to be kept.
    Refused,
    /// It failed, and may have written a part: the transaction cannot stand.
    Torn(StoreError),
}

/// A job, and where its answer comes.
pub(super) fn job<T, W>(work: W) -> (Box<dyn Job>, oneshot::Receiver<Result<T, StoreError>>)
where
    T: Send + 'static,
    W: FnOnce(&mut Batch<'_>) -> Result<T, StoreError> + Send + 'static,
{
    task(work, true)
}

fn task<T, W>(work: W, savepoint: bool) -> (Box<dyn Job>, oneshot::Receiver<Result<T, StoreError>>)
where
    T: Send + 'static,
    W: FnOnce(&mut Batch<'_>) -> Result<T, StoreError> + Send + 'static,
{
    let (reply, answer) = oneshot::channel();
    let task = Task { work: Some(work), savepoint, result: None, reply };
    (Box::new(task), answer)
}

impl Writer {
    pub(super) fn start(scribe: Scribe) -> Result<Self, StoreError> {
        let (queue, jobs) = sync_channel(limits::QUEUE_LIMIT);
        let thread = std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || run(scribe, &jobs))
            .map_err(|error| StoreError::Failed(format!("cannot start the writer thread: {error}")))?;
        Ok(Self { queue: Mutex::new(Some(queue)), thread: Mutex::new(Some(thread)) })
    }

    /// Has a piece of work done in the next transaction; answers once that stands.
    pub(super) async fn submit<T, W>(&self, work: W) -> Result<T, StoreError>
    where
        T: Send + 'static,
        W: FnOnce(&mut Batch<'_>) -> Result<T, StoreError> + Send + 'static,
    {
        self.send_job(job(work)).await
    }

    /// As [`Writer::submit`], for work that refuses before it writes anything: it needs no savepoint. What else it fails
    /// with ends the whole transaction.
    pub(super) async fn submit_whole<T, W>(&self, work: W) -> Result<T, StoreError>
    where
        T: Send + 'static,
        W: FnOnce(&mut Batch<'_>) -> Result<T, StoreError> + Send + 'static,
    {
        self.send_job(task(work, false)).await
    }

    async fn send_job<T>(
        &self,
        (job, answer): (Box<dyn Job>, oneshot::Receiver<Result<T, StoreError>>),
    ) -> Result<T, StoreError> {
        self.send(Message::Job(job))?;
        answer.await.map_err(|_| closed())?
    }

    fn send(&self, message: Message) -> Result<(), StoreError> {
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        match queue.as_ref().map(|queue| queue.try_send(message)) {
            Some(Ok(())) => Ok(()),
            Some(Err(TrySendError::Full(_))) => Err(StoreError::Busy),
            Some(Err(TrySendError::Disconnected(_))) | None => Err(closed()),
        }
    }

    /// Takes no more jobs, and waits until those that wait have been answered.
    pub(super) async fn close(&self, patience: Duration) {
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(queue) = queue else { return };
        let (done, closed) = oneshot::channel();
        let wait = async move {
            let mut message = Message::Close(done);
            while let Err(TrySendError::Full(back)) = queue.try_send(message) {
                message = back;
                tokio::time::sleep(CLOSE_RETRY).await;
            }
            // An error says that the thread has ended, which is as good.
            let _ = closed.await;
        };
        if tokio::time::timeout(patience, wait).await.is_err() {
            tracing::warn!("patience ended before the store's queue; it is still being written");
        }
    }
}

impl Drop for Writer {
    /// Lets the queue drain, so that whoever opens the database next finds it free.
    fn drop(&mut self) {
        let queue = self.queue.get_mut();
        drop(queue.unwrap_or_else(PoisonError::into_inner).take());
        let thread = self.thread.get_mut();
        let thread = thread.unwrap_or_else(PoisonError::into_inner).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the store's writer thread had died");
        }
    }
}

/// The thread: transactions while there are jobs, chores while there are none.
fn run(mut scribe: Scribe, queue: &Receiver<Message>) {
    let mut waiting = VecDeque::new();
    let mut closing = None;
    let mut last = 0;
    loop {
        if waiting.is_empty() && closing.is_none() {
            match queue.recv_timeout(scribe.next_chore()) {
                Ok(Message::Job(job)) => waiting.push_back(job),
                Ok(Message::Close(done)) => closing = Some(done),
                Err(RecvTimeoutError::Timeout) => scribe.chores(),
                Err(RecvTimeoutError::Disconnected) => return scribe.end(),
            }
        }
        while waiting.len() < limits::BATCH_LIMIT && closing.is_none() {
            match queue.try_recv() {
                Ok(Message::Job(job)) => waiting.push_back(job),
                Ok(Message::Close(done)) => closing = Some(done),
                Err(_) => break,
            }
        }
        if !waiting.is_empty() {
            if closing.is_none() {
                linger(queue, &mut waiting, &mut closing, last);
            }
            last = waiting.len();
            scribe.commit(&mut waiting);
        } else if let Some(done) = closing {
            scribe.end();
            // Whoever closed may have lost patience.
            let _ = done.send(());
            return;
        }
    }
}

/// Those who were answered a moment ago are about to come again: the first few of them would have a disk's sync for
/// themselves, and all others would wait for it. Who is alone waits for nobody.
fn linger(
    queue: &Receiver<Message>,
    waiting: &mut VecDeque<Box<dyn Job>>,
    closing: &mut Option<oneshot::Sender<()>>,
    last: usize,
) {
    if last < CROWD || waiting.len() >= last / 2 {
        return;
    }
    let end = Instant::now() + LINGER;
    while waiting.len() < last.min(limits::BATCH_LIMIT) {
        match queue.recv_timeout(end.saturating_duration_since(Instant::now())) {
            Ok(Message::Job(job)) => waiting.push_back(job),
            Ok(Message::Close(done)) => return *closing = Some(done),
            Err(_) => return,
        }
    }
}

struct Task<T, W> {
    work: Option<W>,
    savepoint: bool,
    result: Option<Result<T, StoreError>>,
    reply: oneshot::Sender<Result<T, StoreError>>,
}

impl<T, W> Job for Task<T, W>
where
    T: Send,
    W: FnOnce(&mut Batch<'_>) -> Result<T, StoreError> + Send,
{
    fn wants_savepoint(&self) -> bool {
        self.savepoint
    }

    fn run(&mut self, batch: &mut Batch<'_>) -> Ran {
        // Whoever went away before it began wants it no more: an approval is not spent on nobody.
        let wanted = !self.reply.is_closed();
        let Some(work) = self.work.take().filter(|_| wanted) else {
            return Ran::Refused;
        };
        match work(batch) {
            Ok(done) => {
                self.result = Some(Ok(done));
                Ran::Kept
            }
            Err(error) if self.savepoint || matches!(error, StoreError::Refused(_)) => {
                self.result = Some(Err(error));
                Ran::Refused
            }
            // Whoever asked is answered with the transaction's end.
            Err(error) => Ran::Torn(error),
        }
    }

    fn answer(self: Box<Self>, outcome: Result<(), &Failure>) {
        let answer = match (outcome, self.result) {
            (Ok(()), Some(result)) => result,
            (Ok(()), None) => return,
            // It was decided over a state that never came to be: even a refusal no longer holds.
            (Err(failure), _) => Err(failure.error()),
        };
        // Whoever waited may have gone; what stands stands.
        let _ = self.reply.send(answer);
    }
}

fn closed() -> StoreError {
    StoreError::LogStopped("the store was closed".to_owned())
}
