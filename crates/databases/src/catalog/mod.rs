//! Pictures of the databases' catalogs: what names mean, and what fires when they are written to.
//!
//! [`Pictures`] keeps one picture of a database up to date, read over a connection of its own with the database's stored
//! credential. A [`Picture`] and a session's own names ([`SessionNames`]) make the catalog that the classifier asks.
//! [`resolve`] says what of the catalog one statement stands on, in bytes for its digest; [`recheck`] asks the session that
//! runs it for the same bytes once more.
//!
//! Where there is no picture, or none that is fresh enough, no name is found: what finds no names is held, and never
//! permitted ([`blind`]).
//!
//! What another session changes in the database outside the gate is seen within [`limits::PROBE_EVERY`]; what a statement
//! through the gate changes, at once, when [`Pictures::changed`] is called. What a function's body calls in its turn
//! stands in no catalog and is not followed.

pub mod limits;
mod pictures;
mod picture;
mod session;
mod resolved;
mod recheck;
mod labels;
mod source;
mod load;
mod queries;

#[cfg(test)]
pub(crate) mod tests;

pub use labels::ColumnLabel;
pub use picture::{Definition, Picture, blind};
pub use pictures::{Health, Pictures};
pub(crate) use recheck::identifier;
pub use recheck::{Recheck, recheck};
pub use resolved::{Defined, Name, Resolved, TooMuch, resolve};
pub use session::{LOOK, SessionNames, Temporary, Unreadable};
pub use source::{CatalogError, Source};
