//! What the writer thread owns, and one commit from beginning to end.
//!
//! Each job of a batch that may be refused halfway runs in a savepoint of its own, so that one refusal harms no other. Then the new
//! leaves are read back and hashed again, one checkpoint is signed over all of them, the transaction commits, the
//! anchor is kept, and only then the jobs are answered.
//!
//! What was signed and may or may not stand is the dangerous moment: two checkpoints of one size with
//! different roots would be a fork. So what fails for ordinary reasons (a full disk above all) is made
//! to fail before the signature, by writing the pages out first. After a failure behind the signature
//! the head is read again: if the commit stands, all is well; if not, the log stops.

use std::collections::VecDeque;
use std::fs::File;
use std::sync::Arc;
use std::time::{Duration, Instant};

use audit::NoteSigner;
use domain::directory::Directory;
use domain::entry::{Draft, Kind};
use rusqlite::Connection;

use super::anchor::{Anchor, SYNC_EVERY};
use super::batch::Batch;
use super::checkpointer::{ASK_BYTES, Checkpointer};
use super::log::{self, HeadRow, LogState};
use super::writer::{Job, Ran, job};
use super::{Shared, rotations, vault};
use crate::keys::Keys;
use crate::{StoreError, Wake};

/// So many failures in a row stop the log.
const FAILURES_LIMIT: u32 = 3;

/// A batch that has written so much takes no more jobs, in bytes of sealed values.
const BATCH_BYTES: usize = 16 << 20;

/// What an entry takes beside its values, in bytes: leaf, hash, commitments, its share of the tiles. A guess.
const LEAF_BYTES: usize = 600;

/// How many lapsed rows of the vault an idle writer removes at a time.
const IDLE_SWEEP: usize = 4_096;

/// How long the write-ahead log's truncation waits for readers; it is tried again.
const SCRUB_WAIT: Duration = Duration::from_millis(50);

/// The database's one writer.
pub(super) struct Scribe {
    pub(super) connection: Connection,
    pub(super) shared: Arc<Shared>,
    pub(super) signer: Box<dyn NoteSigner>,
    pub(super) log: LogState,
    pub(super) anchor: Anchor,
    pub(super) heartbeat: Duration,
    pub(super) health: Health,
    pub(super) checkpointer: Checkpointer,
    /// How much was committed since the checkpointer was asked, in bytes.
    pub(super) unmoved: usize,
    /// The database is this process's for as long as this is held.
    pub(super) lock: File,
}

/// How the writer fares.
pub(super) struct Health {
    /// When the log last grew, or failed to.
    grew: Instant,
    /// Failed transactions since the last that succeeded.
    failures: u32,
    /// The same of the anchor.
    anchor_failures: u32,
    /// Why nothing is written any more.
    stopped: Option<String>,
    /// Whether erased values may still stand in the write-ahead log.
    unscrubbed: bool,
}

/// Why a whole batch was not written.
#[derive(Debug, Clone)]
pub(super) enum Failure {
    /// It can be tried again.
    Failed(String),
    /// The log is stopped.
    Stopped(String),
}

/// What others are to see once a commit stands.
struct News {
    /// Where the log stands, if it grew.
    log: Option<LogState>,
    directory: Arc<Directory>,
    wakes: Vec<Wake>,
    erased: bool,
    /// How much it wrote, in bytes.
    bytes: usize,
    /// The key that signs from here on, and the entry that says so.
    successor: Option<(u64, Box<dyn NoteSigner>)>,
}

/// At which side of the signature a commit failed.
enum Trouble {
    Before(StoreError),
    Behind(StoreError, Box<News>),
}

impl Scribe {
    /// Writes the jobs from the front of the queue in one transaction and answers them.
    pub(super) fn commit(&mut self, queue: &mut VecDeque<Box<dyn Job>>) {
        let mut jobs = Vec::with_capacity(queue.len());
        let outcome = self.write(queue, &mut jobs);
        if outcome.is_err() {
            jobs.extend(queue.drain(..));
        }
        for job in jobs {
            job.answer(outcome.as_ref().copied());
        }
        if self.health.unscrubbed {
            self.scrub();
        }
    }

    /// Keeps the anchor of a log whose last process ended right after genesis, before it had one.
    pub(super) fn begin_anchor(&mut self) {
        if self.log.frontier.size() > 0 && !self.anchor.stands() {
            let kept = self.anchor.keep(&self.log.note);
            self.check_anchor(kept);
        }
    }

    /// Writes one entry of the store's own.
    pub(super) fn record(&mut self, draft: Draft) -> Result<(), StoreError> {
        let (job, mut answer) = job(move |batch| batch.append(draft).map(|_| ()));
        self.commit(&mut VecDeque::from([job]));
        let unanswered = || StoreError::Failed("the log's own entry was not written".to_owned());
        answer.try_recv().map_err(|_| unanswered())?
    }

    fn write(
        &mut self,
        queue: &mut VecDeque<Box<dyn Job>>,
        jobs: &mut Vec<Box<dyn Job>>,
    ) -> Result<(), Failure> {
        if let Some(why) = &self.health.stopped {
            return Err(Failure::Stopped(why.clone()));
        }
        // Without the anchor an old backup would pass, so nothing is written until it can be kept again. A full
        // disk or a want of descriptors passes: it is no reason to stop for good.
        if self.health.anchor_failures > 0 {
            let kept = self.anchor.keep(&self.log.note);
            self.check_anchor(kept);
            let failures = self.health.anchor_failures;
            // Without any, as right after genesis, the next start would refuse a log with more in it.
            if failures >= FAILURES_LIMIT || (failures > 0 && !self.anchor.stands()) {
                return Err(Failure::Failed("the anchor cannot be written".to_owned()));
            }
        }
        let news = match self.attempt(queue, jobs) {
            Ok(news) => news,
            Err(Trouble::Before(error)) => return Err(self.roll_back(&error)),
            Err(Trouble::Behind(error, news)) => self.settle(&error, *news)?,
        };
        self.health.failures = 0;
        self.publish(news);
        Ok(())
    }

    fn attempt(
        &self,
        queue: &mut VecDeque<Box<dyn Job>>,
        jobs: &mut Vec<Box<dyn Job>>,
    ) -> Result<News, Trouble> {
        let now = self.shared.clock.now().max(self.log.time);
        self.run("BEGIN IMMEDIATE")?;
        let mut batch = Batch::new(&self.connection, &self.shared, now, self.log.frontier.size());
        while let Some(mut job) = queue.pop_front() {
            let ran = self.run_job(&mut batch, job.as_mut());
            jobs.push(job);
            ran?;
            if batch.bytes > BATCH_BYTES || batch.successor.is_some() {
                break;
            }
        }
        self.seal(batch)
    }

    /// Runs a job; what it did is undone if it was refused, where it may have done anything by then.
    fn run_job(&self, batch: &mut Batch<'_>, job: &mut dyn Job) -> Result<(), StoreError> {
        if !job.wants_savepoint() {
            return match job.run(batch) {
                Ran::Kept | Ran::Refused => Ok(()),
                Ran::Torn(error) => Err(error),
            };
        }
        let mark = batch.mark();
        self.run("SAVEPOINT job")?;
        match job.run(batch) {
            Ran::Kept => {}
            Ran::Refused => {
                batch.back_to(mark);
                // A full disk may have ended the whole transaction; then this fails, and so does the batch.
                self.run("ROLLBACK TO job")?;
            }
            Ran::Torn(error) => return Err(error),
        }
        self.run("RELEASE job")
    }

    /// Brings the new leaves under a signed checkpoint and commits.
    fn seal(&self, batch: Batch<'_>) -> Result<News, Trouble> {
        if !batch.leaves.is_empty() {
            batch.reread()?;
        }
        let Batch { now, directory, wakes, leaves, erased, bytes, successor, .. } = batch;
        let bytes = bytes + leaves.len() * LEAF_BYTES;
        let mut news = News { log: None, directory, wakes, erased, bytes, successor };
        if leaves.is_empty() {
            self.run("COMMIT")?;
            return Ok(news);
        }
        let frontier = self.log.grow(&self.connection, &leaves)?;
        self.connection.cache_flush().map_err(StoreError::from)?;
        let signed = log::sign(&self.shared.origin, &frontier, self.signer.as_ref())?;
        let head = HeadRow {
            size: frontier.size(),
            root: frontier.root(),
            time: now,
            note: signed.note().to_string(),
        };
        news.log = Some(LogState { frontier, time: now, note: head.note.clone() });
        let save = || {
            if let Some((entry, _)) = &news.successor {
                rotations::save(&self.connection, *entry, &head.note)?;
            }
            head.save(&self.connection)?;
            self.run("COMMIT")
        };
        match save() {
            Ok(()) => Ok(news),
            Err(error) => Err(Trouble::Behind(error, Box::new(news))),
        }
    }

    /// Makes a commit that stands known: to the anchor first.
    fn publish(&mut self, news: News) {
        if let Some(log) = news.log {
            self.health.grew = Instant::now();
            let kept = self.anchor.keep(&log.note);
            self.shared.set_head(log.head());
            self.log = log;
            self.check_anchor(kept);
        }
        if let Some((entry, signer)) = news.successor {
            let mut keys = Keys::clone(&self.shared.keys());
            keys.rotate(entry, signer.verifier().clone());
            self.shared.set_keys(keys);
            self.signer = signer;
        }
        self.shared.set_directory(news.directory);
        for wake in news.wakes {
            // Nobody may be listening.
            let _ = self.shared.wakes.send(wake);
        }
        self.health.unscrubbed |= news.erased;
        self.unmoved += news.bytes;
        if self.unmoved >= ASK_BYTES {
            self.unmoved = 0;
            self.checkpointer.ask();
        }
    }

    /// A failure before the signature: nothing stands, and it may be tried again.
    fn roll_back(&mut self, error: &StoreError) -> Failure {
        tracing::error!(%error, "a batch was not written");
        self.health.grew = Instant::now();
        self.health.failures += 1;
        let repeated = self.health.failures >= FAILURES_LIMIT;
        match self.stored_head() {
            Ok(at) if at == Some((self.log.frontier.size(), self.log.frontier.root())) => {}
            Ok(None) if self.log.frontier.size() == 0 => {}
            _ => return self.stop(&format!("the head does not read back after: {error}")),
        }
        if repeated || matches!(error, StoreError::Corrupt(_)) {
            return self.stop(&format!("the log could not be written: {error}"));
        }
        Failure::Failed(error.to_string())
    }

    /// A failure behind the signature: the database alone knows whether the commit stands.
    fn settle(&mut self, error: &StoreError, news: News) -> Result<News, Failure> {
        tracing::error!(%error, "a commit failed after its checkpoint was signed");
        let signed = news.log.as_ref().map(|log| (log.frontier.size(), log.frontier.root()));
        match self.stored_head() {
            Ok(stands) if stands == signed => Ok(news),
            _ => Err(self.stop(&format!(
                "a commit failed after its checkpoint was signed, and another must not be: {error}"
            ))),
        }
    }

    /// The head as the database has it once no transaction is under way.
    fn stored_head(&self) -> Result<Option<(u64, audit::Hash)>, StoreError> {
        if !self.connection.is_autocommit() {
            self.run("ROLLBACK")?;
        }
        Ok(HeadRow::load(&self.connection)?.map(|head| (head.size, head.root)))
    }

    fn stop(&mut self, why: &str) -> Failure {
        let why = format!("{why}; look at the disk and at the database, then start again");
        tracing::error!(%why, "the log is stopped");
        self.health.stopped = Some(why.clone());
        Failure::Stopped(why)
    }

    fn check_anchor(&mut self, kept: std::io::Result<()>) {
        let Err(error) = kept else {
            self.health.anchor_failures = 0;
            return;
        };
        tracing::error!(%error, "the anchor was not kept");
        self.health.anchor_failures = self.health.anchor_failures.saturating_add(1);
    }

    /// How long until something is to be done without being asked.
    pub(super) fn next_chore(&self) -> Duration {
        let heartbeat = self.heartbeat.saturating_sub(self.health.grew.elapsed());
        let scrub = self.health.unscrubbed.then_some(SYNC_EVERY);
        [self.anchor.due(), scrub].into_iter().flatten().fold(heartbeat, Duration::min)
    }

    /// What is done while nobody asks for anything.
    pub(super) fn chores(&mut self) {
        if self.anchor.due().is_some_and(|due| due.is_zero()) {
            let synced = self.anchor.sync();
            self.check_anchor(synced);
        }
        if self.health.unscrubbed {
            self.scrub();
        }
        if self.health.grew.elapsed() < self.heartbeat {
            return;
        }
        let size = self.log.frontier.size().to_string().into_bytes();
        let draft = Draft { kind: Kind::Heartbeat, subject: None, fields: vec![("size".to_owned(), size)] };
        // A failure has been told and counted by the commit itself.
        let _ = self.record(draft);
        let (sweep, _unread) = job(|batch| vault::sweep(batch, IDLE_SWEEP));
        self.commit(&mut VecDeque::from([sweep]));
    }

    /// Moves everything into the database file and empties the write-ahead log, in which erased values may
    /// still stand. A long reader may be in the way; then it is tried again.
    fn scrub(&mut self) {
        let done = self.connection.busy_timeout(SCRUB_WAIT).and_then(|()| {
            let busy: i64 =
                self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
            Ok(busy == 0)
        });
        match done {
            Ok(done) => self.health.unscrubbed = !done,
            Err(error) => tracing::warn!(%error, "the write-ahead log was not emptied"),
        }
    }

    /// Leaves everything in order behind, and the database to whoever comes next.
    pub(super) fn end(mut self) {
        let synced = self.anchor.sync();
        self.check_anchor(synced);
        self.checkpointer.stop();
        self.scrub();
        drop(self.connection);
        drop(self.lock);
    }

    fn run(&self, statement: &str) -> Result<(), StoreError> {
        self.connection.prepare_cached(statement)?.execute([])?;
        Ok(())
    }
}

impl Health {
    pub(super) fn good() -> Self {
        Self { grew: Instant::now(), failures: 0, anchor_failures: 0, stopped: None, unscrubbed: false }
    }
}

impl Failure {
    pub(super) fn error(&self) -> StoreError {
        match self {
            Self::Failed(why) => StoreError::Failed(why.clone()),
            Self::Stopped(why) => StoreError::LogStopped(why.clone()),
        }
    }
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        Self::Before(error)
    }
}
