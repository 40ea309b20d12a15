//! Tables as text (RFC 4180, and with `;` or tabs): the names in the first line tell of every line below.

use std::ops::Range;

use crate::bytes::{at, of_name, part, run};
use crate::limits::NAME_LIMIT_BYTES;

/// The longest first line that is read as names, in bytes.
const HEAD_LIMIT_BYTES: usize = 4096;

/// Visits every cell below the first line whose column `wanted` takes, with its column's name.
pub(crate) fn walk(text: &[u8], wanted: impl Fn(&[u8]) -> bool, mut visit: impl FnMut(&[u8], Range<usize>)) {
    let head = run(text, 0, HEAD_LIMIT_BYTES, |byte| !matches!(byte, b'\n' | b'\r'));
    let Some(separator) = [b',', b';', b'\t'].into_iter().find(|sign| part(text, 0..head).contains(sign))
    else {
        return;
    };
    let names: Vec<&[u8]> = cells(text, 0, separator).0.into_iter().map(|cell| part(text, cell)).collect();
    let is_name = |name: &&[u8]| {
        !name.is_empty()
            && name.len() <= NAME_LIMIT_BYTES
            && !name.first().is_some_and(u8::is_ascii_digit)
            && name.iter().all(|byte| of_name(*byte) || *byte == b' ')
    };
    if head >= text.len() || !names.iter().all(is_name) {
        return;
    }
    let columns: Vec<bool> = names.iter().map(|name| wanted(name)).collect();
    if !columns.contains(&true) {
        return;
    }
    let mut position = head;
    while position < text.len() {
        let line = run(text, position, 2, |byte| matches!(byte, b'\n' | b'\r'));
        let (row, end) = cells(text, line, separator);
        for ((cell, name), wanted) in row.into_iter().zip(&names).zip(&columns) {
            if *wanted {
                visit(name, cell);
            }
        }
        position = end.max(position + 1);
    }
}

/// The cells of the line that begins at `from`, without their quotes, and where the line ends.
fn cells(text: &[u8], from: usize, separator: u8) -> (Vec<Range<usize>>, usize) {
    let mut cells = Vec::new();
    let mut position = from;
    loop {
        let start = run(text, position, usize::MAX, |byte| byte == b' ');
        let quoted = at(text, start) == b'"';
        let end = if quoted {
            let close = run(text, start + 1, usize::MAX, |byte| byte != b'"');
            cells.push(start + 1..close);
            run(text, close, usize::MAX, |byte| byte != separator && !matches!(byte, b'\n' | b'\r'))
        } else {
            let end =
                run(text, start, usize::MAX, |byte| byte != separator && !matches!(byte, b'\n' | b'\r'));
            let trailing = part(text, start..end).iter().rev().take_while(|byte| **byte == b' ').count();
            cells.push(start..end - trailing);
            end
        };
        if at(text, end) != separator || end >= text.len() {
            return (cells, end);
        }
        position = end + 1;
    }
}
