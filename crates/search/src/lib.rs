//! The trail's index: faceted and full-text search over what the log and the activity segments hold; and the trail
//! held against a target's own log.
//!
//! The index is derived. A [`Follower`] tails the log by index and the segments by file and offset, and writes
//! records with its place in one transaction, so a commit never waits for it, either twin of the store will do, and
//! the index can be dropped and rebuilt at will. It stands in a file of its own, in the clear: what may enter it is
//! decided in [`derive`], and nothing of a payload does.
//!
//! The files stand in reading order: what a record is ([`record`], [`derive`], [`masks`]), where records stand ([`Index`]), how
//! they come there ([`follow`]), and what is asked of them ([`query`]). [`reconcile`] is the second half.

pub mod record;
pub mod derive;
pub mod masks;

mod index;
mod segments;
pub mod follow;

pub mod query;
pub mod reconcile;

pub mod limits;

#[cfg(test)]
mod tests;

pub use follow::Follower;
pub use index::{Answer, Ask, Counts, FacetCount, Hit, Index, Progress, Reset, SearchError};
pub use masks::Masks;
pub use query::{Clause, Moment, Names, Query, QueryError};
pub use record::{Facet, Place, Record, Words};
