//! **run**: exactly the stored bytes that the digest covers, once, with a credential that the agent never sees.

use std::sync::Arc;

use domain::approval::Approval;
use domain::commitment::{Disclosure, Fields};
use domain::id::ActionId;
use domain::outcome::Outcome;

use crate::ports::{Ran, RunResult};
use crate::{Gateway, GatewayError, limits};

impl Gateway {
    /// Redeems an approved action and runs it. Any number of these may race: one redeems.
    pub(crate) async fn run_approved(self: Arc<Self>, id: ActionId) {
        let Ok(_place) = self.runs.acquire().await else { return };
        match self.redeem_and_run(id).await {
            Ok(()) => {}
            Err(GatewayError::Refused(refusal)) => {
                tracing::debug!(%id, reason = refusal.code(), "not redeemed");
            }
            Err(error) => tracing::error!(%id, %error, "an approved action could not be run"),
        }
        self.waiting.wake(id);
    }

    async fn redeem_and_run(self: &Arc<Self>, id: ActionId) -> Result<(), GatewayError> {
        let summary = self.store.approval(id).await?;
        if !matches!(summary.approval, Approval::Approved(_)) {
            return Ok(());
        }
        let Some(runner) = self.runner(summary.action.parts().point) else { return Ok(()) };
        if !runner.is_awaited(id) {
            return Ok(());
        }
        let payload = self.whole_payload(&summary.action).await?;
        let (redemption, summary) = self.redeem(id).await?;
        let action = summary.action;
        let running = tokio::spawn(async move { runner.run(redemption, &action, &payload).await });
        let Ran { outcome, result } = running.await.unwrap_or_else(|error| {
            tracing::error!(%id, %error, "the run broke off");
            let outcome = Outcome::unknown("the run broke off in the gateway; look at the target");
            Ran { outcome, result: RunResult::Nothing }
        });
        self.seal(id, outcome, result, limits::SEAL_TRIES).await
    }

    /// The payload in full, held against the action's root: altered or erased bytes never run.
    pub(crate) async fn whole_payload(
        &self,
        action: &domain::action::Action,
    ) -> Result<Fields, GatewayError> {
        let mut fields = Vec::new();
        for disclosure in self.store.payload(action.id()).await? {
            match disclosure {
                Disclosure::Open(field) => fields.push(field),
                Disclosure::Withheld(_) => {
                    return Err(GatewayError::Forbidden(
                        "a part of the payload was erased; it cannot run".to_owned(),
                    ));
                }
            }
        }
        let fields = Fields::new(fields)?;
        if fields.root()? != action.parts().payload {
            tracing::error!(id = %action.id(), "the stored payload does not match the action's digest");
            metrics::counter!("countersign_alarms_total", "kind" => "altered-payload").increment(1);
            return Err(domain::Malformed::Digest("the stored payload").into());
        }
        Ok(fields)
    }

    /// Spends an approval for a caller who runs the action themself, and will report.
    ///
    /// # Errors
    /// As [`Gateway::redeem`]; [`GatewayError::Forbidden`] for a caller who did not ask for it, or where a point of ours
    /// runs such actions.
    pub async fn redeem_for_caller(
        self: &Arc<Self>,
        id: ActionId,
        caller: &crate::admit::Caller,
    ) -> Result<(), GatewayError> {
        let summary = self.store.approval(id).await?;
        if summary.action.chain().caller != caller.chain().caller {
            return Err(GatewayError::NotFound("approval"));
        }
        if self.runner(summary.action.parts().point).is_some() {
            return Err(GatewayError::Forbidden("the gateway runs this action itself".to_owned()));
        }
        self.redeem(id).await.map(|_| ())
    }

    /// Takes what a caller reports of an action that they ran themself. It is `reported`, never `observed`.
    ///
    /// # Errors
    /// As [`Gateway::redeem_for_caller`]; the domain's refusal where nothing is running.
    pub async fn report(
        &self,
        id: ActionId,
        caller: &crate::admit::Caller,
        ending: domain::outcome::Ending,
        detail: &str,
    ) -> Result<(), GatewayError> {
        let summary = self.store.approval(id).await?;
        if summary.action.chain().caller != caller.chain().caller {
            return Err(GatewayError::NotFound("approval"));
        }
        if self.runner(summary.action.parts().point).is_some() {
            return Err(GatewayError::Forbidden(
                "the gateway saw itself what came of this action".to_owned(),
            ));
        }
        let outcome = Outcome::new(ending, domain::outcome::Witnessed::Reported, detail);
        self.seal(id, outcome, RunResult::Nothing, 1).await
    }
}
