//! What moves by itself: wakes are heard, requests lapse, and a restart settles what it finds.

use std::sync::Arc;

use domain::approval::{Approval, Command};
use domain::outcome::Outcome;
use store::{Cursor, Effect, Filter, RunWhenGone, StoreError, Summary, Wake};
use tokio::sync::broadcast;

use crate::{Gateway, GatewayError, limits};

impl Gateway {
    /// Settles what a restart finds: what was running is `unknown` and is never run again by us; what was
    /// approved and needs no caller runs now; segments that stood open are sealed.
    pub(crate) async fn recover(self: &Arc<Self>) -> Result<(), GatewayError> {
        for segment in self.activity.recover()? {
            tracing::warn!(
                file = segment.file,
                records = segment.records,
                "sealing a segment that was left open"
            );
        }
        self.record_segments().await?;
        self.settle_orphans(usize::MAX).await?;
        for summary in self.all_in("approved").await? {
            if summary.run_when_gone == RunWhenGone::Yes {
                tokio::spawn(Arc::clone(self).run_approved(summary.action.id()));
            }
        }
        Ok(())
    }

    /// What a gateway ran that is there no more, this one before its restart or another: nobody knows what came of it.
    async fn settle_orphans(&self, limit: usize) -> Result<(), GatewayError> {
        for id in self.store.orphans(limit).await? {
            let summary = self.store.approval(id).await?;
            // Somebody who runs an action themself may still report.
            if self.runner(summary.action.parts().point).is_none() {
                continue;
            }
            tracing::warn!(%id, "it was running when its gateway stopped: its outcome is unknown");
            let outcome = Outcome::unknown("the gateway stopped while this ran; look at the target");
            match self.store.advance(id, Command::Finish(outcome), Effect::default()).await {
                // Another gateway was quicker.
                Ok(_) | Err(StoreError::Refused(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    pub(crate) async fn listen(self: Arc<Self>, mut wakes: broadcast::Receiver<Wake>) {
        loop {
            match wakes.recv().await {
                Ok(Wake::Approval(id)) => {
                    self.waiting.wake(id);
                    tokio::spawn(Arc::clone(&self).moved(id));
                }
                Ok(Wake::Directory(_)) => {
                    tokio::spawn(Arc::clone(&self).ask_policy_again());
                }
                Err(broadcast::error::RecvError::Lagged(missed)) => {
                    tracing::warn!(missed, "wakes were missed: looking at everything");
                    self.waiting.wake_all();
                    tokio::spawn(Arc::clone(&self).ask_policy_again());
                    if let Err(error) = self.run_what_is_approved().await {
                        tracing::error!(%error, "could not look for approved actions");
                    }
                }
                Err(broadcast::error::RecvError::Closed) => return,
            }
        }
    }

    async fn moved(self: Arc<Self>, id: domain::id::ActionId) {
        let Ok(summary) = self.store.approval(id).await else { return };
        self.asking.note(&summary);
        let here = self.waiting.has_waiters(id);
        let wanted = summary.run_when_gone == RunWhenGone::Yes || here;
        if wanted && !here && self.store.is_shared() {
            // The gateway at which the caller waits goes first: only there can a result be handed over as it comes.
            tokio::time::sleep(limits::ELSEWHERE_FIRST).await;
        }
        if matches!(summary.approval, Approval::Approved(_)) && wanted {
            self.run_approved(id).await;
        }
    }

    /// Counts what each caller has pending since before the start.
    pub(crate) async fn count_pending(self: Arc<Self>) {
        match self.all_in("pending").await {
            Ok(pending) => pending.iter().for_each(|summary| self.asking.note(summary)),
            Err(error) => tracing::error!(%error, "could not count what is pending"),
        }
    }

    async fn run_what_is_approved(self: &Arc<Self>) -> Result<(), GatewayError> {
        for summary in self.all_in("approved").await? {
            tokio::spawn(Arc::clone(self).moved(summary.action.id()));
        }
        Ok(())
    }

    /// A directory that changed may ask for more, or less, of every standing request, and may void what somebody
    /// approved who stands no more as they stood.
    async fn ask_policy_again(self: Arc<Self>) {
        for state in ["pending", "approved"] {
            let standing = match self.all_in(state).await {
                Ok(standing) => standing,
                Err(error) => {
                    tracing::error!(%error, "could not look at standing requests");
                    return;
                }
            };
            for summary in standing {
                let directory = self.store.directory();
                let asked = async {
                    let fresh = self.evaluate_again(&summary, &directory).await?;
                    self.reevaluate(&summary, fresh).await?;
                    self.dismiss_lapsed(summary.action.id()).await
                };
                if let Err(error) = asked.await {
                    tracing::error!(id = %summary.action.id(), %error, "could not ask policy again");
                }
            }
        }
    }

    pub(crate) async fn sweep(self: Arc<Self>) {
        let mut beat = tokio::time::interval(limits::SWEEP_EVERY);
        beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            beat.tick().await;
            if let Err(error) = self.expire_lapsed().await {
                tracing::error!(%error, "could not expire what has lapsed");
            }
            if let Err(error) = self.tell_broken_glass().await {
                tracing::error!(%error, "could not count the broken glass that nobody has looked at");
            }
            self.activity.close_due(self.store.now(), false);
            self.activity.try_again();
        }
    }

    async fn expire_lapsed(&self) -> Result<(), GatewayError> {
        for id in self.store.lapsed(limits::SWEEP_BATCH).await? {
            match self.store.advance(id, Command::Expire, Effect::default()).await {
                // Somebody was quicker: decided it, or expired it.
                Ok(_) | Err(StoreError::Refused(_)) => {}
                // One that does not read back holds up none of the others.
                Err(error) => tracing::error!(%id, %error, "could not expire what has lapsed"),
            }
        }
        self.settle_orphans(limits::SWEEP_BATCH).await?;
        let now = self.store.now();
        for summary in self.all_in("executing").await? {
            let Approval::Executing(executing) = &summary.approval else { continue };
            let reported_by_caller = self.runner(summary.action.parts().point).is_none();
            if reported_by_caller && now >= executing.since.after(limits::REPORT_LIFETIME) {
                let outcome = Outcome::unknown("nobody reported what came of it");
                self.store.advance(summary.action.id(), Command::Finish(outcome), Effect::default()).await?;
            }
        }
        Ok(())
    }

    async fn all_in(&self, state: &str) -> Result<Vec<Summary>, GatewayError> {
        let filter = Filter { states: vec![state.to_owned()], ..Filter::default() };
        let mut all = Vec::new();
        let mut after: Option<Cursor> = None;
        loop {
            let page = self.store.list(&filter, after, store::limits::PAGE_LIMIT).await?;
            all.extend(page.rows);
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok(all),
            }
        }
    }
}
