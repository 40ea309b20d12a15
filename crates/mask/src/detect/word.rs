//! Identifiers that mix letters and digits: people's numbers of several states, and keys that are known by their
//! shape alone.

use super::check::{is_date, number};
use super::national::{cn_check, dni_letter, hetu_letter, is_nino, letter_of};
use super::number::{Digits, Hint};
use crate::bytes::{alnum, at as byte, before, part, run};
use crate::class::{Class, Finding};

/// The identifier that the word `start..end` is.
pub(crate) fn at(text: &[u8], start: usize, end: usize, hint: Hint) -> Option<Finding> {
    if before(text, start) == b'-' && alnum(before(text, start.saturating_sub(1))) {
        return None;
    }
    if let Some(end) = shared_access_or_account(text, start, end) {
        return Some(Finding::new(start..end, Class::ApiKey, "mailchimp"));
    }
    let word = part(text, start..end);
    let shape = |shape: &[u8]| {
        word.len() == shape.len()
            && word.iter().zip(shape).all(|(byte, kind)| match kind {
                b'9' => byte.is_ascii_digit(),
                b'A' => byte.is_ascii_uppercase(),
                _ => byte.is_ascii_alphanumeric(),
            })
    };
    let person = |name| Some(Finding::new(start..end, Class::NationalId, name));
    match word.len() {
        9 if shape(b"99999999A") && dni(word) => person("es-dni"),
        9 if shape(b"A9999999A") && nie(word) => person("es-nie"),
        9 if shape(b"A9999999A") && nric(word) => person("sg-nric"),
        9 if nino(word) => person("gb-nino"),
        8 | 9 if hint.identity && pps(word) => person("ie-pps"),
        10 if shape(b"A999999999") && taiwanese(word) => person("tw-id"),
        10 if shape(b"AAAAA9999A") && b"PCHFATBLJG".contains(&byte(word, 3)) => person("in-pan"),
        11 if shape(b"999999A999*") && hetu(word) => person("fi-hetu"),
        15 if nir_of_corsica(word) => person("fr-nir"),
        16 if codice_fiscale(word) => person("it-codice-fiscale"),
        18 if shape(b"AAAA999999AAAAAA*9") && curp(word) => person("mx-curp"),
        18 if chinese(word) => person("cn-resident-id"),
        34 if word.starts_with(b"SK")
            && word.iter().skip(2).all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(b)) =>
        {
            Some(Finding::new(start..end, Class::ApiKey, "twilio"))
        }
        _ => None,
    }
}

/// `0123456789abcdef0123456789abcdef-us12`.
fn shared_access_or_account(text: &[u8], start: usize, end: usize) -> Option<usize> {
    let is_hex = part(text, start..end).iter().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(b));
    if end - start != 32 || !is_hex || part(text, end..end + 3) != b"-us" {
        return None;
    }
    let last = run(text, end + 3, 3, |byte| byte.is_ascii_digit());
    (last > end + 3 && !alnum(byte(text, last))).then_some(last)
}

fn value(digits: &[u8]) -> u64 {
    if !digits.iter().all(u8::is_ascii_digit) {
        return 0;
    }
    Digits::of(digits.iter().copied()).map_or(0, |digits| number(digits.as_slice()))
}

fn dni(word: &[u8]) -> bool {
    byte(word, 8) == dni_letter(value(part(word, 0..8)))
}

fn nie(word: &[u8]) -> bool {
    let first = match byte(word, 0) {
        b'X' => 0,
        b'Y' => 1,
        b'Z' => 2,
        _ => return false,
    };
    byte(word, 8) == dni_letter(first * 10_000_000 + value(part(word, 1..8)))
}

/// Singapore: weights 2 7 6 5 4 3 2, and a list of letters for each series.
fn nric(word: &[u8]) -> bool {
    let digits = part(word, 1..8).iter().map(|byte| u64::from(byte.wrapping_sub(b'0')));
    let sum: u64 = digits.zip([2, 7, 6, 5, 4, 3, 2]).map(|(digit, weight)| digit * weight).sum();
    let (letters, shift): (&[u8], u64) = match byte(word, 0) {
        b'S' => (b"JZIHGFEDCBA", 0),
        b'T' => (b"JZIHGFEDCBA", 4),
        b'F' => (b"XWUTRQPNMLK", 0),
        b'G' => (b"XWUTRQPNMLK", 4),
        _ => return false,
    };
    byte(word, 8) == letter_of(letters, (sum + shift) % 11)
}

/// Taiwan: the letter is a number of two digits; weights 1 9, then 8 to 1, and the check digit.
fn taiwanese(word: &[u8]) -> bool {
    let letters = b"ABCDEFGHJKLMNPQRSTUVXYWZIO";
    let place = letters
        .iter()
        .position(|letter| *letter == byte(word, 0))
        .and_then(|place| u64::try_from(place + 10).ok());
    let Some(first) = place else { return false };
    let digits = part(word, 1..10).iter().map(|byte| u64::from(byte.wrapping_sub(b'0')));
    let sum: u64 = digits.zip([8, 7, 6, 5, 4, 3, 2, 1, 1]).map(|(digit, weight)| digit * weight).sum();
    matches!(byte(word, 1), b'1' | b'2' | b'8' | b'9')
        && (sum + first / 10 + first % 10 * 9).is_multiple_of(10)
}

fn nino(word: &[u8]) -> bool {
    part(word, 2..8).iter().all(u8::is_ascii_digit)
        && is_nino(part(word, 0..2), byte(word, 8))
        && (word.iter().any(u8::is_ascii_uppercase) != word.iter().any(u8::is_ascii_lowercase))
}

/// Ireland: weights 8 to 2, a second letter weighs 9.
fn pps(word: &[u8]) -> bool {
    let digits = part(word, 0..7);
    if !digits.iter().all(u8::is_ascii_digit) || !part(word, 7..9).iter().all(u8::is_ascii_uppercase) {
        return false;
    }
    let sum: u64 = digits
        .iter()
        .zip((2..=8u64).rev())
        .map(|(byte, weight)| u64::from(byte.wrapping_sub(b'0')) * weight)
        .sum();
    let second = if word.len() == 9 { u64::from(byte(word, 8).saturating_sub(b'@')) * 9 } else { 0 };
    byte(word, 7) == letter_of(b"WABCDEFGHIJKLMNOPQRSTUV", (sum + second) % 23)
}

fn hetu(word: &[u8]) -> bool {
    b"ABCDEFYXWVU".contains(&byte(word, 6))
        && hetu_letter(part(word, 0..6), part(word, 7..10)) == Some(byte(word, 10))
}

/// `2A` and `2B` stand for departments 19 and 18 in the check.
fn nir_of_corsica(word: &[u8]) -> bool {
    let department = part(word, 5..7);
    let substitute: &[u8] = match department {
        b"2A" => b"19",
        b"2B" => b"18",
        _ => return false,
    };
    let plain = [part(word, 0..5), substitute, part(word, 7..13)].concat();
    plain.iter().all(u8::is_ascii_digit)
        && part(word, 13..15).iter().all(u8::is_ascii_digit)
        && 97 - value(&plain) % 97 == value(part(word, 13..15))
}

/// Decree of 23 December 1976: odd places weigh by a table, even ones by their order.
fn codice_fiscale(word: &[u8]) -> bool {
    const ODD: [u32; 26] =
        [1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23];
    let word = word.to_ascii_uppercase();
    let letters = [0, 1, 2, 3, 4, 5, 8, 11, 15].iter().all(|place| byte(&word, *place).is_ascii_uppercase());
    // Where two people would have one code, digits become letters.
    let digits = [6, 7, 9, 10, 12, 13, 14]
        .iter()
        .all(|place| byte(&word, *place).is_ascii_digit() || b"LMNPQRSTUV".contains(&byte(&word, *place)));
    let month = b"ABCDEHLMPRST".contains(&byte(&word, 8));
    let order = |byte: u8| if byte.is_ascii_digit() { byte - b'0' } else { byte.wrapping_sub(b'A') };
    let sum: u32 = part(&word, 0..15)
        .iter()
        .enumerate()
        .map(|(place, byte)| {
            let order = order(*byte);
            if place % 2 == 0 { ODD.get(usize::from(order)).copied().unwrap_or(0) } else { u32::from(order) }
        })
        .sum();
    letters && digits && month && u32::from(byte(&word, 15).wrapping_sub(b'A')) == sum % 26
}

/// Mexico: the date and the letter of sex; the last digit checks (RENAPO).
fn curp(word: &[u8]) -> bool {
    // `Ñ` stands between N and O in the check's alphabet and is no byte of ours.
    let order = |byte: u8| match byte {
        b'0'..=b'9' => u32::from(byte - b'0'),
        b'A'..=b'N' => u32::from(byte - b'A') + 10,
        _ => u32::from(byte.wrapping_sub(b'A')) + 11,
    };
    let sum: u32 =
        part(word, 0..17).iter().zip((2..=18u32).rev()).map(|(byte, weight)| order(*byte) * weight).sum();
    is_date(value(part(word, 6..8)), value(part(word, 8..10)))
        && matches!(byte(word, 10), b'H' | b'M' | b'X')
        && (10 - sum % 10) % 10 == u32::from(byte(word, 17).wrapping_sub(b'0'))
}

fn chinese(word: &[u8]) -> bool {
    let body = part(word, 0..17);
    let digits = body.iter().all(u8::is_ascii_digit).then(|| Digits::of(body.iter().copied())).flatten();
    byte(word, 17).eq_ignore_ascii_case(&b'x') && digits.is_some_and(|digits| cn_check(digits.as_slice(), 10))
}
