//! Retention, as the bootstrap file asks for it: what is older goes by itself.

use std::sync::Arc;
use std::time::Duration;

use anyhow::bail;
use domain::time::Timestamp;
use serde::Deserialize;
use store::{Leaves, Ledger, Pruning, StoreError};
use tokio::sync::watch;

/// How often the gateway looks for what is too old.
const EVERY: Duration = Duration::from_secs(3_600);

/// How long it pauses between two prunings, so that whoever waits for the log is not kept waiting.
const PAUSE: Duration = Duration::from_millis(250);

/// The microseconds of a day.
const DAY_MICROS: u64 = 24 * 3_600 * 1_000_000;

/// The shortest retention, in days.
const DAYS_MIN: u64 = 1;

/// How long values are kept. Nothing goes where this is not given.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Retention {
    /// For how many days after an entry its values are kept.
    days: u64,
    /// Whether leaves go too. Their hashes stay in any case, and so do all proofs; to read the leaves later, publish
    /// the log first.
    #[serde(default)]
    drop_leaves: bool,
}

/// What a run of prunings came to.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Sum {
    /// How many entries lost their values.
    pub(crate) entries: u64,
    /// The first entry that was not looked at; zero where nothing was to be done.
    pub(crate) below: u64,
}

impl Retention {
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        if self.days < DAYS_MIN {
            bail!("retention.days is {}, and at least {DAYS_MIN} is expected", self.days);
        }
        Ok(())
    }

    /// Prunes whenever it is time, until `stopped` says so.
    pub(crate) async fn keep(self, ledger: Arc<dyn Ledger>, mut stopped: watch::Receiver<bool>) {
        loop {
            let pruning = Pruning {
                before: before(ledger.now(), self.days),
                leaves: if self.drop_leaves { Leaves::Drop } else { Leaves::Keep },
                by: "the gateway".to_owned(),
                policy: format!("retention.days = {}", self.days),
            };
            tokio::select! {
                pruned = prune(ledger.as_ref(), &pruning, PAUSE) => match pruned {
                    Ok(sum) if sum.entries > 0 => {
                        tracing::info!(entries = sum.entries, below = sum.below, "old values were pruned");
                    }
                    Ok(_) => {}
                    Err(error) => tracing::error!(%error, "old values were not pruned; it is tried again"),
                },
                _ = stopped.wait_for(|stop| *stop) => return,
            }
            // A sender that is gone means stop as well.
            if tokio::time::timeout(EVERY, stopped.wait_for(|stop| *stop)).await.is_ok() {
                return;
            }
        }
    }
}

/// So many days before a moment.
pub(crate) fn before(now: Timestamp, days: u64) -> Timestamp {
    Timestamp::from_micros(now.micros().saturating_sub(days.saturating_mul(DAY_MICROS)))
}

/// Prunes step by step until nothing is left to do.
pub(crate) async fn prune(
    ledger: &dyn Ledger,
    pruning: &Pruning,
    pause: Duration,
) -> Result<Sum, StoreError> {
    let mut sum = Sum::default();
    while let Some(pruned) = ledger.prune(pruning.clone()).await? {
        sum.entries += pruned.get().entries;
        sum.below = pruned.get().below;
        tokio::time::sleep(pause).await;
    }
    Ok(sum)
}
