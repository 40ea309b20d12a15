//! The one thread that writes, and the way to it.
//!
//! Jobs wait in a bounded queue. The thread takes what waits, up to [`limits::BATCH_LIMIT`], into one
//! transaction (see [`Scribe::commit`]) and answers when that stands: who has an answer has it durably.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::oneshot;

use super::batch::Batch;
use super::scribe::{Failure, Scribe};
use crate::{StoreError, limits};

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
    /// Does it; says whether its savepoint is to be kept.
    fn run(&mut self, batch: &mut Batch<'_>) -> bool;
    /// Tells whoever waits, once the transaction has ended.
    fn answer(self: Box<Self>, outcome: Result<(), &Failure>);
}

/// A job, and where its answer comes.
pub(super) fn job<T, W>(work: W) -> (Box<dyn Job>, oneshot::Receiver<Result<T, StoreError>>)
where
    T: Send + 'static,
    W: FnOnce(&mut Batch<'_>) -> Result<T, StoreError> + Send + 'static,
{
    let (reply, answer) = oneshot::channel();
    let task = Task { work: Some(work), result: None, reply };
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
        let (job, answer) = job(work);
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
            scribe.commit(&mut waiting);
        } else if let Some(done) = closing {
            scribe.end();
            // Whoever closed may have lost patience.
            let _ = done.send(());
            return;
        }
    }
}

struct Task<T, W> {
    work: Option<W>,
    result: Option<Result<T, StoreError>>,
    reply: oneshot::Sender<Result<T, StoreError>>,
}

impl<T, W> Job for Task<T, W>
where
    T: Send,
    W: FnOnce(&mut Batch<'_>) -> Result<T, StoreError> + Send,
{
    fn run(&mut self, batch: &mut Batch<'_>) -> bool {
        // Whoever went away before it began wants it no more: an approval is not spent on nobody.
        let wanted = !self.reply.is_closed();
        let Some(work) = self.work.take().filter(|_| wanted) else {
            return false;
        };
        let result = work(batch);
        let keep = result.is_ok();
        self.result = Some(result);
        keep
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
