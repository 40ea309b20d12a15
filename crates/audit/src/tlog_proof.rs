//! The receipt that a person can keep: an inclusion proof and a checkpoint in one text file (C2SP
//! `tlog-proof`, extension `.tlog-proof`). It verifies with the log's public key and nothing else.

use std::fmt;

use crate::checkpoint::SignedCheckpoint;
use crate::text::{from_base64, from_decimal, to_base64};
use crate::verify_inclusion;
use crate::{Checkpoint, Error, Hash, MAX_NOTE_BYTES, MAX_PROOF_HASHES, Note, Policy, Verdict, VerifierKey};

/// The most extra data that a proof file carries, in bytes before encoding.
pub const MAX_EXTRA_BYTES: usize = 65_536;

/// The longest proof file that is read, in bytes: a note, the encoded extra data, and room for the
/// other lines.
pub const MAX_PROOF_FILE_BYTES: usize =
    MAX_NOTE_BYTES + MAX_EXTRA_BYTES.div_ceil(3) * 4 + MAX_PROOF_HASHES * HASH_LINE_BYTES + 256;

const HASH_LINE_BYTES: usize = 45;

const HEADER: &str = "c2sp.org/tlog-proof@v1";

/// A proof file's content, unchecked until [`verify`](Self::verify). Display writes the file's bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlogProof {
    extra: Option<Vec<u8>>,
    index: u64,
    hashes: Vec<Hash>,
    checkpoint: Note,
}

impl TlogProof {
    /// A proof that entry `index` (from zero) is in the tree of `checkpoint`.
    ///
    /// # Errors
    /// [`Error::TooLarge`] over [`MAX_PROOF_HASHES`].
    pub fn new(index: u64, hashes: Vec<Hash>, checkpoint: Note) -> Result<Self, Error> {
        Error::check_limit("proof file", hashes.len(), MAX_PROOF_HASHES, "hashes")?;
        Ok(Self { extra: None, index, hashes, checkpoint })
    }

    /// Adds data for the application. Nothing signs it: a reader must not trust it.
    ///
    /// # Errors
    /// [`Error::TooLarge`] over [`MAX_EXTRA_BYTES`]; [`Error::Malformed`] if it is empty, for which
    /// the format has no spelling.
    pub fn with_extra(mut self, extra: Vec<u8>) -> Result<Self, Error> {
        Error::check_limit("proof file", extra.len(), MAX_EXTRA_BYTES, "bytes of extra data")?;
        if extra.is_empty() {
            return Err(Error::malformed_bytes(
                "proof file",
                &extra,
                "its extra data is empty; leave it out",
            ));
        }
        self.extra = Some(extra);
        Ok(self)
    }

    /// Reads a file's bytes in their only spelling, without checking signature or proof.
    ///
    /// # Errors
    /// [`Error::TooLarge`] over [`MAX_PROOF_FILE_BYTES`] and the limits of its parts;
    /// [`Error::Malformed`] for everything else.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        Error::check_limit("proof file", bytes.len(), MAX_PROOF_FILE_BYTES, "bytes")?;
        let text = str::from_utf8(bytes)
            .map_err(|_| Error::malformed_bytes("proof file", bytes, "it is not UTF-8"))?;
        let (head, note) = text
            .split_once("\n\n")
            .ok_or_else(|| malformed(text, "expected a blank line before the checkpoint"))?;

        let mut lines = head.split('\n').peekable();
        if lines.next() != Some(HEADER) {
            return Err(malformed(text, "expected `c2sp.org/tlog-proof@v1` on the first line"));
        }
        let extra = lines.next_if(|line| line.starts_with("extra "));
        let index = lines
            .next()
            .and_then(|line| from_decimal(line.strip_prefix("index ")?))
            .ok_or_else(|| malformed(head, "expected `index` and a decimal"))?;
        // One more than the limit is enough to be refused.
        let hashes = lines.take(MAX_PROOF_HASHES + 1).map(str::parse);
        let proof = Self::new(index, hashes.collect::<Result<_, _>>()?, Note::parse(note.as_bytes())?)?;

        let Some(extra) = extra.and_then(|line| line.strip_prefix("extra ")) else {
            return Ok(proof);
        };
        let extra = from_base64(extra);
        proof.with_extra(extra.ok_or_else(|| malformed(head, "its extra data is not base64"))?)
    }

    /// Checks that the entry with this leaf hash is in the log that one of the known keys signed,
    /// and returns the checkpoint that it is in.
    ///
    /// The caller hashes the entry that it holds; a proof does not contain it.
    ///
    /// # Errors
    /// What [`Checkpoint::open`] and [`verify_inclusion`](crate::verify_inclusion) refuse.
    pub fn verify(&self, leaf: Hash, known: &[VerifierKey]) -> Result<SignedCheckpoint, Error> {
        let signed = Checkpoint::open_note(self.checkpoint.clone(), known)?;
        let tree = signed.checkpoint();
        verify_inclusion(leaf, self.index, tree.size(), &self.hashes, tree.root())?;
        Ok(signed)
    }

    /// Checks that the entry with this leaf hash is in the log of that origin, as a policy trusts
    /// it, and that the policy's quorum of witnesses cosigned the checkpoint.
    ///
    /// # Errors
    /// What [`Policy::check`] and [`verify_inclusion`](crate::verify_inclusion) refuse, and
    /// [`Error::QuorumMissed`].
    pub fn verify_by(&self, leaf: Hash, policy: &Policy, origin: &str) -> Result<Verdict, Error> {
        let verdict = policy.check(&self.checkpoint, origin)?;
        let tree = verdict.clone().require()?;
        let tree = tree.checkpoint();
        verify_inclusion(leaf, self.index, tree.size(), &self.hashes, tree.root())?;
        Ok(verdict)
    }

    /// The data that an application added, unauthenticated.
    #[must_use]
    pub fn extra(&self) -> Option<&[u8]> {
        self.extra.as_deref()
    }

    /// The entry's index in the log, from zero.
    #[must_use]
    pub fn index(&self) -> u64 {
        self.index
    }

    /// The inclusion proof, leaf's sibling first.
    #[must_use]
    pub fn hashes(&self) -> &[Hash] {
        &self.hashes
    }

    /// The checkpoint's note, unchecked.
    #[must_use]
    pub fn checkpoint(&self) -> &Note {
        &self.checkpoint
    }
}

impl fmt::Display for TlogProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{HEADER}")?;
        if let Some(extra) = &self.extra {
            writeln!(f, "extra {}", to_base64(extra))?;
        }
        writeln!(f, "index {}", self.index)?;
        self.hashes.iter().try_for_each(|hash| writeln!(f, "{hash}"))?;
        write!(f, "\n{}", self.checkpoint)
    }
}

fn malformed(value: &str, why: &'static str) -> Error {
    Error::malformed("proof file", value, why)
}
