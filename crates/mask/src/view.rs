//! A text as somebody reads it who undoes one layer of wrapping, and the way back to the original's bytes.

use std::ops::Range;

use crate::bytes::{at, part};

/// A text without one layer of escapes. Each of its bytes knows where it came from.
#[derive(Debug, Default)]
pub(crate) struct View {
    /// The text as read.
    pub(crate) text: Vec<u8>,
    /// Stretches of the text, in order, and where each stands in what was read.
    stretches: Vec<Stretch>,
    /// How long what was read is, in bytes.
    source: usize,
}

#[derive(Debug, Clone, Copy)]
struct Stretch {
    /// Where it begins in the view.
    here: usize,
    /// Where it begins in the source.
    there: usize,
    /// Whether it stands there byte for byte; else it is one escape.
    verbatim: bool,
}

impl View {
    /// The range of the source that a range of this view was read from, whole escapes only.
    pub(crate) fn back(&self, range: &Range<usize>) -> Range<usize> {
        let range = whole_characters(&self.text, range.clone());
        self.source_of(range.start)..self.source_of(range.end)
    }

    /// A range of the source, made larger so that it cuts no escape.
    pub(crate) fn whole_escapes(&self, range: Range<usize>) -> Range<usize> {
        let around = |position: usize| {
            let next = self.stretches.partition_point(|stretch| stretch.there <= position);
            let stretch = next.checked_sub(1).and_then(|last| self.stretches.get(last));
            let end = self.stretches.get(next).map_or(self.source, |stretch| stretch.there);
            stretch
                .filter(|stretch| !stretch.verbatim && stretch.there < position && position < end)
                .map(|stretch| (stretch.there, end))
        };
        let start = around(range.start).map_or(range.start, |(start, _)| start);
        let end = around(range.end).map_or(range.end, |(_, end)| end);
        start..end
    }

    fn source_of(&self, position: usize) -> usize {
        if position >= self.text.len() {
            return self.source;
        }
        let next = self.stretches.partition_point(|stretch| stretch.here <= position);
        let stretch = next.checked_sub(1).and_then(|last| self.stretches.get(last));
        stretch.map_or(0, |s| if s.verbatim { s.there + (position - s.here) } else { s.there })
    }

    /// Undoes escapes that `read` recognises: it is asked at each byte that `begins` takes, and gives what the
    /// escape means and how long it is. None where there is not one.
    fn undo(
        source: &[u8],
        mut next: impl FnMut(&[u8], usize) -> Option<usize>,
        mut read: impl FnMut(&[u8], usize, &mut Vec<u8>) -> usize,
    ) -> Option<Self> {
        let mut view = Self { source: source.len(), ..Self::default() };
        let (mut position, mut found) = (0, false);
        let mut open = false;
        while let Some(escape) = next(source, position) {
            if escape > position && !open {
                view.stretches.push(Stretch { here: view.text.len(), there: position, verbatim: true });
            }
            open |= escape > position;
            view.text.extend_from_slice(part(source, position..escape));
            let here = view.text.len();
            let length = read(source, escape, &mut view.text);
            if length == 0 {
                if !open {
                    view.stretches.push(Stretch { here, there: escape, verbatim: true });
                    open = true;
                }
                view.text.push(at(source, escape));
                position = escape + 1;
            } else {
                view.stretches.push(Stretch { here, there: escape, verbatim: false });
                (open, found) = (false, true);
                position = escape + length;
            }
        }
        if !open && position < source.len() {
            view.stretches.push(Stretch { here: view.text.len(), there: position, verbatim: true });
        }
        view.text.extend_from_slice(part(source, position..source.len()));
        found.then_some(view)
    }
}

/// Without backslash escapes: those of JSON (RFC 8259, section 7), and `\xHH` of many languages.
pub(crate) fn unescaped(source: &[u8]) -> Option<View> {
    View::undo(source, |text, from| find(text, from, b'\\'), read_backslash)
}

/// Without percent encoding (RFC 3986, section 2.1); in a form's text, `+` is a space.
pub(crate) fn percent_decoded(source: &[u8], form: bool) -> Option<View> {
    let next = |text: &[u8], from: usize| {
        if form {
            let tail = text.get(from..)?;
            memchr::memchr2(b'%', b'+', tail).map(|found| from + found)
        } else {
            find(text, from, b'%')
        }
    };
    View::undo(source, next, |text, escape, out| {
        if at(text, escape) == b'+' {
            out.push(b' ');
            return 1;
        }
        match hex(part(text, escape + 1..escape + 3), 2) {
            Some(value) => {
                out.push(u8::try_from(value).unwrap_or(0));
                3
            }
            None => 0,
        }
    })
}

/// Without zero bytes: what is ASCII in UTF-16 reads as such.
pub(crate) fn without_zeros(source: &[u8]) -> Option<View> {
    View::undo(source, |text, from| find(text, from, 0), |_, _, _| 1)
}

fn find(text: &[u8], from: usize, byte: u8) -> Option<usize> {
    memchr::memchr(byte, text.get(from..)?).map(|found| from + found)
}

fn read_backslash(text: &[u8], escape: usize, out: &mut Vec<u8>) -> usize {
    let plain = match at(text, escape + 1) {
        byte @ (b'"' | b'\\' | b'/' | b'\'') => byte,
        b'b' => 8,
        b'f' => 12,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'x' => {
            let Some(value) = hex(part(text, escape + 2..escape + 4), 2) else { return 0 };
            return push(out, char::from_u32(value), 4);
        }
        b'u' => return read_unicode(text, escape, out),
        _ => return 0,
    };
    out.push(plain);
    2
}

fn read_unicode(text: &[u8], escape: usize, out: &mut Vec<u8>) -> usize {
    let Some(first) = hex(part(text, escape + 2..escape + 6), 4) else { return 0 };
    if !(0xd800..0xdc00).contains(&first) {
        return push(out, char::from_u32(first), 6);
    }
    let second = (part(text, escape + 6..escape + 8) == b"\\u")
        .then(|| hex(part(text, escape + 8..escape + 12), 4))
        .flatten()
        .filter(|second| (0xdc00..0xe000).contains(second));
    match second {
        Some(second) => push(out, char::from_u32(0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00)), 12),
        None => push(out, None, 6),
    }
}

fn push(out: &mut Vec<u8>, character: Option<char>, length: usize) -> usize {
    let character = character.unwrap_or(char::REPLACEMENT_CHARACTER);
    out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
    length
}

fn hex(digits: &[u8], length: usize) -> Option<u32> {
    if digits.len() != length {
        return None;
    }
    digits.iter().try_fold(0, |value, digit| Some(value << 4 | char::from(*digit).to_digit(16)?))
}

/// The range, made larger so that it cuts no character of UTF-8.
pub(crate) fn whole_characters(text: &[u8], range: Range<usize>) -> Range<usize> {
    let continues = |position: usize| position < text.len() && at(text, position) & 0xc0 == 0x80;
    let (mut start, mut end) = (range.start, range.end);
    for _ in 0..3 {
        start -= usize::from(start > 0 && continues(start));
        end += usize::from(continues(end));
    }
    start..end
}
