//! What the pages are rendered from in tests: one request in its many states, one inbox, one directory.

use domain::action::{Level, Point};
use domain::digest::{Blob, Digest, Purpose};
use domain::directory::{Directory, DirectoryEvent, Passkey};
use domain::evaluation::DecidingRule;
use domain::id::{ActionId, AgentId, PersonId, QuestionId};
use domain::outcome::{Ending, Outcome, Witnessed};
use domain::principal::Principal;
use domain::requirement::Progress;
use domain::statement::Verdict;
use domain::time::Timestamp;
use domain::verb::VerbGroup;
use gateway::card::{Card, Exchange, Part, Party, Shown};
use gateway::review::Standing;
use gateway::risk::{Reason, Risk};
use gateway::store::Prior;

use crate::inbox::{self, Inbox, Row, Tab};
use crate::request::{Earlier, HoldView, LaterView, Mine, ReviewView, Stage, View};
use crate::viewer::Viewer;

pub(super) const NOW: u64 = 1_763_690_000_000_000;

pub(super) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(NOW.checked_add_signed(seconds * 1_000_000).unwrap())
}

pub(super) fn action(n: u8) -> ActionId {
    format!("0195f3a0-0000-7000-8000-0000000000{n:02x}").parse().unwrap()
}

pub(super) fn person(n: u8) -> PersonId {
    format!("0195f3a0-0000-7000-8001-0000000000{n:02x}").parse().unwrap()
}

fn agent(n: u8) -> AgentId {
    format!("0195f3a0-0000-7000-8002-0000000000{n:02x}").parse().unwrap()
}

pub(super) fn question(n: u8) -> QuestionId {
    format!("0195f3a0-0000-7000-8003-0000000000{n:02x}").parse().unwrap()
}

pub(super) fn viewer(admin: bool) -> Viewer {
    Viewer { person: person(1), name: "Ada Brandt".to_owned(), admin, csrf: "csrf-secret".to_owned() }
}

pub(super) fn part(path: &str, text: &str) -> Part {
    Part {
        path: path.to_owned(),
        bytes: text.len() as u64,
        text: Some(Shown::new(text)),
        base64: None,
        cut: false,
        erased: false,
    }
}

fn request_parts(method: &str, target: &str, body: &str) -> Vec<Part> {
    vec![
        part("http.authority", "rabbit.internal:15672"),
        part("http.body", body),
        part("http.header.000.accept", "application/json"),
        part("http.header.001.content-type", "application/json"),
        part("http.header.002.user-agent", "cleanup-agent/2.4"),
        part("http.method", method),
        part("http.target", target),
    ]
}

fn card() -> Card {
    let reason = |points, why: &str| Reason { points, why: why.to_owned() };
    Card {
        v: 2,
        id: action(1),
        verb: "http.delete".to_owned(),
        resource: Shown::new("queues/%2F/orders"),
        environment: "prod".to_owned(),
        production: true,
        target: "rabbitmq".to_owned(),
        risk: Risk {
            score: 70,
            reasons: vec![
                reason(35, "removes something (http.delete)"),
                reason(25, "in production (prod)"),
                reason(10, "this agent has never had such an action approved"),
            ],
        },
        rules: vec![DecidingRule {
            id: "prod-destroy".parse().unwrap(),
            why: "Removes data in production".to_owned(),
        }],
        requirement: None,
        chain: vec![
            Party {
                principal: Principal::Agent(agent(1)),
                name: "queue-janitor".to_owned(),
                role: "caller".to_owned(),
            },
            Party {
                principal: Principal::Person(person(3)),
                name: "Tomás Ruiz".to_owned(),
                role: "sponsor".to_owned(),
            },
        ],
        run: Some(Shown::new("nightly-cleanup/4182")),
        reason: Some(Shown::new(
            "The queue has had no consumer for 30 days and blocks the migration to streams (OPS-2291).",
        )),
        payload: request_parts("DELETE", "/api/queues/%2F/orders?if-empty=true", ""),
        payload_bytes: 180,
        complete: true,
        masked: Vec::new(),
        revealed: Vec::new(),
        point: Point::Http,
        level: Level::Enforced,
        credential: Some("rabbitmq-admin".to_owned()),
        questions: Vec::new(),
        action: Digest::of(Purpose::Action, b"fixture"),
        evaluation: Digest::of(Purpose::Evaluation, b"fixture"),
        policy: Digest::of(Purpose::Policy, b"fixture"),
        requested: at(-300),
        expires: at(1_500),
    }
}

fn approved_by(name: &str, seconds: i64) -> ReviewView {
    ReviewView {
        by: name.to_owned(),
        verdict: Verdict::Approve,
        group: Some("dba".parse().unwrap()),
        note: None,
        at: at(seconds),
        key: "a passkey",
        broke_glass: false,
        dismissed: false,
    }
}

pub(super) fn pending() -> View {
    let card = card();
    View {
        displayed: card.digest().unwrap().to_string(),
        card,
        group: VerbGroup::Destroy,
        meaning: "DELETE",
        stage: Stage::Pending { question: false },
        may_reveal: true,
        standing: Standing {
            may_approve: true,
            may_deny: true,
            group: Some("dba".parse().unwrap()),
            glass: None,
            why_not: None,
        },
        mine: Mine::default(),
        holds: vec![HoldView {
            rule: "prod-destroy".to_owned(),
            any_of: vec![progress("dba", 1, 2)],
            glass: Vec::new(),
            lifted: false,
        }],
        reviews: vec![approved_by("Grace Lindqvist", -120)],
        later: LaterView::default(),
        brought: Vec::new(),
        solo: false,
        prior: Prior { ran: 3, denied: 1, denied_today: 0 },
        earlier: vec![
            Earlier {
                id: action(20),
                resource: Shown::new("queues/%2F/invoices-old"),
                how: "succeeded",
                requested: at(-90_000),
            },
            Earlier {
                id: action(21),
                resource: Shown::new("queues/%2F/payments"),
                how: "denied",
                requested: at(-400_000),
            },
        ],
        proposal: None,
        log_key: "countersign.example/log+6e9c2b1a+AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=".to_owned(),
        now: at(0),
    }
}

pub(super) fn progress(group: &str, have: u8, need: u8) -> Progress {
    Progress { group: group.parse().unwrap(), have, need }
}

/// A body with an attack of each kind in it.
pub(super) fn suspicious() -> View {
    let mut view = pending();
    let body = format!(
        "{{\"name\":\"ord\u{200b}ers\",\"note\":\"safe \u{202e}eteled\u{202c}\",\"host\":\"p\u{430}ypal.com\"{},\"force\":true}}",
        " ".repeat(300)
    );
    view.card.resource = Shown::new("queues/%2F/ord\u{200b}ers");
    view.card.payload = request_parts("POST", "/api/queues/%2F/ord\u{200b}ers/purge", &body);
    view.card.payload.push(Part {
        path: "http.body-signature".to_owned(),
        bytes: 20,
        text: None,
        base64: Some("AAECAwQFBgcICQoLDA0ODxAREhM=".to_owned()),
        cut: false,
        erased: false,
    });
    view.card.verb = "http.admin".to_owned();
    view.group = VerbGroup::Admin;
    view.card.reason =
        Some(Shown::new("Approved by the CTO already \u{1b}[2K, just click.\n<script>alert(1)</script>"));
    view.card.questions = vec![
        Exchange {
            id: question(1),
            by: "Grace Lindqvist".to_owned(),
            question: Shown::new("Which consumer used it last?"),
            answer: Some(Shown::new("billing-worker, until 12 March.")),
            withdrawn: false,
        },
        Exchange {
            id: question(2),
            by: "Ada Brandt".to_owned(),
            question: Shown::new("And who has told billing?"),
            answer: None,
            withdrawn: false,
        },
    ];
    view.stage = Stage::Pending { question: true };
    view.mine.asked.insert(question(2));
    view.displayed = view.card.digest().unwrap().to_string();
    view
}

/// A payload that does not fit on the page.
pub(super) fn oversize() -> View {
    let mut view = pending();
    for part in &mut view.card.payload {
        if part.path == "http.body" {
            *part = Part {
                path: part.path.clone(),
                bytes: 300_000,
                text: None,
                base64: None,
                cut: true,
                erased: false,
            };
        }
    }
    view.card.payload_bytes = 300_180;
    view.card.complete = false;
    view
}

/// A JSON body that is longer than a screen.
pub(super) fn long() -> View {
    let mut view = pending();
    let rows: Vec<_> = (0..120)
        .map(|n| serde_json::json!({ "id": n, "queue": format!("orders-{n}"), "durable": true }))
        .collect();
    let body =
        serde_json::to_string(&serde_json::json!({ "policy": "expire-old", "apply-to": rows })).unwrap();
    view.card.payload = request_parts("PUT", "/api/policies/%2F/expire-old", &body);
    view.card.verb = "http.put".to_owned();
    view.group = VerbGroup::Write;
    view.meaning = "PUT";
    view.card.production = false;
    view.card.environment = "staging".to_owned();
    view.card.risk.score = 45;
    view
}

fn decided(stage: Stage, reviews: Vec<ReviewView>) -> View {
    let mut view = pending();
    let why_not = Some(format!("the request is {} already", stage.word()));
    view.stage = stage;
    view.standing = Standing { may_approve: false, may_deny: false, group: None, glass: None, why_not };
    view.reviews = reviews;
    view
}

pub(super) fn approved() -> View {
    let mut view = decided(
        Stage::Approved { spend_by: at(540), by_itself: false },
        vec![approved_by("Grace Lindqvist", -120), approved_by("Ada Brandt", -20)],
    );
    view.holds[0].any_of[0].have = 2;
    view.holds[0].lifted = true;
    view.standing = Standing {
        may_approve: false,
        may_deny: true,
        group: None,
        glass: None,
        why_not: Some("you have approved already; one human counts once".to_owned()),
    };
    view
}

pub(super) fn denied() -> View {
    decided(
        Stage::Denied {
            by: Some("Ada Brandt".to_owned()),
            why: Some(Shown::new("Not during the sale. Ask again on Monday.")),
            at: at(-30),
        },
        vec![
            approved_by("Grace Lindqvist", -120),
            ReviewView {
                by: "Ada Brandt".to_owned(),
                verdict: Verdict::Deny,
                group: None,
                note: Some(Shown::new("Not during the sale. Ask again on Monday.")),
                at: at(-30),
                key: "an SSH key",
                dismissed: false,
                broke_glass: false,
            },
        ],
    )
}

pub(super) fn finished(ending: Ending) -> View {
    let outcome = Outcome::new(ending, Witnessed::Observed, "204 No Content");
    let mut view = decided(
        Stage::Finished { outcome, at: at(-8) },
        vec![approved_by("Grace Lindqvist", -120), approved_by("Ada Brandt", -20)],
    );
    view.holds[0].any_of[0].have = 2;
    view.holds[0].lifted = true;
    view
}

fn row(n: u8, verb: &'static str, group: VerbGroup, resource: &str, environment: &str, risk: i64) -> Row {
    Row {
        id: action(n),
        verb,
        group,
        resource: Shown::new(resource),
        environment: environment.to_owned(),
        production: environment == "prod",
        target: "rabbitmq".to_owned(),
        risk,
        agent: "queue-janitor".to_owned(),
        why: Some(("Removes data in production".to_owned(), 0)),
        stage: inbox::Stage::Waiting(at(i64::from(n) * 400)),
        missing: vec![progress("dba", 1, 2)],
        question: false,
        broken_glass: false,
        may_look_back: false,
        mine: inbox::Mine::Decide,
    }
}

pub(super) fn inbox(tab: Tab, full: bool) -> Inbox {
    let mut rows = Vec::new();
    if full {
        rows.push(row(1, "http.delete", VerbGroup::Destroy, "queues/%2F/orders", "prod", 85));
        let mut second = row(2, "sql.update", VerbGroup::Write, "public.accounts", "prod", 60);
        second.why = Some(("No WHERE, or more than 1000 rows".to_owned(), 2));
        second.target = "ledger-db".to_owned();
        second.agent = "reconcile-bot".to_owned();
        second.missing = vec![progress("dba", 0, 1), progress("finance", 0, 2)];
        second.question = true;
        rows.push(second);
        let mut third =
            row(3, "http.put", VerbGroup::Write, "policies/%2F/expire-\u{202e}dlo", "staging", 30);
        third.mine = inbox::Mine::Nothing;
        third.stage = inbox::Stage::Approved(at(540));
        rows.push(third);
        let mut fourth = row(4, "config.group", VerbGroup::Admin, "Tomás Ruiz", "control", 40);
        fourth.why = Some(("A change of Countersign takes a second administrator".to_owned(), 0));
        fourth.target = "countersign".to_owned();
        fourth.agent = "Tomás Ruiz".to_owned();
        fourth.missing = vec![progress("admins", 0, 1)];
        rows.push(fourth);
    }
    if full && tab == Tab::Done {
        for (row, how) in rows.iter_mut().zip(["succeeded", "denied", "lapsed", "unknown"]) {
            row.stage = inbox::Stage::Ended(how, at(-4_000));
            row.mine = inbox::Mine::Nothing;
        }
    }
    Inbox {
        tab,
        mine: rows.iter().filter(|row| row.mine != inbox::Mine::Nothing).count(),
        open: rows.len(),
        production: rows.iter().filter(|row| row.production).count(),
        next: rows.first().map(|_| at(400)),
        more: false,
        administers: false,
        glass: 0,
        older: (full && tab == Tab::Done).then(|| action(4)),
        rows,
        now: at(0),
    }
}

pub(super) fn directory() -> Directory {
    let mut directory = Directory::default();
    let key = |n: u8, label: &str| Passkey {
        credential_id: Blob(vec![n; 16]),
        public_key: Blob(vec![n; 32]),
        rp_id: "localhost".to_owned(),
        origin: "http://localhost:7676".to_owned(),
        label: label.to_owned(),
    };
    let added = |n, name: &str| DirectoryEvent::PersonAdded { id: person(n), name: name.to_owned() };
    let joined =
        |n, group: &str| DirectoryEvent::GroupJoined { group: group.parse().unwrap(), person: person(n) };
    let policy = "@id(\"prod-destroy\") @hold(\"dba:2\") @ttl(\"30m\") @why(\"Removes data in production\")\n\
                  forbid (principal, action in Action::\"destroy\", resource in Env::\"prod\");\n";
    let route = r#"{"environment":"prod","hosts":["rabbit.example"],"name":"rabbitmq","upstream":"http://rabbit.internal:15672"}"#;
    let events = [
        added(1, "Ada Brandt"),
        DirectoryEvent::KeyEnrolled { person: person(1), key: key(1, "iPhone") },
        DirectoryEvent::KeyEnrolled { person: person(1), key: key(2, "YubiKey") },
        joined(1, "admins"),
        joined(1, "dba"),
        added(2, "Grace Lindqvist"),
        DirectoryEvent::KeyEnrolled { person: person(2), key: key(3, "Mac") },
        joined(2, "dba"),
        added(3, "Tomás Ruiz"),
        DirectoryEvent::AgentAdded {
            id: agent(1),
            name: "queue-janitor".to_owned(),
            sponsor: person(2),
            key: Blob(vec![7; 32]),
        },
        DirectoryEvent::RouteSet { name: "rabbitmq".parse().unwrap(), document: route.to_owned() },
        DirectoryEvent::PolicyApplied { text: policy.to_owned() },
    ];
    for event in &events {
        directory.apply(event, at(-86_400)).unwrap();
    }
    directory
}
