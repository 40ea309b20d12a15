//! Runs what people approved: not here, but in the session that waits for it, with the connection, the settings and the
//! place in the transaction that it was approved in.

use std::sync::Arc;

use async_trait::async_trait;
use domain::action::{Action, Point};
use domain::commitment::Fields;
use domain::grant::Redemption;
use domain::id::ActionId;
use domain::outcome::{Ending, Outcome, Witnessed};
use gateway::ports::{Ran, RunResult, Runner};
use gateway::store::Recorded;
use tokio::sync::oneshot;

use crate::hold::Released;
use crate::point::Shared;

pub(crate) struct PostgresRunner {
    shared: Arc<Shared>,
}

impl PostgresRunner {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }
}

#[async_trait]
impl Runner for PostgresRunner {
    fn point(&self) -> Point {
        Point::Postgres
    }

    fn stands(&self, action: &Action) -> Result<(), String> {
        let target = &action.parts().target;
        let databases = self.shared.databases();
        let standing =
            databases.get(&target.name).ok_or_else(|| format!("the database `{}` is gone", target.name))?;
        if standing.target.definition != target.definition {
            return Err(format!(
                "the database `{}` was changed after this was asked for; ask again",
                target.name
            ));
        }
        Ok(())
    }

    fn is_awaited(&self, approval: ActionId) -> bool {
        self.shared.waiters.is_awaited(approval)
    }

    async fn run(&self, redemption: Recorded<Redemption>, action: &Action, payload: &Fields) -> Ran {
        let (end, ended) = oneshot::channel();
        let released = Released { redemption, action: action.digest(), payload: payload.clone(), end };
        let outcome = match self.shared.waiters.hand_over(action.id(), released) {
            Ok(()) => ended.await.unwrap_or_else(|_| {
                Outcome::unknown("the session ended while this ran; look at the database")
            }),
            Err(_) => {
                let why = "the session that waited for it has gone; nothing ran";
                Outcome::new(Ending::Failed, Witnessed::Observed, why)
            }
        };
        Ran { outcome, result: RunResult::Nothing }
    }
}
