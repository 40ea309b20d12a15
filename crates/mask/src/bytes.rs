//! Reading bytes without a panic: past either end stands a zero byte, which belongs to no word.

use std::ops::Range;

/// The byte at `at`, or 0 past the end.
pub(crate) fn at(text: &[u8], at: usize) -> u8 {
    text.get(at).copied().unwrap_or(0)
}

/// The byte before `at`, or 0 at the start.
pub(crate) fn before(text: &[u8], at: usize) -> u8 {
    at.checked_sub(1).map_or(0, |at| self::at(text, at))
}

/// The bytes of `range`, or none where it does not fit.
pub(crate) fn part(text: &[u8], range: Range<usize>) -> &[u8] {
    text.get(range).unwrap_or_default()
}

/// The bytes from `from` on.
pub(crate) fn tail(text: &[u8], from: usize) -> &[u8] {
    text.get(from..).unwrap_or_default()
}

/// Where the run of bytes that `is` takes ends, at most `limit` bytes from `from`.
pub(crate) fn run(text: &[u8], from: usize, limit: usize, is: impl Fn(u8) -> bool) -> usize {
    let end = text.len().min(from.saturating_add(limit));
    let length = part(text, from..end).iter().position(|byte| !is(*byte));
    length.map_or(end.max(from), |length| from + length)
}

/// Where the run of bytes before `to` that `is` takes begins, at most `limit` bytes back.
pub(crate) fn run_back(text: &[u8], to: usize, limit: usize, is: impl Fn(u8) -> bool) -> usize {
    let start = to.saturating_sub(limit);
    part(text, start..to).iter().rposition(|byte| !is(*byte)).map_or(start, |found| start + found + 1)
}

/// Letters and digits of ASCII.
pub(crate) fn alnum(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
}

/// What stands in a name of code, configuration or a header.
pub(crate) fn of_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.')
}

/// Whether the text begins so at `at`, whatever the case of its letters.
pub(crate) fn begins(text: &[u8], at: usize, word: &[u8]) -> bool {
    part(text, at..at.saturating_add(word.len())).eq_ignore_ascii_case(word)
}
