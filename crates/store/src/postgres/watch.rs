//! What a process hears of the others, and what it does unasked.
//!
//! The signed log itself says what happened: a process has seen it up to some size, and when it hears (`LISTEN`), or
//! looks without having heard, that there is more, it reads on from there. What it did itself comes to it the same
//! way.

use std::sync::Arc;
use std::time::Duration;

use audit::{TreeReader, verify_consistency};
use deadpool_postgres::ClientWrapper;
use domain::entry::{Draft, Kind};
use domain::id::ActionId;
use domain::time::Timestamp;
use tokio::sync::{Notify, watch as signal};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_postgres::AsyncMessage;
use uuid::Uuid;

use super::connect::connection;
use super::link::{Fault, Link, big, column, maybe_natural, natural};
use super::log::{Signed, over_tiles};
use super::sequencer::Sequencer;
use super::tx::{Role, Tx};
use super::writer::{Job, Writer};
use super::{CHANNEL, Shared, directories, rotations, vault};
use crate::{StoreError, Wake};

/// How often a process looks without having heard anything: for a log that grew, and for what waits because whoever
/// put it there has gone.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long the listener waits before it connects again.
const LISTEN_AGAIN: Duration = Duration::from_secs(1);
/// How often a process says that it lives.
const LIFE_SIGN_EVERY: Duration = Duration::from_secs(3);
/// How long after its last sign of life a process counts as gone, and what it ran as `unknown`. In seconds, by the
/// database's clock.
pub(super) const GONE_AFTER_SECONDS: f64 = 15.0;
/// How old the last sign of life may be for an approval to be spent, in seconds: the rest is left for the commit.
const FRESH_SECONDS: f64 = 6.0;
/// How many lapsed rows of the vault an idle process removes at a time.
const IDLE_SWEEP: i64 = 4_096;

/// Reads on in the signed log from where this process has seen it: keys, directory and head move, and whoever is to look
/// is woken. `ours` is what it has signed since, and what it had seen then.
pub(super) async fn catch_up(
    shared: &Shared,
    client: &mut ClientWrapper,
    ours: Option<&(Signed, Arc<Signed>)>,
) -> Result<(), Fault> {
    let _catching = shared.catching.lock().await;
    let link = Link::read(client).await?;
    let signed = Signed::load(&link).await?;
    let seen = shared.seen();
    // What this process has just signed extends, entry by entry, a tree that was held against what it had seen by then.
    let proven = |(ours, then): &(Signed, Arc<Signed>)| *ours == signed && Arc::ptr_eq(then, &seen);
    if ours.is_some_and(proven) {
        rotations::catch_up(shared, &link, signed.tree.size()).await?;
        signed.verify(shared.origin.as_str(), &shared.keys())?;
    } else {
        check_onward(shared, &link, &signed).await?;
    }
    if signed.tree.size() == seen.tree.size() {
        return link.rollback().await;
    }
    let (from, to) = (seen.tree.size(), signed.tree.size());
    let rows = link
        .query(
            "SELECT approval, version FROM entry
             WHERE idx >= $1 AND idx < $2 AND (approval IS NOT NULL OR version IS NOT NULL) ORDER BY idx",
            &[&big(from)?, &big(to)?],
        )
        .await?;
    let mut wakes = Vec::with_capacity(rows.len());
    let mut changed = false;
    for row in &rows {
        if let Some(approval) = column::<Option<Uuid>>(row, 0)? {
            wakes.push(Wake::Approval(ActionId::from_uuid(approval)));
        } else if let Some(version) = maybe_natural(row, 1)? {
            changed = true;
            wakes.push(Wake::Directory(version));
        }
    }
    let directory = if changed {
        Some(directories::replay(&link, &shared.key, &shared.directory(), to).await?)
    } else {
        None
    };
    link.rollback().await?;

    shared.set_seen(signed);
    if let Some(directory) = directory {
        shared.set_directory(Arc::new(directory));
    }
    shared.health.note_growth();
    for wake in wakes {
        // Nobody may be listening.
        let _ = shared.wakes.send(wake);
    }
    Ok(())
}

/// Holds a signed tree against the one that this process has seen last: it is that one or extends it, and the log's key
/// has signed it.
///
/// # Errors
/// [`StoreError::LogStopped`] for a smaller one and for a fork: somebody has put an old copy in place.
pub(super) async fn check_onward(shared: &Shared, link: &Link<'_>, signed: &Signed) -> Result<(), Fault> {
    let seen = shared.seen();
    let (old, new) = (&seen.tree, &signed.tree);
    let stopped = |why: &str| {
        Err(Fault::Store(StoreError::LogStopped(format!(
            "the database's log has {} signed entries, and this process has seen {} signed: {why}",
            new.size(),
            old.size()
        ))))
    };
    if new.size() < old.size() || new.time < old.time {
        return stopped("it is an old copy; put the newer one back");
    }
    if new.size() == old.size() {
        return if new == old { Ok(()) } else { stopped("it is a fork; put the original back") };
    }
    let (from, to) = (old.size(), new.size());
    let root = new.frontier.root();
    if from > 0 {
        let extends = over_tiles(link, |tiles| {
            let mut tree = TreeReader::open(tiles, to, root)?;
            let proof = tree.consistency_proof(from)?;
            Ok(verify_consistency(from, old.frontier.root(), to, root, &proof).is_ok())
        });
        if !extends.await? {
            return stopped("it is a fork; put the original back");
        }
    }
    rotations::catch_up(shared, link, to).await?;
    signed.verify(shared.origin.as_str(), &shared.keys())?;
    Ok(())
}

/// The task that looks, listens, and says that this process lives.
pub(super) async fn keep(
    shared: Arc<Shared>,
    writer: Arc<Writer>,
    sequencer: Sequencer,
    heartbeat: Duration,
    mut stopped: signal::Receiver<bool>,
) {
    let heard = Arc::new(Notify::new());
    let listening = tokio::spawn(listen(Arc::clone(&shared), Arc::clone(&heard)));
    let mut look = tokio::time::interval(LOOK_EVERY.min(heartbeat));
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut said = Instant::now();
    loop {
        let looked = tokio::select! {
            // A sender that is gone means stop as well.
            _ = stopped.wait_for(|stop| *stop) => break,
            () = heard.notified() => false,
            _ = look.tick() => true,
        };
        let mut done = see(&shared).await;
        if looked {
            if said.elapsed() >= LIFE_SIGN_EVERY {
                done = done.and(say_alive(&shared).await);
                said = Instant::now();
            }
            let waits = done.is_ok() && shared.check_health().is_ok() && something_waits(&shared).await;
            if waits && let Err(error) = sequencer.settle().await {
                tracing::error!(%error, "could not sequence what waits");
            }
            chores(&shared, &writer, heartbeat).await;
        }
        if let Err(error) = done {
            match error {
                Fault::Store(error) => drop(shared.judge(error)),
                Fault::Passing(why) => tracing::warn!(%why, "could not look at the database"),
                Fault::Behind => {}
            }
        }
    }
    listening.abort();
}

async fn see(shared: &Shared) -> Result<(), Fault> {
    let mut client = connection(&shared.own).await?;
    catch_up(shared, &mut client, None).await
}

/// Whether something waits for its place or its signature. Whoever put it there sees to it; this is for when they have gone.
async fn something_waits(shared: &Shared) -> bool {
    let looked = async {
        let client = connection(&shared.own).await?;
        let select =
            "SELECT EXISTS (SELECT 1 FROM outbox) OR head.size > checkpoint.size FROM head, checkpoint";
        Ok::<bool, Fault>(client.query_one(select, &[]).await?.try_get(0)?)
    };
    looked.await.unwrap_or(false)
}

async fn chores(shared: &Arc<Shared>, writer: &Arc<Writer>, heartbeat: Duration) {
    let tending = Arc::clone(shared);
    let _ = tokio::task::spawn_blocking(move || tending.health.tend_anchor()).await;
    if shared.health.silent_for() < heartbeat {
        return;
    }
    // A failure has been told and counted already.
    let _ = writer.submit(Heartbeat).await;
    if let Err(fault) = vault::sweep(shared, IDLE_SWEEP).await {
        let error = StoreError::from(fault);
        tracing::warn!(%error, "could not sweep the vault");
    }
}

/// The entry that says that a silent log is alive.
struct Heartbeat;

#[async_trait::async_trait]
impl Job for Heartbeat {
    type Output = ();

    async fn run(&self, tx: &mut Tx<'_>) -> Result<((), Vec<Uuid>), Fault> {
        let size = natural(&tx.link.one("SELECT size FROM head", &[]).await?, 0)?.to_string().into_bytes();
        let draft = Draft { kind: Kind::Heartbeat, subject: None, fields: vec![("size".to_owned(), size)] };
        let id = tx.append(draft, Role::Alone)?;
        Ok(((), vec![id]))
    }
}

/// Listens for the word that the log grew, on a connection of its own.
async fn listen(shared: Arc<Shared>, heard: Arc<Notify>) {
    loop {
        if let Err(fault) = listen_once(&shared, &heard).await {
            let error = StoreError::from(fault);
            tracing::warn!(%error, "not listening to the other gateways; looking every second until then");
        }
        tokio::time::sleep(LISTEN_AGAIN).await;
    }
}

async fn listen_once(shared: &Shared, heard: &Notify) -> Result<(), Fault> {
    let (client, mut driver) = shared.url.listener().await?;
    let asking = async { client.batch_execute(&format!("LISTEN {CHANNEL}")).await };
    tokio::pin!(asking);
    let mut asked = false;
    loop {
        tokio::select! {
            answer = &mut asking, if !asked => {
                answer?;
                asked = true;
                // Whatever was said while nobody listened.
                heard.notify_one();
            }
            message = driver.next() => match message {
                Some(Ok(AsyncMessage::Notification(_))) => heard.notify_one(),
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error.into()),
                None => return Err(Fault::Passing("the listening connection ended".to_owned())),
            }
        }
    }
}

/// Says that this process lives, and looks how far its clock is from the database's.
pub(super) async fn say_alive(shared: &Shared) -> Result<(), Fault> {
    let client = connection(&shared.own).await?;
    let asked = Instant::now();
    let row = client
        .query_one(
            "INSERT INTO node (id, seen) VALUES ($1, clock_timestamp())
             ON CONFLICT (id) DO UPDATE SET seen = excluded.seen
             RETURNING (extract(epoch FROM seen) * 1000000)::bigint",
            &[&shared.node],
        )
        .await?;
    let theirs = Timestamp::from_micros(natural(&row, 0)?);
    let Some(limit) = shared.skew_limit else { return Ok(()) };
    let ours = shared.clock.machine();
    let apart = ours.since(theirs).max(theirs.since(ours)).saturating_sub(asked.elapsed());
    let skewed = (apart > limit).then(|| {
        format!(
            "this machine's clock and the database's are {} seconds apart; set them right, and nothing is written \
             until then",
            apart.as_secs()
        )
    });
    if let Some(why) = &skewed {
        tracing::error!(%why, "the clock is wrong");
    }
    shared.health.set_skew(skewed);
    Ok(())
}

/// Makes sure, before an approval is spent, that no other process takes this one for gone before the commit.
pub(super) async fn stay_alive(link: &Link<'_>, node: Uuid) -> Result<(), Fault> {
    let fresh = link
        .maybe(
            "SELECT seen > clock_timestamp() - make_interval(secs => $2) FROM node WHERE id = $1",
            &[&node, &FRESH_SECONDS],
        )
        .await?;
    if fresh.is_some_and(|row| row.try_get(0).unwrap_or(false)) {
        return Ok(());
    }
    link.execute(
        "INSERT INTO node (id, seen) VALUES ($1, clock_timestamp())
         ON CONFLICT (id) DO UPDATE SET seen = excluded.seen",
        &[&node],
    )
    .await?;
    Ok(())
}

impl Shared {
    /// Says that this process has the store no longer open.
    pub(super) async fn leave(self: &Arc<Self>, patience: Duration) {
        let leaving = async {
            if let Ok(client) = connection(&self.own).await {
                let _ = client.execute("DELETE FROM node WHERE id = $1", &[&self.node]).await;
            }
        };
        if tokio::time::timeout(patience, leaving).await.is_err() {
            tracing::warn!("could not say goodbye to the database");
        }
        let ending = Arc::clone(self);
        let _ = tokio::task::spawn_blocking(move || ending.health.end()).await;
        self.pool.close();
        self.own.close();
    }
}
