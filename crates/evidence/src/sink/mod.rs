//! Sinks: the trail on its way to other systems, at least once and in its order.
//!
//! The log is the queue. A sink has a place in it ([`crate::event::Place`]), kept in the store's vault, and its place
//! moves only behind what the receiver has taken; a receiver that is slow or gone holds up its own sink and
//! nothing else. What was told twice has the same id twice.
//!
//! [`courier`] walks and retries, and knows no protocol; each protocol has its file and knows no log.

pub mod config;
pub mod courier;
pub mod cursor;
pub mod lease;
pub mod pause;

pub mod file;
pub mod s3;
pub mod splunk;
pub mod syslog;
pub mod webhook;

mod http;

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use domain::time::Timestamp;
use gateway::ports::SinkStatus;
use store::Store;
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub use config::SinkConfig;
use courier::Courier;

use crate::EvidenceError;
use crate::event::{Told, TrailEvent};
use crate::export::{Ocsf, Shape};
use crate::limits;

/// A receiver, as its protocol has it.
#[async_trait]
pub trait Sink: Send + Sync {
    /// How much it takes at a time.
    fn appetite(&self) -> Appetite;

    /// Hands events over, in their order. What is counted as delivered, the receiver has: it acknowledged, or it is
    /// on the disk. `now` is the store's time.
    async fn deliver(&mut self, batch: &[Parcel], now: Timestamp) -> Delivered;
}

/// How much a sink takes at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appetite {
    /// The most events.
    pub events: usize,
    /// The most bytes; one event may be larger.
    pub bytes: usize,
    /// How long events wait for more of them.
    pub linger: Duration,
}

/// An event as its sink writes it.
#[derive(Debug, Clone)]
pub struct Parcel {
    /// What happened, and the place behind it.
    pub told: Told,
    /// The event in the sink's shape, JSON on one line.
    pub text: String,
}

/// What a delivery came to.
#[derive(Debug)]
pub struct Delivered {
    /// How many of the first events the receiver has.
    pub count: usize,
    /// Why not more, where it is not all.
    pub failure: Option<Failure>,
}

/// Why a receiver did not take an event. Everything is tried again: what a receiver refuses today it takes once
/// somebody has mended it, and nothing is skipped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What went wrong, without any secret.
    pub why: String,
    /// How long the receiver asks to be left alone.
    pub after: Option<Duration>,
}

impl Failure {
    /// A failure in words.
    #[must_use]
    pub fn new(why: impl std::fmt::Display) -> Self {
        let why = why.to_string();
        Self { why: domain::text::cut(&why, limits::FAILURE_BYTES).to_owned(), after: None }
    }
}

impl Delivered {
    /// All of it.
    #[must_use]
    pub fn all(batch: &[Parcel]) -> Self {
        Self { count: batch.len(), failure: None }
    }

    /// So many, and then this.
    #[must_use]
    pub fn partly(count: usize, failure: Failure) -> Self {
        Self { count, failure: Some(failure) }
    }
}

/// What sinks are fed from.
#[derive(Clone)]
pub struct Source {
    /// The store.
    pub store: Arc<dyn Store>,
    /// Where this gateway's activity segments lie.
    pub activity: PathBuf,
    /// How OCSF events are written.
    pub ocsf: Ocsf,
    /// This gateway's name among several over one store, and none where there is one gateway. Of several, one
    /// at a time sends the log's entries; each sends the lines of its own segments.
    pub node: Option<String>,
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Source")
            .field("activity", &self.activity)
            .field("node", &self.node)
            .finish_non_exhaustive()
    }
}

/// The running sinks.
#[derive(Debug, Default)]
pub struct Sinks {
    statuses: Vec<Arc<Mutex<SinkStatus>>>,
    running: Mutex<Vec<JoinHandle<()>>>,
    stop: Option<watch::Sender<bool>>,
}

impl Sinks {
    /// Starts feeding every sink. What a sink is made of is checked first, and nothing starts unless all is well.
    ///
    /// # Errors
    /// [`EvidenceError::Config`] for a configuration that cannot be, such as a secret that cannot be read.
    pub fn start(configs: &[SinkConfig], source: &Source) -> Result<Self, EvidenceError> {
        config::check_all(configs)?;
        let (stop, stopped) = watch::channel(false);
        let mut couriers = Vec::new();
        for config in configs {
            for part in courier::parts(source.node.as_deref()) {
                let sink = config.build(source.store.origin())?;
                couriers.push(Courier::new(config, *part, sink, source.clone()));
            }
        }
        let statuses = couriers.iter().map(Courier::status).collect();
        let running =
            couriers.into_iter().map(|courier| tokio::spawn(courier.run(stopped.clone()))).collect();
        Ok(Self { statuses, running: Mutex::new(running), stop: Some(stop) })
    }

    /// How far each sink is, the log being of this size.
    #[must_use]
    pub fn status(&self, size: u64) -> Vec<SinkStatus> {
        let read = |status: &Arc<Mutex<SinkStatus>>| {
            let mut status = status.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
            let at = status.next.split('.').next().and_then(|index| index.parse::<u64>().ok()).unwrap_or(0);
            status.lag = size.saturating_sub(at);
            status
        };
        self.statuses.iter().map(read).collect()
    }

    /// Stops feeding; a delivery under way gets the patience to end. What it took and what was not noted of it is
    /// sent again at the next start.
    pub async fn stop(&self, patience: Duration) {
        if let Some(stop) = &self.stop {
            let _ = stop.send(true);
        }
        let running =
            std::mem::take(&mut *self.running.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
        let _ = tokio::time::timeout(patience, async {
            for task in running {
                let _ = task.await;
            }
        })
        .await;
    }
}

/// Writes an event for a sink.
pub(crate) fn parcel(told: Told, shape: Shape, ocsf: &Ocsf) -> Result<Parcel, EvidenceError> {
    let text = shape.text(&told.event, ocsf)?;
    Ok(Parcel { told, text })
}

/// The first and last place of a batch, for a name that says what is in it.
pub(crate) fn range(batch: &[Parcel]) -> Option<(&TrailEvent, &TrailEvent)> {
    Some((&batch.first()?.told.event, &batch.last()?.told.event))
}
