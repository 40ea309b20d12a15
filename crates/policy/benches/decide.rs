//! What one decision costs, at 20, 200 and 2,000 rules: half permits and half holds, spread over targets and
//! groups as a deployment's are. `cargo bench -p policy`.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, reason = "a benchmark")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use domain::action::{Draft, Level, Point, Resource, Target};
use domain::digest::{Blob, Digest, Purpose};
use domain::directory::{Directory, DirectoryEvent};
use domain::evaluation::{Fact, Facts};
use domain::id::{ActionId, AgentId, PersonId};
use domain::principal::Chain;
use domain::time::Timestamp;
use policy::{PolicySet, Question};

fn text(rules: usize) -> String {
    let mut text = include_str!("../../../policies/http.cedar").to_owned();
    for n in 0..rules / 2 {
        let _ = writeln!(
            text,
            "@id(\"permit-{n}\") permit (principal in Group::\"team-{}\", action in Action::\"write\", resource in Target::\"service-{n}\") when {{ context.matched }};\n\
             @id(\"hold-{n}\") @hold(\"dba:2 | admins:1\") @ttl(\"30m\") @why(\"Removes data\") forbid (principal, action in Action::\"destroy\", resource in Target::\"service-{n}\") unless {{ context has rows && context.rows <= 1000 }};",
            n % 40
        );
    }
    text
}

fn directory(people: u8) -> Directory {
    let mut directory = Directory::default();
    let mut apply = |event| directory.apply(&event, Timestamp::ZERO).unwrap();
    for n in 0..people {
        let id = PersonId::new(Timestamp::ZERO, &[n; 10]);
        apply(DirectoryEvent::PersonAdded { id, name: format!("person-{n}") });
        for group in 0..3 {
            let group = format!("team-{}", (n + group) % 40).parse().unwrap();
            apply(DirectoryEvent::GroupJoined { group, person: id });
        }
    }
    let sponsor = PersonId::new(Timestamp::ZERO, &[0; 10]);
    apply(DirectoryEvent::AgentAdded {
        id: agent(),
        name: "agent".to_owned(),
        sponsor,
        key: Blob(vec![0; 32]),
    });
    directory
}

fn agent() -> AgentId {
    AgentId::new(Timestamp::ZERO, &[200; 10])
}

fn draft(verb: &str) -> Draft {
    let nothing = Digest::of(Purpose::Definition, b"");
    Draft {
        v: 1,
        id: ActionId::new(Timestamp::ZERO, &[0; 10]),
        point: Point::Http,
        level: Level::Enforced,
        chain: Chain::agent(agent(), PersonId::new(Timestamp::ZERO, &[0; 10])),
        verb: verb.parse().unwrap(),
        resource: Resource {
            name: "queues/%2F/orders".to_owned(),
            environment: "prod".parse().unwrap(),
            labels: BTreeMap::from([("team".to_owned(), "payments".to_owned())]),
        },
        target: Target { name: "service-5".parse().unwrap(), definition: nothing },
        credential: None,
        session: BTreeMap::new(),
        run: None,
        reason: Some("because".to_owned()),
        payload: nothing,
    }
}

fn facts() -> Facts {
    [
        ("matched".to_owned(), Fact::Bool(true)),
        ("parsed".to_owned(), Fact::Bool(true)),
        ("risk".to_owned(), Fact::Int(60)),
        ("method".to_owned(), Fact::Text("DELETE".to_owned())),
        ("operation".to_owned(), Fact::Text("delete-queue".to_owned())),
        ("prior_runs".to_owned(), Fact::Int(3)),
        ("prior_denials".to_owned(), Fact::Int(0)),
        ("denied_today".to_owned(), Fact::Int(0)),
    ]
    .into()
}

fn decide(criterion: &mut Criterion) {
    let directory = directory(200);
    let facts = facts();
    for rules in [20, 200, 2_000] {
        let set = PolicySet::load(&text(rules)).expect("the bench's text loads");
        for (name, verb) in [("held", "http.delete"), ("permitted", "http.get")] {
            let draft = draft(verb);
            let question =
                Question { action: &draft, digest: draft.payload, facts: &facts, directory: &directory };
            criterion.bench_function(&format!("decide/{name}/{rules}"), |bench| {
                bench.iter(|| set.evaluate(black_box(&question)))
            });
        }
    }
    let set = PolicySet::load(&text(200)).expect("the bench's text loads");
    let draft = draft("http.get");
    let question = Question { action: &draft, digest: draft.payload, facts: &facts, directory: &directory };
    criterion.bench_function("memo-key", |bench| bench.iter(|| set.memo_key(black_box(&question))));
    let text = text(2_000);
    criterion.bench_function("load/2000", |bench| {
        bench.iter(|| PolicySet::load(black_box(&text)).map(|set| set.digest()))
    });
}

criterion_group! { name = benches; config = Criterion::default().sample_size(50).measurement_time(std::time::Duration::from_secs(3)); targets = decide }
criterion_main!(benches);
