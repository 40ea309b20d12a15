//! Cedar policies, with holds as annotated forbids; evaluation into domain terms.
//!
//! Cedar answers allow or deny. A hold is a `forbid` with `@hold`, which people can lift; a stock Cedar
//! engine reads it as a plain deny, so that forgetting our annotations can only ever deny. One evaluation
//! asks Cedar twice: first the permits and plain forbids (a deny is final), then the holds.
//!
//! The files stand in reading order: a question is answered ([`evaluate`]) over the slice of the [`set`] that
//! `index` finds, in the `request` that Cedar gets; `merge` makes one requirement of several holds. A set is read
//! by `load`: `shape` before parsing, `annotations` and `syntax` for each [`rule`], then Cedar's own strict
//! validation against the [`schema`]. [`check`] holds a set against the directory, [`explain()`] puts an evaluation
//! into words, and [`fixtures`] tests a set against cases.
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
mod explain;
pub mod fixtures;
mod error;

#[cfg(test)]
mod tests;

pub use check::{Finding, Severity};
pub use error::LoadError;
pub use evaluate::{Answer, MemoKey, Question};
pub use explain::explain;
pub use fixtures::{FixtureResult, run_fixtures};
pub use merge::strictest;
pub use rule::{Effect, Escalation, Rule, Terms};
pub use set::PolicySet;
