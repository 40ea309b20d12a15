//! A sink's place, kept in the store's vault: in the same database as the log, so that a copy put back has both of one
//! moment.

use domain::canonical;
use store::{Store, StoreError};

use crate::EvidenceError;
use crate::event::Place;
use crate::limits::CURSOR_LIFETIME;

/// Where a sink's place stands in the vault.
#[must_use]
pub fn key(sink: &str, node: Option<&str>) -> String {
    match node {
        Some(node) => format!("sink/{sink}/lines/{node}"),
        None => format!("sink/{sink}/cursor"),
    }
}

/// The place that is kept; none for a sink that has been sent nothing yet.
///
/// # Errors
/// Store failures, and [`StoreError::Corrupt`] for what is no place.
pub async fn load(store: &dyn Store, key: &str) -> Result<Option<Place>, EvidenceError> {
    let Some(bytes) = store.look(key).await? else { return Ok(None) };
    let place = canonical::read(&bytes)
        .map_err(|error| StoreError::Corrupt(format!("the place of a sink under `{key}`: {error}")))?;
    Ok(Some(place))
}

/// Keeps a place, unless one further on is kept already: a gateway that was slow must not send others back.
///
/// # Errors
/// Store failures.
pub async fn advance(store: &dyn Store, key: &str, place: Place) -> Result<(), EvidenceError> {
    match load(store, key).await? {
        Some(kept) if kept >= place => Ok(()),
        Some(_) | None => save(store, key, place).await,
    }
}

/// Keeps a place: everything before it was delivered.
///
/// # Errors
/// Store failures.
pub async fn save(store: &dyn Store, key: &str, place: Place) -> Result<(), EvidenceError> {
    let bytes = canonical::write(&place).map_err(|error| EvidenceError::Write(error.to_string()))?;
    Ok(store.keep(key, &bytes, CURSOR_LIFETIME).await?)
}
