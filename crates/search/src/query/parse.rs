//! Reading a query: pure, and fuzzed. Every error names its place.

use std::fmt;

use domain::time::Timestamp;

use super::{Clause, Column, Moment};
use crate::limits::{CLAUSES_LIMIT, QUERY_LIMIT_BYTES};
use crate::record::Facet;

/// Where and why a query does not read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct QueryError {
    /// Where it begins, in characters from 0.
    pub at: usize,
    /// How many characters are meant.
    pub length: usize,
    /// What is wrong there, and what to write instead.
    pub why: String,
}

impl fmt::Display for QueryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at character {}: {}", self.at + 1, self.why)
    }
}

/// A clause's characters, and where they stand.
struct Piece {
    at: usize,
    length: usize,
    not: bool,
    key: Option<String>,
    value: String,
    is_quoted: bool,
    prefix: bool,
}

pub(super) fn parse(text: &str, now: Timestamp) -> Result<Vec<Clause>, QueryError> {
    if text.len() > QUERY_LIMIT_BYTES {
        let why = format!("a query is at most {QUERY_LIMIT_BYTES} bytes long");
        return Err(QueryError { at: 0, length: text.chars().count(), why });
    }
    let mut reader = Reader { chars: text.chars().collect(), at: 0 };
    let mut clauses = Vec::new();
    let mut first_not = None;
    while let Some(piece) = reader.piece()? {
        let clause = clause(&piece, now)?;
        if matches!(clause, Clause::Words { not: true, .. }) {
            first_not.get_or_insert((piece.at, piece.length));
        }
        clauses.push(clause);
        if clauses.len() > CLAUSES_LIMIT {
            return Err(piece.error(format!("a query has at most {CLAUSES_LIMIT} parts")));
        }
    }
    let looked_for = clauses.iter().any(|clause| matches!(clause, Clause::Words { not: false, .. }));
    match first_not {
        Some((at, length)) if !looked_for => {
            let why = "words can be left out only beside words that are looked for; add some".to_owned();
            Err(QueryError { at, length, why })
        }
        Some(_) | None => Ok(clauses),
    }
}

struct Reader {
    chars: Vec<char>,
    at: usize,
}

impl Reader {
    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    fn next_if(&mut self, wanted: char) -> bool {
        let found = self.peek() == Some(wanted);
        self.at += usize::from(found);
        found
    }

    fn piece(&mut self) -> Result<Option<Piece>, QueryError> {
        while self.peek().is_some_and(char::is_whitespace) {
            self.at += 1;
        }
        let begin = self.at;
        if self.peek().is_none() {
            return Ok(None);
        }
        let not = self.next_if('-');
        let key = self.key();
        let (value, is_quoted) = self.value()?;
        let prefix = is_quoted && self.next_if('*');
        let (value, prefix) = match value.strip_suffix('*') {
            Some(stem) if !is_quoted => (stem.to_owned(), true),
            Some(_) | None => (value, prefix),
        };
        let piece = Piece { at: begin, length: self.at - begin, not, key, value, is_quoted, prefix };
        if self.peek().is_some_and(|c| !c.is_whitespace()) {
            return Err(QueryError {
                at: self.at,
                length: 1,
                why: "a blank is missing behind the quote".to_owned(),
            });
        }
        Ok(Some(piece))
    }

    /// The name before a colon. What begins with a quote has none.
    fn key(&mut self) -> Option<String> {
        let rest = self.chars.get(self.at..)?;
        let end = rest.iter().position(|c| *c == ':' || *c == '"' || c.is_whitespace())?;
        if rest.get(end) != Some(&':') || end == 0 {
            return None;
        }
        self.at += end + 1;
        rest.get(..end).map(|name| name.iter().collect())
    }

    fn value(&mut self) -> Result<(String, bool), QueryError> {
        let begin = self.at;
        let is_quoted = self.next_if('"');
        let mut value = String::new();
        loop {
            match self.peek() {
                Some('"') if is_quoted => {
                    self.at += 1;
                    return Ok((value, true));
                }
                Some('"') => {
                    let why = "a quote stands only around the whole of a value".to_owned();
                    return Err(QueryError { at: self.at, length: 1, why });
                }
                Some(c) if c.is_control() && !c.is_whitespace() => {
                    let why = "a control character cannot be looked for".to_owned();
                    return Err(QueryError { at: self.at, length: 1, why });
                }
                Some(c) if is_quoted || !c.is_whitespace() => {
                    value.push(c);
                    self.at += 1;
                }
                None if is_quoted => {
                    let why = "the closing quote is missing".to_owned();
                    return Err(QueryError { at: begin, length: self.at - begin, why });
                }
                Some(_) | None => return Ok((value, false)),
            }
        }
    }
}

impl Piece {
    fn error(&self, why: impl Into<String>) -> QueryError {
        QueryError { at: self.at, length: self.length, why: why.into() }
    }

    /// A clause that cannot be left out or shortened.
    fn plain(&self) -> Result<(), QueryError> {
        if self.not || self.prefix {
            return Err(self.error("neither `-` nor `*` goes with this"));
        }
        Ok(())
    }
}

fn clause(piece: &Piece, now: Timestamp) -> Result<Clause, QueryError> {
    let Some(key) = &piece.key else { return words(piece, None) };
    if piece.value.trim().is_empty() && !piece.prefix {
        return Err(piece.error(format!("a value is missing behind `{key}:`")));
    }
    let key = key.to_lowercase();
    if let Some(facet) = Facet::named(&key) {
        let (value, prefix, not) = (piece.value.clone(), piece.prefix, piece.not);
        return Ok(Clause::Facet { facet, value, prefix, not });
    }
    if let Some(column) = Column::ALL.into_iter().find(|column| column.as_str() == key) {
        return words(piece, Some(column));
    }
    let moment = || {
        piece.plain()?;
        Moment::read(&piece.value, now).ok_or_else(|| {
            piece.error("a moment is written `2026-11-01`, `2026-11-01T08:30Z`, or `30m`, `24h`, `7d` ago")
        })
    };
    match key.as_str() {
        "since" => moment().map(Clause::Since),
        "until" => moment().map(Clause::Until),
        "id" => {
            piece.plain()?;
            let why = "an action's id is expected, such as `01890a5d-ac96-774b-bcce-b302099a8057`";
            piece.value.parse().map(Clause::Action).map_err(|_| piece.error(why))
        }
        "entry" => {
            piece.plain()?;
            let number =
                piece.value.parse().ok().filter(|number| *number <= domain::canonical::INTEGER_LIMIT);
            number.map(Clause::Entry).ok_or_else(|| piece.error("the number of a log entry is expected"))
        }
        _ => {
            let names: Vec<_> = Facet::ALL.into_iter().map(Facet::as_str).collect();
            Err(piece.error(format!(
                "there is no facet of this name; there are: {}, resource, words, detail, since, until, id, entry. \
                 To look for the text itself, put it in quotes",
                names.join(", ")
            )))
        }
    }
}

fn words(piece: &Piece, column: Option<Column>) -> Result<Clause, QueryError> {
    if !piece.value.chars().any(char::is_alphanumeric) {
        let why = match (piece.value.is_empty(), piece.is_quoted) {
            (true, false) => "a word is missing here",
            (_, _) => "a word has letters or digits",
        };
        return Err(piece.error(why));
    }
    Ok(Clause::Words { column, text: piece.value.clone(), prefix: piece.prefix, not: piece.not })
}
