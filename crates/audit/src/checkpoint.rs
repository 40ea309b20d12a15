//! Checkpoints (C2SP `tlog-checkpoint`): the size and root of a log, signed. All that a reader has to
//! remember of a log is the last checkpoint that it accepted.

use std::fmt;
use std::str::FromStr;

use crate::text::from_decimal;
use crate::{Error, Hash, Note, NoteSigner, VerifierKey, empty_root};

/// A log's state: origin, size, root, and extension lines, which C2SP advises against. Display
/// writes the note text that is signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    origin: String,
    size: u64,
    root: Hash,
    extensions: Vec<String>,
}

/// A checkpoint together with the note that proves it: made only by signing, or by checking the
/// signature of a key that bears the origin's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedCheckpoint {
    checkpoint: Checkpoint,
    note: Note,
}

impl Checkpoint {
    /// A checkpoint of a log. `size` counts leaves.
    ///
    /// # Errors
    /// [`Error::Malformed`] if the origin or an extension line is empty or has control characters;
    /// [`Error::EmptyTreeRoot`] if the size is zero and the root is not that of the tree without
    /// leaves.
    pub fn new(
        origin: impl Into<String>,
        size: u64,
        root: Hash,
        extensions: Vec<String>,
    ) -> Result<Self, Error> {
        let origin = origin.into();
        let is_line = |line: &String| !line.is_empty() && !line.contains(|c: char| c < ' ');
        if !is_line(&origin) || !extensions.iter().all(is_line) {
            return Err(malformed(&origin, "expected lines that are not empty"));
        }
        if size == 0 && root != empty_root() {
            return Err(Error::EmptyTreeRoot { origin: crate::text::quoted(&origin) });
        }
        Ok(Self { origin, size, root, extensions })
    }

    /// Signs the checkpoint, with the log's key first. Whoever calls this has made sure that the
    /// tree extends every tree signed before.
    ///
    /// # Errors
    /// [`Error::OriginMismatch`] unless a signer's key has the origin as its name; otherwise what
    /// [`Note::sign`] refuses.
    pub fn sign(self, signers: &[&dyn NoteSigner]) -> Result<SignedCheckpoint, Error> {
        self.check_origin(signers.iter().map(|signer| signer.verifier()))?;
        let note = Note::sign(self.to_string(), signers)?;
        Ok(SignedCheckpoint { checkpoint: self, note })
    }

    /// Reads a signed checkpoint and checks it against the keys that the reader trusts. Give the
    /// log's keys; other keys may stand among them, but do not suffice.
    ///
    /// # Errors
    /// What [`Note::parse`], [`Note::verify`] and parsing refuse, and [`Error::OriginMismatch`]
    /// unless a key that has the origin as its name signed.
    pub fn open(note: &[u8], known: &[VerifierKey]) -> Result<SignedCheckpoint, Error> {
        Self::open_note(Note::parse(note)?, known)
    }

    /// [`open`](Self::open) for a note that was read before.
    ///
    /// # Errors
    /// Those of `open`, but for reading the note.
    pub fn open_note(note: Note, known: &[VerifierKey]) -> Result<SignedCheckpoint, Error> {
        let signed_by = note.verify(known)?;
        let checkpoint: Self = note.text().parse()?;
        checkpoint.check_origin(signed_by.into_iter())?;
        Ok(SignedCheckpoint { checkpoint, note })
    }

    /// The log's name.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The tree's size in leaves.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The tree's root.
    #[must_use]
    pub fn root(&self) -> Hash {
        self.root
    }

    /// The lines after the root, without newlines.
    #[must_use]
    pub fn extensions(&self) -> &[String] {
        &self.extensions
    }

    /// Any trusted key could otherwise sign for any trusted log.
    fn check_origin<'k>(&self, mut keys: impl Iterator<Item = &'k VerifierKey>) -> Result<(), Error> {
        if keys.any(|key| key.name().as_str() == self.origin) {
            return Ok(());
        }
        Err(Error::OriginMismatch { origin: crate::text::quoted(&self.origin) })
    }
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n{}\n{}\n", self.origin, self.size, self.root)?;
        self.extensions.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

impl FromStr for Checkpoint {
    type Err = Error;

    /// Reads a note's text in its only spelling.
    fn from_str(text: &str) -> Result<Self, Error> {
        let body = text.strip_suffix('\n');
        let body = body.ok_or_else(|| malformed(text, "it does not end in a newline"))?;
        let mut lines = body.split('\n');
        let (Some(origin), Some(size), Some(root)) = (lines.next(), lines.next(), lines.next()) else {
            return Err(malformed(text, "expected an origin, a size and a root"));
        };
        let size = from_decimal(size)
            .ok_or_else(|| malformed(text, "its size is not a decimal without leading zeros"))?;
        Self::new(origin, size, root.parse()?, lines.map(str::to_owned).collect())
    }
}

fn malformed(value: &str, why: &'static str) -> Error {
    Error::malformed("checkpoint", value, why)
}

impl SignedCheckpoint {
    /// What was signed.
    #[must_use]
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// The note to publish and to keep.
    #[must_use]
    pub fn note(&self) -> &Note {
        &self.note
    }

    /// Puts a note of the same text, with other signatures beside the log's, in the note's place.
    pub(crate) fn replace_note(&mut self, note: Note) {
        self.note = note;
    }
}
