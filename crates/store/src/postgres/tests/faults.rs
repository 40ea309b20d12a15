//! Servers that crash, roads that are cut, and databases that are older than the log.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use audit::leaf_hash;
use domain::canonical;
use domain::entry::{Kind, Leaf};

use super::super::PostgresStore;
use super::place::Place;
use super::proxy::Proxy;
use super::server::Server;
use crate::conformance::Deployment as _;
use crate::conformance::testing::{Desk, note};
use crate::{Approvals as _, Ledger as _, Opened, Position, Store as _, StoreError, open_fields};

const PATIENCE: Duration = Duration::from_secs(10);

/// What was acknowledged: the text of each entry by its place.
type Acknowledged = Arc<Mutex<BTreeMap<u64, String>>>;

/// Writes on and on, whatever fails, until it is stopped; remembers what it was told.
fn keep_writing(store: &Arc<PostgresStore>, name: &str, told: &Acknowledged) -> tokio::task::JoinHandle<()> {
    let (store, told, name) = (Arc::clone(store), Arc::clone(told), name.to_owned());
    tokio::spawn(async move {
        let desk = Desk::new(store.origin().clone());
        for n in 0_u64.. {
            let text = format!("{name}/{n}");
            if let Ok(recorded) = store.record(note(&text)).await {
                let Position { index, .. } = recorded.position();
                let before = told.lock().unwrap().insert(index, text);
                assert_eq!(before, None, "two entries at one place");
            }
            let request = desk.request(store.as_ref(), &format!("{name}/{n}"));
            if let Ok(Opened::New(recorded)) = store.open(request).await {
                let id = recorded.get().case().id;
                told.lock().unwrap().insert(recorded.position().index, id.to_string());
            }
        }
    })
}

/// Everything that was acknowledged stands where it was said to stand, and the log is whole.
async fn all_stand(store: &PostgresStore, told: &Acknowledged) -> usize {
    let head = store.audit().await.unwrap();
    let told = told.lock().unwrap().clone();
    for (index, text) in &told {
        assert!(*index < head.size, "entry {index} of {} was acknowledged", head.size);
        let entry = store.entry(*index).await.unwrap();
        let leaf: Leaf = canonical::read(&entry.leaf).unwrap();
        let found = if leaf.kind == Kind::Request {
            leaf.subject.unwrap()
        } else {
            String::from_utf8(open_fields(&entry.fields)[0].value.0.clone()).unwrap()
        };
        assert_eq!(found, *text, "at {index}");
    }
    told.len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_crashes_over_and_over_loses_nothing() {
    const ROUNDS: usize = 5;
    let server = Arc::new(Server::start());
    let place = Place::new(&server);
    let store = Arc::new(place.open_store().await);
    let other = Arc::new(place.open_beside("second", place.url.clone()).await);
    let told = Acknowledged::default();
    let writers: Vec<_> = (0..6)
        .map(|n| keep_writing(if n % 2 == 0 { &store } else { &other }, &n.to_string(), &told))
        .collect();
    for round in 0..ROUNDS {
        let before = told.lock().unwrap().len();
        let moves = async {
            while told.lock().unwrap().len() < before + 20 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(40), moves)
            .await
            .unwrap_or_else(|_| panic!("stuck in round {round}"));
        // At no moment in particular: in the midst of a commit, as likely as not.
        tokio::time::sleep(Duration::from_millis(37 * round as u64 % 50)).await;
        let server = Arc::clone(&server);
        tokio::task::spawn_blocking(move || {
            server.crash();
            server.resume();
        })
        .await
        .unwrap();
    }
    for writer in writers {
        writer.abort();
    }
    // The gateways that lived through it go on, and one that starts finds the same.
    store.record(note("on")).await.unwrap();
    other.record(note("and on")).await.unwrap();
    assert!(all_stand(&store, &told).await >= ROUNDS * 20);
    store.close(PATIENCE).await;
    all_stand(&place.open_store().await, &told).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_road_that_is_cut_fails_closed_and_heals() {
    let server = Arc::new(Server::start());
    let place = Place::new(&server);
    let near = place.open_store().await;
    near.record(note("one")).await.unwrap();
    let proxy = Proxy::to(server.port()).await;
    let url = format!("postgres://postgres@127.0.0.1:{}/{}", proxy.port(), place.name);
    let url = super::super::DatabaseUrl::parse(&url).unwrap();
    let far = Arc::new(place.open_beside("second", url).await);
    let told = Acknowledged::default();
    let writers: Vec<_> = (0..4).map(|n| keep_writing(&far, &n.to_string(), &told)).collect();
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!told.lock().unwrap().is_empty());

    proxy.cut(true);
    tokio::time::sleep(Duration::from_millis(500)).await;
    let before = told.lock().unwrap().len();
    // Whoever is on the right side of the cut goes on once the server has given the others up.
    let on = tokio::time::timeout(Duration::from_secs(15), near.record(note("two"))).await;
    on.expect("one gateway behind a cut held up the other").unwrap();
    assert_eq!(told.lock().unwrap().len(), before, "nothing is acknowledged that is not known to stand");
    for writer in writers {
        writer.abort();
    }

    proxy.cut(false);
    let healed = async {
        while far.record(note("three")).await.is_err() {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), healed).await.expect("the road was mended");
    all_stand(&near, &told).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_copy_stops_whoever_has_seen_more() {
    let server = Arc::new(Server::start());
    let place = Place::new(&server);
    let store = place.open_store().await;
    for n in 0..3 {
        store.record(note(&n.to_string())).await.unwrap();
    }
    let copy = place.dir.path().join("old.copy");
    place.back_up(&store, &copy).await.unwrap();
    for n in 0..3 {
        store.record(note(&n.to_string())).await.unwrap();
    }
    let signed = store.head().await.unwrap();
    store.close(PATIENCE).await;

    // Put in place by hand, under the same name.
    let put = |name: &str| {
        server.sql("postgres", &format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"));
        server.database(name);
        let restored = server.client("pg_restore").args(["--dbname", name]).arg(&copy).output().unwrap();
        assert!(restored.status.success());
    };
    put(&place.name);
    let refused = place.try_open().await.unwrap_err();
    assert!(
        matches!(&refused, StoreError::LogStopped(why) if why.contains("it is an old backup")),
        "{refused}"
    );
    let gone = PostgresStore::open_accepting_loss(place.config(), "the disk died").await.unwrap();
    let head = gone.head().await.unwrap();
    assert!(head.size < signed.size);
    let gap = gone.entry(head.size - 1).await.unwrap();
    assert_eq!(canonical::read::<Leaf>(&gap.leaf).unwrap().kind, Kind::Gap);
    // Beyond what had been signed, it is a fork for whoever knows: another gateway that comes back.
    fs::write(place.dir.path().join("second"), signed.checkpoint).unwrap();
    while gone.head().await.unwrap().size <= signed.size {
        gone.record(note("another life")).await.unwrap();
    }
    let second = place.config_at(place.url.clone(), &place.dir.path().join("second"));
    let refused = PostgresStore::open(second).await.unwrap_err();
    assert!(matches!(&refused, StoreError::LogStopped(why) if why.contains("it is a fork")), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_gateway_notices_that_the_log_went_back() {
    let server = Arc::new(Server::start());
    let place = Place::new(&server);
    let store = place.open_store().await;
    let checkpoint = "CREATE TABLE kept AS SELECT checkpoint.*, head.frontier AS edge FROM checkpoint, head";
    place.sql(checkpoint);
    let hash = leaf_hash(&store.entry(0).await.unwrap().leaf);
    assert_eq!(store.tile(0, 0, 1).await.unwrap(), [*hash.as_bytes()]);
    store.record(note("one")).await.unwrap();
    place.sql(
        "DELETE FROM entry WHERE idx = 1;
         UPDATE checkpoint SET size = kept.size, root = kept.root, time = kept.time, frontier = kept.frontier, note = kept.note
             FROM kept;
         UPDATE head SET size = kept.size, root = kept.root, time = kept.time, frontier = kept.edge FROM kept",
    );
    let refused = store.record(note("two")).await;
    assert!(matches!(&refused, Err(StoreError::LogStopped(why)) if why.contains("old copy")), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_may_lose_commits_is_refused() {
    let server = Arc::new(Server::start());
    let place = Place::new(&server);
    server.sql("postgres", "ALTER SYSTEM SET fsync = off");
    server.sql("postgres", "SELECT pg_reload_conf()");
    tokio::time::sleep(Duration::from_millis(300)).await;
    let refused = place.try_open().await.unwrap_err();
    assert!(matches!(&refused, StoreError::LogStopped(why) if why.contains("fsync")), "{refused}");
    server.sql("postgres", "ALTER SYSTEM RESET fsync");
    server.sql("postgres", "SELECT pg_reload_conf()");
    // A session that is told to be careless is told otherwise by us.
    server.sql("postgres", &format!("ALTER DATABASE {} SET synchronous_commit = off", place.name));
    tokio::time::sleep(Duration::from_millis(300)).await;
    let store = place.open_store().await;
    let client = store.shared.pool.get().await.unwrap();
    let told = client.query_one("SHOW synchronous_commit", &[]).await.unwrap();
    assert_eq!(told.get::<_, String>(0), "on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_is_wrong_writes_nothing() {
    let server = Arc::new(Server::start());
    let place = Place::new(&server);
    // The tests' clock stands years from the database's.
    let mut config = place.config();
    config.skew_limit = Some(super::super::SKEW_LIMIT);
    let refused = PostgresStore::open(config).await.unwrap_err().to_string();
    assert!(refused.contains("seconds apart"), "{refused}");
    assert_eq!(place.sql("SELECT size FROM head"), "0");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_tls_the_server_must_be_who_it_is_said_to_be() {
    use super::super::DatabaseUrl;
    let server = Arc::new(Server::start());
    let place = Place::new(&server);
    let authority = server.offer_tls();
    // What only the server's user may read is handed over by whoever runs it.
    let known = place.dir.path().join("ca.pem");
    fs::copy(&authority, &known).unwrap();
    server.sql("postgres", "CREATE ROLE ada LOGIN SUPERUSER PASSWORD 'secret'");
    let url = |host: &str, rest: &str| {
        let text = format!("postgres://ada@{host}:{}/{}?{rest}", server.port(), place.name);
        DatabaseUrl::parse(&text).unwrap().with_password("secret")
    };
    let vouched = format!("&sslrootcert={}", known.display());
    for (host, rest) in [
        // Nobody vouches for it, or for somebody else.
        ("localhost", "sslmode=verify-full".to_owned()),
        ("127.0.0.1", format!("sslmode=verify-full{vouched}")),
        ("127.0.0.1", format!("sslmode=require{vouched}")),
    ] {
        let config = place.config_at(url(host, &rest), &place.anchor());
        let refused = PostgresStore::open(config).await.unwrap_err();
        assert!(matches!(refused, StoreError::Failed(_)), "{host} {rest}: {refused}");
    }
    let config = place.config_at(url("localhost", &format!("sslmode=verify-full{vouched}")), &place.anchor());
    let store = PostgresStore::open(config).await.unwrap();
    store.record(note("over TLS")).await.unwrap();
    let spoken = "SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
                  WHERE application_name = 'countersign'";
    assert_eq!(place.sql(spoken), "t");
}
