//! What an audit reads of an entry's kind and fields, whichever twin keeps it.

use domain::canonical;
use domain::commitment::{Disclosure, disclosed_root};
use domain::entry::{Kind, Leaf};

use crate::{StoreError, open_fields};

/// Whether an entry is one of an approval's events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EventOf {
    /// It is, always.
    Approval,
    /// It is where people were asked; actions that nobody was asked about run and end too.
    AnyAction,
    /// It never is.
    Nothing,
}

impl EventOf {
    pub(crate) fn kind(kind: Kind) -> Self {
        match kind {
            Kind::Request
            | Kind::Review
            | Kind::Question
            | Kind::Answer
            | Kind::Reevaluation
            | Kind::End
            | Kind::LaterReview => Self::Approval,
            Kind::Execution | Kind::Outcome => Self::AnyAction,
            Kind::Genesis
            | Kind::Decision
            | Kind::Directory
            | Kind::Activity
            | Kind::Refusal
            | Kind::Reveal
            | Kind::Erasure
            | Kind::Heartbeat
            | Kind::Gap
            | Kind::Rotation
            | Kind::Pruning
            | Kind::Reported
            | Kind::Backup => Self::Nothing,
        }
    }
}

/// What the erasure at `index` says was erased: entries, each with a path.
///
/// # Errors
/// [`StoreError::Corrupt`] when it does not say.
pub(crate) fn erased(
    index: u64,
    fields: &[Disclosure],
) -> Result<impl Iterator<Item = (u64, String)>, StoreError> {
    let open = open_fields(fields);
    let value =
        |path: &str| open.iter().find(|field| field.path == path).map(|field| field.value.0.as_slice());
    let entry = value("entry").and_then(|digits| str::from_utf8(digits).ok()?.parse().ok());
    let paths = value("paths").and_then(|bytes| canonical::read::<Vec<String>>(bytes).ok());
    let (entry, paths): (u64, Vec<String>) = entry
        .zip(paths)
        .ok_or_else(|| StoreError::Corrupt(format!("entry {index} does not say what was erased")))?;
    Ok(paths.into_iter().map(move |path| (entry, path)))
}

/// Holds fields against the leaf that commits to them.
pub(crate) fn check_root(index: u64, leaf: &Leaf, fields: &[Disclosure]) -> Result<(), StoreError> {
    let root = disclosed_root(fields)
        .map_err(|error| StoreError::Corrupt(format!("the fields of entry {index}: {error}")))?;
    if fields.len() as u64 == u64::from(leaf.count) && root == leaf.fields {
        return Ok(());
    }
    Err(StoreError::Corrupt(format!("entry {index}: its fields are not those that its leaf commits to")))
}
