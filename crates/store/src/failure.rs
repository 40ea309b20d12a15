//! How other rooms' errors read as the store's.

use crate::StoreError;

impl From<audit::Error> for StoreError {
    fn from(error: audit::Error) -> Self {
        use audit::Error as E;
        match &error {
            E::IndexOutOfRange { .. } | E::SizeWentBack { .. } => Self::NotFound("tree or entry"),
            // The key cannot be used: nothing can be written down, so nothing may run.
            E::Sign(_) | E::SignerMismatch { .. } | E::LogFull => Self::LogStopped(error.to_string()),
            E::ProofMismatch
            | E::ProofLength { .. }
            | E::NoKnownSignature
            | E::BadSignature { .. }
            | E::AmbiguousKey { .. }
            | E::OriginMismatch { .. }
            | E::TileCorrupted { .. }
            | E::RootMismatch { .. }
            | E::TileWidth { .. }
            | E::TileMissing { .. }
            | E::TileShape { .. }
            | E::FrontierShape { .. }
            | E::EntryTooLong { .. }
            | E::EmptyTreeRoot { .. }
            | E::UntrustedLog { .. }
            | E::QuorumMissed { .. }
            | E::Malformed { .. }
            | E::TooLarge { .. } => Self::Corrupt(error.to_string()),
        }
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::NotADatabase) => {
                Self::Corrupt(error.to_string())
            }
            _ => Self::Failed(error.to_string()),
        }
    }
}
