//! What PostgreSQL statements would do, told without a database: from the exact text of a message and a picture of the
//! catalog to atoms (verb, object, facts) for policy.
//!
//! A text is checked and parsed by PostgreSQL's own parser (`parse`) into a flat tree of all that the parser saw
//! (`tree`); every kind of node is known (`kinds`) or makes its statement opaque. `classify` goes over all of a
//! statement's nodes and asks the [`catalog`] what names mean; `effects` adds what views, rules, foreign keys and
//! partitions bring; `functions` says what may run unasked (`builtin`). The answer is a [`Classified`].
//!
//! Nothing here performs I/O, and nothing is decided: what was not understood is said to be so, and policy holds it.
//!
//! Known limits, to be had in mind by whoever writes policy. A cast between types of the database's own, a column's
//! default, a check, an index's expression and a row security policy may run functions that no statement names: those
//! belong to the table's definition, which changes only by `sql.define`. A filter that reads a column may be true of all
//! rows. Text is read by the grammar of PostgreSQL 18, whatever the server's version.

pub mod limits;
pub mod catalog;
pub mod statement;
mod parse;
mod tree;
mod kinds;
mod builtin;
mod classify;
mod objects;
mod names;
mod functions;
mod settings;
mod effects;
mod reason;
mod cache;

#[cfg(test)]
mod tests;

pub use builtin::computes;
pub use cache::Classifier;
pub use catalog::Catalog;
pub use parse::Unread;
pub use statement::{Atom, Classified, Statement, Use};
