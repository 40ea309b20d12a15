//! The log in public, as the bootstrap file asks for it: served by the console's listener, written to a folder, or
//! to S3-compatible storage.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use audit::VerifierKey;
use axum::Router;
use serde::Deserialize;
use store::Ledger;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use transparency::publish::{self, Folder, Notes, Publisher, S3, S3Config, Target};

use crate::config::Secret;

/// How long the start waits for a place that the log is published at.
const START_PATIENCE: Duration = Duration::from_secs(15);

/// Under which path the console's listener serves the log.
const PREFIX: &str = "/log";

/// What is made public, and where.
///
/// Leaves hold commitments and no values. Yet whoever reads them sees of every entry its kind, its subject's id and
/// its time: how much is asked for, approved and denied, and when. So nothing is public that this does not name.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Transparency {
    /// Whether the console's listener serves the log under `/log/`, to everybody who reaches it and without
    /// signing in.
    pub(crate) serve: bool,
    /// A trust file (C2SP `tlog-policy`) whose witnesses are asked to cosign the log. What is published, served and
    /// bundled then has their cosignatures; nothing is published before their quorum is met.
    pub(crate) witnesses: Option<PathBuf>,
    /// A folder that the log is written to, for any web server.
    pub(crate) folder: Option<PathBuf>,
    /// S3-compatible storage that the log is written to.
    pub(crate) s3: Option<Bucket>,
}

/// S3-compatible storage with conditional writes.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Bucket {
    endpoint: String,
    bucket: String,
    /// The region, as signatures name it.
    #[serde(default = "us_east_1")]
    region: String,
    /// What every object's name begins with, such as `log/`.
    #[serde(default)]
    prefix: String,
    /// Whether the bucket's name stands in the address' path; AWS wants it in the host's name.
    #[serde(default = "yes")]
    path_style: bool,
    access_key: Secret,
    secret_key: Secret,
}

fn us_east_1() -> String {
    "us-east-1".to_owned()
}

fn yes() -> bool {
    true
}

impl Transparency {
    /// Relative paths are relative to the bootstrap file's folder.
    pub(crate) fn rebase(&mut self, rebase: impl Fn(&mut PathBuf)) {
        self.folder.as_mut().map(&rebase);
        self.witnesses.as_mut().map(&rebase);
        for secret in self.s3.iter_mut().flat_map(|s3| [&mut s3.access_key, &mut s3.secret_key]) {
            if let Secret::File(path) = secret {
                rebase(path);
            }
        }
    }

    /// What is served, where that is asked for.
    pub(crate) fn router(&self, ledger: Arc<dyn Ledger>, notes: Notes) -> Router {
        if self.serve { Router::new().nest(PREFIX, publish::router(ledger, notes)) } else { Router::new() }
    }

    /// Opens every place that the log is published at. Nothing is written yet.
    pub(crate) fn publishers(&self, ledger: &Arc<dyn Ledger>, log_key: &str) -> anyhow::Result<Publishers> {
        let log_key: VerifierKey = log_key.parse()?;
        let folder = match &self.folder {
            Some(folder) => {
                let folder = Folder::open(folder).context("transparency.folder")?;
                Some(Publisher::new(Arc::clone(ledger), folder, log_key.clone()))
            }
            None => None,
        };
        let s3 = match &self.s3 {
            Some(s3) => {
                let s3 = S3::new(s3.read()?).context("transparency.s3")?;
                Some(Publisher::new(Arc::clone(ledger), s3, log_key))
            }
            None => None,
        };
        Ok(Publishers { folder, s3 })
    }
}

/// The places that the log is published at.
pub(crate) struct Publishers {
    folder: Option<Publisher<Folder>>,
    s3: Option<Publisher<S3>>,
}

impl Publishers {
    /// Holds what is published against the store, before anything is accepted. What the log's own key signed there and the
    /// store does not have was lost, or signed by somebody else; a place that cannot be asked stops nothing.
    ///
    /// # Errors
    /// What is published speaks against the store, and no loss was accepted.
    pub(crate) async fn check(&self, loss_is_accepted: bool) -> anyhow::Result<()> {
        let found = [contradiction(self.folder.as_ref()).await, contradiction(self.s3.as_ref()).await];
        for why in found.into_iter().flatten() {
            if !loss_is_accepted {
                bail!(
                    "the log does not start: {why}. If what is missing is lost for good, start once with \
                     `--accept-loss REASON`, and publish at another place"
                );
            }
            tracing::warn!(%why, "what is published has more than the log, whose loss is accepted");
        }
        Ok(())
    }

    /// Publishes from here on, until `stopped` says so.
    pub(crate) fn follow(self, notes: &Notes, stopped: &watch::Receiver<bool>) -> Vec<JoinHandle<()>> {
        let folder = self.folder.map(|publisher| follow(publisher, notes.clone(), stopped.clone()));
        let s3 = self.s3.map(|publisher| follow(publisher, notes.clone(), stopped.clone()));
        folder.into_iter().chain(s3).collect()
    }
}

/// What a place says against the store; nothing where it cannot be asked in time.
async fn contradiction<T: Target>(publisher: Option<&Publisher<T>>) -> Option<String> {
    match tokio::time::timeout(START_PATIENCE, publisher?.contradiction()).await {
        Ok(Ok(found)) => found,
        Ok(Err(error)) => {
            tracing::warn!(%error, "what is published could not be read at the start");
            None
        }
        Err(_) => {
            tracing::warn!("what is published could not be read at the start in time");
            None
        }
    }
}

impl Bucket {
    fn read(&self) -> anyhow::Result<S3Config> {
        Ok(S3Config {
            endpoint: self.endpoint.clone(),
            bucket: self.bucket.clone(),
            region: self.region.clone(),
            prefix: self.prefix.clone(),
            access_key: self.access_key.read("transparency.s3.access_key")?,
            secret_key: self.secret_key.read("transparency.s3.secret_key")?,
            path_style: self.path_style,
        })
    }
}

fn follow<T: Target + 'static>(
    publisher: Publisher<T>,
    notes: Notes,
    stopped: watch::Receiver<bool>,
) -> JoinHandle<()> {
    tokio::spawn(async move {
        // Why it ended is in the program's log. The gateway goes on: what is published is a copy.
        let _ = publisher.follow(notes, stopped).await;
    })
}
