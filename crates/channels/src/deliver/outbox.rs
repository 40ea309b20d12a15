//! The outbox: what is to be brought where stands in the store before anything is sent, and is brought there until it
//! arrived, was given up, or is not needed any more.
//!
//! One task listens for what moves and plans; one a channel leases what is due and delivers it. Several gateways over one
//! store may do so at once: a parcel is leased to one. Each try shows the request as it stands at that moment, so that a
//! place never goes back to an older state, however late a try succeeds.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use domain::approval::Approval;
use domain::id::{ActionId, PersonId, TargetName};
use domain::time::{Span, Timestamp};
use futures_util::stream::{self, StreamExt as _};
use gateway::Gateway;
use gateway::deliveries::{Record, Sent};
use gateway::store::{Filter, Parcel, ParcelFilter, StoreError, Summary, Wake};
use sha2::{Digest as _, Sha256};
use tokio::sync::{Notify, broadcast, watch};
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::{Channel, Delivery, Failed, routing};
use crate::ChannelError;
use crate::card::{Audience, Card};
use crate::config::Route;
use crate::limits::{
    AT_ONCE, BATCH, FAILURE_BYTES, LEASE, LOOK_EVERY, PAUSE_LONGEST, PAUSE_SHORTEST, RECOVERED_PAGES, TRIES,
    TRY_PATIENCE,
};

/// What brings requests to people.
pub struct Outbox {
    gateway: Arc<Gateway>,
    channels: BTreeMap<TargetName, Arc<dyn Channel>>,
    routes: Vec<Route>,
    addresses: BTreeMap<PersonId, String>,
    /// Whoever delivers looks at once.
    planned: BTreeMap<TargetName, Notify>,
}

impl fmt::Debug for Outbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbox").field("channels", &self.channels.keys()).finish_non_exhaustive()
    }
}

impl Outbox {
    /// An outbox over these channels and routes; nothing moves before [`Outbox::start`].
    #[must_use]
    pub fn new(
        gateway: Arc<Gateway>,
        channels: Vec<Arc<dyn Channel>>,
        routes: Vec<Route>,
        addresses: BTreeMap<PersonId, String>,
    ) -> Arc<Self> {
        let planned = channels.iter().map(|channel| (channel.name().clone(), Notify::new())).collect();
        let channels = channels.into_iter().map(|channel| (channel.name().clone(), channel)).collect();
        Arc::new(Self { gateway, channels, routes, addresses, planned })
    }

    /// Whether people can decide in a channel.
    #[must_use]
    pub fn decides(&self, channel: &TargetName) -> bool {
        self.channels.get(channel).is_some_and(|channel| channel.decides())
    }

    /// Listens and delivers until it is told to stop. Without channels nothing runs.
    #[must_use]
    pub fn start(self: &Arc<Self>, stopped: &watch::Receiver<bool>) -> Vec<JoinHandle<()>> {
        if self.channels.is_empty() {
            return Vec::new();
        }
        let wakes = self.gateway.store().wakes();
        let mut tasks = vec![tokio::spawn(Arc::clone(self).listen(wakes, stopped.clone()))];
        for channel in self.channels.values() {
            tasks.push(tokio::spawn(Arc::clone(self).deliver(Arc::clone(channel), stopped.clone())));
        }
        tasks
    }

    /// Plans for whatever moves. What moved before this process listened, or while it could not keep up, it looks for.
    async fn listen(
        self: Arc<Self>,
        mut wakes: broadcast::Receiver<Wake>,
        mut stopped: watch::Receiver<bool>,
    ) {
        self.look_everywhere().await;
        loop {
            let wake = tokio::select! {
                _ = stopped.changed() => return,
                wake = wakes.recv() => wake,
            };
            match wake {
                Ok(Wake::Approval(id)) => self.consider_and_say(id).await,
                // Who may review may be others now; the gateway asks policy again, and that is an event of its own.
                Ok(Wake::Directory(_)) => {}
                Err(broadcast::error::RecvError::Lagged(_)) => self.look_everywhere().await,
                Err(broadcast::error::RecvError::Closed) => return,
            }
        }
    }

    /// Considers every request that is not over, and every one whose card may be behind.
    async fn look_everywhere(&self) {
        let looked = async {
            for id in self.unfinished().await? {
                self.consider_and_say(id).await;
            }
            Ok::<_, ChannelError>(())
        };
        if let Err(error) = looked.await {
            tracing::error!(%error, "could not look for what is to be delivered");
        }
    }

    async fn unfinished(&self) -> Result<Vec<ActionId>, ChannelError> {
        let store = self.gateway.store();
        let states = ["pending", "approved", "executing"].map(str::to_owned).to_vec();
        let filter = Filter { states, ..Filter::default() };
        let (mut ids, mut after) = (std::collections::BTreeSet::new(), None);
        loop {
            let page = store.list(&filter, after, gateway::store::limits::PAGE_LIMIT).await?;
            ids.extend(page.rows.iter().map(|summary| summary.action.id()));
            match page.next {
                Some(next) => after = Some(next),
                None => break,
            }
        }
        // Cards that show a request as it stood before its end.
        let mut after = None;
        for _ in 0..RECOVERED_PAGES {
            let (parcels, next) =
                store.parcels(&ParcelFilter::default(), after, gateway::store::limits::PAGE_LIMIT).await?;
            for parcel in &parcels {
                let sent = Record::read(parcel)?.sent;
                if sent.is_some_and(|sent| !is_over(&sent.state)) {
                    ids.insert(parcel.approval);
                }
            }
            if next.is_none() {
                break;
            }
            after = next;
        }
        Ok(ids.into_iter().collect())
    }

    async fn consider_and_say(&self, id: ActionId) {
        if let Err(error) = self.consider(id).await {
            tracing::error!(%id, %error, "could not plan what is to be delivered");
        }
    }

    /// A request moved: new places are planned for it, and every place in which it stands is due.
    async fn consider(&self, id: ActionId) -> Result<(), ChannelError> {
        let store = self.gateway.store();
        let summary = store.approval(id).await?;
        let mut parcels = Vec::new();
        if matches!(summary.approval, Approval::Pending(_)) {
            let (directory, hearers) = (self.gateway.directory(), self.gateway.hearers(&summary)?);
            let may_review = |person| self.gateway.standing(&summary, person).may_approve;
            let planned =
                routing::places(&self.routes, &summary, &hearers, &directory, &self.addresses, &may_review);
            for routing::Planned { channel, record } in planned {
                parcels.push(Parcel {
                    id: parcel_id(id, &channel, &record),
                    approval: id,
                    due: Some(record.not_before),
                    channel,
                    made: Timestamp::ZERO,
                    stirred: 0,
                    record: record.write()?,
                });
            }
        }
        let planned = parcels.len() as u64;
        let new = if parcels.is_empty() { 0 } else { store.plan(parcels).await? };
        // A request that is new everywhere is due as it was planned.
        if new < planned || planned == 0 {
            store.stir(id).await?;
        }
        self.planned.values().for_each(Notify::notify_one);
        Ok(())
    }

    /// Delivers what is due in one channel.
    async fn deliver(self: Arc<Self>, channel: Arc<dyn Channel>, mut stopped: watch::Receiver<bool>) {
        let never = Notify::new();
        let planned = self.planned.get(channel.name()).unwrap_or(&never);
        while !*stopped.borrow() {
            let leased = self.gateway.store().lease(channel.name(), BATCH, LEASE).await;
            let parcels = leased.unwrap_or_else(|error| {
                tracing::error!(channel = %channel.name(), %error, "could not look for what is due");
                Vec::new()
            });
            if parcels.is_empty() {
                tokio::select! {
                    _ = stopped.changed() => {}
                    () = planned.notified() => {}
                    () = tokio::time::sleep(LOOK_EVERY) => {}
                }
                continue;
            }
            stream::iter(parcels)
                .for_each_concurrent(AT_ONCE, |parcel| self.deliver_one(&*channel, parcel))
                .await;
        }
    }

    async fn deliver_one(&self, channel: &dyn Channel, parcel: Parcel) {
        let (approval, name) = (parcel.approval, channel.name());
        if let Err(error) = self.try_one(channel, parcel).await {
            // Its lease ends, and it is tried again.
            tracing::error!(%approval, channel = %name, %error, "could not deliver");
        }
    }

    async fn try_one(&self, channel: &dyn Channel, mut parcel: Parcel) -> Result<(), ChannelError> {
        let mut record = Record::read(&parcel)?;
        parcel.due = match self.gateway.store().approval(parcel.approval).await {
            Ok(summary) => self.step(channel, &summary, &mut record).await?,
            // Erased: there is nothing to show any more.
            Err(StoreError::NotFound(_)) => {
                record.unneeded = true;
                None
            }
            Err(error) => return Err(error.into()),
        };
        parcel.record = record.write()?;
        Ok(self.gateway.store().put_back(parcel).await?)
    }

    /// Does what is due for one place, and answers when something is next.
    async fn step(
        &self,
        channel: &dyn Channel,
        summary: &Summary,
        record: &mut Record,
    ) -> Result<Option<Timestamp>, ChannelError> {
        let (now, version) = (self.gateway.now(), summary.approval.case().version);
        let over = is_over(summary.approval.word());
        let waits = matches!(summary.approval, Approval::Pending(_));
        if record.given_up == Some(version) {
            return Ok(None);
        }
        let due = match &record.sent {
            // Who was to hear of it later, or could not be told, need not any more.
            None if over => {
                record.unneeded = true;
                return Ok(None);
            }
            None if now < record.not_before => return Ok(Some(record.not_before)),
            None if !waits && record.why == gateway::deliveries::Reason::Escalated => {
                record.unneeded = true;
                return Ok(None);
            }
            None => Due::Post,
            Some(sent) if sent.version != version => Due::Update,
            Some(_) => match record.reminders.filter(|reminders| waits && reminders.left > 0) {
                Some(reminders) if reminders.next.is_some_and(|next| next <= now) => Due::Remind,
                Some(reminders) => return Ok(reminders.next),
                None => return Ok(None),
            },
        };
        let audience =
            Audience { person: record.to.person(), shows: record.shows, decides: channel.decides() };
        let card = Card::of(&self.gateway, summary, &audience).await?;
        let tried = tokio::time::timeout(TRY_PATIENCE, self.send(channel, &card, record, due)).await;
        let tried = tried.unwrap_or_else(|_| Err(Failed::later("it took too long")));
        Ok(match tried {
            Ok(()) => {
                record.failures = 0;
                record.error = None;
                record.given_up = None;
                self.count(channel, due, &card);
                record.reminders.filter(|reminders| waits && reminders.left > 0).and_then(|next| next.next)
            }
            Err(failed) => self.failed(channel, &card, record, failed),
        })
    }

    /// Sends, and notes what stands where.
    async fn send(
        &self,
        channel: &dyn Channel,
        card: &Card,
        record: &mut Record,
        due: Due,
    ) -> Result<(), Failed> {
        let placed = match (due, &record.sent) {
            (Due::Post, _) | (Due::Update | Due::Remind, None) => {
                let delivery = Delivery {
                    approval: card.approval,
                    to: record.to.clone(),
                    why: record.why,
                    attempt: record.failures.saturating_add(1),
                };
                channel.post(&delivery, card).await?
            }
            (Due::Update, Some(sent)) => channel.update(&sent.placed, card).await?,
            (Due::Remind, Some(sent)) => {
                channel.remind(&sent.placed, card).await?;
                sent.placed.clone()
            }
        };
        let now = self.gateway.now();
        let first = record.sent.as_ref().map_or(now, |sent| sent.first);
        record.sent = Some(Sent {
            placed,
            version: card.version,
            state: card.state.word.to_owned(),
            displayed: card.displayed,
            first,
            last: now,
        });
        if let Some(reminders) = &mut record.reminders {
            if due == Due::Remind {
                reminders.left = reminders.left.saturating_sub(1);
            }
            reminders.next = Some(now.after(Span::from_seconds(reminders.every)));
        }
        Ok(())
    }

    /// When a try that failed is made again; none where it was given up.
    fn failed(
        &self,
        channel: &dyn Channel,
        card: &Card,
        record: &mut Record,
        failed: Failed,
    ) -> Option<Timestamp> {
        let failures = record.failures.saturating_add(1);
        let (why, after) = match failed {
            Failed::Turn { after } => return Some(self.after(after.clamp(PAUSE_SHORTEST, PAUSE_LONGEST))),
            Failed::Later { after, why } if failures < TRIES => (why, Some(pause(failures, after))),
            Failed::Later { why, .. } | Failed::Never { why } => (why, None),
        };
        record.failures = failures;
        let name = channel.name();
        metrics::counter!("countersign_deliveries_failed_total", "channel" => name.to_string()).increment(1);
        tracing::warn!(
            approval = %card.approval, channel = %name, failures = record.failures, given_up = after.is_none(), why,
            "a card did not arrive"
        );
        record.error = Some(domain::text::cut(&why, FAILURE_BYTES).to_owned());
        match after {
            Some(after) => Some(self.after(after)),
            None => {
                record.given_up = Some(card.version);
                record.failures = 0;
                None
            }
        }
    }

    fn after(&self, pause: Duration) -> Timestamp {
        let micros = u64::try_from(pause.as_micros()).unwrap_or(u64::MAX);
        Timestamp::from_micros(self.gateway.now().micros().saturating_add(micros))
    }

    fn count(&self, channel: &dyn Channel, due: Due, card: &Card) {
        let name = channel.name().to_string();
        metrics::counter!("countersign_deliveries_total", "channel" => name.clone(), "what" => due.word())
            .increment(1);
        if due == Due::Post {
            let waited = self.gateway.now().since(card.requested);
            metrics::histogram!("countersign_delivery_seconds", "channel" => name)
                .record(waited.as_secs_f64());
        }
    }
}

/// What is due for a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Due {
    Post,
    Update,
    Remind,
}

impl Due {
    fn word(self) -> &'static str {
        match self {
            Self::Post => "post",
            Self::Update => "update",
            Self::Remind => "remind",
        }
    }
}

fn is_over(state: &str) -> bool {
    matches!(state, "denied" | "expired" | "cancelled" | "finished")
}

/// How long until the next try: twice as long each time, and as long as the provider asks, within the limits. Jitter
/// needs no secrecy: where the system gives no randomness, pauses are merely alike.
fn pause(failures: u32, asked: Option<Duration>) -> Duration {
    let doubled =
        PAUSE_SHORTEST.saturating_mul(1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX));
    let mut random = [0; 1];
    let _ = getrandom::fill(&mut random);
    let jitter = doubled.mul_f64(f64::from(u8::from_le_bytes(random)) / 1_024.0);
    asked.unwrap_or_else(|| doubled.saturating_add(jitter)).clamp(PAUSE_SHORTEST, PAUSE_LONGEST)
}

/// The same for the same request, channel and place: planning it twice is planning it once.
fn parcel_id(approval: ActionId, channel: &TargetName, record: &Record) -> Uuid {
    let mut hash = Sha256::new_with_prefix(b"countersign/delivery/v1\n");
    hash.update(approval.uuid().as_bytes());
    hash.update(channel.as_str());
    hash.update(b"\n");
    let (person, place) = (record.to.person(), record.to.to_string());
    hash.update(person.map(|person| person.to_string()).unwrap_or_default());
    hash.update(b"\n");
    hash.update(place);
    let digest: [u8; 32] = hash.finalize().into();
    let mut id = [0; 16];
    id.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
    uuid::Builder::from_custom_bytes(id).into_uuid()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_stay_within_their_limits() {
        assert!(pause(1, None) >= PAUSE_SHORTEST);
        assert!(pause(4, None) >= Duration::from_secs(8));
        for failures in [10, 11, 12, 31, 32, 33, u32::MAX] {
            assert!(pause(failures, None) <= PAUSE_LONGEST, "{failures}");
        }
        assert_eq!(pause(1, Some(Duration::from_secs(30))), Duration::from_secs(30));
        assert_eq!(pause(1, Some(Duration::from_secs(86_400))), PAUSE_LONGEST);
        assert_eq!(pause(1, Some(Duration::ZERO)), PAUSE_SHORTEST);
    }
}
