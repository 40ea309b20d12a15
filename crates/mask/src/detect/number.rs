//! Numbers in a text: groups of digits with single signs between them, from which the detectors of cards, people's
//! numbers and telephones choose.

use crate::bytes::{alnum, at, before, part, run, run_back, tail};
use crate::class::Finding;
use crate::detect::{card, iban, ip, national, phone, word};
use crate::limits::HINT_REACH_BYTES;
use crate::names::{Found, Word};

/// The most groups of one number.
const GROUPS: usize = 10;

/// The longest word with digits in it that could be an identifier, in bytes.
const WORD_LIMIT_BYTES: usize = 40;

/// The most digits of any number that is looked at.
const DIGITS: usize = 24;

/// A number as it is written.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Number {
    groups: [Group; GROUPS],
    count: usize,
    /// What precedes it in words.
    pub(crate) hint: Hint,
    /// Where it begins; a `+` or `(` before it is included.
    pub(crate) start: usize,
    /// Whether a `+` stands before it.
    pub(crate) plus: bool,
    /// Whether a `(` stands before it.
    pub(crate) bracket: bool,
    /// The sign behind the last group, where digits follow it.
    more: u8,
}

/// One run of digits, and the sign that follows it within the number; 0 behind the last.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Group {
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) sign: u8,
}

impl Group {
    pub(crate) fn length(&self) -> usize {
        self.end - self.start
    }
}

/// What words before a number say of it.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Hint {
    /// A word of telephones.
    pub(crate) phone: bool,
    /// A word of people's numbers.
    pub(crate) identity: bool,
}

/// The digits of the first groups, as values.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Digits {
    values: [u8; DIGITS],
    length: usize,
}

impl Digits {
    pub(crate) fn as_slice(&self) -> &[u8] {
        self.values.get(..self.length).unwrap_or_default()
    }

    /// The values of ASCII digits; none where there are more than any detector wants.
    pub(crate) fn of(ascii: impl Iterator<Item = u8>) -> Option<Self> {
        let mut digits = Self { values: [0; DIGITS], length: 0 };
        for byte in ascii {
            *digits.values.get_mut(digits.length)? = byte.wrapping_sub(b'0');
            digits.length += 1;
        }
        Some(digits)
    }
}

impl Number {
    pub(crate) fn groups(&self) -> &[Group] {
        self.groups.get(..self.count).unwrap_or_default()
    }

    /// The digits of the first `count` groups.
    pub(crate) fn digits(&self, text: &[u8], count: usize) -> Option<Digits> {
        let groups = self.groups().iter().take(count);
        Digits::of(groups.flat_map(|group| part(text, group.start..group.end)).copied())
    }

    /// Where the first `count` groups end.
    pub(crate) fn end(&self, count: usize) -> usize {
        count.checked_sub(1).and_then(|last| self.groups.get(last)).map_or(self.start, |group| group.end)
    }

    /// The sign behind the first `count` groups, where digits follow it; else 0.
    pub(crate) fn sign_behind(&self, count: usize) -> u8 {
        let sign =
            count.checked_sub(1).and_then(|last| self.groups().get(last)).map_or(0, |group| group.sign);
        if count == self.count { self.more } else { sign }
    }

    /// Whether the number may end behind the first `count` groups: no letter, and no further digits behind a sign
    /// that binds.
    pub(crate) fn may_end(&self, text: &[u8], count: usize) -> bool {
        !alnum(at(text, self.end(count))) && matches!(self.sign_behind(count), 0 | b' ')
    }

    /// The digits, where the number begins with groups of these lengths and signs and may end behind them.
    pub(crate) fn shaped(&self, text: &[u8], lengths: &[usize], signs: &[u8]) -> Option<Digits> {
        let groups = self.groups().get(..lengths.len())?;
        let is_so = groups.iter().zip(lengths).all(|(group, length)| group.length() == *length)
            && groups.iter().zip(signs).all(|(group, sign)| group.sign == *sign)
            && self.may_end(text, lengths.len());
        is_so.then(|| self.digits(text, lengths.len())).flatten()
    }
}

/// Every number and every identifier with digits in it.
pub(crate) fn find(text: &[u8], words: &[Found], with_ip: bool, mut found: impl FnMut(Finding)) {
    let mut position = 0;
    let mut hints = Hints { words, next: 0 };
    while let Some(digit) = tail(text, position).iter().position(u8::is_ascii_digit) {
        let digit = position + digit;
        let start = run_back(text, digit, WORD_LIMIT_BYTES.min(digit - position), alnum);
        let end = run(text, digit, usize::MAX, alnum);
        // A long word was looked at once, from its start.
        if start > 0 && alnum(before(text, start)) {
            position = end;
            continue;
        }
        let hint = hints.at(text, start);
        let only_digits = start == digit && part(text, start..end).iter().all(u8::is_ascii_digit);
        position = if only_digits {
            in_digits(text, start, hint, with_ip, &mut found)
        } else {
            in_word(text, start, end, hint, &mut found)
        }
        .max(digit + 1);
    }
}

fn in_word(text: &[u8], start: usize, end: usize, hint: Hint, found: &mut impl FnMut(Finding)) -> usize {
    let finding = iban::at(text, start)
        .or_else(|| (end - start <= WORD_LIMIT_BYTES).then(|| word::at(text, start, end, hint)).flatten());
    match finding {
        Some(finding) => {
            let next = finding.range.end.max(end);
            found(finding);
            next
        }
        None => end,
    }
}

fn in_digits(text: &[u8], start: usize, hint: Hint, with_ip: bool, found: &mut impl FnMut(Finding)) -> usize {
    let mut number = gather(text, start);
    number.hint = hint;
    if with_ip && let Some(finding) = ip::v4(text, &number) {
        let end = finding.range.end;
        found(finding);
        return end;
    }
    let finding = if binds_left(text, start) {
        None
    } else {
        // The most specific first. A number that could be a card's and a person's is masked either way.
        let told = hint.phone && !hint.identity;
        card::at(text, &number)
            .or_else(|| if told { phone::at(text, &number) } else { None })
            .or_else(|| national::at(text, &number))
            .or_else(|| phone::at(text, &number))
    };
    match finding {
        Some(finding) => {
            let end = finding.range.end;
            found(finding);
            end
        }
        None => number.end(1),
    }
}

/// Whether the digits go on something to their left: the fraction of a number, a part of an identifier.
fn binds_left(text: &[u8], start: usize) -> bool {
    match before(text, start) {
        b'.' | b'-' | b'_' => {
            let word = run_back(text, start - 1, WORD_LIMIT_BYTES, alnum);
            part(text, word..start - 1).iter().any(u8::is_ascii_digit)
        }
        _ => false,
    }
}

fn gather(text: &[u8], start: usize) -> Number {
    let plus = before(text, start) == b'+' && !alnum(before(text, start.saturating_sub(1)));
    let bracket = before(text, start) == b'(';
    let lead = usize::from(plus || bracket);
    let outer = usize::from(bracket && before(text, start - lead) == b'+');
    let mut number =
        Number { start: start - lead - outer, plus: plus || outer == 1, bracket, ..Number::default() };
    let mut position = start;
    loop {
        let end = run(text, position, usize::MAX, |byte| byte.is_ascii_digit());
        let next = joined(text, end);
        let sign = next.map_or(0, |(sign, _)| sign);
        let Some(group) = number.groups.get_mut(number.count) else {
            break;
        };
        *group = Group { start: position, end, sign };
        number.count += 1;
        number.more = 0;
        let Some((sign, next)) = next else { break };
        number.more = sign;
        position = next;
    }
    if let Some(last) = number.count.checked_sub(1).and_then(|last| number.groups.get_mut(last)) {
        last.sign = 0;
    }
    number
}

/// The sign behind a group and where the next group begins, where digits follow.
fn joined(text: &[u8], end: usize) -> Option<(u8, usize)> {
    let (sign, mut next) = match tail(text, end) {
        [sign @ (b' ' | b'-' | b'.' | b'/'), ..] => (*sign, end + 1),
        [b')', ..] => (b')', end + 1),
        [b'(', ..] => (b'(', end + 1),
        // Spaces and the hyphen that do not break a line (U+00A0, U+202F, U+2011).
        [0xc2, 0xa0, ..] => (b' ', end + 2),
        [0xe2, 0x80, 0xaf, ..] => (b' ', end + 3),
        [0xe2, 0x80, 0x91, ..] => (b'-', end + 3),
        _ => return None,
    };
    if sign == b')' {
        next += usize::from(matches!(at(text, next), b' ' | b'-' | b'.'));
    }
    if at(text, next) == b'(' && matches!(sign, b' ' | b'-') {
        next += 1;
    }
    at(text, next).is_ascii_digit().then_some((sign, next))
}

/// Goes through the words of a text together with its numbers.
struct Hints<'w> {
    words: &'w [Found],
    next: usize,
}

impl Hints<'_> {
    fn at(&mut self, text: &[u8], start: usize) -> Hint {
        while self.words.get(self.next).is_some_and(|word| word.end <= start) {
            self.next += 1;
        }
        let mut hint = Hint::default();
        let near = self.words.get(..self.next).unwrap_or_default().iter().rev();
        for word in near.take_while(|word| start - word.end <= HINT_REACH_BYTES).take(8) {
            if part(text, word.end..start).contains(&b'\n') || !stands_alone(text, word) {
                continue;
            }
            hint.phone |= word.word == Word::Phone;
            hint.identity |= word.word == Word::Identity || begins_identity(text, word);
        }
        hint
    }
}

/// A stem that is also a word of people's numbers.
fn begins_identity(text: &[u8], word: &Found) -> bool {
    part(text, word.start..word.end).eq_ignore_ascii_case(b"ssn")
        || part(text, word.start..word.end).eq_ignore_ascii_case(b"social")
}

/// Whether a short word stands alone, or as a word of a longer name: `customerSsn`, `tax_sin`, never `using`.
fn stands_alone(text: &[u8], word: &Found) -> bool {
    if word.end - word.start > 5 {
        return true;
    }
    let first = at(text, word.start);
    let left = !before(text, word.start).is_ascii_alphabetic()
        || (first.is_ascii_uppercase() && before(text, word.start).is_ascii_lowercase());
    let after = at(text, word.end);
    let right =
        !after.is_ascii_lowercase() || part(text, word.start..word.end).eq_ignore_ascii_case(b"phone");
    left && right
}
