//! The core of a session: follows both sides' messages, and asks about every text before it runs. No sockets, no clock.
//!
//! One run of messages, up to a Sync or a Query, is with the server at a time; the next is looked at when the server is
//! ready for it. So what a client prepared before is known to stand, and settings that a run changed have been told of,
//! before the next text is read. Within a run nothing is sent before the server has to answer ([`Out::send`]), so that a
//! statement that waits for people keeps nothing locked that came before it in its run.

mod errand;
mod conduct;
mod prepare;
mod answers;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use bytes::{Bytes, BytesMut};
use futures_util::future::BoxFuture;

use crate::config::IN_FLIGHT_LIMIT;
use crate::hold::{Decide, Facts, Held, Permit, StatementGroup, Verdict};
use crate::parse::statement::{begin_tag, begins_transaction};
use crate::parse::{Backend, Bind, Frontend, Malformed, Parse, Status, Target, Text};
use crate::reply::{Refusal, State, Told};
use crate::terms::Terms;
use crate::track::{Names, Portal, Undo};
use crate::watched::Watching;

use conduct::{Conduct, What};
use errand::{Errand, Learned};
use prepare::{check_name, no_statement};

pub(crate) use answers::Handling;
pub(crate) use conduct::SharedTerms;
pub(crate) use errand::cancelled_by_user;

/// What is to be written to both sides.
#[derive(Default)]
pub(crate) struct Out {
    pub(crate) client: BytesMut,
    pub(crate) backend: BytesMut,
    /// What the client gets to see when the statement was looked at that gave it.
    pub(crate) kept: BytesMut,
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
    /// It waits for a decision; [`Session::decided`] goes on with it.
    Later(BoxFuture<'static, Verdict>, Box<Waiting>),
}

/// A message that was asked about and is not on its way yet.
#[derive(Debug)]
pub(crate) enum Waiting {
    Query(Text),
    Bind(Bind),
}

/// A permit on its way. Whoever watches it hears its end even when it comes no further.
#[derive(Debug)]
struct Leave {
    keeps_settings: bool,
    leaves_nothing: bool,
    copy_limit: Option<u64>,
    watching: Watching,
    /// The conditions, if there are any.
    terms: Option<SharedTerms>,
}

type Answer = Result<Leave, Refusal>;

impl From<Permit> for Leave {
    fn from(permit: Permit) -> Leave {
        let Permit { keeps_settings, leaves_nothing, copy_limit, watch, recheck, bounds, results } = permit;
        let terms = Some(Terms::new(recheck, bounds, results)).filter(|terms| !terms.is_empty());
        Leave {
            keeps_settings,
            leaves_nothing,
            copy_limit,
            watching: Watching::new(watch),
            terms: terms.map(|terms| Arc::new(Mutex::new(terms))),
        }
    }
}

/// A message that the server has yet to answer.
#[derive(Debug)]
struct Flight {
    kind: Kind,
    shown: Shown,
    /// How many rows of it have come.
    rows: u64,
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
        watching: Watching,
    },
    Sync,
    Query {
        drops: Option<Text>,
        unnamed: [Undo; 2],
        watching: Watching,
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
    /// Nothing: it is part of a question of ours, whose answer is kept.
    Errand,
    /// Nothing but an error.
    Quiet,
    /// Its columns are looked at first, and shown if the client asked for them.
    Columns { pass: bool },
    /// All of it, once it was looked at.
    Kept,
}

/// Whether an explicit transaction is open at the server, apart from what it said of that last.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Block {
    /// As it said.
    #[default]
    AsBefore,
    /// One was begun since.
    Begun,
    /// One was ended since, and perhaps another begun with it.
    Unclear,
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
    /// The first error.
    told: Option<Told>,
    block: Block,
    /// The open transaction is ours, and ends with the run.
    ours: bool,
    /// What has run, and is watched: the run's end may take it back.
    done: Vec<Watching>,
}

/// One session.
pub(crate) struct Session {
    pub(crate) facts: Facts,
    names: Names,
    flights: VecDeque<Flight>,
    /// How many of the last flights the server has seen nothing of.
    unsent: usize,
    phase: Phase,
    /// The transaction as the server has it.
    status: Status,
    run: Run,
    /// A BEGIN that the client was told is done, and the server knows nothing of.
    deferred: Option<Text>,
    /// What goes on when the server is ready again.
    parked: Option<(Waiting, Answer)>,
    /// What we ask the server now.
    errand: Option<Errand>,
    /// What came of it, and goes on with [`Session::resume`].
    learned: Option<Learned>,
    /// The statement that runs under conditions.
    conduct: Option<Conduct>,
    /// How often the server was asked about the message that is looked at.
    looks: u8,
    copy_limit: Option<u64>,
    /// Who watches the COPY that goes on.
    copying: Watching,
    hold_inside_transaction: bool,
    /// Something of the session's may be left at the server.
    marked: bool,
}

impl Session {
    pub(crate) fn new(facts: Facts, random: [u8; 16], hold_inside_transaction: bool) -> Session {
        Session {
            facts,
            names: Names::new(random),
            flights: VecDeque::new(),
            unsent: 0,
            phase: Phase::Open,
            status: Status::Idle,
            run: Run::default(),
            deferred: None,
            parked: None,
            errand: None,
            learned: None,
            conduct: None,
            looks: 0,
            copy_limit: None,
            copying: Watching::default(),
            hold_inside_transaction,
            marked: false,
        }
    }

    /// Whether another connection to the server would do as well as this one.
    pub(crate) fn needs_no_server(&self) -> bool {
        let idle = self.phase == Phase::Open && self.status == Status::Idle && !self.run.sent;
        let mut kept = Vec::new();
        for flight in &self.flights {
            match &flight.kind {
                Kind::Parse(Undo::Statement(name, None)) => kept.push(name),
                Kind::Parse(_) => return false,
                Kind::Bind(_)
                | Kind::Close(_)
                | Kind::DescribeStatement
                | Kind::DescribePortal
                | Kind::Fail
                | Kind::Execute { .. }
                | Kind::Sync
                | Kind::Query { .. } => {}
            }
        }
        idle && !self.marked && self.names.are_all(&kept)
    }

    /// The server is another now, and has told of these settings.
    pub(crate) fn meets(&mut self, settings: Vec<(Bytes, Bytes)>, out: &mut Out) {
        for (name, value) in settings {
            if self.facts.settings.get(&name) != Some(&value) {
                Backend::ParameterStatus { name: name.clone(), value: value.clone() }.write(&mut out.client);
                self.facts.settings.insert(name, value);
            }
        }
    }

    /// Whether the client's next message is looked at now.
    pub(crate) fn takes_next(&self) -> bool {
        match self.phase {
            Phase::Open => self.flights.len() < IN_FLIGHT_LIMIT && self.learned.is_none(),
            Phase::Copying => true,
            Phase::Busy => false,
        }
    }

    /// Whether the session does nothing and keeps nothing open.
    pub(crate) fn is_idle(&self) -> bool {
        let between_runs = self.phase == Phase::Open && self.flights.is_empty() && !self.run.sent;
        between_runs && self.learned.is_none() && self.client_status() == Status::Idle
    }

    /// Whether the server works on something of the client's, which can be cancelled.
    pub(crate) fn is_running(&self) -> bool {
        !self.flights.is_empty()
    }

    /// Whether the server works on something that is watched, and needs no more from the client for it.
    pub(crate) fn is_owed_an_end(&self) -> bool {
        let watched = |flight: &Flight| flight.watching().is_some_and(Watching::is_some);
        let with_server = self.run.sent && self.flights.iter().any(watched);
        let ends = !self.run.done.is_empty() && !self.flights.is_empty();
        self.phase != Phase::Copying && (with_server || ends || self.conduct.is_some())
    }

    /// The transaction as the client has it.
    fn client_status(&self) -> Status {
        if self.deferred.is_some() { Status::Open } else { self.status }
    }

    /// What was kept back is with the server from now on.
    pub(crate) fn sent(&mut self) {
        self.run.sent = true;
        self.unsent = 0;
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
                self.sync(out)?;
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

    /// Goes on with a message that has waited for people.
    pub(crate) fn settle(
        &mut self,
        waiting: Waiting,
        answer: Result<Permit, Refusal>,
        out: &mut Out,
    ) -> Result<(), Ended> {
        let answer = answer.map(Leave::from);
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

    /// Goes on with a message that has waited for a decision.
    pub(crate) fn decided(
        &mut self,
        waiting: Waiting,
        verdict: Verdict,
        out: &mut Out,
    ) -> Result<Step, Ended> {
        if self.run.skips {
            return Ok(Step::Done);
        }
        let may_wait = self.may_wait(out);
        self.follow(verdict, may_wait, waiting, out)
    }

    /// The client is gone: what was not sent yet is not sent any more.
    pub(crate) fn forget(&mut self) {
        self.parked = None;
        self.learned = None;
    }

    /// Tells those who watch that nothing more comes of what is under way.
    pub(crate) fn abandon(&mut self) {
        let aside = self.errand.take().and_then(|errand| errand.aside);
        for flight in aside.iter().flat_map(|aside| &aside.flights) {
            flight.never_ran();
        }
        let with_server = self.flights.len().saturating_sub(self.unsent);
        self.flights.iter().skip(with_server).for_each(Flight::never_ran);
        let is_end = |flight: &Flight| matches!(flight.kind, Kind::Sync | Kind::Query { .. });
        if self.flights.iter().take(with_server).any(is_end) {
            for watching in std::mem::take(&mut self.run.done) {
                watching.unknown("the connection ended before the server said whether it was committed");
            }
        }
    }

    fn query(&mut self, text: Text, decide: &dyn Decide, out: &mut Out) -> Result<Step, Ended> {
        if let Err(refusal) = self.check_text(text.as_str()) {
            self.go_on(Waiting::Query(text), Err(refusal), out)?;
            return Ok(Step::Done);
        }
        self.looks = 0;
        self.ask(Waiting::Query(text), decide, out)
    }

    fn bind(&mut self, bind: Bind, decide: &dyn Decide, out: &mut Out) -> Result<Step, Ended> {
        let checked = if self.names.statement(&bind.statement).is_none() {
            Err(no_statement(&bind.statement))
        } else if self.names.is_full_of_portals() {
            Err(Refusal::new(State::LIMIT, "this session has too many portals"))
        } else {
            check_name(&bind.portal).and_then(|()| self.check_values(&bind))
        };
        if let Err(refusal) = checked {
            self.fail(refusal, out)?;
            return Ok(Step::Done);
        }
        self.looks = 0;
        self.ask(Waiting::Bind(bind), decide, out)
    }

    /// Asks about a message, and does what is answered.
    fn ask(&mut self, waiting: Waiting, decide: &dyn Decide, out: &mut Out) -> Result<Step, Ended> {
        let may_wait = self.may_wait(out);
        let verdict = match &waiting {
            Waiting::Query(text) => {
                decide.decide(&self.facts, &self.group(text.as_str(), &[], None, may_wait))
            }
            Waiting::Bind(bind) => match self.names.statement(&bind.statement) {
                Some(known) => {
                    decide.decide(&self.facts, &self.group(&known.text, &known.types, Some(bind), may_wait))
                }
                None => Verdict::Deny(no_statement(&bind.statement)),
            },
        };
        self.follow(verdict, may_wait, waiting, out)
    }

    /// Whether nothing of the session's is open at the server, or that does not matter.
    fn may_wait(&self, out: &Out) -> bool {
        let runs = self.run.runs && (self.run.sent || out.send);
        self.status == Status::Idle && !runs || self.hold_inside_transaction
    }

    fn group<'a>(
        &self,
        text: &'a str,
        types: &'a [u32],
        bind: Option<&'a Bind>,
        may_wait: bool,
    ) -> StatementGroup<'a> {
        let transaction = match self.client_status() {
            Status::Idle if self.run.runs => Status::Open,
            status @ (Status::Idle | Status::Open | Status::Failed) => status,
        };
        StatementGroup { text, types, bind, transaction, may_wait }
    }

    fn follow(
        &mut self,
        verdict: Verdict,
        may_wait: bool,
        waiting: Waiting,
        out: &mut Out,
    ) -> Result<Step, Ended> {
        let answer = match verdict {
            Verdict::Permit(permit) => Ok(Leave::from(permit)),
            Verdict::Deny(refusal) => Err(refusal),
            Verdict::Later(verdict) => return Ok(Step::Later(verdict, Box::new(waiting))),
            Verdict::Look(lookup) => match self.look(lookup, waiting, out)? {
                None => return Ok(Step::Done),
                Some((unasked, refusal)) => {
                    self.go_on(unasked, Err(refusal), out)?;
                    return Ok(Step::Done);
                }
            },
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
    fn go_on(&mut self, waiting: Waiting, answer: Answer, out: &mut Out) -> Result<(), Ended> {
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
            let tag = Bytes::from_static(tag.as_bytes());
            if let Ok(leave) = answer {
                leave.watching.has_run(Some(&tag), 0);
                leave.watching.complete(true);
            }
            Backend::CommandComplete(tag).write(&mut out.client);
            Backend::ReadyForQuery(Status::Open).write(&mut out.client);
            return Ok(());
        }
        if !self.begin(out)? || self.ends_ours_first(&waiting, out)? {
            self.parked = Some((waiting, answer));
            return Ok(());
        }
        self.marked |= answer.as_ref().is_ok_and(|leave| !leave.leaves_nothing);
        match (waiting, answer) {
            (Waiting::Query(_), Err(refusal)) => {
                self.fail(refusal, out)?;
                self.run.skips = false;
                self.end_run(Kind::Sync, &Frontend::Sync, Shown::Yes, out);
            }
            (Waiting::Bind(_), Err(refusal)) => self.fail(refusal, out)?,
            (Waiting::Query(text), Ok(Leave { terms: Some(terms), watching, copy_limit, .. })) => {
                let unnamed = self.drop_unnamed();
                self.copy_limit = copy_limit;
                self.conduct(What::Query(text, unnamed), terms, watching, out)?;
            }
            (Waiting::Query(text), Ok(leave)) => self.send_query(text, leave, out),
            (Waiting::Bind(bind), Ok(leave)) => {
                self.run.runs |= !begins;
                self.run.unsure |= !begins && !leave.keeps_settings;
                self.send_bind(bind, leave, out);
            }
        }
        Ok(())
    }

    /// A simple query ends what came before it in its run, and so a transaction of ours.
    fn ends_ours_first(&mut self, waiting: &Waiting, out: &mut Out) -> Result<bool, Ended> {
        if !self.run.ours || !matches!(waiting, Waiting::Query(_)) {
            return Ok(false);
        }
        self.commit_ours(out)?;
        self.end_run(Kind::Sync, &Frontend::Sync, Shown::No, out);
        Ok(true)
    }

    fn send_query(&mut self, text: Text, leave: Leave, out: &mut Out) {
        let unnamed = self.drop_unnamed();
        self.copy_limit = leave.copy_limit;
        let (text, drops) = match self.names.rename_deallocate(text.as_str()) {
            Some((renamed, drops)) => (renamed, Some(drops)),
            None => (text, None),
        };
        self.run.runs = true;
        leave.watching.runs();
        let kind = Kind::Query { drops, unnamed, watching: leave.watching };
        self.end_run(kind, &Frontend::Query(text), Shown::Yes, out);
    }

    /// A simple query lets go of what is unnamed.
    fn drop_unnamed(&mut self) -> [Undo; 2] {
        [self.names.put_statement(Text::default(), None), self.names.put_portal(Text::default(), None)]
    }

    fn send_bind(&mut self, mut bind: Bind, leave: Leave, out: &mut Out) {
        let Some(statement) = self.names.statement(&bind.statement).cloned() else { return };
        bind.statement = statement.name.clone();
        let portal =
            Portal { statement, copy_limit: leave.copy_limit, watching: leave.watching, terms: leave.terms };
        let undo = self.names.put_portal(bind.portal.clone(), Some(portal));
        self.put(Kind::Bind(undo), &Frontend::Bind(bind), Shown::Yes, out);
    }

    fn sync(&mut self, out: &mut Out) -> Result<(), Ended> {
        self.commit_ours(out)?;
        self.run.skips = false;
        self.end_run(Kind::Sync, &Frontend::Sync, Shown::Yes, out);
        Ok(())
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
        self.put_own("begin", text, 0, || Shown::No, out)
    }

    /// Runs a statement of ours, and lets go of all its names: what is left would be seen among the session's cursors
    /// and statements.
    fn put_own(
        &mut self,
        what: &str,
        text: Text,
        max_rows: u32,
        shown: impl Fn() -> Shown,
        out: &mut Out,
    ) -> Result<(), Ended> {
        let name = self.names.own(what)?;
        let bind = Bind {
            portal: name.clone(),
            statement: name.clone(),
            formats: Vec::new(),
            values: Vec::new(),
            results: Vec::new(),
        };
        // One that failed when it ran is still there.
        let close = Frontend::Close(Target::Statement(name.clone()));
        self.put(Kind::Close(Undo::Nothing), &close, shown(), out);
        let parse = Frontend::Parse(Parse { name: name.clone(), text, types: Vec::new() });
        self.put(Kind::Parse(Undo::Nothing), &parse, shown(), out);
        self.put(Kind::Bind(Undo::Nothing), &Frontend::Bind(bind), shown(), out);
        let execute = Frontend::Execute { portal: name.clone(), max_rows };
        let kind = Kind::Execute { copies: false, drops: None, watching: Watching::default() };
        self.put(kind, &execute, shown(), out);
        for target in [Target::Portal(name.clone()), Target::Statement(name)] {
            self.put(Kind::Close(Undo::Nothing), &Frontend::Close(target), shown(), out);
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
        self.flights.push_back(Flight { kind, shown, rows: 0 });
        self.unsent += 1;
    }
}

impl Flight {
    fn watching(&self) -> Option<&Watching> {
        match &self.kind {
            Kind::Execute { watching, .. } | Kind::Query { watching, .. } => Some(watching),
            Kind::Parse(_)
            | Kind::Bind(_)
            | Kind::Close(_)
            | Kind::DescribeStatement
            | Kind::DescribePortal
            | Kind::Fail
            | Kind::Sync => None,
        }
    }

    fn never_ran(&self) {
        if let Some(watching) = self.watching() {
            watching.is_skipped();
        }
    }
}
