//! The session's core between any client and a model of a server: what comes out is what comes from the server alone,
//! and nothing runs that was not permitted.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use bytes::{Buf as _, Bytes, BytesMut};
use futures_util::FutureExt as _;
use proptest::collection::vec;
use proptest::prelude::*;

use crate::hold::{
    Bounds, Decide, Ended as End, Facts, Held, Lookup, Permit, Recheck, Rows, StatementGroup, Verdict, Watch,
};
use crate::parse::backend::Fields;
use crate::parse::{Backend, Bind, Frontend, HEAD_BYTES, Head, Parse, Status, Target, Text};
use crate::reply::{Refusal, State};
use crate::session::{Ended, Handling, Out, Session, Step};

/// A server as far as the protocol goes. It knows a few texts.
#[derive(Default)]
struct Server {
    statements: HashMap<Text, String>,
    portals: HashMap<Text, String>,
    open: bool,
    failed: bool,
    skips: bool,
    ran: Vec<String>,
    answers: Vec<Backend>,
}

impl Server {
    fn status(&self) -> Status {
        match (self.open, self.failed) {
            (false, _) => Status::Idle,
            (true, false) => Status::Open,
            (true, true) => Status::Failed,
        }
    }

    /// Whether a text may be looked at: only the end of it in a transaction that has failed.
    fn takes(&self, text: &str) -> bool {
        !self.failed || matches!(text.to_ascii_lowercase().as_str(), "commit" | "rollback")
    }

    fn run(&mut self, text: &str) -> bool {
        if !self.takes(text) {
            return false;
        }
        if text == LOOKUP {
            self.answers.push(Backend::DataRow(vec![Some(Bytes::from_static(b"found"))]));
        } else if !text.starts_with(char::is_uppercase) {
            self.ran.push(text.to_owned());
        }
        // What is ours is in capitals.
        match text.to_ascii_lowercase().as_str() {
            "begin" => self.open = true,
            "commit" | "rollback" => {
                (self.open, self.failed) = (false, false);
                self.portals.clear();
            }
            "fail" | "bad" => return false,
            _ => {}
        }
        let tag = Bytes::copy_from_slice(text.to_uppercase().as_bytes());
        self.answers.push(Backend::CommandComplete(tag));
        true
    }

    fn ready(&mut self) {
        if !self.open {
            self.portals.clear();
        }
        self.answers.push(Backend::ReadyForQuery(self.status()));
    }

    fn error(&mut self) {
        self.failed = self.open;
        self.answers.push(Backend::ErrorResponse(Fields::default()));
    }

    #[allow(clippy::wildcard_enum_match_arm, reason = "a test says what it looks for")]
    fn hear(&mut self, message: Frontend) {
        match message {
            Frontend::Sync => {
                self.skips = false;
                self.ready();
            }
            _ if self.skips => {}
            Frontend::Query(text) => {
                self.statements.remove(&Text::default());
                self.portals.remove(&Text::default());
                if !self.run(text.as_str()) {
                    self.error();
                }
                self.ready();
            }
            message => {
                if !self.extended(message) {
                    self.error();
                    self.skips = true;
                }
            }
        }
    }

    #[allow(clippy::wildcard_enum_match_arm, reason = "a test says what it looks for")]
    fn extended(&mut self, message: Frontend) -> bool {
        let answer = match message {
            Frontend::Parse(parse) => {
                let known = self.statements.contains_key(&parse.name) && !parse.name.is_empty();
                if parse.name.is_empty() {
                    self.statements.remove(&parse.name);
                }
                if known || parse.text.as_str() == "bad" || !self.takes(parse.text.as_str()) {
                    return false;
                }
                self.statements.insert(parse.name, parse.text.as_str().to_owned());
                Backend::ParseComplete
            }
            Frontend::Bind(bind) => {
                let Some(text) = self.statements.get(&bind.statement).cloned() else { return false };
                if !self.takes(&text) || self.portals.contains_key(&bind.portal) && !bind.portal.is_empty() {
                    return false;
                }
                self.portals.insert(bind.portal, text);
                Backend::BindComplete
            }
            Frontend::Describe(Target::Statement(name)) => {
                if self.failed || !self.statements.contains_key(&name) {
                    return false;
                }
                self.answers.push(Backend::ParameterDescription(Vec::new()));
                Backend::NoData
            }
            Frontend::Describe(Target::Portal(name)) => {
                if self.failed || !self.portals.contains_key(&name) {
                    return false;
                }
                Backend::NoData
            }
            Frontend::Execute { portal, .. } => {
                return self.portals.get(&portal).cloned().is_some_and(|text| self.run(&text));
            }
            Frontend::Close(Target::Statement(name)) => {
                self.statements.remove(&name);
                Backend::CloseComplete
            }
            Frontend::Close(Target::Portal(name)) => {
                self.portals.remove(&name);
                Backend::CloseComplete
            }
            _ => return true,
        };
        self.answers.push(answer);
        true
    }
}

/// What a client hears, as letters: of each message its kind, of ReadyForQuery its status.
fn letters(answers: &[Backend]) -> String {
    let mut out = BytesMut::new();
    answers.iter().for_each(|answer| answer.write(&mut out));
    heard(&mut out)
}

fn heard(out: &mut BytesMut) -> String {
    let mut letters = String::new();
    while let Some(head) = Head::read(out).expect("a message") {
        out.advance(HEAD_BYTES);
        let body = out.split_to(head.body);
        letters.push(if head.tag == b'Z' {
            char::from(body[0].to_ascii_lowercase())
        } else {
            char::from(head.tag)
        });
    }
    letters
}

/// What the gate asks the server before it decides about `look`.
const LOOKUP: &str = "lookup";

/// Denies `deny`, holds `hold`, looks before `look` and in vain before `lookbad`, permits the rest, and remembers what
/// it permitted and how that ended. `checked` runs under conditions that hold, and `unchecked` under one that does not.
#[derive(Default)]
struct Marks {
    learned: Mutex<Option<Result<Rows, Refusal>>>,
    kept: Kept,
}

/// What was permitted, and how it ended.
#[derive(Default, Clone)]
struct Kept {
    permitted: Arc<Mutex<Vec<String>>>,
    ends: Arc<Mutex<Vec<(String, End)>>>,
}

struct Told(String, Arc<Mutex<Vec<(String, End)>>>);

impl Watch for Told {
    fn ended(self: Box<Self>, ended: End) {
        self.1.lock().expect("one thread").push((self.0, ended));
    }
}

impl Kept {
    fn permit(&self, text: &str) -> Permit {
        self.permitted.lock().expect("one thread").push(text.to_owned());
        let watch = Told(text.to_owned(), Arc::clone(&self.ends));
        let answer = if text == "checked" { "found" } else { "otherwise" };
        let expected = vec![vec![Some(Bytes::from_static(answer.as_bytes()))]];
        let checks = text.ends_with("checked");
        Permit {
            keeps_settings: true,
            watch: Some(Box::new(watch)),
            recheck: checks.then(|| Recheck { sql: LOOKUP.to_owned(), expected }),
            bounds: checks.then_some(Bounds { affected: 0..=0, tables: None }),
            ..Permit::default()
        }
    }
}

impl Decide for Marks {
    fn decide(&self, _facts: &Facts, group: &StatementGroup<'_>) -> Verdict {
        let refusal = Refusal::new(State::DENIED, "denied");
        let learned = self.learned.lock().expect("one thread").take();
        let (kept, text) = (self.kept.clone(), group.text.to_owned());
        match (group.text, learned) {
            ("deny", _) => Verdict::Deny(refusal),
            ("hold", _) => {
                Verdict::Hold(Held { answer: Box::pin(async move { Ok(kept.permit(&text)) }), refusal })
            }
            ("later", _) => Verdict::Later(Box::pin(async move { Verdict::Permit(kept.permit(&text)) })),
            ("look", None) => Verdict::Look(Lookup { sql: LOOKUP.to_owned() }),
            ("lookbad", None) => Verdict::Look(Lookup { sql: "bad".to_owned() }),
            ("look", Some(Ok(rows))) => {
                assert_eq!(rows, [[Some(Bytes::from_static(b"found"))]]);
                Verdict::Permit(kept.permit(&text))
            }
            (text, _) => Verdict::Permit(kept.permit(text)),
        }
    }

    fn learned(&self, _facts: &Facts, _lookup: &Lookup, rows: Result<Rows, Refusal>) {
        *self.learned.lock().expect("one thread") = Some(rows);
    }
}

struct Gate {
    session: Session,
    out: Out,
    server: Server,
    marks: Marks,
    client: BytesMut,
    /// What the server's bytes of the client's messages were, when something was held.
    held_while_open: bool,
}

impl Gate {
    fn new() -> Gate {
        Gate {
            session: Session::new(Facts::default(), [7; 16], false),
            out: Out::default(),
            server: Server::default(),
            marks: Marks::default(),
            client: BytesMut::new(),
            held_while_open: false,
        }
    }

    fn talk(&mut self, messages: Vec<Frontend>) {
        let mut messages = messages.into_iter();
        loop {
            self.client.unsplit(self.out.client.split());
            if self.out.send {
                self.deliver();
            } else if self.session.has_learned() {
                let step = self.session.resume(&self.marks, &mut self.out).expect("goes on");
                self.follow(step);
            } else if self.session.takes_next() {
                let Some(message) = messages.next() else { return };
                self.take(message);
            } else {
                panic!("the session waits for nothing");
            }
        }
    }

    fn take(&mut self, message: Frontend) {
        let step = self.session.take(message, &self.marks, &mut self.out).expect("goes on");
        self.follow(step);
    }

    fn follow(&mut self, step: Step) {
        match step {
            Step::Done => {}
            Step::Held(held, waiting) => {
                if self.out.send {
                    self.deliver();
                }
                self.held_while_open |= self.server.open;
                let answer = held.answer.now_or_never().expect("an answer");
                self.session.settle(*waiting, answer, &mut self.out).expect("goes on");
            }
            Step::Later(verdict, waiting) => {
                let verdict = verdict.now_or_never().expect("a verdict");
                let step = self.session.decided(*waiting, verdict, &mut self.out).expect("goes on");
                self.follow(step);
            }
        }
    }

    fn deliver(&mut self) {
        self.session.sent();
        self.out.send = false;
        let mut bytes = self.out.backend.split();
        while let Some(head) = Head::read(&bytes).expect("a message") {
            bytes.advance(HEAD_BYTES);
            let body = bytes.split_to(head.body).freeze();
            self.server.hear(Frontend::read(head.tag, body).expect("a message"));
        }
        for answer in std::mem::take(&mut self.server.answers) {
            self.answer(&answer).expect("goes on");
        }
    }

    /// As the carriage does it.
    fn answer(&mut self, answer: &Backend) -> Result<(), Ended> {
        let mut bytes = BytesMut::new();
        answer.write(&mut bytes);
        let (tag, body) = (bytes[0], &bytes[HEAD_BYTES..]);
        let handling = if tag == b'E' {
            self.session.refused(body, &mut self.out)?
        } else if self.session.reads_whole(tag, body.len()) {
            return self.session.answer(answer, &mut self.out);
        } else {
            self.session.answer_type(tag, body.len(), &mut self.out)?
        };
        match handling {
            Handling::Pass => self.out.client.extend_from_slice(&bytes),
            Handling::Keep => self.out.kept.extend_from_slice(&bytes),
            Handling::Drop => {}
        }
        Ok(())
    }

    /// How all that was permitted has ended, once the session is gone.
    fn ends(mut self) -> Vec<(String, End)> {
        self.session.abandon();
        drop(self.session);
        let ends = self.marks.kept.ends.lock().expect("one thread").clone();
        assert_eq!(
            ends.len(),
            self.marks.kept.permitted.lock().expect("one thread").len(),
            "each is told once"
        );
        ends
    }
}

fn name(name: &str) -> Text {
    Text::try_from(name.to_owned()).expect("a name")
}

fn message(texts: &'static [&'static str]) -> impl Strategy<Value = Frontend> {
    let text = prop::sample::select(texts).prop_map(name);
    let of = prop::sample::select(&["", "a", "b"][..]).prop_map(name);
    let portal = prop::sample::select(&["", "p"][..]).prop_map(name);
    prop_oneof![
        3 => text.clone().prop_map(Frontend::Query),
        4 => (of.clone(), text).prop_map(|(name, text)| Frontend::Parse(Parse { name, text, types: Vec::new() })),
        4 => (portal.clone(), of.clone()).prop_map(|(portal, statement)| Frontend::Bind(Bind {
            portal,
            statement,
            formats: Vec::new(),
            values: Vec::new(),
            results: Vec::new(),
        })),
        4 => portal.clone().prop_map(|portal| Frontend::Execute { portal, max_rows: 0 }),
        1 => of.clone().prop_map(|name| Frontend::Describe(Target::Statement(name))),
        1 => portal.clone().prop_map(|name| Frontend::Describe(Target::Portal(name))),
        1 => of.prop_map(|name| Frontend::Close(Target::Statement(name))),
        1 => portal.prop_map(|name| Frontend::Close(Target::Portal(name))),
        1 => Just(Frontend::Flush),
        3 => Just(Frontend::Sync),
        1 => Just(Frontend::CopyDone),
    ]
}

const PLAIN: &[&str] = &["select", "begin", "commit", "rollback", "bad", "fail", "look", "later"];
const MARKED: &[&str] = &[
    "select",
    "begin",
    "commit",
    "bad",
    "fail",
    "deny",
    "hold",
    "look",
    "lookbad",
    "later",
    "checked",
    "unchecked",
];
/// Without what ends a transaction within a run: what comes behind that has to wait for its Sync.
const CHECKED: &[&str] = &["select", "begin", "bad", "fail", "checked"];

proptest! {
    /// With everything permitted, a client hears what it would hear from the server itself.
    #[test]
    fn what_is_permitted_is_answered_as_by_the_server_alone(
        mut messages in vec(message(PLAIN), 0..24),
    ) {
        messages.push(Frontend::Sync);
        let mut alone = Server::default();
        for message in &messages {
            alone.hear(message.clone());
        }
        let mut gate = Gate::new();
        gate.talk(messages);
        prop_assert_eq!(heard(&mut gate.client), letters(&alone.answers));
        // A transaction that was begun and never used is not begun at the server.
        let deferred = alone.ran.last().is_some_and(|text| text == "begin") && gate.server.ran.len() < alone.ran.len();
        let end = alone.ran.len() - usize::from(deferred);
        prop_assert_eq!(&gate.server.ran, &alone.ran[..end]);
    }

    /// Conditions that hold are not seen; but the server's own BEGIN is, where it was put off.
    #[test]
    fn conditions_that_hold_change_nothing(mut messages in vec(message(CHECKED), 0..24)) {
        messages.push(Frontend::Sync);
        let mut alone = Server::default();
        for message in &messages {
            alone.hear(message.clone());
        }
        let mut gate = Gate::new();
        gate.talk(messages);
        prop_assert_eq!(heard(&mut gate.client), letters(&alone.answers));
        prop_assert!(!gate.server.open || alone.open, "a transaction of ours was left open");
    }

    /// Nothing runs that was not permitted, and each question has one answer.
    #[test]
    fn nothing_runs_that_was_not_permitted(mut messages in vec(message(MARKED), 0..24)) {
        messages.push(Frontend::Sync);
        let ends = messages.iter().filter(|message| matches!(message, Frontend::Sync)).count();
        let mut gate = Gate::new();
        gate.talk(messages);
        let permitted = gate.marks.kept.permitted.lock().expect("one thread").clone();
        for text in &gate.server.ran {
            prop_assert_ne!(text, "deny");
            prop_assert!(permitted.contains(text), "{text} was not permitted");
        }
        prop_assert!(!gate.held_while_open, "it was held inside a transaction");
        let readies = heard(&mut gate.client).chars().filter(|letter| "ite".contains(*letter)).count();
        prop_assert!(readies >= ends);
        prop_assert!(gate.session.takes_next() && !gate.session.is_running());
    }

    /// Who watches is told once, and of nothing that did not happen.
    #[test]
    fn each_permit_has_one_end(
        mut messages in vec(message(MARKED), 0..24),
        ends_in_order in any::<bool>(),
    ) {
        if ends_in_order {
            messages.push(Frontend::Sync);
        }
        let mut gate = Gate::new();
        gate.talk(messages);
        let ran = gate.server.ran.clone();
        let ends = gate.ends();
        for text in MARKED {
            let ran = ran.iter().filter(|ran| ran == text).count();
            let of: Vec<&End> = ends.iter().filter(|(of, _)| of == text).map(|(_, end)| end).collect();
            let complete = of.iter().filter(|end| matches!(end, End::Complete { .. })).count();
            let lost = |end: &&End| matches!(end, End::Unknown { why } if !why.contains("what came behind"));
            prop_assert_eq!(of.iter().filter(|end| lost(end)).count(), 0);
            // A BEGIN that was put off may never come to the server.
            prop_assert!(complete <= ran || *text == "begin", "{text}: {complete} of {ran}");
            let not_run = of.iter().filter(|end| matches!(end, End::NotRun)).count();
            prop_assert!(ran == 0 || of.len() > not_run, "{text} ran");
            prop_assert!(*text != "unchecked" || complete == 0 && ran == 0, "what was approved was not there");
        }
    }
}

fn end(of: &str, ends: &[(String, End)]) -> End {
    ends.iter().find(|(text, _)| text == of).expect("it was watched").1.clone()
}

fn complete(tag: &'static str, open: bool) -> End {
    let tags = vec![Bytes::from_static(tag.as_bytes())];
    End::Complete { tags, rows_returned: 0, copied: None, open }
}

fn run(text: &str) -> [Frontend; 3] {
    let bind = Bind {
        portal: name(""),
        statement: name(""),
        formats: Vec::new(),
        values: Vec::new(),
        results: Vec::new(),
    };
    [
        Frontend::Parse(Parse { name: name(""), text: name(text), types: Vec::new() }),
        Frontend::Bind(bind),
        Frontend::Execute { portal: name(""), max_rows: 0 },
    ]
}

#[test]
fn a_runs_end_says_what_became_of_its_statements() {
    let all = |texts: &[&str], end: &[Frontend]| {
        let mut gate = Gate::new();
        let mut messages: Vec<Frontend> = texts.iter().flat_map(|text| run(text)).collect();
        messages.extend_from_slice(end);
        gate.talk(messages);
        gate.ends()
    };
    let ends = all(&["select"], &[Frontend::Sync]);
    assert_eq!(end("select", &ends), complete("SELECT", false));
    let ends = all(&["select", "fail", "later"], &[Frontend::Sync]);
    assert!(matches!(end("select", &ends), End::Failed { .. }), "it was rolled back: {ends:?}");
    assert!(matches!(end("fail", &ends), End::Failed { .. }));
    assert_eq!(end("later", &ends), End::NotRun, "it was skipped");
    let ends = all(&["begin", "select", "commit", "fail"], &[Frontend::Sync]);
    assert_eq!(end("select", &ends), complete("SELECT", false), "it was committed before");
    let ends = all(&["begin", "select"], &[Frontend::Sync]);
    assert_eq!(end("select", &ends), complete("SELECT", true));
    let ends = all(&["select"], &[]);
    assert_eq!(end("select", &ends), End::NotRun, "it was never sent");
    let ends = all(&["select"], &[Frontend::Flush]);
    assert_eq!(end("select", &ends), complete("SELECT", true), "its run has no end");
}

#[test]
fn a_look_that_fails_within_a_transaction_fails_it() {
    let mut gate = Gate::new();
    let simple = |text| Frontend::Query(name(text));
    gate.talk(vec![simple("lookbad")]);
    assert_eq!(heard(&mut gate.client), "Ci", "by itself it harms nothing");
    gate.talk(vec![simple("begin"), simple("select"), simple("lookbad"), simple("rollback")]);
    assert_eq!(heard(&mut gate.client), "CtCtEeCi");
    let mut messages = run("select").to_vec();
    messages.push(Frontend::Flush);
    messages.extend(run("lookbad"));
    messages.push(Frontend::Sync);
    gate.talk(messages);
    assert_eq!(heard(&mut gate.client), "12C1Ei");
}

#[test]
fn the_server_is_asked_so_often_and_not_more() {
    struct Curious;
    impl Decide for Curious {
        fn decide(&self, _facts: &Facts, _group: &StatementGroup<'_>) -> Verdict {
            Verdict::Look(Lookup { sql: LOOKUP.to_owned() })
        }
    }
    let mut gate = Gate::new();
    let step = gate.session.take(Frontend::Query(name("select")), &Curious, &mut gate.out);
    assert!(matches!(step, Ok(Step::Done)));
    let mut asked = 0;
    while gate.out.send {
        gate.deliver();
        if gate.session.has_learned() {
            asked += 1;
            let step = gate.session.resume(&Curious, &mut gate.out);
            assert!(matches!(step, Ok(Step::Done)));
        }
    }
    assert_eq!(asked, crate::config::LOOKS_LIMIT);
    assert_eq!(heard(&mut gate.out.client), "Ei");
    assert!(gate.server.ran.is_empty());
}

/// What a server may not say ends the session.
#[test]
fn a_server_that_breaks_the_protocol_is_not_followed() {
    for answer in [
        Backend::ParseComplete,
        Backend::DataRow(Vec::new()),
        Backend::CopyIn(crate::parse::backend::CopyFormat {
            overall: crate::parse::Format::Text,
            columns: Vec::new(),
        }),
    ] {
        let ended = Gate::new().answer(&answer);
        assert!(matches!(ended, Err(Ended::Fatal(_))), "{answer:?}");
    }
    for answer in [
        Backend::ReadyForQuery(Status::Idle),
        Backend::CommandComplete(Bytes::from_static(b"SELECT 1")),
        Backend::ParameterStatus {
            name: Bytes::from_static(b"standard_conforming_strings"),
            value: Bytes::from_static(b"off"),
        },
    ] {
        let mut gate = Gate::new();
        assert!(matches!(gate.session.answer(&answer, &mut gate.out), Err(Ended::Fatal(_))), "{answer:?}");
    }
}

/// A statement that waits has let go of what its preparation keeps locked.
#[test]
fn a_hold_ends_the_run_that_was_prepared_in() {
    let mut gate = Gate::new();
    let parse = |text| Frontend::Parse(Parse { name: name("a"), text: name(text), types: Vec::new() });
    let bind = Frontend::Bind(Bind {
        portal: name(""),
        statement: name("a"),
        formats: Vec::new(),
        values: Vec::new(),
        results: Vec::new(),
    });
    gate.talk(vec![Frontend::Query(name("begin")), parse("hold"), Frontend::Flush]);
    assert_eq!(heard(&mut gate.client), "Ct1");
    gate.take(bind);
    assert!(gate.server.ran.is_empty(), "BEGIN is not there yet");
    gate.talk(vec![Frontend::Execute { portal: name(""), max_rows: 0 }, Frontend::Sync]);
    assert_eq!(heard(&mut gate.client), "2Ct");
    assert_eq!(gate.server.ran, ["begin", "hold"]);
}
