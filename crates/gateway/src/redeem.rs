//! **redeem**: an approval is evidence, not authority. Policy is asked again, every review's signature is
//! verified again, and then the approval is spent, once, by one conditional write.

use std::sync::Arc;

use domain::Refusal;
use domain::action::{Action, Point};
use domain::approval::{Approval, Command};
use domain::directory::Directory;
use domain::evaluation::{DecidingRule, Decision, Evaluation};
use domain::grant::{Permit, Redemption, dismissals};
use domain::id::{ActionId, GrantId};
use domain::principal::{Chain, Principal};
use store::{Effect, Recorded, StoreError, Summary};

use crate::decide::{PARTS_PATH, Part};
use crate::{Gateway, GatewayError, limits, risk};

impl Gateway {
    /// Spends an approval.
    ///
    /// # Errors
    /// The domain's refusal, when policy or the reviewers' standing no longer carry it: the approval is
    /// then re-evaluated and people are asked again, or it is denied. [`GatewayError::Busy`] when it kept moving.
    pub(crate) async fn redeem(
        self: &Arc<Self>,
        id: ActionId,
    ) -> Result<(Recorded<Redemption>, Summary), GatewayError> {
        for _ in 0..limits::REDEEM_TRIES {
            let directory = self.store.directory();
            let summary = self.store.approval(id).await?;
            // One version of the directory for policy and for the reviewers' standing: whoever leaves while this goes
            // on is found when it is committed.
            let fresh = self.evaluate_again(&summary, &directory).await?;
            let grant = GrantId::new(self.store.now(), &self.draw()?);
            let verifier = identity::DirectoryVerifier {
                directory: &directory,
                relying_party: &self.settings.relying_party,
            };
            let permit = Permit::issue(
                &summary.approval,
                &summary.action,
                fresh.clone(),
                &self.settings.origin,
                &verifier,
                grant,
            );
            let permit = match permit {
                Ok(permit) => permit,
                Err(refusal @ (Refusal::RequirementNotMet | Refusal::PolicyDenies(_))) => {
                    self.reevaluate(&summary, fresh).await?;
                    self.dismiss_lapsed(id).await?;
                    return Err(refusal.into());
                }
                Err(
                    altered @ (Refusal::Signature(_)
                    | Refusal::Malformed(_)
                    | Refusal::OtherAction
                    | Refusal::OtherOrigin(_)),
                ) => {
                    return Err(alarm(id, altered));
                }
                Err(refusal) => return Err(refusal.into()),
            };
            let effect = Effect { directory: Some(directory.version()), ..Effect::default() };
            match self.store.advance(id, Command::Redeem(permit), effect).await {
                Ok(recorded) => {
                    let redemption = recorded.redemption().ok_or_else(|| {
                        GatewayError::Unavailable(
                            "the store recorded a redemption without a grant".to_owned(),
                        )
                    })?;
                    return Ok((redemption, summary));
                }
                Err(StoreError::Stale | StoreError::Refused(Refusal::Stale)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(GatewayError::Busy)
    }

    /// Policy's answer now, over this directory, the recorded facts and today's history.
    pub(crate) async fn evaluate_again(
        &self,
        summary: &Summary,
        directory: &Directory,
    ) -> Result<Evaluation, GatewayError> {
        let action = &summary.action;
        let prior = self.store.prior(action.chain().caller, &summary.shape).await?;
        let facts = risk::facts(action.parts(), summary.approval.case().evaluation.facts.clone(), prior);
        let parts = self.parts_of(action).await?;
        let (mut evaluation, _) = self.evaluate(action, facts, &parts, directory)?;
        let mut deny = |id: &str, why: String| -> Result<(), GatewayError> {
            evaluation.decision = Decision::Deny;
            evaluation.rules = vec![DecidingRule { id: id.parse()?, why }];
            Ok(())
        };
        if let Err(error) = still_known(action.chain(), directory) {
            deny("countersign.caller-gone", error.to_string())?;
        } else if let Some(runner) = self.runner(action.parts().point)
            && let Err(why) = runner.stands(action)
        {
            deny("countersign.target-changed", why)?;
        }
        Ok(evaluation)
    }

    /// Everything that an action does, as its digest covers it.
    async fn parts_of(&self, action: &Action) -> Result<Vec<Part>, GatewayError> {
        // No other point's actions have parts: their payloads need not be read.
        if action.parts().point != Point::Postgres {
            return Ok(Vec::new());
        }
        let payload = self.whole_payload(action).await?;
        payload.get(PARTS_PATH).map_or(Ok(Vec::new()), |parts| Ok(domain::canonical::read(parts)?))
    }

    /// Drops the approvals whose reviewers have lost their standing since, so that others are asked in their place
    /// while there is time.
    ///
    /// # Errors
    /// Store failures; the domain's refusal where a stored review does not verify.
    pub(crate) async fn dismiss_lapsed(&self, id: ActionId) -> Result<(), GatewayError> {
        // Read again: policy may have been asked again just now.
        let summary = self.store.approval(id).await?;
        let directory = self.store.directory();
        let verifier = identity::DirectoryVerifier {
            directory: &directory,
            relying_party: &self.settings.relying_party,
        };
        let lapsed = dismissals(&summary.approval, &summary.action, &self.settings.origin, &verifier)
            .map_err(|altered| alarm(id, altered))?;
        if lapsed.is_empty() {
            return Ok(());
        }
        let effect = Effect { directory: Some(directory.version()), ..Effect::default() };
        match self.store.advance(id, Command::Dismiss(lapsed), effect).await {
            // Somebody was quicker, or the directory moved on: it is looked at again for that.
            Ok(_) | Err(StoreError::Refused(_) | StoreError::Stale) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Lets a new evaluation stand where it asks for something else than the one before.
    pub(crate) async fn reevaluate(&self, summary: &Summary, fresh: Evaluation) -> Result<(), GatewayError> {
        let standing = &summary.approval.case().evaluation;
        if !matches!(summary.approval, Approval::Pending(_) | Approval::Approved(_))
            || (standing.decision == fresh.decision && standing.policy == fresh.policy)
            // What people were asked about is theirs to decide: a policy that was loosened since lets new calls
            // through, and releases nothing that waits.
            || fresh.decision == Decision::Permit
        {
            return Ok(());
        }
        let id = summary.action.id();
        match self.store.advance(id, Command::Reevaluate(fresh), Effect::default()).await {
            Ok(_) | Err(StoreError::Refused(_)) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// Says loudly that a stored review is not what was signed.
fn alarm(id: ActionId, altered: Refusal) -> GatewayError {
    tracing::error!(%id, reason = %altered, "a stored review does not verify: the store was altered");
    metrics::counter!("countersign_alarms_total", "kind" => "altered-review").increment(1);
    altered.into()
}

/// Whether whoever asked is still let in: what a disabled agent, or one whose sponsor has left, was allowed is
/// void.
fn still_known(chain: &Chain, directory: &Directory) -> Result<(), identity::IdentityError> {
    match chain.caller {
        Principal::Agent(agent) => identity::chain_of_agent(agent, directory).map(|_| ()),
        Principal::Person(person) => identity::chain_of_person(person, directory).map(|_| ()),
    }
}
