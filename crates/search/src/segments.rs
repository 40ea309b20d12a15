//! Reading segments of activity as they grow: whole lines only, each once.
//!
//! A segment's file ends in `open` until its leaf is in the log, then in `jsonl`. Only the newest is written to.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom};
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime};

use crate::derive;
use crate::index::{Lines, SearchError};
use crate::limits::{FOLDER_DATE_TICK, LINE_LIMIT_BYTES};
use crate::masks::Masks;
use crate::record::Record;

/// The folder of segments, and how far each was read.
#[derive(Debug)]
pub(crate) struct Segments {
    folder: PathBuf,
    read: BTreeMap<String, u64>,
    /// What is in the folder, oldest first, as it was listed last.
    there: BTreeMap<String, PathBuf>,
    listed: Option<Listed>,
    /// Those that were read and are gone.
    gone: Vec<String>,
    /// Everything up to this one takes no more lines, and was read to its end.
    settled: Option<String>,
}

/// What was listed.
#[derive(Debug, Clone, Copy)]
struct Listed {
    /// The folder's date.
    date: SystemTime,
    /// When it was seen first.
    seen: Instant,
    /// Whether nothing that comes now can have the same date.
    last: bool,
}

/// What was read of segments.
#[derive(Debug, Default)]
pub(crate) struct Read {
    pub(crate) records: Vec<Record>,
    pub(crate) lines: Vec<Lines>,
}

impl Segments {
    pub(crate) fn new(folder: &Path, so_far: Vec<Lines>) -> Self {
        let read = so_far.into_iter().map(|lines| (lines.segment, lines.offset)).collect();
        Self {
            folder: folder.to_owned(),
            read,
            there: BTreeMap::new(),
            listed: None,
            gone: Vec::new(),
            settled: None,
        }
    }

    /// Segments that were read and are gone.
    pub(crate) fn gone(&mut self) -> Result<Vec<String>, SearchError> {
        self.list()?;
        Ok(self.gone.clone())
    }

    /// Forgets a segment.
    pub(crate) fn forget(&mut self, name: &str) {
        self.read.remove(name);
        self.gone.retain(|gone| gone != name);
    }

    /// Whether a segment of this name is in the folder, under either ending. It may get the other between two looks.
    pub(crate) fn has(&self, name: &str) -> bool {
        let closed = self.folder.join(format!("{name}.jsonl"));
        closed.exists() || closed.with_extension("open").exists() || closed.exists()
    }

    /// Reads on, in the order of the segments' names, at most so many records. What is read counts as such once
    /// [`Segments::done`] says so.
    pub(crate) fn read(&mut self, limit: usize, masks: &Masks) -> Result<Read, SearchError> {
        self.list()?;
        let mut read = Read::default();
        let newest = self.there.keys().next_back().cloned();
        let begin = self.settled.clone().map_or(Bound::Unbounded, Bound::Excluded);
        let (mut settled, mut settling) = (None, true);
        for (name, path) in self.there.range((begin, Bound::Unbounded)) {
            let from = self.read.get(name).copied().unwrap_or(0);
            match fs::metadata(path) {
                Ok(file) if file.len() > from => {
                    settling = false;
                    self.read_one(name, path, from, limit, masks, &mut read)?;
                }
                Ok(_) if settling && path.extension().is_some_and(|ending| ending == "jsonl") => {
                    settled = Some(name.clone());
                }
                // There is nothing new in it, or it was renamed just now.
                Ok(_) | Err(_) => settling = false,
            }
            if read.records.len() >= limit || Some(name) == newest.as_ref() {
                break;
            }
        }
        self.settled = settled.or_else(|| self.settled.take());
        Ok(read)
    }

    /// Notes what was read, once it is written.
    pub(crate) fn done(&mut self, lines: &[Lines]) {
        for lines in lines {
            self.read.insert(lines.segment.clone(), lines.offset);
        }
    }

    fn read_one(
        &self,
        name: &str,
        path: &Path,
        from: u64,
        limit: usize,
        masks: &Masks,
        read: &mut Read,
    ) -> Result<(), SearchError> {
        let io = |error: io::Error| SearchError::file("read", path, &error);
        let mut file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(io(error)),
        };
        file.seek(SeekFrom::Start(from)).map_err(io)?;
        let mut lines = BufReader::new(file);
        let mut offset = from;
        let mut line = Vec::new();
        while read.records.len() < limit {
            line.clear();
            let length =
                lines.by_ref().take(LINE_LIMIT_BYTES).read_until(b'\n', &mut line).map_err(io)? as u64;
            if line.last() != Some(&b'\n') {
                // The end, a line that is being written, or one that is longer than any of ours.
                if length < LINE_LIMIT_BYTES {
                    break;
                }
                offset += length + lines.skip_until(b'\n').map_err(io)? as u64;
                tracing::warn!(segment = name, offset, "a line of activity is too long to be indexed");
                continue;
            }
            match derive::line(&line, name, offset, masks) {
                Some(record) => read.records.push(record),
                None => tracing::warn!(segment = name, offset, "a line of activity does not read"),
            }
            offset += length;
        }
        if offset > from {
            read.lines.push(Lines { segment: name.to_owned(), offset });
        }
        Ok(())
    }

    /// Lists the folder anew where its date says that a file came, went or got another name. Thousands of segments
    /// are not listed four times a second.
    fn list(&mut self) -> Result<(), SearchError> {
        let unread = |error: io::Error| SearchError::file("read", &self.folder, &error);
        let date = match fs::metadata(&self.folder).and_then(|folder| folder.modified()) {
            Ok(date) => date,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(unread(error)),
        };
        let listed = self.listed.filter(|listed| listed.date == date);
        if listed.is_some_and(|listed| listed.last) {
            return Ok(());
        }
        // Dates are coarse: what comes within one tick of a listing does not show, so that it is listed again behind it.
        let seen = listed.map_or_else(Instant::now, |listed| listed.seen);
        let last = seen.elapsed() > FOLDER_DATE_TICK;
        let mut there = BTreeMap::new();
        for entry in fs::read_dir(&self.folder).map_err(unread)? {
            let path = entry.map_err(unread)?.path();
            let ending = path.extension().and_then(|ending| ending.to_str());
            if !matches!(ending, Some("open" | "jsonl")) {
                continue;
            }
            if let Some(name) = path.file_stem().and_then(|name| name.to_str()) {
                there.insert(name.to_owned(), path);
            }
        }
        self.gone = self.read.keys().filter(|name| !there.contains_key(*name)).cloned().collect();
        // A clock that went back gives a name that sorts before what was settled.
        let late = |settled: &String| {
            there.range::<String, _>(..=settled).any(|(name, _)| !self.read.contains_key(name))
        };
        if self.settled.as_ref().is_some_and(late) {
            self.settled = None;
        }
        (self.there, self.listed) = (there, Some(Listed { date, seen, last }));
        Ok(())
    }
}
