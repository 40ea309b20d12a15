//! `countersign backup`: a copy of the whole store, and the way back.
//!
//! A running gateway makes its own copy, for an administrator, into the folder that its bootstrap file names. With a file,
//! and to put a copy back, the gateway is stopped: an embedded store has one process. The keys are not in a backup, so that whoever finds one reads nothing in it; keep a copy of the keys' folder elsewhere.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Subcommand;
use domain::text::visible;
use domain::time::Timestamp;
use gateway::store::embedded;
use serde_json::{Value, json};

use super::Context;
use crate::cli::Ending;
use crate::output::{Tone, waiting, when};
use crate::up;

/// How long the store may take to close.
const CLOSE_PATIENCE: Duration = Duration::from_secs(5);

#[derive(Debug, Subcommand)]
pub(crate) enum Backup {
    /// Copy the store: of a stopped gateway into a new file, or have the running one do it
    Create {
        /// The new file, for a stopped gateway; where it is not given, the running gateway is asked
        file: Option<PathBuf>,
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
        Backup::Create { file: Some(file) } => create(file, context).await,
        Backup::Create { file: None } => ask(context).await,
        Backup::Restore { file, accept_loss } => restore(file, accept_loss.clone(), context).await,
    }
}

/// Has the running gateway do it. Where the copy goes is its operator's to say.
async fn ask(context: &Context) -> anyhow::Result<Ending> {
    let client = context.signed_in()?;
    let made = client.send(reqwest::Method::POST, "/v1/backups", None, &[]);
    let made = waiting("copying the store", made).await?;
    if context.output.json {
        context.output.json(&made);
        return Ok(Ending::Fine);
    }
    let said = format!(
        "wrote `{}` into the folder that `store.backups` names: {} entries, {}",
        visible(made.get("file").and_then(Value::as_str).unwrap_or_default()),
        made.get("size").and_then(Value::as_u64).unwrap_or_default(),
        when(Timestamp::from_micros(made.get("time").and_then(Value::as_u64).unwrap_or_default()))
    );
    context.output.line(&context.output.paint(&said, Tone::Good));
    context.output.line("The keys are not in it. Keep a copy of the keys' folder too, elsewhere.");
    Ok(Ending::Fine)
}

async fn create(file: &Path, context: &Context) -> anyhow::Result<Ending> {
    let config = context.config()?;
    up::require_store(&config)?;
    let store = up::open_store(&config, None)
        .await
        .context(
            "only a stopped gateway's store is copied to a file; leave the file out to ask the running one",
        )?
        .store;
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
    if config.store.postgres.is_some() {
        bail!(
            "a shared store is put back with PostgreSQL's own tools; each gateway's anchor tells whether it is old"
        );
    }
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
