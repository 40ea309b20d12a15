//! Payment cards: a known issuer's prefix, a length that it uses, and Luhn (ISO/IEC 7812-1).

use super::check::{luhn, number};
use super::number::Number;
use crate::class::{Class, Finding};

/// The card's number that begins a number.
pub(crate) fn at(text: &[u8], written: &Number) -> Option<Finding> {
    let groups = written.groups();
    let sign = groups.first().map_or(0, |group| group.sign);
    let mut best = None;
    for count in 1..=groups.len().min(6) {
        let Some(digits) = written.digits(text, count) else { break };
        let digits = digits.as_slice();
        if digits.len() > 19 {
            break;
        }
        if well_grouped(written, count, sign) && written.may_end(text, count) && is_card(digits) {
            best = Some((count, last_four(digits)));
        }
    }
    let (count, last_four) = best?;
    let first = groups.first().map_or(written.start, |group| group.start);
    let mut finding = Finding::new(first..written.end(count), Class::Card, "card");
    finding.last_four = last_four;
    Some(finding)
}

/// One group, or groups of three to seven digits behind a first of four, with one sign between.
fn well_grouped(written: &Number, count: usize, sign: u8) -> bool {
    let Some(groups) = written.groups().get(..count) else { return false };
    let Some((last, others)) = groups.split_last() else { return false };
    others.is_empty()
        || (matches!(sign, b' ' | b'-')
            && others.iter().all(|group| group.sign == sign && (3..=7).contains(&group.length()))
            && last.length() <= 7
            && groups.first().is_some_and(|group| group.length() == 4))
}

fn last_four(digits: &[u8]) -> Option<[u8; 4]> {
    let four: [u8; 4] = digits.get(digits.len().checked_sub(4)?..)?.try_into().ok()?;
    Some(four.map(|digit| digit + b'0'))
}

/// Whether an issuer uses this prefix with this length, and Luhn holds.
fn is_card(digits: &[u8]) -> bool {
    let prefix = |length: usize| digits.get(..length).map_or(0, number);
    let length = digits.len();
    let (one, two, three, four) = (prefix(1), prefix(2), prefix(3), prefix(4));
    let known = match length {
        // Maestro may be shorter than all others.
        12..=13 | 17..=18 => {
            is_maestro(four) || (length == 13 && one == 4) || (length >= 17 && is_long(two, three, four))
        }
        14 => matches!(three, 300..=305) || matches!(two, 36 | 38 | 39) || is_maestro(four),
        15 => matches!(two, 34 | 37) || matches!(four, 1800 | 2131) || is_maestro(four),
        16 => {
            one == 4
                || matches!(two, 51..=55)
                || matches!(four, 2221..=2720 | 2200..=2204 | 9792)
                || matches!(three, 508 | 606 | 607 | 608)
                || matches!(four, 3088..=3094 | 3096..=3102 | 3112..=3120 | 3158..=3159 | 3337..=3349)
                || is_long(two, three, four)
                || is_maestro(four)
        }
        19 => one == 4 || is_long(two, three, four) || is_maestro(four),
        _ => false,
    };
    let same = digits.first().is_some_and(|first| digits.iter().all(|digit| digit == first));
    known && !same && luhn(digits)
}

/// Discover, JCB, UnionPay: sixteen to nineteen digits.
fn is_long(two: u64, three: u64, four: u64) -> bool {
    four == 6011
        || matches!(three, 644..=649)
        || matches!(two, 65 | 62 | 81 | 82)
        || matches!(four, 3528..=3589)
        || matches!(two, 36 | 38 | 39)
}

fn is_maestro(four: u64) -> bool {
    matches!(four, 5018 | 5020 | 5038 | 5600..=5899 | 6304 | 6390 | 6759 | 6761 | 6762 | 6763)
}
