//! Files of a bundle on their way: written to a nameless file on disk, hashed as they are written.

use std::fs::File;
use std::io::{self, BufWriter, Read, Seek as _, SeekFrom, Write};
use std::path::Path;

use domain::canonical;
use gateway::GatewayError;
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;
use verify::bundle::Part;

use super::BundleError;

/// How large the pieces are in which a bundle is handed out, in bytes.
const PIECE_BYTES: usize = 64 << 10;

/// A file in the making. It has no name and is gone when it is dropped.
pub(super) struct Spool {
    name: &'static str,
    file: BufWriter<File>,
    digest: Sha256,
    bytes: u64,
}

/// What a [`Spool`] became: its content from the beginning.
pub(super) type Spooled = File;

impl Spool {
    pub(super) fn new(folder: &Path, name: &'static str) -> Result<Self, BundleError> {
        let file = BufWriter::new(tempfile::tempfile_in(folder)?);
        Ok(Self { name, file, digest: Sha256::new(), bytes: 0 })
    }

    /// A file that is there whole.
    pub(super) fn of(
        folder: &Path,
        name: &'static str,
        content: &[u8],
    ) -> Result<Part<Spooled>, BundleError> {
        let mut spool = Self::new(folder, name)?;
        spool.write(content)?;
        spool.finish()
    }

    pub(super) fn write(&mut self, content: &[u8]) -> Result<(), BundleError> {
        self.file.write_all(content)?;
        self.digest.update(content);
        self.bytes += content.len() as u64;
        Ok(())
    }

    /// Writes one record and a newline.
    pub(super) fn line<T: Serialize>(&mut self, record: &T) -> Result<(), BundleError> {
        let mut line = canonical::write(record)?;
        line.push(b'\n');
        self.write(&line)
    }

    pub(super) fn finish(self) -> Result<Part<Spooled>, BundleError> {
        let mut content = self.file.into_inner().map_err(io::IntoInnerError::into_error)?;
        content.seek(SeekFrom::Start(0))?;
        let sha256 = self.digest.finalize().into();
        Ok(Part { name: self.name.to_owned(), bytes: self.bytes, sha256, content })
    }
}

/// Sends what is written in pieces. Fails when the reader has gone.
pub(super) struct PieceWriter<'s> {
    send: &'s mpsc::Sender<Result<Vec<u8>, GatewayError>>,
    piece: Vec<u8>,
}

impl<'s> PieceWriter<'s> {
    pub(super) fn new(send: &'s mpsc::Sender<Result<Vec<u8>, GatewayError>>) -> Self {
        Self { send, piece: Vec::with_capacity(PIECE_BYTES) }
    }

    fn send(&mut self) -> io::Result<()> {
        let piece = std::mem::replace(&mut self.piece, Vec::with_capacity(PIECE_BYTES));
        self.send.blocking_send(Ok(piece)).map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))
    }
}

impl Write for PieceWriter<'_> {
    fn write(&mut self, content: &[u8]) -> io::Result<usize> {
        let room = PIECE_BYTES.saturating_sub(self.piece.len()).max(1);
        let taken = content.take(room as u64).read_to_end(&mut self.piece)?;
        if self.piece.len() >= PIECE_BYTES {
            self.send()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.piece.is_empty() { Ok(()) } else { self.send() }
    }
}
