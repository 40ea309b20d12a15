//! Approvals read back: an approval is what its events replay to, and its events stand in the log.

use domain::action::Action;
use domain::approval::Approval;
use domain::canonical;
use domain::event::Event;
use domain::id::ActionId;
use domain::principal::Principal;
use domain::time::{Span, Timestamp};
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::fields::Owner;
use super::glass;
use super::log::corrupt;
use crate::seal::{Place, SealingKey};
use crate::{Position, RunWhenGone, StoreError, Summary, bound};

/// An approval's row: what stands of it for look-ups.
#[derive(Debug)]
pub(super) struct CaseRow {
    pub(super) id: ActionId,
    /// The index of its request's entry.
    pub(super) request: u64,
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

/// An approval, whole.
#[derive(Debug)]
pub(super) struct Case {
    pub(super) row: CaseRow,
    pub(super) action: Action,
    pub(super) history: Vec<(Event, Position)>,
    pub(super) approval: Approval,
}

/// The columns that [`CaseRow::read`] reads.
macro_rules! select_case {
    () => {
        "SELECT id, request, state, caller, shape, retry_window, retry_until, deadline, ended, run_when_gone, erased,
                retry, bound
         FROM approval"
    };
}

impl CaseRow {
    pub(super) fn find(connection: &Connection, id: ActionId) -> Result<Self, StoreError> {
        connection
            .prepare_cached(concat!(select_case!(), " WHERE id = ?1"))?
            .query_row([id.uuid().as_bytes()], Self::read)
            .optional()?
            .ok_or(StoreError::NotFound("approval"))
    }

    /// The approval that was opened last under a retry key.
    pub(super) fn by_retry(connection: &Connection, retry: &[u8; 32]) -> Result<Option<Self>, StoreError> {
        Ok(connection
            .prepare_cached(concat!(select_case!(), " WHERE retry = ?1 ORDER BY request DESC LIMIT 1"))?
            .query_row([retry], Self::read)
            .optional()?)
    }

    /// Every approval whose request stands in these entries, in the log's order.
    pub(super) fn opened_within(
        connection: &Connection,
        from: u64,
        to: u64,
    ) -> Result<Vec<Self>, StoreError> {
        let mut select = connection.prepare_cached(concat!(
            select_case!(),
            " WHERE request >= ?1 AND request < ?2 ORDER BY request"
        ))?;
        let rows = select.query_map([from, to], Self::read)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        let time = |at: usize| -> rusqlite::Result<Option<Timestamp>> {
            Ok(row.get::<_, Option<u64>>(at)?.map(Timestamp::from_micros))
        };
        Ok(Self {
            id: read_id(row, 0)?,
            request: row.get(1)?,
            state: row.get(2)?,
            caller: row.get(3)?,
            shape: row.get(4)?,
            retry_window: Span::from_seconds(row.get(5)?),
            retry_until: time(6)?,
            deadline: time(7)?,
            ended: time(8)?,
            run_when_gone: if row.get(9)? { RunWhenGone::Yes } else { RunWhenGone::No },
            erased: row.get(10)?,
            retry: row.get(11)?,
            bound: row.get(12)?,
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

    /// Reads the approval's events and replays them.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] where its record was erased; [`StoreError::Corrupt`] where it does not replay.
    pub(super) fn replay(mut self, connection: &Connection, key: &SealingKey) -> Result<Case, StoreError> {
        if self.erased {
            return Err(StoreError::NotFound("approval whose record was not erased"));
        }
        self.check_seal(key)?;
        let history = history(connection, key, self.id)?;
        let events = history.iter().map(|(event, position)| (event, position.time));
        let approval =
            Approval::replay(events).map_err(|error| corrupt(format!("approval {}: {error}", self.id)))?;
        if !self.fits(&approval) {
            return Err(corrupt(format!("approval {}: its row is not what its events come to", self.id)));
        }
        glass::check(connection, self.id, &approval)?;
        let action = read_field(connection, key, self.request, "action")?;
        let action =
            Action::read(action).map_err(|error| corrupt(format!("the action of {}: {error}", self.id)))?;
        if approval.case().id != self.id || approval.case().action != action.digest() {
            return Err(corrupt(format!("approval {} is of another action", self.id)));
        }
        Ok(Case { row: self, action, history, approval })
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
    pub(super) fn load(connection: &Connection, key: &SealingKey, id: ActionId) -> Result<Self, StoreError> {
        CaseRow::find(connection, id)?.replay(connection, key)
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

/// Writes down that an approval came to this by the event at `entry`, its `seq`th.
pub(super) fn save_step(
    connection: &Connection,
    row: &CaseRow,
    approval: &Approval,
    entry: u64,
) -> Result<(), StoreError> {
    let ended = ended(approval);
    connection
        .prepare_cached(
            "UPDATE approval SET state = ?2, deadline = ?3, ended = ?4, retry_until = ?5 WHERE id = ?1",
        )?
        .execute(params![
            row.id.uuid().as_bytes(),
            approval.word(),
            approval.deadline().map(Timestamp::micros),
            ended.map(Timestamp::micros),
            ended.map(|ended| ended.after(row.retry_window).micros()),
        ])?;
    save_tally(connection, row, approval)?;
    glass::save(connection, row.id, approval)?;
    save_event(connection, row.id, approval.case().version, entry)
}

/// Counts what came to one of the ends that [`crate::Prior`] tells of: policy asks for it often, and it
/// must not grow slow with what went before.
fn save_tally(connection: &Connection, row: &CaseRow, approval: &Approval) -> Result<(), StoreError> {
    // It came to its end before, and was counted then: somebody looked at its broken glass.
    if row.state == approval.word() {
        return Ok(());
    }
    let (ran, denied) = match approval {
        Approval::Finished(_) => (1, 0),
        Approval::Denied(_) => (0, 1),
        Approval::Pending(_)
        | Approval::Approved(_)
        | Approval::Executing(_)
        | Approval::Expired(_)
        | Approval::Cancelled(_) => return Ok(()),
    };
    connection
        .prepare_cached(
            "INSERT INTO tally (caller, shape, ran, denied) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (caller, shape) DO UPDATE SET ran = ran + excluded.ran, denied = denied + excluded.denied",
        )?
        .execute(params![row.caller, row.shape, ran, denied])?;
    Ok(())
}

/// Writes down where an approval's event stands.
pub(super) fn save_event(
    connection: &Connection,
    id: ActionId,
    seq: u64,
    entry: u64,
) -> Result<(), StoreError> {
    connection
        .prepare_cached("INSERT INTO event (approval, seq, entry) VALUES (?1, ?2, ?3)")?
        .execute(params![id.uuid().as_bytes(), seq, entry])?;
    Ok(())
}

/// An approval's events with their positions, oldest first: its own, each once, in the log's order.
fn history(
    connection: &Connection,
    key: &SealingKey,
    id: ActionId,
) -> Result<Vec<(Event, Position)>, StoreError> {
    let mut select = connection.prepare_cached(
        "SELECT event.entry, entry.time, event.seq, entry.subject
         FROM event JOIN entry ON entry.idx = event.entry
         WHERE event.approval = ?1 ORDER BY event.seq",
    )?;
    let mut rows = select.query([id.uuid().as_bytes()])?;
    let subject = id.to_string();
    let mut history: Vec<(Event, Position)> = Vec::new();
    while let Some(row) = rows.next()? {
        let position = Position { index: row.get(0)?, time: Timestamp::from_micros(row.get(1)?) };
        let behind = history.last().is_none_or(|(_, last)| last.index < position.index);
        let next = row.get::<_, usize>(2)? == history.len() + 1;
        if !behind || !next || row.get_ref(3)?.as_str_or_null().ok().flatten() != Some(&*subject) {
            return Err(corrupt(format!("entry {} is not the next event of {id}", position.index)));
        }
        let bytes = read_field(connection, key, position.index, "event")?;
        let event = canonical::read(&bytes)
            .map_err(|error| corrupt(format!("the event at {}: {error}", position.index)))?;
        history.push((event, position));
    }
    Ok(history)
}

/// The value of one field of an entry.
pub(super) fn read_field(
    connection: &Connection,
    key: &SealingKey,
    entry: u64,
    path: &str,
) -> Result<Vec<u8>, StoreError> {
    let owner = Owner::Entry(entry);
    let missing = || corrupt(format!("field `{path}` of entry {entry} is missing"));
    let stored = owner.stored(connection)?;
    let stored = stored.iter().find(|field| field.path == path).ok_or_else(missing)?;
    let field = owner.open(key, stored)?.ok_or_else(missing)?;
    Ok(field.value.0)
}

/// When it came to its end, where it has.
pub(crate) fn ended(approval: &Approval) -> Option<Timestamp> {
    match approval {
        Approval::Pending(_) | Approval::Approved(_) | Approval::Executing(_) => None,
        Approval::Denied(denied) => Some(denied.at),
        Approval::Expired(ended) => Some(ended.at),
        Approval::Cancelled(cancelled) => Some(cancelled.at),
        Approval::Finished(finished) => Some(finished.at),
    }
}

/// Whose an approval is, as rows say it.
pub(super) fn caller(principal: Principal) -> String {
    principal.to_string()
}

pub(super) fn read_id(row: &Row<'_>, at: usize) -> rusqlite::Result<ActionId> {
    Ok(ActionId::from_uuid(uuid::Uuid::from_bytes(row.get(at)?)))
}
