//! A copy of the whole store while it runs, and the way back.

use std::fs;
use std::path::Path;

use rusqlite::Connection;
use rusqlite::backup::{Backup, StepResult};

use super::anchor::Anchor;
use super::log::{LogState, corrupt};
use super::{EmbeddedConfig, EmbeddedStore, audit_log, files, open, schema};
use crate::{Head, StoreError};

/// Copies the snapshot that this connection reads into a new file, which bears its name only once it is whole.
pub(super) fn backup(connection: &Connection, to: &Path) -> Result<(), StoreError> {
    let draft = files::beside(to, ".draft");
    if to.exists() {
        return Err(exists(to));
    }
    drop(files::create_new(&draft)?);
    let done = copy(connection, &draft).and_then(|()| files::publish(&draft, to));
    if done.is_err() {
        // The first error is the one to tell.
        let _ = fs::remove_file(&draft);
    }
    done
}

fn copy(from: &Connection, to: &Path) -> Result<(), StoreError> {
    let mut copy = Connection::open(to)?;
    {
        let backup = Backup::new(from, &mut copy)?;
        // All pages in one step: one snapshot, whatever is written meanwhile.
        let step = backup.step(-1)?;
        if step != StepResult::Done {
            return Err(StoreError::Failed(format!("the copy did not finish: {step:?}")));
        }
    }
    close_alone(copy)
}

/// What a restore came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// The head of the log as restored; behind it the gap's entry, if entries were lost.
    pub head: Head,
    /// What was lost, in words; `None` where the backup holds all that this log is known to have signed.
    pub loss: Option<String>,
}

/// Restores a backup to `config.path`, where nothing may stand yet. The copy is checked whole before it is
/// put in place. Blocking.
///
/// With `accept_loss`, a backup that is older than the anchor is taken all the same, and the log says so in a
/// `gap/1` entry with the reason that is given here.
///
/// # Errors
/// [`StoreError::Failed`] when something stands at the target; [`StoreError::Corrupt`] when the backup does not
/// fit itself, its log key or its sealing key; [`StoreError::LogStopped`] when it is older than the anchor, and
/// that was not accepted. Nothing is put in place then.
pub fn restore(
    from: &Path,
    config: EmbeddedConfig,
    accept_loss: Option<&str>,
) -> Result<Restored, StoreError> {
    if config.path.exists() {
        return Err(exists(&config.path));
    }
    files::prepare_directory(&config.path)?;
    let draft = files::beside(&config.path, ".restoring");
    drop(files::create_new(&draft)?);
    let placed = read_into(from, &draft)
        .and_then(|()| check(&draft, &config, accept_loss.is_some()))
        .and_then(|checked| files::publish(&draft, &config.path).map(|()| checked));
    if placed.is_err() {
        let _ = fs::remove_file(&draft);
    }
    let (head, loss) = placed?;
    let Some(reason) = accept_loss.filter(|_| loss.is_some()) else {
        return Ok(Restored { head, loss });
    };
    let store = EmbeddedStore::open_accepting_loss(config, reason)?;
    let head = Head::clone(&store.shared.head());
    Ok(Restored { head, loss })
}

fn read_into(from: &Path, draft: &Path) -> Result<(), StoreError> {
    fs::copy(from, draft).map(|_| ()).map_err(|error| files::failed("copy", from, &error))?;
    // `copy` brings the source's mode along.
    files::make_private(draft)
}

/// Reads the copy whole: its pages, its log, and how it stands to the anchor.
fn check(
    copy: &Path,
    config: &EmbeddedConfig,
    accept_loss: bool,
) -> Result<(Head, Option<String>), StoreError> {
    // Brings an older release's backup forward.
    let connection = schema::open_writer(copy)?;
    let found: String = connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    if found != "ok" {
        return Err(corrupt(format!("the backup's pages: {found}")));
    }
    let (head, keys) = audit_log::audit(&connection, &config.origin, &config.sealing_key)?;
    open::check_key(&keys, config.signer.verifier())?;
    let (log, _) = LogState::load(&connection, &config.origin, &config.sealing_key)?;
    let anchor = Anchor::new(&config.anchor_path)?.read(&keys)?;
    let loss = open::check_anchor(&connection, &log, anchor)?;
    close_alone(connection)?;
    match loss.map(|loss| loss.refusal()) {
        Some(refusal) if !accept_loss => Err(StoreError::LogStopped(refusal)),
        loss => Ok((head, loss)),
    }
}

/// Leaves one file that stands alone, without a write-ahead log beside it.
fn close_alone(connection: Connection) -> Result<(), StoreError> {
    connection.flush_prepared_statement_cache();
    connection.execute_batch("PRAGMA journal_mode = DELETE;")?;
    connection.close().map_err(|(_, error)| error)?;
    Ok(())
}

fn exists(path: &Path) -> StoreError {
    StoreError::Failed(format!("`{}` stands already, and is not replaced", path.display()))
}
