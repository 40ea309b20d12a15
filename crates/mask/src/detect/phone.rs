//! Telephone numbers: international ones by `+` or `00` (ITU-T E.164), national ones by how people group them, and
//! any plausible number behind a word of telephones.

use super::check::is_date;
use super::number::{Group, Number};
use crate::bytes::{alnum, at as byte, before, part, run};
use crate::class::{Class, Finding};

/// The telephone number that begins a number.
pub(crate) fn at(text: &[u8], written: &Number) -> Option<Finding> {
    let groups = written.groups();
    let count = length(text, written)?;
    let first = groups.first()?;
    let start = if written.plus || written.bracket { written.start } else { first.start };
    let end = written.end(count);
    Some(Finding::new(start..extension_end(text, end).unwrap_or(end), Class::Phone, "phone"))
}

/// Where `x123` behind a number ends.
fn extension_end(text: &[u8], end: usize) -> Option<usize> {
    let last = run(text, end + 1, 7, |byte| byte.is_ascii_digit());
    let is_one = byte(text, end).eq_ignore_ascii_case(&b'x') && (end + 2..=end + 7).contains(&last);
    (is_one && !alnum(byte(text, last))).then_some(last)
}

/// Whether the number may end behind these groups, perhaps with an extension.
fn may_end(text: &[u8], written: &Number, count: usize) -> bool {
    written.may_end(text, count) || extension_end(text, written.end(count)).is_some()
}

/// How many groups the number takes.
fn length(text: &[u8], written: &Number) -> Option<usize> {
    if written.plus {
        return longest(text, written, is_international);
    }
    let groups = written.groups();
    let first = groups.first()?;
    // In the midst of a longer row of groups nothing says where a national number would begin.
    let before_it = (before(text, first.start), before(text, first.start.saturating_sub(1)));
    if before_it.0 == b' ' && before_it.1.is_ascii_digit() {
        return None;
    }
    if part(text, first.start..first.end).starts_with(b"00") && groups.len() > 1 {
        let international =
            longest(text, written, |digits| is_international(digits.get(2..).unwrap_or_default()));
        if international.is_some() {
            return international;
        }
    }
    if written.hint.phone {
        let told = longest(text, written, |digits| (7..=15).contains(&digits.len()));
        if told.is_some_and(|count| !is_time(text, groups.get(..count).unwrap_or_default())) {
            return told;
        }
    }
    north_american(text, written)
        .or_else(|| with_trunk_zero(text, written))
        .or_else(|| brazilian(text, written))
}

/// The most groups whose digits are taken, at the end of what may be one number.
fn longest(text: &[u8], written: &Number, is: impl Fn(&[u8]) -> bool) -> Option<usize> {
    (1..=written.groups().len()).rev().find(|count| {
        let alone = *count > 1 && written.groups().get(count - 1).is_some_and(|last| last.length() == 1);
        !alone
            && may_end(text, written, *count)
            && written.digits(text, *count).is_some_and(|digits| is(digits.as_slice()))
    })
}

fn is_international(digits: &[u8]) -> bool {
    match digits {
        // North America: eleven digits, and an area that begins with 2 to 9.
        [1, area, ..] => digits.len() == 11 && *area >= 2,
        [7, ..] => digits.len() == 11,
        [0, ..] | [] => false,
        _ => (8..=15).contains(&digits.len()),
    }
}

fn lengths_and_signs(groups: &[Group], lengths: &[usize], signs: &[&[u8]]) -> bool {
    groups.len() >= lengths.len()
        && groups.iter().zip(lengths).all(|(group, length)| group.length() == *length)
        && groups.iter().zip(signs).all(|(group, sign)| sign.contains(&group.sign))
}

/// `(212) 555-0123`, `212-555-0123`, `1-212-555-0123`, `212.555.0123`.
fn north_american(text: &[u8], written: &Number) -> Option<usize> {
    let groups = written.groups();
    let (skip, count) = if groups.first()?.length() == 1 { (1, 4) } else { (0, 3) };
    let rest = groups.get(skip..)?;
    let country = skip == 0 || part(text, groups.first()?.start..groups.first()?.end) == b"1";
    let shape = lengths_and_signs(rest, &[3, 3, 4], &[b")-.", b"-. "]) && country;
    let same = rest.first()?.sign == b')' || rest.first()?.sign == rest.get(1)?.sign;
    let area = |group: &Group| matches!(text.get(group.start), Some(b'2'..=b'9'));
    (shape && same && area(rest.first()?) && area(rest.get(1)?) && may_end(text, written, count))
        .then_some(count)
}

/// A national number in groups behind a trunk's zero: `030 1234567`, `0171/1234567`, `020 7946 0958`,
/// `06 12 34 56 78`, `(02) 1234 5678`, `090-1234-5678`.
fn with_trunk_zero(text: &[u8], written: &Number) -> Option<usize> {
    let groups = written.groups();
    let first = groups.first()?;
    let digits = part(text, first.start..first.end);
    if digits.first() != Some(&b'0') || digits.get(1).is_none_or(|digit| *digit == b'0') || first.length() > 6
    {
        return None;
    }
    (2..=groups.len().min(6)).rev().find(|count| {
        let taken = groups.get(..*count).unwrap_or_default();
        let total: usize = taken.iter().map(Group::length).sum();
        let pairs = *count == 5 && taken.iter().all(|group| group.length() == 2);
        let inner = taken.iter().skip(1).all(|group| (3..=8).contains(&group.length()));
        let is_dotted = taken.iter().rev().skip(1).any(|group| group.sign == b'.');
        (9..=12).contains(&total)
            && (pairs || (inner && !is_dotted))
            && may_end(text, written, *count)
            && !is_time(text, taken)
    })
}

/// `(11) 91234-5678`.
fn brazilian(text: &[u8], written: &Number) -> Option<usize> {
    let groups = written.groups();
    let shape = lengths_and_signs(groups, &[2, 5, 4], &[b")", b"-"])
        || lengths_and_signs(groups, &[2, 4, 4], &[b")", b"-"]);
    (shape && written.bracket && written.may_end(text, 3)).then_some(3)
}

/// A date, or a date and an hour: `2024-01-31 12`, `01.02.2024`.
fn is_time(text: &[u8], groups: &[Group]) -> bool {
    let [a, b, c, ..] = groups else { return is_stamp(text, groups) };
    let value = |group: &Group| {
        part(text, group.start..group.end).iter().fold(0u64, |sum, digit| sum * 10 + u64::from(digit - b'0'))
    };
    let lengths = (a.length(), b.length(), c.length());
    match lengths {
        (4, 2, 2) => is_date(value(b), value(c)),
        (2, 2, 4) => is_date(value(b), value(a)) || is_date(value(a), value(b)),
        _ => false,
    }
}

/// `20240131`, `1700000000`, `1700000000000`: what clocks write.
fn is_stamp(text: &[u8], groups: &[Group]) -> bool {
    let [only] = groups else { return false };
    let digits = part(text, only.start..only.end);
    matches!(digits.len(), 13 | 14) && (digits.starts_with(b"1") || digits.starts_with(b"20"))
}
