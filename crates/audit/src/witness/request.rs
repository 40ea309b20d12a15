//! The body of `POST <submission prefix>/add-checkpoint`.

use std::fmt;

use crate::text::from_decimal;
use crate::{Error, Hash, Note};

/// The longest request that is read, in bytes: 16 signatures of 5 kB each in base64, which
/// `signed-note` asks for, a whole proof, and room for the text.
pub const MAX_REQUEST_BYTES: usize = 131_072;

/// The most hashes of a request's consistency proof (C2SP `tlog-witness`).
pub const MAX_REQUEST_HASHES: usize = 63;

/// What a log asks of a witness: to cosign a checkpoint that extends the tree of size `old`.
/// Unchecked until a witness considers it. Display writes the request's body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddCheckpoint {
    old: u64,
    proof: Vec<Hash>,
    checkpoint: Note,
}

impl AddCheckpoint {
    /// A request. `old` is the size that the witness knows, zero if it never saw the log.
    ///
    /// # Errors
    /// [`Error::TooLarge`] over [`MAX_REQUEST_HASHES`] or [`MAX_REQUEST_BYTES`].
    pub fn new(old: u64, proof: Vec<Hash>, checkpoint: Note) -> Result<Self, Error> {
        Error::check_limit("witness request", proof.len(), MAX_REQUEST_HASHES, "hashes")?;
        let request = Self { old, proof, checkpoint };
        Error::check_limit("witness request", request.to_string().len(), MAX_REQUEST_BYTES, "bytes")?;
        Ok(request)
    }

    /// Reads a body in its only spelling, without checking signature or proof.
    ///
    /// # Errors
    /// [`Error::TooLarge`] over the limits; [`Error::Malformed`] for everything else.
    pub fn parse(body: &[u8]) -> Result<Self, Error> {
        Error::check_limit("witness request", body.len(), MAX_REQUEST_BYTES, "bytes")?;
        let text = str::from_utf8(body)
            .map_err(|_| Error::malformed_bytes("witness request", body, "it is not UTF-8"))?;
        let malformed = |why| Error::malformed("witness request", text, why);
        let (head, note) = text
            .split_once("\n\n")
            .ok_or_else(|| malformed("expected a blank line before the checkpoint"))?;
        let mut lines = head.split('\n');
        let old = lines
            .next()
            .and_then(|line| from_decimal(line.strip_prefix("old ")?))
            .ok_or_else(|| malformed("expected `old` and a decimal on the first line"))?;
        // One more than the limit is enough to be refused.
        let proof = lines.take(MAX_REQUEST_HASHES + 1).map(str::parse).collect::<Result<_, _>>()?;
        Self::new(old, proof, Note::parse(note.as_bytes())?)
    }

    /// The size of the tree that the proof starts from, in leaves.
    #[must_use]
    pub fn old(&self) -> u64 {
        self.old
    }

    /// The consistency proof.
    #[must_use]
    pub fn proof(&self) -> &[Hash] {
        &self.proof
    }

    /// The checkpoint's note, unchecked.
    #[must_use]
    pub fn checkpoint(&self) -> &Note {
        &self.checkpoint
    }

    /// The origin that the checkpoint claims: its first line.
    #[must_use]
    pub fn origin(&self) -> &str {
        self.checkpoint.text().lines().next().unwrap_or_default()
    }
}

impl fmt::Display for AddCheckpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "old {}", self.old)?;
        self.proof.iter().try_for_each(|hash| writeln!(f, "{hash}"))?;
        write!(f, "\n{}", self.checkpoint)
    }
}
