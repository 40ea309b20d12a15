//! What a witness makes of a request: pure, so that the rule that no cosignature contradicts an
//! earlier one can be tested without a disk or a clock.

use std::collections::BTreeMap;

use crate::{
    Checkpoint, CosignatureTime, Error, Hash, Note, NoteSignature, SignedCheckpoint, VerifierKey, WitnessKey,
    WitnessSigner, empty_root, verify_consistency,
};

use super::AddCheckpoint;

/// The latest checkpoint of one log that this witness has cosigned: all that it has to remember.
///
/// Its note carries the log's signature and the witness's own, which is how a kept one is known to
/// be unchanged, and what `GET <monitoring prefix>/<origin hash>/checkpoint` answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Witnessed {
    checkpoint: Checkpoint,
    note: Note,
    line: NoteSignature,
    time: CosignatureTime,
}

/// A checkpoint that passed every check. Nothing is cosigned yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Update {
    checkpoint: SignedCheckpoint,
    time: CosignatureTime,
}

/// The logs that a witness cosigns, each with its keys. A key's name is its log's origin.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrustedLogs(BTreeMap<String, Vec<VerifierKey>>);

/// Why a witness does not cosign. [`status`](Self::status) is what HTTP says for it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The request cannot be read.
    #[error(transparent)]
    Malformed(Error),
    /// The log is not among those that the witness knows.
    #[error("this witness does not know the log `{origin}`")]
    UnknownLog {
        /// The checkpoint's origin line.
        origin: String,
    },
    /// The checkpoint's log did not sign it, or a line under its key's name is bad.
    #[error(transparent)]
    Unsigned(Error),
    /// The proof would run backwards.
    #[error("the old size {old} is larger than the checkpoint's size {new}")]
    OldTooLarge {
        /// The request's old size in leaves.
        old: u64,
        /// The checkpoint's size in leaves.
        new: u64,
    },
    /// The request starts from another size than the one cosigned last.
    #[error("the latest checkpoint cosigned has size {known}")]
    Conflict {
        /// The size cosigned last in leaves; zero for none.
        known: u64,
    },
    /// The checkpoint does not extend the one cosigned last: if its log made the proof, the log
    /// shows two histories.
    #[error("the checkpoint does not extend the one cosigned last: {0}")]
    Inconsistent(Error),
}

impl Witnessed {
    /// Decides on a request, given what was cosigned last for its log: nothing if never. The update
    /// bears `now`, or the last cosignature's time if that is later: a clock that was set back
    /// must not make the witness contradict itself.
    ///
    /// The decision and the keeping of what comes of it are one atomic step, which is the caller's.
    ///
    /// # Errors
    /// [`Refusal`], checked in the order of `tlog-witness`.
    pub fn consider(
        known: Option<&Self>,
        request: &AddCheckpoint,
        logs: &TrustedLogs,
        now: CosignatureTime,
    ) -> Result<Update, Refusal> {
        let signed = logs.open(request)?;
        let checkpoint = signed.checkpoint();
        let (old, new) = (request.old(), checkpoint.size());
        if old > new {
            return Err(Refusal::OldTooLarge { old, new });
        }
        let (size, root) = known.map_or((0, empty_root()), |known| (known.size(), known.root()));
        if old != size {
            return Err(Refusal::Conflict { known: size });
        }
        verify_consistency(old, root, new, checkpoint.root(), request.proof())
            .map_err(Refusal::Inconsistent)?;
        let time = known.map_or(now, |known| known.time.max(now));
        Ok(Update { checkpoint: signed, time })
    }

    /// Reads what a witness kept for the log of that origin, and checks its own cosignature on it.
    ///
    /// # Errors
    /// What [`Note::parse`] and parsing the checkpoint refuse; [`Error::BadSignature`],
    /// [`Error::NoKnownSignature`] if this witness did not cosign it; [`Error::OriginMismatch`] if it
    /// is another log's.
    pub fn restore(bytes: &[u8], origin: &str, key: &WitnessKey) -> Result<Self, Error> {
        let note = Note::parse(bytes)?;
        let checkpoint: Checkpoint = note.text().parse()?;
        if checkpoint.origin() != origin {
            return Err(Error::OriginMismatch { origin: crate::text::quoted(checkpoint.origin()) });
        }
        let line = note.signed_by(std::slice::from_ref(key))?.first().map(|(_, line)| (*line).clone());
        let line = line.ok_or(Error::NoKnownSignature)?;
        let time = line.cosignature_time().ok_or(Error::NoKnownSignature)?;
        Ok(Self { checkpoint, note, line, time })
    }

    /// The log's size then, in leaves.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.checkpoint.size()
    }

    /// The log's root then.
    #[must_use]
    pub fn root(&self) -> Hash {
        self.checkpoint.root()
    }

    /// When it was cosigned.
    #[must_use]
    pub fn time(&self) -> CosignatureTime {
        self.time
    }

    /// The note to keep and to show to monitors.
    #[must_use]
    pub fn note(&self) -> &Note {
        &self.note
    }

    /// The cosignature, for whoever asked for it.
    #[must_use]
    pub fn line(&self) -> &NoteSignature {
        &self.line
    }
}

impl Update {
    /// Cosigns. What comes of it must be kept, durably, before anybody sees it.
    ///
    /// # Errors
    /// [`Error::Sign`].
    pub fn cosign(self, signer: &WitnessSigner) -> Result<Witnessed, Error> {
        let line = signer.cosign(&self.checkpoint, self.time)?;
        let mut note = self.checkpoint.note().clone();
        note.retain(|other| !other.claims(signer.key()));
        note.add_signature(line.clone())?;
        Ok(Witnessed { checkpoint: self.checkpoint.checkpoint().clone(), note, line, time: self.time })
    }

    /// The checkpoint to be cosigned, with the signatures of its log alone.
    #[must_use]
    pub fn checkpoint(&self) -> &SignedCheckpoint {
        &self.checkpoint
    }
}

impl TrustedLogs {
    /// The logs of these keys. A log may have several, while it changes its key.
    #[must_use]
    pub fn new(keys: impl IntoIterator<Item = VerifierKey>) -> Self {
        let mut logs: BTreeMap<String, Vec<VerifierKey>> = BTreeMap::new();
        for key in keys {
            logs.entry(key.name().to_string()).or_default().push(key);
        }
        Self(logs)
    }

    /// The logs' origins.
    pub fn origins(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// The request's checkpoint, signed by its log; signatures by other keys are dropped.
    fn open(&self, request: &AddCheckpoint) -> Result<SignedCheckpoint, Refusal> {
        let origin = request.origin();
        let keys = self.0.get(origin);
        let keys = keys.ok_or_else(|| Refusal::UnknownLog { origin: crate::text::quoted(origin) })?;
        // The signature first: who did not sign gets to know nothing of what is wrong besides.
        request.checkpoint().verify(keys).map_err(Refusal::Unsigned)?;
        let mut note = request.checkpoint().clone();
        note.retain(|line| keys.iter().any(|key| line.claims(key)));
        Checkpoint::open_note(note, keys).map_err(|error| {
            let of_consistency = matches!(error, Error::EmptyTreeRoot { .. });
            if of_consistency { Refusal::Inconsistent(error) } else { Refusal::Malformed(error) }
        })
    }
}

impl Refusal {
    /// The status code that `tlog-witness` gives it.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            Self::Malformed(_) | Self::OldTooLarge { .. } => 400,
            Self::Unsigned(_) => 403,
            Self::UnknownLog { .. } => 404,
            Self::Conflict { .. } => 409,
            Self::Inconsistent(_) => 422,
        }
    }
}
