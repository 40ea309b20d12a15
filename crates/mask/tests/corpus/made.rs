//! Texts with one thing to find in each, in the ways in which payloads hold it.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use mask::Class;

use crate::Sample;
use crate::numbers;
use crate::random::{ALNUM, HEX, Random};

/// How many texts each class has.
const EACH: usize = 420;

/// A value, its kind within its class, and the name that stands beside it.
type Value = (String, String, String);
type Maker = fn(&mut Random) -> Value;

pub(crate) fn positives(seed: u64) -> Vec<Sample> {
    let mut random = Random(seed);
    let mut samples = Vec::new();
    let makers: [(Class, Maker); 10] = [
        (Class::Card, |r| {
            let (v, k) = numbers::card(r);
            (v, k.to_owned(), "number".to_owned())
        }),
        (Class::Iban, |r| (numbers::iban(r), "iban".to_owned(), "account".to_owned())),
        (Class::NationalId, |r| {
            let (v, k, n) = numbers::person(r);
            (v, k.to_owned(), n.to_owned())
        }),
        (Class::Phone, |r| {
            let (v, k) = numbers::phone(r);
            (v, k.to_owned(), if k == "bare" { "phone" } else { "contact" }.to_owned())
        }),
        (Class::Email, email),
        (Class::ApiKey, key),
        (Class::Token, token),
        (Class::Secret, secret),
        (Class::Connection, connection),
        (Class::PrivateKey, private_key),
    ];
    for (class, make) in makers {
        for n in 0..EACH {
            let (value, kind, name) = make(&mut random);
            let text = context(&mut random, n, class, &name, &value);
            // Of a connection string only the password must not show, of a header only the token.
            let hidden = match class {
                Class::Connection => {
                    value.split("app:").nth(1).and_then(|rest| rest.split('@').next()).unwrap()
                }
                _ => value.strip_prefix("Bearer ").unwrap_or(&value),
            };
            let wrapped = [hidden.to_owned(), json(hidden), json(&json(hidden)), percent(hidden)];
            let shown = wrapped.into_iter().find(|shown| text.contains(shown.as_str()));
            // Where the value is split by an escape or stands within base64, the whole line is what must not show.
            let shown = shown.unwrap_or_else(|| text.split('"').nth(3).unwrap().to_owned());
            samples.push(Sample { text, truth: Some((shown, class, kind)) });
        }
    }
    samples
}

fn context(random: &mut Random, n: usize, class: Class, name: &str, value: &str) -> String {
    // Values with their own surroundings: a connection string, a header, a key file.
    let plain = matches!(class, Class::Connection | Class::PrivateKey);
    let id = random.range(100, 9_999);
    let json_value = json(value);
    match n % 12 {
        0 => format!("{{\"id\":{id},\"{name}\":\"{json_value}\"}}"),
        1 => format!("{{\n \"data\": {{\n  \"{name}\": \"{json_value}\",\n  \"n\": [1, 2]\n }}\n}}"),
        2 if !value.contains('\n') => format!("UPDATE t SET {name} = '{value}' WHERE id = {id};"),
        3 if !value.contains('\n') => format!("{name}: {value}\nstate: open\n"),
        4 if !value.contains('\n') => {
            format!("2026-11-21 04:49:48 INFO app[{id}]: {name}={value} done in 12 ms")
        }
        5 if !value.contains('\n') => format!("deploy --region eu --{name} \"{value}\" --count {id}"),
        6 => format!("page={}&{name}={}&sort=asc", id, percent(value)),
        7 if !value.contains('\n') => format!("export {}=\"{value}\"", name.to_uppercase()),
        8 => format!("{{\"outer\":\"{}\"}}", json(&format!("{{\"{name}\":\"{json_value}\"}}"))),
        9 if !value.contains('\n') && !plain => format!("X-{name}: {value}"),
        10 if !plain && class != Class::Secret && !value.starts_with("Bearer") => {
            let split: String = value
                .char_indices()
                .map(
                    |(at, c)| {
                        if at % 5 == 1 { format!("\\u{:04x}", u32::from(c)) } else { json(&c.to_string()) }
                    },
                )
                .collect();
            format!("{{\"{name}\":\"{split}\"}}")
        }
        11 => format!("{{\"blob\":\"{}\"}}", STANDARD.encode(format!("{name}={value}"))),
        _ => format!("before\n{name} = \"{value}\"\nafter"),
    }
}

fn json(text: &str) -> String {
    let quoted = serde_json::to_string(text).unwrap();
    quoted[1..quoted.len() - 1].to_owned()
}

fn percent(text: &str) -> String {
    text.bytes()
        .map(|byte| {
            if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                char::from(byte).to_string()
            } else {
                format!("%{byte:02X}")
            }
        })
        .collect()
}

fn email(random: &mut Random) -> Value {
    let name = random.pick(&["ann", "bob.lee", "c_d+tag", "j.o-n", "x1"]);
    let host = random.pick(&["example.org", "mail.example.co.uk", "firma-gmbh.de", "b\u{fc}cher.example"]);
    (format!("{name}{}@{host}", random.range(1, 99)), "email".to_owned(), "contact".to_owned())
}

fn key(random: &mut Random) -> Value {
    let mut word = |length| loop {
        let word = random.word(ALNUM, length);
        if word.bytes().any(|b| b.is_ascii_digit()) && word.bytes().any(|b| b.is_ascii_lowercase()) {
            return word;
        }
    };
    let (w22, w36, w24, w43, w48) = (word(22), word(36), word(24), word(43), word(48));
    let (base32, hex32, hex64) =
        (random.word("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", 14), random.word(HEX, 32), random.word(HEX, 64));
    let (value, kind) = match random.range(0, 17) {
        0 => (format!("AKIA{base32}7Q"), "aws"),
        1 => (format!("ghp_{w36}"), "github"),
        2 => (format!("github_pat_{w22}_{w36}{w22}1"), "github-fine"),
        3 => (format!("glpat-{}", &w22[..20]), "gitlab"),
        4 => (format!("xoxb-{}-{}-{w24}", random.digits(12), random.digits(12)), "slack"),
        5 => (format!("sk_live_{w24}"), "stripe"),
        6 => (format!("sk-proj-{w48}"), "openai"),
        7 => (format!("sk-ant-api03-{w48}{w43}AA"), "anthropic"),
        8 => (format!("npm_{w36}"), "npm"),
        9 => (format!("pypi-AgEIcHlwaS5vcmc{w48}"), "pypi"),
        10 => (format!("SG.{w22}.{w43}"), "sendgrid"),
        11 => (format!("SK{hex32}"), "twilio"),
        12 => (format!("AIza{}", &w36[..35]), "google"),
        13 => (format!("hvs.{w24}"), "vault"),
        14 => (format!("dop_v1_{hex64}"), "digitalocean"),
        15 => (format!("shpat_{hex32}"), "shopify"),
        16 => (format!("dckr_pat_{}", &w36[..27]), "docker"),
        _ => (format!("hf_{}", &w36[..34]), "hugging-face"),
    };
    (value, kind.to_owned(), "value".to_owned())
}

fn token(random: &mut Random) -> Value {
    let claims = format!("{{\"sub\":\"{}\",\"exp\":1800000000}}", random.range(1, 99_999));
    match random.range(0, 2) {
        0 | 1 => {
            let (head, body) = (
                URL_SAFE_NO_PAD.encode("{\"alg\":\"HS256\",\"typ\":\"JWT\"}"),
                URL_SAFE_NO_PAD.encode(claims),
            );
            (format!("{head}.{body}.{}", random.word(ALNUM, 43)), "jwt".to_owned(), "assertion".to_owned())
        }
        _ => (format!("Bearer {}", random.word(ALNUM, 40)), "bearer".to_owned(), "value".to_owned()),
    }
}

fn secret(random: &mut Random) -> Value {
    let name = random.pick(&[
        "password",
        "db_password",
        "clientSecret",
        "api_key",
        "access_token",
        "AUTH_TOKEN",
        "SecretAccessKey",
        "encryption_key",
    ]);
    let value = match name {
        "password" | "db_password" => match random.range(0, 2) {
            0 => format!("{}{}", random.word("abcdefghijklmnopqrstuvwxyz", 7), random.range(1, 999)),
            1 => random.word("ABCdefGHIjklm0123456789!#%+/_", 14),
            _ => "correcthorsebattery".to_owned(),
        },
        "SecretAccessKey" => random.word(ALNUM, 40),
        _ => format!("{}7a{}", random.word(HEX, 12), random.word(HEX, 16)),
    };
    (value, name.to_owned(), name.to_owned())
}

fn connection(random: &mut Random) -> Value {
    let password = format!("{}9{}", random.word("abcdefghijkmnop", 5), random.word(ALNUM, 6));
    let scheme = random.pick(&["postgres", "mysql", "mongodb+srv", "redis", "amqp", "https"]);
    let value = format!("{scheme}://app:{password}@db.internal:5432/main");
    // All but the password may show; what must not is looked for by itself.
    (value, scheme.to_owned(), "dsn".to_owned())
}

fn private_key(random: &mut Random) -> Value {
    let kind = random.pick(&["RSA ", "", "EC ", "OPENSSH ", "ENCRYPTED "]);
    let body = format!("{}\n{}\n{}", random.word(ALNUM, 64), random.word(ALNUM, 64), random.word(ALNUM, 20));
    (
        format!("-----BEGIN {kind}PRIVATE KEY-----\n{body}\n-----END {kind}PRIVATE KEY-----"),
        kind.trim().to_owned(),
        "pem".to_owned(),
    )
}
