//! Opening: nothing is written before what stands has been held against its checkpoint and the anchor.

use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use audit::{Checkpoint, TreeReader, VerifierKey};
use domain::directory::Directory;
use domain::entry::{Draft, Kind};
use tokio::sync::{broadcast, watch as signal};
use uuid::Uuid;

use super::connect::{CONNECTIONS, OWN_CONNECTIONS, check_server, connection};
use super::health::Health;
use super::link::{Fault, Link, corrupt};
use super::log::{Signed, StoredLeaf, Tree, over_tiles};
use super::recorder::Recorder;
use super::sequencer::Sequencer;
use super::tx::{Role, Tx};
use super::writer::{Job, Writer};
use super::{
    PostgresConfig, PostgresStore, Shared, Signers, directories, glass, ledger, rotations, schema, watch,
};
use crate::embedded::anchor::Anchor;
use crate::embedded::{Loss, check_key, files, genesis};
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

pub(super) async fn open(config: PostgresConfig, terms: &Terms) -> Result<PostgresStore, StoreError> {
    let verifier = config.signer.verifier().clone();
    if verifier.name().as_str() != config.origin.as_str() {
        return Err(StoreError::LogStopped(format!(
            "the log's key is named `{}`, and the origin is `{}`; they must be the same",
            verifier.name(),
            config.origin
        )));
    }
    let anchor = Anchor::new(&config.anchor_path)?;
    // Two processes that keep one anchor would overwrite what the other knows.
    let lock = files::lock(&config.anchor_path, || {
        let anchor = config.anchor_path.display();
        format!("another process keeps its anchor in `{anchor}`; give each gateway a file of its own")
    })?;
    let (pool, own) = (config.url.pool(CONNECTIONS)?, config.url.pool(OWN_CONNECTIONS)?);
    // A connection that ends when this does, and its lock with it: one process opens at a time.
    let mut opener = deadpool_postgres::Object::take(connection(&pool).await?);
    check_server(&opener).await?;
    schema::lock(&opener).await?;
    schema::migrate(&mut opener).await?;

    let link = Link::read(&mut opener).await?;
    let stands = load(&link, &config, &verifier).await?;
    check_key(&stands.keys, &verifier)?;
    let loss = check_anchor(&link, &stands, anchor.read(&stands.keys)?).await?;
    if let (Some(loss), None) = (&loss, &terms.accept_loss) {
        return Err(StoreError::LogStopped(loss.refusal()));
    }
    link.rollback().await?;
    let link = Link::write(&mut opener).await?;
    glass::tell(&link, &config.sealing_key).await?;
    link.commit().await?;
    config.clock.resume(stands.tree.time);

    let note = stands.signed.note.clone();
    let fresh = stands.tree.size() == 0;
    let shared = Arc::new(Shared {
        origin: config.origin,
        key: config.sealing_key,
        clock: config.clock,
        skew_limit: config.skew_limit,
        url: config.url,
        pool,
        own,
        node: random_id()?,
        signers: RwLock::new(Signers { current: Arc::from(config.signer), next: None }),
        keys: RwLock::new(Arc::new(stands.keys)),
        seen: RwLock::new(Arc::new(stands.signed)),
        directory: RwLock::new(Arc::new(stands.directory)),
        wakes: broadcast::channel(limits::WAKE_BUFFER).0,
        catching: tokio::sync::Mutex::new(()),
        health: Health::new(anchor, lock, note),
        deciding: AtomicUsize::new(0),
        spent: Mutex::default(),
    });
    if loss.is_none() && !fresh {
        shared.begin_anchor().await;
    }
    watch::say_alive(&shared).await?;
    shared.check_health()?;
    let sequencer = Sequencer::start(Arc::clone(&shared));
    let writer = Writer::new(Arc::clone(&shared), sequencer.clone());
    // What somebody left in the outbox, or unsigned, comes first.
    sequencer.settle().await?;
    if fresh && shared.seen().tree.size() == 0 {
        writer.submit(Own(genesis(&shared.origin, &verifier))).await?;
    }
    if let (Some(loss), Some(reason)) = (&loss, &terms.accept_loss) {
        writer.submit(Own(loss.gap(reason))).await?;
    }
    drop(opener);

    let (stop, stopped) = signal::channel(false);
    let keeper =
        watch::keep(Arc::clone(&shared), Arc::clone(&writer), sequencer.clone(), terms.heartbeat, stopped);
    Ok(PostgresStore {
        recorder: Recorder::start(Arc::clone(&writer)),
        keeper: Mutex::new(Some(tokio::spawn(keeper))),
        shared,
        writer,
        sequencer,
        stop,
    })
}

/// An entry of the store's own.
struct Own(Draft);

#[async_trait]
impl Job for Own {
    type Output = ();

    async fn run(&self, tx: &mut Tx<'_>) -> Result<((), Vec<Uuid>), Fault> {
        let id = tx.append(self.0.clone(), Role::Alone)?;
        Ok(((), vec![id]))
    }
}

/// What the database holds.
struct Stands {
    tree: Tree,
    signed: Signed,
    keys: Keys,
    directory: Directory,
}

/// Reads the head and holds it against what it stands on: signature, right edge, last leaves, genesis.
///
/// # Errors
/// [`StoreError::Corrupt`] with the first thing that does not fit. `audit` looks at the rest.
async fn load(link: &Link<'_>, config: &PostgresConfig, verifier: &VerifierKey) -> Result<Stands, Fault> {
    let (tree, signed) = (Tree::load(link, false).await?, Signed::load(link).await?);
    let entries = ledger::count(link, "SELECT coalesce(max(idx) + 1, 0) FROM entry").await?;
    let size = tree.size();
    if entries != size || signed.tree.size() > size {
        return Err(corrupt(format!(
            "the tree is of {size} entries, {} of them signed, and there are {entries}",
            signed.tree.size()
        ))
        .into());
    }
    let root = tree.frontier.root();
    let edges = over_tiles(link, |tiles| {
        let mut reader = TreeReader::open(tiles, size, root)?;
        let proof = reader.consistency_proof(signed.tree.size())?;
        audit::verify_consistency(signed.tree.size(), signed.tree.frontier.root(), size, root, &proof)?;
        Ok(reader.frontier().clone())
    })
    .await?;
    if edges != tree.frontier {
        return Err(corrupt("the tree's right edge is not what its tiles come to").into());
    }
    let first = if size == 0 { None } else { Some(StoredLeaf::at(link, 0).await?) };
    if let Some(first) = first {
        // The leaves of the last tile, which the right edge stands on, and the first of all.
        let edge = size.saturating_sub(1) & !0xff;
        for stored in StoredLeaf::range(link, edge, size).await? {
            stored.check()?;
        }
        first.check()?;
        let (first, last) = (first.read()?, StoredLeaf::at(link, size.saturating_sub(1)).await?.read()?);
        if last.time != tree.time {
            return Err(corrupt("the head's time is not that of the last entry").into());
        }
        if first.kind != Kind::Genesis || first.origin != config.origin {
            return Err(corrupt(format!(
                "the log begins with `{}` of `{}`, and not with the genesis of `{}`",
                first.kind.as_str(),
                first.origin,
                config.origin
            ))
            .into());
        }
    }
    // Before genesis is signed there is no checkpoint, and nobody has changed a key.
    let keys = if signed.tree.size() == 0 {
        Keys::first(verifier.clone())
    } else {
        let keys = rotations::keys(link, (&config.origin, &config.sealing_key), signed.tree.size()).await?;
        signed.verify(config.origin.as_str(), &keys)?;
        keys
    };
    let directory = directories::replay_all(link, &config.sealing_key, signed.tree.size()).await?;
    Ok(Stands { tree, signed, keys, directory })
}

/// Holds the database against the last checkpoint that this log is known to have signed.
async fn check_anchor(
    link: &Link<'_>,
    stands: &Stands,
    anchor: Option<Checkpoint>,
) -> Result<Option<Loss>, Fault> {
    // A signature is made again over what stands, so what counts is the tree and not how much of it is signed.
    let (size, root) = (stands.tree.size(), stands.tree.frontier.root());
    let Some(anchor) = anchor else {
        // Genesis alone stands between the first commit and the first anchor.
        return Ok((size > 1).then_some(Loss::NoAnchor { size }));
    };
    if anchor.size() > size {
        let forked = false;
        return Ok(Some(Loss::Behind { size, anchor, forked }));
    }
    let then = over_tiles(link, |tiles| {
        let then = TreeReader::at_size(tiles, anchor.size())?.root();
        let mut reader = TreeReader::open(tiles, size, root)?;
        let proof = reader.consistency_proof(anchor.size())?;
        audit::verify_consistency(anchor.size(), then, size, root, &proof)?;
        Ok(then)
    })
    .await?;
    let forked = then != anchor.root();
    Ok(forked.then_some(Loss::Behind { size, anchor, forked }))
}

fn random_id() -> Result<Uuid, StoreError> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(|error| StoreError::Failed(error.to_string()))?;
    Ok(uuid::Builder::from_random_bytes(random).into_uuid())
}
