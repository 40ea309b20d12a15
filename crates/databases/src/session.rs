//! **decide**, for one session: every statement is judged over the catalog's picture and the session's own names, and the
//! gateway is asked about it. What it remembers is answered at once; the rest while the client waits.

mod ask;
mod shown;
mod wait;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use domain::digest::Digest;
use domain::outcome::{Ending, Outcome, Witnessed};
use gateway::admit::{Caller, Lasting};
use gateway::decide::Permitted;
use postgres::hold::{Decide, Ended, Facts, Lookup, Permit, Rows, StatementGroup, Verdict, Watch};
use postgres::parse::Status;
use postgres::reply::{Refusal, State as Code};
use sha2::{Digest as _, Sha256};

use crate::catalog::{Picture, Recheck, recheck, resolve};
use crate::judge::{Judged, Leaves, Unasked, judged};
use crate::judgements::Key;
use crate::limits::JUDGED_TEXT_LIMIT_BYTES;
use crate::names::{self, Names, Prepared, put};
use crate::point::{Shared, Standing};
use crate::reply;

use ask::Question;

/// One session.
#[derive(Clone)]
pub(crate) struct Session {
    shared: Arc<Shared>,
    standing: Arc<Standing>,
    lasting: Lasting,
    state: Arc<Mutex<State>>,
}

/// What is known of it.
#[derive(Default)]
struct State {
    /// Its agent, looked up over one version of the directory.
    caller: Option<(u64, Arc<Caller>)>,
    /// What it last said of itself; nothing where that may hold no more.
    names: Option<Arc<Names>>,
    /// Why it could not be asked.
    unasked: Option<Refusal>,
    /// The transaction that it was in when it was last looked at.
    transaction: Option<Status>,
    /// What was said in a transaction may be undone with it.
    shifting: bool,
    /// The catalog was changed here, and is not known to have been read since.
    redefined: bool,
    /// Why its agent asks, in the agent's words.
    reason: Option<String>,
    prepared: Arc<Prepared>,
}

/// Everything that a judgement depends on, but the text.
#[derive(Clone)]
struct Moment {
    names: Option<Arc<Names>>,
    prepared: Arc<Prepared>,
    picture: Option<Arc<Picture>>,
    standard_strings: bool,
    /// Waiting would keep something locked.
    in_transaction: bool,
    /// A transaction is open, even one of which the server knows nothing yet.
    open: bool,
    shifting: bool,
    /// This session's transaction has changed definitions.
    redefined: bool,
}

/// What of the catalog a text stands on.
struct StandsOn {
    /// As canonical JSON.
    bytes: Vec<u8>,
    /// The question by which the executing transaction shows that it is so still.
    recheck: Option<postgres::permit::Recheck>,
}

impl Session {
    pub(crate) fn new(shared: &Arc<Shared>, standing: &Arc<Standing>, lasting: Lasting) -> Self {
        Self { shared: Arc::clone(shared), standing: Arc::clone(standing), lasting, state: Arc::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Its agent as the directory has it now.
    fn caller(&self, state: &mut State) -> Result<Arc<Caller>, Refusal> {
        let version = self.shared.gateway.directory().version();
        if let Some((known, caller)) = &state.caller
            && *known == version
        {
            return Ok(Arc::clone(caller));
        }
        let caller =
            self.shared.gateway.still_admits(&self.lasting).map_err(|error| reply::no_entry(&error))?;
        let caller = Arc::new(caller);
        state.caller = Some((version, Arc::clone(&caller)));
        Ok(caller)
    }

    fn moment(&self, state: &State, facts: &Facts, group: &StatementGroup<'_>) -> Moment {
        let holds_inside = self.standing.database.settings().hold_inside_transaction;
        Moment {
            names: state.names.clone(),
            prepared: Arc::clone(&state.prepared),
            picture: self.standing.pictures.current(),
            standard_strings: names::standard_strings(facts),
            in_transaction: !group.may_wait || holds_inside && group.transaction != Status::Idle,
            open: group.transaction != Status::Idle,
            shifting: state.shifting || group.transaction == Status::Failed,
            redefined: false,
        }
    }

    /// Judges a text, from memory where that is of the same moment; nothing for one without any statement.
    fn judge(&self, moment: &Moment, text: &str) -> Result<Option<Arc<Judged>>, Unasked> {
        let key = moment.key(text);
        let generation = moment.generation();
        if let Some(judged) = self.standing.judgements.get(generation, &key) {
            return Ok(judged);
        }
        let catalog = moment.catalog(&self.standing);
        let classified =
            self.standing.classifier.classify(text.as_bytes(), moment.standard_strings, &catalog);
        let judged = judged(text, &classified, moment.in_transaction, moment.shifting)?.map(Arc::new);
        if text.len() <= JUDGED_TEXT_LIMIT_BYTES {
            self.standing.judgements.put(generation, key, judged.clone());
        }
        Ok(judged)
    }

    /// What of the catalog each statement of a text stands on; without a picture, or where the session's names are not known,
    /// nothing was found, and nothing is bound.
    fn stands_on(&self, moment: &Moment, text: &str) -> Result<StandsOn, Unasked> {
        let mut all = Vec::new();
        let mut alone = false;
        if let (Some(picture), Some(names)) = (&moment.picture, &moment.names) {
            let catalog = moment.catalog(&self.standing);
            let classified =
                self.standing.classifier.classify(text.as_bytes(), moment.standard_strings, &catalog);
            alone = matches!(
                classified.statements.as_slice(),
                [one] if one.bindable && one.is_parsed() && one.control.is_none()
            );
            for statement in &classified.statements {
                all.push(resolve(picture, &names.session, statement)?);
            }
        }
        // The server takes such a question with one statement alone, and with what can run in a transaction.
        let recheck = all.first().filter(|_| alone && !moment.redefined).map(|resolved| {
            let Recheck { sql, expected, .. } = recheck(resolved);
            postgres::permit::Recheck { sql, expected }
        });
        let bytes = domain::canonical::write(&all).map_err(|error| Unasked::Unwritten(error.to_string()))?;
        Ok(StandsOn { bytes, recheck })
    }

    /// What stands from here on, once a text was permitted.
    fn leave(&self, leaves: &Leaves) {
        let mut state = self.state();
        if leaves.names || leaves.ends && state.shifting {
            state.names = None;
        }
        state.shifting |= leaves.names;
        state.redefined |= leaves.definitions;
        if let Some(reason) = &leaves.reason {
            state.reason.clone_from(reason);
        }
        if !leaves.prepared.is_empty() {
            let mut prepared = Prepared::clone(&state.prepared);
            for (name, text) in &leaves.prepared {
                prepared = prepared.with(name, text);
            }
            state.prepared = Arc::new(prepared);
        }
    }

    /// The right to run a judged text, and somebody who notes what comes of it.
    fn permit(&self, judged: &Judged, end: End) -> Permit {
        self.leave(&judged.leaves);
        let watch = Watching {
            session: self.clone(),
            redefines: judged.leaves.definitions,
            ends: judged.leaves.ends,
            end: Some(end),
        };
        Permit {
            keeps_settings: judged.leaves.keeps_settings(),
            leaves_nothing: !judged.leaves.anything,
            watch: Some(Box::new(watch)),
            ..Permit::default()
        }
    }
}

impl Decide for Session {
    fn decide(&self, facts: &Facts, group: &StatementGroup<'_>) -> Verdict {
        let mut state = self.state();
        let caller = match self.caller(&mut state) {
            Ok(caller) => caller,
            Err(refusal) => return Verdict::Deny(refusal),
        };
        if state.shifting && group.transaction == Status::Idle && state.transaction != Some(Status::Idle) {
            state.names = None;
        }
        // Within a transaction that has failed the server answers nothing; what was known before has to do.
        if state.names.is_none() && group.transaction != Status::Failed {
            if let Some(refusal) = state.unasked.take() {
                return Verdict::Deny(refusal);
            }
            state.transaction = Some(group.transaction);
            return Verdict::Look(Lookup { sql: names::QUESTION.clone() });
        }
        state.transaction = Some(group.transaction);
        let moment = self.moment(&state, facts, group);
        let (reason, redefined) = (state.reason.clone(), state.redefined);
        drop(state);
        let question = Question { caller, reason, moment };
        if redefined || question.moment.picture.is_none() {
            return self.decide_later(question, facts, group);
        }
        match self.decide_at_once(&question, facts, group) {
            Ok(Some(verdict)) => verdict,
            Ok(None) => self.decide_later(question, facts, group),
            Err(refusal) => Verdict::Deny(refusal),
        }
    }

    fn learned(&self, _: &Facts, _: &Lookup, answer: Result<Rows, Refusal>) {
        let mut state = self.state();
        match answer.map(Names::read) {
            Ok(Ok(names)) => {
                state.names = Some(Arc::new(names));
                state.shifting &= state.transaction != Some(Status::Idle);
            }
            Ok(Err(unreadable)) => {
                state.unasked = Some(Refusal::new(Code::CONNECTION, unreadable.to_string()));
            }
            Err(refusal) => state.unasked = Some(refusal),
        }
    }
}

impl Moment {
    fn generation(&self) -> u64 {
        self.picture.as_ref().map_or(0, |picture| picture.generation())
    }

    /// Everything that a judgement of this text depends on.
    fn key(&self, text: &str) -> Key {
        let mut hash = Sha256::new();
        hash.update(self.generation().to_be_bytes());
        hash.update([
            u8::from(self.picture.is_some()),
            u8::from(self.names.is_some()),
            u8::from(self.standard_strings),
            u8::from(self.in_transaction),
            u8::from(self.shifting),
            u8::from(self.redefined),
        ]);
        hash.update(self.names.as_ref().map_or(&[0; 32], |names| names.digest()));
        hash.update(self.prepared.digest());
        put(&mut hash, text.as_bytes());
        hash.finalize().into()
    }
}

/// Whom what came of a statement is told to.
enum End {
    /// It was permitted; its outcome is on record beside that.
    Permitted(Permitted),
    /// People approved it; the runner seals its outcome.
    Approved(tokio::sync::oneshot::Sender<Outcome>),
}

/// Notes what came of one permitted text.
struct Watching {
    session: Session,
    /// It may change the catalog.
    redefines: bool,
    /// A transaction ends in it.
    ends: bool,
    /// Taken when it has ended.
    end: Option<End>,
}

impl Watching {
    fn tell(&mut self, outcome: Outcome, open: bool) {
        match self.end.take() {
            Some(End::Permitted(permitted)) => {
                if let Err(error) = self.session.shared.gateway.finish_permitted(&permitted, &outcome) {
                    tracing::error!(%error, "an outcome was not recorded");
                }
            }
            // Nobody takes it only where the gateway stops: then it is unknown, as the next start says.
            Some(End::Approved(end)) => drop(end.send(outcome)),
            None => {}
        }
        // What an open transaction changed nobody else sees; its end tells of it.
        if self.redefines && !open || self.ends && self.session.state().redefined {
            self.session.standing.pictures.changed();
        }
    }
}

impl Watch for Watching {
    fn ended(mut self: Box<Self>, ended: Ended) {
        let observed = |ending, said: &str| Outcome::new(ending, Witnessed::Observed, said);
        let (outcome, open) = match ended {
            Ended::Complete { tags, rows_returned, copied, open } => {
                let mut words: Vec<String> =
                    tags.iter().map(|tag| String::from_utf8_lossy(tag).into_owned()).collect();
                if words.is_empty() {
                    words.push(format!("{rows_returned} rows"));
                }
                if let Some(copied) = copied {
                    words.push(format!("{} bytes copied, SHA-256 {}", copied.bytes, hex(&copied.sha256)));
                }
                if open {
                    words.push("its transaction was open still".to_owned());
                }
                (observed(Ending::Succeeded, &words.join("; ")), open)
            }
            // The server's message may quote values; its code does not.
            Ended::Failed { sqlstate, .. } => {
                (observed(Ending::Failed, &format!("SQLSTATE {}", sqlstate.as_str())), false)
            }
            Ended::NotRun => (observed(Ending::Failed, "it was not begun; nothing ran"), false),
            Ended::Unknown { why } => (Outcome::unknown(why), false),
        };
        self.tell(outcome, open);
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        if self.end.is_some() {
            self.tell(Outcome::unknown("the session ended while this ran; look at the database"), false);
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Everything that the gateway is told of a statement. Nothing of the session's own stands in it: what two sessions ask in
/// the same words is the same.
fn same(judged: &[u8; 32], state: &BTreeMap<String, String>) -> Digest {
    let mut hash = Sha256::new();
    hash.update(judged);
    for (name, value) in state {
        put(&mut hash, name.as_bytes());
        put(&mut hash, value.as_bytes());
    }
    Digest::from_bytes(hash.finalize().into())
}
