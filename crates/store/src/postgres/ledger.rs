//! The log, as its readers see it, and the entries that belong to no approval and no directory change.

use std::path::Path;

use async_trait::async_trait;
use audit::{NoteSigner, TILE_WIDTH, TreeReader};
use domain::entry::{Draft, Kind};
use domain::id::{ActionId, Origin};
use domain::principal::Principal;
use domain::time::Timestamp;
use domain::{Malformed, canonical};
use uuid::Uuid;

use super::approvals::only;
use super::cases::CaseRow;
use super::connect::connection;
use super::fields::{EntryRef, Owner};
use super::link::{Fault, Link, corrupt, natural};
use super::log::{self, Fetched, Signed, StoredLeaf, over_tiles};
use super::tx::{Role, Tx, refused};
use super::writer::Job;
use super::{PostgresStore, audit_log, glass, prunings, rotations};
use crate::audited::check_root;
use crate::{EntryView, Head, Leaves, Ledger, Pruned, Pruning, Recorded, Rotation, StoreError, limits};

#[async_trait]
impl Ledger for PostgresStore {
    fn origin(&self) -> &Origin {
        &self.shared.origin
    }

    fn now(&self) -> Timestamp {
        self.shared.now()
    }

    async fn head(&self) -> Result<Head, StoreError> {
        Ok(self.shared.seen().head())
    }

    async fn settle(&self) -> Result<(), StoreError> {
        self.sequencer.settle().await
    }

    async fn record(&self, draft: Draft) -> Result<Recorded<()>, StoreError> {
        let position = self.recorder.record(draft).await?;
        Ok(Recorded::new((), position))
    }

    async fn entry(&self, index: u64) -> Result<EntryView, StoreError> {
        let mut client = connection(&self.shared.pool).await?;
        let link = Link::read(&mut client).await?;
        if index >= Signed::load(&link).await?.tree.size() {
            return Err(StoreError::NotFound("entry"));
        }
        let stored = StoredLeaf::at(&link, index).await?.whole()?;
        stored.check()?;
        let fields = owner(&link, &stored).await?.disclosures(&link, &self.shared.key).await?;
        check_root(index, &stored.read()?, &fields)?;
        Ok(EntryView { index, leaf: stored.leaf, fields })
    }

    async fn leaves(&self, from: u64, to: u64) -> Result<Vec<Vec<u8>>, StoreError> {
        let mut client = connection(&self.shared.pool).await?;
        let link = Link::read(&mut client).await?;
        let size = Signed::load(&link).await?.tree.size();
        let to = to.min(from.saturating_add(limits::PAGE_LIMIT as u64)).min(size);
        let stored = StoredLeaf::range(&link, from, to).await?;
        Ok(stored.into_iter().map(|stored| stored.leaf).collect())
    }

    async fn tile(&self, level: u8, index: u64, width: u16) -> Result<Vec<[u8; 32]>, StoreError> {
        if width == 0 || width > TILE_WIDTH {
            return Err(StoreError::NotFound("tile"));
        }
        let mut client = connection(&self.shared.pool).await?;
        let link = Link::read(&mut client).await?;
        let size = Signed::load(&link).await?.tree.size();
        // What the signed tree has of this level, and not what has been added behind it.
        let entries = size.checked_shr(8 * u32::from(level)).unwrap_or(0);
        let end =
            index.checked_mul(u64::from(TILE_WIDTH)).and_then(|from| from.checked_add(u64::from(width)));
        if end.is_none_or(|end| end > entries) {
            return Err(StoreError::NotFound("tile"));
        }
        let tile = log::tile(&link, level, index, width).await?;
        if tile.len() != usize::from(width) {
            return Err(corrupt(format!("the tile {index} of level {level} has holes")));
        }
        Ok(tile.iter().map(|hash| *hash.as_bytes()).collect())
    }

    async fn inclusion(&self, index: u64, size: u64) -> Result<Vec<[u8; 32]>, StoreError> {
        self.prove(size, |reader| reader.inclusion_proof(index)).await
    }

    async fn consistency(&self, old: u64, new: u64) -> Result<Vec<[u8; 32]>, StoreError> {
        self.prove(new, |reader| reader.consistency_proof(old)).await
    }

    async fn erase(&self, index: u64, paths: &[String], by: Principal) -> Result<Recorded<()>, StoreError> {
        let ((), places) = self.writer.submit(Erase { index, paths: paths.to_vec(), by }).await?;
        Ok(Recorded::new((), only(&places)?))
    }

    async fn prune(&self, pruning: Pruning) -> Result<Option<Recorded<Pruned>>, StoreError> {
        let (pruned, places) = self.writer.submit(prunings::Prune(pruning)).await?;
        pruned.map(|pruned| Ok(Recorded::new(pruned, only(&places)?))).transpose()
    }

    async fn pruned_below(&self) -> Result<u64, StoreError> {
        let mut client = connection(&self.shared.pool).await?;
        let link = Link::read(&mut client).await?;
        Ok(prunings::done_below(&link, Leaves::Keep).await?)
    }

    async fn rotate(&self, to: Box<dyn NoteSigner>, reason: &str) -> Result<Recorded<()>, StoreError> {
        rotations::rotate(self, to, reason).await
    }

    async fn rotations(&self) -> Result<Vec<Rotation>, StoreError> {
        let mut client = connection(&self.shared.pool).await?;
        let link = Link::read(&mut client).await?;
        let size = Signed::load(&link).await?.tree.size();
        Ok(rotations::all(&link, &self.shared.key, size).await?)
    }

    async fn audit(&self) -> Result<Head, StoreError> {
        let acknowledged = self.shared.seen().tree.size();
        let mut client = connection(&self.shared.pool).await?;
        let link = Link::read_all(&mut client).await?;
        let head = audit_log::audit(&link, &self.shared).await?;
        if head.size < acknowledged {
            return Err(corrupt(format!(
                "the database holds {} entries, and {acknowledged} were acknowledged",
                head.size
            )));
        }
        Ok(head)
    }

    async fn backup(&self, _to: &Path) -> Result<(), StoreError> {
        Err(StoreError::Failed(
            "a shared store is not copied by us: use `pg_dump`, or a base backup with its archived WAL \
             (point-in-time recovery). An old copy that is put in place is found by each gateway's anchor, which is no \
             part of it"
                .to_owned(),
        ))
    }
}

impl PostgresStore {
    /// Makes a proof in the tree of a size. What it is made of is held against the signed head first, so
    /// that no altered row ends up in a proof.
    async fn prove(
        &self,
        size: u64,
        make: impl Fn(&mut TreeReader<'_, Fetched>) -> Result<Vec<audit::Hash>, StoreError> + Send + Sync,
    ) -> Result<Vec<[u8; 32]>, StoreError> {
        let mut client = connection(&self.shared.pool).await?;
        let link = Link::read(&mut client).await?;
        let head = Signed::load(&link).await?.tree;
        if size > head.size() {
            return Err(StoreError::NotFound("tree"));
        }
        let proof = over_tiles(&link, |tiles| {
            let mut whole = TreeReader::open(tiles, head.size(), head.frontier.root())?;
            let mut tree = TreeReader::at_size(tiles, size)?;
            let proof = whole.consistency_proof(size)?;
            audit::verify_consistency(size, tree.root(), head.size(), head.frontier.root(), &proof)?;
            make(&mut tree)
        })
        .await?;
        Ok(proof.iter().map(|hash| *hash.as_bytes()).collect())
    }
}

/// Whose an entry's fields are.
pub(super) async fn owner(link: &Link<'_>, stored: &StoredLeaf) -> Result<Owner, Fault> {
    let row = link.maybe("SELECT seq FROM event WHERE entry = $1", &[&stored.id]).await?;
    let event = row.map_or(Ok(0), |row| natural(&row, 0))?;
    Ok(Owner::Entry(EntryRef { id: stored.id, leaf: *stored.hash.as_bytes(), event }))
}

/// Refuses a kind of entry that comes in by its own way only.
pub(super) async fn check_kind(tx: &Tx<'_>, draft: &Draft) -> Result<(), Fault> {
    let Some(why) = not_by_record(tx, draft).await? else { return Ok(()) };
    let (what, value) = ("kind of entry to record", draft.kind.as_str().to_owned());
    Err(refused(Malformed::Value { what, value, why }).into())
}

async fn not_by_record(tx: &Tx<'_>, draft: &Draft) -> Result<Option<&'static str>, Fault> {
    match draft.kind {
        Kind::Genesis | Kind::Heartbeat | Kind::Erasure | Kind::Rotation | Kind::Pruning => {
            Ok(Some("the store writes it itself"))
        }
        Kind::Directory => Ok(Some("a change of the directory writes it")),
        Kind::Request
        | Kind::Review
        | Kind::Question
        | Kind::Answer
        | Kind::Reevaluation
        | Kind::End
        | Kind::LaterReview => Ok(Some("an approval's event writes it")),
        // An action that people were not asked about runs and ends too.
        Kind::Execution | Kind::Outcome => {
            let held = match draft.subject.as_deref().map(str::parse::<ActionId>) {
                Some(Ok(id)) => match CaseRow::find(&tx.link, id, false).await {
                    Ok(_) => true,
                    Err(Fault::Store(StoreError::NotFound(_))) => false,
                    Err(fault) => return Err(fault),
                },
                Some(Err(_)) | None => false,
            };
            Ok(held.then_some("an approval's event writes it"))
        }
        Kind::Decision
        | Kind::Activity
        | Kind::Reported
        | Kind::Refusal
        | Kind::Reveal
        | Kind::Backup
        | Kind::Gap => Ok(None),
    }
}

/// Erases fields of an entry and, where it is a request's, of its payload.
///
/// The database keeps what was overwritten until it vacuums, and in its WAL and backups until those are recycled:
/// sealed, but not gone. A `VACUUM` of its own is asked for by nobody here; see the operator's guide.
struct Erase {
    index: u64,
    paths: Vec<String>,
    by: Principal,
}

#[async_trait]
impl Job for Erase {
    type Output = ();

    async fn run(&self, tx: &mut Tx<'_>) -> Result<((), Vec<Uuid>), Fault> {
        let stored = StoredLeaf::at(&tx.link, self.index).await?.whole()?;
        stored.check()?;
        let leaf = stored.read()?;
        let case = erasable(tx, leaf.kind, leaf.subject.as_deref()).await?;
        let mut owners = vec![owner(&tx.link, &stored).await?];
        if let Some(case) = case.as_ref().filter(|case| case.request == stored.id) {
            owners.push(Owner::Payload(case.id));
        }
        for path in &self.paths {
            let mut found = false;
            for owner in &owners {
                for field in owner.stored(&tx.link).await? {
                    if field.path == *path && field.sealed.is_some() {
                        owner.erase(&tx.link, field.position).await?;
                        hide(tx, *owner, path, case.as_ref()).await?;
                        found = true;
                    }
                }
            }
            if !found {
                return Err(StoreError::NotFound("field that is still open").into());
            }
        }
        let draft = Draft {
            kind: Kind::Erasure,
            subject: leaf.subject,
            fields: vec![
                ("by".to_owned(), self.by.to_string().into_bytes()),
                ("entry".to_owned(), self.index.to_string().into_bytes()),
                ("paths".to_owned(), canonical::write(&self.paths).map_err(refused)?),
            ],
        };
        let id = tx.append(draft, Role::Alone)?;
        Ok(((), vec![id]))
    }
}

/// The approval that an entry belongs to, if to any.
///
/// What the store still works with stays: what opening and auditing read, and approvals that are not at their end.
async fn erasable(tx: &Tx<'_>, kind: Kind, subject: Option<&str>) -> Result<Option<CaseRow>, Fault> {
    let stays = |why| {
        let (what, value) = ("entry to erase from", kind.as_str().to_owned());
        Err(Fault::from(refused(Malformed::Value { what, value, why })))
    };
    if matches!(kind, Kind::Genesis | Kind::Directory | Kind::Erasure | Kind::Rotation | Kind::Pruning) {
        return stays("the store reads it again");
    }
    let Some(Ok(id)) = subject.map(str::parse::<ActionId>) else {
        return Ok(None);
    };
    match CaseRow::find(&tx.link, id, true).await {
        Ok(row) if row.ended.is_none() => stays("its request has not come to its end"),
        Ok(row) if glass::waits(&tx.link, row.id).await? => stays("nobody has looked at its broken glass"),
        Ok(row) => Ok(Some(row)),
        Err(Fault::Store(StoreError::NotFound(_))) => Ok(None),
        Err(fault) => Err(fault),
    }
}

/// Without its events or its action an approval no longer replays: it leaves the listings.
async fn hide(tx: &Tx<'_>, owner: Owner, path: &str, case: Option<&CaseRow>) -> Result<(), Fault> {
    let needed = matches!(owner, Owner::Entry(_)) && matches!(path, "event" | "action");
    if let Some(case) = case.filter(|_| needed) {
        tx.link.execute("UPDATE approval SET erased = true WHERE id = $1", &[&case.id.uuid()]).await?;
    }
    Ok(())
}

/// How many rows a statement counts.
pub(super) async fn count(link: &Link<'_>, select: &str) -> Result<u64, Fault> {
    Ok(natural(&link.one(select, &[]).await?, 0)?)
}
