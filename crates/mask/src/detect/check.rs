//! Check digits, as the standards that use them define them. Digits are values from 0 to 9.

/// Luhn (ISO/IEC 7812-1, annex B), the check digit included.
pub(crate) fn luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(place, digit)| {
            let doubled = u32::from(*digit) * if place % 2 == 1 { 2 } else { 1 };
            doubled / 10 + doubled % 10
        })
        .sum();
    !digits.is_empty() && sum.is_multiple_of(10)
}

/// Verhoeff's dihedral check (J. Verhoeff, 1969), the check digit included.
pub(crate) fn verhoeff(digits: &[u8]) -> bool {
    /// The permutation of one place; each further place applies it again.
    const STEP: [u8; 10] = [1, 5, 7, 6, 2, 8, 3, 0, 9, 4];
    let permuted = |digit: u8, times: usize| {
        (0..times).fold(digit, |digit, _| STEP.get(usize::from(digit)).copied().unwrap_or(0))
    };
    // The dihedral group of order 10: rotations 0 to 4, reflections 5 to 9.
    let times = |a: u8, b: u8| match (a < 5, b < 5) {
        (true, true) => (a + b) % 5,
        (true, false) => 5 + (a + b) % 5,
        (false, true) => 5 + (a + 5 - b) % 5,
        (false, false) => (a + 5 - b) % 5,
    };
    digits.iter().rev().enumerate().fold(0, |sum, (place, digit)| times(sum, permuted(*digit, place % 8)))
        == 0
}

/// The weighted sum of the digits.
pub(crate) fn weighted(digits: &[u8], weights: &[u32]) -> u32 {
    digits.iter().zip(weights).map(|(digit, weight)| u32::from(*digit) * weight).sum()
}

/// The digits as one number; 0 where it does not fit.
pub(crate) fn number(digits: &[u8]) -> u64 {
    digits
        .iter()
        .try_fold(0u64, |number, digit| number.checked_mul(10)?.checked_add(u64::from(*digit)))
        .unwrap_or(0)
}

/// ISO 7064, MOD 11,10, the check digit included: German tax numbers, Croatian OIB.
pub(crate) fn mod11_10(digits: &[u8]) -> bool {
    let Some((check, body)) = digits.split_last() else { return false };
    let product = body.iter().fold(10u32, |product, digit| {
        let sum = (u32::from(*digit) + product) % 10;
        (if sum == 0 { 10 } else { sum }) * 2 % 11
    });
    (11 - product) % 10 == u32::from(*check)
}

/// Whether month and day could be a date's.
pub(crate) fn is_date(month: u64, day: u64) -> bool {
    let last = match month {
        2 => 29,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    (1..=12).contains(&month) && (1..=last).contains(&day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digits(text: &str) -> Vec<u8> {
        text.bytes().map(|byte| byte - b'0').collect()
    }

    #[test]
    fn known_numbers_check_and_changed_ones_do_not() {
        assert!(luhn(&digits("4111111111111111")));
        assert!(!luhn(&digits("4111111111111112")));
        assert!(verhoeff(&digits("2363")));
        assert!(!verhoeff(&digits("2364")));
        assert!(!verhoeff(&digits("2633")), "Verhoeff finds swapped digits");
        assert!(mod11_10(&digits("86095742719")));
        assert!(!mod11_10(&digits("86095742718")));
        assert!(is_date(2, 29) && !is_date(2, 30) && !is_date(13, 1) && !is_date(4, 31));
    }
}
