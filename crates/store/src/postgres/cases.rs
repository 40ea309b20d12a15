//! Approvals read back: an approval is what its events replay to, and its events stand in the log.

use std::collections::BTreeMap;

use audit::leaf_hash;
use domain::action::Action;
use domain::approval::Approval;
use domain::canonical;
use domain::entry::Leaf;
use domain::event::Event;
use domain::id::ActionId;
use domain::principal::Principal;
use domain::time::{Span, Timestamp};
use tokio_postgres::Row;
use uuid::Uuid;

use super::fields::{EntryRef, Owner, StoredField};
use super::glass;
use super::link::{Fault, Link, big, bytes, column, corrupt, maybe_natural, natural};
use crate::embedded::ended;
use crate::seal::{Place, SealingKey};
use crate::{Position, RunWhenGone, StoreError, Summary, bound};

/// An approval's row: what stands of it for look-ups.
#[derive(Debug)]
pub(super) struct CaseRow {
    pub(super) id: ActionId,
    /// The id of its request's entry.
    pub(super) request: Uuid,
    pub(super) state: String,
    pub(super) caller: String,
    pub(super) shape: String,
    retry: [u8; 32],
    pub(super) retry_window: Span,
    pub(super) retry_until: Option<Timestamp>,
    pub(super) deadline: Option<Timestamp>,
    pub(super) ended: Option<Timestamp>,
    pub(super) run_when_gone: RunWhenGone,
    pub(super) erased: bool,
    /// The seal over what no event repeats.
    bound: Option<Vec<u8>>,
}

/// An event in the record, and where: `index` is missing while it waits for its place.
#[derive(Debug)]
pub(super) struct Happened {
    pub(super) event: Event,
    pub(super) time: Timestamp,
    pub(super) index: Option<u64>,
}

/// An approval, whole.
#[derive(Debug)]
pub(super) struct Case {
    pub(super) row: CaseRow,
    pub(super) action: Action,
    pub(super) history: Vec<Happened>,
    pub(super) approval: Approval,
}

/// The columns that [`CaseRow::read`] reads.
macro_rules! select_case {
    ($($rest:literal)+) => {
        concat!(
            "SELECT id, request, state, caller, shape, retry_window, retry_until, deadline, ended, run_when_gone, erased,
                    retry, bound
             FROM approval ",
            $($rest)+
        )
    };
}

impl CaseRow {
    /// An approval's row. With `lock`, nobody else moves it until the transaction ends.
    pub(super) async fn find(link: &Link<'_>, id: ActionId, lock: bool) -> Result<Self, Fault> {
        let select =
            if lock { select_case!("WHERE id = $1 FOR UPDATE") } else { select_case!("WHERE id = $1") };
        match link.maybe(select, &[&id.uuid()]).await? {
            Some(row) => Ok(Self::read(&row)?),
            None => Err(Fault::Store(StoreError::NotFound("approval"))),
        }
    }

    /// The approval that was opened last under a retry key, locked.
    pub(super) async fn by_retry(link: &Link<'_>, retry: &[u8; 32]) -> Result<Option<Self>, Fault> {
        let select = select_case!("WHERE retry = $1 ORDER BY serial DESC LIMIT 1 FOR UPDATE");
        let row = link.maybe(select, &[&retry.as_slice()]).await?;
        Ok(row.map(|row| Self::read(&row)).transpose()?)
    }

    /// Every approval whose request stands in these entries, in the log's order.
    pub(super) async fn opened_within(link: &Link<'_>, from: u64, to: u64) -> Result<Vec<Self>, Fault> {
        let select = select_case!(
            "JOIN (SELECT id AS at, idx FROM entry WHERE idx >= $1 AND idx < $2) AS entry ON entry.at = request
             ORDER BY idx"
        );
        let rows = link.query(select, &[&big(from)?, &big(to)?]).await?;
        Ok(rows.iter().map(Self::read).collect::<Result<_, _>>()?)
    }

    fn read(row: &Row) -> Result<Self, StoreError> {
        let time = |at| Ok::<_, StoreError>(maybe_natural(row, at)?.map(Timestamp::from_micros));
        Ok(Self {
            id: ActionId::from_uuid(column(row, 0)?),
            request: column(row, 1)?,
            state: column(row, 2)?,
            caller: column(row, 3)?,
            shape: String::from_utf8(column(row, 4)?).map_err(|_| corrupt("a shape is no text"))?,
            retry_window: Span::from_seconds(natural(row, 5)?),
            retry_until: time(6)?,
            deadline: time(7)?,
            ended: time(8)?,
            run_when_gone: if column(row, 9)? { RunWhenGone::Yes } else { RunWhenGone::No },
            erased: column(row, 10)?,
            retry: bytes(row, 11)?,
            bound: column(row, 12)?,
        })
    }

    /// Whether an identical call may attach to it. A row that nobody sealed is left to those who look it up by its id.
    pub(super) fn is_bound(&self) -> bool {
        self.bound.is_some()
    }

    /// Checks what no event repeats. What may be believed of it is left in the row.
    fn check_seal(&mut self, key: &SealingKey) -> Result<(), StoreError> {
        let place = Place::Row {
            approval: self.id,
            retry: &self.retry,
            retry_window: self.retry_window,
            run_when_gone: self.run_when_gone,
            shape: &self.shape,
        };
        self.run_when_gone = bound::check(key, place, self.run_when_gone, self.bound.as_deref())?;
        Ok(())
    }

    /// Reads the approval's events, those that wait for their place too, and replays them.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] where its record was erased; [`StoreError::Corrupt`] where it does not replay.
    pub(super) async fn replay(self, link: &Link<'_>, key: &SealingKey) -> Result<Case, Fault> {
        let mut found = Self::replay_all(vec![self], link, key).await?;
        found.pop().ok_or(Fault::Store(StoreError::NotFound("approval")))
    }

    /// The same of many, with one look-up.
    pub(super) async fn replay_all(
        rows: Vec<Self>,
        link: &Link<'_>,
        key: &SealingKey,
    ) -> Result<Vec<Case>, Fault> {
        let ids: Vec<Uuid> = rows.iter().map(|row| row.id.uuid()).collect();
        let events = link
            .query(
                "SELECT event.approval, event.seq, event.entry, entry.idx, coalesce(entry.leaf, outbox.leaf),
                        field.position, field.path, field.commitment, field.sealed
                 FROM event
                 LEFT JOIN entry ON entry.id = event.entry
                 LEFT JOIN outbox ON outbox.id = event.entry
                 LEFT JOIN field ON field.entry = event.entry
                 WHERE event.approval = ANY ($1)
                 ORDER BY event.approval, event.seq, field.position",
                &[&ids],
            )
            .await?;
        let mut of: BTreeMap<Uuid, Vec<&Row>> = BTreeMap::new();
        for row in &events {
            of.entry(column(row, 0)?).or_default().push(row);
        }
        let replay = |row: Self| {
            let events = of.get(&row.id.uuid()).map(Vec::as_slice).unwrap_or_default();
            row.replay_from(events, key)
        };
        let cases = rows.into_iter().map(replay).collect::<Result<Vec<_>, _>>()?;
        glass::check(link, &cases).await?;
        Ok(cases)
    }

    fn replay_from(mut self, rows: &[&Row], key: &SealingKey) -> Result<Case, StoreError> {
        if self.erased {
            return Err(StoreError::NotFound("approval whose record was not erased"));
        }
        self.check_seal(key)?;
        let mut history: Vec<Happened> = Vec::new();
        let mut action = None;
        for fields in rows.chunk_by(|a, b| a.try_get::<_, i64>(1).ok() == b.try_get::<_, i64>(1).ok()) {
            let (happened, first) = self.happened(fields, history.len(), key)?;
            // Those that have a place stand in the order of their numbers, before all that have none.
            let behind = history.last().is_none_or(|last| match (last.index, happened.index) {
                (Some(last), Some(next)) => last < next,
                (last, next) => last.is_some() || next.is_none(),
            });
            if !behind || history.last().is_some_and(|last| happened.time < last.time) {
                return Err(corrupt(format!("the events of approval {} are out of order", self.id)));
            }
            action = action.or(first);
            history.push(happened);
        }
        let events = history.iter().map(|happened| (&happened.event, happened.time));
        let approval =
            Approval::replay(events).map_err(|error| corrupt(format!("approval {}: {error}", self.id)))?;
        if !self.fits(&approval) {
            return Err(corrupt(format!("approval {}: its row is not what its events come to", self.id)));
        }
        let action = action.ok_or_else(|| corrupt(format!("the action of {} is missing", self.id)))?;
        let action =
            Action::read(action).map_err(|error| corrupt(format!("the action of {}: {error}", self.id)))?;
        if approval.case().id != self.id || approval.case().action != action.digest() {
            return Err(corrupt(format!("approval {} is of another action", self.id)));
        }
        Ok(Case { row: self, action, history, approval })
    }

    /// One event from its fields' rows, and the action where it is the request. Time and subject are the leaf's own: the
    /// fields open beside that leaf only.
    fn happened(
        &self,
        rows: &[&Row],
        before: usize,
        key: &SealingKey,
    ) -> Result<(Happened, Option<Vec<u8>>), StoreError> {
        let bad = |why: &str| corrupt(format!("event {} of approval {}: {why}", before + 1, self.id));
        let first = rows.first().ok_or_else(|| bad("it is missing"))?;
        let (seq, id) = (natural(first, 1)?, column::<Uuid>(first, 2)?);
        if seq != before as u64 + 1 || (seq == 1) != (id == self.request) {
            return Err(bad("it is not the next"));
        }
        let leaf: Vec<u8> = column::<Option<_>>(first, 4)?.ok_or_else(|| bad("it stands in no log"))?;
        let owner = Owner::Entry(EntryRef { id, leaf: *leaf_hash(&leaf).as_bytes(), event: seq });
        let leaf: Leaf = canonical::read(&leaf).map_err(|error| bad(&error.to_string()))?;
        if leaf.subject.as_deref() != Some(&*self.id.to_string()) {
            return Err(bad("it is another approval's"));
        }
        let (mut event, mut action) = (None, None);
        for row in rows {
            if column::<Option<i32>>(row, 5)?.is_none() {
                continue;
            }
            let field = StoredField::read(row, 5)?;
            let open = owner.open(key, &field)?.map(|field| field.value.0);
            match &*field.path {
                "event" => event = open,
                "action" => action = open,
                _ => {}
            }
        }
        let event = event.ok_or_else(|| bad("its field `event` is missing"))?;
        let event = canonical::read(&event).map_err(|error| bad(&error.to_string()))?;
        let index = maybe_natural(first, 3)?;
        Ok((Happened { event, time: leaf.time, index }, action))
    }

    /// Whether the row says what these events came to: an event that was taken away shows here.
    fn fits(&self, approval: &Approval) -> bool {
        let ended = ended(approval);
        self.state == approval.word()
            && self.deadline == approval.deadline()
            && self.ended == ended
            && self.retry_until == ended.map(|ended| ended.after(self.retry_window))
            && self.caller.parse() == Ok(approval.case().chain.caller)
    }
}

impl Case {
    pub(super) async fn load(link: &Link<'_>, key: &SealingKey, id: ActionId) -> Result<Self, Fault> {
        CaseRow::find(link, id, false).await?.replay(link, key).await
    }

    /// Whether every event stands within the signed tree.
    pub(super) fn is_signed(&self, size: u64) -> bool {
        self.history.iter().all(|happened| happened.index.is_some_and(|index| index < size))
    }

    /// The events with their positions; those without a place are left out.
    pub(super) fn positions(self) -> Vec<(Event, Position)> {
        self.history
            .into_iter()
            .filter_map(|happened| {
                let index = happened.index?;
                Some((happened.event, Position { index, time: happened.time }))
            })
            .collect()
    }

    pub(super) fn summary(self) -> Summary {
        Summary {
            action: self.action,
            approval: self.approval,
            shape: self.row.shape,
            run_when_gone: self.row.run_when_gone,
        }
    }
}

/// What is to be written down of an approval that came to something.
pub(super) struct StepRow {
    id: Uuid,
    state: &'static str,
    deadline: Option<i64>,
    ended: Option<i64>,
    retry_until: Option<i64>,
    /// Who runs it, where it runs.
    node: Option<Uuid>,
    /// Whether its broken glass waits for somebody to look at it, where glass was broken.
    glass: Option<bool>,
    tally: Option<Tally>,
}

/// One more of those ends that [`crate::Prior`] tells of.
struct Tally {
    caller: String,
    shape: Vec<u8>,
    ran: i64,
    denied: i64,
}

impl StepRow {
    pub(super) fn new(row: &CaseRow, approval: &Approval, node: Uuid) -> Result<Self, StoreError> {
        let ended = ended(approval);
        let micros = |time: Option<Timestamp>| time.map(|time| big(time.micros())).transpose();
        let tally = |ran, denied| {
            Some(Tally { caller: row.caller.clone(), shape: row.shape.clone().into_bytes(), ran, denied })
        };
        Ok(Self {
            id: row.id.uuid(),
            state: approval.word(),
            deadline: micros(approval.deadline())?,
            ended: micros(ended)?,
            retry_until: micros(ended.map(|ended| ended.after(row.retry_window)))?,
            node: matches!(approval, Approval::Executing(_)).then_some(node),
            glass: glass::listed(approval),
            tally: match approval {
                // It came to its end before, and was counted then: somebody looked at its broken glass.
                _ if row.state == approval.word() => None,
                Approval::Finished(_) => tally(1, 0),
                Approval::Denied(_) => tally(0, 1),
                Approval::Pending(_)
                | Approval::Approved(_)
                | Approval::Executing(_)
                | Approval::Expired(_)
                | Approval::Cancelled(_) => None,
            },
        })
    }

    pub(super) async fn save(&self, link: &Link<'_>) -> Result<(), Fault> {
        link.execute(
            "UPDATE approval SET state = $2, deadline = $3, ended = $4, retry_until = $5, node = coalesce($6, node)
             WHERE id = $1",
            &[&self.id, &self.state, &self.deadline, &self.ended, &self.retry_until, &self.node],
        )
        .await?;
        if let Some(waits) = self.glass {
            glass::save(link, self.id, waits).await?;
        }
        // Last of all: whoever else ends an action of this caller and shape waits for this row.
        let Some(Tally { caller, shape, ran, denied }) = &self.tally else { return Ok(()) };
        link.execute(
            "INSERT INTO tally (caller, shape, ran, denied) VALUES ($1, $2, $3, $4)
             ON CONFLICT (caller, shape)
             DO UPDATE SET ran = tally.ran + excluded.ran, denied = tally.denied + excluded.denied",
            &[caller, shape, ran, denied],
        )
        .await?;
        Ok(())
    }
}

/// Whose an approval is, as rows say it.
pub(super) fn caller(principal: Principal) -> String {
    principal.to_string()
}
