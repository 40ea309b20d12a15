//! The log in public, as the bootstrap file asks for it: served by the console's listener, written to a folder, or
//! to S3-compatible storage.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use audit::VerifierKey;
use axum::Router;
use serde::Deserialize;
use store::Ledger;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use transparency::publish::{self, Folder, Notes, Publisher, S3, S3Config, Target};

use crate::config::Secret;

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

    /// Publishes from here on, until `stopped` says so.
    pub(crate) fn publish(
        &self,
        ledger: &Arc<dyn Ledger>,
        notes: &Notes,
        log_key: &str,
        stopped: &watch::Receiver<bool>,
    ) -> anyhow::Result<Vec<JoinHandle<()>>> {
        let log_key: VerifierKey = log_key.parse()?;
        let mut tasks = Vec::new();
        if let Some(folder) = &self.folder {
            let folder = Folder::open(folder).context("transparency.folder")?;
            let publisher = Publisher::new(Arc::clone(ledger), folder, log_key.clone());
            tasks.push(follow(publisher, notes.clone(), stopped.clone()));
        }
        if let Some(s3) = &self.s3 {
            let s3 = S3::new(s3.read()?).context("transparency.s3")?;
            let publisher = Publisher::new(Arc::clone(ledger), s3, log_key);
            tasks.push(follow(publisher, notes.clone(), stopped.clone()));
        }
        Ok(tasks)
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
