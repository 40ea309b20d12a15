//! The follower over the real embedded store and real segments.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use domain::directory::{Change, DirectoryEvent};
use domain::entry::{Draft, Kind};
use domain::principal::Principal;
use domain::time::Timestamp;
use serde_json::json;
use store::clock::ManualClock;
use store::conformance::testing::{Desk, person};
use store::embedded::{EmbeddedConfig, EmbeddedStore};
use store::seal::SealingKey;
use store::{Leaves, Ledger as _, Pruning, Store};
use tempfile::TempDir;

use crate::index::{Ask, Reset};
use crate::query::Query;
use crate::record::Facet;
use crate::{Follower, Hit};

struct House {
    folder: TempDir,
    clock: Arc<ManualClock>,
    store: Arc<EmbeddedStore>,
    desk: Desk,
}

impl House {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("activity")).unwrap();
        let clock = Arc::new(ManualClock::new(Timestamp::from_micros(1_800_000_000_000_000)));
        let store = open_store(folder.path(), &clock);
        let desk = Desk::new(store.origin().clone());
        Self { folder, clock, store, desk }
    }

    fn path(&self) -> PathBuf {
        crate::follow::file(self.folder.path())
    }

    async fn follower(&self) -> Follower {
        let store: Arc<dyn Store> = Arc::clone(&self.store) as _;
        let activity = self.folder.path().join("activity");
        Follower::open(&self.path(), store, &activity, Reset::Keep).await.unwrap()
    }

    fn append(&self, segment: &str, text: &str) {
        let path = self.folder.path().join("activity").join(segment);
        let mut file = std::fs::OpenOptions::new().append(true).create(true).open(path).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    /// Whether these bytes stand anywhere in the index's files.
    fn holds(&self, text: &str) -> bool {
        let files = std::fs::read_dir(self.folder.path()).unwrap().flatten();
        let ours = files.filter(|file| file.file_name().to_string_lossy().starts_with("search.db"));
        ours.map(|file| std::fs::read(file.path()).unwrap())
            .any(|bytes| bytes.windows(text.len()).any(|window| window == text.as_bytes()))
    }
}

fn open_store(folder: &Path, clock: &Arc<ManualClock>) -> Arc<EmbeddedStore> {
    let origin: domain::id::Origin = "a.example/log".parse().unwrap();
    let store = EmbeddedStore::open(EmbeddedConfig {
        path: folder.join("log.db"),
        anchor_path: folder.join("anchor"),
        signer: Box::new(audit::Ed25519Signer::new(origin.as_str().parse().unwrap(), &[3; 32])),
        origin,
        sealing_key: SealingKey::new([5; 32]),
        clock: Arc::clone(clock) as _,
    });
    Arc::new(store.unwrap())
}

async fn found(follower: &Follower, text: &str) -> Vec<Hit> {
    let plan = Query::parse(text, Timestamp::ZERO).unwrap().plan(&domain::directory::Directory::default());
    follower.index().search(Ask { plan, limit: 100, ..Ask::default() }).await.unwrap().hits
}

async fn kinds(follower: &Follower, text: &str) -> String {
    let hits = found(follower, text).await;
    hits.iter().filter_map(|hit| hit.first(Facet::Kind)).collect::<Vec<_>>().join(" ")
}

/// A line of a permitted call, and one of what came of it.
fn lines(n: u128, time: u64, resource: &str) -> String {
    let id = uuid::Uuid::from_u128(n).to_string();
    let permit = json!({ "v": 1, "id": id, "time": time, "effect": "permit", "point": "http", "level": "enforced",
        "caller": format!("agent:{id}"), "behind": [{ "party": format!("person:{id}"), "role": "sponsor" }],
        "verb": "http.get", "resource": { "name": resource, "environment": "staging", "labels": {} },
        "target": { "name": "shop", "definition": "x" }, "run": null, "reason": "to see s3cr3t", "rules": ["all"] });
    let outcome = json!({ "v": 1, "id": id, "time": time + 1, "effect": "outcome",
        "outcome": { "ending": "failed", "witnessed": "observed", "detail": "502", "result": null, "bytes": 0 } });
    format!("{permit}\n{outcome}\n")
}

#[tokio::test]
async fn a_case_is_found_by_what_was_asked_whatever_followed() {
    let house = House::new();
    let store: Arc<dyn Store> = Arc::clone(&house.store) as _;
    house.desk.finished(&store, "orders-eu").await;
    let document = json!({ "mask": { "patterns": [{ "name": "ours", "regex": "s3cr3t" }] } }).to_string();
    let event = DirectoryEvent::RouteSet { name: "shop".parse().unwrap(), document };
    let change = Change { event, by: None, approval: None };
    store.change(store.directory().version(), vec![change]).await.unwrap();
    house.append("00000000000000000001-000000.open", &lines(7, 1_900_000_000_000_000, "carts/s3cr3t"));
    let mut follower = house.follower().await;
    follower.catch_up(|_| ()).await.unwrap();
    assert_eq!(kinds(&follower, "verb:http.delete source:log").await, "outcome execution review request");
    assert_eq!(kinds(&follower, "who:ana").await, "");
    let sponsor = Principal::Person(house.desk.sponsor());
    assert_eq!(kinds(&follower, &format!("sponsor:\"{sponsor}\" outcome:succeeded")).await, "outcome");
    assert_eq!(kinds(&follower, "held:yes verdict:approve").await, "review");
    assert_eq!(kinds(&follower, "target:shop").await, "outcome decision directory");
    let carts = found(&follower, "source:activity").await;
    let [outcome, decision] = carts.as_slice() else { panic!("two lines: {carts:?}") };
    let said = decision.words.words.clone().unwrap();
    assert!(said.starts_with("to see ") && !said.contains("s3cr3t"), "{said}");
    assert_eq!(outcome.words.resource, decision.words.resource);
    assert_eq!(kinds(&follower, "resource:carts \"to see\"").await, "decision");
    assert!(!house.holds("s3cr3t"), "what is masked never enters the file");
    // The payload stays out.
    assert!(found(&follower, "http.body").await.is_empty());
}

#[tokio::test]
async fn it_goes_on_where_it_stopped_and_reads_nothing_twice() {
    let house = House::new();
    let (one, two) = ("00000000000000000001-000000", "00000000000000000002-000000");
    let mut follower = house.follower().await;
    house.append(&format!("{one}.open"), &lines(1, 10, "a"));
    house.append(&format!("{one}.open"), "{\"torn\":");
    follower.catch_up(|_| ()).await.unwrap();
    assert_eq!(found(&follower, "target:shop").await.len(), 2);
    drop(follower);
    let folder = house.folder.path().join("activity");
    house.append(&format!("{one}.open"), "1}\n");
    house.append(&format!("{one}.open"), &lines(2, 20, "b"));
    std::fs::rename(folder.join(format!("{one}.open")), folder.join(format!("{one}.jsonl"))).unwrap();
    house.append(&format!("{two}.open"), &lines(3, 30, "c"));
    house
        .store
        .record(Draft {
            kind: Kind::Gap,
            subject: None,
            fields: vec![("reason".to_owned(), b"noon".to_vec())],
        })
        .await
        .unwrap();
    let mut follower = house.follower().await;
    follower.catch_up(|_| ()).await.unwrap();
    assert_eq!(found(&follower, "target:shop").await.len(), 6);
    assert_eq!(kinds(&follower, "noon").await, "gap");
    assert!(!follower.step().await.unwrap(), "nothing is left");
    // A segment that is gone takes its records along.
    std::fs::remove_file(folder.join(format!("{one}.jsonl"))).unwrap();
    let mut follower = house.follower().await;
    follower.catch_up(|_| ()).await.unwrap();
    assert_eq!(found(&follower, "target:shop").await.len(), 2);
}

#[tokio::test]
async fn erasure_reaches_the_file() {
    let house = House::new();
    let store: Arc<dyn Store> = Arc::clone(&house.store) as _;
    for n in 0..300 {
        house.desk.open(store.as_ref(), &format!("filler-{n}")).await;
    }
    house.desk.finished(&store, "jane-doe-1985").await;
    let mut follower = house.follower().await;
    follower.catch_up(|_| ()).await.unwrap();
    let request = found(&follower, "jane kind:request").await;
    let [hit] = request.as_slice() else { panic!("one request: {request:?}") };
    assert!(house.holds("jane"));
    let crate::Place::Log(index) = hit.place else { panic!("in the log") };
    let before = found(&follower, &format!("id:{}", hit.action.unwrap())).await;
    house.store.erase(index, &["action".to_owned()], Principal::Person(person())).await.unwrap();
    follower.catch_up(|_| ()).await.unwrap();
    assert!(found(&follower, "jane").await.is_empty());
    assert!(!house.holds("jane"), "not in the file, nor in its write-ahead log");
    assert!(house.holds("filler"));
    // What follows on it stands still, and has no more from it than the store says.
    let after = found(&follower, &format!("id:{}", hit.action.unwrap())).await;
    assert_eq!(after.len(), before.len() + 1, "the erasure belongs to the case");
    assert_eq!(kinds(&follower, &format!("id:{} verb:http.delete", hit.action.unwrap())).await, "");
    // And filled anew, it comes to the same.
    let activity = house.folder.path().join("activity");
    drop(follower);
    let mut anew = Follower::open(&house.path(), store, &activity, Reset::Drop).await.unwrap();
    anew.catch_up(|_| ()).await.unwrap();
    let again = found(&anew, &format!("id:{}", hit.action.unwrap())).await;
    assert_eq!(again, after);
}

#[tokio::test]
async fn an_index_of_another_past_is_built_anew() {
    let house = House::new();
    let store: Arc<dyn Store> = Arc::clone(&house.store) as _;
    house.desk.finished(&store, "first").await;
    let mut follower = house.follower().await;
    follower.catch_up(|_| ()).await.unwrap();
    assert_eq!(found(&follower, "first").await.len(), 1);
    drop(follower);
    let other = House::new();
    let store: Arc<dyn Store> = Arc::clone(&other.store) as _;
    other.desk.finished(&store, "second").await;
    std::fs::copy(house.path(), other.path()).unwrap();
    let mut follower = other.follower().await;
    follower.catch_up(|_| ()).await.unwrap();
    assert!(found(&follower, "first").await.is_empty());
    assert_eq!(found(&follower, "second").await.len(), 1);
}

#[tokio::test]
async fn nobody_else_reads_the_file() {
    use std::os::unix::fs::PermissionsExt as _;
    let house = House::new();
    let mut follower = house.follower().await;
    follower.catch_up(|_| ()).await.unwrap();
    for file in std::fs::read_dir(house.folder.path()).unwrap().flatten() {
        if file.file_name().to_string_lossy().starts_with("search.db") {
            assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{file:?}");
        }
    }
}

#[tokio::test]
async fn pruning_reaches_the_file() {
    let house = House::new();
    let store: Arc<dyn Store> = Arc::clone(&house.store) as _;
    for n in 0..80 {
        house.desk.finished(&store, &format!("old-{n}")).await;
    }
    let mut follower = house.follower().await;
    follower.catch_up(|_| ()).await.unwrap();
    let before = found(&follower, "old kind:request").await.len();
    assert_eq!(before, 80);
    house.clock.forward(Duration::from_secs(86_400));
    let pruning = Pruning {
        before: house.store.now(),
        leaves: Leaves::Drop,
        by: "the test".to_owned(),
        policy: "a day".to_owned(),
    };
    let pruned = house.store.prune(pruning).await.unwrap().expect("something is old enough");
    let below = pruned.get().below;
    follower.catch_up(|_| ()).await.unwrap();
    let left = found(&follower, "old kind:request").await;
    assert!(!left.is_empty() && left.len() < before, "{} of {before}", left.len());
    let place = |hit: &Hit| if let crate::Place::Log(index) = hit.place { index } else { 0 };
    assert!(left.iter().all(|hit| place(hit) >= below), "what was pruned is gone, the rest stands");
    assert!(found(&follower, "\"old 0\"").await.is_empty());
    assert_eq!(kinds(&follower, "kind:pruning").await, "pruning");
    drop(follower);
    let activity = house.folder.path().join("activity");
    let mut anew = Follower::open(&house.path(), store, &activity, Reset::Drop).await.unwrap();
    anew.catch_up(|_| ()).await.unwrap();
    assert_eq!(found(&anew, "old kind:request").await.len(), left.len());
}
