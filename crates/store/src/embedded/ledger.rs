//! The log, as its readers see it, and the entries that belong to no approval and no directory change.

use std::path::Path;

use async_trait::async_trait;
use audit::{NoteSigner, Tiles as _, TreeReader};
use domain::entry::{Committed, Draft, Kind};
use domain::id::{ActionId, Origin};
use domain::principal::Principal;
use domain::time::Timestamp;
use domain::{Malformed, canonical};
use rusqlite::{Connection, OptionalExtension as _};

use super::batch::{Batch, commit, refused};
use super::cases::CaseRow;
use super::fields::{Owner, StoredField};
use super::log::{HeadRow, SqlTiles, StoredLeaf, corrupt};
use super::{EmbeddedStore, audit_log, backup, glass, prunings, rotations};
use crate::{
    EntryView, Head, Leaves, Ledger, Position, Pruned, Pruning, Recorded, Rotation, StoreError, limits,
    retention,
};

#[async_trait]
impl Ledger for EmbeddedStore {
    fn origin(&self) -> &Origin {
        &self.shared.origin
    }

    fn now(&self) -> Timestamp {
        self.shared.now()
    }

    async fn head(&self) -> Result<Head, StoreError> {
        Ok(Head::clone(&self.shared.head()))
    }

    async fn record(&self, draft: Draft) -> Result<Recorded<()>, StoreError> {
        // Worked out here, and not by the one thread that everybody waits for.
        let entry = commit(draft)?;
        // Whether these may be recorded is looked up, which may fail in other ways than by a refusal.
        let looked_up = matches!(entry.kind(), Kind::Execution | Kind::Outcome);
        let work = move |batch: &mut Batch<'_>| record(batch, entry);
        let position =
            if looked_up { self.writer.submit(work).await? } else { self.writer.submit_whole(work).await? };
        Ok(Recorded::new((), position))
    }

    async fn entry(&self, index: u64) -> Result<EntryView, StoreError> {
        let shared = self.shared.clone();
        self.readers
            .read(move |connection| {
                let stored = StoredLeaf::at(connection, index)?.whole()?;
                stored.check()?;
                let fields = Owner::Entry(index).disclosures(connection, &shared.key)?;
                Ok(EntryView { index, leaf: stored.leaf, fields })
            })
            .await
    }

    async fn leaves(&self, from: u64, to: u64) -> Result<Vec<Vec<u8>>, StoreError> {
        let to = to.min(from.saturating_add(limits::PAGE_LIMIT as u64));
        self.readers
            .read(move |connection| {
                let stored = StoredLeaf::range(connection, from, to)?;
                Ok(stored.into_iter().map(|stored| stored.leaf).collect())
            })
            .await
    }

    async fn tile(&self, level: u8, index: u64, width: u16) -> Result<Vec<[u8; 32]>, StoreError> {
        self.readers
            .read(move |connection| {
                let hashes = SqlTiles(connection).tile(level, index, width)?;
                if hashes.len() != usize::from(width) || hashes.is_empty() {
                    return Err(StoreError::NotFound("tile"));
                }
                Ok(hashes.iter().map(|hash| *hash.as_bytes()).collect())
            })
            .await
    }

    async fn inclusion(&self, index: u64, size: u64) -> Result<Vec<[u8; 32]>, StoreError> {
        self.prove(size, move |reader| reader.inclusion_proof(index)).await
    }

    async fn consistency(&self, old: u64, new: u64) -> Result<Vec<[u8; 32]>, StoreError> {
        self.prove(new, move |reader| reader.consistency_proof(old)).await
    }

    async fn erase(&self, index: u64, paths: &[String], by: Principal) -> Result<Recorded<()>, StoreError> {
        let paths = paths.to_vec();
        let position = self.writer.submit(move |batch| erase(batch, index, &paths, by)).await?;
        Ok(Recorded::new((), position))
    }

    async fn prune(&self, pruning: Pruning) -> Result<Option<Recorded<Pruned>>, StoreError> {
        let pruned = self.writer.submit(move |batch| prunings::prune(batch, &pruning)).await?;
        Ok(pruned.map(|(pruned, position)| Recorded::new(pruned, position)))
    }

    async fn pruned_below(&self) -> Result<u64, StoreError> {
        self.readers.read(|connection| prunings::done_below(connection, Leaves::Keep)).await
    }

    async fn rotate(&self, to: Box<dyn NoteSigner>, reason: &str) -> Result<Recorded<()>, StoreError> {
        let reason = reason.to_owned();
        let position = self.writer.submit(move |batch| rotations::rotate(batch, to, &reason)).await?;
        Ok(Recorded::new((), position))
    }

    async fn rotations(&self) -> Result<Vec<Rotation>, StoreError> {
        let shared = self.shared.clone();
        self.readers.read(move |connection| rotations::all(connection, &shared.key)).await
    }

    async fn audit(&self) -> Result<Head, StoreError> {
        let shared = self.shared.clone();
        let acknowledged = shared.head().size;
        let known = shared.keys();
        self.readers
            .read(move |connection| {
                let (head, keys) = audit_log::audit(connection, &shared.origin, &shared.key)?;
                if !keys.extends(&known) {
                    return Err(corrupt("the log names other keys than it was opened with"));
                }
                if head.size < acknowledged {
                    return Err(corrupt(format!(
                        "the database holds {} entries, and {acknowledged} were acknowledged",
                        head.size
                    )));
                }
                Ok(head)
            })
            .await
    }

    async fn backup(&self, to: &Path) -> Result<(), StoreError> {
        let to = to.to_owned();
        self.readers.read(move |connection| backup::backup(connection, &to)).await
    }
}

/// A tree of some size, read from the tables.
type Tree<'c> = TreeReader<'c, SqlTiles<'c>>;

impl EmbeddedStore {
    /// Makes a proof in the tree of a size. What it is made of is held against the signed head first, so
    /// that no altered row ends up in a proof.
    async fn prove(
        &self,
        size: u64,
        make: impl FnOnce(&mut Tree<'_>) -> Result<Vec<audit::Hash>, StoreError> + Send + 'static,
    ) -> Result<Vec<[u8; 32]>, StoreError> {
        self.readers
            .read(move |connection| {
                let tiles = SqlTiles(connection);
                let head = HeadRow::load(connection)?.ok_or(StoreError::NotFound("checkpoint"))?;
                if size > head.size {
                    return Err(StoreError::NotFound("tree"));
                }
                let mut whole = TreeReader::open(&tiles, head.size, head.root)?;
                let mut tree = TreeReader::at_size(&tiles, size)?;
                let proof = whole.consistency_proof(size)?;
                audit::verify_consistency(size, tree.root(), head.size, head.root, &proof)?;
                let hashes = make(&mut tree)?;
                Ok(hashes.iter().map(|hash| *hash.as_bytes()).collect())
            })
            .await
    }
}

/// Refuses before it writes anything, as [`super::writer::Writer::submit_whole`] asks.
fn record(batch: &mut Batch<'_>, entry: Committed) -> Result<Position, StoreError> {
    if let Some(why) = not_by_record(batch, &entry)? {
        return Err(refused(Malformed::Value {
            what: "kind of entry to record",
            value: entry.kind().as_str().to_owned(),
            why,
        }));
    }
    batch.append_committed(entry)
}

/// Why a kind of entry comes in by its own way only; `None` where it may be recorded.
fn not_by_record(batch: &Batch<'_>, entry: &Committed) -> Result<Option<&'static str>, StoreError> {
    match entry.kind() {
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
            let held = match entry.subject().map(str::parse::<ActionId>) {
                Some(Ok(id)) => match CaseRow::find(batch.connection, id) {
                    Ok(_) => true,
                    Err(StoreError::NotFound(_)) => false,
                    Err(error) => return Err(error),
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
fn erase(batch: &mut Batch<'_>, index: u64, paths: &[String], by: Principal) -> Result<Position, StoreError> {
    let leaf = StoredLeaf::at(batch.connection, index)?.whole()?.read()?;
    let case = erasable(batch, leaf.kind, leaf.subject.as_deref())?;
    let mut owners = vec![Owner::Entry(index)];
    if let Some(case) = case.as_ref().filter(|case| case.request == index) {
        owners.push(Owner::Payload(index, case.id));
    }
    for path in paths {
        let mut found = false;
        for owner in &owners {
            for field in owner.stored(batch.connection)? {
                if field.path == *path && field.sealed.is_some() {
                    erase_field(batch, *owner, &field, case.as_ref())?;
                    found = true;
                }
            }
        }
        if !found {
            return Err(StoreError::NotFound("field that is still open"));
        }
    }
    batch.erased = true;
    batch.append(Draft {
        kind: Kind::Erasure,
        subject: leaf.subject,
        fields: vec![
            ("by".to_owned(), by.to_string().into_bytes()),
            ("entry".to_owned(), index.to_string().into_bytes()),
            ("paths".to_owned(), canonical::write(&paths).map_err(refused)?),
        ],
    })
}

/// The approval that an entry belongs to, if to any.
///
/// What the store still works with stays: genesis, the directory, erasures, rotations, prunings, and approvals that are not at their end.
fn erasable(batch: &Batch<'_>, kind: Kind, subject: Option<&str>) -> Result<Option<CaseRow>, StoreError> {
    let stays =
        |why| refused(Malformed::Value { what: "entry to erase from", value: kind.as_str().to_owned(), why });
    if retention::stays(kind) && kind != Kind::Gap {
        return Err(stays("the store reads it again"));
    }
    let Some(Ok(id)) = subject.map(str::parse::<ActionId>) else {
        return Ok(None);
    };
    match CaseRow::find(batch.connection, id) {
        Ok(row) if row.ended.is_none() => Err(stays("its request has not come to its end")),
        Ok(row) if glass::waits(batch.connection, row.id)? => {
            Err(stays("nobody has looked at its broken glass"))
        }
        Ok(row) => Ok(Some(row)),
        Err(StoreError::NotFound(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

fn erase_field(
    batch: &Batch<'_>,
    owner: Owner,
    field: &StoredField,
    case: Option<&CaseRow>,
) -> Result<(), StoreError> {
    owner.erase(batch.connection, field.position)?;
    // Without its events or its action an approval no longer replays: it leaves the listings.
    let needed = matches!(owner, Owner::Entry(_)) && matches!(&*field.path, "event" | "action");
    if let Some(case) = case.filter(|_| needed) {
        batch
            .connection
            .prepare_cached("UPDATE approval SET erased = 1 WHERE id = ?1")?
            .execute([case.id.uuid().as_bytes()])?;
    }
    Ok(())
}

/// Whether an entry is one of an approval's events.
pub(super) fn is_event(connection: &Connection, index: u64, id: ActionId) -> Result<bool, StoreError> {
    let found: Option<i64> = connection
        .prepare_cached("SELECT 1 FROM event WHERE approval = ?1 AND entry = ?2")?
        .query_row(rusqlite::params![id.uuid().as_bytes(), index], |row| row.get(0))
        .optional()?;
    Ok(found.is_some())
}
