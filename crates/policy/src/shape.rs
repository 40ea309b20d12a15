//! A text's shape, looked at before Cedar parses it. Cedar's parser and typechecker recurse, and a text of a
//! thousand parentheses would end the process instead of the load. The limits lie far above what a person
//! writes and far below what the loader's stack holds; an evaluation that
//! lacks stack (Cedar keeps 100 KiB free) errs, and is a deny. At these limits a release build needs less than the 2 MiB of
//! an async runtime's worker.

use crate::LoadError;
use crate::rule::{RULE_LIMIT_BYTES, RULES_LIMIT};

/// The deepest that brackets may nest.
pub(crate) const NESTING_LIMIT: usize = 32;
/// The most operators in one rule: characters of `|&+-*.([{`, and `else` at ten each, since it nests.
pub(crate) const OPERATORS_LIMIT: usize = 240;
const ELSE_WEIGHT: usize = 10;

/// One rule as far as it was read.
#[derive(Default, Clone, Copy)]
struct Rule {
    start: usize,
    operators: usize,
    nesting: usize,
}

/// The first rule that is too long, too deep or too wide, or that there are too many of them. Strings and comments end where Cedar's end.
pub(crate) fn check(text: &str) -> Option<LoadError> {
    let bytes = text.as_bytes();
    let mut rule = Rule::default();
    let mut at = 0;
    let mut rules = 0;
    while let Some(byte) = bytes.get(at) {
        let rest = bytes.get(at..).unwrap_or_default();
        at += match byte {
            b'"' => string(rest),
            b'/' if rest.starts_with(b"//") => {
                rest.iter().position(|b| matches!(b, b'\n' | b'\r')).unwrap_or(rest.len())
            }
            _ => {
                rule.take(rest, at);
                rules += usize::from(*byte == b';');
                1
            }
        };
        if let Some((what, limit)) = rule.excess(at) {
            return Some(LoadError::at(
                text,
                rule.start,
                format!("the rule {what}"),
                format!("the limit is {limit}; split it, or use a set: `[…].contains(…)`"),
            ));
        }
    }
    (rules > RULES_LIMIT).then(|| {
        LoadError::whole(format!("the set has {rules} rules"), format!("the limit is {RULES_LIMIT}"))
    })
}

impl Rule {
    fn take(&mut self, rest: &[u8], at: usize) {
        match rest.first() {
            Some(b';') => *self = Self { start: at + 1, ..Self::default() },
            Some(b'(' | b'[' | b'{') => {
                self.nesting += 1;
                self.operators += 1;
            }
            Some(b')' | b']' | b'}') => self.nesting = self.nesting.saturating_sub(1),
            Some(b'|' | b'&' | b'+' | b'-' | b'*' | b'.') => self.operators += 1,
            Some(b'e') if rest.starts_with(b"else") => self.operators += ELSE_WEIGHT,
            // White space and comments before a rule are not its own.
            Some(byte) if byte.is_ascii_whitespace() && self.start == at => self.start += 1,
            _ => {}
        }
    }

    fn excess(&self, end: usize) -> Option<(String, usize)> {
        let over = |value: usize, limit: usize, what: &str| {
            (value > limit).then(|| (format!("{what} ({value})"), limit))
        };
        over(self.nesting, NESTING_LIMIT, "nests too deeply")
            .or_else(|| over(self.operators, OPERATORS_LIMIT, "has too many operators"))
            .or_else(|| {
                (end - self.start.min(end) > RULE_LIMIT_BYTES)
                    .then(|| ("is too long".to_owned(), RULE_LIMIT_BYTES))
            })
    }
}

/// How many bytes a string literal takes, quotes included.
fn string(rest: &[u8]) -> usize {
    let mut at = 1;
    while let Some(byte) = rest.get(at) {
        match byte {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}
