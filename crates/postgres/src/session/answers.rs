//! What the server answers: which message of ours it belongs to, and what the client hears of it.

use crate::config::is_as_pinned;
use crate::parse::{Backend, Status, Text};
use crate::reply::State;
use crate::track::Undo;

use super::{Ended, Flight, Kind, Out, Phase, Run, Session, Shown};

/// What is done with a server's message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Handling {
    /// It goes on to the client.
    Pass,
    /// It does not.
    Drop,
}

/// Whether a message has to be read whole, by [`Session::answer`]; others are followed by their type alone.
pub(crate) fn is_read_whole(tag: u8) -> bool {
    matches!(tag, b'C' | b'S' | b'Z')
}

impl Session {
    /// Follows a server's message of this type, which is passed on beside us or dropped.
    pub(crate) fn answer_type(&mut self, tag: u8, out: &mut Out) -> Result<Handling, Ended> {
        match tag {
            b'N' | b'A' => Ok(Handling::Pass),
            b'E' => self.failed(out),
            b'1' => self.finish(|kind| matches!(kind, Kind::Parse(_)), "ParseComplete"),
            b'2' => self.finish(|kind| matches!(kind, Kind::Bind(_)), "BindComplete"),
            b'3' => self.finish(|kind| matches!(kind, Kind::Close(_)), "CloseComplete"),
            b't' => self.expect(|kind| matches!(kind, Kind::DescribeStatement), "ParameterDescription"),
            b'n' => self.finish(is_describe, "NoData"),
            b'T' if self.flights.front().is_some_and(|flight| is_describe(&flight.kind)) => {
                self.finish(is_describe, "RowDescription")
            }
            b'T' => self.expect(|kind| matches!(kind, Kind::Query { .. }), "RowDescription"),
            b'D' => self.expect(is_run, "DataRow"),
            b'H' => self.expect(is_run, "CopyOutResponse"),
            b'd' => self.expect(is_run, "CopyData"),
            b'c' => self.expect(is_run, "CopyDone"),
            b'I' | b's' => {
                let handling = self.expect(is_run, "the end of a portal")?;
                self.finish_execute();
                Ok(handling)
            }
            b'G' => {
                let is_copy =
                    |kind: &Kind| matches!(kind, Kind::Query { .. } | Kind::Execute { copies: true, .. });
                let handling = self.expect(is_copy, "CopyInResponse")?;
                self.phase = Phase::Copying;
                Ok(handling)
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
                self.finish_execute();
                if handling == Handling::Pass {
                    message.write(&mut out.client);
                }
                Ok(())
            }
            Backend::ReadyForQuery(status) => self.ready(*status, out),
            other => Err(Ended::server(format_args!("{other:?} at the wrong place"))),
        }
    }

    /// The server is ready for the next run.
    fn ready(&mut self, status: Status, out: &mut Out) -> Result<(), Ended> {
        let flight = self.flights.pop_front();
        let Some(Flight { kind: Kind::Sync | Kind::Query { .. }, shown }) = flight else {
            return Err(Ended::server("ReadyForQuery without a question"));
        };
        self.status = status;
        if status == Status::Idle {
            self.names.end_transaction();
        }
        let (ours, before) = (matches!(shown, Shown::No), std::mem::take(&mut self.run));
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

    /// The server refuses a message, and skips what comes behind it up to the Sync.
    fn failed(&mut self, out: &mut Out) -> Result<Handling, Ended> {
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
        let Some(Flight { kind, shown }) = failed else { return Ok(Handling::Pass) };
        let wanted = matches!(kind, Kind::Fail);
        self.take_back(kind);
        match shown {
            Shown::Yes => Ok(Handling::Pass),
            Shown::Instead(refusal) => {
                refusal.write_error(&mut out.client);
                Ok(Handling::Drop)
            }
            Shown::No if wanted => Ok(Handling::Drop),
            Shown::No => Err(Ended::fatal(State::CONNECTION, "the server did not begin the transaction")),
        }
    }

    fn take_back(&mut self, kind: Kind) {
        match kind {
            Kind::Parse(undo) | Kind::Bind(undo) | Kind::Close(undo) => self.names.undo(undo),
            Kind::Query { unnamed, .. } => unnamed.into_iter().for_each(|undo| self.names.undo(undo)),
            Kind::DescribeStatement
            | Kind::DescribePortal
            | Kind::Fail
            | Kind::Execute { .. }
            | Kind::Sync => {}
        }
    }

    /// A message that belongs to what the server answers now, and does not end it.
    fn expect(&self, fits: impl Fn(&Kind) -> bool, what: &str) -> Result<Handling, Ended> {
        match self.flights.front() {
            Some(flight) if fits(&flight.kind) => {
                Ok(if matches!(flight.shown, Shown::No) { Handling::Drop } else { Handling::Pass })
            }
            Some(_) | None => Err(Ended::server(format_args!("{what} at the wrong place"))),
        }
    }

    /// A message that ends what the server answers now.
    fn finish(&mut self, fits: impl Fn(&Kind) -> bool, what: &str) -> Result<Handling, Ended> {
        let handling = self.expect(fits, what)?;
        self.flights.pop_front();
        Ok(handling)
    }

    /// A simple query may run more statements; a portal has run.
    fn finish_execute(&mut self) {
        if let Some(Flight { kind: Kind::Execute { copies, .. }, .. }) = self.flights.front() {
            if *copies {
                self.phase = Phase::Open;
            }
            self.flights.pop_front();
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
