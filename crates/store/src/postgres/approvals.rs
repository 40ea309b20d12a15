//! Cases and their events.

use async_trait::async_trait;
use domain::approval::{Approval, Command, ReplayError};
use domain::commitment::Disclosure;
use domain::entry::Draft;
use domain::evaluation::Decision;
use domain::event::Event;
use domain::id::ActionId;
use domain::principal::Principal;
use domain::time::{Span, Timestamp};
use domain::{Malformed, Refusal};
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::cases::{self, Case, CaseRow, StepRow};
use super::connect::connection;
use super::fields::Owner;
use super::glass;
use super::link::{Fault, Link, big, column, corrupt, natural};
use super::tx::{Holding, Role, Tx, refused};
use super::watch::{GONE_AFTER_SECONDS, stay_alive};
use super::writer::{Job, Told};
use super::{PostgresStore, Shared, directories, vault};
use crate::{
    Advance, Approvals, Attached, Cursor, Effect, Filter, Opened, Page, Position, Prior, Recorded, Request,
    RunWhenGone, StoreError, Summary, bound, limits,
};

/// How far back [`Prior::denied_today`] looks.
const TODAY: Span = Span::from_seconds(24 * 3_600);

/// How often a reader looks again at an approval that moves faster than its entries find their places.
const LOOKS: usize = 16;

#[async_trait]
impl Approvals for PostgresStore {
    async fn open(&self, request: Request) -> Result<Opened, StoreError> {
        let (opening, places) = self.writer.submit(Open(request)).await?;
        match opening {
            Opening::New(approval) => Ok(Opened::New(Recorded::new(*approval, only(&places)?))),
            Opening::Standing(attached) => Ok(Opened::Attached(*attached)),
        }
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
        let (advance, places) = self.writer.submit(Step { id, command, effect }).await?;
        Ok(Recorded::new(advance, only(&places)?))
    }

    async fn approval(&self, id: ActionId) -> Result<Summary, StoreError> {
        self.case(id).await.map(Case::summary)
    }

    async fn history(&self, id: ActionId) -> Result<Vec<(Event, Position)>, StoreError> {
        self.case(id).await.map(Case::positions)
    }

    async fn payload(&self, id: ActionId) -> Result<Vec<Disclosure>, StoreError> {
        let mut client = connection(&self.shared.pool).await?;
        let link = Link::read(&mut client).await?;
        let row = CaseRow::find(&link, id, false).await?;
        let payload = Owner::Payload(id).disclosures(&link, &self.shared.key).await?;
        if payload.is_empty() && row.erased {
            return Err(StoreError::NotFound("payload that was not pruned"));
        }
        Ok(payload)
    }

    async fn list(
        &self,
        filter: &Filter,
        after: Option<Cursor>,
        limit: usize,
    ) -> Result<Page<Summary>, StoreError> {
        let limit = limit.clamp(1, limits::PAGE_LIMIT);
        let (cases, signed) = self.newest(filter, after, limit).await?;
        if signed {
            return Ok(page(cases, limit));
        }
        // What stands in no signed tree yet is not shown before it does.
        self.sequencer.settle().await?;
        Ok(page(self.newest(filter, after, limit).await?.0, limit))
    }

    async fn lapsed(&self, limit: usize) -> Result<Vec<ActionId>, StoreError> {
        let now = big(self.shared.now().micros())?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let select = "SELECT id FROM approval WHERE deadline IS NOT NULL AND deadline <= $1 ORDER BY deadline LIMIT $2";
        self.ids(select, &[&now, &limit]).await
    }

    async fn orphans(&self, limit: usize) -> Result<Vec<ActionId>, StoreError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let unheard = self.shared.spent().unheard();
        let select = "SELECT approval.id FROM approval LEFT JOIN node ON node.id = approval.node
                      WHERE approval.state = 'executing' AND NOT approval.erased
                        AND (approval.id = ANY ($2)
                             OR approval.node IS DISTINCT FROM $3
                                AND (node.id IS NULL OR node.seen < clock_timestamp() - make_interval(secs => $4)))
                      ORDER BY approval.id LIMIT $1";
        self.ids(select, &[&limit, &unheard, &self.shared.node, &GONE_AFTER_SECONDS]).await
    }

    async fn awaiting_later_review(&self) -> Result<u64, StoreError> {
        let mut client = connection(&self.shared.pool).await?;
        let link = Link::read(&mut client).await?;
        Ok(glass::count(&link).await?)
    }

    async fn prior(&self, caller: Principal, shape: &str) -> Result<Prior, StoreError> {
        let caller = cases::caller(caller);
        let since = self.shared.now().micros().saturating_sub(TODAY.seconds() * 1_000_000);
        let mut client = connection(&self.shared.pool).await?;
        let link = Link::read(&mut client).await?;
        let row = link
            .one(
                "SELECT coalesce((SELECT ran FROM tally WHERE caller = $1 AND shape = $2), 0),
                        coalesce((SELECT denied FROM tally WHERE caller = $1 AND shape = $2), 0),
                        (SELECT count(*) FROM approval WHERE caller = $1 AND state = 'denied' AND ended > $3)",
                &[&caller, &shape.as_bytes(), &big(since)?],
            )
            .await?;
        Ok(Prior { ran: natural(&row, 0)?, denied: natural(&row, 1)?, denied_today: natural(&row, 2)? })
    }
}

impl PostgresStore {
    /// An approval all of whose events stand in the signed tree.
    async fn case(&self, id: ActionId) -> Result<Case, StoreError> {
        for _ in 0..LOOKS {
            let mut client = connection(&self.shared.pool).await?;
            let link = Link::read(&mut client).await?;
            let case = Case::load(&link, &self.shared.key, id).await?;
            let size = natural(&link.one("SELECT size FROM checkpoint", &[]).await?, 0)?;
            link.rollback().await?;
            drop(client);
            if case.is_signed(size) {
                return Ok(case);
            }
            self.sequencer.settle().await?;
        }
        Err(StoreError::Busy)
    }

    /// The newest approvals that the filter lets through, one more than `limit`, and whether all of them stand in the
    /// signed tree.
    async fn newest(
        &self,
        filter: &Filter,
        after: Option<Cursor>,
        limit: usize,
    ) -> Result<(Vec<Case>, bool), StoreError> {
        let mut client = connection(&self.shared.pool).await?;
        let link = Link::read(&mut client).await?;
        let size = natural(&link.one("SELECT size FROM checkpoint", &[]).await?, 0)?;
        let ids = newest(&link, filter, after, limit + 1).await?;
        let mut rows = Vec::with_capacity(ids.len());
        for id in ids {
            rows.push(CaseRow::find(&link, id, false).await?);
        }
        let cases = CaseRow::replay_all(rows, &link, &self.shared.key).await?;
        let signed = cases.iter().all(|case| case.is_signed(size));
        Ok((cases, signed))
    }

    async fn ids(&self, select: &str, params: &[&(dyn ToSql + Sync)]) -> Result<Vec<ActionId>, StoreError> {
        let mut client = connection(&self.shared.pool).await?;
        let link = Link::read(&mut client).await?;
        let rows = link.query(select, params).await?;
        rows.iter().map(|row| Ok(ActionId::from_uuid(column(row, 0)?))).collect()
    }
}

fn page(mut cases: Vec<Case>, limit: usize) -> Page<Summary> {
    let more = cases.len() > limit;
    cases.truncate(limit);
    let next = cases.last().filter(|_| more).map(|case| Cursor(case.row.id));
    Page { rows: cases.into_iter().map(Case::summary).collect(), next }
}

/// What opening came to.
enum Opening {
    New(Box<Approval>),
    Standing(Box<Attached>),
}

/// Opens a request, or finds the one that stands.
struct Open(Request);

#[async_trait]
impl Job for Open {
    type Output = Opening;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<(Opening, Vec<Uuid>), Fault> {
        let request = &self.0;
        // One identical call at a time, on whichever gateway.
        let retry = request.retry.as_bytes();
        let lock = retry.first_chunk().map_or(0, |first| i64::from_be_bytes(*first));
        tx.link.execute("SELECT pg_advisory_xact_lock($1)", &[&lock]).await?;
        if let Some(attached) = attach(tx, request).await? {
            return Ok((Opening::Standing(Box::new(attached)), Vec::new()));
        }
        check(tx, request).await?;
        let action = &request.action;
        let event = Event::Requested {
            id: action.id(),
            action: action.digest(),
            chain: action.chain().clone(),
            evaluation: request.evaluation.clone(),
        };
        let approval = Approval::apply(None, &event, tx.now).map_err(unreplayable)?;
        let entry =
            tx.append(Draft::of_event(&event, action).map_err(refused)?, Role::Event(action.id(), 1))?;
        let deadline = approval.deadline().map(Timestamp::micros).map(big).transpose()?;
        tx.link
            .execute(
                "INSERT INTO approval
                     (id, request, state, caller, shape, retry, retry_window, deadline, run_when_gone, bound)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
                &[
                    &action.id().uuid(),
                    &entry,
                    &approval.word(),
                    &cases::caller(action.chain().caller),
                    &request.shape.as_bytes(),
                    &retry.as_slice(),
                    &big(request.retry_window.seconds())?,
                    &deadline,
                    &(request.run_when_gone == RunWhenGone::Yes),
                    &bound::seal(&tx.shared.key, request)?,
                ],
            )
            .await?;
        tx.add_payload(action.id(), &request.payload)?;
        Ok((Opening::New(Box::new(approval)), vec![entry]))
    }
}

/// The approval that stands under the request's retry key: not at its end, or not long enough.
async fn attach(tx: &mut Tx<'_>, request: &Request) -> Result<Option<Attached>, Fault> {
    let Some(row) = CaseRow::by_retry(&tx.link, request.retry.as_bytes()).await? else {
        return Ok(None);
    };
    // Whose record was erased is found no more, nor whose retry key nobody vouches for.
    if row.erased || !row.is_bound() || row.retry_until.is_some_and(|until| tx.now >= until) {
        return Ok(None);
    }
    let mut case = row.replay(&tx.link, &tx.shared.key).await?;
    not_before(tx, &case);
    if case.approval.deadline().is_some_and(|deadline| tx.now >= deadline) {
        // Its time is over, and nobody has said so yet.
        step(tx, &mut case, &Command::Expire)?;
        if case.row.retry_window.seconds() == 0 {
            return Ok(None);
        }
    }
    Ok(Some(Attached { id: case.row.id, approval: case.approval }))
}

/// Another gateway's clock may be a little ahead, and its event may have no place yet: the next one comes behind it.
fn not_before(tx: &mut Tx<'_>, case: &Case) {
    let last = case.history.last().map_or(Timestamp::ZERO, |happened| happened.time);
    tx.now = tx.now.max(last);
}

/// Whether the request's parts belong together, and to the directory as it stands.
async fn check(tx: &mut Tx<'_>, request: &Request) -> Result<(), Fault> {
    let (action, evaluation) = (&request.action, &request.evaluation);
    if evaluation.action != action.digest() {
        return Err(StoreError::from(Refusal::OtherAction).into());
    }
    match &evaluation.decision {
        Decision::NeedsReview(requirement) => requirement.check().map_err(refused)?,
        Decision::Permit => return Err(StoreError::from(Refusal::NotInState("permitted")).into()),
        Decision::Deny => {
            let rules: Vec<_> = evaluation.rules.iter().map(|rule| rule.why.as_str()).collect();
            return Err(StoreError::from(Refusal::PolicyDenies(rules.join("; "))).into());
        }
    }
    if request.payload.root().map_err(refused)? != action.parts().payload {
        return Err(refused(Malformed::Digest("the payload")).into());
    }
    match CaseRow::find(&tx.link, action.id(), false).await {
        Err(Fault::Store(StoreError::NotFound(_))) => tx.at_version(evaluation.directory).await,
        Err(fault) => Err(fault),
        Ok(_) => Err(refused(Malformed::Value {
            what: "new action's id",
            value: action.id().to_string(),
            why: "one that is not taken is expected",
        })
        .into()),
    }
}

/// Commits what a command comes to, with its effects.
struct Step {
    id: ActionId,
    command: Command,
    effect: Effect,
}

#[async_trait]
impl Job for Step {
    type Output = Advance;

    fn told(&self, shared: &Shared, how: Told) {
        match (&self.command, how) {
            (Command::Redeem(_), how) => shared.spent().note(self.id, how),
            (Command::Finish(_), Told::Heard | Told::ToNobody) => shared.spent().forget(self.id),
            (
                Command::Review { .. }
                | Command::Answer { .. }
                | Command::Withdraw { .. }
                | Command::Reevaluate(_)
                | Command::Dismiss(_)
                | Command::Expire
                | Command::Cancel { .. }
                | Command::Finish(_)
                | Command::LookBack(_),
                _,
            ) => {}
        }
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<(Advance, Vec<Uuid>), Fault> {
        let Self { id, command, effect } = self;
        let row = CaseRow::find(&tx.link, *id, true).await?;
        let mut case = row.replay(&tx.link, &tx.shared.key).await?;
        not_before(tx, &case);
        let (advance, entry) = step(tx, &mut case, command)?;
        if advance.redemption.is_some() {
            stay_alive(&tx.link, tx.shared.node).await?;
        }
        // Whoever is to change the directory has it alone from the beginning: nobody waits in a circle.
        if !effect.changes.is_empty() {
            tx.directory(Holding::Alone).await?;
        }
        match command {
            // Policy looked at the directory that stands: what it answered over another one is no answer.
            Command::Redeem(permit) => tx.at_version(permit.evaluation().directory).await?,
            Command::Reevaluate(evaluation) => tx.at_version(evaluation.directory).await?,
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
            tx.at_version(version).await?;
        }
        for change in &effect.changes {
            directories::apply(tx, change).await?;
        }
        if let Some((key, value, lifetime)) = &effect.keep {
            vault::keep_within(tx, key, value, *lifetime).await?;
        }
        Ok((advance, vec![entry]))
    }
}

/// Decides a command over what stands, and writes down what it comes to.
fn step(tx: &mut Tx<'_>, case: &mut Case, command: &Command) -> Result<(Advance, Uuid), StoreError> {
    let step = case.approval.handle(command, tx.now)?;
    let before = case.approval.clone();
    let after = Approval::apply(Some(before), &step.event, tx.now).map_err(unreplayable)?;
    let draft = Draft::of_event(&step.event, &case.action).map_err(refused)?;
    let number = case.history.len() as u64 + 1;
    let entry = tx.append(draft, Role::Event(case.row.id, number))?;
    tx.came_to(StepRow::new(&case.row, &after, tx.shared.node)?);
    case.approval = after;
    let advance = Advance { approval: case.approval.clone(), event: step.event, redemption: step.redemption };
    Ok((advance, entry))
}

fn unreplayable(error: ReplayError) -> StoreError {
    corrupt(error.to_string())
}

/// The place of the one entry that was waited for.
pub(super) fn only(places: &[Position]) -> Result<Position, StoreError> {
    places.first().copied().ok_or_else(|| corrupt("an entry was written and has no place"))
}

/// The newest ids that the filter lets through. Each state is one range of an index, newest first, so that
/// rare states are found as fast as common ones.
async fn newest(
    link: &Link<'_>,
    filter: &Filter,
    after: Option<Cursor>,
    limit: usize,
) -> Result<Vec<ActionId>, Fault> {
    const STATES: [&str; 7] =
        ["pending", "approved", "denied", "expired", "cancelled", "executing", "finished"];
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let after = after.map(|Cursor(id)| id.uuid());
    let caller = filter.caller.map(cases::caller);
    let shape = filter.shape.as_ref().map(|shape| shape.as_bytes());
    let mut narrowed = String::new();
    let mut params: Vec<&(dyn ToSql + Sync)> = vec![&limit];
    let mut narrow = |condition: &str, value| {
        params.push(value);
        narrowed.push_str(&format!(" AND {condition} ${}", params.len()));
    };
    if let Some(after) = &after {
        narrow("id <", after);
    }
    if let Some(caller) = &caller {
        narrow("caller =", caller);
    }
    if let Some(shape) = &shape {
        narrow("shape =", shape);
    }
    if filter.awaits_later_review {
        narrowed.push_str(" AND id IN (SELECT approval FROM glass WHERE told)");
    }
    let wanted =
        |state: &&&str| filter.states.is_empty() || filter.states.iter().any(|wanted| wanted == **state);
    let ranges: Vec<_> = STATES
        .iter()
        .filter(wanted)
        .map(|state| {
            format!(
                "SELECT id FROM (SELECT id FROM approval WHERE state = '{state}' AND NOT erased{narrowed} ORDER BY id DESC LIMIT $1) \
                 AS {state}"
            )
        })
        .collect();
    if ranges.is_empty() {
        return Ok(Vec::new());
    }
    let select = format!("{} ORDER BY id DESC LIMIT $1", ranges.join(" UNION ALL "));
    let rows = link.query(&select, &params).await?;
    rows.iter().map(|row| Ok(ActionId::from_uuid(column(row, 0)?))).collect()
}
