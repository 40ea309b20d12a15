//! Searches by the size of the index, what following costs, and commits beside it: `cargo bench -p search`.
//!
//! Sizes are arguments: `-- 10000 10000000` fills an index with so many records, by a seed, through its own write
//! path, and times a set of queries. `-- --commits 10000 10000000` fills the embedded store itself, and times commits
//! without and with the follower running. The sizes take turns, so that a slow moment of the machine falls on all of them
//! and they can be held against each other.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a benchmark prints, and fails by panicking"
)]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::directory::Directory;
use domain::entry::{Draft, Kind};
use domain::id::{ActionId, AgentId, PersonId};
use domain::principal::Principal;
use domain::time::Timestamp;
use search::{Ask, Facet, Follower, Index, Place, Query, Record, Reset, Words};
use store::clock::SystemClock;
use store::embedded::{EmbeddedConfig, EmbeddedStore};
use store::seal::SealingKey;
use store::{Ledger as _, Store};

/// How often each query is asked.
const ROUNDS: usize = 40;
const BATCH: u64 = 4_096;
/// 2026-01-01T00:00:00Z, and how far one record is from the next, in microseconds: ten million span four months.
const START: u64 = 1_767_225_600_000_000;
const STEP: u64 = 1_000_000;
/// How long commits are measured at a time, and how often at each size.
const MEASURED: Duration = Duration::from_secs(3);
const TURNS: usize = 5;
const WRITERS: usize = 64;

const QUERIES: [(&str, &str); 14] = [
    ("the newest", ""),
    ("one agent", "agent:\"{agent}\""),
    ("three facets", "verb:http.delete env:production verdict:deny"),
    ("a rare rule", "rule:seldom"),
    ("a rare rule, in production, failed", "rule:seldom env:production outcome:failed"),
    ("a day, one target", "since:2026-01-01 until:2026-01-02 target:shop-3"),
    ("one action", "id:{action}"),
    ("a common word", "orders"),
    ("a rare word", "ticket{rare}"),
    ("a phrase", "\"drop table\""),
    ("two common words", "orders please"),
    ("a beginning", "ticket12*"),
    ("a common word, a rare rule", "please rule:seldom"),
    ("nothing", "verb:http.delete rule:seldom \"no such words\""),
];

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|one| one != "--bench").collect();
    let commits = arguments.iter().any(|one| one == "--commits");
    let mut sizes: Vec<u64> = arguments.iter().filter_map(|one| one.replace('_', "").parse().ok()).collect();
    if sizes.is_empty() {
        sizes = vec![10_000, 1_000_000];
    }
    let base = std::env::var_os("STORE_BENCH_DIR").map_or_else(|| PathBuf::from("."), PathBuf::from);
    if commits {
        commits_beside(&base, &sizes).await;
    } else {
        for size in sizes {
            searches(&base, size);
        }
    }
}

/// A small generator: the same numbers for the same seed, everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % below
    }

    /// Small numbers are common.
    fn skewed(&mut self, below: u64) -> u64 {
        let (one, two) = (self.next(below), self.next(below));
        one * two / below
    }
}

fn principal(n: u64, agent: bool) -> Principal {
    let mut entropy = [0; 10];
    entropy[2..].copy_from_slice(&n.to_be_bytes());
    if agent {
        Principal::Agent(AgentId::new(Timestamp::ZERO, &entropy))
    } else {
        Principal::Person(PersonId::new(Timestamp::ZERO, &entropy))
    }
}

fn action(n: u64) -> ActionId {
    let mut entropy = [0; 10];
    entropy[2..].copy_from_slice(&n.to_be_bytes());
    ActionId::new(Timestamp::from_micros(START + n * STEP), &entropy)
}

/// The record with this number: a decision, or what came of the one before.
fn record(n: u64) -> Record {
    let mut random = Random(0x9E37_79B9_7F4A_7C15 ^ (n / 2 + 1).wrapping_mul(0xD134_2543_DE82_EF95));
    let mut facets = std::collections::BTreeSet::new();
    let mut add = |facet: Facet, value: String| {
        facets.insert((facet, value));
    };
    let (agent, sponsor) = (principal(random.skewed(200), true), principal(random.skewed(40), false));
    let verb = ["http.get", "http.post", "http.put", "http.delete", "http.export"][random.skewed(5) as usize];
    let environment = ["staging", "production", "test"][random.next(3) as usize];
    let target = format!("shop-{}", random.skewed(50));
    let (rule, failed) = (random.next(5_000), random.next(20) == 0);
    let (queue, ticket) = (random.skewed(5_000), random.next(2_000_000));
    let is_outcome = n % 2 == 1;
    add(Facet::Source, "activity".to_owned());
    add(Facet::Kind, if is_outcome { "outcome" } else { "decision" }.to_owned());
    if is_outcome {
        add(Facet::Outcome, if failed { "failed" } else { "succeeded" }.to_owned());
        add(Facet::Said, "observed".to_owned());
    } else {
        for (facet, who) in [(Facet::Who, agent), (Facet::By, agent), (Facet::Agent, agent)] {
            add(facet, who.to_string());
        }
        add(Facet::Who, sponsor.to_string());
        add(Facet::Sponsor, sponsor.to_string());
        add(Facet::Verb, verb.to_owned());
        add(Facet::Group, if verb == "http.delete" { "destroy" } else { "write" }.to_owned());
        add(Facet::Environment, environment.to_owned());
        add(Facet::Target, target);
        add(Facet::Verdict, if random.next(50) == 0 { "deny" } else { "permit" }.to_owned());
        add(Facet::Point, "http".to_owned());
        add(Facet::Level, "enforced".to_owned());
        add(Facet::Rule, if rule == 0 { "seldom".to_owned() } else { format!("rule-{}", rule % 12) });
    }
    let words = if is_outcome {
        Words { detail: Some(if failed { "502" } else { "200" }.to_owned()), ..Words::default() }
    } else {
        let said = match random.next(10) {
            0 => Some(format!("please drop table t{queue} for ticket{ticket}")),
            1..4 => Some(format!("please look after ticket{ticket}")),
            _ => None,
        };
        Words { resource: Some(format!("queues/%2F/orders-{queue}")), words: said, ..Words::default() }
    };
    Record {
        time: Timestamp::from_micros(START + n * STEP),
        place: Place::Activity { segment: format!("{:012}", n / 65_536), offset: n % 65_536 * 400 },
        action: Some(action(n / 2)),
        origin: !is_outcome,
        facets,
        words,
    }
}

fn searches(base: &Path, size: u64) {
    let folder = tempfile::tempdir_in(base).unwrap();
    let path = search::follow::file(folder.path());
    let index = Index::open(&path, &"bench.example/log".parse().unwrap(), Reset::Drop).unwrap();
    let begin = Instant::now();
    let mut batches = Vec::new();
    for first in (0..size).step_by(BATCH as usize) {
        let records: Vec<Record> = (first..size.min(first + BATCH)).map(record).collect();
        let before = Instant::now();
        index.add(records).unwrap();
        batches.push(before.elapsed());
    }
    let (took, writing): (Duration, Duration) = (begin.elapsed(), batches.iter().sum());
    batches.sort_unstable();
    println!("\n## {size} records\n");
    println!(
        "filled in {:.1} s, {:.0} records a second of writing, p99 of a batch of {BATCH} {:.0} ms; {:.0} MiB on disk, \
         {:.0} bytes a record\n",
        took.as_secs_f64(),
        size as f64 / writing.as_secs_f64(),
        millis(at(&batches, 0.99)),
        bytes(folder.path()) as f64 / f64::from(1 << 20),
        bytes(folder.path()) as f64 / size as f64,
    );
    println!("| query | found | p50 ms | p95 ms | with counts p50 | p95 |\n|---|---:|---:|---:|---:|---:|");
    let mut all = Vec::new();
    for (what, text) in QUERIES {
        let (mut pages, mut counted, mut found) = (Vec::new(), Vec::new(), String::new());
        let mut random = Random(7);
        for _ in 0..ROUNDS {
            let text = text
                .replace("{agent}", &principal(random.skewed(200), true).to_string())
                .replace("{action}", &action(random.next(size / 2)).to_string())
                .replace("{rare}", &random.next(2_000_000).to_string());
            let plan = Query::parse(&text, Timestamp::ZERO).unwrap().plan(&Directory::default());
            for counts in [false, true] {
                let ask = Ask { plan: plan.clone(), limit: 50, counts, ..Ask::default() };
                let before = Instant::now();
                let answer = index.search_now(&ask).unwrap();
                if let Some(counts) = &answer.counts {
                    counted.push(before.elapsed());
                    found = format!("{}{}", counts.records, if counts.more { "+" } else { "" });
                } else {
                    pages.push(before.elapsed());
                }
            }
        }
        all.extend(pages.iter().copied());
        pages.sort_unstable();
        counted.sort_unstable();
        println!(
            "| {what} | {found} | {:.2} | {:.2} | {:.2} | {:.2} |",
            millis(at(&pages, 0.5)),
            millis(at(&pages, 0.95)),
            millis(at(&counted, 0.5)),
            millis(at(&counted, 0.95)),
        );
    }
    all.sort_unstable();
    println!("| all pages | | {:.2} | {:.2} | | |", millis(at(&all, 0.5)), millis(at(&all, 0.95)));
}

/// Commits at each size in turns, without the followers and beside them.
async fn commits_beside(base: &Path, sizes: &[u64]) {
    let mut filled = Vec::new();
    for size in sizes {
        let folder = tempfile::tempdir_in(base).unwrap();
        let store = open_store(folder.path());
        fill(&store, *size).await;
        filled.push((*size, folder, store));
    }
    let stores: Vec<_> = filled.iter().map(|(_, _, store)| Arc::clone(store)).collect();
    println!("| entries | follower | commits a second | p50 ms | p95 ms | p99 ms | followed a second |");
    println!("|---:|---|---:|---:|---:|---:|---:|");
    let alone = in_turns(&stores).await;
    for ((size, _, _), took) in filled.iter().zip(&alone) {
        print(*size, "off", took, None);
    }
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let (mut following, mut rates) = (Vec::new(), Vec::new());
    for (_, folder, store) in &filled {
        let (path, store) = (search::follow::file(folder.path()), Arc::clone(store) as Arc<dyn Store>);
        let activity = folder.path().join("activity");
        let mut follower = Follower::open(&path, store, &activity, Reset::Drop).await.unwrap();
        let begin = Instant::now();
        follower.catch_up(|_| ()).await.unwrap();
        rates.push(follower.index().progress().entries as f64 / begin.elapsed().as_secs_f64());
        following.push(tokio::spawn(follower.run(stopped.clone())));
    }
    let beside = in_turns(&stores).await;
    stop.send(true).unwrap();
    for follower in following {
        follower.await.unwrap();
    }
    for (((size, _, _), took), rate) in filled.iter().zip(&beside).zip(rates) {
        print(*size, "on", took, Some(rate));
    }
    for (follower, took) in [("off", &alone), ("on", &beside)] {
        let (small, large) = (took.first().unwrap(), took.last().unwrap());
        let ratio = |share| millis(at(large, share)) / millis(at(small, share));
        println!(
            "\nlargest to smallest, follower {follower}: p50 {:.2}, p95 {:.2}, p99 {:.2}",
            ratio(0.5),
            ratio(0.95),
            ratio(0.99)
        );
    }
    for store in stores {
        store.close(Duration::from_secs(30)).await;
    }
}

async fn fill(store: &Arc<EmbeddedStore>, size: u64) {
    use std::sync::atomic::Ordering::Relaxed;
    let left = Arc::new(std::sync::atomic::AtomicU64::new(size));
    let writer = |_| {
        let (store, left) = (Arc::clone(store), Arc::clone(&left));
        tokio::spawn(async move {
            while left.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)).is_ok() {
                store.record(note()).await.unwrap();
            }
        })
    };
    for writer in (0..1_024).map(writer).collect::<Vec<_>>() {
        writer.await.unwrap();
    }
}

/// What each store's commits took, sorted.
async fn in_turns(stores: &[Arc<EmbeddedStore>]) -> Vec<Vec<Duration>> {
    let mut took = vec![Vec::new(); stores.len()];
    for _ in 0..TURNS {
        for (store, took) in stores.iter().zip(&mut took) {
            took.extend(commits(store).await);
        }
    }
    took.iter_mut().for_each(|took| took.sort_unstable());
    took
}

fn note() -> Draft {
    let fields = vec![
        ("by".to_owned(), principal(1, false).to_string().into_bytes()),
        (
            "why".to_owned(),
            b"not eligible: the reviewer stands on the chain of queues/%2F/orders-17".to_vec(),
        ),
    ];
    Draft { kind: Kind::Refusal, subject: Some(action(1).to_string()), fields }
}

async fn commits(store: &Arc<EmbeddedStore>) -> Vec<Duration> {
    let start = Instant::now();
    let writer = |_| {
        let store = Arc::clone(store);
        tokio::spawn(async move {
            let mut took = Vec::new();
            while start.elapsed() < MEASURED {
                let begin = Instant::now();
                store.record(note()).await.unwrap();
                took.push(begin.elapsed());
            }
            took
        })
    };
    let mut took = Vec::new();
    for writer in (0..WRITERS).map(writer).collect::<Vec<_>>() {
        took.extend(writer.await.unwrap());
    }
    took
}

fn print(size: u64, follower: &str, took: &[Duration], rate: Option<f64>) {
    println!(
        "| {size} | {follower} | {:.0} | {:.2} | {:.2} | {:.2} | {} |",
        took.len() as f64 / (MEASURED * TURNS as u32).as_secs_f64(),
        millis(at(took, 0.5)),
        millis(at(took, 0.95)),
        millis(at(took, 0.99)),
        rate.map(|rate| format!("{rate:.0}")).unwrap_or_default(),
    );
}

fn open_store(folder: &Path) -> Arc<EmbeddedStore> {
    let origin: domain::id::Origin = "bench.example/log".parse().unwrap();
    let store = EmbeddedStore::open(EmbeddedConfig {
        path: folder.join("log.db"),
        anchor_path: folder.join("anchor"),
        signer: Box::new(audit::Ed25519Signer::new(origin.as_str().parse().unwrap(), &[3; 32])),
        origin,
        sealing_key: SealingKey::new([5; 32]),
        clock: Arc::new(SystemClock::new()),
    });
    Arc::new(store.unwrap())
}

fn at(sorted: &[Duration], share: f64) -> Duration {
    let place = (sorted.len() as f64 * share) as usize;
    sorted.get(place.min(sorted.len().saturating_sub(1))).copied().unwrap_or_default()
}

fn millis(took: Duration) -> f64 {
    took.as_secs_f64() * 1e3
}

fn bytes(folder: &Path) -> u64 {
    std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().metadata().unwrap().len()).sum()
}
