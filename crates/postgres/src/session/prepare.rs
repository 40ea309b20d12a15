//! The messages that run nothing themselves: preparing, describing, closing; a portal that was judged when it was made;
//! and the data of a COPY.

use bytes::Bytes;

use crate::config::NAME_LIMIT_BYTES;
use crate::hold::Decide;
use crate::parse::statement::begins_with_copy;
use crate::parse::{Bind, Format, Frontend, Parse, Target, Text};
use crate::reply::{Refusal, State};

use super::{Ended, Kind, Out, Phase, Session, Shown, Step, What};

impl Session {
    pub(super) fn prepare(
        &mut self,
        parse: &Parse,
        decide: &dyn Decide,
        out: &mut Out,
    ) -> Result<Result<(), Refusal>, Ended> {
        let text = parse.text.as_str();
        if let Err(refusal) = self.check_text(text) {
            return Ok(Err(refusal));
        }
        if !parse.name.is_empty() && self.names.statement(&parse.name).is_some() {
            let message = format!("prepared statement \"{}\" already exists", parse.name.as_str());
            return Ok(Err(Refusal::new(State::STATEMENT_EXISTS, message)));
        }
        if let Err(refusal) = check_name(&parse.name) {
            return Ok(Err(refusal));
        }
        if self.names.is_full(text) {
            return Ok(Err(Refusal::new(State::LIMIT, "this session has too many prepared statements")));
        }
        if let Err(refusal) = decide.prepare(&self.facts, text, &parse.types) {
            return Ok(Err(refusal));
        }
        let (renamed, undo) = self.names.prepare(parse)?;
        self.put(Kind::Parse(undo), &Frontend::Parse(renamed), Shown::Yes, out);
        Ok(Ok(()))
    }

    pub(super) fn describe(&mut self, target: Target, out: &mut Out) -> Result<(), Ended> {
        let (kind, target) = match target {
            Target::Statement(name) => match self.names.statement(&name) {
                Some(statement) => (Kind::DescribeStatement, Target::Statement(statement.name.clone())),
                None => return self.fail(no_statement(&name), out),
            },
            // Also one of SQL's DECLARE, which was asked about as text: drivers look at its columns.
            Target::Portal(name) => (Kind::DescribePortal, Target::Portal(name)),
        };
        self.put(kind, &Frontend::Describe(target), Shown::Yes, out);
        Ok(())
    }

    /// Runs a portal. One that the protocol did not make, but SQL's DECLARE, is none here.
    pub(super) fn execute(&mut self, name: Text, max_rows: u32, out: &mut Out) -> Result<(), Ended> {
        let Some(portal) = self.names.portal(&name).cloned() else { return self.fail(no_portal(&name), out) };
        let copies = begins_with_copy(&portal.statement.text);
        if let Some(terms) = portal.terms {
            self.copy_limit = portal.copy_limit;
            let drops = portal.statement.drops.clone();
            let what = What::Execute { portal: name, max_rows, copies, drops };
            return self.conduct(what, terms, portal.watching, out);
        }
        portal.watching.runs();
        let kind = Kind::Execute { copies, drops: portal.statement.drops.clone(), watching: portal.watching };
        self.put(kind, &Frontend::Execute { portal: name, max_rows }, Shown::Yes, out);
        if copies {
            // Whether the server now overlooks a Sync or ends the run with it depends on its answer: wait for that.
            self.copy_limit = portal.copy_limit;
            Frontend::Flush.write(&mut out.backend);
            out.send = true;
            self.phase = Phase::Busy;
        }
        Ok(())
    }

    pub(super) fn close(&mut self, target: Target, out: &mut Out) -> Result<(), Ended> {
        let (undo, target) = match target {
            Target::Statement(name) => {
                let known = self.names.statement(&name).map(|statement| statement.name.clone());
                let own = match known {
                    Some(own) => own,
                    // The server takes it for done, too, when there is none.
                    None => self.names.own("none")?,
                };
                (self.names.put_statement(name, None), Target::Statement(own))
            }
            Target::Portal(name) => (self.names.put_portal(name.clone(), None), Target::Portal(name)),
        };
        self.put(Kind::Close(undo), &Frontend::Close(target), Shown::Yes, out);
        Ok(())
    }

    /// Takes a client's data of a COPY of `bytes` bytes, whose bytes are passed on beside us. False: they are dropped.
    pub(crate) fn take_copy_data(&mut self, bytes: usize) -> Result<bool, Ended> {
        if self.phase != Phase::Copying {
            return Ok(false);
        }
        if let Some(left) = &mut self.copy_limit {
            let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
            *left = left
                .checked_sub(bytes)
                .ok_or_else(|| Ended::fatal(State::LIMIT, "this COPY brings more data than was permitted"))?;
        }
        Ok(true)
    }

    /// Data of a COPY goes to the server.
    pub(crate) fn copies(&mut self, data: &[u8]) {
        self.copying.copies(data);
    }

    pub(super) fn take_copying(&mut self, message: &Frontend, out: &mut Out) -> Result<Step, Ended> {
        #[expect(clippy::wildcard_enum_match_arm, reason = "whatever is not named is refused")]
        match message {
            Frontend::CopyData(data) => {
                if self.take_copy_data(data.len())? {
                    self.copies(data);
                    message.write(&mut out.backend);
                    out.send = true;
                }
            }
            Frontend::CopyDone | Frontend::CopyFail(_) => {
                message.write(&mut out.backend);
                // A portal's end is told when it is asked for, and the client's Sync comes behind that.
                Frontend::Flush.write(&mut out.backend);
                out.send = true;
                self.phase = Phase::Busy;
            }
            // The server overlooks them here; a client sends one right behind its Execute.
            Frontend::Flush | Frontend::Sync => {}
            other => {
                tracing::debug!(?other, "not the data of a COPY");
                return Err(Ended::fatal(State::PROTOCOL, "only the data of a COPY is taken here"));
            }
        }
        Ok(Step::Done)
    }

    pub(super) fn check_text(&self, text: &str) -> Result<(), Refusal> {
        if self.names.are_in(text) {
            return Err(Refusal::new(State::DENIED, "the text names a statement of the gate"));
        }
        if self.run.unsure && text.bytes().any(|byte| byte == b'\\' || !byte.is_ascii()) {
            return Err(unsure());
        }
        Ok(())
    }

    pub(super) fn check_values(&self, bind: &Bind) -> Result<(), Refusal> {
        let odd = |(index, value): (usize, &Option<Bytes>)| {
            bind.format(index) == Format::Text && value.as_ref().is_some_and(|value| !value.is_ascii())
        };
        if self.run.unsure && bind.values.iter().enumerate().any(odd) {
            return Err(unsure());
        }
        Ok(())
    }
}

/// The server cuts longer names off, and would take two for one.
pub(super) fn check_name(name: &Text) -> Result<(), Refusal> {
    if name.as_bytes().len() <= NAME_LIMIT_BYTES {
        return Ok(());
    }
    Err(Refusal::new(State::NAME_TOO_LONG, "the name of a statement or portal is too long"))
}

fn unsure() -> Refusal {
    Refusal::new(
        State::NOT_SUPPORTED,
        "a statement before this one may have changed how it is read, and the server has not said so yet",
    )
    .with_hint("send a Sync between the two")
}

pub(super) fn no_statement(name: &Text) -> Refusal {
    let message = if name.is_empty() {
        "unnamed prepared statement does not exist".to_owned()
    } else {
        format!("prepared statement \"{}\" does not exist", name.as_str())
    };
    Refusal::new(State::NO_STATEMENT, message)
}

fn no_portal(name: &Text) -> Refusal {
    Refusal::new(State::NO_PORTAL, format!("portal \"{}\" does not exist", name.as_str()))
}
