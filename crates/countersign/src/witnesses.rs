//! Witnesses of this deployment's log: asked at start, before anything is accepted, and then on and on.
//!
//! The policy file (C2SP `tlog-policy`) that auditors trust names them; those with a URL are asked.

use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use audit::{Policy, VerifierKey};
use store::Store;
use tokio::task::JoinHandle;
use transparency::publish::Notes;
use transparency::witness::{Client, ClientError, Cosigned, HttpTransport, Stored};

/// How often a head that grew is shown to the witnesses.
const EVERY: Duration = Duration::from_secs(10);

/// The witnesses, once each was asked.
pub(crate) struct Witnesses {
    client: Client,
    cosigned: Cosigned,
}

impl Witnesses {
    /// Asks every witness of the policy about the log as it stands. One that does not answer stops nothing; one that
    /// has seen more of the log, or another history, does.
    ///
    /// # Errors
    /// A policy that cannot be read or met, a witness whose word contradicts the store.
    pub(crate) async fn ask(policy: &Path, store: Arc<dyn Store>, log_key: &str) -> anyhow::Result<Self> {
        let text = std::fs::read(policy)
            .with_context(|| format!("transparency.witnesses: cannot read `{}`", policy.display()))?;
        let policy = Policy::parse(&text)
            .with_context(|| format!("transparency.witnesses: `{}`", policy.display()))?;
        let log_key: VerifierKey = log_key.parse()?;
        let transport = HttpTransport::new().context("transparency.witnesses")?;
        let (mut client, cosigned) =
            Client::new(policy, vec![log_key], Arc::new(Stored(store)), Arc::new(transport))
                .context("transparency.witnesses")?;
        client.start().await.context("transparency.witnesses: the log does not start")?;
        Ok(Self { client, cosigned })
    }

    /// The newest checkpoint that their quorum cosigned, for whoever publishes or bundles.
    pub(crate) fn notes(&self) -> Notes {
        let cosigned = self.cosigned.clone();
        Notes::Cosigned(Arc::new(move || Some(cosigned.latest()?.checkpoint().note().to_string())))
    }

    /// Asks on until `stop`; ends early with the alarm that must stop the log.
    pub(crate) fn run(
        self,
        stop: impl Future<Output = ()> + Send + 'static,
    ) -> JoinHandle<Result<(), ClientError>> {
        tokio::spawn(self.client.run(EVERY, stop))
    }
}
