//! Questions of our own to the server, between a client's messages. The client sees nothing of them.
//!
//! Where nothing of the client's run was sent, what is kept back of it is laid aside and the question asked by itself.
//! Elsewhere it is asked within the run, where an error fails that run, as any error does.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

use crate::config::{LOOK_LIMIT_BYTES, LOOK_ROWS_LIMIT, LOOKS_LIMIT};
use crate::hold::{Decide, Lookup, Rows};
use crate::parse::{Frontend, Status, Text};
use crate::reply::{Refusal, State, Told};

use super::{Ended, Flight, Kind, Out, Phase, Run, Session, Shown, Step, Waiting};

/// A question that the server is asked now.
pub(super) struct Errand {
    purpose: Purpose,
    rows: Rows,
    bytes: usize,
    wrong: Option<Refusal>,
    /// The client does not want the message any more that it is asked for.
    cancelled: bool,
    /// What was laid aside for it, where it is asked by itself.
    pub(super) aside: Option<Aside>,
}

/// What a question is for.
pub(super) enum Purpose {
    /// To decide about a message.
    Look(Lookup, Waiting),
    /// For the statement that is conducted.
    Check,
}

/// A run of the client's of which nothing was sent yet.
pub(super) struct Aside {
    pub(super) flights: VecDeque<Flight>,
    kept: BytesMut,
    run: Run,
}

/// What came of a question.
pub(super) struct Learned {
    lookup: Lookup,
    waiting: Waiting,
    rows: Result<Rows, Refusal>,
    /// Why the message goes no further, whatever was learned.
    over: Option<Refusal>,
}

impl Session {
    /// Whether the server has answered a question, so that [`Session::resume`] goes on.
    pub(crate) fn has_learned(&self) -> bool {
        self.learned.is_some()
    }

    /// Whether the server is asked something now.
    pub(crate) fn is_on_errand(&self) -> bool {
        self.errand.is_some()
    }

    /// Goes on with the message that a question was asked for.
    pub(crate) fn resume(&mut self, decide: &dyn Decide, out: &mut Out) -> Result<Step, Ended> {
        let Some(Learned { lookup, waiting, rows, over }) = self.learned.take() else {
            return Ok(Step::Done);
        };
        decide.learned(&self.facts, &lookup, rows);
        match over {
            None if self.run.skips => Ok(Step::Done),
            None => self.ask(waiting, decide, out),
            Some(refusal) => {
                self.refuse_learned(waiting, refusal, out)?;
                Ok(Step::Done)
            }
        }
    }

    /// Asks the server, before it is asked again about a message. What comes back could not be asked about.
    pub(super) fn look(
        &mut self,
        lookup: Lookup,
        waiting: Waiting,
        out: &mut Out,
    ) -> Result<Option<(Waiting, Refusal)>, Ended> {
        if self.looks >= LOOKS_LIMIT {
            let refusal =
                Refusal::new(State::LIMIT, "the gate asks the server too often to decide about this");
            return Ok(Some((waiting, refusal)));
        }
        self.looks += 1;
        if self.status == Status::Failed {
            let refusal =
                Refusal::new(State::FAILED, "the transaction has failed, and nothing can be looked up in it");
            self.learned = Some(Learned { lookup, waiting, rows: Err(refusal), over: None });
            return Ok(None);
        }
        let text = match Text::try_from(lookup.sql.clone()) {
            Ok(text) => text,
            Err(malformed) => {
                return Ok(Some((waiting, Refusal::new(State::INTERNAL, malformed.to_string()))));
            }
        };
        let by_itself = !(self.run.sent || out.send);
        self.ask_server(Purpose::Look(lookup, waiting), text, by_itself, out)?;
        Ok(None)
    }

    /// Asks the server something, by itself or within the client's run.
    pub(super) fn ask_server(
        &mut self,
        purpose: Purpose,
        text: Text,
        by_itself: bool,
        out: &mut Out,
    ) -> Result<(), Ended> {
        let aside = by_itself.then(|| Aside {
            flights: std::mem::take(&mut self.flights),
            kept: std::mem::take(&mut out.backend),
            run: std::mem::take(&mut self.run),
        });
        if by_itself {
            self.unsent = 0;
        }
        self.errand =
            Some(Errand { purpose, rows: Rows::new(), bytes: 0, wrong: None, cancelled: false, aside });
        self.put_own("look", text, LOOK_ROWS_LIMIT, || Shown::Errand, out)?;
        if by_itself {
            self.end_run(Kind::Sync, &Frontend::Sync, Shown::Errand, out);
        } else {
            Frontend::Flush.write(&mut out.backend);
            out.send = true;
            self.phase = Phase::Busy;
        }
        Ok(())
    }

    /// The client does not want the message any more that a question is asked for.
    pub(crate) fn cancel_errand(&mut self) {
        if let Some(errand) = &mut self.errand {
            errand.cancelled = true;
        }
    }

    /// Whether what the server says now answers a question of ours.
    pub(super) fn answers_errand(&self) -> bool {
        self.flights.front().is_some_and(|flight| matches!(flight.shown, Shown::Errand))
    }

    /// Whether a row of `bytes` bytes is kept for us. Once one is not, none behind it is.
    pub(super) fn keeps_row(&mut self, bytes: usize) -> bool {
        let Some(errand) = self.errand.as_mut().filter(|errand| errand.wrong.is_none()) else { return false };
        if errand.bytes.saturating_add(bytes) > LOOK_LIMIT_BYTES {
            errand.rows.clear();
            errand.wrong = Some(too_much());
            return false;
        }
        true
    }

    pub(super) fn keep_row(&mut self, values: &[Option<Bytes>]) {
        if let Some(errand) = &mut self.errand {
            errand.bytes += values.iter().flatten().map(Bytes::len).sum::<usize>();
            errand.rows.push(values.to_vec());
        }
    }

    /// There are more rows than we take.
    pub(super) fn errand_goes_on(&mut self) {
        if let Some(errand) = &mut self.errand {
            errand.wrong = Some(too_much());
        }
    }

    /// The server refuses the question.
    pub(super) fn errand_failed(&mut self, told: &Told) {
        if let Some(errand) = &mut self.errand {
            let refusal = Refusal::new(told.state, "the gate could not ask the server what it has to know");
            errand.wrong = Some(refusal.with_detail(told.message.clone()));
        }
    }

    /// The question within a run was answered, or will not be.
    pub(super) fn end_errand_within(&mut self, out: &mut Out) -> Result<(), Ended> {
        if self.errand.as_ref().is_some_and(|errand| errand.aside.is_none()) && self.flights.is_empty() {
            let harmed = self.run.failed;
            self.end_errand(harmed, out)?;
        }
        Ok(())
    }

    /// Takes up again what was laid aside, and goes on.
    pub(super) fn end_errand(&mut self, harmed: bool, out: &mut Out) -> Result<(), Ended> {
        let Some(errand) = self.errand.take() else { return Ok(()) };
        let Errand { purpose, rows, wrong, cancelled, aside, .. } = errand;
        if let Some(Aside { flights, kept, run }) = aside {
            self.unsent = flights.len();
            self.flights = flights;
            self.run = run;
            out.backend = kept;
            out.send = false;
        }
        self.phase = Phase::Open;
        let rows = match wrong {
            _ if cancelled => Err(cancelled_by_user()),
            Some(wrong) => Err(wrong),
            None => Ok(rows),
        };
        let over = rows.as_ref().err().filter(|_| harmed || cancelled).cloned();
        match (purpose, rows) {
            (Purpose::Look(lookup, waiting), rows) => {
                self.learned = Some(Learned { lookup, waiting, rows, over });
                Ok(())
            }
            (Purpose::Check, Ok(rows)) => self.conduct_on(&rows, out),
            (Purpose::Check, Err(refusal)) => self.conduct_unclear(refusal, out),
        }
    }

    fn refuse_learned(&mut self, waiting: Waiting, refusal: Refusal, out: &mut Out) -> Result<(), Ended> {
        if !self.run.skips {
            return self.go_on(waiting, Err(refusal), out);
        }
        // The server has refused already, and skips up to the Sync.
        refusal.write_error(&mut out.client);
        if matches!(waiting, Waiting::Query(_)) {
            self.sync_failed(out);
        }
        Ok(())
    }
}

/// In the server's words.
pub(crate) fn cancelled_by_user() -> Refusal {
    Refusal::new(State::CANCELLED, "canceling statement due to user request")
}

fn too_much() -> Refusal {
    Refusal::new(State::LIMIT, "the server's answer to the gate is too long")
}
