//! Changes of the log's key. The entry says it, and the old key's last checkpoint proves it.
//!
//! The process that changes the key signs with the old one up to the entry that says so, and with the new one from there
//! on. All others have only the old one: they go on reading, and stop writing until they are started with the
//! new one.

use std::sync::{Arc, PoisonError};

use async_trait::async_trait;
use audit::{NoteSigner, TreeReader, VerifierKey};
use domain::commitment::Disclosure;
use uuid::Uuid;

use super::approvals::only;
use super::link::{Fault, Link, big, column, natural};
use super::log::{StoredLeaf, over_tiles};
use super::tx::{Role, Tx};
use super::writer::Job;
use super::{PostgresStore, Shared, ledger};
use crate::audited::check_root;
use crate::keys::{self, Keys};
use crate::seal::SealingKey;
use crate::{Recorded, Rotation, StoreError};

/// Has the log's key change.
pub(super) async fn rotate(
    store: &PostgresStore,
    to: Box<dyn NoteSigner>,
    reason: &str,
) -> Result<Recorded<()>, StoreError> {
    let (known, to) = (store.shared.keys(), Arc::<dyn NoteSigner>::from(to));
    known.check_next(&store.shared.origin, to.verifier())?;
    keys::try_out(to.as_ref())?;
    let new = to.verifier().clone();
    {
        let mut signers = store.shared.signers.write().unwrap_or_else(PoisonError::into_inner);
        if signers.next.is_some() {
            return Err(StoreError::Busy);
        }
        signers.next = Some(to);
    }
    let job = Rotate { old: known.current().clone(), new, reason: reason.to_owned() };
    let done = store.writer.submit(job).await;
    if matches!(done, Err(StoreError::Refused(_) | StoreError::Busy | StoreError::Stale)) {
        store.shared.signers.write().unwrap_or_else(PoisonError::into_inner).next = None;
    }
    // On any other failure the entry may stand yet, and then the key is needed.
    let ((), places) = done?;
    Ok(Recorded::new((), only(&places)?))
}

struct Rotate {
    old: VerifierKey,
    new: VerifierKey,
    reason: String,
}

#[async_trait]
impl Job for Rotate {
    type Output = ();

    async fn run(&self, tx: &mut Tx<'_>) -> Result<((), Vec<Uuid>), Fault> {
        // One at a time, at whichever gateway.
        tx.link.batch("LOCK TABLE rotation IN SHARE ROW EXCLUSIVE MODE").await?;
        let seen = big(tx.shared.seen().tree.size())?;
        let row = tx
            .link
            .one(
                "SELECT EXISTS (SELECT 1 FROM rotation WHERE idx >= $1)
                     OR EXISTS (SELECT 1 FROM entry WHERE idx >= $1 AND kind = 'rotation/1')
                     OR EXISTS (SELECT 1 FROM outbox WHERE kind = 'rotation/1')",
                &[&seen],
            )
            .await?;
        if column::<bool>(&row, 0)? {
            return Err(Fault::Behind);
        }
        if *tx.shared.keys().current() != self.old {
            return Err(
                StoreError::LogStopped("the log's key was changed elsewhere meanwhile".to_owned()).into()
            );
        }
        let id = tx.append(keys::draft(&self.old, &self.new, &self.reason), Role::Alone)?;
        Ok(((), vec![id]))
    }
}

/// Keeps the old key's last checkpoint. Two processes may sign the same tree; they sign the same bytes.
pub(super) async fn save(link: &Link<'_>, index: u64, note: &str) -> Result<(), Fault> {
    let insert = "INSERT INTO rotation (idx, note) VALUES ($1, $2) ON CONFLICT (idx) DO NOTHING";
    link.execute(insert, &[&big(index)?, &note]).await?;
    Ok(())
}

/// Every change of the key that the signed tree of a size holds, oldest first.
pub(super) async fn all(link: &Link<'_>, key: &SealingKey, size: u64) -> Result<Vec<Rotation>, Fault> {
    let mut rotations = Vec::new();
    let select = "SELECT idx, note FROM rotation WHERE idx < $1 ORDER BY idx";
    for row in link.query(select, &[&big(size)?]).await? {
        let (index, note) = (natural(&row, 0)?, column(&row, 1)?);
        rotations.push(keys::read(index, &fields(link, key, index).await?, note)?);
    }
    Ok(rotations)
}

/// The keys that the log names: genesis' own, and what its rotations come to.
///
/// # Errors
/// [`StoreError::Corrupt`] where they do not fit the log or each other.
pub(super) async fn keys(
    link: &Link<'_>,
    shared: (&domain::id::Origin, &SealingKey),
    size: u64,
) -> Result<Keys, Fault> {
    let (origin, key) = shared;
    let first = keys::of_genesis(&fields(link, key, 0).await?)?;
    let rotations = all(link, key, size).await?;
    over_tiles(link, |tiles| {
        Keys::replay(origin, first.clone(), &rotations, |size| Ok(TreeReader::at_size(tiles, size)?.root()))
    })
    .await
}

/// Learns of changes of the key behind what this process has seen, and takes the next key where it is this process's own.
pub(super) async fn catch_up(shared: &Shared, link: &Link<'_>, size: u64) -> Result<(), Fault> {
    let seen = shared.seen().tree.size();
    let select = "SELECT EXISTS (SELECT 1 FROM rotation WHERE idx >= $1 AND idx < $2)";
    if !column::<bool>(&link.one(select, &[&big(seen)?, &big(size)?]).await?, 0)? {
        return Ok(());
    }
    let (found, known) = (keys(link, (&shared.origin, &shared.key), size).await?, shared.keys());
    if !found.extends(&known) {
        return Err(StoreError::LogStopped("the log names other keys than it did".to_owned()).into());
    }
    let mut signers = shared.signers.write().unwrap_or_else(PoisonError::into_inner);
    if let Some(next) = signers.next.take_if(|next| next.verifier() == found.current()) {
        signers.current = next;
    }
    drop(signers);
    shared.set_keys(found);
    Ok(())
}

/// An entry's fields, held against its leaf.
async fn fields(link: &Link<'_>, key: &SealingKey, index: u64) -> Result<Vec<Disclosure>, Fault> {
    let stored = StoredLeaf::at(link, index).await?.whole()?;
    stored.check()?;
    let fields = ledger::owner(link, &stored).await?.disclosures(link, key).await?;
    check_root(index, &stored.read()?, &fields)?;
    Ok(fields)
}
