//! The whole log read again, from the signed head down to the last field, and everything that stands
//! beside it held against it.

use std::collections::HashSet;

use audit::{Frontier, Hash, TILE_WIDTH, TileHash};
use domain::commitment::{self, Disclosure};
use domain::entry::{Kind, Leaf};
use domain::id::{ActionId, Origin};
use domain::time::Timestamp;
use rusqlite::{Connection, params};

use super::cases::CaseRow;
use super::fields::Owner;
use super::log::{HeadRow, StoredLeaf, corrupt};
use super::{directories, ledger, prunings, rotations};
use crate::audited::{EventOf, check_root, erased};
use crate::keys::Keys;
use crate::retention::{Range, Ranges};
use crate::seal::SealingKey;
use crate::{Head, Leaves, StoreError};

/// Reads everything; answers the head that it was held against, and the keys that the log names.
///
/// # Errors
/// [`StoreError::Corrupt`] with the first place that does not fit.
pub(super) fn audit(
    connection: &Connection,
    origin: &Origin,
    key: &SealingKey,
) -> Result<(Head, Keys), StoreError> {
    let head = HeadRow::load(connection)?.ok_or_else(|| corrupt("there is no checkpoint"))?;
    let keys = rotations::keys(connection, origin, key)?;
    let checkpoint = head.verify(origin, &keys)?;
    let mut walk = Walk {
        connection,
        origin,
        key,
        frontier: Frontier::new(),
        time: Timestamp::ZERO,
        tiles: 0,
        erased: HashSet::new(),
        pruned: Ranges::default(),
        dropped: Vec::new(),
        rotations: 0,
    };
    while walk.frontier.size() < head.size {
        walk.page(head.size)?;
    }
    if walk.frontier.root() != checkpoint.root() {
        return Err(corrupt("the entries do not hash to the root that was signed"));
    }
    if walk.time != head.time {
        return Err(corrupt("the head's time is not that of the last entry"));
    }
    let strays: [(&str, u64, u64); 4] = [
        ("entries", count(connection, "SELECT count(*) FROM entry")?, head.size),
        ("tile hashes", count(connection, "SELECT count(*) FROM tile")?, walk.tiles),
        ("changes of the key", count(connection, "SELECT count(*) FROM rotation")?, walk.rotations),
        ("prunings", count(connection, "SELECT count(*) FROM pruning")?, walk.pruned.count()),
    ];
    for (what, found, expected) in strays {
        if found != expected {
            return Err(corrupt(format!("there are {found} {what}, and {expected} belong to the tree")));
        }
    }
    walk.pruned.sort();
    walk.dropped()?;
    walk.erasures()?;
    tallies(connection)?;
    directories::replay(connection, key)?;
    Ok((Head { size: head.size, time: head.time, checkpoint: head.note }, keys))
}

/// The way through the log, a tile's width at a time.
struct Walk<'a> {
    connection: &'a Connection,
    origin: &'a Origin,
    key: &'a SealingKey,
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

impl Walk<'_> {
    fn page(&mut self, size: u64) -> Result<(), StoreError> {
        let from = self.frontier.size();
        let to = size.min(from.saturating_add(u64::from(TILE_WIDTH)));
        let stored = StoredLeaf::range(self.connection, from, to)?;
        let mut hashes = Vec::with_capacity(stored.len());
        for (index, stored) in (from..to).zip(&stored) {
            if stored.index != index {
                return Err(corrupt(format!("entry {index} is missing")));
            }
            // What the leaf was is gone; that it went is held against the prunings, and its hash against the root.
            if stored.is_dropped() {
                self.dropped.push(index);
            } else {
                stored.check()?;
                self.entry(index, &stored.read()?)?;
            }
            hashes.push(stored.hash);
        }
        if hashes.len() as u64 != to - from {
            return Err(corrupt(format!("entry {} is missing", from + hashes.len() as u64)));
        }
        for tile in self.frontier.append_all(&hashes)? {
            self.tile(&tile)?;
        }
        for row in CaseRow::opened_within(self.connection, from, to)? {
            self.case(row)?;
        }
        Ok(())
    }

    /// Holds an entry's row, fields and event against its leaf.
    fn entry(&mut self, index: u64, leaf: &Leaf) -> Result<(), StoreError> {
        let bad = |what: &str| Err(corrupt(format!("entry {index}: {what}")));
        let row: (String, Option<String>, u64) = self
            .connection
            .prepare_cached("SELECT kind, subject, time FROM entry WHERE idx = ?1")?
            .query_row([index], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        if row != (leaf.kind.as_str().to_owned(), leaf.subject.clone(), leaf.time.micros()) {
            return bad("its row is not what its leaf says");
        }
        if leaf.origin != *self.origin {
            return bad("it is of another origin");
        }
        if (index == 0) != (leaf.kind == Kind::Genesis) {
            return bad("a log has one genesis, and it is the first entry");
        }
        if leaf.time < self.time {
            return bad("its time stands before that of the entry before it");
        }
        self.time = leaf.time;
        let fields = Owner::Entry(index).disclosures(self.connection, self.key)?;
        check_root(index, leaf, &fields)?;
        match leaf.kind {
            Kind::Erasure => self.erased.extend(erased(index, &fields)?),
            Kind::Pruning => {
                let range = Range::read(index, &fields)?;
                prunings::check(self.connection, index, &range)?;
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
        self.event(index, leaf)
    }

    /// Every leaf that is gone went by a pruning that the log knows of, and left nothing behind.
    fn dropped(&self) -> Result<(), StoreError> {
        for index in &self.dropped {
            if !self.pruned.took(*index, Leaves::Drop) {
                return Err(corrupt(format!(
                    "the leaf of entry {index} is gone, and no entry says that it was pruned"
                )));
            }
            let left: u64 = self
                .connection
                .prepare_cached(
                    "SELECT (SELECT count(*) FROM field WHERE id >= ?1 << 10 AND id < (?1 + 1) << 10)
                          + (SELECT count(*) FROM payload WHERE id >= ?1 << 10 AND id < (?1 + 1) << 10)
                          + (SELECT count(*) FROM entry WHERE idx = ?1 AND subject IS NOT NULL)",
                )?
                .query_row([index], |row| row.get(0))?;
            if left != 0 {
                return Err(corrupt(format!("entry {index} was pruned, and something of it still stands")));
            }
        }
        Ok(())
    }

    /// Every value that is gone went by an erasure or a pruning that the log knows of.
    fn erasures(&self) -> Result<(), StoreError> {
        let mut select = self.connection.prepare_cached(
            "SELECT id >> 10, path FROM field WHERE sealed IS NULL
             UNION ALL SELECT id >> 10, path FROM payload WHERE sealed IS NULL",
        )?;
        let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        for row in rows {
            let gone: (u64, String) = row?;
            if !self.erased.contains(&gone) && !self.pruned.took(gone.0, Leaves::Keep) {
                return Err(corrupt(format!(
                    "field `{}` of entry {} is gone, and no entry says that it was erased",
                    gone.1, gone.0
                )));
            }
        }
        Ok(())
    }

    /// An entry of an approval is one of its events; a missing one would change what they come to.
    fn event(&self, index: u64, leaf: &Leaf) -> Result<(), StoreError> {
        let always = match EventOf::kind(leaf.kind) {
            EventOf::Approval => true,
            EventOf::AnyAction => false,
            EventOf::Nothing => return Ok(()),
        };
        let missing = || corrupt(format!("entry {index} is not among an approval's events"));
        let subject = leaf.subject.as_deref().map(str::parse::<ActionId>);
        let Some(Ok(id)) = subject else {
            return if always { Err(missing()) } else { Ok(()) };
        };
        // Actions that people were not asked about run and end too.
        if !always && matches!(CaseRow::find(self.connection, id), Err(StoreError::NotFound(_))) {
            return Ok(());
        }
        if leaf.kind == Kind::Request {
            let row = CaseRow::find(self.connection, id).map_err(|_| missing())?;
            if row.request != index {
                return Err(missing());
            }
        }
        if ledger::is_event(self.connection, index, id)? { Ok(()) } else { Err(missing()) }
    }

    /// A tile's row must be what the leaves come to.
    fn tile(&mut self, tile: &TileHash) -> Result<(), StoreError> {
        self.tiles += 1;
        let stored = self
            .connection
            .prepare_cached("SELECT hash FROM tile WHERE level = ?1 AND position = ?2")?
            .query_row(params![tile.level, tile.position], |row| Ok(Hash::from_bytes(row.get(0)?)));
        match stored {
            Ok(hash) if hash == tile.hash => Ok(()),
            Ok(_) | Err(rusqlite::Error::QueryReturnedNoRows) => Err(corrupt(format!(
                "the tile hash {} of level {} is not what the leaves come to",
                tile.position, tile.level
            ))),
            Err(error) => Err(error.into()),
        }
    }

    /// Holds an approval's payload against its action, and (by replaying it) its row against its events.
    fn case(&self, row: CaseRow) -> Result<(), StoreError> {
        let (id, request) = (row.id, row.request);
        if row.erased {
            return self.lost(&row);
        }
        let payload = Owner::Payload(request, id).disclosures(self.connection, self.key)?;
        let payload = root(&payload, request)?;
        let case = row.replay(self.connection, self.key)?;
        if payload != case.action.parts().payload {
            return Err(corrupt(format!("approval {id}: its payload is not what its action commits to")));
        }
        Ok(())
    }

    /// An approval is out of sight only when something that it is replayed from was erased or pruned.
    fn lost(&self, row: &CaseRow) -> Result<(), StoreError> {
        let gone: u64 = self
            .connection
            .prepare_cached(
                "SELECT (SELECT count(*) FROM event
                         JOIN field ON field.id >= event.entry << 10 AND field.id < (event.entry + 1) << 10
                         WHERE event.approval = ?1 AND field.sealed IS NULL AND field.path IN ('event', 'action'))
                      + (SELECT count(*) FROM event JOIN entry ON entry.idx = event.entry
                         WHERE event.approval = ?1 AND entry.leaf = x'')",
            )?
            .query_row([row.id.uuid().as_bytes()], |row| row.get(0))?;
        if gone == 0 {
            return Err(corrupt(format!("approval {} counts as erased, and nothing of it was", row.id)));
        }
        Ok(())
    }
}

fn root(fields: &[Disclosure], index: u64) -> Result<domain::digest::Digest, StoreError> {
    commitment::disclosed_root(fields)
        .map_err(|error| corrupt(format!("the fields of entry {index}: {error}")))
}

/// What is tallied is what a count of the approvals comes to.
fn tallies(connection: &Connection) -> Result<(), StoreError> {
    let differences = count(
        connection,
        "WITH counted AS (
             SELECT caller, shape, sum(state = 'finished') AS ran, sum(state = 'denied') AS denied
             FROM approval GROUP BY caller, shape HAVING ran + denied > 0)
         SELECT (SELECT count(*) FROM (SELECT * FROM counted EXCEPT SELECT * FROM tally))
              + (SELECT count(*) FROM (SELECT * FROM tally EXCEPT SELECT * FROM counted))",
    )?;
    if differences == 0 {
        return Ok(());
    }
    Err(corrupt("what is tallied of finished and denied approvals is not what stands"))
}

fn count(connection: &Connection, select: &str) -> Result<u64, StoreError> {
    Ok(connection.prepare_cached(select)?.query_row([], |row| row.get(0))?)
}
