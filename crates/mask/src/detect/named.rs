//! Secrets beside telling names in running text: assignments, options, headers, YAML, SQL, connection strings.

use std::ops::Range;

use super::url::is_placeholder;
use crate::bytes::{alnum, at, before, begins, of_name, part, run, run_back};
use crate::class::{Class, Finding, in_mask, mask_end};
use crate::limits::{NAME_LIMIT_BYTES, VALUE_LIMIT_BYTES};
use crate::names::{Telling, telling};

/// How a value is written beside its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Style {
    /// In quotes.
    Quoted,
    /// Bare, behind `=` without spaces, `--name value`, or at the end of its line behind `:`.
    Bare,
    /// Bare, as code or prose writes it: `name = value`, `name: value and more`.
    Loose,
}

/// The secret beside the name that holds `from..to`, and where to go on looking.
pub(crate) fn beside(text: &[u8], from: usize, to: usize) -> (Option<Finding>, usize) {
    let start = run_back(text, from, NAME_LIMIT_BYTES, of_name);
    let end = run(text, to, NAME_LIMIT_BYTES, of_name);
    let end = end - part(text, to..end).iter().rev().take_while(|byte| **byte == b'.').count();
    let Some(told) = telling(part(text, start..end)) else { return (None, end) };
    if in_mask(text, start) {
        return (None, end);
    }
    let Some((value, style)) = value_behind(text, start, end) else { return (None, end) };
    let bytes = part(text, value.clone());
    if mask_end(text, value.start).is_some() {
        return (None, end);
    }
    match class_of(told, bytes, style, part(text, start..end)) {
        Some((class, name)) => {
            let value = value.start..whole_end(text, &value, style);
            (Some(Finding::new(value.clone(), class, name)), value.end)
        }
        None => (None, end),
    }
}

/// Where a value ends that is longer than was looked at: it is masked to its end.
fn whole_end(text: &[u8], value: &Range<usize>, style: Style) -> usize {
    if value.len() + 2 < VALUE_LIMIT_BYTES {
        return value.end;
    }
    match style {
        Style::Quoted => {
            run(text, value.end, usize::MAX, |byte| !matches!(byte, b'"' | b'\'' | b'`' | b'\n'))
        }
        Style::Bare | Style::Loose => run(text, value.end, usize::MAX, |byte| byte > b' '),
    }
}

/// What a value is under a telling name, where its form alone decides: of JSON, forms and headers.
pub(crate) fn of_field(told: Telling, value: &[u8]) -> Option<(Class, &'static str)> {
    class_of(told, value, Style::Quoted, b"")
}

fn class_of(told: Telling, value: &[u8], style: Style, name: &[u8]) -> Option<(Class, &'static str)> {
    if is_placeholder(value) || value.is_empty() {
        return None;
    }
    // No number that counts here is longer.
    let digits = value.iter().take(DIGITS_LIMIT).filter(|byte| byte.is_ascii_digit()).count();
    let only_digits = digits == value.len();
    match told {
        Telling::Credentials if style == Style::Quoted => Some((Class::Token, "named")),
        Telling::Credentials => (value.len() >= 8 && looks_random(value)).then_some((Class::Token, "named")),
        Telling::Strong => match style {
            Style::Quoted => Some((Class::Secret, "named")),
            Style::Bare => {
                (value.len() >= 2 && value != name && !is_call(value)).then_some((Class::Secret, "named"))
            }
            Style::Loose => (value.len() >= 3 && is_no_word(value)).then_some((Class::Secret, "named")),
        },
        Telling::Weak => {
            let is_pin =
                style == Style::Quoted && only_digits && (4..=12).contains(&digits) && !name.is_empty();
            (is_pin || looks_random(value)).then_some((Class::Secret, "named-token"))
        }
        Telling::Faint => is_drawn(value).then_some((Class::Secret, "named-key")),
        Telling::Code(class) => (only_digits && (3..=8).contains(&digits)).then_some((class, "code")),
        Telling::Number(class) => {
            let rest = value.iter().all(|byte| byte.is_ascii_digit() || matches!(byte, b' ' | b'-' | b'.'));
            (rest && (7..=19).contains(&digits)).then_some((class, "named"))
        }
    }
}

/// The most digits of a code or a number beside a name; longer ones are judged as tokens are.
const DIGITS_LIMIT: usize = 32;

/// How much of a value is looked at to tell whether it was drawn or written, in bytes.
const RANDOM_LOOK_BYTES: usize = 128;

/// The value behind a name, and how it is written.
fn value_behind(text: &[u8], start: usize, end: usize) -> Option<(Range<usize>, Style)> {
    let space = |byte: u8| matches!(byte, b' ' | b'\t');
    let closes = run(text, end, 2, |byte| matches!(byte, b'"' | b'\'' | b'`' | b']'));
    let gap = run(text, closes, 8, space);
    // `name: type = value` of several languages.
    let separator = run(text, gap, 3, |byte| matches!(byte, b'=' | b':' | b'>'));
    if separator == gap && gap > closes && begins(text, gap, b"is ") {
        let from = run(text, gap + 3, 8, space);
        let value = bare_value(text, from);
        // Prose: what is said of a password is mostly no password.
        let is_mixed = part(text, value.clone()).iter().any(u8::is_ascii_digit);
        return is_mixed.then_some((value, Style::Loose));
    }
    let after = run(text, separator, 8, space);
    let is_option = part(text, start.saturating_sub(2)..end).starts_with(b"-") || at(text, start) == b'-';
    if separator == gap {
        let quoted = matches!(at(text, after), b'\'' | b'"') && after > closes;
        return if quoted {
            quoted_value(text, after).map(|value| (value, Style::Quoted))
        } else if is_option && gap > end && at(text, gap) != b'-' {
            Some((bare_value(text, gap), Style::Bare))
        } else {
            None
        };
    }
    let sign = part(text, gap..separator);
    if matches!(sign, b">" | b">>" | b">=" | b":::") {
        return None;
    }
    if matches!(at(text, after), b'"' | b'\'' | b'`') {
        return quoted_value(text, after).map(|value| (value, Style::Quoted));
    }
    let value = bare_value(text, after);
    let rest = run(text, value.end, 4, |byte| space(byte) || matches!(byte, b';' | b',' | b'\r'));
    let ends_line = rest >= text.len() || at(text, rest) == b'\n';
    let tight = sign == b"=" && gap == closes && after == separator;
    let is_config = ends_line && matches!(sign, b":" | b"=") && !is_call(part(text, value.clone()));
    let style = if tight || (is_config && sign == b":") { Style::Bare } else { Style::Loose };
    (!value.is_empty()).then_some((value, style))
}

/// What stands between quotes, until the same quote on the same line.
fn quoted_value(text: &[u8], quote: usize) -> Option<Range<usize>> {
    let sign = at(text, quote);
    let mut position = quote + 1;
    loop {
        let limit = VALUE_LIMIT_BYTES.saturating_sub(position - quote);
        let end = run(text, position, limit, |byte| byte != sign && byte != b'\n' && byte != b'\\');
        match at(text, end) {
            b'\\' if end - quote < VALUE_LIMIT_BYTES => position = (end + 2).min(text.len()),
            // An open quote: the line, which is more than the value rather than less.
            _ => return (end > quote + 1).then_some(quote + 1..end),
        }
    }
}

fn bare_value(text: &[u8], from: usize) -> Range<usize> {
    let end = run(text, from, VALUE_LIMIT_BYTES, |byte| {
        byte > b' ' && !matches!(byte, b'"' | b'\'' | b'`' | b',' | b';' | b'&' | b'<' | b'>' | b'|' | 127)
    });
    // Brackets that close what opened before the value are none of it.
    let extra =
        part(text, from..end).iter().rev().take_while(|byte| matches!(byte, b')' | b'}' | b']')).count();
    let opens = extra > 0 && part(text, from..end).iter().any(|byte| matches!(byte, b'(' | b'{' | b'['));
    let end = if opens { end } else { end - extra };
    from..end - usize::from(before(text, end) == b'.' && end > from)
}

/// A call or a look-up in code: no value.
fn is_call(value: &[u8]) -> bool {
    let head = value.iter().take_while(|byte| alnum(**byte) || matches!(byte, b'_' | b'.' | b':')).count();
    head > 0
        && matches!(at(value, head), b'(' | b'[')
        && value.last().is_some_and(|byte| matches!(byte, b')' | b']' | b'(' | b'['))
}

/// No plain word and no name of code, as prose and code have behind a name.
fn is_no_word(value: &[u8]) -> bool {
    let has = |is: fn(&u8) -> bool| value.iter().any(is);
    let is_name = value.iter().all(|byte| byte.is_ascii_alphabetic() || matches!(byte, b'_' | b'.' | b'-'));
    !is_name
        && !is_call(value)
        && !memchr::memmem::find(value, b"(").is_some_and(|at| at > 0 && !has(u8::is_ascii_digit))
}

/// Whether it looks drawn rather than written: a key, a token, a hash.
pub(crate) fn looks_random(value: &[u8]) -> bool {
    let is_call = is_call(value);
    let value = part(value, 0..value.len().min(RANDOM_LOOK_BYTES));
    let has = |is: fn(&u8) -> bool| value.iter().any(is);
    let (digit, upper, lower) =
        (has(u8::is_ascii_digit), has(u8::is_ascii_uppercase), has(u8::is_ascii_lowercase));
    let plain = value.iter().all(|byte| byte.is_ascii_graphic());
    if value.len() < 8 || !plain || memchr::memmem::find(value, b"://").is_some() || is_call {
        return false;
    }
    let is_time = value
        .iter()
        .all(|byte| byte.is_ascii_digit() || matches!(byte, b'-' | b':' | b'.' | b'T' | b'Z' | b'+' | b'/'));
    if is_time {
        return value.len() >= 16 && value.iter().all(u8::is_ascii_digit);
    }
    let distinct = value.iter().fold(0u128, |seen, byte| seen | 1 << (byte & 127)).count_ones();
    (digit && (upper || lower) && distinct >= 5) || (value.len() >= 16 && upper && lower && distinct >= 10)
}

/// Whether it can hardly be anything but drawn at random: long, of both cases and digits that change as often as chance has
/// it, in one piece, and no character much more often than others. Digests and ids of one case are left alone: most keys
/// of that name are no secrets.
fn is_drawn(value: &[u8]) -> bool {
    /// The shortest, in bytes: below it words with digits come as close.
    const LEAST_BYTES: usize = 20;
    /// In bits a character, of the characters as often as they stand there: random ones of twenty letters reach 3.9 in
    /// nearly every case.
    const LEAST_ENTROPY: f64 = 3.6;
    /// How many of ten neighbours differ in kind, at least: among random ones six do, in names, paths and prose two.
    const LEAST_CHANGES_OF_TEN: usize = 4;
    let value = part(value, 0..value.len().min(RANDOM_LOOK_BYTES));
    let is_piece = value
        .iter()
        .all(|byte| alnum(*byte) || matches!(byte, b'-' | b'_' | b'+' | b'/' | b'=' | b'.' | b'~' | b':'));
    let kind = |byte: &u8| match byte {
        b'0'..=b'9' => 1_u8,
        b'a'..=b'z' => 2,
        b'A'..=b'Z' => 4,
        _ => 0,
    };
    let kinds = value.iter().fold(0, |kinds, byte| kinds | kind(byte));
    let differ = |one: u8, next: u8| one != next && one != 0 && next != 0;
    let changes = value.array_windows().filter(|[one, next]| differ(kind(one), kind(next))).count();
    value.len() >= LEAST_BYTES
        && is_piece
        && kinds == 7
        && changes * 10 >= value.len() * LEAST_CHANGES_OF_TEN
        && looks_random(value)
        && entropy(value) >= LEAST_ENTROPY
}

/// Shannon's, in bits a character.
fn entropy(value: &[u8]) -> f64 {
    let mut counts = [0_u16; 256];
    for byte in value {
        if let Some(count) = counts.get_mut(usize::from(*byte)) {
            *count += 1;
        }
    }
    let all = f64::from(u16::try_from(value.len()).unwrap_or(u16::MAX));
    let share = |count: &u16| f64::from(*count) / all;
    -counts.iter().filter(|count| **count > 0).map(share).map(|share| share * share.log2()).sum::<f64>()
}

/// What follows `Bearer`.
pub(crate) fn bearer(text: &[u8], end: usize) -> Option<Finding> {
    let token = |byte: u8| alnum(byte) || matches!(byte, b'-' | b'_' | b'.' | b'~' | b'+' | b'/' | b'=');
    let start = run(text, end, 4, |byte| byte == b' ');
    let stop = run(text, start, 16_384, token);
    let value = start..stop;
    let bytes = part(text, value.clone());
    let long = bytes.len() >= 12 && looks_random(bytes);
    (long && !is_placeholder(bytes)).then(|| Finding::new(value, Class::Token, "bearer"))
}

/// What follows `Basic`: base64 of `name:password` (RFC 7617).
pub(crate) fn basic(text: &[u8], end: usize) -> Option<Finding> {
    use base64::Engine as _;
    let letter = |byte: u8| alnum(byte) || matches!(byte, b'-' | b'_' | b'+' | b'/');
    let start = run(text, end, 4, |byte| byte == b' ');
    let stop = run(text, start, VALUE_LIMIT_BYTES, letter);
    let whole = run(text, stop, 2, |byte| byte == b'=');
    let decoded = super::wrapped::LENIENT.decode(part(text, start..stop)).ok()?;
    (stop - start >= 4 && decoded.contains(&b':')).then(|| Finding::new(start..whole, Class::Token, "basic"))
}

/// The password of `curl -u name:password`.
pub(crate) fn curl(text: &[u8], end: usize) -> Option<Finding> {
    let line_end = run(text, end, COMMAND_LIMIT_BYTES, |byte| byte != b'\n');
    let line = part(text, end..line_end);
    let option = [&b"-u "[..], b"--user ", b"-u", b"--proxy-user "]
        .iter()
        .find_map(|option| memchr::memmem::find(line, option).map(|found| (found, option.len())))
        .filter(|(found, _)| *found == 0 || before(line, *found) == b' ')?;
    let from = end + option.0 + option.1;
    let from = from + usize::from(matches!(at(text, from), b'"' | b'\''));
    let stop = run(text, from, VALUE_LIMIT_BYTES, |byte| byte > b' ' && !matches!(byte, b'"' | b'\''));
    let colon = from + part(text, from..stop).iter().position(|byte| *byte == b':')?;
    let value = colon + 1..stop;
    (!value.is_empty() && !is_placeholder(part(text, value.clone())))
        .then(|| Finding::new(value, Class::Secret, "curl"))
}

/// The password of `mysql -ppassword`.
pub(crate) fn mysql(text: &[u8], end: usize) -> Option<Finding> {
    let line_end = run(text, end, COMMAND_LIMIT_BYTES, |byte| byte != b'\n');
    let found = memchr::memmem::find(part(text, end..line_end), b" -p")?;
    let from = end + found + 3;
    let from = from + usize::from(matches!(at(text, from), b'"' | b'\''));
    let stop = run(text, from, VALUE_LIMIT_BYTES, |byte| byte > b' ' && !matches!(byte, b'"' | b'\''));
    let value = from..stop;
    let is_other = begins(text, from, b"ort") || part(text, value.clone()).iter().all(u8::is_ascii_digit);
    (!value.is_empty() && !is_other && !is_placeholder(part(text, value.clone())))
        .then(|| Finding::new(value, Class::Secret, "mysql"))
}

/// How far into a command its options are looked for, in bytes.
const COMMAND_LIMIT_BYTES: usize = 200;
