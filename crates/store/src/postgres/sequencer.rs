//! How entries come to their places: what waits in the outbox gets indices, then the tree gets its signature.
//!
//! The two are two transactions, on purpose. The first locks the gate and the head's row, takes what has no index yet
//! (whatever it is; nothing is remembered of the last time), in the order of time, and makes the tree grow. The
//! second signs what the first has made durable, after reading it again. So a signature is only ever made over a tree that can no
//! longer come to nothing: whoever signs it again, here or in another process, signs the same bytes, and no failure, at no
//! moment, leaves two checkpoints of one size with different roots. Nobody is answered, and no reader sees an
//! entry, before the second stands. No tree grows over an unsigned one.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use audit::{Checkpoint, Frontier, Hash};
use domain::entry::Kind;
use domain::time::Timestamp;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use uuid::Uuid;

use super::connect::connection;
use super::link::{Fault, Link, big, bytes, column, corrupt, natural};
use super::log::{Signed, StoredLeaf, Tree, save_tiles};
use super::writer::closed;
use super::{CHANNEL, Shared, rotations, schema, watch};
use crate::seal::Place;
use crate::{Position, StoreError, limits};

/// The most entries that get their indices in one transaction.
const SEQUENCE_LIMIT: i64 = 4_096;
/// How long whoever waits for a place waits, should the database be away.
const PLACE_LIMIT: Duration = Duration::from_secs(30);
/// How long it waits for those who are deciding when somebody has decided: alone behind the gate it holds them up.
const LINGER: Duration = Duration::from_millis(2);
/// How long the sequencer rests after a failure.
const REST: Duration = Duration::from_millis(100);
/// The most that a round repeats itself for what came in meanwhile.
const ROUND_LIMIT: usize = 64;

/// The way to the sequencer: one task in each process.
#[derive(Clone)]
pub(super) struct Sequencer(mpsc::Sender<Wanted>);

/// Where entries of one transaction came to stand, in their order; `None` where that transaction never stood, and
/// never will.
pub(super) type Places = Option<Vec<Position>>;

/// Somebody who waits: for the places of a transaction's entries, or only for everything that is committed by now.
struct Wanted {
    ids: Vec<Uuid>,
    until: Instant,
    reply: oneshot::Sender<Result<Places, StoreError>>,
}

impl Sequencer {
    /// Starts the task. It ends when nobody can ask it any more.
    pub(super) fn start(shared: Arc<Shared>) -> Self {
        let (asking, asked) = mpsc::channel(limits::QUEUE_LIMIT);
        tokio::spawn(run(shared, asked));
        Self(asking)
    }

    /// Waits until the entries of one transaction have their places under a signed checkpoint.
    pub(super) async fn place(&self, ids: Vec<Uuid>) -> Result<Places, StoreError> {
        let (reply, answer) = oneshot::channel();
        let wanted = Wanted { ids, until: Instant::now() + PLACE_LIMIT, reply };
        self.0.send(wanted).await.map_err(|_| closed())?;
        answer.await.map_err(|_| closed())?
    }

    /// Waits until everything that was committed before has its place, and this process has seen it.
    pub(super) async fn settle(&self) -> Result<(), StoreError> {
        self.place(Vec::new()).await.map(|_| ())
    }
}

async fn run(shared: Arc<Shared>, mut asked: mpsc::Receiver<Wanted>) {
    let mut waiting: Vec<Wanted> = Vec::new();
    loop {
        if waiting.is_empty() {
            let Some(wanted) = asked.recv().await else { return };
            waiting.push(wanted);
        }
        // Others are just deciding: what they come to goes with it.
        if shared.deciding.load(Ordering::Relaxed) > 0 {
            tokio::time::sleep(LINGER).await;
        }
        while let Ok(wanted) = asked.try_recv() {
            waiting.push(wanted);
        }
        let ids: Vec<Uuid> = waiting.iter().flat_map(|wanted| &wanted.ids).copied().collect();
        if let Err(error) = shared.check_health() {
            waiting.drain(..).for_each(|wanted| drop(wanted.reply.send(Err(again(&error)))));
            continue;
        }
        let outcome = Box::pin(round(&shared, &ids)).await;
        // Whoever waits here has written already: to try again later is ours.
        let outcome = match outcome {
            Err(Fault::Store(StoreError::Busy)) => Err(Fault::Passing("no connection is free".to_owned())),
            outcome => outcome,
        };
        match outcome {
            Ok(places) => {
                for wanted in waiting.drain(..) {
                    let found = wanted.ids.iter().map(|id| places.get(id).copied()).collect();
                    // Whoever waited may have gone; what stands stands.
                    let _ = wanted.reply.send(Ok(found));
                }
            }
            Err(Fault::Store(error)) => {
                let error = shared.judge(error);
                for wanted in waiting.drain(..) {
                    let _ = wanted.reply.send(Err(again(&error)));
                }
            }
            Err(fault @ (Fault::Passing(_) | Fault::Behind)) => {
                let error = StoreError::from(fault);
                tracing::warn!(%error, "could not sequence; trying again");
                let now = Instant::now();
                let (late, rest): (Vec<_>, Vec<_>) =
                    waiting.drain(..).partition(|wanted| wanted.until <= now);
                waiting = rest;
                for wanted in late {
                    let why = format!("it waits in the outbox and may stand yet: {error}");
                    let _ = wanted.reply.send(Err(StoreError::Failed(why)));
                }
                tokio::time::sleep(REST).await;
            }
        }
    }
}

/// An error for one more who waited.
pub(super) fn again(error: &StoreError) -> StoreError {
    match error {
        StoreError::LogStopped(why) => StoreError::LogStopped(why.clone()),
        StoreError::Corrupt(why) => StoreError::Corrupt(why.clone()),
        StoreError::Busy => StoreError::Busy,
        StoreError::Failed(why) => StoreError::Failed(why.clone()),
        StoreError::Refused(_) | StoreError::NotFound(_) | StoreError::Stale => {
            StoreError::Failed(error.to_string())
        }
    }
}

/// Sequences and signs until nothing waits, and says where these entries stand.
pub(super) async fn round(shared: &Arc<Shared>, ids: &[Uuid]) -> Result<HashMap<Uuid, Position>, Fault> {
    let mut client = connection(&shared.own).await?;
    let mut places = HashMap::new();
    let (seen, mut ours) = (shared.seen(), None);
    for _ in 0..ROUND_LIMIT {
        let link = Link::write(&mut client).await?;
        let grown = grow(shared, &link).await?;
        match &grown {
            Grown::By { placed, .. } => {
                link.commit().await?;
                places.extend(placed.iter().copied());
            }
            Grown::Unsigned | Grown::Not => link.rollback().await?,
        }
        if let Grown::Not = grown {
            break;
        }
        let link = Link::write(&mut client).await?;
        let signing = sign(shared, &link).await?;
        link.commit().await?;
        if let Some(signed) = signing {
            shared.keep_anchor(signed.note.clone()).await;
            ours = Some((signed, Arc::clone(&seen)));
        }
        if let Grown::By { all: true, .. } = grown {
            break;
        }
    }
    // What another process has sequenced meanwhile.
    let missing: Vec<Uuid> = ids.iter().filter(|id| !places.contains_key(*id)).copied().collect();
    if !missing.is_empty() {
        let link = Link::read(&mut client).await?;
        let select = "SELECT id, idx, time FROM entry WHERE id = ANY ($1)";
        for row in link.query(select, &[&missing]).await? {
            let time = Timestamp::from_micros(natural(&row, 2)?);
            places.insert(column(&row, 0)?, Position { index: natural(&row, 1)?, time });
        }
        link.rollback().await?;
    }
    watch::catch_up(shared, &mut client, ours.as_ref()).await?;
    Ok(places)
}

/// What came of letting the tree grow.
pub(super) enum Grown {
    /// By these entries; `all` says that nothing else waits.
    By { placed: Vec<(Uuid, Position)>, all: bool },
    /// Not before somebody has signed what stands.
    Unsigned,
    /// Nothing waits, and everything is signed.
    Not,
}

/// Gives what waits its indices.
pub(super) async fn grow(shared: &Shared, link: &Link<'_>) -> Result<Grown, Fault> {
    // Alone: whatever was under way has ended, and nothing begins. In this order everywhere, so that nobody waits in a
    // circle.
    // A large batch is joined with its indices by hashing. All are sent one behind the other, and each sees what stands
    // once the lock is granted: while it is held everybody waits.
    let (_, migrations, mut tree, signed, rows) = tokio::try_join!(
        link.batch("LOCK TABLE gate IN EXCLUSIVE MODE; SET LOCAL enable_hashjoin = on"),
        link.one("SELECT count(*) FROM migration", &[]),
        Tree::load(link, true),
        Signed::load(link),
        link.query(
            "SELECT id, time, leaf_hash, kind, mark FROM outbox ORDER BY time, serial LIMIT $1",
            &[&SEQUENCE_LIMIT],
        ),
    )?;
    schema::check(usize::try_from(natural(&migrations, 0)?).unwrap_or(usize::MAX))?;
    if signed.tree.size() != tree.size() {
        return Ok(Grown::Unsigned);
    }
    let (mut placed, mut hashes) = (Vec::new(), Vec::new());
    for row in &rows {
        let (id, hash) = (column::<Uuid>(row, 0)?, bytes(row, 2)?);
        let time = Timestamp::from_micros(natural(row, 1)?);
        // An entry that no holder of the key wrote is not signed for, whoever put it there.
        shared.key.open(Place::Waiting { id, leaf: hash }, column(row, 4)?)?;
        if time < tree.time {
            return Err(corrupt(format!("the waiting entry {id} is older than the log's head")).into());
        }
        tree.time = time;
        placed.push((id, Position { index: tree.size() + hashes.len() as u64, time }));
        hashes.push(Hash::from_bytes(hash));
        // The old key signs nothing behind the entry that says so.
        if column::<&str>(row, 3)? == Kind::Rotation.as_str() {
            break;
        }
    }
    if placed.is_empty() {
        return Ok(Grown::Not);
    }
    let tiles = tree.frontier.append_all(&hashes)?;
    tokio::try_join!(save_tiles(link, &tiles), take(link, &placed), tree.save(link))?;
    let all = placed.len() == rows.len() && (rows.len() as i64) < SEQUENCE_LIMIT;
    Ok(Grown::By { placed, all })
}

/// Moves entries from the outbox to the log.
async fn take(link: &Link<'_>, placed: &[(Uuid, Position)]) -> Result<(), Fault> {
    let ids: Vec<Uuid> = placed.iter().map(|(id, _)| *id).collect();
    let indices = placed.iter().map(|(_, at)| big(at.index)).collect::<Result<Vec<_>, _>>()?;
    let moved = link
        .execute(
            "WITH taken AS (DELETE FROM outbox WHERE id = ANY ($1::uuid[])
                            RETURNING id, leaf_hash, kind, subject, time, leaf, approval, version)
             INSERT INTO entry (idx, id, leaf_hash, kind, subject, time, leaf, approval, version)
             SELECT place.idx, taken.id, leaf_hash, kind, subject, time, leaf, approval, version
             FROM taken JOIN unnest($1::uuid[], $2::bigint[]) AS place (id, idx) ON place.id = taken.id
             ORDER BY place.idx",
            &[&ids, &indices],
        )
        .await?;
    if moved == placed.len() as u64 {
        return Ok(());
    }
    Err(corrupt("the outbox has other entries than it had a moment ago").into())
}

/// Signs the tree that has indices, if it is not signed. It was committed before, so it stays what it is.
pub(super) async fn sign(shared: &Shared, link: &Link<'_>) -> Result<Option<Signed>, Fault> {
    let (tree, before) = tokio::try_join!(Tree::load(link, true), Signed::load(link))?;
    watch::check_onward(shared, link, &before).await?;
    let (from, to) = (before.tree.size(), tree.size());
    if from == to && before.tree == tree {
        return Ok(None);
    }
    let last = extends(shared, link, &before.tree, &tree).await?;
    let (signer, keys) = (shared.signer(), shared.keys());
    if signer.verifier() != keys.current() {
        return Err(StoreError::LogStopped(format!(
            "the log's key is `{}` now, and this process has `{}`: it was changed elsewhere; start again with the new \
             key",
            keys.current(),
            signer.verifier()
        ))
        .into());
    }
    let checkpoint = Checkpoint::new(shared.origin.as_str(), to, tree.frontier.root(), Vec::new())?;
    // A key may live in a service that takes its time.
    let signing = tokio::task::spawn_blocking(move || checkpoint.sign(&[signer.as_ref()]));
    let note = signing.await.map_err(|error| StoreError::Failed(error.to_string()))??.note().to_string();
    if last == Kind::Rotation {
        rotations::save(link, to.saturating_sub(1), &note).await?;
    }
    let (signed, size) = (Signed { tree, note }, to.to_string());
    // Heard by every process once this commits, and not before.
    let said: [&(dyn tokio_postgres::types::ToSql + Sync); 2] = [&CHANNEL, &size];
    tokio::try_join!(signed.save(link), link.execute("SELECT pg_notify($1, $2)", &said))?;
    Ok(Some(signed))
}

/// Reads what came behind a signed tree and hashes it again: what is signed is what stands in the table. Answers the last
/// entry's kind.
async fn extends(shared: &Shared, link: &Link<'_>, before: &Tree, tree: &Tree) -> Result<Kind, Fault> {
    let (from, to) = (before.size(), tree.size());
    if from >= to {
        return Err(
            StoreError::LogStopped("the tree is smaller than the one that was signed".to_owned()).into()
        );
    }
    let stored = StoredLeaf::range(link, from, to).await?;
    let (mut time, mut kind, mut hashes) = (before.time, Kind::Gap, Vec::with_capacity(stored.len()));
    for (index, stored) in (from..).zip(&stored) {
        stored.check()?;
        let leaf = stored.read()?;
        if stored.index != index || leaf.time < time || leaf.origin != shared.origin {
            return Err(corrupt(format!("entry {index} does not follow on the one before it")).into());
        }
        (time, kind) = (leaf.time, leaf.kind);
        hashes.push(stored.hash);
    }
    let mut frontier: Frontier = before.frontier.clone();
    frontier.append_all(&hashes)?;
    if frontier != tree.frontier || time != tree.time {
        return Err(corrupt("the entries do not come to the tree that is to be signed").into());
    }
    Ok(kind)
}
