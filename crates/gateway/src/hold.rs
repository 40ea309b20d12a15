//! **hold**: the request is durable and in the signed log before anybody is asked; then the caller waits, in
//! its own protocol's way, or comes back.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use domain::action::Action;
use domain::approval::{Approval, DeniedBy};
use domain::commitment::Fields;
use domain::evaluation::Evaluation;
use domain::id::ActionId;
use domain::outcome::Outcome;
use domain::principal::Principal;
use domain::retry::RetryKey;
use store::{Opened, Request, StoreError, Summary};
use tokio::sync::Notify;

use crate::decide::Ask;
use crate::ports::RunResult;
use crate::{Gateway, GatewayError, limits};

/// An action that people are asked about.
#[derive(Debug, Clone)]
pub struct Held {
    /// The approval's id.
    pub id: ActionId,
    /// Where people open it.
    pub url: String,
    /// Whether an identical call's approval stood already.
    pub attached: bool,
    /// The rules that hold it, in their authors' words.
    pub why: Vec<domain::evaluation::DecidingRule>,
}

/// What a caller hears of a held action.
#[derive(Debug)]
pub enum Heard {
    /// It ran. The result is here for the one caller who collects it.
    Ran {
        /// What came of it.
        outcome: Outcome,
        /// The result; `None` when it was collected before, has lapsed, or was too large to keep.
        result: Option<RunResult>,
    },
    /// It will not run.
    Refused {
        /// The state's word: `denied`, `expired` or `cancelled`.
        state: &'static str,
        /// Why, in words: a human's or policy's.
        why: String,
    },
    /// People have approved; whoever asked must run it themself, or ask for it to be run.
    Approved,
    /// Still waiting when patience ended. The approval stands.
    Waiting,
}

/// What somebody who waits finds.
enum Look {
    /// What they wait for.
    Heard(Heard),
    /// People have approved, at this version of the approval, and it is to be run.
    Approved(u64),
    /// Nothing yet.
    Waiting,
}

/// Who waits for what, in this process.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    slots: Mutex<HashMap<ActionId, Arc<Slot>>>,
}

#[derive(Debug, Default)]
pub(crate) struct Slot {
    waiters: AtomicUsize,
    moved: Notify,
    live: Mutex<Option<RunResult>>,
}

/// One waiting caller; leaving drops it.
pub(crate) struct Seat<'a> {
    waiting: &'a Waiting,
    id: ActionId,
    slot: Arc<Slot>,
}

impl Waiting {
    fn sit(&self, id: ActionId) -> Seat<'_> {
        let mut slots = self.lock();
        let slot = Arc::clone(slots.entry(id).or_default());
        slot.waiters.fetch_add(1, Ordering::Relaxed);
        Seat { waiting: self, id, slot }
    }

    pub(crate) fn wake(&self, id: ActionId) {
        if let Some(slot) = self.lock().get(&id) {
            slot.moved.notify_waiters();
        }
    }

    pub(crate) fn wake_all(&self) {
        for slot in self.lock().values() {
            slot.moved.notify_waiters();
        }
    }

    pub(crate) fn has_waiters(&self, id: ActionId) -> bool {
        self.lock().contains_key(&id)
    }

    /// Hands a result to whoever waits now; gives it back when nobody does.
    pub(crate) fn hand_over(&self, id: ActionId, result: RunResult) -> Option<RunResult> {
        let slots = self.lock();
        let Some(slot) = slots.get(&id) else { return Some(result) };
        *slot.live.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(result);
        None
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<ActionId, Arc<Slot>>> {
        self.slots.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        let mut slots = self.waiting.lock();
        if self.slot.waiters.fetch_sub(1, Ordering::Relaxed) == 1 {
            slots.remove(&self.id);
        }
    }
}

/// What each caller has pending, so that a flood of one drowns nobody else's requests.
#[derive(Debug, Default)]
pub(crate) struct Asking {
    pending: Mutex<HashMap<Principal, Theirs>>,
}

/// What one caller has pending: each request and its payload's bytes, and the sum.
#[derive(Debug, Default)]
struct Theirs {
    requests: HashMap<ActionId, usize>,
    bytes: usize,
}

impl Asking {
    /// Takes a place for a new request; false where the caller has as many, or as much, pending as they may.
    fn enter(&self, caller: Principal, id: ActionId, bytes: usize, (count, total): (usize, usize)) -> bool {
        let mut pending = self.lock();
        let theirs = pending.entry(caller).or_default();
        if theirs.requests.contains_key(&id) {
            return true;
        }
        if theirs.requests.len() >= count || theirs.bytes.saturating_add(bytes) > total {
            return false;
        }
        theirs.bytes = theirs.bytes.saturating_add(bytes);
        theirs.requests.insert(id, bytes);
        true
    }

    fn leave(&self, caller: Principal, id: ActionId) {
        let mut pending = self.lock();
        if let Some(theirs) = pending.get_mut(&caller) {
            theirs.bytes = theirs.bytes.saturating_sub(theirs.requests.remove(&id).unwrap_or(0));
            if theirs.requests.is_empty() {
                pending.remove(&caller);
            }
        }
    }

    /// Notes how a request stands.
    pub(crate) fn note(&self, summary: &Summary) {
        let (caller, id) = (summary.action.chain().caller, summary.action.id());
        if matches!(summary.approval, Approval::Pending(_)) {
            // After a restart sizes are not looked up again: those requests count, and their bytes do not.
            self.enter(caller, id, 0, (usize::MAX, usize::MAX));
        } else {
            self.leave(caller, id);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Principal, Theirs>> {
        self.pending.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Gateway {
    pub(crate) async fn hold(
        self: &Arc<Self>,
        ask: &Ask<'_>,
        action: &Action,
        fields: &Fields,
        evaluation: Evaluation,
    ) -> Result<Held, GatewayError> {
        let bytes: usize = fields.as_slice().iter().map(|field| field.value.0.len()).sum();
        if bytes > limits::HELD_PAYLOAD_BYTES {
            let (actual, limit) = (bytes, limits::HELD_PAYLOAD_BYTES);
            return Err(domain::Malformed::TooLarge {
                what: "a payload for review",
                actual,
                limit,
                unit: "bytes",
            }
            .into());
        }
        let steady = ask.retry_parts.map(|parts| parts());
        let mut parts: Vec<(&str, &[u8])> = match &steady {
            Some(steady) => steady.iter().map(|(path, value)| (path.as_str(), value.as_slice())).collect(),
            None => fields.as_slice().iter().map(|f| (f.path.as_str(), f.value.0.as_slice())).collect(),
        };
        // What the digest tells apart is not one call, whatever parts the point names.
        let parameters =
            domain::canonical::write(&(ask.point, ask.verb, &ask.resource, ask.credential, &ask.session))?;
        parts.push(("parameters", &parameters));
        let retry = RetryKey::new(
            &self.settings.retry_key,
            ask.caller.chain(),
            ask.target.name.as_str(),
            &ask.target.definition,
            &parts,
            ask.idempotency,
        );
        let why = evaluation.rules.clone();
        let (caller, place) = (ask.caller.chain().caller, action.id());
        let limit = (limits::PENDING_PER_AGENT, limits::PENDING_BYTES_PER_AGENT);
        if !self.asking.enter(caller, place, bytes, limit) {
            tracing::warn!(%caller, limit = limits::PENDING_PER_AGENT, "has too many requests pending");
            return Err(GatewayError::Busy);
        }
        let opened = self
            .store
            .open(Request {
                action: action.clone(),
                payload: fields.clone(),
                evaluation,
                retry,
                retry_window: ask.retry_window,
                shape: ask.shape.clone().into_owned(),
                run_when_gone: ask.run_when_gone,
            })
            .await;
        if !matches!(opened, Ok(Opened::New(_))) {
            self.asking.leave(caller, place);
        }
        let opened = opened?;
        let (id, attached) = match opened {
            Opened::New(recorded) => (recorded.get().case().id, false),
            Opened::Attached(attached) => (attached.id, true),
        };
        let effect = if attached { "attach" } else { "hold" };
        metrics::counter!("countersign_decisions_total", "effect" => effect).increment(1);
        tracing::info!(%id, attached, verb = %ask.verb, resource = ?crate::reveal::logged(&ask.resource.name), "held for review");
        Ok(Held { id, url: self.approval_url(id), attached, why })
    }

    /// Waits until the approval comes to something, or until patience ends. Leaving early (a dropped
    /// connection) changes nothing about the approval.
    ///
    /// # Errors
    /// [`GatewayError::NotFound`], store failures.
    pub async fn wait(self: &Arc<Self>, id: ActionId, patience: Duration) -> Result<Heard, GatewayError> {
        let seat = self.waiting.sit(id);
        let end = tokio::time::Instant::now() + patience;
        let mut tried = None;
        loop {
            let moved = seat.slot.moved.notified();
            tokio::pin!(moved);
            // Registers before looking, so that nothing that happens between looking and waiting is missed.
            moved.as_mut().enable();
            // Boxed: who waits does not carry the room that looking takes.
            let found = match Box::pin(self.look(id, &seat)).await? {
                Look::Heard(heard) => return Ok(heard),
                Look::Approved(version) => Some(version),
                Look::Waiting => None,
            };
            if let Some(version) = found {
                // Somebody waits now who did not when it was approved. What was refused stays refused until the
                // approval or the directory moves; what failed may work in a while.
                let now = tokio::time::Instant::now();
                let stands = (version, self.store.directory().version());
                if tried.is_none_or(|(before, at)| before != stands || now >= at + limits::TRY_AGAIN_EVERY) {
                    tried = Some((stands, now));
                    tokio::spawn(Arc::clone(self).run_approved(id));
                }
            }
            let look_again = tried.map_or(end, |(_, at)| end.min(at + limits::TRY_AGAIN_EVERY));
            if tokio::time::timeout_at(look_again, moved).await.is_err() && tokio::time::Instant::now() >= end
            {
                return Ok(Heard::Waiting);
            }
        }
    }

    /// Looks how the approval stands.
    async fn look(&self, id: ActionId, seat: &Seat<'_>) -> Result<Look, GatewayError> {
        let summary = self.store.approval(id).await?;
        if let Some(heard) = self.hear(&summary, seat).await? {
            return Ok(Look::Heard(heard));
        }
        Ok(match summary.approval {
            Approval::Approved(_) if self.runner(summary.action.parts().point).is_none() => {
                Look::Heard(Heard::Approved)
            }
            Approval::Approved(_) => Look::Approved(summary.approval.case().version),
            Approval::Pending(_)
            | Approval::Executing(_)
            | Approval::Denied(_)
            | Approval::Expired(_)
            | Approval::Cancelled(_)
            | Approval::Finished(_) => Look::Waiting,
        })
    }

    async fn hear(&self, summary: &Summary, seat: &Seat<'_>) -> Result<Option<Heard>, GatewayError> {
        let refused = |why: String| Ok(Some(Heard::Refused { state: summary.approval.word(), why }));
        match &summary.approval {
            Approval::Pending(_) | Approval::Approved(_) | Approval::Executing(_) => Ok(None),
            Approval::Denied(denied) => refused(self.why_denied(summary, &denied.by)),
            Approval::Expired(_) => refused("nobody decided in time; nothing ran".to_owned()),
            Approval::Cancelled(cancelled) => refused(self.why_cancelled(summary, &cancelled.reason)),
            Approval::Finished(finished) => {
                let live = seat.slot.live.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
                let kept = self.store.take(&result_key(seat.id)).await;
                let result = match (live, kept) {
                    (Some(live), _) => Some(live),
                    (None, Ok(kept)) => kept.map(RunResult::Whole),
                    (None, Err(StoreError::NotFound(_))) => None,
                    (None, Err(error)) => return Err(error.into()),
                };
                Ok(Some(Heard::Ran { outcome: finished.outcome.clone(), result }))
            }
        }
    }

    /// Who or what said no, in words, for the caller: what it reads holds no secret that a reviewer quoted.
    #[must_use]
    pub fn why_denied(&self, summary: &Summary, by: &DeniedBy) -> String {
        match by {
            DeniedBy::Person(person, why) => {
                let directory = self.store.directory();
                let name = directory
                    .person(*person)
                    .map_or_else(|| person.to_string(), |person| person.name.clone());
                match why {
                    Some(why) => format!("{name} denied it: {}", self.told_words(summary, why)),
                    None => format!("{name} denied it"),
                }
            }
            DeniedBy::Policy(why) => format!("policy denies it now: {why}"),
        }
    }

    /// Why it was taken back, in words, for the caller.
    #[must_use]
    pub fn why_cancelled(&self, summary: &Summary, reason: &str) -> String {
        format!("it was taken back: {}", self.told_words(summary, reason))
    }
}

pub(crate) fn result_key(id: ActionId) -> String {
    format!("result/{id}")
}

#[cfg(test)]
mod tests {
    use domain::id::AgentId;
    use domain::time::Timestamp;

    use super::*;

    /// **Reviewer**, "Floods: cap": one caller's flood ends at the limit, and is no other's.
    #[test]
    fn a_flood_is_capped_for_each_caller() {
        let asking = Asking::default();
        let agent = |n| Principal::Agent(AgentId::new(Timestamp::ZERO, &[n; 10]));
        let request = |n| ActionId::new(Timestamp::ZERO, &[n; 10]);
        assert!(asking.enter(agent(1), request(1), 10, (2, 100)));
        assert!(asking.enter(agent(1), request(2), 10, (2, 100)));
        assert!(!asking.enter(agent(1), request(3), 10, (2, 100)));
        assert!(asking.enter(agent(2), request(4), 10, (2, 100)));
        asking.leave(agent(1), request(1));
        assert!(asking.enter(agent(1), request(3), 10, (2, 100)));
        assert!(!asking.enter(agent(2), request(5), 91, (2, 100)), "bytes are capped too");
        asking.leave(agent(2), request(4));
        asking.leave(agent(2), request(4));
        assert_eq!(asking.lock().len(), 1, "who has nothing pending is forgotten");
    }
}
