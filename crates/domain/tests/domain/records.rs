//! Records: every part of an action is under its digest, and nothing that is not of a record's shape is read.

use domain::action::{Action, Draft, Level, Point};
use domain::canonical;
use domain::commitment::{Disclosure, Field, Fields};
use domain::digest::{Blob, Digest};
use domain::entry::{self, Kind, Leaf};
use domain::evaluation::{Decision, Evaluation};
use domain::event::Event;
use domain::id::ActionId;
use domain::principal::{Link, Principal, Role};
use domain::receipt::{Entry, Receipt};
use domain::statement::{Statement, Verdict};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::support::*;

/// A change of one part of a record.
type Mutation = (&'static str, fn(&mut Draft));

#[test]
fn every_part_of_an_action_is_under_its_digest() {
    let mutations: Vec<Mutation> = vec![
        ("id", |d| d.id = ActionId::from_uuid(grant(9).uuid())),
        ("point", |d| d.point = Point::Rest),
        ("level", |d| d.level = Level::Cooperative),
        ("chain.caller", |d| d.chain.caller = Principal::Person(person(3))),
        ("chain.behind party", |d| d.chain.behind[0].party = Principal::Person(person(3))),
        ("chain.behind role", |d| d.chain.behind[0].role = Role::Delegate),
        ("chain.behind order", |d| d.chain.behind.reverse()),
        ("chain.behind shorter", |d| {
            d.chain.behind.pop();
        }),
        ("chain.behind longer", |d| {
            d.chain.behind.push(Link { party: Principal::Agent(agent()), role: Role::Delegate })
        }),
        ("verb", |d| d.verb = "http.put".parse().unwrap()),
        ("resource.name", |d| d.resource.name.push('2')),
        ("resource.environment", |d| d.resource.environment = "dev".parse().unwrap()),
        ("resource.labels value", |d| {
            d.resource.labels.insert("team".to_owned(), "x".to_owned());
        }),
        ("resource.labels key", |d| {
            d.resource.labels.insert("x".to_owned(), "payments".to_owned());
        }),
        ("resource.labels none", |d| d.resource.labels.clear()),
        ("target.name", |d| d.target.name = "rabbit2".parse().unwrap()),
        ("target.definition", |d| d.target.definition = Digest::from_bytes([1; 32])),
        ("credential", |d| d.credential = Some("other".parse().unwrap())),
        ("credential none", |d| d.credential = None),
        ("session value", |d| {
            d.session.insert("search_path".to_owned(), "evil".to_owned());
        }),
        ("session none", |d| d.session.clear()),
        ("run", |d| d.run = Some("run-8".to_owned())),
        ("run none", |d| d.run = None),
        ("reason", |d| d.reason = Some("the queue is stuck.".to_owned())),
        ("reason none", |d| d.reason = None),
        ("payload", |d| d.payload = Digest::from_bytes([8; 32])),
    ];
    // A new part of the record does not compile here before it has its row above.
    let Draft {
        v: _,
        id: _,
        point: _,
        level: _,
        chain: _,
        verb: _,
        resource: _,
        target: _,
        credential: _,
        session: _,
        run: _,
        reason: _,
        payload: _,
    } = draft("prod");

    let mut seen = vec![("nothing", action("prod").digest())];
    for (part, mutate) in mutations {
        let mut draft = draft("prod");
        mutate(&mut draft);
        let digest = Action::seal(draft).unwrap().digest();
        if let Some((same, _)) = seen.iter().find(|(_, other)| *other == digest) {
            panic!("changing {part} gives the digest of changing {same}");
        }
        seen.push((part, digest));
    }
}

#[test]
fn every_byte_of_an_actions_record_is_under_its_digest() {
    let action = action("prod");
    for at in 0..action.bytes().len() {
        for bit in 0..8 {
            let mut bytes = action.bytes().to_vec();
            bytes[at] ^= 1 << bit;
            if let Ok(read) = Action::read(bytes) {
                assert_ne!(read.digest(), action.digest(), "byte {at}, bit {bit}");
            }
        }
    }
    assert_eq!(Action::read(action.bytes().to_vec()).unwrap(), action);
}

#[test]
fn every_byte_of_every_payload_field_is_under_the_actions_digest() {
    let fields = vec![
        Field::new("http.body", [1; 32], *b"{\"purge\":true}"),
        Field::new("http.query", [2; 32], *b"if-empty=false"),
    ];
    let digest = |fields: Vec<Field>| {
        let payload = Fields::new(fields).unwrap().root().unwrap();
        Action::seal(Draft { payload, ..draft("prod") }).unwrap().digest()
    };
    let honest = digest(fields.clone());
    let flips = |change: &dyn Fn(&mut Field, usize), length: usize, which: usize| {
        for at in 0..length {
            let mut changed = fields.clone();
            change(&mut changed[which], at);
            assert_ne!(digest(changed), honest);
        }
    };
    for (which, field) in fields.iter().enumerate() {
        flips(&|field, at| field.value.0[at] ^= 1, field.value.0.len(), which);
        flips(
            &|field, at| {
                field.value.0.remove(at);
            },
            field.value.0.len(),
            which,
        );
        flips(&|field, at| field.salt.0[at] ^= 1, 32, which);
        flips(&|field, at| field.path.replace_range(at..=at, "_"), field.path.len(), which);
    }
    assert_ne!(digest(fields[..1].to_vec()), honest);
    assert_ne!(digest([fields, vec![Field::new("x", [3; 32], *b"")]].concat()), honest);
}

/// Puts an unknown member into each object of a record in turn; the maps with free keys are passed over.
fn with_unknown_members(value: &Value) -> Vec<(String, Value)> {
    const FREE: [&str; 4] = ["labels", "session", "facts", "effects"];
    let mut found = Vec::new();
    match value {
        Value::Object(members) => {
            let mut here = members.clone();
            here.insert("unknown".to_owned(), json!(null));
            found.push((String::new(), Value::Object(here)));
            for (key, member) in members.iter().filter(|(key, _)| !FREE.contains(&key.as_str())) {
                for (path, changed) in with_unknown_members(member) {
                    let mut whole = members.clone();
                    whole.insert(key.clone(), changed);
                    found.push((format!("{key}.{path}"), Value::Object(whole)));
                }
            }
        }
        Value::Array(items) => {
            for (n, item) in items.iter().enumerate() {
                for (path, changed) in with_unknown_members(item) {
                    let mut whole = items.clone();
                    whole[n] = changed;
                    found.push((format!("{n}.{path}"), Value::Array(whole)));
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
    found
}

fn is_strict<T: DeserializeOwned>(name: &str, bytes: &[u8]) {
    canonical::read::<T>(bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
    let value = canonical::read_value(bytes).unwrap();
    for (path, changed) in with_unknown_members(&value) {
        let changed = canonical::write(&changed).unwrap();
        assert!(
            canonical::read::<T>(&changed).is_err(),
            "{name}: an unknown member at `{path}` was read over"
        );
    }
    let text = std::str::from_utf8(bytes).unwrap();
    assert!(canonical::read::<T>(format!("{text} ").as_bytes()).is_ok(), "white space means nothing");
    assert!(canonical::read::<T>(format!("{text}x").as_bytes()).is_err());
    if let Some(first) =
        text.strip_prefix('{').and_then(|rest| rest.split(',').next()).filter(|m| !m.contains(['{', '[']))
    {
        let twice = format!("{{{first},{}", &text[1..]);
        assert!(canonical::read::<T>(twice.as_bytes()).is_err(), "{name}: `{first}` stands twice");
    }
}

fn has_one_version<T: DeserializeOwned>(name: &str, bytes: &[u8]) {
    for version in [json!(0), json!(2), json!("1"), json!(null), json!(257)] {
        let mut value = canonical::read_value(bytes).unwrap();
        value["v"] = version.clone();
        let changed = canonical::write(&value).unwrap();
        assert!(canonical::read::<T>(&changed).is_err(), "{name}: version {version} was read");
    }
}

#[test]
fn no_record_is_read_that_has_more_than_its_shape_or_another_version() {
    let action = action("prod");
    let evaluation = held(&action, requirement(&[&[(2, 0), (1, 1)]]));
    let statement = statement(&action, &evaluation, 2, Verdict::Approve, 1);
    is_strict::<Draft>("action", action.bytes());
    is_strict::<Evaluation>("evaluation", &canonical::write(&evaluation).unwrap());
    is_strict::<Statement>("statement", &statement.write().unwrap());
    for event in crate::format::events() {
        is_strict::<Event>(event.word(), &canonical::write(&event).unwrap());
    }
    for (name, change) in crate::format::changes() {
        is_strict::<domain::directory::Change>(name, &canonical::write(&change).unwrap());
    }
    let sealed = crate::format::sealed_request();
    is_strict::<Leaf>("leaf", &sealed.leaf);
    is_strict::<Receipt>("receipt", &canonical::write(&crate::format::receipt()).unwrap());

    has_one_version::<Evaluation>("evaluation", &canonical::write(&evaluation).unwrap());
    has_one_version::<Leaf>("leaf", &sealed.leaf);
    has_one_version::<Receipt>("receipt", &canonical::write(&crate::format::receipt()).unwrap());
    let refused = |bytes: Vec<u8>| Action::read(bytes.clone()).is_err() && Statement::read(&bytes).is_err();
    for version in ["0", "2", "\"1\""] {
        let of = |bytes: &[u8]| {
            String::from_utf8(bytes.to_vec()).unwrap().replace("\"v\":1", &format!("\"v\":{version}"))
        };
        assert!(refused(of(action.bytes()).into_bytes()));
        assert!(refused(of(&statement.write().unwrap()).into_bytes()));
    }
}

#[test]
fn a_fact_that_json_would_round_has_no_digest() {
    let action = action("prod");
    let mut evaluation = evaluation(&action, Decision::Permit);
    for rows in [(1 << 53) + 1, i64::MAX, i64::MIN] {
        evaluation.facts.insert("rows".to_owned(), domain::evaluation::Fact::Int(rows));
        assert!(evaluation.digest().is_err(), "{rows}");
    }
}

#[test]
fn actions_over_their_limits_are_refused() {
    let refused = |change: fn(&mut Draft)| {
        let mut draft = draft("prod");
        change(&mut draft);
        let bytes = canonical::write(&draft).unwrap();
        Action::seal(draft).is_err() && Action::read(bytes).is_err()
    };
    assert!(!refused(|_| {}));
    assert!(refused(|d| d.v = 2));
    assert!(refused(|d| d.reason = Some("x".repeat(2_001))));
    assert!(refused(|d| d.run = Some("x".repeat(257))));
    assert!(refused(|d| d.resource.name = "x".repeat(8_193)));
    assert!(refused(|d| d.chain.behind = vec![d.chain.behind[0]; 17]));
    assert!(!refused(|d| d.chain.behind = vec![d.chain.behind[0]; 16]));
}

#[test]
fn each_invalid_combination_of_a_statement_is_refused() {
    let action = action("prod");
    let standing = held(&action, requirement(&[&[(1, 0)]]));
    let is_ok = |verdict, change: fn(&mut Statement)| {
        let mut statement = statement(&action, &standing, 2, verdict, 1);
        change(&mut statement);
        let read = Statement::read(&canonical::write(&statement).unwrap());
        assert_eq!(statement.write().is_ok(), read.is_ok(), "what is not written is not read");
        read.is_ok()
    };
    let (approve, deny, ask) = (Verdict::Approve, Verdict::Deny, Verdict::Ask);
    for verdict in [approve, deny, ask] {
        assert!(is_ok(verdict, |_| {}));
        assert!(is_ok(verdict, |s| s.note = Some("x".repeat(2_000))));
        for change in [
            (|s| s.v = 0) as fn(&mut Statement),
            |s| s.v = 2,
            |s| s.nonce = Blob(vec![0; 31]),
            |s| s.nonce = Blob(vec![0; 33]),
            |s| s.nonce = Blob(Vec::new()),
            |s| s.grant.uses = 0,
            |s| s.grant.uses = 2,
            |s| {
                s.effects.insert("rows".to_owned(), 10);
            },
            |s| s.note = Some("x".repeat(2_001)),
        ] {
            assert!(!is_ok(verdict, change));
        }
    }
    assert!(!is_ok(approve, |s| s.group = None));
    assert!(is_ok(approve, |s| s.note = Some("fine".to_owned())));
    assert!(is_ok(deny, |s| s.group = Some(group(0))));
    assert!(is_ok(deny, |s| s.note = None));
    assert!(!is_ok(ask, |s| s.note = None));
    assert!(!is_ok(ask, |s| s.note = Some(" \n\t".to_owned())));
    for word in ["edit", "respond", "Approve", ""] {
        let bytes = statement(&action, &standing, 2, deny, 1).write().unwrap();
        let text = String::from_utf8(bytes).unwrap().replace("\"deny\"", &format!("\"{word}\""));
        assert!(Statement::read(text.as_bytes()).is_err(), "`{word}` is no verdict of this version");
    }
}

#[test]
fn a_leaf_that_does_not_fit_a_bundle_is_refused() {
    let draft = |subject: usize| entry::Draft {
        kind: Kind::Gap,
        subject: Some("x".repeat(subject)),
        fields: Vec::new(),
    };
    let overhead = draft(0).seal(&origin(), at(0), || [0; 32]).unwrap().leaf.len();
    let fits = entry::LEAF_LIMIT_BYTES - overhead;
    assert!(draft(fits).seal(&origin(), at(0), || [0; 32]).is_ok());
    assert!(draft(fits + 1).seal(&origin(), at(0), || [0; 32]).is_err());
}

#[test]
fn withheld_and_open_fields_keep_their_root_and_their_order() {
    let sealed = crate::format::sealed_request();
    let leaf: Leaf = canonical::read(&sealed.leaf).unwrap();
    let open: Vec<_> = sealed.fields.as_slice().iter().cloned().map(Disclosure::Open).collect();
    assert_eq!(domain::commitment::disclosed_root(&open).unwrap(), leaf.fields);
    let turned: Vec<_> = open.iter().rev().cloned().collect();
    assert!(domain::commitment::disclosed_root(&turned).is_err());
    let twice = [&open[..1], &open[..1]].concat();
    assert!(domain::commitment::disclosed_root(&twice).is_err());
    let entry = Entry { index: 0, leaf: Blob(Vec::new()), proof: Vec::new(), fields: open };
    assert_eq!(entry.fields.len(), 2);
}
