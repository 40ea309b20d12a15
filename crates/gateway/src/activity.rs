//! Permitted activity: one line an event, in segments whose digests enter the log, one leaf a segment.
//!
//! A line is handed to the operating system before the action runs, so a killed gateway loses nothing. A full segment
//! is made durable and recorded by a task of its own, off the way of actions, while the next one is written. A power cut
//! loses what the system had not yet written of the open segment and of the full ones behind it, of which
//! [`limits::SEGMENTS_BEHIND`] may wait; a segment is on disk before its leaf is in the log. Its file keeps the
//! ending `open` until then, so that the next start finds every one that lacks it. Policy or route that cannot bear
//! this asks for `record = "before-run"`.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, SystemTime};

use domain::digest::{Purpose, Running};
use domain::entry::{Draft, Kind};
use domain::time::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use crate::{Gateway, GatewayError, limits};

/// What one line of a segment is made of.
pub trait Line {
    /// Writes it as one JSON object, without the line's end.
    ///
    /// # Errors
    /// What cannot be written as JSON.
    fn write(&self, line: &mut Vec<u8>) -> serde_json::Result<()>;
}

impl<T: Serialize> Line for T {
    fn write(&self, line: &mut Vec<u8>) -> serde_json::Result<()> {
        serde_json::to_writer(line, self)
    }
}

/// Room for a usual line, in bytes; a longer one grows.
const LINE_BYTES: usize = 1_024;

/// The open segment, and where segments lie.
#[derive(Debug)]
pub struct Activity {
    pub(crate) folder: PathBuf,
    open: Mutex<Option<Segment>>,
    /// Those that take no more lines and are not in the log yet, oldest first.
    unrecorded: Mutex<VecDeque<Unrecorded>>,
    /// How many those are.
    behind: AtomicUsize,
    /// Whether a segment could not be made durable.
    lost: AtomicBool,
    /// One was filled, or is to be tried again.
    filled: Notify,
    /// One got its leaf, or could not.
    moved: Notify,
    /// Whoever holds this records segments; nobody else does.
    recording: tokio::sync::Mutex<()>,
    /// Who waits for what happens now, which decides how long a segment stays open.
    watched: Watched,
    /// This gateway's name among those that share a store.
    node: OnceLock<String>,
}

/// Who waits for lines of activity, which are told once their segment is sealed.
#[derive(Debug, Default)]
struct Watched {
    followers: Arc<AtomicUsize>,
    sent: AtomicBool,
}

/// Somebody follows the trail live, until this is dropped.
#[derive(Debug)]
pub struct Following(Arc<AtomicUsize>);

impl Drop for Following {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Watched {
    fn age(&self) -> Duration {
        if self.followers.load(Ordering::Relaxed) > 0 {
            limits::SEGMENT_AGE_FOLLOWED
        } else if self.sent.load(Ordering::Relaxed) {
            limits::SEGMENT_AGE_SENT
        } else {
            limits::SEGMENT_AGE
        }
    }
}

/// A segment on its way to its leaf.
#[derive(Debug, Clone)]
struct Unrecorded {
    sealed: SealedSegment,
    /// Its file, until what stands in it is durable.
    unsynced: Option<Arc<File>>,
    /// Whether the log may have its leaf: a gateway that was killed, or this one, tried and heard of no success.
    tried: bool,
}

#[derive(Debug)]
struct Segment {
    file: File,
    path: PathBuf,
    digest: Running,
    records: u64,
    bytes: u64,
    first: Timestamp,
    last: Timestamp,
}

/// A segment that takes no more lines: its leaf is to be recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedSegment {
    /// The file's name in the activity folder, once the leaf is recorded.
    pub file: String,
    /// How many lines.
    pub records: u64,
    /// The digest over the file's bytes, purpose `segment`.
    pub digest: domain::digest::Digest,
    /// The time of the first line.
    pub first: Timestamp,
    /// The time of the last.
    pub last: Timestamp,
    /// Whether it was found open at start, after a kill or a power cut.
    pub recovered: bool,
    /// Which gateway has it, where several share one store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
}

impl SealedSegment {
    /// The log entry of this segment.
    ///
    /// # Errors
    /// None that a value of this type can cause.
    pub fn entry(&self) -> Result<Draft, GatewayError> {
        let fields = vec![("segment".to_owned(), domain::canonical::write(self)?)];
        Ok(Draft { kind: Kind::Activity, subject: None, fields })
    }
}

impl Activity {
    /// Segments in this folder, which is made if it is not there.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn open(folder: &Path) -> Result<Self, GatewayError> {
        let mut builder = std::fs::DirBuilder::new();
        builder.recursive(true);
        // Records name resources and carry agents' words.
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(folder).map_err(|error| failed("make", folder, &error))?;
        Ok(Self {
            folder: folder.to_owned(),
            open: Mutex::new(None),
            unrecorded: Mutex::default(),
            behind: AtomicUsize::new(0),
            lost: AtomicBool::new(false),
            filled: Notify::new(),
            moved: Notify::new(),
            recording: tokio::sync::Mutex::default(),
            watched: Watched::default(),
            node: OnceLock::new(),
        })
    }

    /// Hands one line to the operating system.
    ///
    /// # Errors
    /// When it cannot be written: the action does not run.
    pub fn append(&self, at: Timestamp, record: &impl Line) -> Result<(), GatewayError> {
        let mut line = Vec::with_capacity(LINE_BYTES);
        record.write(&mut line).map_err(|error| {
            GatewayError::Unavailable(format!("the activity record cannot be written: {error}"))
        })?;
        line.push(b'\n');
        self.append_lines(at, &line, 1)
    }

    /// As [`Activity::append`], for several whole lines at once: they are written together, and none is
    /// acknowledged before all are with the operating system.
    ///
    /// # Errors
    /// As [`Activity::append`]; some of the lines may then be in the segment all the same.
    pub(crate) fn append_lines(&self, at: Timestamp, lines: &[u8], records: u64) -> Result<(), GatewayError> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let mut segment = match open.take() {
            Some(segment) => segment,
            None => self.begin(at)?,
        };
        // A line that was written in part leaves the segment to recovery; the next one starts afresh.
        segment.file.write_all(lines).map_err(|error| failed("write", &segment.path, &error))?;
        segment.digest.update(lines);
        segment.records += records;
        segment.bytes += lines.len() as u64;
        segment.last = at;
        let full = segment.records >= limits::SEGMENT_RECORDS || segment.bytes >= limits::SEGMENT_BYTES;
        if full || at.since(segment.first) >= self.watched.age() {
            self.close(segment);
        } else {
            *open = Some(segment);
        }
        Ok(())
    }

    /// Closes the open segment if it is old enough, or whatever its age when `all`.
    pub(crate) fn close_due(&self, now: Timestamp, all: bool) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let due = open.as_ref().is_some_and(|segment| all || now.since(segment.first) >= self.watched.age());
        if due && let Some(segment) = open.take() {
            self.close(segment);
        }
    }

    /// Whether so many segments wait for their leaves that nothing more may be permitted.
    fn is_behind(&self) -> bool {
        self.behind.load(Ordering::Relaxed) >= limits::SEGMENTS_BEHIND
    }

    /// Has what waits for its leaf tried again.
    pub(crate) fn try_again(&self) {
        self.filled.notify_one();
    }

    /// Segments that a kill or a power cut left open, oldest first. A torn last line is cut off.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn recover(&self) -> Result<Vec<SealedSegment>, GatewayError> {
        let mut found = Vec::new();
        let entries =
            std::fs::read_dir(&self.folder).map_err(|error| failed("read", &self.folder, &error))?;
        for entry in entries.flatten() {
            let path = entry.path();
            if path.extension().is_some_and(|extension| extension == "open") {
                found.push(path);
            }
        }
        found.sort();
        let mut sealed = Vec::new();
        for path in found {
            if let Some(segment) = self.recover_one(&path)? {
                sealed.push(segment);
            }
        }
        Ok(sealed)
    }

    /// Makes the oldest segment that is not in the log durable, unless it is, and answers it.
    ///
    /// # Errors
    /// When it cannot be made durable. What a failed sync left behind is not known, and a second one may find nothing
    /// to do: from here on nothing is recorded before the next start, which reads the segment anew.
    async fn unrecorded(&self) -> Result<Option<SealedSegment>, GatewayError> {
        if self.lost.load(Ordering::Relaxed) {
            let why = "a segment of activity was not made durable; look at the disk, then start again";
            return Err(GatewayError::Unavailable(why.to_owned()));
        }
        let Some(next) = self.waiting().front().cloned() else { return Ok(None) };
        if let Some(file) = next.unsynced {
            let folder = self.folder.clone();
            let synced = off_the_way(move || {
                file.sync_all()?;
                // Its name too: until now the folder may not know of it after a power cut.
                File::open(folder)?.sync_all()
            });
            synced.await.map_err(|error| {
                self.lost.store(true, Ordering::Relaxed);
                failed("sync", &self.folder.join(&next.sealed.file), &error)
            })?;
            if let Some(front) = self.waiting().front_mut() {
                front.unsynced = None;
            }
        }
        Ok(Some(SealedSegment { node: self.node.get().cloned(), ..next.sealed }))
    }

    /// Whether the log may have the leaf of the oldest segment that waits. From here on it may: it is about to be written.
    fn try_oldest(&self) -> bool {
        let mut unrecorded = self.waiting();
        unrecorded.front_mut().is_some_and(|oldest| std::mem::replace(&mut oldest.tried, true))
    }

    /// The segment's leaf is in the log: its file gets its name, and the leaf's time as its date, by which it is found
    /// once the leaf's values are pruned.
    ///
    /// # Errors
    /// When it cannot be renamed; the next start does it.
    async fn recorded(&self, sealed: &SealedSegment, leaf: Timestamp) -> Result<(), GatewayError> {
        {
            let mut unrecorded = self.waiting();
            unrecorded.retain(|other| other.sealed.file != sealed.file);
            self.behind.store(unrecorded.len(), Ordering::Relaxed);
        }
        self.moved.notify_waiters();
        let closed = self.folder.join(&sealed.file);
        let (from, to) = (closed.with_extension("open"), closed.clone());
        let renamed = off_the_way(move || {
            let date = SystemTime::UNIX_EPOCH + Duration::from_micros(leaf.micros());
            std::fs::rename(from, &to)?;
            OpenOptions::new().append(true).open(&to)?.set_modified(date)
        })
        .await;
        renamed.map_err(|error| failed("rename", &closed, &error))
    }

    /// A new file. Its name begins with the time; a clock that stood still or went back gets another number, so that
    /// no segment ever takes another's place.
    fn begin(&self, at: Timestamp) -> Result<Segment, GatewayError> {
        let mut options = OpenOptions::new();
        options.create_new(true).append(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut number = 0_u64;
        loop {
            let path = self.folder.join(format!("{:020}-{number:06}.open", at.micros()));
            number += 1;
            if path.with_extension("jsonl").exists() {
                continue;
            }
            match options.open(&path) {
                Ok(file) => {
                    let digest = Running::new(Purpose::Segment);
                    return Ok(Segment { file, path, digest, records: 0, bytes: 0, first: at, last: at });
                }
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(failed("open", &path, &error)),
            }
        }
    }

    /// Hands a segment that takes no more lines to whoever records it.
    fn close(&self, segment: Segment) {
        let times = (segment.first, segment.last);
        let sealed = seal(&segment.path, segment.digest, segment.records, times, false);
        self.wait_for_leaf(Unrecorded { sealed, unsynced: Some(Arc::new(segment.file)), tried: false });
        self.try_again();
    }

    fn wait_for_leaf(&self, segment: Unrecorded) {
        let mut unrecorded = self.waiting();
        unrecorded.push_back(segment);
        self.behind.store(unrecorded.len(), Ordering::Relaxed);
    }

    fn waiting(&self) -> MutexGuard<'_, VecDeque<Unrecorded>> {
        self.unrecorded.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn recover_one(&self, path: &Path) -> Result<Option<SealedSegment>, GatewayError> {
        let io = |error: std::io::Error| failed("recover", path, &error);
        let file = OpenOptions::new().read(true).write(true).open(path).map_err(io)?;
        let mut lines = BufReader::new(&file);
        let mut digest = Running::new(Purpose::Segment);
        let (mut records, mut length) = (0, 0);
        let mut times: Option<(Timestamp, Timestamp)> = None;
        loop {
            let mut line = Vec::new();
            lines.by_ref().read_until(b'\n', &mut line).map_err(io)?;
            if line.last() != Some(&b'\n') {
                break;
            }
            digest.update(&line);
            length += line.len() as u64;
            records += 1;
            if let Some(time) = time_of(&line) {
                times = Some((times.map_or(time, |(first, _)| first), time));
            }
        }
        file.set_len(length).map_err(io)?;
        if records == 0 {
            std::fs::remove_file(path).map_err(io)?;
            return Ok(None);
        }
        // Lines that do not read are kept: they are what was written.
        let times = times.unwrap_or((Timestamp::ZERO, Timestamp::ZERO));
        let sealed = seal(path, digest, records, times, true);
        self.wait_for_leaf(Unrecorded {
            sealed: sealed.clone(),
            unsynced: Some(Arc::new(file)),
            tried: true,
        });
        Ok(Some(sealed))
    }
}

impl Gateway {
    /// Has segments sealed soon for as long as somebody follows the trail live.
    #[must_use]
    pub fn follow_activity(&self) -> Following {
        let followers = Arc::clone(&self.activity.watched.followers);
        followers.fetch_add(1, Ordering::Relaxed);
        Following(followers)
    }

    /// Has segments sealed sooner from now on, since the trail is sent on to other systems.
    pub fn send_activity(&self) {
        self.activity.watched.sent.store(true, Ordering::Relaxed);
    }

    /// Names this gateway among those that share its store; its segments' leaves say so from then on. Call it once,
    /// before [`Gateway::start`].
    pub fn bear_name(&self, node: String) {
        // A second name would make two gateways of one.
        let _ = self.activity.node.set(node);
    }

    /// This gateway's name among those that share its store.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.activity.node.get().map(String::as_str)
    }

    /// Refuses while nothing may be permitted: sealed activity does not reach the log, or has not for
    /// [`limits::SEGMENT_PATIENCE`] while [`limits::SEGMENTS_BEHIND`] full segments waited.
    pub(crate) async fn room_for_activity(&self) -> Result<(), GatewayError> {
        if self.has_room_for_activity() {
            return Ok(());
        }
        Box::pin(self.wait_for_room()).await
    }

    /// Whether something may be permitted without waiting for the disk.
    pub(crate) fn has_room_for_activity(&self) -> bool {
        self.is_recording() && !self.activity.is_behind()
    }

    async fn wait_for_room(&self) -> Result<(), GatewayError> {
        let end = tokio::time::Instant::now() + limits::SEGMENT_PATIENCE;
        loop {
            let moved = self.activity.moved.notified();
            tokio::pin!(moved);
            // Registers before looking, so that nothing that happens between looking and waiting is missed.
            moved.as_mut().enable();
            if !self.is_recording() {
                return Err(GatewayError::Unavailable("sealed activity does not reach the log".to_owned()));
            }
            if !self.activity.is_behind() {
                return Ok(());
            }
            if tokio::time::timeout_at(end, moved).await.is_err() {
                return Err(GatewayError::Unavailable(format!(
                    "activity comes faster than the disk takes it: {} segments wait to be made durable",
                    limits::SEGMENTS_BEHIND
                )));
            }
        }
    }

    /// Records segments as they are filled.
    pub(crate) async fn keep_recording(self: Arc<Self>) {
        loop {
            self.activity.filled.notified().await;
            if let Err(error) = self.record_segments().await {
                tracing::error!(%error, "could not record the activity segment");
            }
        }
    }

    /// Brings the leaf of every closed segment into the log, those too whose leaf could not be recorded before.
    pub(crate) async fn record_segments(&self) -> Result<(), GatewayError> {
        let recorded = self.try_record_segments().await;
        self.recording.store(recorded.is_ok(), Ordering::Relaxed);
        self.activity.moved.notify_waiters();
        recorded
    }

    async fn try_record_segments(&self) -> Result<(), GatewayError> {
        let _one_at_a_time = self.activity.recording.lock().await;
        while let Some(sealed) = self.activity.unrecorded().await? {
            let standing = if self.activity.try_oldest() { self.leaf_of(&sealed).await? } else { None };
            let leaf = match standing {
                Some(leaf) => leaf,
                None => self.store.record(sealed.entry()?).await?.position().time,
            };
            self.activity.recorded(&sealed, leaf).await?;
        }
        Ok(())
    }
}

fn seal(
    path: &Path,
    digest: Running,
    records: u64,
    (first, last): (Timestamp, Timestamp),
    recovered: bool,
) -> SealedSegment {
    let closed = path.with_extension("jsonl");
    let file = closed.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    SealedSegment { file, records, digest: digest.finish(), first, last, recovered, node: None }
}

/// Does what may wait for the disk on a thread that carries no requests.
pub(crate) async fn off_the_way<T: Send + 'static>(
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> std::io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(std::io::Error::other)?
}

fn time_of(line: &[u8]) -> Option<Timestamp> {
    let value = domain::canonical::read_value(line).ok()?;
    value.get("time")?.as_u64().map(Timestamp::from_micros)
}

pub(crate) fn failed(what: &str, path: &Path, error: &std::io::Error) -> GatewayError {
    tracing::error!(%error, path = %path.display(), "cannot {what} the activity segment");
    GatewayError::Unavailable(format!("cannot {what} the activity segment: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A sync that fails once is not asked again: the second would say yes to what was never written.
    #[tokio::test]
    async fn a_segment_that_was_not_made_durable_stops_all_that_follow() {
        let folder = tempfile::tempdir().unwrap();
        let activity = Activity::open(folder.path()).unwrap();
        let at = Timestamp::from_micros(1);
        let sealed = seal(&folder.path().join("1.open"), Running::new(Purpose::Segment), 1, (at, at), false);
        // The system refuses to sync a device that has no disk behind it.
        let no_disk = Arc::new(File::open("/dev/null").unwrap());
        activity.wait_for_leaf(Unrecorded { sealed, unsynced: Some(no_disk), tried: false });
        for _ in 0..2 {
            let refused = activity.unrecorded().await;
            assert!(matches!(refused, Err(GatewayError::Unavailable(_))), "{refused:?}");
        }
    }

    /// Lines go on while full segments wait; nobody who appends waits for a disk.
    #[tokio::test]
    async fn segments_wait_in_their_order_while_the_next_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let activity = Activity::open(folder.path()).unwrap();
        let mut now = Timestamp::from_micros(1);
        for n in 0..limits::SEGMENTS_BEHIND {
            assert!(!activity.is_behind(), "{n} wait");
            activity.append(now, &n).unwrap();
            now = now.after(domain::time::Span::from_seconds(limits::SEGMENT_AGE.as_secs()));
            activity.append(now, &n).unwrap();
        }
        assert!(activity.is_behind());
        activity.append(now, &"a line of the open one").unwrap();
        for n in 0..limits::SEGMENTS_BEHIND {
            let sealed = activity.unrecorded().await.unwrap().unwrap();
            activity.recorded(&sealed, sealed.last).await.unwrap();
            let lines = std::fs::read_to_string(folder.path().join(&sealed.file)).unwrap();
            assert_eq!((lines, sealed.records), (format!("{n}\n{n}\n"), 2));
            assert!(!activity.is_behind());
        }
        assert_eq!(activity.unrecorded().await.unwrap(), None);
    }
}
