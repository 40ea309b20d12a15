//! What a held statement would do: plan, sizes, triggers, and exact counts where they are asked for.
//!
//! A preview is for the reviewer's eyes. Estimates are estimates, and an exact count is of the moment at which it was
//! taken. Nothing is planned or run that names a function which is not known to compute only: PostgreSQL evaluates what
//! calls itself immutable while it plans.

pub mod limits;
mod facts;
mod undo;
mod safe;
mod ask;
mod plan;
mod exact;
mod lines;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use mask::Masker;
use postgres::parse::Bind;
use serde::Serialize;
use sql::Statement;
use tokio::time::timeout;

use crate::catalog::{Picture, SessionNames, Source};

pub use exact::{Changed, Exact};
pub use facts::{Fires, Touched};
pub use plan::Plan;
pub use undo::Undo;

/// A statement of which a preview is wanted, as it was classified.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The picture that it was classified with.
    pub picture: &'a Picture,
    /// What its session's names mean.
    pub names: &'a SessionNames,
    /// The statement.
    pub statement: &'a Statement,
    /// Its text alone, without those of others in the same message.
    pub text: &'a str,
    /// The types that the client named for its parameters.
    pub types: &'a [u32],
    /// The values of its parameters; none where it has none.
    pub bind: Option<&'a Bind>,
    /// The session's settings, as the server last told them: how dates and times are read.
    pub settings: &'a BTreeMap<String, String>,
}

/// Where a statement may be run to be rolled back.
#[derive(Debug, Clone, Copy, Default)]
pub enum Exactly<'a> {
    /// Nowhere.
    #[default]
    Never,
    /// On a copy of the database that takes writes.
    Copy(&'a Source),
    /// On the database itself: what the statement touches is locked until it is rolled back.
    Primary,
}

/// What a statement would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Preview {
    /// The server's plan, or why there is none.
    pub plan: Known<Plan>,
    /// The tables that it reads and writes, directly or through others.
    pub tables: Vec<Touched>,
    /// What fires.
    pub fires: Vec<Fires>,
    /// Whether it can be undone.
    pub undo: Undo,
    /// What a run that was rolled back did; nothing where none was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exact: Option<Known<Exact>>,
}

/// Something that was found out, or why it was not, in words for the reviewer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Known<T> {
    /// It is this.
    Is(T),
    /// It could not be found out.
    Not(String),
}

/// Makes the preview of one statement. It always answers: what could not be found out says why.
///
/// Takes at most [`limits::PREVIEW_LIMIT`]. The database is asked over a connection of our own with `source`'s credential,
/// in a transaction that only reads; an exact run is rolled back. Values are masked by `masker`, and whole where their
/// column has a class of data.
pub async fn preview(source: &Source, asked: &Asked<'_>, exactly: Exactly<'_>, masker: &Masker) -> Preview {
    let mut preview = Preview {
        plan: Known::Not("the database gave no answer in time".to_owned()),
        tables: facts::tables(asked),
        fires: facts::fires(asked),
        undo: undo::undo(asked.statement),
        exact: match exactly {
            Exactly::Never => None,
            Exactly::Copy(_) | Exactly::Primary => {
                Some(Known::Not("the database gave no answer in time".to_owned()))
            }
        },
    };
    let all = async {
        preview.plan = plan::plan(source, asked, &mut preview.tables).await;
        preview.exact = match exactly {
            Exactly::Never => None,
            Exactly::Copy(copy) => Some(exact::exact(copy, asked, masker).await),
            Exactly::Primary => Some(exact::exact(source, asked, masker).await),
        };
    };
    // What was found until then stays.
    let _ = timeout(limits::PREVIEW_LIMIT, all).await;
    preview
}
