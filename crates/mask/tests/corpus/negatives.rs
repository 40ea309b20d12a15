//! Texts in which nothing is to be found: what payloads are full of.

use crate::Sample;
use crate::random::{ALNUM, HEX, Random};

/// How many texts each kind has.
const EACH: usize = 60;

pub(crate) fn all(seed: u64) -> Vec<Sample> {
    let mut random = Random(seed);
    let makers: [fn(&mut Random) -> String; 24] = [
        |r| {
            format!(
                "{}-{}-4{}-a{}-{}",
                r.word(HEX, 8),
                r.word(HEX, 4),
                r.word(HEX, 3),
                r.word(HEX, 3),
                r.word(HEX, 12)
            )
        },
        |r| format!("sha256:{}", r.word(HEX, 64)),
        |r| format!("commit {}", r.word(HEX, 40)),
        |r| format!("etag \"{}\"", r.word(HEX, 32)),
        |r| format!("order {}", r.range(1_000_000, 99_999_999)),
        |r| format!("ORD-{}-{}", r.range(2020, 2026), r.digits(8)),
        |r| format!("at {}", r.range(1_600_000_000, 1_900_000_000)),
        |r| format!("at {} ms", r.range(1_600_000_000_000, 1_900_000_000_000)),
        |r| {
            format!(
                "2026-{:02}-{:02}T{:02}:30:00.{}Z",
                r.range(1, 12),
                r.range(1, 28),
                r.range(0, 23),
                r.digits(6)
            )
        },
        |r| {
            format!(
                "version {}.{}.{}-rc.{}+build.{}",
                r.range(0, 20),
                r.range(0, 40),
                r.range(0, 99),
                r.range(1, 9),
                r.digits(6)
            )
        },
        |r| {
            format!("10.{}.{}.{}:{}", r.range(0, 255), r.range(0, 255), r.range(0, 255), r.range(1024, 65535))
        },
        |r| format!("invoice 2026/{}", r.digits(6)),
        |r| format!("https://shop.example/items/{}?page={}&size=50", r.range(1, 99_999), r.range(1, 9)),
        |r| format!("trace {}-{}-01", r.word(HEX, 32), r.word(HEX, 16)),
        |r| {
            format!(
                "row {} of {}, {} bytes",
                r.range(1, 9_999),
                r.range(10_000, 99_999),
                r.range(100_000, 9_999_999)
            )
        },
        |r| format!("data:image/png;base64,iVBORw0KGgoAAAANSUhEUg{}", r.word(ALNUM, 200)),
        |r| format!("let total = items.iter().map(|x| x.len() * {}).sum::<usize>();", r.range(2, 99)),
        |r| {
            format!(
                "SELECT id, name FROM queues WHERE depth > {} ORDER BY name LIMIT {}",
                r.range(1, 999),
                r.range(10, 500)
            )
        },
        |r| {
            format!("The password must have at least {} characters; a token is sent by mail.", r.range(8, 20))
        },
        |r| format!("def check(password, token=None): return len(password) > {}", r.range(8, 20)),
        |r| {
            format!(
                "{{\"max_tokens\":{},\"token_type\":\"bearer\",\"expires_in\":3600}}",
                r.range(100, 9_999)
            )
        },
        |r| format!("lat {}.{} lon {}.{}", r.range(1, 80), r.digits(7), r.range(1, 170), r.digits(7)),
        |r| format!("snowflake 1{}", r.digits(18)),
        |r| format!("price 1,{}.{} EUR, VAT {} %", r.digits(3), r.digits(2), r.range(7, 25)),
    ];
    let mut samples = Vec::new();
    for make in makers {
        for n in 0..EACH {
            let text = make(&mut random);
            let text = match n % 3 {
                0 => text,
                1 => format!("2026-11-21T04:49:48Z INFO worker: {text} (done)"),
                _ => serde_json::json!({"id": n, "message": text}).to_string(),
            };
            samples.push(Sample { text, truth: None });
        }
    }
    samples
}
