//! Cases and their events.

use async_trait::async_trait;
use domain::action::Action;
use domain::approval::{Approval, Command, ReplayError};
use domain::commitment::Disclosure;
use domain::entry::Draft;
use domain::evaluation::{Decision, Evaluation};
use domain::event::Event;
use domain::id::ActionId;
use domain::principal::Principal;
use domain::time::{Span, Timestamp};
use domain::{Malformed, Refusal};
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension as _, params, params_from_iter};

use super::batch::{Batch, refused};
use super::cases::{self, Case, CaseRow};
use super::fields::Owner;
use super::log::corrupt;
use super::{EmbeddedStore, directories, glass, vault};
use crate::{
    Advance, Approvals, Attached, Cursor, Effect, Filter, Opened, Page, Position, Prior, Recorded, Request,
    RunWhenGone, StoreError, Summary, Wake, bound, limits,
};

/// How far back [`Prior::denied_today`] looks.
const TODAY: Span = Span::from_seconds(24 * 3_600);

#[async_trait]
impl Approvals for EmbeddedStore {
    async fn open(&self, request: Request) -> Result<Opened, StoreError> {
        let opened = self.writer.submit(move |batch| open(batch, request)).await?;
        Ok(match opened {
            Opening::New(approval, position) => Opened::New(Recorded::new(approval, position)),
            Opening::Standing(attached) => Opened::Attached(attached),
        })
    }

    async fn advance(
        &self,
        id: ActionId,
        command: Command,
        effect: Effect,
    ) -> Result<Recorded<Advance>, StoreError> {
        if let Some((_, value, _)) = &effect.keep {
            vault::check_size(value)?;
        }
        let (advance, position) =
            self.writer.submit(move |batch| advance(batch, id, &command, &effect)).await?;
        Ok(Recorded::new(advance, position))
    }

    async fn approval(&self, id: ActionId) -> Result<Summary, StoreError> {
        self.case(id).await.map(Case::summary)
    }

    async fn history(&self, id: ActionId) -> Result<Vec<(Event, Position)>, StoreError> {
        self.case(id).await.map(|case| case.history)
    }

    async fn payload(&self, id: ActionId) -> Result<Vec<Disclosure>, StoreError> {
        let shared = self.shared.clone();
        self.readers
            .read(move |connection| {
                let row = CaseRow::find(connection, id)?;
                let payload = Owner::Payload(row.request, id).disclosures(connection, &shared.key)?;
                if payload.is_empty() && row.erased {
                    return Err(StoreError::NotFound("payload that was not pruned"));
                }
                Ok(payload)
            })
            .await
    }

    async fn list(
        &self,
        filter: &Filter,
        after: Option<Cursor>,
        limit: usize,
    ) -> Result<Page<Summary>, StoreError> {
        let (filter, shared) = (filter.clone(), self.shared.clone());
        let limit = limit.clamp(1, limits::PAGE_LIMIT);
        self.readers
            .read(move |connection| {
                let mut ids = newest(connection, &filter, after, limit + 1)?;
                let more = ids.len() > limit;
                ids.truncate(limit);
                let next = ids.last().filter(|_| more).map(|id| Cursor(*id));
                let load = |id| Case::load(connection, &shared.key, id).map(Case::summary);
                let rows = ids.into_iter().map(load).collect::<Result<_, _>>()?;
                Ok(Page { rows, next })
            })
            .await
    }

    async fn lapsed(&self, limit: usize) -> Result<Vec<ActionId>, StoreError> {
        let now = self.shared.now();
        self.readers
            .read(move |connection| {
                let mut select = connection.prepare_cached(
                    "SELECT id FROM approval WHERE deadline IS NOT NULL AND deadline <= ?1 ORDER BY deadline LIMIT ?2",
                )?;
                let rows = select.query_map(params![now.micros(), limit], |row| {
                    cases::read_id(row, 0)
                })?;
                Ok(rows.collect::<Result<_, _>>()?)
            })
            .await
    }

    async fn orphans(&self, limit: usize) -> Result<Vec<ActionId>, StoreError> {
        // One process at a time has the database open: what was spent before this one did, nobody runs any more.
        let opened = self.shared.opened;
        // The database counts in signed numbers: a caller who wants all says `usize::MAX`.
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.readers
            .read(move |connection| {
                let mut select = connection.prepare_cached(
                    "SELECT id FROM approval WHERE state = 'executing' AND erased = 0
                         AND (SELECT max(entry) FROM event WHERE approval = id) < ?1 ORDER BY id LIMIT ?2",
                )?;
                let rows = select.query_map(params![opened, limit], |row| cases::read_id(row, 0))?;
                Ok(rows.collect::<Result<_, _>>()?)
            })
            .await
    }

    async fn awaiting_later_review(&self) -> Result<u64, StoreError> {
        self.readers.read(glass::count).await
    }

    async fn prior(&self, caller: Principal, shape: &str) -> Result<Prior, StoreError> {
        let (caller, shape) = (cases::caller(caller), shape.to_owned());
        let since = self.shared.now().micros().saturating_sub(TODAY.seconds() * 1_000_000);
        self.readers.read(move |connection| prior(connection, &caller, &shape, since)).await
    }
}

impl EmbeddedStore {
    async fn case(&self, id: ActionId) -> Result<Case, StoreError> {
        let shared = self.shared.clone();
        self.readers.read(move |connection| Case::load(connection, &shared.key, id)).await
    }
}

/// What opening came to, before it stands.
enum Opening {
    New(Approval, Position),
    Standing(Attached),
}

fn open(batch: &mut Batch<'_>, request: Request) -> Result<Opening, StoreError> {
    if let Some(attached) = attach(batch, &request)? {
        return Ok(Opening::Standing(attached));
    }
    check(batch, &request)?;
    let action = &request.action;
    let event = Event::Requested {
        id: action.id(),
        action: action.digest(),
        chain: action.chain().clone(),
        evaluation: request.evaluation.clone(),
    };
    let approval = Approval::apply(None, &event, batch.now).map_err(unreplayable)?;
    let position = batch.append(Draft::of_event(&event, action).map_err(refused)?)?;
    batch
        .connection
        .prepare_cached(
            "INSERT INTO approval (id, request, state, caller, shape, retry, retry_window, deadline, run_when_gone, bound)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        )?
        .execute(params![
            action.id().uuid().as_bytes(),
            position.index,
            approval.word(),
            cases::caller(action.chain().caller),
            request.shape,
            request.retry.as_bytes(),
            request.retry_window.seconds(),
            approval.deadline().map(Timestamp::micros),
            request.run_when_gone == RunWhenGone::Yes,
            bound::seal(&batch.shared.key, &request)?,
        ])?;
    cases::save_event(batch.connection, action.id(), 1, position.index)?;
    batch.bytes += Owner::Payload(position.index, action.id()).put(
        batch.connection,
        &batch.shared.key,
        &request.payload,
        &request.payload.commitments().map_err(refused)?,
    )?;
    batch.wakes.push(Wake::Approval(action.id()));
    Ok(Opening::New(approval, position))
}

/// The approval that stands under the request's retry key: not at its end, or not long enough.
fn attach(batch: &mut Batch<'_>, request: &Request) -> Result<Option<Attached>, StoreError> {
    let Some(row) = CaseRow::by_retry(batch.connection, request.retry.as_bytes())? else {
        return Ok(None);
    };
    // Whose record was erased is found no more, nor whose retry key nobody vouches for.
    if row.erased || !row.is_bound() || row.retry_until.is_some_and(|until| batch.now >= until) {
        return Ok(None);
    }
    let mut case = row.replay(batch.connection, &batch.shared.key)?;
    if case.approval.deadline().is_some_and(|deadline| batch.now >= deadline) {
        // Its time is over, and nobody has said so yet.
        step(batch, &mut case, &Command::Expire)?;
        if case.row.retry_window.seconds() == 0 {
            return Ok(None);
        }
    }
    Ok(Some(Attached { id: case.row.id, approval: case.approval }))
}

/// Whether the request's parts belong together, and to the directory as it stands.
fn check(batch: &Batch<'_>, request: &Request) -> Result<(), StoreError> {
    let (action, evaluation) = (&request.action, &request.evaluation);
    if evaluation.action != action.digest() {
        return Err(Refusal::OtherAction.into());
    }
    match &evaluation.decision {
        Decision::NeedsReview(requirement) => requirement.check().map_err(refused)?,
        Decision::Permit => return Err(Refusal::NotInState("permitted").into()),
        Decision::Deny => {
            let rules: Vec<_> = evaluation.rules.iter().map(|rule| rule.why.as_str()).collect();
            return Err(Refusal::PolicyDenies(rules.join("; ")).into());
        }
    }
    if request.payload.root().map_err(refused)? != action.parts().payload {
        return Err(refused(Malformed::Digest("the payload")));
    }
    match CaseRow::find(batch.connection, action.id()) {
        Err(StoreError::NotFound(_)) => fresh(batch, evaluation),
        Err(error) => Err(error),
        Ok(_) => Err(taken(action)),
    }
}

fn taken(action: &Action) -> StoreError {
    refused(Malformed::Value {
        what: "new action's id",
        value: action.id().to_string(),
        why: "one that is not taken is expected",
    })
}

/// Policy looked at the directory that stands: what it answered over another one is no answer.
fn fresh(batch: &Batch<'_>, evaluation: &Evaluation) -> Result<(), StoreError> {
    at_version(batch, evaluation.directory)
}

fn at_version(batch: &Batch<'_>, version: u64) -> Result<(), StoreError> {
    if batch.directory.version() == version { Ok(()) } else { Err(StoreError::Stale) }
}

fn advance(
    batch: &mut Batch<'_>,
    id: ActionId,
    command: &Command,
    effect: &Effect,
) -> Result<(Advance, Position), StoreError> {
    let mut case = Case::load(batch.connection, &batch.shared.key, id)?;
    let (advance, position) = step(batch, &mut case, command)?;
    match command {
        Command::Redeem(permit) => fresh(batch, permit.evaluation())?,
        Command::Reevaluate(evaluation) => fresh(batch, evaluation)?,
        Command::Review { .. }
        | Command::Answer { .. }
        | Command::Withdraw { .. }
        | Command::Dismiss(_)
        | Command::Expire
        | Command::Cancel { .. }
        | Command::Finish(_)
        | Command::LookBack(_) => {}
    }
    if let Some(version) = effect.directory {
        at_version(batch, version)?;
    }
    for change in &effect.changes {
        directories::apply(batch, change)?;
    }
    if let Some((key, value, lifetime)) = &effect.keep {
        vault::keep(batch, key, value, *lifetime)?;
    }
    Ok((advance, position))
}

/// Decides a command over what stands, and writes down what it comes to.
fn step(
    batch: &mut Batch<'_>,
    case: &mut Case,
    command: &Command,
) -> Result<(Advance, Position), StoreError> {
    let step = case.approval.handle(command, batch.now)?;
    let before = case.approval.clone();
    let after = Approval::apply(Some(before), &step.event, batch.now).map_err(unreplayable)?;
    let draft = Draft::of_event(&step.event, &case.action).map_err(refused)?;
    let position = batch.append(draft)?;
    cases::save_step(batch.connection, &case.row, &after, position.index)?;
    batch.wakes.push(Wake::Approval(case.row.id));
    case.approval = after;
    let advance = Advance { approval: case.approval.clone(), event: step.event, redemption: step.redemption };
    Ok((advance, position))
}

fn unreplayable(error: ReplayError) -> StoreError {
    corrupt(error.to_string())
}

/// The newest ids that the filter lets through. Each state is one range of an index, newest first, so that
/// rare states are found as fast as common ones.
fn newest(
    connection: &Connection,
    filter: &Filter,
    after: Option<Cursor>,
    limit: usize,
) -> Result<Vec<ActionId>, StoreError> {
    const STATES: [&str; 7] =
        ["pending", "approved", "denied", "expired", "cancelled", "executing", "finished"];
    let mut narrowed = String::new();
    let mut arguments = vec![Value::from(i64::try_from(limit).unwrap_or(i64::MAX))];
    let mut narrow = |condition: &str, value: Value| {
        arguments.push(value);
        narrowed.push_str(&format!(" AND {condition} ?{}", arguments.len()));
    };
    if let Some(Cursor(id)) = after {
        narrow("id <", Value::from(id.uuid().as_bytes().to_vec()));
    }
    if let Some(caller) = filter.caller {
        narrow("caller =", Value::from(cases::caller(caller)));
    }
    if let Some(shape) = &filter.shape {
        narrow("shape =", Value::from(shape.clone()));
    }
    if filter.awaits_later_review {
        narrowed.push_str(" AND id IN (SELECT approval FROM glass WHERE told = 1)");
    }
    let wanted =
        |state: &&&str| filter.states.is_empty() || filter.states.iter().any(|wanted| wanted == **state);
    let ranges: Vec<_> = STATES
        .iter()
        .filter(wanted)
        .map(|state| {
            format!(
                "SELECT id FROM (SELECT id FROM approval WHERE state = '{state}' AND erased = 0{narrowed} \
                 ORDER BY id DESC LIMIT ?1)"
            )
        })
        .collect();
    if ranges.is_empty() {
        return Ok(Vec::new());
    }
    let select = format!("{} ORDER BY id DESC LIMIT ?1", ranges.join(" UNION ALL "));
    let mut select = connection.prepare_cached(&select)?;
    let rows = select.query_map(params_from_iter(arguments), |row| cases::read_id(row, 0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn prior(connection: &Connection, caller: &str, shape: &str, since: u64) -> Result<Prior, StoreError> {
    let (ran, denied) = connection
        .prepare_cached("SELECT ran, denied FROM tally WHERE caller = ?1 AND shape = ?2")?
        .query_row([caller, shape], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?
        .unwrap_or_default();
    let denied_today = connection
        .prepare_cached(
            "SELECT count(*) FROM approval WHERE caller = ?1 AND state = 'denied' AND ended > ?2",
        )?
        .query_row(params![caller, since], |row| row.get(0))?;
    Ok(Prior { ran, denied, denied_today })
}
