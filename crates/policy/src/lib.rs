//! Cedar policies, with holds as annotated forbids; evaluation into domain terms.
//!
//! Cedar answers allow or deny. A hold is a `forbid` with `@hold`, which people can lift; a stock Cedar
//! engine reads it as a plain deny, so that forgetting our annotations can only ever deny. One evaluation
//! asks Cedar twice: first the permits and plain forbids (a deny is final), then the holds.
//!
//! The files stand in reading order: a question is [`evaluate`]d over a slice of the [`set`] that the
//! [`index`](self) found, seen through the [`request`](self) that Cedar gets. A set is [`load`](self)ed from
//! text, its [`rule`]s linted; [`check`] holds it against the directory, [`explain`] puts an answer into words and
//! [`fixtures`] test a set against cases.
//!
//! Nothing here performs I/O or reads a clock.

pub mod evaluate;
pub mod set;
mod index;
mod merge;
mod request;
pub mod facts;
pub mod schema;
mod load;
mod shape;
pub mod rule;
mod annotations;
mod syntax;
pub mod check;
pub mod explain;
pub mod fixtures;
mod error;

#[cfg(test)]
mod tests;

pub use check::{Finding, Severity};
pub use error::LoadError;
pub use evaluate::{Answer, MemoKey, Question};
pub use explain::explain;
pub use fixtures::{FixtureResult, run_fixtures};
pub use rule::{Effect, Escalation, Rule, Terms};
pub use set::PolicySet;
