//! **seal**: the outcome enters the log, with the result kept for its caller in the same transaction.

use domain::approval::Command;
use domain::id::ActionId;
use domain::outcome::Outcome;
use store::{Effect, StoreError};

use crate::hold::result_key;
use crate::ports::RunResult;
use crate::{Gateway, GatewayError, limits};

impl Gateway {
    /// Records an outcome; where the store fails, as often as `tries` says. Nobody else knows it.
    pub(crate) async fn seal(
        &self,
        id: ActionId,
        outcome: Outcome,
        result: RunResult,
        tries: usize,
    ) -> Result<(), GatewayError> {
        let mut keep = None;
        let mut live = None;
        match result {
            RunResult::Whole(bytes) if bytes.len() <= limits::RESULT_LIMIT_BYTES => {
                keep = Some((result_key(id), bytes, limits::RESULT_LIFETIME));
            }
            // Too large to keep: only somebody who waits now can have it.
            whole @ RunResult::Whole(_) => live = Some(whole),
            stream @ RunResult::Live(_) => live = Some(stream),
            RunResult::Nothing => {}
        }
        if let Some(live) = live
            && self.waiting.hand_over(id, live).is_some()
        {
            tracing::warn!(%id, "nobody waits for a result that is too large to keep");
        }
        let ending = outcome.ending;
        for left in (0..tries).rev() {
            let effect = Effect { keep: keep.clone(), ..Effect::default() };
            match self.store.advance(id, Command::Finish(outcome.clone()), effect).await {
                Ok(_) => break,
                Err(error @ (StoreError::Busy | StoreError::Failed(_))) if left > 0 => {
                    tracing::error!(%id, %error, left, "what came of a run could not be recorded; trying again");
                    tokio::time::sleep(limits::SEAL_PAUSE).await;
                }
                Err(error) => return Err(error.into()),
            }
        }
        metrics::counter!("countersign_runs_total", "ending" => format!("{ending:?}").to_lowercase())
            .increment(1);
        tracing::info!(%id, ?ending, "sealed");
        Ok(())
    }
}
