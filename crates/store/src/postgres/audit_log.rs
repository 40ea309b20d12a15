//! The whole log read again, from the signed head down to the last field, and everything that stands
//! beside it held against it.
//!
//! It reads one snapshot, and the signed tree in it: what waits for its place or its signature is not looked at yet.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use audit::{Frontier, Hash, TILE_WIDTH, TileHash};
use domain::commitment::{Disclosure, disclosed_root};
use domain::entry::{Kind, Leaf};
use domain::id::ActionId;
use domain::time::Timestamp;
use tokio_postgres::Row;
use uuid::Uuid;

use super::cases::CaseRow;
use super::fields::{EntryRef, Owner, StoredField};
use super::link::{Fault, Link, big, bytes, column, corrupt, natural};
use super::log::{Signed, StoredLeaf};
use super::{Shared, directories, ledger, prunings, rotations};
use crate::audited::{EventOf, check_root, erased};
use crate::retention::{Range, Ranges};
use crate::{Head, Leaves, StoreError};

/// Reads everything; answers the head that it was held against.
///
/// # Errors
/// [`StoreError::Corrupt`] with the first place that does not fit.
pub(super) async fn audit(link: &Link<'_>, shared: &Shared) -> Result<Head, Fault> {
    let signed = Signed::load(link).await?;
    let size = signed.tree.size();
    let keys = rotations::keys(link, (&shared.origin, &shared.key), size).await?;
    let checkpoint = signed.verify(shared.origin.as_str(), &keys)?;
    let mut walk = Walk {
        link,
        shared,
        frontier: Frontier::new(),
        time: Timestamp::ZERO,
        tiles: 0,
        erased: HashSet::new(),
        pruned: Ranges::default(),
        dropped: Vec::new(),
        rotations: 0,
    };
    while walk.frontier.size() < size {
        walk.page(size).await?;
    }
    if walk.frontier.root() != checkpoint.root() {
        return Err(corrupt("the entries do not hash to the root that was signed").into());
    }
    if walk.time != signed.tree.time {
        return Err(corrupt("the head's time is not that of the last entry").into());
    }
    walk.strays(size).await?;
    walk.pruned.sort();
    walk.dropped().await?;
    walk.erasures(size).await?;
    tallies(link).await?;
    directories::replay_all(link, &shared.key, size).await?;
    Ok(signed.head())
}

/// The way through the log, a tile's width at a time.
struct Walk<'a> {
    link: &'a Link<'a>,
    shared: &'a Shared,
    frontier: Frontier,
    time: Timestamp,
    tiles: u64,
    /// The fields that some entry says were erased.
    erased: HashSet<(u64, String)>,
    /// What some entry says was pruned.
    pruned: Ranges,
    /// The entries that have no leaf.
    dropped: Vec<u64>,
    rotations: u64,
}

/// What stands beside the leaves of one page.
struct Page {
    rows: HashMap<Uuid, RowSays>,
    fields: BTreeMap<Uuid, Vec<StoredField>>,
    /// Which of whose events an entry is.
    events: HashMap<Uuid, (Uuid, u64)>,
    /// Which approvals there are, of those that entries are about, and which entry opened each.
    approvals: HashMap<Uuid, Uuid>,
}

/// What an entry's row repeats of its leaf.
#[derive(PartialEq)]
struct RowSays {
    kind: String,
    subject: Option<String>,
    time: u64,
    approval: Option<Uuid>,
    is_change: bool,
}

impl Walk<'_> {
    async fn page(&mut self, size: u64) -> Result<(), Fault> {
        let from = self.frontier.size();
        let to = size.min(from.saturating_add(u64::from(TILE_WIDTH)));
        let stored = StoredLeaf::range(self.link, from, to).await?;
        let page = self.beside(&stored, from, to).await?;
        let mut hashes = Vec::with_capacity(stored.len());
        for (index, stored) in (from..to).zip(&stored) {
            if stored.index != index {
                return Err(corrupt(format!("entry {index} is missing")).into());
            }
            // What the leaf was is gone; that it went is held against the prunings, and its hash against the root.
            if stored.is_pruned() {
                self.dropped.push(index);
            } else {
                stored.check()?;
                self.entry(stored, &stored.read()?, &page).await?;
            }
            hashes.push(stored.hash);
        }
        if hashes.len() as u64 != to - from {
            return Err(corrupt(format!("entry {} is missing", from + hashes.len() as u64)).into());
        }
        let tiles = self.frontier.append_all(&hashes)?;
        self.check_tiles(&tiles).await?;
        self.cases(from, to).await
    }

    /// Everything that belongs to the entries of one page, in a few look-ups.
    async fn beside(&self, stored: &[StoredLeaf], from: u64, to: u64) -> Result<Page, Fault> {
        let ids: Vec<Uuid> = stored.iter().map(|stored| stored.id).collect();
        let rows = self
            .link
            .query(
                "SELECT id, kind, subject, time, approval, version IS NOT NULL FROM entry WHERE idx >= $1 AND idx < $2",
                &[&big(from)?, &big(to)?],
            )
            .await?;
        let says = |row: &Row| {
            let says = RowSays {
                kind: column(row, 1)?,
                subject: column(row, 2)?,
                time: natural(row, 3)?,
                approval: column(row, 4)?,
                is_change: column(row, 5)?,
            };
            Ok::<_, StoreError>((column(row, 0)?, says))
        };
        let rows = rows.iter().map(says).collect::<Result<_, _>>()?;

        let mut fields: BTreeMap<Uuid, Vec<StoredField>> = BTreeMap::new();
        let select = "SELECT entry, position, path, commitment, sealed FROM field WHERE entry = ANY ($1)
                      ORDER BY entry, position";
        for row in self.link.query(select, &[&ids]).await? {
            fields.entry(column(&row, 0)?).or_default().push(StoredField::read(&row, 1)?);
        }
        let events =
            self.link.query("SELECT entry, approval, seq FROM event WHERE entry = ANY ($1)", &[&ids]).await?;
        let event = |row: &Row| Ok::<_, StoreError>((column(row, 0)?, (column(row, 1)?, natural(row, 2)?)));
        let events = events.iter().map(event).collect::<Result<_, _>>()?;

        let about: BTreeSet<Uuid> = stored.iter().filter_map(about).collect();
        let about: Vec<Uuid> = about.into_iter().collect();
        let approvals =
            self.link.query("SELECT id, request FROM approval WHERE id = ANY ($1)", &[&about]).await?;
        let approval = |row: &Row| Ok::<_, StoreError>((column(row, 0)?, column(row, 1)?));
        let approvals = approvals.iter().map(approval).collect::<Result<_, _>>()?;
        Ok(Page { rows, fields, events, approvals })
    }

    /// Holds an entry's row, fields and event against its leaf.
    async fn entry(&mut self, stored: &StoredLeaf, leaf: &Leaf, page: &Page) -> Result<(), Fault> {
        let index = stored.index;
        let bad = |what: &str| Err(Fault::from(corrupt(format!("entry {index}: {what}"))));
        let event = page.events.get(&stored.id);
        let expected = RowSays {
            kind: leaf.kind.as_str().to_owned(),
            subject: leaf.subject.clone(),
            time: leaf.time.micros(),
            approval: event.map(|(approval, _)| *approval),
            is_change: leaf.kind == Kind::Directory,
        };
        if page.rows.get(&stored.id) != Some(&expected) {
            return bad("its row is not what its leaf says");
        }
        if leaf.origin != self.shared.origin {
            return bad("it is of another origin");
        }
        if (index == 0) != (leaf.kind == Kind::Genesis) {
            return bad("a log has one genesis, and it is the first entry");
        }
        if leaf.time < self.time {
            return bad("its time stands before that of the entry before it");
        }
        self.time = leaf.time;
        let number = event.map_or(0, |(_, number)| *number);
        let owner = Owner::Entry(EntryRef { id: stored.id, leaf: *stored.hash.as_bytes(), event: number });
        let fields = page.fields.get(&stored.id).map(Vec::as_slice).unwrap_or_default();
        let disclose = |field| owner.disclose(&self.shared.key, field);
        let fields: Vec<Disclosure> = fields.iter().map(disclose).collect::<Result<_, _>>()?;
        check_root(index, leaf, &fields)?;
        match leaf.kind {
            Kind::Erasure => self.erased.extend(erased(index, &fields)?),
            Kind::Pruning => {
                let range = Range::read(index, &fields)?;
                prunings::check(self.link, index, stored.id, &range).await?;
                self.pruned.add(range);
            }
            Kind::Rotation => self.rotations += 1,
            Kind::Genesis
            | Kind::Request
            | Kind::Decision
            | Kind::Review
            | Kind::Question
            | Kind::Answer
            | Kind::Reevaluation
            | Kind::End
            | Kind::Execution
            | Kind::Outcome
            | Kind::Directory
            | Kind::Activity
            | Kind::Refusal
            | Kind::Reveal
            | Kind::Heartbeat
            | Kind::Gap
            | Kind::Reported
            | Kind::Backup
            | Kind::LaterReview => {}
        }
        Ok(check_event(stored, leaf, page)?)
    }

    /// What there is more of than the signed tree accounts for. What came behind it is not counted.
    async fn strays(&self, size: u64) -> Result<(), Fault> {
        let rotations = format!("SELECT count(*) FROM rotation WHERE idx < {size}");
        let prunings = format!(
            "SELECT count(*) FROM pruning LEFT JOIN entry ON entry.id = pruning.entry
             LEFT JOIN outbox ON outbox.id = pruning.entry WHERE outbox.id IS NULL AND coalesce(idx, 0) < {size}"
        );
        // A tile hash stands once the tree that it belongs to has so many entries.
        let tiles = format!(
            "SELECT count(*) FROM tile WHERE (position + 1)::numeric * (256::numeric ^ level) <= {size}"
        );
        for (what, select, expected) in [
            ("tile hashes", tiles, self.tiles),
            ("changes of the key", rotations, self.rotations),
            ("prunings", prunings, self.pruned.count()),
        ] {
            let found = ledger::count(self.link, &select).await?;
            if found != expected {
                return Err(
                    corrupt(format!("there are {found} {what}, and {expected} belong to the tree")).into()
                );
            }
        }
        let head = ledger::count(self.link, "SELECT size FROM head").await?;
        for (what, select, expected) in [
            ("entries", "SELECT count(*) FROM entry".to_owned(), head),
            (
                "tile hashes beyond the tree",
                format!(
                    "SELECT count(*) FROM tile WHERE (position + 1)::numeric * (256::numeric ^ level) > {head}"
                ),
                0,
            ),
            (
                "events without an entry",
                "SELECT count(*) FROM event LEFT JOIN entry ON entry.id = event.entry
                 LEFT JOIN outbox ON outbox.id = event.entry WHERE entry.id IS NULL AND outbox.id IS NULL"
                    .to_owned(),
                0,
            ),
        ] {
            let found = ledger::count(self.link, &select).await?;
            if found != expected {
                return Err(corrupt(format!("there are {found} {what}, and {expected} are expected")).into());
            }
        }
        Ok(())
    }

    /// Every leaf that is gone went by a pruning that the log knows of, and left nothing behind.
    async fn dropped(&self) -> Result<(), Fault> {
        for index in &self.dropped {
            if !self.pruned.took(*index, Leaves::Drop) {
                return Err(corrupt(format!(
                    "the leaf of entry {index} is gone, and no entry says that it was pruned"
                ))
                .into());
            }
        }
        let indices = self.dropped.iter().map(|index| big(*index)).collect::<Result<Vec<_>, _>>()?;
        let left = self
            .link
            .one(
                "SELECT count(*) FROM entry
                 LEFT JOIN field ON field.entry = entry.id
                 LEFT JOIN approval ON approval.request = entry.id
                 LEFT JOIN payload ON payload.approval = approval.id
                 WHERE idx = ANY ($1)
                   AND (subject IS NOT NULL OR field.entry IS NOT NULL OR payload.approval IS NOT NULL)",
                &[&indices],
            )
            .await?;
        if natural(&left, 0)? != 0 {
            return Err(corrupt("an entry was pruned, and something of it still stands").into());
        }
        Ok(())
    }

    /// Every value that is gone went by an erasure or a pruning that the log knows of. What the log is about to say
    /// stands behind the signed tree.
    async fn erasures(&self, size: u64) -> Result<(), Fault> {
        let pending = ledger::count(
            self.link,
            &format!(
                "SELECT (SELECT count(*) FROM outbox WHERE kind IN ('erasure/1', 'pruning/1'))
                      + (SELECT count(*) FROM entry WHERE idx >= {size} AND kind IN ('erasure/1', 'pruning/1'))"
            ),
        )
        .await?;
        if pending > 0 {
            return Ok(());
        }
        let rows = self
            .link
            .query(
                "SELECT idx, path FROM field JOIN entry ON entry.id = field.entry WHERE sealed IS NULL
                 UNION ALL
                 SELECT idx, path FROM payload JOIN approval ON approval.id = payload.approval
                     JOIN entry ON entry.id = approval.request WHERE sealed IS NULL",
                &[],
            )
            .await?;
        for row in &rows {
            let path =
                String::from_utf8(column(row, 1)?).map_err(|_| corrupt("a field's path is no text"))?;
            let gone: (u64, String) = (natural(row, 0)?, path);
            if !self.erased.contains(&gone) && !self.pruned.took(gone.0, Leaves::Keep) {
                return Err(corrupt(format!(
                    "field `{}` of entry {} is gone, and no entry says that it was erased",
                    gone.1, gone.0
                ))
                .into());
            }
        }
        Ok(())
    }

    /// Tiles' rows must be what the leaves come to.
    async fn check_tiles(&mut self, tiles: &[TileHash]) -> Result<(), Fault> {
        for tile in tiles {
            self.tiles += 1;
            let select = "SELECT hash FROM tile WHERE level = $1 AND position = $2";
            let row = self.link.maybe(select, &[&i16::from(tile.level), &big(tile.position)?]).await?;
            let stored = row.map(|row| bytes(&row, 0)).transpose()?.map(Hash::from_bytes);
            if stored != Some(tile.hash) {
                return Err(corrupt(format!(
                    "the tile hash {} of level {} is not what the leaves come to",
                    tile.position, tile.level
                ))
                .into());
            }
        }
        Ok(())
    }

    /// Holds payloads against their actions, and (by replaying them) approvals' rows against their events.
    async fn cases(&self, from: u64, to: u64) -> Result<(), Fault> {
        let rows = CaseRow::opened_within(self.link, from, to).await?;
        let (erased, rows): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| row.erased);
        for row in &erased {
            self.lost(row).await?;
        }
        for case in CaseRow::replay_all(rows, self.link, &self.shared.key).await? {
            let id = case.row.id;
            let payload = Owner::Payload(id).disclosures(self.link, &self.shared.key).await?;
            let payload =
                disclosed_root(&payload).map_err(|error| corrupt(format!("the payload of {id}: {error}")))?;
            if payload != case.action.parts().payload {
                return Err(
                    corrupt(format!("approval {id}: its payload is not what its action commits to")).into()
                );
            }
        }
        Ok(())
    }

    /// An approval is out of sight only when something that it is replayed from was erased or pruned.
    async fn lost(&self, row: &CaseRow) -> Result<(), Fault> {
        let gone = self
            .link
            .one(
                "SELECT (SELECT count(*) FROM event JOIN field ON field.entry = event.entry
                         WHERE event.approval = $1 AND sealed IS NULL AND path IN ('event'::bytea, 'action'::bytea))
                      + (SELECT count(*) FROM event JOIN entry ON entry.id = event.entry
                         WHERE event.approval = $1 AND entry.leaf = ''::bytea)",
                &[&row.id.uuid()],
            )
            .await?;
        if natural(&gone, 0)? == 0 {
            return Err(
                corrupt(format!("approval {} counts as erased, and nothing of it was", row.id)).into()
            );
        }
        Ok(())
    }
}

/// The approval that an entry's subject names, where it names one.
fn about(stored: &StoredLeaf) -> Option<Uuid> {
    let subject = stored.read().ok()?.subject?;
    subject.parse::<ActionId>().ok().map(ActionId::uuid)
}

/// An entry of an approval is one of its events; a missing one would change what they come to.
fn check_event(stored: &StoredLeaf, leaf: &Leaf, page: &Page) -> Result<(), StoreError> {
    let always = match EventOf::kind(leaf.kind) {
        EventOf::Approval => true,
        EventOf::AnyAction => false,
        EventOf::Nothing => return Ok(()),
    };
    let missing = || Err(corrupt(format!("entry {} is not among an approval's events", stored.index)));
    let Some(id) = about(stored) else {
        return if always { missing() } else { Ok(()) };
    };
    let request = page.approvals.get(&id);
    // Actions that people were not asked about run and end too.
    if !always && request.is_none() {
        return Ok(());
    }
    if leaf.kind == Kind::Request && request != Some(&stored.id) {
        return missing();
    }
    match page.events.get(&stored.id) {
        Some((approval, _)) if *approval == id => Ok(()),
        Some(_) | None => missing(),
    }
}

/// What is tallied is what a count of the approvals comes to.
async fn tallies(link: &Link<'_>) -> Result<(), Fault> {
    let differences = ledger::count(
        link,
        "WITH counted AS (
             SELECT caller, shape, count(*) FILTER (WHERE state = 'finished') AS ran,
                    count(*) FILTER (WHERE state = 'denied') AS denied
             FROM approval WHERE state IN ('finished', 'denied') GROUP BY caller, shape)
         SELECT (SELECT count(*) FROM (SELECT * FROM counted EXCEPT SELECT * FROM tally) AS missing)
              + (SELECT count(*) FROM (SELECT * FROM tally EXCEPT SELECT * FROM counted) AS surplus)",
    )
    .await?;
    if differences == 0 {
        return Ok(());
    }
    Err(corrupt("what is tallied of finished and denied approvals is not what stands").into())
}
