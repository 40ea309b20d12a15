//! A store, a folder of segments, and records as the gateway writes them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use audit::Ed25519Signer;
use domain::action::{Action, Draft, Level, Point, Resource, Target};
use domain::commitment::{Disclosure, Field};
use domain::digest::{Digest, Purpose};
use domain::directory::Directory;
use domain::entry::{self, Kind, Leaf};
use domain::evaluation::{DecidingRule, Decision, Evaluation};
use domain::id::{ActionId, AgentId, Origin, PersonId};
use domain::principal::Chain;
use domain::requirement::{Assurance, Hold, Quorum, Requirement, Separation};
use domain::time::{Span, Timestamp};
use gateway::activity::SealedSegment;
use serde_json::{Value, json};
use store::Store;
use store::clock::ManualClock;
use store::embedded::{EmbeddedConfig, EmbeddedStore};
use store::seal::SealingKey;
use tempfile::TempDir;
use uuid::Uuid;

use crate::event::tell::{self, Around};
use crate::event::walk::Part;
use crate::event::{Place, Standing, TrailEvent, Walk};

/// 2027-01-15T08:00:00Z.
pub(super) const START: u64 = 1_800_000_000_000_000;

pub(super) fn origin() -> Origin {
    "countersign.example/log".parse().unwrap()
}

fn uuid(n: u128) -> Uuid {
    Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0000 | n)
}

pub(super) fn id(n: u128) -> ActionId {
    ActionId::from_uuid(uuid(n))
}

pub(super) fn action(resource: &str) -> Action {
    Action::seal(Draft {
        v: 1,
        id: id(7),
        point: Point::Http,
        level: Level::Enforced,
        chain: Chain::agent(AgentId::from_uuid(uuid(2)), PersonId::from_uuid(uuid(3))),
        verb: "http.delete".parse().unwrap(),
        resource: Resource {
            name: resource.to_owned(),
            environment: "staging".parse().unwrap(),
            labels: BTreeMap::new(),
        },
        target: Target {
            name: "broker".parse().unwrap(),
            definition: Digest::of(Purpose::Definition, b"route"),
        },
        credential: None,
        session: BTreeMap::new(),
        run: Some("run-1".to_owned()),
        reason: Some("it is empty".to_owned()),
        payload: Digest::of(Purpose::Result, b""),
    })
    .unwrap()
}

pub(super) fn evaluation(action: &Action) -> Evaluation {
    let hold = Hold {
        rule: "deletes".parse().unwrap(),
        why: "people look first".to_owned(),
        any_of: vec![Quorum { group: "dba".parse().unwrap(), count: 1, break_glass: false }],
    };
    Evaluation {
        v: 1,
        action: action.digest(),
        policy: Digest::of(Purpose::Policy, b"permit ..."),
        directory: 12,
        facts: BTreeMap::new(),
        decision: Decision::NeedsReview(Requirement {
            holds: vec![hold],
            ttl: Span::from_seconds(1_800),
            grant: Span::from_seconds(300),
            assurance: Assurance::Passkey,
            separation: Separation::Full,
        }),
        rules: vec![DecidingRule { id: "deletes".parse().unwrap(), why: "people look first".to_owned() }],
        shadow: Vec::new(),
    }
}

/// An entry as the store would have it, told at a fixed place.
pub(super) fn told(draft: entry::Draft, withhold: bool) -> TrailEvent {
    let mut salt = 0_u8;
    let sealed = draft
        .seal(&origin(), Timestamp::from_micros(START), || {
            salt += 1;
            [salt; 32]
        })
        .unwrap();
    let leaf: Leaf = domain::canonical::read(&sealed.leaf).unwrap();
    let fields: Vec<_> = sealed
        .fields
        .into_vec()
        .into_iter()
        .map(|field: Field| match withhold {
            true => Disclosure::Withheld(field.commitment().unwrap()),
            false => Disclosure::Open(field),
        })
        .collect();
    let hash = Digest::from_bytes(*audit::leaf_hash(&sealed.leaf).as_bytes());
    let standing = Standing { index: 41, line: None, leaf: Some(hash), size: 50 };
    let directory = Directory::default();
    tell::entry(&leaf, &fields, standing, Around { origin: &origin(), directory: &directory, about: None })
}

pub(super) fn permit(n: u128) -> Value {
    json!({
        "v": 1, "id": id(n), "time": START + 1, "effect": "permit", "point": "http", "level": "enforced",
        "caller": format!("agent:{}", AgentId::from_uuid(uuid(2))),
        "behind": [{ "party": format!("person:{}", PersonId::from_uuid(uuid(3))), "role": "sponsor" }],
        "verb": "http.get", "resource": { "name": format!("queues/{n}"), "environment": "staging", "labels": {} },
        "target": { "name": "broker", "definition": Digest::of(Purpose::Definition, b"route") },
        "run": null, "reason": null, "rules": ["reads"], "policy": Digest::of(Purpose::Policy, b"permit ..."),
        "action": null,
    })
}

pub(super) fn finished(n: u128) -> Value {
    json!({
        "v": 1, "id": id(n), "time": START + 2, "effect": "outcome",
        "outcome": { "ending": "succeeded", "witnessed": "observed", "detail": "200", "result": null, "bytes": 3 },
    })
}

pub(super) struct House {
    pub(super) store: Arc<dyn Store>,
    pub(super) clock: Arc<ManualClock>,
    dir: TempDir,
}

impl House {
    pub(super) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::new(Timestamp::from_micros(START)));
        let store = EmbeddedStore::open(EmbeddedConfig {
            path: dir.path().join("countersign.db"),
            anchor_path: dir.path().join("anchor"),
            origin: origin(),
            signer: Box::new(Ed25519Signer::new(origin().as_str().parse().unwrap(), &[9; 32])),
            sealing_key: SealingKey::new([8; 32]),
            clock: Arc::clone(&clock) as _,
        })
        .unwrap();
        std::fs::create_dir(dir.path().join("activity")).unwrap();
        Self { store: Arc::new(store), clock, dir }
    }

    pub(super) fn folder(&self) -> PathBuf {
        self.dir.path().join("activity")
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// An entry that stands for itself.
    pub(super) async fn gap(&self, reason: &str) {
        let fields = vec![("reason".to_owned(), reason.as_bytes().to_vec())];
        self.store.record(entry::Draft { kind: Kind::Gap, subject: None, fields }).await.unwrap();
    }

    /// A segment of these lines, with its entry; the file's path.
    pub(super) async fn segment(&self, lines: &[Value]) -> PathBuf {
        self.segment_of(lines, None).await
    }

    /// As [`House::segment`], of the gateway of a name.
    pub(super) async fn segment_of(&self, lines: &[Value], node: Option<&str>) -> PathBuf {
        let now = self.store.now();
        let file = format!("{:020}-{:06}.jsonl", now.micros(), self.store.head().await.unwrap().size);
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        let closed = self.folder().join(&file);
        std::fs::write(&closed, &text).unwrap();
        let sealed = SealedSegment {
            file,
            records: lines.len() as u64,
            digest: Digest::of(Purpose::Segment, text.as_bytes()),
            first: now,
            last: now,
            recovered: false,
            node: node.map(str::to_owned),
        };
        self.store.record(sealed.entry().unwrap()).await.unwrap();
        closed
    }

    pub(super) fn walk(&self, from: Place) -> Walk {
        Walk::from(Arc::clone(&self.store), self.folder(), from, Part::All)
    }

    /// Everything from a place on, in pages of a size.
    pub(super) async fn all(&self, from: Place, page: usize) -> Vec<TrailEvent> {
        let mut walk = self.walk(from);
        let mut events = Vec::new();
        loop {
            let told = walk.next(page, None).await.unwrap();
            if told.is_empty() {
                return events;
            }
            events.extend(told.into_iter().map(|told| told.event));
        }
    }
}
