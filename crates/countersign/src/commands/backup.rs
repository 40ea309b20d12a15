//! `countersign backup`: a copy of the whole store, and the way back.
//!
//! Both work on the files of this machine while the gateway is stopped: an embedded store has one process. The keys
//! are not in a backup, so that whoever finds one reads nothing in it; keep a copy of the keys' folder elsewhere.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Subcommand;
use gateway::store::embedded;
use gateway::store::{Ledger as _, Store as _};
use serde_json::json;

use super::Context;
use crate::cli::Ending;
use crate::output::{Tone, waiting, when};
use crate::up;

/// How long the store may take to close.
const CLOSE_PATIENCE: Duration = Duration::from_secs(5);

#[derive(Debug, Subcommand)]
pub(crate) enum Backup {
    /// Copy the store of a stopped gateway into a new file
    Create {
        /// The new file
        file: PathBuf,
    },
    /// Put a copy in place of a store that is gone, and check it whole first
    Restore {
        /// The copy
        file: PathBuf,
        /// Go on although the log had signed more than the copy holds; the reason enters the log
        #[arg(long, value_name = "REASON")]
        accept_loss: Option<String>,
    },
}

pub(crate) async fn run(backup: &Backup, context: &Context) -> anyhow::Result<Ending> {
    match backup {
        Backup::Create { file } => create(file, context).await,
        Backup::Restore { file, accept_loss } => restore(file, accept_loss.clone(), context).await,
    }
}

async fn create(file: &Path, context: &Context) -> anyhow::Result<Ending> {
    let config = context.config()?;
    let database = up::database(&config);
    if !database.exists() {
        bail!("there is no store at `{}`; name its bootstrap file with `--config`", database.display());
    }
    let store = up::open_store(&config, None).context("only a stopped gateway's store is copied")?.store;
    let made = waiting("copying the store", async {
        let head = store.audit().await?;
        store.backup(file).await.map(|()| head)
    })
    .await;
    store.close(CLOSE_PATIENCE).await;
    let head = made?;
    if context.output.json {
        context
            .output
            .json(&json!({ "file": file.display().to_string(), "size": head.size, "time": head.time }));
    } else {
        let said = format!("wrote `{}`: {} entries, the last {}", file.display(), head.size, when(head.time));
        context.output.line(&context.output.paint(&said, Tone::Good));
        context.output.line(&format!(
            "The keys are not in it. Keep a copy of `{}` too, elsewhere.",
            config.keys.folder.display()
        ));
    }
    Ok(Ending::Fine)
}

async fn restore(file: &Path, accept_loss: Option<String>, context: &Context) -> anyhow::Result<Ending> {
    let config = context.config()?;
    let parts = up::store_parts(&config, false)?;
    let from = file.to_owned();
    let restored = waiting(
        "checking the copy",
        tokio::task::spawn_blocking(move || embedded::restore(&from, parts.embedded, accept_loss.as_deref())),
    )
    .await??;
    if context.output.json {
        let head = &restored.head;
        context.output.json(&json!({ "size": head.size, "time": head.time, "loss": restored.loss }));
        return Ok(Ending::Fine);
    }
    let said = format!(
        "restored `{}`: {} entries, the last {}",
        up::database(&config).display(),
        restored.head.size,
        when(restored.head.time)
    );
    context.output.line(&context.output.paint(&said, Tone::Good));
    if let Some(loss) = restored.loss {
        context
            .output
            .line(&context.output.paint(&format!("The log says so from now on: {loss}"), Tone::Warn));
    }
    Ok(Ending::Fine)
}
