//! The core of a session: follows both sides' messages, and asks about every text before it runs. No sockets, no clock.
//!
//! One run of messages, up to a Sync or a Query, is with the server at a time; the next is looked at when the server is
//! ready for it. So what a client prepared before is known to stand, and settings that a run changed have been told of,
//! before the next text is read. Within a run nothing is sent before the server has to answer ([`Out::send`]), so that a
//! statement that waits for people keeps nothing locked that came before it in its run.

mod prepare;
mod answers;

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

use crate::config::IN_FLIGHT_LIMIT;
use crate::hold::{Decide, Facts, Held, Permit, StatementGroup, Verdict};
use crate::parse::statement::{begin_tag, begins_transaction};
use crate::parse::{Backend, Bind, Frontend, Malformed, Parse, Status, Target, Text};
use crate::reply::{Refusal, State};
use crate::track::{Names, Portal, Undo};

use prepare::{check_name, no_statement};

pub(crate) use answers::{Handling, is_read_whole};

/// What is to be written to both sides.
#[derive(Default)]
pub(crate) struct Out {
    pub(crate) client: BytesMut,
    pub(crate) backend: BytesMut,
    /// Whether the server gets to see what stands in `backend`. Until then, it is kept back.
    pub(crate) send: bool,
}

/// Why a session ends.
#[derive(Debug)]
pub(crate) enum Ended {
    /// The client said goodbye.
    Client,
    /// The client is told, and the connection closed.
    Fatal(Refusal),
    /// The server has said why already, or closed the connection.
    Server,
}

impl Ended {
    pub(crate) fn fatal(state: State, message: impl Into<String>) -> Ended {
        Ended::Fatal(Refusal::new(state, message))
    }

    fn server(what: impl std::fmt::Display) -> Ended {
        Ended::fatal(State::CONNECTION, format!("the server does not keep to the protocol: {what}"))
    }
}

impl From<Malformed> for Ended {
    fn from(malformed: Malformed) -> Ended {
        let state = if malformed == Malformed::NotUtf8 { State::ENCODING } else { State::PROTOCOL };
        Ended::fatal(state, malformed.to_string())
    }
}

/// What came of a client's message.
pub(crate) enum Step {
    Done,
    /// It waits for people; [`Session::settle`] goes on with it.
    Held(Held, Box<Waiting>),
}

/// A message that was asked about and is not on its way yet.
#[derive(Debug)]
pub(crate) enum Waiting {
    Query(Text),
    Bind(Bind),
}

/// A message that the server has yet to answer.
#[derive(Debug)]
struct Flight {
    kind: Kind,
    shown: Shown,
}

#[derive(Debug)]
enum Kind {
    Parse(Undo),
    Bind(Undo),
    Close(Undo),
    DescribeStatement,
    DescribePortal,
    /// A question about a portal that is not there: the server refuses it, as we want.
    Fail,
    Execute {
        copies: bool,
        drops: Option<Text>,
    },
    Sync,
    Query {
        drops: Option<Text>,
        unnamed: [Undo; 2],
    },
}

/// What the client hears of an answer.
#[derive(Debug)]
enum Shown {
    /// All of it.
    Yes,
    /// Nothing: the message was ours.
    No,
    /// This instead of the server's error.
    Instead(Refusal),
}

/// What the client may do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Anything.
    Open,
    /// Wait for the server.
    Busy,
    /// Send the data of a COPY.
    Copying,
}

/// What has happened since the last ReadyForQuery.
#[derive(Debug, Default)]
struct Run {
    /// Something of it was sent to the server.
    sent: bool,
    /// Something of it runs, so that it is a transaction with what came before.
    runs: bool,
    /// Something that ran may have changed a setting.
    unsure: bool,
    /// The server has refused something of it.
    failed: bool,
    /// The server skips everything up to the Sync.
    skips: bool,
}

/// One session.
pub(crate) struct Session {
    pub(crate) facts: Facts,
    names: Names,
    flights: VecDeque<Flight>,
    phase: Phase,
    /// The transaction as the server has it.
    status: Status,
    run: Run,
    /// A BEGIN that the client was told is done, and the server knows nothing of.
    deferred: Option<Text>,
    /// What goes on when the server is ready again.
    parked: Option<(Waiting, Result<Permit, Refusal>)>,
    copy_limit: Option<u64>,
    hold_inside_transaction: bool,
}

impl Session {
    pub(crate) fn new(facts: Facts, random: [u8; 16], hold_inside_transaction: bool) -> Session {
        Session {
            facts,
            names: Names::new(random),
            flights: VecDeque::new(),
            phase: Phase::Open,
            status: Status::Idle,
            run: Run::default(),
            deferred: None,
            parked: None,
            copy_limit: None,
            hold_inside_transaction,
        }
    }

    /// Whether the client's next message is looked at now.
    pub(crate) fn takes_next(&self) -> bool {
        match self.phase {
            Phase::Open => self.flights.len() < IN_FLIGHT_LIMIT,
            Phase::Copying => true,
            Phase::Busy => false,
        }
    }

    /// Whether the session does nothing and keeps nothing open.
    pub(crate) fn is_idle(&self) -> bool {
        let between_runs = self.phase == Phase::Open && self.flights.is_empty() && !self.run.sent;
        between_runs && self.client_status() == Status::Idle
    }

    /// Whether the server works on something of the client's, which can be cancelled.
    pub(crate) fn is_running(&self) -> bool {
        !self.flights.is_empty()
    }

    /// The transaction as the client has it.
    fn client_status(&self) -> Status {
        if self.deferred.is_some() { Status::Open } else { self.status }
    }

    /// What was kept back is with the server from now on.
    pub(crate) fn sent(&mut self) {
        self.run.sent = true;
    }

    /// Takes a client's message.
    pub(crate) fn take(
        &mut self,
        message: Frontend,
        decide: &dyn Decide,
        out: &mut Out,
    ) -> Result<Step, Ended> {
        match (self.phase, message) {
            (_, Frontend::Terminate) => Err(Ended::Client),
            (_, Frontend::Credential(_)) => Err(Malformed::Unknown(b'p').into()),
            (Phase::Copying, message) => self.take_copying(&message, out),
            // What a client still sends of a COPY that has failed is dropped, as the server does.
            (_, Frontend::CopyData(_) | Frontend::CopyDone | Frontend::CopyFail(_)) => Ok(Step::Done),
            (_, Frontend::Sync) => {
                self.sync(out);
                Ok(Step::Done)
            }
            (_, _) if self.run.skips => Ok(Step::Done),
            (_, Frontend::Query(text)) => self.query(text, decide, out),
            (_, Frontend::FunctionCall) => {
                let refusal = Refusal::new(State::NOT_SUPPORTED, "function calls without SQL are not taken")
                    .with_hint("call the function in a SELECT");
                self.go_on(Waiting::Query(Text::default()), Err(refusal), out)?;
                Ok(Step::Done)
            }
            (_, Frontend::Parse(parse)) => {
                if let Err(refusal) = self.prepare(&parse, decide, out)? {
                    self.fail(refusal, out)?;
                }
                Ok(Step::Done)
            }
            (_, Frontend::Bind(bind)) => self.bind(bind, decide, out),
            (_, Frontend::Describe(target)) => {
                self.describe(target, out)?;
                Ok(Step::Done)
            }
            (_, Frontend::Execute { portal, max_rows }) => {
                self.execute(portal, max_rows, out)?;
                Ok(Step::Done)
            }
            (_, Frontend::Close(target)) => {
                self.close(target, out)?;
                Ok(Step::Done)
            }
            (_, Frontend::Flush) => {
                Frontend::Flush.write(&mut out.backend);
                out.send = true;
                Ok(Step::Done)
            }
        }
    }

    /// Goes on with a message that has waited.
    pub(crate) fn settle(
        &mut self,
        waiting: Waiting,
        answer: Result<Permit, Refusal>,
        out: &mut Out,
    ) -> Result<(), Ended> {
        if self.run.skips {
            // Something before it has failed meanwhile: the server would skip it.
            return Ok(());
        }
        if self.phase == Phase::Busy {
            self.parked = Some((waiting, answer));
            return Ok(());
        }
        self.go_on(waiting, answer, out)
    }

    fn query(&mut self, text: Text, decide: &dyn Decide, out: &mut Out) -> Result<Step, Ended> {
        if let Err(refusal) = self.check_text(text.as_str()) {
            self.go_on(Waiting::Query(text), Err(refusal), out)?;
            return Ok(Step::Done);
        }
        let group = self.group(text.as_str(), &[], None, out);
        let may_wait = group.may_wait;
        let verdict = decide.decide(&self.facts, &group);
        self.follow(verdict, may_wait, Waiting::Query(text), out)
    }

    fn bind(&mut self, bind: Bind, decide: &dyn Decide, out: &mut Out) -> Result<Step, Ended> {
        let Some(statement) = self.names.statement(&bind.statement).cloned() else {
            self.fail(no_statement(&bind.statement), out)?;
            return Ok(Step::Done);
        };
        let checked = if self.names.is_full_of_portals() {
            Err(Refusal::new(State::LIMIT, "this session has too many portals"))
        } else {
            check_name(&bind.portal).and_then(|()| self.check_values(&bind))
        };
        if let Err(refusal) = checked {
            self.fail(refusal, out)?;
            return Ok(Step::Done);
        }
        let group = self.group(&statement.text, &statement.types, Some(&bind), out);
        let may_wait = group.may_wait;
        let verdict = decide.decide(&self.facts, &group);
        self.follow(verdict, may_wait, Waiting::Bind(bind), out)
    }

    fn group<'a>(
        &self,
        text: &'a str,
        types: &'a [u32],
        bind: Option<&'a Bind>,
        out: &Out,
    ) -> StatementGroup<'a> {
        let runs = self.run.runs && (self.run.sent || out.send);
        let nothing_open = self.status == Status::Idle && !runs;
        StatementGroup {
            text,
            types,
            bind,
            transaction: if self.run.runs && self.client_status() == Status::Idle {
                Status::Open
            } else {
                self.client_status()
            },
            may_wait: nothing_open || self.hold_inside_transaction,
        }
    }

    fn follow(
        &mut self,
        verdict: Verdict,
        may_wait: bool,
        waiting: Waiting,
        out: &mut Out,
    ) -> Result<Step, Ended> {
        let answer = match verdict {
            Verdict::Permit(permit) => Ok(permit),
            Verdict::Deny(refusal) => Err(refusal),
            Verdict::Hold(held) if may_wait => {
                if self.run.sent && !self.run.runs {
                    // What was prepared in this run keeps its tables locked until the run ends.
                    self.end_run(Kind::Sync, &Frontend::Sync, Shown::No, out);
                }
                return Ok(Step::Held(held, Box::new(waiting)));
            }
            Verdict::Hold(held) => Err(held.refusal),
        };
        self.go_on(waiting, answer, out)?;
        Ok(Step::Done)
    }

    /// Sends a message that was decided about, or what makes the server refuse it.
    fn go_on(
        &mut self,
        waiting: Waiting,
        answer: Result<Permit, Refusal>,
        out: &mut Out,
    ) -> Result<(), Ended> {
        let begins = match (&waiting, &answer) {
            (Waiting::Query(text), Ok(_)) => begins_transaction(text.as_str()),
            (Waiting::Bind(bind), Ok(_)) => {
                self.names.statement(&bind.statement).is_some_and(|known| begins_transaction(&known.text))
            }
            (_, Err(_)) => false,
        };
        if let (Waiting::Query(text), true) = (&waiting, begins)
            && let Some(tag) = begin_tag(text.as_str())
            && self.is_idle()
            && out.backend.is_empty()
        {
            self.deferred = Some(text.detached());
            self.drop_unnamed();
            Backend::CommandComplete(Bytes::from_static(tag.as_bytes())).write(&mut out.client);
            Backend::ReadyForQuery(Status::Open).write(&mut out.client);
            return Ok(());
        }
        if !self.begin(out)? {
            self.parked = Some((waiting, answer));
            return Ok(());
        }
        match (waiting, answer) {
            (Waiting::Query(_), Err(refusal)) => {
                self.fail(refusal, out)?;
                self.run.skips = false;
                self.end_run(Kind::Sync, &Frontend::Sync, Shown::Yes, out);
            }
            (Waiting::Bind(_), Err(refusal)) => self.fail(refusal, out)?,
            (Waiting::Query(text), Ok(permit)) => self.send_query(text, permit, out),
            (Waiting::Bind(bind), Ok(permit)) => {
                self.send_bind(bind, permit, out);
                self.run.runs |= !begins;
                self.run.unsure |= !begins && !permit.keeps_settings;
            }
        }
        Ok(())
    }

    fn send_query(&mut self, text: Text, permit: Permit, out: &mut Out) {
        let unnamed = self.drop_unnamed();
        self.copy_limit = permit.copy_limit;
        let (text, drops) = match self.names.rename_deallocate(text.as_str()) {
            Some((renamed, drops)) => (renamed, Some(drops)),
            None => (text, None),
        };
        self.run.runs = true;
        self.end_run(Kind::Query { drops, unnamed }, &Frontend::Query(text), Shown::Yes, out);
    }

    /// A simple query lets go of what is unnamed.
    fn drop_unnamed(&mut self) -> [Undo; 2] {
        [self.names.put_statement(Text::default(), None), self.names.put_portal(Text::default(), None)]
    }

    fn send_bind(&mut self, mut bind: Bind, permit: Permit, out: &mut Out) {
        let Some(statement) = self.names.statement(&bind.statement).cloned() else { return };
        bind.statement = statement.name.clone();
        let portal = Portal { statement, copy_limit: permit.copy_limit };
        let undo = self.names.put_portal(bind.portal.clone(), Some(portal));
        self.put(Kind::Bind(undo), &Frontend::Bind(bind), Shown::Yes, out);
    }

    fn sync(&mut self, out: &mut Out) {
        self.run.skips = false;
        self.end_run(Kind::Sync, &Frontend::Sync, Shown::Yes, out);
    }

    /// A run failed before its transaction had begun at the server: there, too, it has to have failed.
    fn begin_to_fail(&mut self, out: &mut Out) -> Result<(), Ended> {
        self.put_begin(out)?;
        self.put_fail(Shown::No, out)?;
        self.end_run(Kind::Sync, &Frontend::Sync, Shown::Yes, out);
        Ok(())
    }

    /// Begins the transaction that was put off. False if the server has to get ready for it first.
    fn begin(&mut self, out: &mut Out) -> Result<bool, Ended> {
        if self.deferred.is_none() {
            return Ok(true);
        }
        if self.run.sent {
            self.end_run(Kind::Sync, &Frontend::Sync, Shown::No, out);
            return Ok(false);
        }
        // Before everything of its run: some kinds of transaction have to begin before any look at the catalog.
        let (kept, flights) = (std::mem::take(&mut out.backend), std::mem::take(&mut self.flights));
        self.put_begin(out)?;
        out.backend.unsplit(kept);
        self.flights.extend(flights);
        Ok(true)
    }

    /// In messages of the extended protocol: should it fail, the server skips what comes behind it.
    fn put_begin(&mut self, out: &mut Out) -> Result<(), Ended> {
        let Some(text) = self.deferred.take() else { return Ok(()) };
        let name = self.names.own("begin")?;
        let bind = Bind {
            portal: name.clone(),
            statement: name.clone(),
            formats: Vec::new(),
            values: Vec::new(),
            results: Vec::new(),
        };
        let parse = Frontend::Parse(Parse { name: name.clone(), text, types: Vec::new() });
        self.put(Kind::Parse(Undo::Nothing), &parse, Shown::No, out);
        self.put(Kind::Bind(Undo::Nothing), &Frontend::Bind(bind), Shown::No, out);
        let execute = Frontend::Execute { portal: name.clone(), max_rows: 0 };
        self.put(Kind::Execute { copies: false, drops: None }, &execute, Shown::No, out);
        // What is left would be seen among the session's cursors and statements.
        for target in [Target::Portal(name.clone()), Target::Statement(name)] {
            self.put(Kind::Close(Undo::Nothing), &Frontend::Close(target), Shown::No, out);
        }
        Ok(())
    }

    /// Refuses within a run: the server itself comes to fail, so that its transaction and ours agree.
    fn fail(&mut self, refusal: Refusal, out: &mut Out) -> Result<(), Ended> {
        self.put_fail(Shown::Instead(refusal), out)?;
        self.run.skips = true;
        Ok(())
    }

    fn put_fail(&mut self, shown: Shown, out: &mut Out) -> Result<(), Ended> {
        let nowhere = Frontend::Describe(Target::Portal(self.names.own("refused")?));
        self.put(Kind::Fail, &nowhere, shown, out);
        Ok(())
    }

    fn end_run(&mut self, kind: Kind, message: &Frontend, shown: Shown, out: &mut Out) {
        self.put(kind, message, shown, out);
        out.send = true;
        self.phase = Phase::Busy;
    }

    fn put(&mut self, kind: Kind, message: &Frontend, shown: Shown, out: &mut Out) {
        message.write(&mut out.backend);
        self.flights.push_back(Flight { kind, shown });
    }
}
