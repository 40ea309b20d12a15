//! The session's core between any client and a model of a server: what comes out is what comes from the server alone,
//! and nothing runs that was not permitted.

use std::cell::RefCell;
use std::collections::HashMap;

use bytes::{Buf as _, Bytes, BytesMut};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::hold::{Decide, Facts, Held, Permit, StatementGroup, Verdict};
use crate::parse::backend::Fields;
use crate::parse::{Backend, Bind, Frontend, HEAD_BYTES, Head, Parse, Status, Target, Text};
use crate::reply::{Refusal, State};
use crate::session::{Ended, Handling, Out, Session, Step, is_read_whole};

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
        !self.failed || matches!(text, "commit" | "rollback")
    }

    fn run(&mut self, text: &str) -> bool {
        if !self.takes(text) {
            return false;
        }
        self.ran.push(text.to_owned());
        match text {
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

/// Denies `deny`, holds `hold`, permits the rest, and remembers what it permitted.
#[derive(Default)]
struct Marks {
    permitted: RefCell<Vec<String>>,
}

// Used by one thread only.
struct Shared<'a>(&'a std::sync::Mutex<Marks>);

impl Decide for Shared<'_> {
    fn decide(&self, _facts: &Facts, group: &StatementGroup<'_>) -> Verdict {
        let refusal = Refusal::new(State::DENIED, "denied");
        let marks = self.0.lock().expect("one thread");
        match group.text {
            "deny" => Verdict::Deny(refusal),
            text => {
                marks.permitted.borrow_mut().push(text.to_owned());
                let permit = Permit { keeps_settings: true, copy_limit: None };
                if text == "hold" {
                    return Verdict::Hold(Held { answer: Box::pin(async move { Ok(permit) }), refusal });
                }
                Verdict::Permit(permit)
            }
        }
    }
}

struct Gate {
    session: Session,
    out: Out,
    server: Server,
    marks: std::sync::Mutex<Marks>,
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
            marks: std::sync::Mutex::default(),
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
            } else if self.session.takes_next() {
                let Some(message) = messages.next() else { return };
                self.take(message);
            } else {
                panic!("the session waits for nothing");
            }
        }
    }

    fn take(&mut self, message: Frontend) {
        let decide = Shared(&self.marks);
        match self.session.take(message, &decide, &mut self.out).expect("goes on") {
            Step::Done => {}
            Step::Held(_, waiting) => {
                if self.out.send {
                    self.deliver();
                }
                self.held_while_open |= self.server.open;
                let permit = Permit { keeps_settings: true, copy_limit: None };
                self.session.settle(*waiting, Ok(permit), &mut self.out).expect("goes on");
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
            let mut bytes = BytesMut::new();
            answer.write(&mut bytes);
            let tag = bytes[0];
            if is_read_whole(tag) {
                self.session.answer(&answer, &mut self.out).expect("goes on");
            } else if self.session.answer_type(tag, &mut self.out).expect("goes on") == Handling::Pass {
                self.out.client.extend_from_slice(&bytes);
            }
        }
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

const PLAIN: &[&str] = &["select", "begin", "commit", "rollback", "bad", "fail"];
const MARKED: &[&str] = &["select", "begin", "commit", "bad", "fail", "deny", "hold"];

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

    /// Nothing runs that was not permitted, and each question has one answer.
    #[test]
    fn nothing_runs_that_was_not_permitted(mut messages in vec(message(MARKED), 0..24)) {
        messages.push(Frontend::Sync);
        let ends = messages.iter().filter(|message| matches!(message, Frontend::Sync)).count();
        let mut gate = Gate::new();
        gate.talk(messages);
        let marks = gate.marks.lock().expect("one thread");
        let mut permitted = marks.permitted.borrow().clone();
        for text in &gate.server.ran {
            prop_assert_ne!(text, "deny");
            prop_assert!(permitted.contains(text), "{text} was not permitted");
        }
        permitted.retain(|text| text == "hold");
        prop_assert!(!gate.held_while_open, "it was held inside a transaction");
        let readies = heard(&mut gate.client).chars().filter(|letter| "ite".contains(*letter)).count();
        prop_assert!(readies >= ends);
        prop_assert!(gate.session.takes_next() && !gate.session.is_running());
    }
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
        let mut bytes = BytesMut::new();
        answer.write(&mut bytes);
        let mut gate = Gate::new();
        let ended = gate.session.answer_type(bytes[0], &mut gate.out);
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
