//! Why a policy set does not load.

use std::fmt;

/// One reason why a set does not load, with where it stands and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadError {
    /// The line, from 1, where it is known.
    pub line: Option<usize>,
    /// The column in characters, from 1, where it is known.
    pub column: Option<usize>,
    /// The rule's `@id`, where it has one.
    pub rule: Option<String>,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub help: String,
}

impl std::error::Error for LoadError {}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let (Some(line), Some(column)) = (self.line, self.column) {
            write!(f, "{line}:{column}: ")?;
        }
        if let Some(rule) = &self.rule {
            write!(f, "rule `{rule}`: ")?;
        }
        f.write_str(&self.message)?;
        if !self.help.is_empty() {
            write!(f, "; {}", self.help)?;
        }
        Ok(())
    }
}

impl LoadError {
    /// An error that stands nowhere in the text.
    pub(crate) fn whole(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { line: None, column: None, rule: None, message: message.into(), help: help.into() }
    }

    /// An error at a byte offset of the text.
    pub(crate) fn at(text: &str, offset: usize, message: impl Into<String>, help: impl Into<String>) -> Self {
        let (line, column) = position(text, offset);
        Self { line: Some(line), column: Some(column), ..Self::whole(message, help) }
    }

    /// The same error, said of a rule.
    pub(crate) fn of(self, rule: &str) -> Self {
        Self { rule: Some(rule.to_owned()), ..self }
    }
}

/// Line and column, from 1, of a byte offset.
fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = domain::text::cut(text, offset);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    (line, column)
}
