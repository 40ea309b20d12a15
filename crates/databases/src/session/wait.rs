//! People are asked: the session waits with its client, and runs what it is handed.

use std::time::Duration;

use domain::approval::Approval;
use domain::id::ActionId;
use domain::outcome::{Ending, Outcome, Witnessed};
use futures_util::FutureExt as _;
use gateway::hold::{Heard, Held};
use postgres::hold::{Held as Waits, Permit, Verdict};
use postgres::reply::Refusal;

use super::ask::Asked;
use super::{End, Session};
use crate::hold::Released;
use crate::payload::OBJECTS;
use crate::reply;

impl Session {
    /// What a held statement comes to: the client waits where it may; what was approved meanwhile runs at once.
    ///
    /// # Errors
    /// The approval that stood under the same statement, where it has run or lapsed: that one answers nothing any more.
    pub(super) async fn held(&self, asked: &Asked, held: Held) -> Result<Verdict, ActionId> {
        let summary = match self.shared.gateway.store().approval(held.id).await {
            Ok(summary) => summary,
            Err(error) => return Ok(Verdict::Deny(reply::unavailable(&error.into()))),
        };
        match &summary.approval {
            Approval::Finished(_) | Approval::Expired(_) | Approval::Cancelled(_) => Err(held.id),
            Approval::Denied(denied) => {
                let why = self.shared.gateway.why_denied(&summary, &denied.by);
                Ok(Verdict::Deny(reply::refused(&held, "denied", &why)))
            }
            Approval::Approved(_) => {
                let session = self.clone();
                Ok(match session.released(asked.clone(), held, true).await {
                    Ok(permit) => Verdict::Permit(permit),
                    Err(refusal) => Verdict::Deny(refusal),
                })
            }
            Approval::Pending(_) | Approval::Executing(_) if asked.may_wait => {
                let refusal = reply::held(&held, &asked.judged);
                let (session, asked) = (self.clone(), asked.clone());
                let answer = async move { session.released(asked, held, false).await }.boxed();
                Ok(Verdict::Hold(Waits { answer, refusal }))
            }
            Approval::Pending(_) => Ok(Verdict::Deny(reply::held(&held, &asked.judged))),
            Approval::Executing(_) => Ok(Verdict::Deny(reply::ran_elsewhere(&held))),
        }
    }

    /// Waits until the approval is handed to this session, and takes it.
    async fn released(self, asked: Asked, held: Held, at_once: bool) -> Result<Permit, Refusal> {
        let settings = self.standing.database.settings();
        let patience = if at_once { APPROVED_PATIENCE } else { Duration::from_secs(settings.wait.seconds()) };
        let mut seat = self.shared.waiters.sit(held.id);
        let heard = tokio::select! {
            // What was handed over is taken first: it is spent.
            biased;
            released = seat.released() => return self.take(released, &asked, &held),
            heard = self.shared.gateway.wait(held.id, patience) => heard,
        };
        Err(match heard {
            Ok(Heard::Refused { state, why }) => reply::refused(&held, state, &why),
            Ok(Heard::Ran { .. } | Heard::Approved) => reply::ran_elsewhere(&held),
            Ok(Heard::Waiting) => reply::held(&held, &asked.judged),
            Err(error) => reply::unavailable(&error),
        })
    }

    /// Takes what was handed over: exactly what this session asked about, or nothing.
    fn take(&self, released: Released, asked: &Asked, held: &Held) -> Result<Permit, Refusal> {
        let Released { redemption, action, payload, end } = released;
        let grant = redemption.into_inner().into_grant();
        let failed = |why: &str| Outcome::new(Ending::Failed, Witnessed::Observed, why);
        let same_bytes = asked.bytes.iter().all(|(path, value)| payload.get(path) == Some(value.as_slice()));
        if grant.action() != action || !same_bytes {
            drop(end.send(failed("what waited is not what was approved; nothing ran")));
            return Err(reply::changed(held));
        }
        // What the names in it mean, now: a definition may have changed while people looked.
        let mut moment = asked.question.moment.clone();
        moment.picture = self.standing.pictures.current();
        let objects = self.stands_on(&moment, &asked.text);
        if objects.ok().map(|stands| stands.bytes).as_deref() != payload.get(OBJECTS) {
            drop(end.send(failed("what it reaches has changed since it was approved; nothing ran")));
            return Err(reply::changed(held));
        }
        let recheck = asked.recheck.clone();
        Ok(Permit { recheck, ..self.permit(&asked.judged, End::Approved(end)) })
    }
}

/// How long something that stands approved may take to be handed over.
const APPROVED_PATIENCE: Duration = Duration::from_secs(10);
