//! Opening: nothing is written before what stands has been held against its checkpoint and the anchor.

use std::sync::{Arc, RwLock};
use std::time::Duration;

use audit::{Checkpoint, TreeReader, VerifierKey};
use domain::entry::{Draft, Kind};
use domain::id::Origin;
use rusqlite::Connection;
use tokio::sync::broadcast;

use super::anchor::Anchor;
use super::checkpointer::Checkpointer;
use super::log::{LogState, SqlTiles, corrupt};
use super::reader::Readers;
use super::scribe::{Health, Scribe};
use super::writer::Writer;
use super::{EmbeddedConfig, EmbeddedStore, Shared, directories, files, glass, schema};
use crate::keys::Keys;
use crate::{StoreError, limits};

/// On what terms a store is opened.
pub(super) struct Terms {
    /// Why it may be behind its anchor; `None` where it may not.
    pub(super) accept_loss: Option<String>,
    /// How long the log may stand silent.
    pub(super) heartbeat: Duration,
}

impl Default for Terms {
    fn default() -> Self {
        Self { accept_loss: None, heartbeat: limits::HEARTBEAT }
    }
}

pub(super) fn open(config: EmbeddedConfig, terms: &Terms) -> Result<EmbeddedStore, StoreError> {
    let verifier = config.signer.verifier().clone();
    if verifier.name().as_str() != config.origin.as_str() {
        return Err(StoreError::LogStopped(format!(
            "the log's key is named `{}`, and the origin is `{}`; they must be the same",
            verifier.name(),
            config.origin
        )));
    }
    files::prepare(&config.path)?;
    let lock = files::lock(&config.path, || {
        let database = config.path.display();
        format!("another process has `{database}` open, and a log has one writer; stop it first")
    })?;
    let connection = schema::open_writer(&config.path)?;
    let (log, keys) = LogState::load(&connection, &config.origin, &config.sealing_key)?;
    let keys = keys.unwrap_or_else(|| Keys::first(verifier.clone()));
    check_key(&keys, &verifier)?;
    let anchor = Anchor::new(&config.anchor_path)?;
    let loss = check_anchor(&connection, &log, anchor.read(&keys)?)?;
    if let (Some(loss), None) = (&loss, &terms.accept_loss) {
        return Err(StoreError::LogStopped(loss.refusal()));
    }
    config.clock.resume(log.time);
    let directory = directories::replay(&connection, &config.sealing_key)?;
    glass::tell(&connection, &config.sealing_key)?;
    let shared = Arc::new(Shared {
        origin: config.origin,
        keys: RwLock::new(Arc::new(keys)),
        key: config.sealing_key,
        clock: config.clock,
        opened: log.frontier.size(),
        head: RwLock::new(Arc::new(log.head())),
        directory: RwLock::new(Arc::new(directory)),
        wakes: broadcast::channel(limits::WAKE_BUFFER).0,
    });
    let mut scribe = Scribe {
        connection,
        shared: Arc::clone(&shared),
        signer: config.signer,
        log,
        anchor,
        heartbeat: terms.heartbeat,
        health: Health::good(),
        checkpointer: Checkpointer::start(&config.path)?,
        unmoved: 0,
        lock,
    };
    if loss.is_none() {
        scribe.begin_anchor();
    }
    if scribe.log.frontier.size() == 0 {
        scribe.record(genesis(&shared.origin, &verifier))?;
    }
    if let (Some(loss), Some(reason)) = (&loss, &terms.accept_loss) {
        scribe.record(loss.gap(reason))?;
    }
    let readers = Readers::open(&config.path)?;
    let writer = Writer::start(scribe)?;
    Ok(EmbeddedStore { shared, writer, readers })
}

/// Whether a key is the one that the log says is current.
pub(crate) fn check_key(keys: &Keys, given: &VerifierKey) -> Result<(), StoreError> {
    if keys.current() == given {
        return Ok(());
    }
    Err(corrupt(format!(
        "the log says that its key is `{}`, and the key given is `{given}`; give the right key. If that is one \
         which the log has only had since this database was copied, this is an old backup",
        keys.current()
    )))
}

/// What the database lacks of what this log has signed.
pub(crate) enum Loss {
    /// The anchor's checkpoint is of a larger tree, or of another one.
    Behind {
        /// The database's size.
        size: u64,
        /// What was signed.
        anchor: Checkpoint,
        /// Whether the database holds other entries than were signed, and not only fewer.
        forked: bool,
    },
    /// The log has entries, and no anchor says whether it had more.
    NoAnchor {
        /// The database's size.
        size: u64,
    },
}

/// Holds the database against the last checkpoint that this log is known to have signed.
pub(super) fn check_anchor(
    connection: &Connection,
    log: &LogState,
    anchor: Option<Checkpoint>,
) -> Result<Option<Loss>, StoreError> {
    let size = log.frontier.size();
    let Some(anchor) = anchor else {
        // Genesis alone stands between the first commit and the first anchor.
        return Ok((size > 1).then_some(Loss::NoAnchor { size }));
    };
    if anchor.size() > size {
        let forked = false;
        return Ok(Some(Loss::Behind { size, anchor, forked }));
    }
    let tiles = SqlTiles(connection);
    let then = TreeReader::at_size(&tiles, anchor.size())?.root();
    let mut reader = TreeReader::open(&tiles, size, log.frontier.root())?;
    let proof = reader.consistency_proof(anchor.size())?;
    audit::verify_consistency(anchor.size(), then, size, log.frontier.root(), &proof)?;
    let forked = then != anchor.root();
    Ok(forked.then_some(Loss::Behind { size, anchor, forked }))
}

impl Loss {
    /// What an operator reads, and can do.
    pub(crate) fn refusal(&self) -> String {
        match self {
            Self::Behind { size, anchor, forked: false } => format!(
                "the database holds {size} entries, and this log has signed {}: it is an old backup. Put the newer \
                 database back. If it is lost for good, restore with `accept_loss`: the log will say that entries \
                 are missing, and witnesses will see it",
                anchor.size()
            ),
            Self::Behind { size, anchor, .. } => format!(
                "the database holds {size} entries, and its first {} are not those that this log has signed: it is \
                 a fork, such as a backup that was run beside the original. Put the original back. If it is lost for \
                 good, restore with `accept_loss`: the log will say so, and witnesses will see it",
                anchor.size()
            ),
            Self::NoAnchor { size } => format!(
                "the database holds {size} entries, and its anchor is missing, so that nobody can tell an old backup \
                 from the log itself. Put the anchor back, or correct its path. If it is lost, open once with \
                 `accept_loss`: the log will say so"
            ),
        }
    }

    /// The same for the log.
    pub(crate) fn gap(&self, reason: &str) -> Draft {
        let (size, anchor) = match self {
            Self::Behind { size, anchor, .. } => (size, anchor.to_string()),
            Self::NoAnchor { size } => (size, String::new()),
        };
        Draft {
            kind: Kind::Gap,
            subject: None,
            fields: vec![
                ("anchor".to_owned(), anchor.into_bytes()),
                ("reason".to_owned(), reason.as_bytes().to_vec()),
                ("size".to_owned(), size.to_string().into_bytes()),
            ],
        }
    }
}

/// The first entry: whose log this is, and under which key.
pub(crate) fn genesis(origin: &Origin, verifier: &VerifierKey) -> Draft {
    Draft {
        kind: Kind::Genesis,
        subject: None,
        fields: vec![
            ("log_key".to_owned(), verifier.to_string().into_bytes()),
            ("origin".to_owned(), origin.as_str().as_bytes().to_vec()),
        ],
    }
}
