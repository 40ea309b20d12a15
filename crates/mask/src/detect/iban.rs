//! Account numbers: a country's length and the remainder 1 by 97 (ISO 13616-1, ISO 7064).

use crate::bytes::{alnum, at as byte, part};
use crate::class::{Class, Finding};

/// Countries and the lengths of their numbers, in characters (SWIFT's registry).
const LENGTHS: &[(&[u8; 2], usize)] = &[
    (b"AD", 24),
    (b"AE", 23),
    (b"AL", 28),
    (b"AT", 20),
    (b"AZ", 28),
    (b"BA", 20),
    (b"BE", 16),
    (b"BG", 22),
    (b"BH", 22),
    (b"BI", 27),
    (b"BR", 29),
    (b"BY", 28),
    (b"CH", 21),
    (b"CR", 22),
    (b"CY", 28),
    (b"CZ", 24),
    (b"DE", 22),
    (b"DJ", 27),
    (b"DK", 18),
    (b"DO", 28),
    (b"EE", 20),
    (b"EG", 29),
    (b"ES", 24),
    (b"FI", 18),
    (b"FK", 18),
    (b"FO", 18),
    (b"FR", 27),
    (b"GB", 22),
    (b"GE", 22),
    (b"GI", 23),
    (b"GL", 18),
    (b"GR", 27),
    (b"GT", 28),
    (b"HR", 21),
    (b"HU", 28),
    (b"IE", 22),
    (b"IL", 23),
    (b"IQ", 23),
    (b"IS", 26),
    (b"IT", 27),
    (b"JO", 30),
    (b"KW", 30),
    (b"KZ", 20),
    (b"LB", 28),
    (b"LC", 32),
    (b"LI", 21),
    (b"LT", 20),
    (b"LU", 20),
    (b"LV", 21),
    (b"LY", 25),
    (b"MC", 27),
    (b"MD", 24),
    (b"ME", 22),
    (b"MK", 19),
    (b"MN", 20),
    (b"MR", 27),
    (b"MT", 31),
    (b"MU", 30),
    (b"NI", 28),
    (b"NL", 18),
    (b"NO", 15),
    (b"OM", 23),
    (b"PK", 24),
    (b"PL", 28),
    (b"PS", 29),
    (b"PT", 25),
    (b"QA", 29),
    (b"RO", 24),
    (b"RS", 22),
    (b"RU", 33),
    (b"SA", 24),
    (b"SC", 31),
    (b"SD", 18),
    (b"SE", 24),
    (b"SI", 19),
    (b"SK", 24),
    (b"SM", 27),
    (b"SO", 23),
    (b"ST", 25),
    (b"SV", 28),
    (b"TL", 23),
    (b"TN", 24),
    (b"TR", 26),
    (b"UA", 29),
    (b"VA", 22),
    (b"VG", 24),
    (b"XK", 20),
    (b"YE", 30),
];

/// The account number that begins at `start`, bare or in groups.
pub(crate) fn at(text: &[u8], start: usize) -> Option<Finding> {
    let head = part(text, start..start + 4);
    let [a, b, c, d] = head else { return None };
    if !(a.is_ascii_alphabetic() && b.is_ascii_alphabetic() && c.is_ascii_digit() && d.is_ascii_digit()) {
        return None;
    }
    let country = [a.to_ascii_uppercase(), b.to_ascii_uppercase()];
    let (_, length) = LENGTHS.iter().find(|(known, _)| **known == country)?;
    let (mut position, mut count, mut in_group) = (start, 0, 0);
    // The first four characters stand last for the check.
    let (mut body, mut first) = (0u64, 0u64);
    while count < *length {
        let sign = byte(text, position);
        if alnum(sign) {
            let sum = if count < 4 { &mut first } else { &mut body };
            *sum = char::from(sign).to_digit(36).map(u64::from).map_or(0, |value| {
                if value < 10 { (*sum * 10 + value) % 97 } else { (*sum * 100 + value) % 97 }
            });
            (count, in_group) = (count + 1, in_group + 1);
        } else if matches!(sign, b' ' | b'-') && in_group >= 2 && count > 0 {
            in_group = 0;
        } else {
            return None;
        }
        position += 1;
    }
    let shift = 100 * 100 * 100 % 97; // two letters of two digits, two digits
    let checks = (body * shift + first) % 97 == 1;
    (checks && !alnum(byte(text, position))).then(|| Finding::new(start..position, Class::Iban, "iban"))
}
