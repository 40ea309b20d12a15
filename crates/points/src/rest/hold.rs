//! Patience: long polls and event streams. What a reader hears is that something moved; what it is, it reads
//! from the resource.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::response::sse::{Event, KeepAlive, Sse};
use domain::id::ActionId;
use futures_util::Stream;
use gateway::store::{Summary, Wake};
use serde::{Deserialize, Serialize};
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, Interval, MissedTickBehavior};
use utoipa::ToSchema;

use super::auth::AnyCaller;
use super::config::{BUSY_RETRY_SECONDS, KEEP_ALIVE, RECHECK, STREAM_LIMIT};
use super::reply::Problem;
use super::shapes::Id;
use super::{App, Rest};

/// What an event stream says of an approval.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Moved {
    /// The approval.
    #[schema(value_type = Id)]
    pub id: ActionId,
    /// Its state now.
    pub state: String,
    /// How many events stand behind it.
    pub version: u64,
}

/// One event of a stream (WHATWG HTML, section 9.2), as its reader has it.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct StreamEvent {
    /// What kind of event.
    pub event: String,
    /// JSON, as text.
    pub data: String,
    /// Where to go on from after a break, where the stream says so.
    pub id: Option<String>,
}

impl Moved {
    fn of(summary: &Summary) -> Self {
        let version = summary.approval.case().version;
        Self { id: summary.action.id(), state: summary.approval.word().to_owned(), version }
    }
}

/// The approval once it is at another version than the caller knows, or as it is when patience ends.
pub(super) async fn changed(
    app: &Rest,
    id: ActionId,
    known: u64,
    patience: Duration,
) -> Result<Summary, Problem> {
    let end = Instant::now() + patience;
    // Listens before it looks, so that nothing that happens between looking and waiting is missed.
    let mut wakes = app.gateway.store().wakes();
    loop {
        let summary = app.gateway.store().approval(id).await?;
        if summary.approval.case().version != known || summary.approval.is_terminal() {
            return Ok(summary);
        }
        loop {
            match tokio::time::timeout_at(end, wakes.recv()).await {
                Ok(Ok(Wake::Approval(moved))) if moved == id => break,
                Ok(Ok(Wake::Approval(_) | Wake::Directory(_))) => {}
                // Wakes were missed: it looks for itself.
                Ok(Err(RecvError::Lagged(_))) => break,
                Ok(Err(RecvError::Closed)) | Err(_) => return Ok(summary),
            }
        }
    }
}

/// Whose moves a stream tells.
#[derive(Debug, Clone, Copy)]
pub(super) enum Watched {
    /// One approval's, until it has ended.
    One(ActionId),
    /// Every approval's that the reader may see.
    Inbox,
}

/// Opens an event stream.
pub(super) fn stream(
    app: &App,
    caller: AnyCaller,
    watched: Watched,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>> + use<>>, Problem> {
    let Ok(place) = Arc::clone(&app.streams).try_acquire_owned() else {
        let detail = "too many event streams are open; poll, or come back";
        let status = axum::http::StatusCode::SERVICE_UNAVAILABLE;
        return Err(Problem::new(status, "busy", detail).retry_after(BUSY_RETRY_SECONDS));
    };
    let mut recheck = tokio::time::interval_at(Instant::now() + RECHECK, RECHECK);
    recheck.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let reading = Reading {
        app: Arc::clone(app),
        caller,
        watched,
        wakes: app.gateway.store().wakes(),
        recheck,
        end: Instant::now() + STREAM_LIMIT,
        told: None,
        state: State::Opening,
        _place: place,
    };
    let events = futures_util::stream::unfold(reading, |mut reading| async move {
        let event = reading.next().await?;
        Some((Ok(event), reading))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}

/// One open stream.
struct Reading {
    app: App,
    caller: AnyCaller,
    watched: Watched,
    wakes: Receiver<Wake>,
    recheck: Interval,
    end: Instant,
    /// The version that the reader of one approval was told last.
    told: Option<u64>,
    state: State,
    _place: OwnedSemaphorePermit,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Opening,
    Open,
    Over,
}

enum Heard {
    Moved(ActionId),
    Missed,
    Nothing,
    End,
}

impl Reading {
    async fn next(&mut self) -> Option<Event> {
        if self.state == State::Opening {
            self.state = State::Open;
            return match self.watched {
                Watched::One(id) => self.tell(id).await,
                // So that the reader knows from when on it hears everything.
                Watched::Inbox => Some(Event::default().event("open").data("{}")),
            };
        }
        while self.state == State::Open {
            let event = match self.listen().await {
                Heard::Moved(id) if self.is_watched(id) => self.tell(id).await,
                Heard::Moved(_) | Heard::Nothing => None,
                Heard::Missed => match self.watched {
                    Watched::One(id) => self.tell(id).await,
                    Watched::Inbox => Some(Event::default().event("moved").data("{}")),
                },
                Heard::End => return None,
            };
            if event.is_some() {
                return event;
            }
        }
        None
    }

    async fn listen(&mut self) -> Heard {
        tokio::select! {
            wake = self.wakes.recv() => match wake {
                Ok(Wake::Approval(id)) => Heard::Moved(id),
                Ok(Wake::Directory(_)) => Heard::Nothing,
                Err(RecvError::Lagged(_)) => Heard::Missed,
                Err(RecvError::Closed) => Heard::End,
            },
            _ = self.recheck.tick() => match self.caller.still_in(&self.app.gateway).await {
                Ok(true) => Heard::Nothing,
                Ok(false) | Err(_) => Heard::End,
            },
            () = tokio::time::sleep_until(self.end) => Heard::End,
        }
    }

    fn is_watched(&self, id: ActionId) -> bool {
        match self.watched {
            Watched::One(watched) => watched == id,
            Watched::Inbox => true,
        }
    }

    /// Looks whether the reader may see it, each time: groups change while a stream is open.
    async fn tell(&mut self, id: ActionId) -> Option<Event> {
        let summary = self.app.visible(id, &self.caller).await.ok()?;
        let moved = Moved::of(&summary);
        if let Watched::One(_) = self.watched {
            if summary.approval.is_terminal() {
                self.state = State::Over;
            }
            if self.told.replace(moved.version) == Some(moved.version) {
                return None;
            }
        }
        Event::default().event("approval").id(format!("{id}.{}", moved.version)).json_data(&moved).ok()
    }
}
