//! `countersign witness`: cosigns the logs of others (C2SP `tlog-witness`), so that none of them can show two people
//! two histories. It needs no gateway and no store.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, ensure};
use audit::witness::TrustedLogs;
use audit::{KeyName, VerifierKey, WitnessSigner};
use clap::Args;
use serde::Deserialize;
use serde_json::json;
use tokio::net::TcpListener;
use transparency::witness::{Witness, router};

use super::{Context, now_micros};
use crate::cli::Ending;
use crate::{keys, up};

/// The share of this process's descriptors that its connections get, in percent.
const CONNECTIONS_PERCENT: usize = 80;

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The witness's settings: `name`, `listen`, `folder` and `logs`, in TOML
    file: PathBuf,
}

/// What the settings say.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// The witness's name, best a URL without its scheme. Its key bears it: it cannot change later.
    name: String,
    /// Where it listens.
    #[serde(default = "listen")]
    listen: SocketAddr,
    /// Its key and what it has cosigned; from the settings' own folder on. Made at the first start.
    folder: PathBuf,
    /// The logs that it cosigns, by their verifier keys, whose names are their origins.
    logs: Vec<String>,
}

fn listen() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 7380))
}

/// Runs until the process is asked to stop.
pub(crate) async fn run(options: &Options, context: &Context) -> anyhow::Result<Ending> {
    up::logging(&crate::config::Config::default())?;
    let settings = Settings::read(&options.file)?;
    let listener = TcpListener::bind(settings.listen)
        .await
        .with_context(|| format!("cannot listen on {}; free it or set `listen`", settings.listen))?;
    let witness = settings.open()?;
    let (key, address) = (witness.key().to_string(), listener.local_addr()?);
    let connections = points::server::connections(
        rlimit::increase_nofile_limit(u64::MAX).context("cannot raise the limit of open files")?,
        CONNECTIONS_PERCENT,
    );
    if context.output.json {
        context.output.json(&json!({ "key": key, "listen": address, "logs": settings.logs.len() }));
    } else {
        context.output.line(&format!("witness key   {key}"));
        context.output.line(&format!("listening on  http://{address}"));
        context.output.line(&format!("logs          {}", settings.logs.len()));
    }
    let stop = async {
        if let Err(error) = up::asked_to_stop().await {
            tracing::error!(%error, "cannot wait for signals: stopping");
        }
    };
    points::server::serve_router(listener, router(Arc::new(witness)), connections, stop).await;
    Ok(Ending::Fine)
}

impl Settings {
    fn read(file: &Path) -> anyhow::Result<Self> {
        let text =
            std::fs::read_to_string(file).with_context(|| format!("cannot read `{}`", file.display()))?;
        let mut settings: Self = toml::from_str(&text)
            .with_context(|| format!("`{}` is not a witness's settings", file.display()))?;
        ensure!(!settings.logs.is_empty(), "`logs` is empty: name the verifier key of each log to cosign");
        settings.folder = file.parent().unwrap_or(Path::new("")).join(&settings.folder);
        Ok(settings)
    }

    /// Opens the key and the records, making both at the first start and at no other: records without
    /// their key, or a key without its records, would contradict what was cosigned. The records' folder comes first. Until
    /// the key stands too nothing was ever cosigned, and a start that broke off is made again.
    fn open(&self) -> anyhow::Result<Witness> {
        let name: KeyName = self.name.parse().context("in `name`")?;
        let logs = self.logs.iter().map(|key| key.parse::<VerifierKey>().context("in `logs`"));
        let logs = TrustedLogs::new(logs.collect::<anyhow::Result<Vec<_>>>()?);
        let (key, records) = (self.folder.join("witness.key"), self.folder.join("records"));
        ensure!(
            records.exists() || !key.exists(),
            "`{}` is gone and its key is still here; restore it, or begin anew with another folder",
            records.display()
        );
        let fresh = !key.exists() && !Witness::remembers(&records)?;
        if fresh {
            keys::make_folder(&self.folder)?;
            keys::make_folder(&records)?;
        }
        let secret = keys::read_or_make(&key, fresh)?;
        let seconds = || now_micros() / 1_000_000;
        Ok(Witness::open(&records, WitnessSigner::new(name, &secret), logs, seconds)?)
    }
}
