//! `countersign keys`: a new key for the log.

use anyhow::Context as _;
use audit::{Ed25519Signer, NoteSigner as _};
use clap::Subcommand;
use serde_json::json;

use super::Context;
use crate::cli::Ending;
use crate::keys;
use crate::output::Tone;
use crate::up;

/// How long the store may take to close.
const CLOSE_PATIENCE: std::time::Duration = std::time::Duration::from_secs(5);

#[derive(Debug, Subcommand)]
pub(crate) enum Keys {
    /// Give the log of a stopped gateway a new key; the old one signs that it did
    Rotate {
        /// Why, in words; it enters the log
        #[arg(long)]
        reason: String,
    },
}

pub(crate) async fn run(command: &Keys, context: &Context) -> anyhow::Result<Ending> {
    match command {
        Keys::Rotate { reason } => rotate(reason, context).await,
    }
}

async fn rotate(reason: &str, context: &Context) -> anyhow::Result<Ending> {
    let config = context.config()?;
    up::require_store(&config)?;
    let opened =
        up::open_store(&config, None).await.context("only a stopped gateway's log changes its key")?;
    // The new key is on the disk before the log speaks of it; an earlier try may have left it.
    let next = keys::make_next_log_key(&config.keys.folder)?;
    let signer = Ed25519Signer::new(opened.origin.as_str().parse()?, &next);
    let new = signer.verifier().to_string();
    let changed = opened.store.rotate(Box::new(signer), reason).await;
    opened.store.close(CLOSE_PATIENCE).await;
    let position = changed.context("the log's key was not changed")?.position();
    // Were this process to end right here, the next start would find the log's word and do the same.
    let retired = keys::promote_next_log_key(&config.keys.folder, &opened.log_key)?;
    let (output, old) = (&context.output, opened.log_key);
    if output.json {
        output.json(&json!({
            "entry": position.index, "old": old, "new": new, "retired": retired.display().to_string(),
        }));
        return Ok(Ending::Fine);
    }
    output.line(&output.paint("the log has a new key", Tone::Good));
    output.pairs(&[
        ("entry", position.index.to_string().into()),
        ("old key", old.into()),
        ("new key", new.into()),
    ]);
    output.line("");
    output.line(&format!(
        "The old key is in `{}`. Take it off this machine; you need it only to go on from a backup that is older than \
         this change. Make a backup now, and tell auditors and witnesses the new key.",
        retired.display()
    ));
    Ok(Ending::Fine)
}
