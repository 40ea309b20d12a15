//! Numbers that states give to people, where they are written in digits: each with its check, or where it has none
//! with its own shape. A bare run of digits counts without a telling word only where at most one in two hundred
//! random numbers of its length would pass.

use super::check::{is_date, luhn, mod11_10, number, verhoeff, weighted};
use super::number::Number;
use crate::bytes::{alnum, at as byte, before, part};
use crate::class::{Class, Finding};

/// One way to write a number: lengths of groups and the signs between, whether it needs a telling word, its check.
struct Form {
    name: &'static str,
    lengths: &'static [usize],
    signs: &'static [u8],
    hint: bool,
    check: fn(&[u8]) -> bool,
}

const fn form(
    name: &'static str,
    lengths: &'static [usize],
    signs: &'static [u8],
    hint: bool,
    check: fn(&[u8]) -> bool,
) -> Form {
    Form { name, lengths, signs, hint, check }
}

const FORMS: &[Form] = &[
    form("us-ssn", &[3, 2, 4], b"--", false, us_ssn),
    form("us-ssn", &[3, 2, 4], b"  ", true, us_ssn),
    form("us-ssn", &[9], b"", true, us_ssn),
    form("br-cpf", &[3, 3, 3, 2], b"..-", false, br_cpf),
    form("br-cpf", &[11], b"", true, br_cpf),
    form("fr-nir", &[15], b"", false, |d| {
        matches!(digit(d, 0), 1 | 2) && matches!(of(d, 3, 5), 1..=12) && fr_nir(d)
    }),
    form("fr-nir", &[15], b"", true, fr_nir),
    form("fr-nir", &[1, 2, 2, 2, 3, 3, 2], b"      ", false, fr_nir),
    form("fr-nir", &[13, 2], b" ", false, fr_nir),
    form("de-steuer-id", &[11], b"", false, de_steuer),
    form("de-steuer-id", &[2, 3, 3, 3], b"   ", false, de_steuer),
    form("pl-pesel", &[11], b"", true, pl_pesel),
    form("nl-bsn", &[9], b"", true, nl_bsn),
    form("nl-bsn", &[4, 2, 3], b"..", false, nl_bsn),
    form("se-personnummer", &[6, 4], b"-", false, se_personnummer),
    form("se-personnummer", &[8, 4], b"-", false, se_personnummer),
    form("se-personnummer", &[10], b"", true, se_personnummer),
    form("se-personnummer", &[12], b"", true, se_personnummer),
    form("in-aadhaar", &[4, 4, 4], b"  ", false, in_aadhaar),
    form("in-aadhaar", &[4, 4, 4], b"--", false, in_aadhaar),
    form("in-aadhaar", &[12], b"", true, in_aadhaar),
    form("be-national", &[2, 2, 2, 3, 2], b"..-.", false, be_national),
    form("be-national", &[6, 3, 2], b" ..", false, be_national),
    form("be-national", &[11], b"", true, be_national),
    form("ch-ahv", &[3, 4, 4, 2], b"...", false, ch_ahv),
    form("ch-ahv", &[13], b"", false, ch_ahv),
    form("no-fodselsnummer", &[11], b"", false, no_fodselsnummer),
    form("no-fodselsnummer", &[6, 5], b" ", false, no_fodselsnummer),
    form("dk-cpr", &[6, 4], b"-", true, dk_cpr),
    form("dk-cpr", &[10], b"", true, dk_cpr),
    form("cz-rodne-cislo", &[6, 4], b"/", false, cz_rodne),
    form("cz-rodne-cislo", &[6, 3], b"/", true, |d| is_date(of(d, 2, 4) % 50, of(d, 4, 6))),
    form("ro-cnp", &[13], b"", false, ro_cnp),
    form("za-id", &[13], b"", false, za_id),
    form("cn-resident-id", &[18], b"", false, cn_resident),
    form("kr-rrn", &[6, 7], b"-", false, kr_rrn),
    form("tr-kimlik", &[11], b"", true, tr_kimlik),
    form("ee-lt-isikukood", &[11], b"", false, ee_isikukood),
    form("hr-oib", &[11], b"", true, mod11_10),
    form("bg-egn", &[10], b"", true, bg_egn),
    form("jp-my-number", &[12], b"", true, jp_my_number),
    form("at-svnr", &[4, 6], b" ", true, at_svnr),
    form("at-svnr", &[10], b"", true, at_svnr),
    form("pt-nif", &[9], b"", true, pt_nif),
    form("pt-nif", &[3, 3, 3], b"  ", true, pt_nif),
    form("ca-sin", &[3, 3, 3], b"--", true, luhn),
    form("ca-sin", &[3, 3, 3], b"  ", true, luhn),
    form("ca-sin", &[9], b"", true, luhn),
    form("au-tfn", &[3, 3, 3], b"  ", true, au_tfn),
    form("au-tfn", &[9], b"", true, au_tfn),
    form("il-id", &[9], b"", true, luhn),
    form("gb-nhs", &[3, 3, 4], b"  ", true, gb_nhs),
    form("gb-nhs", &[10], b"", true, gb_nhs),
    form("cl-rut", &[2, 3, 3, 1], b"..-", false, cl_rut),
    form("cl-rut", &[1, 3, 3, 1], b"..-", false, cl_rut),
    form("cl-rut", &[8, 1], b"-", false, cl_rut),
];

/// The person's number that begins a number.
pub(crate) fn at(text: &[u8], written: &Number) -> Option<Finding> {
    if written.plus || written.bracket {
        return None;
    }
    let first = written.groups().first()?;
    let plain = FORMS.iter().find_map(|form| {
        if form.hint && !written.hint.identity || form.lengths.first() != Some(&first.length()) {
            return None;
        }
        let digits = written.shaped(text, form.lengths, form.signs)?;
        let ends = form.lengths.len() == written.groups().len()
            || form.signs.is_empty()
            || written.sign_behind(form.lengths.len()) == 0
            || !form.signs.contains(&written.sign_behind(form.lengths.len()));
        // A bare 3-2-4 with a hint is checked like the rest; the shape says which digits belong to it.
        (ends && (form.check)(digits.as_slice()))
            .then(|| Finding::new(first.start..written.end(form.lengths.len()), Class::NationalId, form.name))
    });
    plain.or_else(|| with_letters(text, written))
}

/// Numbers whose groups of digits stand beside single letters.
fn with_letters(text: &[u8], written: &Number) -> Option<Finding> {
    let groups = written.groups();
    let first = groups.first()?;
    let found = |start, end, name| Some(Finding::new(start..end, Class::NationalId, name));
    // Spain: `12345678-Z`, `12.345.678-Z`.
    let dni_groups = match groups {
        [one, ..] if one.length() == 8 => 1,
        [a, b, c, ..]
            if a.length() == 2 && a.sign == b'.' && b.length() == 3 && b.sign == b'.' && c.length() == 3 =>
        {
            3
        }
        _ => 0,
    };
    if dni_groups > 0 {
        let end = written.end(dni_groups);
        let letter = end + usize::from(matches!(byte(text, end), b'-' | b' '));
        let digits = written.digits(text, dni_groups)?;
        if letter > end
            && !alnum(byte(text, letter + 1))
            && byte(text, letter) == dni_letter(number(digits.as_slice()))
        {
            return found(first.start, letter + 1, "es-dni");
        }
    }
    // Chile with a `K`: `12.345.678-K`.
    if let [a, b, c, ..] = groups
        && (a.sign, b.sign) == (b'.', b'.')
        && (b.length(), c.length()) == (3, 3)
        && part(text, c.end..c.end + 2).eq_ignore_ascii_case(b"-k")
        && !alnum(byte(text, c.end + 2))
        && rut_check(written.digits(text, 3)?.as_slice()) == 10
    {
        return found(a.start, c.end + 2, "cl-rut");
    }
    // Finland: `131052-308T`.
    if first.length() == 6
        && matches!(byte(text, first.end), b'-' | b'+')
        && let serial = part(text, first.end + 1..first.end + 4)
        && serial.len() == 3
        && serial.iter().all(u8::is_ascii_digit)
        && !alnum(byte(text, first.end + 5))
        && hetu_letter(part(text, first.start..first.end), serial) == Some(byte(text, first.end + 4))
    {
        return found(first.start, first.end + 5, "fi-hetu");
    }
    // United Kingdom in groups: `AB 12 34 56 C`.
    if let [a, b, c, ..] = groups
        && (a.length(), b.length(), c.length()) == (2, 2, 2)
        && (a.sign, b.sign, c.sign) == (b' ', b' ', 0)
        && before(text, a.start) == b' '
        && a.start >= 3
        && !alnum(before(text, a.start - 3))
        && byte(text, c.end) == b' '
        && !alnum(byte(text, c.end + 2))
        && is_nino(part(text, a.start - 3..a.start - 1), byte(text, c.end + 1))
    {
        return found(a.start - 3, c.end + 2, "gb-nino");
    }
    None
}

/// The letters of a British number: which may begin it, and end it (HMRC, NIM39110).
pub(crate) fn is_nino(letters: &[u8], last: u8) -> bool {
    let [a, b] = letters else { return false };
    let pair = [a.to_ascii_uppercase(), b.to_ascii_uppercase()];
    let never = [*b"BG", *b"GB", *b"NK", *b"KN", *b"TN", *b"NT", *b"ZZ"];
    pair.iter().all(u8::is_ascii_uppercase)
        && !pair.iter().any(|letter| b"DFIQUV".contains(letter))
        && !matches!(pair, [_, b'O'])
        && !never.contains(&pair)
        && matches!(last.to_ascii_uppercase(), b'A'..=b'D')
}

/// The letter of a Spanish number.
pub(crate) fn dni_letter(number: u64) -> u8 {
    letter_of(b"TRWAGMYFPDXBNJZSQVHLCKE", number % 23)
}

/// The check character of a Finnish number; none where it holds no date.
pub(crate) fn hetu_letter(date: &[u8], serial: &[u8]) -> Option<u8> {
    let value =
        |digits: &[u8]| digits.iter().fold(0u64, |sum, digit| sum * 10 + u64::from(digit.wrapping_sub(b'0')));
    let (day, month) = (value(part(date, 0..2)), value(part(date, 2..4)));
    is_date(month, day)
        .then(|| letter_of(b"0123456789ABCDEFHJKLMNPRSTUVWXY", (value(date) * 1000 + value(serial)) % 31))
}

pub(crate) fn letter_of(letters: &[u8], place: u64) -> u8 {
    usize::try_from(place).map_or(0, |place| byte(letters, place))
}

fn of(d: &[u8], from: usize, to: usize) -> u64 {
    number(part(d, from..to))
}

fn digit(d: &[u8], place: usize) -> u32 {
    u32::from(byte(d, place))
}

/// Social Security Administration: no area 000, 666 or over 899, no group 00, no serial 0000; numbers of taxpayers
/// (IRS) begin with 9.
fn us_ssn(d: &[u8]) -> bool {
    let (area, group, serial) = (of(d, 0, 3), of(d, 3, 5), of(d, 5, 9));
    let is_taxpayer = area >= 900 && matches!(group, 50..=65 | 70..=88 | 90..=92 | 94..=99);
    let is_ssn = !matches!(area, 0 | 666 | 900..) && group != 0 && serial != 0;
    is_ssn || is_taxpayer
}

fn br_cpf(d: &[u8]) -> bool {
    let check = |length: usize| {
        let sum: u32 = part(d, 0..length)
            .iter()
            .zip((2..=length + 1).rev())
            .map(|(digit, weight)| u32::from(*digit) * u32::try_from(weight).unwrap_or(0))
            .sum();
        sum * 10 % 11 % 10
    };
    let same = d.iter().all(|digit| Some(digit) == d.first());
    !same && check(9) == digit(d, 9) && check(10) == digit(d, 10)
}

/// INSEE: sex, year, month, department, commune, order, key.
fn fr_nir(d: &[u8]) -> bool {
    let month = of(d, 3, 5);
    matches!(digit(d, 0), 1..=4 | 7 | 8)
        && matches!(month, 1..=12 | 20 | 30..=42 | 50..=99)
        && 97 - of(d, 0, 13) % 97 == of(d, 13, 15)
}

/// Bundeszentralamt für Steuern: of the first ten digits one stands twice or three times, all others once at most.
fn de_steuer(d: &[u8]) -> bool {
    let mut counts = [0u8; 10];
    for digit in part(d, 0..10) {
        if let Some(count) = counts.get_mut(usize::from(*digit)) {
            *count += 1;
        }
    }
    let repeated = counts.iter().filter(|count| **count > 1).count();
    digit(d, 0) != 0 && repeated == 1 && counts.iter().all(|count| *count <= 3) && mod11_10(d)
}

fn pl_pesel(d: &[u8]) -> bool {
    let month = of(d, 2, 4) % 20;
    is_date(month, of(d, 4, 6)) && weighted(d, &[1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1]).is_multiple_of(10)
}

fn nl_bsn(d: &[u8]) -> bool {
    let sum = weighted(d, &[9, 8, 7, 6, 5, 4, 3, 2]);
    number(d) != 0 && sum % 11 == digit(d, 8)
}

fn se_personnummer(d: &[u8]) -> bool {
    let short = part(d, d.len().saturating_sub(10)..d.len());
    let day = of(short, 4, 6);
    let century = if d.len() == 12 { matches!(of(d, 0, 2), 18..=20) } else { true };
    // Sixty more on the day: a number for somebody without registration.
    century && is_date(of(short, 2, 4), if day > 60 { day - 60 } else { day }) && luhn(short)
}

fn in_aadhaar(d: &[u8]) -> bool {
    digit(d, 0) >= 2 && verhoeff(d)
}

fn be_national(d: &[u8]) -> bool {
    let (base, key) = (of(d, 0, 9), of(d, 9, 11));
    of(d, 2, 4) <= 52
        && of(d, 4, 6) <= 31
        && (97 - base % 97 == key || 97 - (2_000_000_000 + base) % 97 == key)
}

fn ch_ahv(d: &[u8]) -> bool {
    of(d, 0, 3) == 756 && weighted(d, &[1, 3, 1, 3, 1, 3, 1, 3, 1, 3, 1, 3, 1]).is_multiple_of(10)
}

fn no_fodselsnummer(d: &[u8]) -> bool {
    let (day, month) = (of(d, 0, 2), of(d, 2, 4));
    is_date(if month > 40 { month - 40 } else { month }, if day > 40 { day - 40 } else { day })
        && weighted(d, &[3, 7, 6, 1, 8, 9, 4, 5, 2, 1]).is_multiple_of(11)
        && weighted(d, &[5, 4, 3, 2, 7, 6, 5, 4, 3, 2, 1]).is_multiple_of(11)
}

/// Its check digit was given up in 2007: the date is all that can be checked.
fn dk_cpr(d: &[u8]) -> bool {
    is_date(of(d, 2, 4), of(d, 0, 2))
}

fn cz_rodne(d: &[u8]) -> bool {
    let month = of(d, 2, 4);
    let month = [0, 20, 50, 70]
        .into_iter()
        .filter_map(|shift| month.checked_sub(shift))
        .any(|m| is_date(m, of(d, 4, 6)));
    let (base, check) = (of(d, 0, 9) % 11, u64::from(byte(d, 9)));
    month && base % 10 == check && (base < 10 || check == 0)
}

fn ro_cnp(d: &[u8]) -> bool {
    let sum = weighted(d, &[2, 7, 9, 1, 4, 6, 3, 5, 8, 2, 7, 9]) % 11;
    (1..=8).contains(&digit(d, 0))
        && is_date(of(d, 3, 5), of(d, 5, 7))
        && matches!(of(d, 7, 9), 1..=48 | 51 | 52)
        && (if sum == 10 { 1 } else { sum }) == digit(d, 12)
}

fn za_id(d: &[u8]) -> bool {
    is_date(of(d, 2, 4), of(d, 4, 6)) && digit(d, 10) <= 1 && matches!(digit(d, 11), 8 | 9) && luhn(d)
}

/// GB 11643: ISO 7064, MOD 11-2. `last` is 10 for `X`.
pub(crate) fn cn_check(d: &[u8], last: u32) -> bool {
    let sum = weighted(d, &[7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2]);
    matches!(of(d, 6, 8), 18..=20) && is_date(of(d, 10, 12), of(d, 12, 14)) && (sum + last) % 11 == 1
}

fn cn_resident(d: &[u8]) -> bool {
    cn_check(part(d, 0..17), digit(d, 17))
}

/// Numbers since 2020 have no check digit: the date and the digit of sex and century remain.
fn kr_rrn(d: &[u8]) -> bool {
    is_date(of(d, 2, 4), of(d, 4, 6)) && (1..=8).contains(&digit(d, 6))
}

fn tr_kimlik(d: &[u8]) -> bool {
    let odd = weighted(d, &[1, 0, 1, 0, 1, 0, 1, 0, 1]);
    let even = weighted(d, &[0, 1, 0, 1, 0, 1, 0, 1]);
    let sum: u32 = part(d, 0..10).iter().map(|digit| u32::from(*digit)).sum();
    digit(d, 0) != 0 && (odd * 7 + 100 - even) % 10 == digit(d, 9) && sum % 10 == digit(d, 10)
}

fn ee_isikukood(d: &[u8]) -> bool {
    let first = weighted(d, &[1, 2, 3, 4, 5, 6, 7, 8, 9, 1]) % 11;
    let second = weighted(d, &[3, 4, 5, 6, 7, 8, 9, 1, 2, 3]) % 11 % 10;
    (1..=6).contains(&digit(d, 0))
        && is_date(of(d, 3, 5), of(d, 5, 7))
        && (if first < 10 { first } else { second }) == digit(d, 10)
}

fn bg_egn(d: &[u8]) -> bool {
    let month = of(d, 2, 4);
    let month = if month > 40 {
        month - 40
    } else if month > 20 {
        month - 20
    } else {
        month
    };
    is_date(month, of(d, 4, 6)) && weighted(d, &[2, 4, 8, 5, 10, 9, 7, 3, 6]) % 11 % 10 == digit(d, 9)
}

fn jp_my_number(d: &[u8]) -> bool {
    let rest = weighted(d, &[6, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2]) % 11;
    (if rest <= 1 { 0 } else { 11 - rest }) == digit(d, 11)
}

fn at_svnr(d: &[u8]) -> bool {
    digit(d, 0) != 0 && of(d, 6, 8) <= 15 && weighted(d, &[3, 7, 9, 0, 5, 8, 4, 2, 1, 6]) % 11 == digit(d, 3)
}

fn pt_nif(d: &[u8]) -> bool {
    let rest = weighted(d, &[9, 8, 7, 6, 5, 4, 3, 2]) % 11;
    digit(d, 0) != 0 && (if rest < 2 { 0 } else { 11 - rest }) == digit(d, 8)
}

fn au_tfn(d: &[u8]) -> bool {
    weighted(d, &[1, 4, 3, 7, 5, 8, 6, 9, 10]).is_multiple_of(11)
}

fn gb_nhs(d: &[u8]) -> bool {
    let check = 11 - weighted(d, &[10, 9, 8, 7, 6, 5, 4, 3, 2]) % 11;
    check != 10 && check % 11 == digit(d, 9)
}

fn rut_check(d: &[u8]) -> u32 {
    let sum: u32 = d
        .iter()
        .rev()
        .zip([2, 3, 4, 5, 6, 7].iter().cycle())
        .map(|(digit, weight)| u32::from(*digit) * weight)
        .sum();
    (11 - sum % 11) % 11
}

fn cl_rut(d: &[u8]) -> bool {
    let Some((last, body)) = d.split_last() else { return false };
    number(body) >= 1_000_000 && rut_check(body) == u32::from(*last)
}
