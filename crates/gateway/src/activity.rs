//! Permitted activity: one line an event, in segments whose digests enter the log, one leaf a segment.
//!
//! A line is handed to the operating system before the action runs, so a killed gateway loses nothing.
//! A power cut loses what the system had not yet written of the open segment; a sealed one is on disk before
//! its leaf is. A segment's file keeps the ending `open` until its leaf is in the log, so that the next start finds
//! every one that lacks it. Policy or route that cannot bear this asks for `record = "before-run"`.

use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use domain::digest::{Purpose, Running};
use domain::entry::{Draft, Kind};
use domain::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{GatewayError, limits};

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
    folder: PathBuf,
    open: Mutex<Option<Segment>>,
    /// Sealed, and not in the log yet.
    unrecorded: Mutex<Vec<SealedSegment>>,
    recording: tokio::sync::Mutex<()>,
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
            recording: tokio::sync::Mutex::default(),
        })
    }

    /// Hands one line to the operating system; returns a segment that this line filled.
    ///
    /// # Errors
    /// When it cannot be written: the action does not run.
    pub fn append(&self, at: Timestamp, record: &impl Line) -> Result<Option<SealedSegment>, GatewayError> {
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
    pub(crate) fn append_lines(
        &self,
        at: Timestamp,
        lines: &[u8],
        records: u64,
    ) -> Result<Option<SealedSegment>, GatewayError> {
        let mut open = self.open.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
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
        if full || at.since(segment.first) >= limits::SEGMENT_AGE {
            drop(open);
            return self.finish(segment).map(Some);
        }
        *open = Some(segment);
        Ok(None)
    }

    /// Seals the open segment, if there is one that is old enough; `now` and forced when `all`.
    ///
    /// # Errors
    /// When it cannot be made durable.
    pub fn seal(&self, now: Timestamp, all: bool) -> Result<Option<SealedSegment>, GatewayError> {
        let mut open = self.open.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let due = open.as_ref().is_some_and(|segment| all || now.since(segment.first) >= limits::SEGMENT_AGE);
        let segment = if due { open.take() } else { None };
        drop(open);
        segment.map(|segment| self.finish(segment)).transpose()
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

    /// One of the segments that are sealed and not in the log.
    pub(crate) fn unrecorded(&self) -> Option<SealedSegment> {
        self.unrecorded.lock().unwrap_or_else(std::sync::PoisonError::into_inner).first().cloned()
    }

    /// Whoever holds this records segments; nobody else does.
    pub(crate) async fn recording(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.recording.lock().await
    }

    /// The segment's leaf is in the log: its file gets its name.
    ///
    /// # Errors
    /// When it cannot be renamed; the next start then records it once more.
    pub(crate) fn recorded(&self, sealed: &SealedSegment) -> Result<(), GatewayError> {
        let mut unrecorded = self.unrecorded.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        unrecorded.retain(|other| other.file != sealed.file);
        drop(unrecorded);
        let closed = self.folder.join(&sealed.file);
        std::fs::rename(closed.with_extension("open"), &closed)
            .map_err(|error| failed("rename", &closed, &error))
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

    fn finish(&self, segment: Segment) -> Result<SealedSegment, GatewayError> {
        segment.file.sync_all().map_err(|error| failed("sync", &segment.path, &error))?;
        Ok(self.close(&segment.path, segment.digest, segment.records, (segment.first, segment.last), false))
    }

    fn close(
        &self,
        path: &Path,
        digest: Running,
        records: u64,
        (first, last): (Timestamp, Timestamp),
        recovered: bool,
    ) -> SealedSegment {
        let closed = path.with_extension("jsonl");
        let file = closed.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let sealed = SealedSegment { file, records, digest: digest.finish(), first, last, recovered };
        self.unrecorded.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(sealed.clone());
        sealed
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
        file.sync_all().map_err(io)?;
        if records == 0 {
            std::fs::remove_file(path).map_err(io)?;
            return Ok(None);
        }
        // Lines that do not read are kept: they are what was written.
        let times = times.unwrap_or((Timestamp::ZERO, Timestamp::ZERO));
        Ok(Some(self.close(path, digest, records, times, true)))
    }
}

fn time_of(line: &[u8]) -> Option<Timestamp> {
    let value = domain::canonical::read_value(line).ok()?;
    value.get("time")?.as_u64().map(Timestamp::from_micros)
}

fn failed(what: &str, path: &Path, error: &std::io::Error) -> GatewayError {
    tracing::error!(%error, path = %path.display(), "cannot {what} the activity segment");
    GatewayError::Unavailable(format!("cannot {what} the activity segment: {error}"))
}
