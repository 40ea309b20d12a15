//! A walk through JSON (RFC 8259) that keeps every byte's place: names and paths of values, nothing else.

use std::borrow::Cow;
use std::ops::Range;

use crate::bytes::{at, part, run, tail};
use crate::limits::DEPTH_LIMIT;
use crate::view;

/// One step of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step<'t> {
    /// A member's name, without escapes.
    Key(Cow<'t, [u8]>),
    /// An element's place, from 0.
    Index(usize),
}

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A string; its range is what stands between the quotes.
    Text,
    /// A number.
    Number,
    /// `true`, `false`, `null`.
    Literal,
    /// An object or an array, with its brackets.
    Container,
    /// A member's name, between its quotes. Its path ends with the name itself.
    Key,
}

/// Is told of every value and every name: the path, where it stands, what it is.
pub(crate) type Visit<'v, 't> = dyn FnMut(&[Step<'t>], Range<usize>, Kind) + 'v;

/// Walks through one JSON text, or several with white space between. False where it is not JSON to its end, or is
/// nested deeper than [`DEPTH_LIMIT`]; some values may have been visited by then.
pub(crate) fn walk<'t, 'v>(text: &'t [u8], visit: &'v mut Visit<'v, 't>) -> bool {
    let mut walker = Walker { text, path: Vec::new(), visit };
    let mut position = skip(text, 0);
    while position < text.len() {
        match walker.value(position, 0) {
            Some(end) => position = skip(text, end),
            None => return false,
        }
    }
    true
}

/// Whether it could be JSON that has names: it begins as an object or an array does.
pub(crate) fn begins(text: &[u8]) -> bool {
    matches!(at(text, skip(text, 0)), b'{' | b'[')
}

fn skip(text: &[u8], from: usize) -> usize {
    run(text, from, usize::MAX, |byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r'))
}

struct Walker<'t, 'v> {
    text: &'t [u8],
    path: Vec<Step<'t>>,
    visit: &'v mut Visit<'v, 't>,
}

impl<'t> Walker<'t, '_> {
    /// The end of the value that begins at `start`.
    fn value(&mut self, start: usize, depth: usize) -> Option<usize> {
        if depth > DEPTH_LIMIT {
            return None;
        }
        let (range, kind, end) = match at(self.text, start) {
            b'"' => {
                let end = self.string(start)?;
                (start + 1..end - 1, Kind::Text, end)
            }
            b'{' => {
                let end = self.object(start, depth)?;
                (start..end, Kind::Container, end)
            }
            b'[' => {
                let end = self.array(start, depth)?;
                (start..end, Kind::Container, end)
            }
            b'-' | b'0'..=b'9' => {
                let end = run(self.text, start + 1, usize::MAX, |byte| {
                    byte.is_ascii_digit() || matches!(byte, b'+' | b'-' | b'.' | b'e' | b'E')
                });
                (start..end, Kind::Number, end)
            }
            _ => {
                let word = [&b"true"[..], b"false", b"null"]
                    .into_iter()
                    .find(|w| tail(self.text, start).starts_with(w))?;
                (start..start + word.len(), Kind::Literal, start + word.len())
            }
        };
        (self.visit)(&self.path, range, kind);
        Some(end)
    }

    fn object(&mut self, start: usize, depth: usize) -> Option<usize> {
        let mut position = skip(self.text, start + 1);
        if at(self.text, position) == b'}' {
            return Some(position + 1);
        }
        loop {
            if at(self.text, position) != b'"' {
                return None;
            }
            let end = self.string(position)?;
            let raw = part(self.text, position + 1..end - 1);
            let key = view::unescaped(raw).map_or(Cow::Borrowed(raw), |view| Cow::Owned(view.text));
            let colon = skip(self.text, end);
            if at(self.text, colon) != b':' {
                return None;
            }
            self.path.push(Step::Key(key));
            (self.visit)(&self.path, position + 1..end - 1, Kind::Key);
            let value = self.value(skip(self.text, colon + 1), depth + 1)?;
            self.path.pop();
            let next = skip(self.text, value);
            match at(self.text, next) {
                b',' => position = skip(self.text, next + 1),
                b'}' => return Some(next + 1),
                _ => return None,
            }
        }
    }

    fn array(&mut self, start: usize, depth: usize) -> Option<usize> {
        let mut position = skip(self.text, start + 1);
        if at(self.text, position) == b']' {
            return Some(position + 1);
        }
        for index in 0.. {
            self.path.push(Step::Index(index));
            let value = self.value(position, depth + 1)?;
            self.path.pop();
            let next = skip(self.text, value);
            match at(self.text, next) {
                b',' => position = skip(self.text, next + 1),
                b']' => return Some(next + 1),
                _ => return None,
            }
        }
        None
    }

    /// The end of the string whose quote is at `start`, its closing quote included.
    fn string(&self, start: usize) -> Option<usize> {
        let mut position = start + 1;
        loop {
            let found = position + memchr::memchr2(b'"', b'\\', self.text.get(position..)?)?;
            if at(self.text, found) == b'"' {
                return Some(found + 1);
            }
            position = found + 2;
        }
    }
}
