//! A bundle's files, one after the other, each held against its digest in the manifest.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Take};

use audit::MAX_NOTE_BYTES;
use sha2::{Digest as _, Sha256};

use super::manifest::{File, LINE_LIMIT_BYTES, MANIFEST, MANIFEST_LIMIT_BYTES, Manifest};
use super::tar;

/// How much is read at once, in bytes.
const BUFFER_BYTES: usize = 256 << 10;

/// The files behind the manifest, to be read in its order.
pub(super) struct Files<R> {
    input: BufReader<R>,
    left: VecDeque<File>,
}

impl<R: Read> Files<R> {
    /// Reads the manifest.
    pub(super) fn open(input: R) -> Result<(Self, Manifest), String> {
        let mut input = BufReader::with_capacity(BUFFER_BYTES, input);
        let size = tar::read_header(&mut input, MANIFEST)?;
        let bytes = whole(&mut input, MANIFEST, size, MANIFEST_LIMIT_BYTES)?;
        tar::expect_padding(&mut input, MANIFEST, size)?;
        let manifest = Manifest::read(&bytes).map_err(|error| format!("`{MANIFEST}`: {error}"))?;
        let left = manifest.files.iter().cloned().collect();
        Ok((Self { input, left }, manifest))
    }

    /// Whether this file is next.
    pub(super) fn has(&self, name: &str) -> bool {
        self.left.front().is_some_and(|file| file.name == name)
    }

    /// Reads a file whole.
    pub(super) fn whole(&mut self, name: &str, limit: u64) -> Result<Vec<u8>, String> {
        let file = self.next(name)?;
        let bytes = whole(&mut self.input, name, file.bytes, limit)?;
        self.close(&file, Sha256::new_with_prefix(&bytes))?;
        Ok(bytes)
    }

    /// Reads a file that is a signed note.
    pub(super) fn note(&mut self, name: &str) -> Result<String, String> {
        let bytes = self.whole(name, MAX_NOTE_BYTES as u64)?;
        String::from_utf8(bytes).map_err(|_| format!("`{name}` is not UTF-8"))
    }

    /// Reads a file line by line; each line ends in a newline, and none is empty.
    pub(super) fn each_line(
        &mut self,
        name: &str,
        mut each: impl FnMut(&[u8]) -> Result<(), String>,
    ) -> Result<(), String> {
        let file = self.next(name)?;
        let mut content = (&mut self.input).take(file.bytes);
        let mut digest = Sha256::new();
        let mut line = Vec::new();
        let mut number = 0_u64;
        while content.limit() > 0 {
            number += 1;
            let told = |why: &str| format!("`{name}`, line {number}: {why}");
            next_line(&mut content, &mut line, name)?;
            digest.update(&line);
            match line.split_last() {
                Some((b'\n', [])) => return Err(told("it is empty")),
                Some((b'\n', content)) => each(content)?,
                Some(_) | None if line.len() > LINE_LIMIT_BYTES => return Err(told("it is too long")),
                Some(_) | None => return Err(told("it does not end in a newline")),
            }
        }
        self.close(&file, digest)
    }

    /// Reads the archive's end.
    pub(super) fn end(&mut self) -> Result<(), String> {
        match self.left.front() {
            None => tar::expect_end(&mut self.input),
            Some(file) => Err(format!("`{}` stands where no such file is expected", file.name)),
        }
    }

    fn next(&mut self, name: &str) -> Result<File, String> {
        let file = self.left.pop_front().filter(|file| file.name == name);
        let file = file.ok_or_else(|| format!("it has no `{name}` where one is expected"))?;
        tar::expect_header(&mut self.input, name, file.bytes)?;
        Ok(file)
    }

    fn close(&mut self, file: &File, digest: Sha256) -> Result<(), String> {
        tar::expect_padding(&mut self.input, &file.name, file.bytes)?;
        if digest.finalize().as_slice() == file.sha256.0 {
            Ok(())
        } else {
            Err(format!("`{}` does not hash to what the manifest says", file.name))
        }
    }
}

fn whole(input: &mut impl Read, name: &str, size: u64, limit: u64) -> Result<Vec<u8>, String> {
    if size > limit {
        return Err(format!("`{name}` has {size} bytes, and the limit is {limit}"));
    }
    let mut bytes = Vec::new();
    input.take(size).read_to_end(&mut bytes).map_err(|error| tar::cut(name, &error))?;
    if bytes.len() as u64 == size { Ok(bytes) } else { Err(format!("it is cut short within `{name}`")) }
}

/// The next line with its newline, or as much of it as is read of one that is too long.
fn next_line<R: BufRead>(content: &mut Take<R>, line: &mut Vec<u8>, name: &str) -> Result<(), String> {
    line.clear();
    let before = content.limit();
    let read = content
        .by_ref()
        .take(LINE_LIMIT_BYTES as u64 + 1)
        .read_until(b'\n', line)
        .map_err(|error| tar::cut(name, &error))?;
    if read == 0 && before > 0 {
        return Err(format!("it is cut short within `{name}`"));
    }
    Ok(())
}
