//! Which key of the log signed which checkpoint.
//!
//! Genesis names the first key; each `rotation/1` entry names the next. The old key's last checkpoint has the
//! rotation's entry as its last leaf, so a checkpoint's size alone says whose signature it must bear. A key that was
//! changed because it got out can therefore not speak for anything that came after it.

use audit::{Checkpoint, Hash, Note, NoteSigner, VerifierKey};
use domain::commitment::Disclosure;
use domain::entry::{Draft, Kind};
use domain::id::Origin;
use domain::{Malformed, Refusal};

use crate::{Rotation, StoreError, open_fields};

/// The log's keys, in the order in which they signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Keys {
    /// The keys of before, each with the largest size that it signed.
    past: Vec<(u64, VerifierKey)>,
    current: VerifierKey,
}

impl Keys {
    /// Those of a log that never changed its key.
    pub(crate) fn first(key: VerifierKey) -> Self {
        Self { past: Vec::new(), current: key }
    }

    /// The keys that a log's rotations come to. `root_at` answers the root of the tree of a size.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] for a rotation that the key before it did not sign as its last, or that does not
    /// stand in the tree.
    pub(crate) fn replay(
        origin: &Origin,
        first: VerifierKey,
        rotations: &[Rotation],
        mut root_at: impl FnMut(u64) -> Result<Hash, StoreError>,
    ) -> Result<Self, StoreError> {
        let mut keys = Self::first(first);
        for rotation in rotations {
            let bad = |why: &dyn std::fmt::Display| {
                StoreError::Corrupt(format!("the change of the log's key at entry {}: {why}", rotation.index))
            };
            let size = rotation.index.saturating_add(1);
            let signed =
                Checkpoint::open(rotation.checkpoint.as_bytes(), std::slice::from_ref(&keys.current))
                    .map_err(|error| bad(&error))?;
            let checkpoint = signed.checkpoint();
            if rotation.old != keys.current.to_string() {
                return Err(bad(&"it names another key as the one before it"));
            }
            if checkpoint.origin() != origin.as_str() || checkpoint.size() != size {
                return Err(bad(&"its checkpoint is not the old key's last"));
            }
            if checkpoint.root() != root_at(size)? {
                return Err(bad(&"its checkpoint is of another tree"));
            }
            let next: VerifierKey = rotation.new.parse().map_err(|error| bad(&error))?;
            keys.check_next(origin, &next).map_err(|error| bad(&error))?;
            keys.rotate(rotation.index, next);
        }
        Ok(keys)
    }

    /// The key that signs now.
    pub(crate) fn current(&self) -> &VerifierKey {
        &self.current
    }

    /// The key whose checkpoint of this size counts.
    pub(crate) fn of_size(&self, size: u64) -> &VerifierKey {
        self.past.iter().find(|(last, _)| size <= *last).map_or(&self.current, |(_, key)| key)
    }

    /// Whether these keys are those, and perhaps later ones.
    pub(crate) fn extends(&self, earlier: &Self) -> bool {
        self.past.starts_with(&earlier.past)
            && self.past.get(earlier.past.len()).map_or(&self.current, |(_, key)| key) == &earlier.current
    }

    /// A checkpoint, if the key of its size signed it.
    ///
    /// # Errors
    /// As [`Checkpoint::open`].
    pub(crate) fn open(&self, note: &[u8]) -> Result<Checkpoint, audit::Error> {
        let claimed: Checkpoint = Note::parse(note)?.text().parse()?;
        let signed = Checkpoint::open(note, std::slice::from_ref(self.of_size(claimed.size())))?;
        Ok(signed.checkpoint().clone())
    }

    /// The entry at this index made another key current.
    pub(crate) fn rotate(&mut self, index: u64, to: VerifierKey) {
        let before = std::mem::replace(&mut self.current, to);
        self.past.push((index.saturating_add(1), before));
    }

    /// Whether a key may come next.
    ///
    /// # Errors
    /// [`StoreError::Refused`] for one of another name, and for one that this log has had.
    pub(crate) fn check_next(&self, origin: &Origin, next: &VerifierKey) -> Result<(), StoreError> {
        let refused = |why| {
            let value = next.to_string();
            Err(StoreError::Refused(Refusal::Malformed(Malformed::Value { what: "new log key", value, why })))
        };
        if next.name().as_str() != origin.as_str() {
            return refused("one that bears the origin as its name is expected");
        }
        if self.past.iter().map(|(_, key)| key).chain([&self.current]).any(|key| key == next) {
            return refused("one that this log never had is expected");
        }
        Ok(())
    }
}

/// The entry that says that the key changes.
pub(crate) fn draft(old: &VerifierKey, new: &VerifierKey, reason: &str) -> Draft {
    Draft {
        kind: Kind::Rotation,
        subject: None,
        fields: vec![
            ("new".to_owned(), new.to_string().into_bytes()),
            ("old".to_owned(), old.to_string().into_bytes()),
            ("reason".to_owned(), reason.as_bytes().to_vec()),
        ],
    }
}

/// A rotation, read back from its entry's fields and its checkpoint.
///
/// # Errors
/// [`StoreError::Corrupt`] where the entry does not say what it must.
pub(crate) fn read(index: u64, fields: &[Disclosure], checkpoint: String) -> Result<Rotation, StoreError> {
    let value = |path| text(index, fields, path);
    Ok(Rotation { index, old: value("old")?, new: value("new")?, reason: value("reason")?, checkpoint })
}

/// The key that genesis names.
///
/// # Errors
/// [`StoreError::Corrupt`] where it names none.
pub(crate) fn of_genesis(fields: &[Disclosure]) -> Result<VerifierKey, StoreError> {
    text(0, fields, "log_key")?
        .parse()
        .map_err(|error| StoreError::Corrupt(format!("the key that genesis names: {error}")))
}

/// Makes a key sign something harmless, so that one that cannot sign is found before the log relies on it.
///
/// # Errors
/// [`StoreError::LogStopped`] where it cannot.
pub(crate) fn try_out(signer: &dyn NoteSigner) -> Result<(), StoreError> {
    // One line alone never reads as a checkpoint.
    Ok(Note::sign("countersign key test\n", &[signer]).map(|_| ())?)
}

fn text(index: u64, fields: &[Disclosure], path: &str) -> Result<String, StoreError> {
    open_fields(fields)
        .into_iter()
        .find(|field| field.path == path)
        .and_then(|field| String::from_utf8(field.value.0.clone()).ok())
        .ok_or_else(|| StoreError::Corrupt(format!("entry {index} has no open field `{path}`")))
}
