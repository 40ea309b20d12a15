//! Commits a second and their latency, by how many write at once: `cargo bench -p store`.
//!
//! Each writer records one entry, waits until it is durable, and records the next. The second table is a
//! whole case (open, approve, redeem, finish: four commits); the third is reading beside 100,000
//! approvals, with `--large`. The first two stand for both twins; PostgreSQL's is a server of its own, beside the
//! benchmark on the same machine.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    missing_docs,
    reason = "a benchmark prints, and fails by panicking"
)]

#[path = "../src/postgres/tests/server.rs"]
mod server;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use store::clock::SystemClock;
use store::conformance::testing::{Desk, note};
use store::embedded::{EmbeddedConfig, EmbeddedStore};
use store::postgres::{DatabaseUrl, PostgresConfig, PostgresStore};
use store::seal::SealingKey;
use store::{Cursor, Filter, Store};

/// The program's own allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How long each row of a table is measured.
const MEASURED: Duration = Duration::from_secs(5);
const WARM_UP: Duration = Duration::from_millis(500);

#[tokio::main]
async fn main() {
    // Where the log will stand matters more than anything else: temporary directories may be in memory.
    let base = std::env::var_os("STORE_BENCH_DIR").unwrap_or_else(|| ".".into());
    println!("| what | writers | a second | p50 ms | p99 ms | max ms |");
    println!("|---|---:|---:|---:|---:|---:|");
    for writers in [1, 64, 256] {
        let (_dir, store) = open(Path::new(&base));
        print("entry of 1 KiB", writers, entries(writers, vec![store]).await);
    }
    for writers in [1, 64, 256] {
        let (_dir, store) = open(Path::new(&base));
        print("case of four commits", writers, cases(writers, vec![store]).await);
    }
    shared().await;
    if std::env::args().any(|argument| argument == "--large") {
        large(Path::new(&base)).await;
    }
}

/// The same on PostgreSQL, at one gateway and at two.
async fn shared() {
    // The server's user has to get there.
    let base = std::env::var_os("STORE_BENCH_DIR").map_or_else(std::env::temp_dir, Into::into);
    let server = server::Server::start_in(&base);
    let mut number = 0;
    let mut open = async |gateways: usize| {
        number += 1;
        let url = DatabaseUrl::parse(&server.database(&format!("bench_{number}"))).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let mut stores: Vec<Arc<dyn Store>> = Vec::new();
        for gateway in 0..gateways {
            let anchor = dir.path().join(gateway.to_string());
            if gateway > 0 {
                std::fs::copy(dir.path().join("0.latest"), &anchor).unwrap();
            }
            stores.push(Arc::new(PostgresStore::open(postgres(url.clone(), &anchor)).await.unwrap()));
        }
        (dir, stores)
    };
    for (writers, gateways) in [(1, 1), (64, 1), (256, 1), (512, 1), (512, 2)] {
        let (_dir, stores) = open(gateways).await;
        let what = format!("PostgreSQL, {gateways} gateway(s): entry of 1 KiB");
        print(&what, writers, entries(writers, stores.clone()).await);
        close(stores).await;
    }
    for (writers, gateways) in [(1, 1), (64, 1), (256, 1), (256, 2)] {
        let (_dir, stores) = open(gateways).await;
        let what = format!("PostgreSQL, {gateways} gateway(s): case of four commits");
        print(&what, writers, cases(writers, stores.clone()).await);
        close(stores).await;
    }
}

async fn close(stores: Vec<Arc<dyn Store>>) {
    for store in stores {
        store.close(Duration::from_secs(10)).await;
    }
}

/// Each writer records an entry of 1 KiB, and the next once that is durable.
async fn entries(writers: usize, stores: Vec<Arc<dyn Store>>) -> Vec<Duration> {
    measure(writers, move |writer, round| {
        let store = Arc::clone(stores.get(writer % stores.len()).unwrap());
        let text = format!("{writer:>500}/{round:<500}");
        async move {
            store.record(note(&text)).await.unwrap();
        }
    })
    .await
}

/// Each writer brings a case from its opening to its end, and then the next.
async fn cases(writers: usize, stores: Vec<Arc<dyn Store>>) -> Vec<Duration> {
    let desk = Desk::new(stores.first().unwrap().origin().clone());
    measure(writers, move |writer, round| {
        let (store, desk) = (Arc::clone(stores.get(writer % stores.len()).unwrap()), desk.clone());
        async move {
            desk.finished(&store, &format!("queue-{writer}-{round}")).await;
        }
    })
    .await
}

fn postgres(url: DatabaseUrl, anchor: &Path) -> PostgresConfig {
    let origin: domain::id::Origin = "bench.example.com/log".parse().unwrap();
    PostgresConfig {
        url,
        anchor_path: anchor.to_owned(),
        signer: Box::new(audit::Ed25519Signer::new(origin.as_str().parse().unwrap(), &[3; 32])),
        origin,
        sealing_key: SealingKey::new([5; 32]),
        clock: Arc::new(SystemClock::new()),
        skew_limit: None,
    }
}

fn open(base: &Path) -> (tempfile::TempDir, Arc<dyn Store>) {
    let dir = tempfile::tempdir_in(base).unwrap();
    let origin: domain::id::Origin = "bench.example.com/log".parse().unwrap();
    let config = EmbeddedConfig {
        path: dir.path().join("log.db"),
        anchor_path: dir.path().join("anchor"),
        signer: Box::new(audit::Ed25519Signer::new(origin.as_str().parse().unwrap(), &[3; 32])),
        origin,
        sealing_key: SealingKey::new([5; 32]),
        clock: Arc::new(SystemClock::new()),
    };
    let store = EmbeddedStore::open(config).unwrap();
    (dir, Arc::new(store))
}

/// Runs so many writers and gathers how long each step took, sorted.
async fn measure<S, F>(writers: usize, step: S) -> Vec<Duration>
where
    S: Fn(usize, u64) -> F + Clone + Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let start = Instant::now();
    let writer = |writer: usize| {
        let step = step.clone();
        tokio::spawn(async move {
            let mut took = Vec::new();
            for round in 0.. {
                let begin = Instant::now();
                if begin - start > WARM_UP + MEASURED {
                    break;
                }
                step(writer, round).await;
                if begin - start > WARM_UP {
                    took.push(begin.elapsed());
                }
            }
            took
        })
    };
    let running: Vec<_> = (0..writers).map(writer).collect();
    let mut took = Vec::new();
    for writer in running {
        took.extend(writer.await.unwrap());
    }
    took.sort_unstable();
    took
}

fn print(what: &str, writers: usize, took: Vec<Duration>) {
    let at = |share: f64| {
        let place = (took.len() as f64 * share) as usize;
        took.get(place.min(took.len() - 1)).map_or(0.0, |took| took.as_secs_f64() * 1e3)
    };
    println!(
        "| {what} | {writers} | {:.0} | {:.2} | {:.2} | {:.2} |",
        took.len() as f64 / MEASURED.as_secs_f64(),
        at(0.5),
        at(0.99),
        at(1.0),
    );
}

/// Look-ups beside many approvals.
async fn large(base: &Path) {
    const STANDING: usize = 100_000;
    let (dir, store) = open(base);
    let desk = Desk::new(store.origin().clone());
    let before = resident();
    let begin = Instant::now();
    let each = |writer: usize| {
        let (store, desk) = (Arc::clone(&store), desk.clone());
        tokio::spawn(async move {
            for n in (writer..STANDING).step_by(256) {
                if n % 2 == 0 {
                    desk.finished(&store, &format!("queue-{n}")).await;
                } else {
                    desk.open(store.as_ref(), &format!("queue-{n}")).await;
                }
            }
        })
    };
    for writer in (0..256).map(each).collect::<Vec<_>>() {
        writer.await.unwrap();
    }
    println!(
        "\n{STANDING} approvals, half of them standing, opened in {:.1} s",
        begin.elapsed().as_secs_f64()
    );
    println!("resident memory grew by {} KiB", resident().saturating_sub(before));
    let size: u64 =
        std::fs::read_dir(dir.path()).unwrap().map(|file| file.unwrap().metadata().unwrap().len()).sum();
    println!("on disk: {} MiB", size >> 20);

    let filter = |state: &str| Filter { states: vec![state.to_owned()], ..Filter::default() };
    let middle = store.list(&Filter::default(), None, 1).await.unwrap().next;
    println!("\n| look-up | ms |\n|---|---:|");
    let timed = async |what: &str, read: std::pin::Pin<Box<dyn Future<Output = ()> + Send>>| {
        let begin = Instant::now();
        read.await;
        println!("| {what} | {:.2} |", begin.elapsed().as_secs_f64() * 1e3);
    };
    let list = |filter: Filter, after: Option<Cursor>| {
        let store = Arc::clone(&store);
        Box::pin(async move {
            store.list(&filter, after, 50).await.unwrap();
        })
    };
    timed("list, 50 of all", list(Filter::default(), None)).await;
    timed("list, 50 pending", list(filter("pending"), middle)).await;
    timed("list, denied (none)", list(filter("denied"), None)).await;
    let of_caller = Filter { caller: Some(desk.caller()), ..filter("finished") };
    timed("list, 50 finished of a caller", list(of_caller, None)).await;
    let (at, caller) = (Arc::clone(&store), desk.caller());
    let prior = async move { at.prior(caller, "broker http.delete").await.map(drop).unwrap() };
    timed("prior, of one shape", Box::pin(prior)).await;
    let at = Arc::clone(&store);
    timed("lapsed (none)", Box::pin(async move { drop(at.lapsed(100).await.unwrap()) })).await;
    let at = Arc::clone(&store);
    timed(
        "inclusion proof",
        Box::pin(async move {
            let size = at.head().await.unwrap().size;
            drop(at.inclusion(size / 3, size).await.unwrap());
        }),
    )
    .await;
    let at = Arc::clone(&store);
    timed("audit of everything", Box::pin(async move { drop(at.audit().await.unwrap()) })).await;
}

/// This process's resident memory, in KiB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).unwrap_or(0)
}
