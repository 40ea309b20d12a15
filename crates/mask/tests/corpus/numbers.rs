//! Numbers with right check digits, by formulas written for this test.

use crate::random::Random;

fn digits(text: &str) -> Vec<u64> {
    text.bytes().filter(u8::is_ascii_digit).map(|byte| u64::from(byte - b'0')).collect()
}

fn sum(text: &str, weights: &[u64]) -> u64 {
    digits(text).iter().zip(weights).map(|(digit, weight)| digit * weight).sum()
}

/// The body with its Luhn digit.
pub(crate) fn luhn(body: &str) -> String {
    let odd_sum: u64 =
        digits(body).iter().rev().step_by(2).map(|digit| digit * 2 / 10 + digit * 2 % 10).sum();
    let even_sum: u64 = digits(body).iter().rev().skip(1).step_by(2).sum();
    format!("{body}{}", (10 - (odd_sum + even_sum) % 10) % 10)
}

pub(crate) fn card(random: &mut Random) -> (String, &'static str) {
    let (prefix, length, kind): (&str, usize, &str) = match random.range(0, 9) {
        0..=2 => ("4", 16, "visa"),
        3 => ("5", 16, "mastercard"),
        4 => ("22", 16, "mastercard-2"),
        5 => ("37", 15, "amex"),
        6 => ("6011", 16, "discover"),
        7 => ("36", 14, "diners"),
        8 => ("3530", 16, "jcb"),
        _ => ("62", 19, "unionpay"),
    };
    let middle = match kind {
        "mastercard" => random.range(1, 5).to_string(),
        "mastercard-2" => random.range(3, 6).to_string(),
        _ => String::new(),
    };
    let body = format!("{prefix}{middle}");
    let rest = random.digits(length - 1 - body.len());
    let number = luhn(&format!("{body}{rest}"));
    let grouped = match (random.range(0, 2), length) {
        (0, 16) => format!("{} {} {} {}", &number[..4], &number[4..8], &number[8..12], &number[12..]),
        (1, 16) => format!("{}-{}-{}-{}", &number[..4], &number[4..8], &number[8..12], &number[12..]),
        (0, 15) => format!("{} {} {}", &number[..4], &number[4..10], &number[10..]),
        _ => number,
    };
    (
        grouped,
        match kind {
            "mastercard-2" => "mastercard",
            kind => kind,
        },
    )
}

pub(crate) fn iban(random: &mut Random) -> String {
    let (country, length) = *random.pick(&[
        &("DE", 18),
        &("NL", 0),
        &("ES", 20),
        &("PL", 24),
        &("AT", 16),
        &("NO", 11),
        &("GB", 1),
    ]);
    let body = match country {
        "NL" => format!("ABNA{}", random.digits(10)),
        "GB" => format!("NWBK{}", random.digits(14)),
        _ => random.digits(length),
    };
    let number: String =
        format!("{body}{country}00").chars().map(|c| c.to_digit(36).unwrap().to_string()).collect();
    let rest = number.bytes().fold(0, |rest, byte| (rest * 10 + u32::from(byte - b'0')) % 97);
    let whole = format!("{country}{:02}{body}", 98 - rest);
    if random.range(0, 1) == 0 {
        return whole;
    }
    let groups: Vec<&str> =
        (0..whole.len()).step_by(4).map(|at| &whole[at..whole.len().min(at + 4)]).collect();
    groups.join(" ")
}

fn date(random: &mut Random) -> (u64, u64, u64) {
    (random.range(50, 99), random.range(1, 12), random.range(1, 28))
}

fn ssn(random: &mut Random) -> String {
    loop {
        let area = random.range(1, 899);
        if area != 666 {
            return format!("{area:03}-{:02}-{:04}", random.range(1, 99), random.range(1, 9999));
        }
    }
}

fn verhoeff(body: &str) -> String {
    // The tables as Wikipedia prints them.
    const D: [[u8; 10]; 10] = [
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
        [1, 2, 3, 4, 0, 6, 7, 8, 9, 5],
        [2, 3, 4, 0, 1, 7, 8, 9, 5, 6],
        [3, 4, 0, 1, 2, 8, 9, 5, 6, 7],
        [4, 0, 1, 2, 3, 9, 5, 6, 7, 8],
        [5, 9, 8, 7, 6, 0, 4, 3, 2, 1],
        [6, 5, 9, 8, 7, 1, 0, 4, 3, 2],
        [7, 6, 5, 9, 8, 2, 1, 0, 4, 3],
        [8, 7, 6, 5, 9, 3, 2, 1, 0, 4],
        [9, 8, 7, 6, 5, 4, 3, 2, 1, 0],
    ];
    const P: [[u8; 10]; 8] = [
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
        [1, 5, 7, 6, 2, 8, 3, 0, 9, 4],
        [5, 8, 0, 3, 7, 9, 6, 1, 4, 2],
        [8, 9, 1, 6, 0, 4, 3, 5, 2, 7],
        [9, 4, 5, 3, 1, 2, 6, 8, 7, 0],
        [4, 2, 8, 6, 5, 7, 3, 9, 0, 1],
        [2, 7, 9, 3, 8, 0, 6, 4, 1, 5],
        [7, 0, 4, 6, 9, 1, 3, 2, 5, 8],
    ];
    const INV: [u8; 10] = [0, 4, 3, 2, 1, 5, 6, 7, 8, 9];
    let c = digits(body).iter().rev().enumerate().fold(0u8, |c, (i, digit)| {
        D[usize::from(c)][usize::from(P[(i + 1) % 8][usize::try_from(*digit).unwrap()])]
    });
    format!("{body}{}", INV[usize::from(c)])
}

/// A person's number, its kind, and the name that stands beside it.
pub(crate) fn person(random: &mut Random) -> (String, &'static str, &'static str) {
    let (y, m, d) = date(random);
    match random.range(0, 13) {
        0 => (ssn(random), "us-ssn", "ssn"),
        1 => {
            let letter = random.pick(&["AB", "CE", "JH", "PX", "RS", "WL"]);
            (format!("{letter}{}{}", random.digits(6), random.word("ABCD", 1)), "gb-nino", "nino")
        }
        2 => {
            let number = random.range(1_000_000, 99_999_999);
            let place = usize::try_from(number % 23).unwrap();
            (format!("{number:08}{}", &"TRWAGMYFPDXBNJZSQVHLCKE"[place..=place]), "es-dni", "dni")
        }
        3 => {
            let body = format!(
                "{}{y:02}{m:02}{:02}{:03}{:03}",
                random.range(1, 2),
                random.range(1, 95),
                random.range(1, 990),
                random.range(1, 999)
            );
            let key = 97 - body.parse::<u64>().unwrap() % 97;
            (format!("{body}{key:02}"), "fr-nir", "nir")
        }
        4 => {
            let body = format!("{y:02}{m:02}{d:02}{}", random.digits(4));
            let check = (10 - sum(&body, &[1, 3, 7, 9, 1, 3, 7, 9, 1, 3]) % 10) % 10;
            (format!("{body}{check}"), "pl-pesel", "pesel")
        }
        5 => loop {
            let body = random.digits(8);
            let check = sum(&body, &[9, 8, 7, 6, 5, 4, 3, 2]) % 11;
            if check < 10 {
                return (format!("{body}{check}"), "nl-bsn", "bsn");
            }
        },
        6 => {
            let whole = luhn(&format!("{y:02}{m:02}{d:02}{}", random.digits(3)));
            (format!("{}-{}", &whole[..6], &whole[6..]), "se-personnummer", "personnummer")
        }
        7 => {
            let body = random.digits(9);
            let check = |text: &str, high: u64| {
                let weights: Vec<u64> = (2..=high).rev().collect();
                match sum(text, &weights) % 11 {
                    0 | 1 => 0,
                    rest => 11 - rest,
                }
            };
            let first = format!("{body}{}", check(&body, 10));
            let whole = format!("{first}{}", check(&first, 11));
            (format!("{}.{}.{}-{}", &whole[..3], &whole[3..6], &whole[6..9], &whole[9..]), "br-cpf", "cpf")
        }
        8 => {
            let whole = verhoeff(&format!("{}{}", random.range(2, 9), random.digits(10)));
            (format!("{} {} {}", &whole[..4], &whole[4..8], &whole[8..]), "in-aadhaar", "aadhaar")
        }
        9 => loop {
            let body = format!("{d:02}{m:02}{y:02}{}", random.digits(3));
            let first = (11 - sum(&body, &[3, 7, 6, 1, 8, 9, 4, 5, 2]) % 11) % 11;
            let with = format!("{body}{first}");
            let second = (11 - sum(&with, &[5, 4, 3, 2, 7, 6, 5, 4, 3, 2]) % 11) % 11;
            if first < 10 && second < 10 {
                return (format!("{with}{second}"), "no-fodselsnummer", "fodselsnummer");
            }
        },
        10 => {
            let body = format!("{d:02}{m:02}{y:02}{:03}", random.range(2, 899));
            let place = usize::try_from(body.parse::<u64>().unwrap() % 31).unwrap();
            let check = &"0123456789ABCDEFHJKLMNPRSTUVWXY"[place..=place];
            (format!("{}-{}{check}", &body[..6], &body[6..]), "fi-hetu", "hetu")
        }
        11 => {
            let body = format!("{y:02}{m:02}{d:02}{:03}", random.range(1, 997));
            let key = 97 - body.parse::<u64>().unwrap() % 97;
            (format!("{y:02}.{m:02}.{d:02}-{}.{key:02}", &body[6..]), "be-national", "rijksregister")
        }
        12 => {
            let body = format!("756{}", random.digits(9));
            let check = (10 - sum(&body, &[1, 3, 1, 3, 1, 3, 1, 3, 1, 3, 1, 3]) % 10) % 10;
            (format!("756.{}.{}.{}{check}", &body[3..7], &body[7..11], &body[11..]), "ch-ahv", "ahv")
        }
        _ => {
            let body = format!(
                "{}19{y:02}{m:02}{d:02}{}",
                random.pick(&["110105", "310101", "440301"]),
                random.digits(3)
            );
            let rest = sum(&body, &[7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2]) % 11;
            (
                format!("{body}{}", b"10X98765432"[usize::try_from(rest).unwrap()] as char),
                "cn-resident-id",
                "id_number",
            )
        }
    }
}

pub(crate) fn phone(random: &mut Random) -> (String, &'static str) {
    let mut d = |length| random.digits(length);
    let (a, b, c, e) = (d(3), d(4), d(4), d(2));
    let (p, q) = (d(2), d(2));
    let first = random.range(2, 9);
    match random.range(0, 9) {
        0 => (format!("+49 30 {a}{b}"), "de-international"),
        1 => (format!("+1-{first}02-{first}55-{b}"), "us-international"),
        2 => (format!("({first}12) {first}55-{b}"), "us"),
        3 => (format!("{first}12-{first}55-{c}"), "us-hyphens"),
        4 => (format!("020 7{a} {b}"), "gb"),
        5 => (format!("06 {e} {p} {q} {}", &a[..2]), "fr"),
        6 => (format!("0171 {a}{b}"), "de"),
        7 => (format!("+33{first}{a}{b}{}", &c[..1]), "fr-international"),
        8 => (format!("03-{b}-{c}"), "jp"),
        _ => (format!("{first}{a}{b}{}", &c[..2]), "bare"),
    }
}
