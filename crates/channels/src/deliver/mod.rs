//! What a channel is, and how cards come to it.
//!
//! A channel posts a card in a place, and brings it up to date there. It keeps nothing: what it answers is kept in the
//! store ([`Placed`]) and handed back to it. What is due, when it is tried again and in which order is the outbox's.

mod outbox;
mod routing;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use domain::id::{ActionId, TargetName};
pub use gateway::deliveries::{Place, Placed, Reason};
use tokio::sync::watch;

use crate::card::Card;
pub use outbox::Outbox;

/// A way to reach reviewers.
///
/// Contract: a call does one thing and comes back within [`crate::limits::TRY_PATIENCE`], or is dropped and counted as
/// failed. Calls for one request in one place never overlap. A call whose answer was lost is made again: where the
/// provider lets it, the same delivery has the same message ([`Delivery::key`]). Nothing of a secret stands in an answer.
#[async_trait]
pub trait Channel: Send + Sync + 'static {
    /// Its name in the configuration, such as `slack`.
    fn name(&self) -> &TargetName;

    /// Whether people can decide in it. Where not, its cards only show and link.
    fn decides(&self) -> bool;

    /// Posts a card in a place where this request has none yet.
    async fn post(&self, delivery: &Delivery, card: &Card) -> Result<Placed, Failed>;

    /// Brings a card up to date that stands in a place: another event, a decision, an outcome. Answers where it stands
    /// now: in most channels where it stood.
    async fn update(&self, placed: &Placed, card: &Card) -> Result<Placed, Failed>;

    /// Reminds whoever reads a place of a card that waits there. Where a channel has no better way it posts nothing.
    async fn remind(&self, placed: &Placed, card: &Card) -> Result<(), Failed> {
        let _ = (placed, card);
        Ok(())
    }
}

/// One request on its way to one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// The request.
    pub approval: ActionId,
    /// Where to, as the route in the configuration says it: a conversation's id, an address; for one person in a chat
    /// service, their user id there.
    pub to: Place,
    /// Why it goes there.
    pub why: Reason,
    /// Which try this is, from 1.
    pub attempt: u32,
}

impl Delivery {
    /// The same for every try of this delivery, and for no other: for providers that know a message again.
    #[must_use]
    pub fn key(&self) -> String {
        format!("{}/{}", self.approval, self.to)
    }
}

/// Why a card did not arrive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failed {
    /// It may arrive later: a limit on rates, a server that is away.
    Later {
        /// How long the provider asks to be left alone; the outbox chooses where it does not say.
        after: Option<Duration>,
        /// What went wrong, without any secret.
        why: String,
    },
    /// Its turn has not come: the channel keeps a provider's limit on rates, and nothing was tried. It counts as no try.
    Turn {
        /// When it comes, as far as the channel knows.
        after: Duration,
    },
    /// It never will: there is no such place, or what was sent is refused for what it is.
    Never {
        /// What is wrong, without any secret.
        why: String,
    },
}

impl Failed {
    /// It may arrive later; the outbox chooses when.
    #[must_use]
    pub fn later(why: impl fmt::Display) -> Self {
        Self::Later { after: None, why: why.to_string() }
    }

    /// It never will.
    #[must_use]
    pub fn never(why: impl fmt::Display) -> Self {
        Self::Never { why: why.to_string() }
    }
}

/// What a channel runs beside its deliveries, such as a socket on which clicks come in, until it is told to stop.
pub type Task = Box<dyn FnOnce(watch::Receiver<bool>) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send>;

/// A channel that is ready: what [`crate::config::ChannelsConfig::build`] makes of its table.
pub struct Fitted {
    /// How cards go out.
    pub channel: Arc<dyn Channel>,
    /// What it listens on beside console and API, under `/channels/`; empty where it listens on nothing.
    pub router: axum::Router,
    /// What it runs, where it runs anything.
    pub task: Option<Task>,
}

impl fmt::Debug for Fitted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fitted").field("channel", self.channel.name()).finish_non_exhaustive()
    }
}
