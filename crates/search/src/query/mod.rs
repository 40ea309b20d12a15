//! What is asked: `who:ana verb:http.delete env:production "drop table" since:2026-11-01`.
//!
//! A query is clauses with blanks between them. All must hold; of several values of one facet, one must. `-` before a
//! clause leaves out what it finds; `*` behind a word or a value stands for any ending. What is in
//! quotes is looked for as it stands. Nothing of it ever becomes SQL or full-text syntax: values are
//! compared with values, and words are quoted.

mod parse;
mod plan;
mod times;

use std::fmt;

use domain::id::ActionId;
use domain::time::Timestamp;

pub use parse::QueryError;
pub use plan::{Names, Plan};
pub(crate) use plan::{Only, Values};

use crate::record::Facet;

/// A query, read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Query {
    clauses: Vec<Clause>,
}

/// One part of a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Clause {
    /// A facet's value.
    Facet {
        /// Which facet.
        facet: Facet,
        /// The value as it was written.
        value: String,
        /// Whether any ending will do.
        prefix: bool,
        /// Whether what has it is left out.
        not: bool,
    },
    /// Words, one after the other.
    Words {
        /// Where they stand; anywhere where it is not said.
        column: Option<Column>,
        /// The words.
        text: String,
        /// Whether any ending of the last one will do.
        prefix: bool,
        /// Whether what holds them is left out.
        not: bool,
    },
    /// Not before this moment.
    Since(Moment),
    /// Before this moment.
    Until(Moment),
    /// What belongs to this action.
    Action(ActionId),
    /// The log's entry with this index.
    Entry(u64),
}

/// A moment, and how it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment {
    /// As it was written: `2026-11-01`, `2026-11-01T08:30Z`, `7d`.
    pub written: String,
    /// When that is.
    pub at: Timestamp,
}

impl Moment {
    /// Reads a date, a date and time (UTC), or a length of time back from now; `None` where it is neither.
    #[must_use]
    pub fn read(text: &str, now: Timestamp) -> Option<Self> {
        times::read(text, now).map(|at| Self { written: text.to_owned(), at })
    }
}

/// Where words stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Column {
    /// In the resource's name.
    Resource,
    /// In what somebody said.
    Words,
    /// In what is said beside.
    Detail,
}

impl Column {
    const ALL: [Self; 3] = [Self::Resource, Self::Words, Self::Detail];

    /// The column's name, in the language and in the table.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Resource => "resource",
            Self::Words => "words",
            Self::Detail => "detail",
        }
    }
}

impl Query {
    /// Reads a query. `now` is what `since:7d` counts from.
    ///
    /// # Errors
    /// Where and why it does not read.
    pub fn parse(text: &str, now: Timestamp) -> Result<Self, QueryError> {
        parse::parse(text, now).map(|clauses| Self { clauses })
    }

    /// A query of these clauses.
    #[must_use]
    pub fn of(clauses: Vec<Clause>) -> Self {
        Self { clauses }
    }

    /// Its clauses, in the order in which they were written.
    #[must_use]
    pub fn clauses(&self) -> &[Clause] {
        &self.clauses
    }

    /// The same query with a facet's value.
    #[must_use]
    pub fn with(&self, facet: Facet, value: &str) -> Self {
        let mut clauses = self.clauses.clone();
        clauses.push(Clause::Facet { facet, value: value.to_owned(), prefix: false, not: false });
        Self { clauses }
    }

    /// The same query without one of its clauses.
    #[must_use]
    pub fn without(&self, clause: &Clause) -> Self {
        Self { clauses: self.clauses.iter().filter(|one| *one != clause).cloned().collect() }
    }

    /// The same query with these clauses too.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        Self { clauses: [self.clauses.as_slice(), other.clauses.as_slice()].concat() }
    }
}

/// Written so that it reads back to the same query.
impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, clause) in self.clauses.iter().enumerate() {
            if at > 0 {
                f.write_str(" ")?;
            }
            clause.fmt(f)?;
        }
        Ok(())
    }
}

impl fmt::Display for Clause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dash = |not: &bool| if *not { "-" } else { "" };
        let star = |prefix: &bool| if *prefix { "*" } else { "" };
        match self {
            Self::Facet { facet, value, prefix, not } => {
                write!(f, "{}{}:{}{}", dash(not), facet.as_str(), quoted(value), star(prefix))
            }
            Self::Words { column, text, prefix, not } => {
                f.write_str(dash(not))?;
                if let Some(column) = column {
                    write!(f, "{}:", column.as_str())?;
                }
                write!(f, "{}{}", quoted(text), star(prefix))
            }
            Self::Since(moment) => write!(f, "since:{}", quoted(&moment.written)),
            Self::Until(moment) => write!(f, "until:{}", quoted(&moment.written)),
            Self::Action(id) => write!(f, "id:{id}"),
            Self::Entry(index) => write!(f, "entry:{index}"),
        }
    }
}

/// In quotes where it would read otherwise without.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "._/@%()=+,~!&;|".contains(c);
    if text.chars().all(plain) { text.to_owned() } else { format!("\"{text}\"") }
}
