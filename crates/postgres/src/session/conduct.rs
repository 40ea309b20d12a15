//! Statements that run under conditions: one at a time, each step answered before the next.
//!
//! They run by the extended protocol, also where the client sent a simple query, so that nothing is committed before it
//! was looked at. Where no transaction is open they run in one of ours, which ends with the client's run.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use crate::config::{KEPT_ROWS_LIMIT_BYTES, MASKED_ROW_LIMIT_BYTES};
use crate::hold::Rows;
use crate::parse::statement::begins_with_copy;
use crate::parse::{Backend, Bind, Frontend, HEAD_BYTES, Parse, Status, Target, Text};
use crate::reply::{Refusal, State, Told};
use crate::terms::{COUNTS, Row, Terms};
use crate::track::Undo;
use crate::watched::Watching;

use super::errand::Purpose;
use super::{Block, Ended, Handling, Kind, Out, Phase, Session, Shown};

/// The conditions of a portal, for all that runs it.
pub(crate) type SharedTerms = Arc<Mutex<Terms>>;

/// What is asked for nothing but its answer, which comes behind those of all before it.
const NOTHING: &str = "SELECT";

/// A statement that runs under conditions now.
pub(super) struct Conduct {
    what: What,
    terms: SharedTerms,
    watching: Watching,
    stage: Stage,
    /// The message that ends it, kept back until everything was looked at.
    last: Option<Backend>,
    /// Why it is refused once it has run.
    wrong: Option<Refusal>,
    /// What becomes of the row that comes now.
    row: Option<Row>,
}

/// What the client sent.
pub(super) enum What {
    /// With what it lets go of.
    Query(Text, [Undo; 2]),
    Execute {
        portal: Text,
        max_rows: u32,
        copies: bool,
        drops: Option<Text>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// What was sent before is answered.
    Settling,
    RecheckBefore,
    CountBefore,
    Running,
    CountAfter,
    RecheckAfter,
    /// All is as it has to be.
    Passed,
    /// Our transaction ends.
    Committing,
}

impl Session {
    /// Begins a statement under conditions.
    pub(super) fn conduct(
        &mut self,
        what: What,
        terms: SharedTerms,
        watching: Watching,
        out: &mut Out,
    ) -> Result<(), Ended> {
        let checks = lock(&terms).checks();
        let stage = Stage::Settling;
        out.kept.clear();
        self.conduct = Some(Conduct { what, terms, watching, stage, last: None, wrong: None, row: None });
        if checks && !self.flights.is_empty() {
            return self.ask_within(NOTHING, out);
        }
        self.conduct_on(&Rows::new(), out)
    }

    /// Goes on behind a stage that was answered with `rows`.
    pub(super) fn conduct_on(&mut self, rows: &Rows, out: &mut Out) -> Result<(), Ended> {
        let Some(mut conduct) = self.conduct.take() else { return Ok(()) };
        let looked_at = match conduct.stage {
            Stage::Settling if lock(&conduct.terms).checks() => self.begin_ours(out)?,
            Stage::RecheckBefore | Stage::RecheckAfter => lock(&conduct.terms).is_as_expected(rows),
            Stage::CountBefore => lock(&conduct.terms).counted_before(rows),
            Stage::CountAfter => lock(&conduct.terms).counted_after(rows),
            Stage::Settling | Stage::Running | Stage::Passed | Stage::Committing => Ok(()),
        };
        if let Err(refusal) = looked_at {
            return self.conduct_refused(&conduct, refusal, out);
        }
        conduct.stage = conduct.next();
        let recheck = match conduct.stage {
            Stage::RecheckBefore | Stage::RecheckAfter => {
                lock(&conduct.terms).recheck.as_ref().map(|recheck| recheck.sql.clone())
            }
            Stage::Settling
            | Stage::CountBefore
            | Stage::Running
            | Stage::CountAfter
            | Stage::Passed
            | Stage::Committing => None,
        };
        match (conduct.stage, recheck) {
            (_, Some(sql)) => {
                self.conduct = Some(conduct);
                self.ask_within(&sql, out)
            }
            (Stage::CountBefore | Stage::CountAfter, None) => {
                self.conduct = Some(conduct);
                self.ask_within(COUNTS, out)
            }
            (Stage::Running, None) => self.conduct_run(conduct, out),
            (_, None) => self.conduct_passed(conduct, out),
        }
    }

    /// A question of ours within the client's run.
    fn ask_within(&mut self, sql: &str, out: &mut Out) -> Result<(), Ended> {
        match Text::try_from(sql.to_owned()) {
            Ok(text) => self.ask_server(Purpose::Check, text, false, out),
            Err(malformed) => match self.conduct.take() {
                Some(conduct) => {
                    self.conduct_refused(&conduct, Refusal::new(State::INTERNAL, malformed.to_string()), out)
                }
                None => Ok(()),
            },
        }
    }

    /// Has the statement run in a transaction that can be rolled back.
    fn begin_ours(&mut self, out: &mut Out) -> Result<Result<(), Refusal>, Ended> {
        match (self.run.block, self.status) {
            (Block::Unclear, _) => {
                let message = "what came before in this run may have ended its transaction, and this statement needs one";
                return Ok(Err(
                    Refusal::new(State::NOT_SUPPORTED, message).with_hint("send a Sync between the two")
                ));
            }
            (_, Status::Failed) => {
                return Ok(Err(Refusal::new(State::FAILED, "current transaction is aborted")));
            }
            (Block::Begun, _) | (_, Status::Open) => {}
            (Block::AsBefore, Status::Idle) => {
                self.put_own("begin", Text::try_from("BEGIN".to_owned())?, 0, || Shown::No, out)?;
                self.run.ours = true;
                self.run.block = Block::Begun;
            }
        }
        Ok(Ok(()))
    }

    /// Ends our transaction, where there is one.
    pub(super) fn commit_ours(&mut self, out: &mut Out) -> Result<(), Ended> {
        if !self.run.ours || self.run.failed || self.run.skips {
            return Ok(());
        }
        self.put_own("commit", Text::try_from("COMMIT".to_owned())?, 0, || Shown::Quiet, out)
    }

    fn conduct_run(&mut self, conduct: Conduct, out: &mut Out) -> Result<(), Ended> {
        let watching = conduct.watching.clone();
        watching.runs();
        let (portal, max_rows, copies, drops) = match &conduct.what {
            What::Query(text, _) => {
                let bind = Bind {
                    portal: Text::default(),
                    statement: Text::default(),
                    formats: Vec::new(),
                    values: Vec::new(),
                    results: Vec::new(),
                };
                let parse = Parse { name: Text::default(), text: text.clone(), types: Vec::new() };
                self.put(Kind::Parse(Undo::Nothing), &Frontend::Parse(parse), Shown::Quiet, out);
                self.put(Kind::Bind(Undo::Nothing), &Frontend::Bind(bind), Shown::Quiet, out);
                (Text::default(), 0, begins_with_copy(text.as_str()), None)
            }
            What::Execute { portal, max_rows, copies, drops } => {
                let all = lock(&conduct.terms).bounds.is_some();
                (portal.clone(), if all { 0 } else { *max_rows }, *copies, drops.clone())
            }
        };
        let is_query = conduct.is_query();
        if is_query || lock(&conduct.terms).needs_columns() {
            let describe = Frontend::Describe(Target::Portal(portal.clone()));
            self.put(Kind::DescribePortal, &describe, Shown::Columns { pass: is_query }, out);
        }
        let kind = Kind::Execute { copies, drops, watching };
        self.put(kind, &Frontend::Execute { portal, max_rows }, Shown::Kept, out);
        Frontend::Flush.write(&mut out.backend);
        out.send = true;
        self.run.runs = true;
        self.phase = Phase::Busy;
        self.conduct = Some(conduct);
        Ok(())
    }

    /// The server describes what is to come.
    pub(super) fn conduct_columns(&mut self, message: &Backend, out: &mut Out) {
        let (Some(conduct), Backend::RowDescription(columns)) = (&mut self.conduct, message) else { return };
        if let Err(refusal) = lock(&conduct.terms).columns(columns) {
            conduct.wrong.get_or_insert(refusal);
        }
        let pass =
            matches!(self.flights.front().map(|flight| &flight.shown), Some(Shown::Columns { pass: true }));
        if pass && conduct.wrong.is_none() {
            let to = if conduct.keeps() { &mut out.kept } else { &mut out.client };
            message.write(to);
        }
    }

    /// Whether a row of the statement has to be read whole.
    pub(super) fn conduct_looks_at_row(&mut self, bytes: usize) -> bool {
        let Some(conduct) = &mut self.conduct else { return false };
        if conduct.row.is_none() {
            let row = match lock(&conduct.terms).row() {
                _ if conduct.wrong.is_some() => Row::Cut,
                Ok(Row::Look) if bytes > MASKED_ROW_LIMIT_BYTES => {
                    conduct.wrong = Some(Refusal::new(State::LIMIT, "a row is too long to be masked"));
                    Row::Cut
                }
                Ok(row) => row,
                Err(refusal) => {
                    conduct.wrong = Some(refusal);
                    Row::Cut
                }
            };
            conduct.row = Some(row);
        }
        conduct.row == Some(Row::Look)
    }

    /// A row that was read whole.
    pub(super) fn conduct_row(&mut self, mut values: Vec<Option<Bytes>>, out: &mut Out) {
        let Some(conduct) = &mut self.conduct else { return };
        conduct.row = None;
        if let Err(refusal) = lock(&conduct.terms).mask(&mut values) {
            conduct.wrong.get_or_insert(refusal);
            return;
        }
        let mut row = bytes::BytesMut::new();
        Backend::DataRow(values).write(&mut row);
        match self.conduct_handling(row.len().saturating_sub(HEAD_BYTES), out) {
            Handling::Pass => out.client.extend_from_slice(&row),
            Handling::Keep => out.kept.extend_from_slice(&row),
            Handling::Drop => {}
        }
    }

    /// What becomes of a message of the statement's, whose body has so many bytes and is passed on beside us.
    pub(super) fn conduct_handling(&mut self, bytes: usize, out: &mut Out) -> Handling {
        let Some(conduct) = &mut self.conduct else { return Handling::Drop };
        if conduct.wrong.is_some() || conduct.row.take() == Some(Row::Cut) {
            return Handling::Drop;
        }
        if !conduct.keeps() {
            return Handling::Pass;
        }
        if out.kept.len().saturating_add(HEAD_BYTES + bytes) > KEPT_ROWS_LIMIT_BYTES {
            let message = "the statement gives more than the gate keeps while it looks at what it has done";
            conduct.wrong = Some(Refusal::new(State::LIMIT, message));
            out.kept.clear();
            return Handling::Drop;
        }
        Handling::Keep
    }

    /// The statement copies data out, whose columns nobody looks at.
    pub(super) fn conduct_copies_out(&mut self) {
        if let Some(conduct) = &mut self.conduct
            && lock(&conduct.terms).shapes_rows()
        {
            let message = "copied data cannot be masked or counted";
            let refusal = Refusal::new(State::NOT_SUPPORTED, message).with_hint("use SELECT");
            conduct.wrong.get_or_insert(refusal);
        }
    }

    /// The statement has stopped with this message.
    pub(super) fn conduct_stopped(&mut self, last: Backend, out: &mut Out) -> Result<(), Ended> {
        let Some(mut conduct) = self.conduct.take() else { return Ok(()) };
        if conduct.stage == Stage::Committing {
            conduct.release(out);
            return Ok(());
        }
        let tag = if let Backend::CommandComplete(tag) = &last { Some(tag) } else { None };
        let affected = lock(&conduct.terms).affected(tag);
        if let Some(refusal) = conduct.wrong.take().or(affected.err()) {
            return self.conduct_refused(&conduct, refusal, out);
        }
        conduct.last = Some(last);
        self.conduct = Some(conduct);
        self.conduct_on(&Rows::new(), out)
    }

    fn conduct_passed(&mut self, mut conduct: Conduct, out: &mut Out) -> Result<(), Ended> {
        self.phase = Phase::Open;
        if !conduct.is_query() {
            conduct.release(out);
            return Ok(());
        }
        // A simple query leaves nothing unnamed behind.
        for target in [Target::Portal(Text::default()), Target::Statement(Text::default())] {
            self.put(Kind::Close(Undo::Nothing), &Frontend::Close(target), Shown::Quiet, out);
        }
        if self.run.ours {
            self.commit_ours(out)?;
            self.run.ours = false;
            conduct.stage = Stage::Committing;
            self.conduct = Some(conduct);
        } else {
            conduct.release(out);
        }
        self.end_run(Kind::Sync, &Frontend::Sync, Shown::Yes, out);
        Ok(())
    }

    /// The gate refuses: the server itself comes to fail, and rolls back.
    fn conduct_refused(&mut self, conduct: &Conduct, refusal: Refusal, out: &mut Out) -> Result<(), Ended> {
        out.kept.clear();
        conduct.watching.failed(&Told::from(&refusal));
        self.phase = Phase::Open;
        self.fail(refusal, out)?;
        if conduct.is_query() {
            self.sync_failed(out);
        }
        Ok(())
    }

    /// What came before it in its run has failed: it was never there.
    pub(super) fn conduct_skipped(&mut self) {
        if let Some(Conduct { what: What::Query(_, unnamed), .. }) = self.conduct.take() {
            unnamed.into_iter().for_each(|undo| self.names.undo(undo));
        }
    }

    /// A question about the statement was not answered.
    pub(super) fn conduct_unclear(&mut self, refusal: Refusal, out: &mut Out) -> Result<(), Ended> {
        if self.run.skips {
            // The server has failed already.
            refusal.write_error(&mut out.client);
            self.run.told = Some(Told::from(&refusal));
            self.conduct_failed(out);
            return Ok(());
        }
        match self.conduct.take() {
            Some(conduct) => self.conduct_refused(&conduct, refusal, out),
            None => Ok(()),
        }
    }

    /// The server refuses the statement: it skips up to the Sync.
    pub(super) fn conduct_failed(&mut self, out: &mut Out) {
        let Some(conduct) = self.conduct.take() else { return };
        out.kept.clear();
        if let Some(told) = &self.run.told {
            conduct.watching.failed(told);
        }
        if conduct.is_query() && conduct.stage != Stage::Committing {
            self.sync_failed(out);
        }
    }

    /// Ends a run for a simple query that has failed in it.
    pub(super) fn sync_failed(&mut self, out: &mut Out) {
        self.run.skips = false;
        self.end_run(Kind::Sync, &Frontend::Sync, Shown::Yes, out);
    }

    /// Whether what the server says now is of a statement under conditions.
    pub(super) fn answers_conduct(&self) -> bool {
        self.flights.front().is_some_and(|flight| matches!(flight.shown, Shown::Kept))
    }
}

impl Conduct {
    fn is_query(&self) -> bool {
        matches!(self.what, What::Query(..))
    }

    /// Whether its rows wait until all was looked at.
    fn keeps(&self) -> bool {
        lock(&self.terms).bounds.is_some()
    }

    fn next(&self) -> Stage {
        let terms = lock(&self.terms);
        let (rechecks, counts) = (terms.recheck.is_some(), terms.counts_tables());
        match self.stage {
            Stage::Settling if rechecks => Stage::RecheckBefore,
            Stage::Settling | Stage::RecheckBefore if counts => Stage::CountBefore,
            Stage::Settling | Stage::RecheckBefore | Stage::CountBefore => Stage::Running,
            Stage::Running if counts => Stage::CountAfter,
            Stage::Running | Stage::CountAfter if rechecks => Stage::RecheckAfter,
            Stage::Running | Stage::CountAfter | Stage::RecheckAfter => Stage::Passed,
            Stage::Passed | Stage::Committing => Stage::Committing,
        }
    }

    /// Lets go of what was kept back.
    fn release(&mut self, out: &mut Out) {
        out.client.unsplit(out.kept.split());
        if let Some(limit) = lock(&self.terms).has_cut() {
            let message = format!("only the first {} rows are given", limit.most);
            Refusal::new(State::WARNING, message).write_notice(&mut out.client);
        }
        if let Some(last) = self.last.take() {
            last.write(&mut out.client);
        }
    }
}

/// Nothing in here can be left half done.
pub(super) fn lock(terms: &Mutex<Terms>) -> MutexGuard<'_, Terms> {
    terms.lock().unwrap_or_else(PoisonError::into_inner)
}
