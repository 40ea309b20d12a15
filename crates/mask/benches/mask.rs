//! What masking costs, in bytes a second: prose and logs without anything to find, JSON with a few things, and digits
//! and names wherever one looks. `cargo bench -p mask`.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, reason = "a benchmark")]

use std::fmt::Write as _;
use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use mask::Masker;

/// How long each text is, in bytes.
const TEXT_BYTES: usize = 1 << 20;

fn repeated(part: impl Fn(usize) -> String) -> String {
    let mut text = String::new();
    let mut line = 0;
    while text.len() < TEXT_BYTES {
        let _ = writeln!(text, "{}", part(line));
        line += 1;
    }
    text
}

fn texts() -> Vec<(&'static str, String)> {
    let prose = "The reviewer reads what would run, in the order of deciding, and says yes or no; nobody else can say it for her, \
        and what she saw stands in what she signed.";
    vec![
        ("prose", repeated(|_| prose.to_owned())),
        (
            "log",
            repeated(|n| {
                format!(
                    "2026-01-{:02}T12:{:02}:00Z INFO worker{} finished task {n} in {} ms, status=200 path=/v1/items/{}",
                    n % 28 + 1,
                    n % 60,
                    n % 8,
                    n % 900,
                    n * 37
                )
            }),
        ),
        (
            "json",
            repeated(|n| {
                format!(
                    "{{\"id\":{n},\"name\":\"item {n}\",\"tags\":[\"a\",\"b\"],\"note\":\"line one\\nline two\",\"email\":\"u{n}@example.com\"}}"
                )
            }),
        ),
        (
            "base64",
            repeated(|n| "iVBORw0KGgoAAAANSUhEUgAAAAUAAAAFCAYAAACNbyblAAAAHElEQVQI12P4".repeat(1 + n % 2)),
        ),
        (
            "worst",
            repeated(|n| {
                format!(
                    "password=token=secret key: {n} 4111 1111 1111 111{} +49 30 12345{n} a@b {{\\\"x\\\":1}}",
                    n % 10
                )
            }),
        ),
        // What an adversary writes: beginnings without ends, names without values.
        ("names", "sig=".repeat(TEXT_BYTES / 4)),
        ("quotes", "pwd=\"".repeat(TEXT_BYTES / 5)),
        ("addresses", "a://b@".repeat(TEXT_BYTES / 6)),
        ("keys", "glpat-".repeat(TEXT_BYTES / 6)),
        ("digits", "1 ".repeat(TEXT_BYTES / 2)),
        ("escapes", "\\u0041".repeat(TEXT_BYTES / 6)),
    ]
}

fn mask(criterion: &mut Criterion) {
    let masker = Masker::default();
    for (name, text) in texts() {
        let mut group = criterion.benchmark_group("mask");
        group.throughput(Throughput::Bytes(text.len() as u64)).sample_size(20);
        group.bench_function(name, |bencher| bencher.iter(|| masker.mask(None, black_box(text.as_bytes()))));
        group.finish();
    }
}

criterion_group!(benches, mask);
criterion_main!(benches);
