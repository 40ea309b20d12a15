//! What of an approval's row its events do not repeat, under one seal. Both twins keep it in the column `bound`.

use crate::seal::{Place, SealingKey};
use crate::{Request, RunWhenGone, StoreError};

/// The seal of a new row.
///
/// # Errors
/// As [`SealingKey::seal`].
pub(crate) fn seal(key: &SealingKey, request: &Request) -> Result<Vec<u8>, StoreError> {
    let place = Place::Row {
        approval: request.action.id(),
        retry: request.retry.as_bytes(),
        retry_window: request.retry_window,
        run_when_gone: request.run_when_gone,
        shape: &request.shape,
    };
    key.seal(place, b"")
}

/// Holds a row that was read back against its seal. A row from before there were seals has none: whatever it says, it
/// waits for its caller. [`RunWhenGone`] is what may be believed of it.
///
/// # Errors
/// As [`SealingKey::open`].
pub(crate) fn check(
    key: &SealingKey,
    row: Place<'_>,
    run_when_gone: RunWhenGone,
    seal: Option<&[u8]>,
) -> Result<RunWhenGone, StoreError> {
    match seal {
        Some(seal) => key.open(row, seal).map(|_| run_when_gone),
        None => Ok(RunWhenGone::No),
    }
}
