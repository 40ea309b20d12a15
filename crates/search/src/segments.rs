//! Reading segments of activity as they grow: whole lines only, each once.
//!
//! A segment's file ends in `open` until its leaf is in the log, then in `jsonl`. Only the newest is written to.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use crate::derive;
use crate::index::{Lines, SearchError};
use crate::limits::LINE_LIMIT_BYTES;
use crate::masks::Masks;
use crate::record::Record;

/// The folder of segments, and how far each was read.
#[derive(Debug)]
pub(crate) struct Segments {
    folder: PathBuf,
    read: BTreeMap<String, u64>,
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
        Self { folder: folder.to_owned(), read }
    }

    /// Segments that were read and are gone.
    pub(crate) fn gone(&self) -> Result<Vec<String>, SearchError> {
        let there = self.names()?;
        Ok(self.read.keys().filter(|name| !there.contains_key(*name)).cloned().collect())
    }

    /// Forgets a segment.
    pub(crate) fn forget(&mut self, name: &str) {
        self.read.remove(name);
    }

    /// Reads on, in the order of the segments' names, at most so many records. What is read counts as such once
    /// [`Segments::done`] says so.
    pub(crate) fn read(&self, limit: usize, masks: &Masks) -> Result<Read, SearchError> {
        let mut read = Read::default();
        let names = self.names()?;
        let newest = names.keys().next_back().cloned();
        for (name, path) in names {
            let from = self.read.get(&name).copied().unwrap_or(0);
            // A closed one that was read to its end is the common case, and costs one look at its length.
            match fs::metadata(&path) {
                Ok(file) if file.len() > from => {}
                // It was renamed just now, or there is nothing new in it.
                Ok(_) | Err(_) => continue,
            }
            self.read_one(&name, &path, from, limit, masks, &mut read)?;
            if read.records.len() >= limit || Some(&name) == newest.as_ref() {
                break;
            }
        }
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

    /// The segments that are there, oldest first.
    fn names(&self) -> Result<BTreeMap<String, PathBuf>, SearchError> {
        let mut names = BTreeMap::new();
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(names),
            Err(error) => return Err(SearchError::file("read", &self.folder, &error)),
        };
        for entry in entries {
            let path = entry.map_err(|error| SearchError::file("read", &self.folder, &error))?.path();
            let ending = path.extension().and_then(|ending| ending.to_str());
            if !matches!(ending, Some("open" | "jsonl")) {
                continue;
            }
            if let Some(name) = path.file_stem().and_then(|name| name.to_str()) {
                names.insert(name.to_owned(), path);
            }
        }
        Ok(names)
    }
}
