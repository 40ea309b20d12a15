//! What the server answers: which message of ours it belongs to, and what the client hears of it.

use bytes::Bytes;

use crate::config::{DONE_LIMIT, is_as_pinned};
use crate::parse::{Backend, Frontend, Status, Text};
use crate::reply::{State, Told};
use crate::track::Undo;

use super::{Block, Ended, Flight, Kind, Out, Phase, Run, Session, Shown};

/// What is done with a server's message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Handling {
    /// It goes on to the client.
    Pass,
    /// It is kept for the client, until the statement that gave it was looked at.
    Keep,
    /// It does not.
    Drop,
}

/// How a portal stopped.
enum Stop<'a> {
    /// It has run, and has a tag if it held a statement.
    Done(Option<&'a Bytes>),
    /// It has more rows.
    Suspended,
}

impl Session {
    /// Whether a message with a body of so many bytes has to be read whole, by [`Session::answer`]. Of an error
    /// [`Session::refused`] sees the beginning; others are followed by their type alone.
    pub(crate) fn reads_whole(&mut self, tag: u8, bytes: usize) -> bool {
        match tag {
            b'C' | b'S' | b'Z' => true,
            b'D' if self.answers_errand() => self.keeps_row(bytes),
            b'D' if self.answers_conduct() => self.conduct_looks_at_row(bytes),
            b'T' => self.flights.front().is_some_and(|flight| matches!(flight.shown, Shown::Columns { .. })),
            _ => false,
        }
    }

    /// Follows a server's error, whose body begins with `head`, and which is passed on beside us or dropped.
    pub(crate) fn refused(&mut self, head: &[u8], out: &mut Out) -> Result<Handling, Ended> {
        let told = Told::read(head);
        let handling = self.failed(&told, out)?;
        Ok(if told.fatal { Handling::Pass } else { handling })
    }

    /// Follows a server's message of this type, which is passed on beside us or dropped.
    pub(crate) fn answer_type(&mut self, tag: u8, bytes: usize, out: &mut Out) -> Result<Handling, Ended> {
        let handling = self.follow_type(tag, out)?;
        Ok(if handling == Handling::Keep { self.conduct_handling(bytes, out) } else { handling })
    }

    fn follow_type(&mut self, tag: u8, out: &mut Out) -> Result<Handling, Ended> {
        match tag {
            b'N' => Ok(match self.flights.front().map(|flight| &flight.shown) {
                Some(Shown::Errand | Shown::No) => Handling::Drop,
                Some(Shown::Kept) => Handling::Keep,
                Some(Shown::Yes | Shown::Instead(_) | Shown::Quiet | Shown::Columns { .. }) | None => {
                    Handling::Pass
                }
            }),
            b'A' => Ok(Handling::Pass),
            b'1' => self.finish(|kind| matches!(kind, Kind::Parse(_)), "ParseComplete"),
            b'2' => self.finish(|kind| matches!(kind, Kind::Bind(_)), "BindComplete"),
            b'3' => {
                let handling = self.finish(|kind| matches!(kind, Kind::Close(_)), "CloseComplete")?;
                self.end_errand_within(out)?;
                Ok(handling)
            }
            b't' => self.expect(|kind| matches!(kind, Kind::DescribeStatement), "ParameterDescription"),
            b'n' => self.finish(is_describe, "NoData"),
            b'T' if self.flights.front().is_some_and(|flight| is_describe(&flight.kind)) => {
                self.finish(is_describe, "RowDescription")
            }
            b'T' => self.expect(|kind| matches!(kind, Kind::Query { .. }), "RowDescription"),
            b'D' => {
                let handling = self.expect(is_run, "DataRow")?;
                self.count_row();
                Ok(handling)
            }
            b'H' => {
                if self.answers_conduct() {
                    self.conduct_copies_out();
                }
                self.expect(is_run, "CopyOutResponse")
            }
            b'd' => self.expect(is_run, "CopyData"),
            b'c' => self.expect(is_run, "CopyDone"),
            b'I' => {
                let handling = self.expect(is_run, "EmptyQueryResponse")?;
                self.stopped(&Stop::Done(None));
                self.stopped_with(handling, Backend::EmptyQueryResponse, out)
            }
            b's' => {
                let handling = self.expect(is_run, "PortalSuspended")?;
                if self.answers_errand() {
                    self.errand_goes_on();
                }
                self.stopped(&Stop::Suspended);
                self.stopped_with(handling, Backend::PortalSuspended, out)
            }
            b'G' => {
                let is_copy =
                    |kind: &Kind| matches!(kind, Kind::Query { .. } | Kind::Execute { copies: true, .. });
                let handling = self.expect(is_copy, "CopyInResponse")?;
                self.phase = Phase::Copying;
                self.copying = self.flights.front().and_then(Flight::watching).cloned().unwrap_or_default();
                self.copying.begins_copy();
                Ok(if handling == Handling::Keep { Handling::Pass } else { handling })
            }
            other => Err(Ended::server(format_args!("a message of type 0x{other:02x}"))),
        }
    }

    /// Follows a server's message that was read whole.
    pub(crate) fn answer(&mut self, message: &Backend, out: &mut Out) -> Result<(), Ended> {
        #[expect(clippy::wildcard_enum_match_arm, reason = "whatever is not named is refused")]
        match message {
            Backend::ParameterStatus { name, value } => {
                if !is_as_pinned(name, value) {
                    let name = String::from_utf8_lossy(name);
                    let message = format!("`{name}` was changed, and the gate would misread what follows");
                    return Err(Ended::fatal(State::NOT_SUPPORTED, message));
                }
                self.facts.settings.insert(name.clone(), value.clone());
                message.write(&mut out.client);
                Ok(())
            }
            Backend::CommandComplete(tag) => {
                let handling = self.expect(is_run, "CommandComplete")?;
                match tag.as_ref() {
                    b"DEALLOCATE ALL" | b"DISCARD ALL" => self.deallocate_all(),
                    b"DEALLOCATE" => {
                        if let Some(name) = self.drops() {
                            self.names.put_statement(name, None);
                        }
                    }
                    _ => {}
                }
                match tag.as_ref() {
                    b"BEGIN" | b"START TRANSACTION" => self.run.block = Block::Begun,
                    b"COMMIT" | b"ROLLBACK" | b"PREPARE TRANSACTION" => self.run.block = Block::Unclear,
                    _ => {}
                }
                if tag.as_ref() == b"COMMIT" {
                    self.run.done.drain(..).for_each(|watching| watching.complete(false));
                }
                let commits = self.flights.front().is_some_and(|flight| matches!(flight.shown, Shown::Quiet));
                self.stopped(&Stop::Done(Some(tag)));
                if commits {
                    return self.conduct_stopped(message.clone(), out);
                }
                if self.stopped_with(handling, message.clone(), out)? == Handling::Pass {
                    message.write(&mut out.client);
                }
                Ok(())
            }
            Backend::ReadyForQuery(status) => self.ready(*status, out),
            Backend::RowDescription(_) => {
                self.conduct_columns(message, out);
                self.finish(is_describe, "RowDescription").map(|_| ())
            }
            Backend::DataRow(values) if self.answers_conduct() => {
                self.count_row();
                self.conduct_row(values.clone(), out);
                Ok(())
            }
            Backend::DataRow(values) if self.answers_errand() => {
                self.keep_row(values);
                Ok(())
            }
            other => Err(Ended::server(format_args!("{other:?} at the wrong place"))),
        }
    }

    /// The server is ready for the next run.
    fn ready(&mut self, status: Status, out: &mut Out) -> Result<(), Ended> {
        let flight = self.flights.pop_front();
        let Some(Flight { kind: kind @ (Kind::Sync | Kind::Query { .. }), shown, .. }) = flight else {
            return Err(Ended::server("ReadyForQuery without a question"));
        };
        self.status = status;
        if matches!(shown, Shown::Errand) {
            return self.end_errand(status == Status::Failed, out);
        }
        let before = std::mem::take(&mut self.run);
        if before.ours && status == Status::Failed {
            return self.roll_back_ours(before, shown, out);
        }
        self.tell(kind, &before);
        let ours = matches!(shown, Shown::No);
        if ours {
            // A Sync of ours does not end what the client's own has to end.
            self.run = Run { skips: before.skips, failed: before.failed, ..Run::default() };
        } else if before.failed && self.deferred.is_some() {
            return self.begin_to_fail(out);
        } else {
            Backend::ReadyForQuery(self.client_status()).write(&mut out.client);
        }
        if self.flights.is_empty() {
            self.phase = Phase::Open;
            match self.parked.take() {
                Some((waiting, answer)) if !self.run.skips => self.go_on(waiting, answer, out)?,
                Some(_) | None => {}
            }
        }
        Ok(())
    }

    /// Our transaction has failed, and the client knows of none. It hears of the run's end as it would have.
    fn roll_back_ours(&mut self, before: Run, shown: Shown, out: &mut Out) -> Result<(), Ended> {
        let Run { told, done, failed, skips, .. } = before;
        self.run = Run { told, done, failed, skips, ..Run::default() };
        self.put_own("rollback", Text::try_from("ROLLBACK".to_owned())?, 0, || Shown::No, out)?;
        self.end_run(Kind::Sync, &Frontend::Sync, shown, out);
        Ok(())
    }

    fn count_row(&mut self) {
        if let Some(flight) = self.flights.front_mut() {
            flight.rows = flight.rows.saturating_add(1);
        }
    }

    /// A statement under conditions has stopped with this message; or another, whose message is passed on.
    fn stopped_with(&mut self, handling: Handling, last: Backend, out: &mut Out) -> Result<Handling, Ended> {
        if handling != Handling::Keep {
            return Ok(handling);
        }
        self.conduct_stopped(last, out)?;
        Ok(Handling::Drop)
    }

    /// Tells those who watch what a run has come to, now that its end is answered.
    fn tell(&mut self, end: Kind, run: &Run) {
        let (open, told) = (self.status != Status::Idle, run.told.as_ref());
        run.done.iter().for_each(|watching| watching.run_ended(open, told));
        if let Kind::Query { watching, .. } = end {
            watching.is_done();
            match told {
                Some(told) => watching.failed(told),
                None => watching.complete(open),
            }
        }
        if self.status == Status::Idle {
            self.names.end_transaction().for_each(|watching| watching.run_ended(false, told));
        }
    }

    /// The server refuses a message, and skips what comes behind it up to the Sync.
    fn failed(&mut self, told: &Told, out: &mut Out) -> Result<Handling, Ended> {
        if self.answers_errand() {
            self.errand_failed(told);
        }
        if !self.flights.is_empty() {
            self.run.told.get_or_insert_with(|| told.clone());
        }
        let end = self.flights.iter().position(|flight| matches!(flight.kind, Kind::Sync));
        match self.flights.front().map(|flight| &flight.kind) {
            // The connection's end, or what goes wrong in a commit.
            None | Some(Kind::Sync) => return Ok(Handling::Pass),
            Some(Kind::Query { .. }) => {
                self.phase = Phase::Busy;
                return Ok(Handling::Pass);
            }
            Some(_) => {}
        }
        self.run.failed = true;
        if self.flights.front().is_some_and(|flight| matches!(flight.shown, Shown::Yes)) {
            self.conduct_skipped();
        }
        let mut skipped: Vec<Flight> = self.flights.drain(..end.unwrap_or(self.flights.len())).collect();
        let failed = (!skipped.is_empty()).then(|| skipped.remove(0));
        for flight in skipped.into_iter().rev() {
            self.take_back(flight.kind);
        }
        if self.flights.front().is_none_or(|sync| matches!(sync.shown, Shown::No)) {
            self.run.skips = true;
        }
        if self.flights.is_empty() {
            self.phase = Phase::Open;
        }
        let Some(Flight { kind, shown, .. }) = failed else { return Ok(Handling::Pass) };
        let wanted = matches!(kind, Kind::Fail);
        if let Kind::Execute { watching, .. } = &kind {
            watching.failed(told);
        }
        self.take_back(kind);
        match shown {
            Shown::Yes => {
                // A question behind it is not asked, and the message that it was for is skipped.
                self.errand.take_if(|errand| errand.aside.is_none());
                Ok(Handling::Pass)
            }
            Shown::Quiet | Shown::Columns { .. } | Shown::Kept => {
                self.conduct_failed(out);
                Ok(Handling::Pass)
            }
            Shown::Instead(refusal) => {
                self.run.told = Some(Told::from(&refusal));
                refusal.write_error(&mut out.client);
                Ok(Handling::Drop)
            }
            Shown::Errand => {
                self.end_errand_within(out)?;
                Ok(Handling::Drop)
            }
            Shown::No if wanted => Ok(Handling::Drop),
            Shown::No => Err(Ended::fatal(State::CONNECTION, "the server did not begin the transaction")),
        }
    }

    fn take_back(&mut self, kind: Kind) {
        match kind {
            Kind::Parse(undo) | Kind::Bind(undo) | Kind::Close(undo) => self.names.undo(undo),
            Kind::Query { unnamed, watching, .. } => {
                watching.is_skipped();
                unnamed.into_iter().for_each(|undo| self.names.undo(undo));
            }
            Kind::Execute { watching, .. } => watching.is_skipped(),
            Kind::DescribeStatement | Kind::DescribePortal | Kind::Fail | Kind::Sync => {}
        }
    }

    /// A message that belongs to what the server answers now, and does not end it.
    fn expect(&self, fits: impl Fn(&Kind) -> bool, what: &str) -> Result<Handling, Ended> {
        match self.flights.front() {
            Some(flight) if fits(&flight.kind) => Ok(match flight.shown {
                Shown::No | Shown::Errand | Shown::Quiet | Shown::Columns { .. } => Handling::Drop,
                Shown::Kept => Handling::Keep,
                Shown::Yes | Shown::Instead(_) => Handling::Pass,
            }),
            Some(_) | None => Err(Ended::server(format_args!("{what} at the wrong place"))),
        }
    }

    /// A message that ends what the server answers now.
    fn finish(&mut self, fits: impl Fn(&Kind) -> bool, what: &str) -> Result<Handling, Ended> {
        let handling = self.expect(fits, what)?;
        self.flights.pop_front();
        Ok(handling)
    }

    /// A simple query may run more statements; a portal has run, or waits to go on.
    fn stopped(&mut self, stop: &Stop<'_>) {
        let Some(flight) = self.flights.front_mut() else { return };
        let rows = std::mem::take(&mut flight.rows);
        let (watching, copies) = match &flight.kind {
            Kind::Execute { watching, copies, .. } => (watching.clone(), Some(*copies)),
            Kind::Query { watching, .. } => (watching.clone(), None),
            Kind::Parse(_)
            | Kind::Bind(_)
            | Kind::Close(_)
            | Kind::DescribeStatement
            | Kind::DescribePortal
            | Kind::Fail
            | Kind::Sync => return,
        };
        match stop {
            Stop::Done(tag) => watching.has_run(*tag, rows),
            Stop::Suspended => watching.is_suspended(rows),
        }
        let Some(copies) = copies else { return };
        if copies {
            self.phase = Phase::Open;
        }
        self.flights.pop_front();
        if matches!(stop, Stop::Suspended) || !watching.is_some() {
            return;
        }
        watching.is_done();
        if self.run.done.len() < DONE_LIMIT {
            self.run.done.push(watching);
        } else {
            watching.complete(true);
        }
    }

    /// What the statement that has run lets go of, where it is known to do just that.
    fn drops(&self) -> Option<Text> {
        match &self.flights.front()?.kind {
            Kind::Execute { drops, .. } | Kind::Query { drops, .. } => drops.clone(),
            Kind::Parse(_)
            | Kind::Bind(_)
            | Kind::Close(_)
            | Kind::DescribeStatement
            | Kind::DescribePortal
            | Kind::Fail
            | Kind::Sync => None,
        }
    }

    /// All statements are gone, but those whose preparation comes behind.
    fn deallocate_all(&mut self) {
        let mut behind: Vec<Text> = Vec::new();
        for flight in &self.flights {
            if let Kind::Parse(Undo::Statement(name, _)) = &flight.kind {
                behind.push(name.clone());
            }
        }
        self.names.deallocate_all_but(&behind);
    }
}

fn is_describe(kind: &Kind) -> bool {
    matches!(kind, Kind::DescribeStatement | Kind::DescribePortal)
}

fn is_run(kind: &Kind) -> bool {
    matches!(kind, Kind::Query { .. } | Kind::Execute { .. })
}
