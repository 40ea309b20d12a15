//! Runs what people approved: the request is built from the stored fields alone.

use std::sync::Arc;

use async_trait::async_trait;
use domain::action::{Action, Point};
use domain::commitment::Fields;
use domain::grant::Redemption;
use domain::outcome::{Ending, Outcome, Witnessed};
use gateway::ports::{Ran, RunResult, Runner};
use gateway::store::Recorded;

use super::answer::{self, Read};
use super::forward::Failure;
use super::payload::rebuild;
use super::point::Shared;
use super::table::Standing;

/// The largest answer that waits for its caller whatever a route says, in bytes; a larger one goes to a caller
/// who waits now.
const KEPT_LIMIT_BYTES: u64 = 2 << 20;

pub(super) struct HttpRunner {
    shared: Arc<Shared>,
}

impl HttpRunner {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    fn standing(&self, action: &Action) -> Result<Arc<Standing>, String> {
        let target = &action.parts().target;
        let table = self.shared.table();
        let standing =
            table.named(&target.name).ok_or_else(|| format!("the route `{}` is gone", target.name))?;
        if standing.definition != target.definition {
            return Err(format!(
                "the route `{}` was changed after this was asked for; ask again",
                target.name
            ));
        }
        Ok(standing)
    }

    async fn answer(&self, action: &Action, payload: &Fields) -> Result<Ran, Outcome> {
        let not_sent = |why: &str| Outcome::new(Ending::Failed, Witnessed::Observed, why);
        let standing = self.standing(action).map_err(|why| not_sent(&why))?;
        let fields = payload.as_slice().iter().map(|field| (field.path.as_str(), field.value.0.as_slice()));
        let rebuilt = rebuild(fields).map_err(|error| not_sent(&error.to_string()))?;
        if rebuilt.authority != *standing.route.upstream().authority() {
            return Err(not_sent("the request is for another upstream than its route's"));
        }
        let response =
            self.shared.forwarder.run(&standing.route, &rebuilt).await.map_err(|failure| match failure {
                Failure::NotSent(why) => not_sent(&why),
                Failure::Unknown(why) => Outcome::unknown(&why),
            })?;
        let outcome = answer::outcome(response.status());
        let limit = standing.route.settings().result_limit.min(KEPT_LIMIT_BYTES);
        Ok(match answer::read(response, limit).await {
            Read::Whole(stored, digest) => {
                let outcome = outcome.with_result(digest, stored.bytes());
                let result = stored.write().map_or(RunResult::Nothing, RunResult::Whole);
                tracing::debug!(status = stored.status(), "ran");
                Ran { outcome, result }
            }
            Read::Streams(live) => Ran { outcome, result: RunResult::Live(Box::new(live)) },
            // The status came: the target did or refused it. Only the answer's rest is lost.
            Read::Broken(why) => {
                tracing::warn!(why, "the answer broke off");
                Ran { outcome, result: RunResult::Nothing }
            }
        })
    }
}

#[async_trait]
impl Runner for HttpRunner {
    fn point(&self) -> Point {
        Point::Http
    }

    fn stands(&self, action: &Action) -> Result<(), String> {
        self.standing(action).map(|_| ())
    }

    async fn run(&self, redemption: Recorded<Redemption>, action: &Action, payload: &Fields) -> Ran {
        let grant = redemption.into_inner().into_grant();
        if grant.action() != action.digest() {
            let outcome =
                Outcome::new(Ending::Failed, Witnessed::Observed, "the grant is for another action");
            return Ran { outcome, result: RunResult::Nothing };
        }
        match self.answer(action, payload).await {
            Ok(ran) => ran,
            Err(outcome) => Ran { outcome, result: RunResult::Nothing },
        }
    }
}
