//! A text becomes a tree, by PostgreSQL's own parser.
//!
//! `pg_query` and not `pg_raw_parse`: both bring PostgreSQL 18's parser, and the second is several times faster, but
//! its walk ends at what PostgreSQL's own walker of raw trees does not cover (most utility statements), it hands out pointers
//! into the parser's memory, and its copy of the library never says where the C stack begins, so that the guard of that
//! stack does nothing. `pg_query` copies the tree into
//! plain messages, each of which can be walked by its description ([`crate::tree`]).
//!
//! `pg_query`'s C library redirects the process's standard error into a pipe while it parses. Two threads that do so at
//! once would leave it redirected for good, so one lock stands around the parser. What other threads write to
//! standard error in these microseconds is lost: a program that logs there should write to a copy of the descriptor.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError};

use thiserror::Error;

use crate::limits::{NODES_LIMIT, STATEMENTS_LIMIT, TEXT_LIMIT_BYTES};
use crate::tree::Tree;

/// Why a text could not be read. It is then one opaque statement.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Unread {
    /// It is longer than [`TEXT_LIMIT_BYTES`].
    #[error("the text has {0} bytes; the limit is {TEXT_LIMIT_BYTES}")]
    TooLong(usize),
    /// It is not UTF-8: the session's encoding must be, and the server would read other characters than we do.
    #[error("the text is not UTF-8 at byte {0}; set `client_encoding` to UTF8")]
    Encoding(usize),
    /// It holds a zero byte, at which the server would end it.
    #[error("the text has a zero byte at {0}")]
    Nul(usize),
    /// The session reads strings otherwise than the parser.
    #[error("the session reads `\\` in strings as an escape; set `standard_conforming_strings` to on")]
    Strings,
    /// It nests too deeply for the parser's stack or for the decoder.
    #[error("the text nests too deeply; simplify it or send it in parts")]
    TooDeep,
    /// It has too many statements or nodes.
    #[error("the text has more than {STATEMENTS_LIMIT} statements or {NODES_LIMIT} nodes; send it in parts")]
    TooMany,
    /// PostgreSQL's grammar does not have it.
    #[error("{0}")]
    Syntax(String),
    /// The parser failed where it should not.
    #[error("the parser failed: {0}")]
    Parser(String),
}

/// A text that was read in full.
#[derive(Debug)]
pub(crate) struct Parsed {
    pub(crate) text: Box<str>,
    pub(crate) tree: Tree,
    /// Each statement's root in the tree and its bytes in the text, without the semicolon.
    pub(crate) statements: Vec<(usize, Range<usize>)>,
}

impl Parsed {
    /// About how much memory it takes, in bytes.
    pub(crate) fn weight(&self) -> usize {
        self.text.len() + self.tree.weight() + self.statements.len() * size_of::<(usize, Range<usize>)>()
    }
}

/// Checks the bytes that PostgreSQL would get; no parser has seen them yet.
pub(crate) fn checked(bytes: &[u8]) -> Result<&str, Unread> {
    if bytes.len() > TEXT_LIMIT_BYTES {
        return Err(Unread::TooLong(bytes.len()));
    }
    if let Some(at) = bytes.iter().position(|byte| *byte == 0) {
        return Err(Unread::Nul(at));
    }
    std::str::from_utf8(bytes).map_err(|error| Unread::Encoding(error.valid_up_to()))
}

/// Reads a text.
pub(crate) fn parse(text: &str) -> Result<Parsed, Unread> {
    let read = {
        static PARSER: Mutex<()> = Mutex::new(());
        let _alone = PARSER.lock().unwrap_or_else(PoisonError::into_inner);
        // `pg_query` collects names on the way and panics where they have a shape that it does not expect.
        catch_unwind(AssertUnwindSafe(|| pg_query::parse(text, 0)))
    };
    let result = match read {
        Ok(Ok(result)) => result.protobuf,
        Ok(Err(error)) => return Err(unread(&error)),
        Err(_) => return Err(Unread::Parser("it panicked".to_owned())),
    };
    if result.stmts.len() > STATEMENTS_LIMIT {
        return Err(Unread::TooMany);
    }
    let mut tree = Tree::default();
    let mut statements = Vec::with_capacity(result.stmts.len());
    for raw in &result.stmts {
        let root = tree.add(raw)?;
        let start = usize::try_from(raw.stmt_location).ok();
        let length = usize::try_from(raw.stmt_len).ok();
        let range = start.zip(length).map(|(start, length)| {
            // Without a length it reaches to the end.
            start..if length == 0 { text.len() } else { start.saturating_add(length) }
        });
        let range = range.filter(|range| text.get(range.clone()).is_some());
        statements.push((root, range.ok_or_else(|| Unread::Parser("a statement lies outside".to_owned()))?));
    }
    tree.close();
    Ok(Parsed { text: text.into(), tree, statements })
}

fn unread(error: &pg_query::Error) -> Unread {
    let words = error.to_string();
    match error {
        pg_query::Error::Decode(_) => Unread::TooDeep,
        _ if words.contains("stack depth")
            || words.contains("memory exhausted")
            || words.contains("too deep") =>
        {
            Unread::TooDeep
        }
        pg_query::Error::Parse(message) => Unread::Syntax(message.clone()),
        pg_query::Error::Conversion(_)
        | pg_query::Error::InvalidJson(_)
        | pg_query::Error::InvalidPointer
        | pg_query::Error::Scan(_)
        | pg_query::Error::IsUtility(_)
        | pg_query::Error::Split(_) => Unread::Parser(words),
    }
}
