//! Reading a sealed segment: its bytes are held against the digest in its leaf before any line is told.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;

use domain::digest::{Purpose, Running};
use gateway::activity::SealedSegment;

use crate::EvidenceError;
use crate::limits::{LINE_BYTES, READ_BYTES};

/// A segment whose bytes are what its leaf says, open at some line.
#[derive(Debug)]
pub(super) struct SegmentReader {
    lines: BufReader<File>,
    /// The number of the line that comes next, from 1.
    next: u64,
}

/// What opening a segment came to.
#[derive(Debug)]
pub(super) enum Opened {
    /// Its bytes are what its leaf says.
    Whole(SegmentReader),
    /// They are not.
    Altered,
    /// It is not in the folder.
    Missing,
}

/// A line with its number, from 1; none of its bytes where it is longer than any that the gateway writes.
pub(super) type NumberedLine = (u64, Option<Vec<u8>>);

/// Opens a segment and reads it through once.
pub(super) fn open(folder: &Path, sealed: &SealedSegment) -> Result<Opened, EvidenceError> {
    // The name comes from an entry: it names a file of this folder and nothing else.
    let plain = sealed.file.ends_with(".jsonl")
        && sealed.file.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.'));
    if !plain {
        return Ok(Opened::Altered);
    }
    let closed = folder.join(&sealed.file);
    // It keeps its first ending until the gateway has come to rename it, which can be between two looks: who finds
    // neither name looks for the last once more before it is said to be missing.
    let names = [closed.clone(), closed.with_extension("open"), closed.clone()];
    let mut found = None;
    for name in names {
        found = find(&name)?;
        if found.is_some() {
            break;
        }
    }
    let Some(mut file) = found else { return Ok(Opened::Missing) };
    let mut digest = Running::new(Purpose::Segment);
    let (mut buffer, mut records) = (vec![0; READ_BYTES], 0_u64);
    loop {
        let read = file.read(&mut buffer).map_err(|error| failed(&closed, &error))?;
        let bytes = buffer.get(..read).unwrap_or_default();
        if bytes.is_empty() {
            break;
        }
        digest.update(bytes);
        records += bytes.iter().filter(|byte| **byte == b'\n').count() as u64;
    }
    if digest.finish() != sealed.digest || records != sealed.records {
        return Ok(Opened::Altered);
    }
    std::io::Seek::rewind(&mut file).map_err(|error| failed(&closed, &error))?;
    Ok(Opened::Whole(SegmentReader { lines: BufReader::with_capacity(READ_BYTES, file), next: 1 }))
}

fn find(path: &Path) -> Result<Option<File>, EvidenceError> {
    match File::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed(path, &error)),
    }
}

impl SegmentReader {
    /// The next lines, at most so many; fewer only at the end.
    pub(super) fn read(&mut self, limit: usize) -> Result<Vec<NumberedLine>, EvidenceError> {
        let mut found = Vec::new();
        while found.len() < limit {
            let mut line = Vec::new();
            let read = self.take_line(&mut line)?;
            if read == 0 {
                break;
            }
            let whole = (read <= LINE_BYTES).then_some(line);
            found.push((self.next, whole));
            self.next += 1;
        }
        Ok(found)
    }

    /// Reads up to the next line's end; keeps at most the limit of it.
    fn take_line(&mut self, line: &mut Vec<u8>) -> Result<usize, EvidenceError> {
        let mut length = 0;
        loop {
            let buffer = self.lines.fill_buf().map_err(|error| failed(Path::new("segment"), &error))?;
            if buffer.is_empty() {
                return Ok(length);
            }
            let end = buffer.iter().position(|byte| *byte == b'\n');
            let taken = end.map_or(buffer.len(), |end| end + 1);
            let room = (LINE_BYTES + 1).saturating_sub(line.len());
            line.extend_from_slice(buffer.get(..taken.min(room)).unwrap_or_default());
            length += taken;
            self.lines.consume(taken);
            if end.is_some() {
                return Ok(length);
            }
        }
    }
}

fn failed(path: &Path, error: &std::io::Error) -> EvidenceError {
    EvidenceError::Segment(format!("`{}` cannot be read: {error}", path.display()))
}
