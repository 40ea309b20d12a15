//! Feeds one sink: walks, delivers, moves the place, and tries again.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gateway::ports::SinkStatus;
use tokio::sync::watch;
use tokio::time::Instant;

use super::config::{SinkConfig, Start};
use super::lease::Lease;
use super::pause::pause;
use super::{Delivered, Failure, Parcel, Sink, Source, cursor, parcel};
use crate::EvidenceError;
use crate::event::walk::Part;
use crate::event::{Place, Walk};
use crate::export::Shape;
use crate::limits::{DELIVERY_PATIENCE, LEASE_RENEWED_EVERY, LOOK_EVERY, PAGE};

/// The parts of the trail that this gateway tells: all of it where it is alone.
#[must_use]
pub fn parts(node: Option<&str>) -> &'static [Part] {
    if node.is_some() { &[Part::Entries, Part::OwnLines] } else { &[Part::All] }
}

/// Feeds one sink with one part of the trail.
pub struct Courier {
    name: String,
    start: Start,
    shape: Shape,
    sink: Box<dyn Sink>,
    source: Source,
    part: Part,
    key: String,
    lease: Option<Lease>,
    status: Arc<Mutex<SinkStatus>>,
}

impl Courier {
    /// A courier of a configured sink.
    #[must_use]
    pub fn new(config: &SinkConfig, part: Part, sink: Box<dyn Sink>, source: Source) -> Self {
        let name = config.name.to_string();
        let node = source.node.as_deref().filter(|_| part == Part::OwnLines);
        let shown = node.map_or_else(|| name.clone(), |node| format!("{name}/lines/{node}"));
        let status =
            SinkStatus { name: shown, kind: config.to.kind(), state: "waiting", ..SinkStatus::default() };
        Self {
            start: config.start,
            shape: config.format,
            key: cursor::key(&name, node),
            lease: (part == Part::Entries).then(|| Lease::new(&name)),
            status: Arc::new(Mutex::new(status)),
            name,
            sink,
            source,
            part,
        }
    }

    /// How far it is, for others to read.
    #[must_use]
    pub fn status(&self) -> Arc<Mutex<SinkStatus>> {
        Arc::clone(&self.status)
    }

    /// Feeds the sink until it is told to stop.
    pub async fn run(mut self, mut stopped: watch::Receiver<bool>) {
        let mut failures = 0_u32;
        let mut round = Round::default();
        while !*stopped.borrow() {
            let rest = match self.turn(&mut round, &mut stopped).await {
                Ok(Turn::Moved) => {
                    failures = 0;
                    continue;
                }
                Ok(Turn::Idle) => LOOK_EVERY,
                Ok(Turn::Refused { moved, failure }) => {
                    failures = if moved { 1 } else { failures.saturating_add(1) };
                    self.failed(&failure, failures);
                    pause(failures, random(), failure.after)
                }
                Err(error) => {
                    failures = failures.saturating_add(1);
                    // What was gathered is read again: another gateway may have sent it by then.
                    round = Round::default();
                    self.failed(&Failure::new(error), failures);
                    pause(failures, random(), None)
                }
            };
            tokio::select! {
                _ = stopped.changed() => {}
                () = tokio::time::sleep(rest) => {}
            }
        }
        self.note(|status| status.state = "stopped");
    }

    /// One turn: gather, deliver, move the place.
    async fn turn(
        &mut self,
        round: &mut Round,
        stopped: &mut watch::Receiver<bool>,
    ) -> Result<Turn, EvidenceError> {
        if let Some(lease) = &mut self.lease {
            let store = &*self.source.store;
            if !lease.holds(store, store.now()).await? {
                *round = Round::default();
                self.note(|status| status.state = "standby");
                return Ok(Turn::Idle);
            }
        }
        let walk = match &mut round.walk {
            Some(walk) => walk,
            None => {
                let from = self.begin().await?;
                self.note(|status| status.next = from.to_string());
                round.kept = from.index;
                let (store, folder) = (Arc::clone(&self.source.store), self.source.activity.clone());
                let walk = Walk::from(store, folder, from, self.part).at_node(self.source.node.clone());
                round.walk.insert(walk)
            }
        };
        let appetite = self.sink.appetite();
        if round.again == 0 && round.waiting.len() < appetite.events && round.bytes < appetite.bytes {
            let room = appetite.events.saturating_sub(round.waiting.len()).min(PAGE);
            let page = walk.next(room, None).await?;
            let more = page.len() == room;
            for told in page {
                let parcel = parcel(told, self.shape, &self.source.ocsf)?;
                round.bytes = round.bytes.saturating_add(parcel.text.len());
                round.waiting.push_back(parcel);
            }
            if !round.waiting.is_empty() {
                let since = *round.since.get_or_insert_with(Instant::now);
                let full = round.waiting.len() >= appetite.events || round.bytes >= appetite.bytes;
                if !full && (more || since.elapsed() < appetite.linger) && !*stopped.borrow() {
                    return Ok(if more { Turn::Moved } else { Turn::Idle });
                }
            }
        }
        if round.waiting.is_empty() {
            // Behind what there is: the place of a part that tells nothing of it moves too.
            let at = walk.place();
            if at.index >= round.kept.saturating_add(PAGE as u64) {
                cursor::advance(&*self.source.store, &self.key, at).await?;
                round.kept = at.index;
            }
            self.note(|status| {
                status.state = "sending";
                status.next = at.to_string();
            });
            return Ok(Turn::Idle);
        }
        let batch = round.waiting.make_contiguous();
        // What failed is tried again as it was: a receiver that took it and could not say so has the same object once.
        let count = if round.again > 0 { round.again } else { fitting(batch, appetite.bytes) };
        let batch = batch.get(..count.min(batch.len())).unwrap_or_default();
        let tried = batch.len();
        let now = self.source.store.now();
        let delivery = tokio::time::timeout(DELIVERY_PATIENCE, self.sink.deliver(batch, now));
        let delivered =
            holding(self.lease.as_mut(), &*self.source.store, LEASE_RENEWED_EVERY, delivery).await;
        let Delivered { count, failure } = delivered.unwrap_or_else(|_| {
            Delivered::partly(0, Failure::new("the receiver did not take the events in time"))
        });
        round.again = if failure.is_some() { tried.saturating_sub(count) } else { 0 };
        if count > 0 {
            self.moved(round, count).await?;
        }
        Ok(match failure {
            Some(failure) => Turn::Refused { moved: count > 0, failure },
            None => Turn::Moved,
        })
    }

    /// The receiver has so many: the place moves behind them.
    async fn moved(&self, round: &mut Round, count: usize) -> Result<(), EvidenceError> {
        let taken: Vec<Parcel> = round.waiting.drain(..count.min(round.waiting.len())).collect();
        let Some(last) = taken.last() else { return Ok(()) };
        round.bytes = round.waiting.iter().map(|parcel| parcel.text.len()).sum();
        round.since = round.since.filter(|_| !round.waiting.is_empty());
        let (next, log) = (last.told.next, last.told.event.log);
        match self.lease {
            // Whoever took the lease meanwhile may be further on.
            Some(_) => cursor::advance(&*self.source.store, &self.key, next).await?,
            None => cursor::save(&*self.source.store, &self.key, next).await?,
        }
        round.kept = next.index;
        let (sent, now) = (taken.len() as u64, self.source.store.now());
        metrics::counter!("countersign_sink_events_total", "sink" => self.name.clone()).increment(sent);
        let size = round.walk.as_ref().map_or(0, Walk::size);
        metrics::gauge!("countersign_sink_lag_entries", "sink" => self.name.clone())
            .set(size.saturating_sub(next.index) as f64);
        self.note(|status| {
            status.state = "sending";
            status.next = next.to_string();
            status.last_index = log.map(|log| log.index);
            status.last_sent = Some(now);
            status.sent = status.sent.saturating_add(sent);
            status.failures = 0;
        });
        Ok(())
    }

    /// Where to go on: behind what was delivered, or where a new sink is to begin.
    async fn begin(&self) -> Result<Place, EvidenceError> {
        let store = &*self.source.store;
        if let Some(place) = cursor::load(store, &self.key).await? {
            return Ok(place);
        }
        let place = match self.start {
            Start::Beginning => Place::default(),
            Start::Now => Place::entry(store.head().await?.size),
        };
        // Kept at once: a sink that begins now must not begin anew, later, at the next start.
        cursor::save(store, &self.key, place).await?;
        Ok(place)
    }

    fn failed(&self, failure: &Failure, failures: u32) {
        tracing::warn!(sink = self.name, failures, why = failure.why, "a sink was not fed; trying again");
        metrics::counter!("countersign_sink_failures_total", "sink" => self.name.clone()).increment(1);
        let now = self.source.store.now();
        self.note(|status| {
            status.state = "waiting";
            status.failures = failures;
            status.last_error = Some(failure.why.clone());
            status.last_error_at = Some(now);
        });
    }

    fn note(&self, change: impl FnOnce(&mut SinkStatus)) {
        change(&mut self.status.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
    }
}

impl std::fmt::Debug for Courier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Courier").field("name", &self.name).field("part", &self.part).finish_non_exhaustive()
    }
}

/// Does what can take longer than the lease is for, and renews it meanwhile: another gateway that took over in the middle
/// would send everything a second time. A lease that is lost all the same ends nothing: what was sent was sent.
pub(crate) async fn holding<T>(
    lease: Option<&mut Lease>,
    store: &dyn store::Store,
    every: Duration,
    work: impl Future<Output = T>,
) -> T {
    let Some(lease) = lease else { return work.await };
    tokio::pin!(work);
    loop {
        tokio::select! {
            done = &mut work => return done,
            () = tokio::time::sleep(every) => {
                if let Err(error) = lease.holds(store, store.now()).await {
                    tracing::warn!(%error, "the right to feed a sink was not renewed");
                }
            }
        }
    }
}

/// What is gathered and not delivered yet.
#[derive(Default)]
struct Round {
    walk: Option<Walk>,
    waiting: VecDeque<Parcel>,
    bytes: usize,
    /// When the first of them was gathered.
    since: Option<Instant>,
    /// The index of the place that was kept last.
    kept: u64,
    /// How many of the first are to be tried again as they are.
    again: usize,
}

enum Turn {
    Moved,
    Idle,
    Refused { moved: bool, failure: Failure },
}

/// How many of the first parcels fit into so many bytes; one at least.
fn fitting(batch: &[Parcel], bytes: usize) -> usize {
    let mut sum = 0_usize;
    let count = batch
        .iter()
        .take_while(|parcel| {
            sum = sum.saturating_add(parcel.text.len());
            sum <= bytes
        })
        .count();
    count.max(1)
}

/// Jitter needs no secrecy: where the system gives no randomness, pauses are merely alike.
fn random() -> u32 {
    let mut bytes = [0; 4];
    let _ = getrandom::fill(&mut bytes);
    u32::from_le_bytes(bytes)
}

/// No pause is longer than a delivery may take twice over: a receiver that is back is not kept waiting.
const _: () = assert!(crate::limits::PAUSE_LONGEST.as_secs() <= 2 * DELIVERY_PATIENCE.as_secs());
/// A term of a lease is longer than a look for work.
const _: () =
    assert!(Duration::from_secs(crate::limits::LEASE_SECONDS).as_millis() > 4 * LOOK_EVERY.as_millis());
