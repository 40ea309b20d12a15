//! The trail for other systems: exports, the live tail, and how far each sink is. For administrators alone: it names
//! what everybody asked for and did.

use std::convert::Infallible;
use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::Stream;
use gateway::activity::Following;
use gateway::people::Human;
use gateway::ports::{Pieces, Range, SinkStatus, Told};
use serde::{Deserialize, Serialize};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, Interval, MissedTickBehavior};
use tokio_stream::wrappers::ReceiverStream;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::App;
use super::auth::HumanCaller;
use super::config::{BUSY_RETRY_SECONDS, KEEP_ALIVE, RECHECK, STREAM_LIMIT};
use super::parse::StrictQuery;
use super::reply::Problem;

pub(super) fn resources() -> OpenApiRouter<App> {
    OpenApiRouter::default().routes(routes!(export)).routes(routes!(follow)).routes(routes!(sinks))
}

/// Which part of the trail, and how.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ExportQuery {
    /// `jsonl`, `csv`, `ocsf` or `cloudevents`; `jsonl` where it is not given.
    #[param(pattern = "^(jsonl|csv|ocsf|cloudevents)$")]
    format: Option<String>,
    /// Where it begins: an index of the log, or a date or time (RFC 3339).
    #[param(max_length = 64)]
    from: Option<String>,
    /// Where it ends, not included: an index of the log, or a time.
    #[param(max_length = 64)]
    to: Option<String>,
}

/// The trail between two places.
///
/// An answer that breaks off is not whole; one that ends as HTTP says is.
#[utoipa::path(
    get, path = "/trail", tag = "trail", operation_id = "exportTrail",
    params(ExportQuery),
    responses((status = 200, description = "The events, oldest first", content(
        (String = "application/jsonl"), (String = "text/csv"),
    ))),
    security(("session" = []), ("cookie" = []))
)]
async fn export(
    State(app): State<App>,
    HumanCaller(human): HumanCaller,
    StrictQuery(query): StrictQuery<ExportQuery>,
) -> Result<Response, Problem> {
    app.gateway.require_admin(&human)?;
    let name = query.format.as_deref().unwrap_or("jsonl");
    let place = open_stream(&app)?;
    let pieces = app.trail.export(name, Range { from: query.from, to: query.to }).await?;
    let media_type = app.trail.formats().iter().find(|format| format.name == name);
    let media_type = media_type.map_or("application/octet-stream", |format| format.media_type);
    let body = Body::from_stream(Held { pieces: ReceiverStream::new(pieces), _place: place });
    let disposition = HeaderValue::from_static("attachment");
    let headers = [(CONTENT_TYPE, HeaderValue::from_static(media_type)), (CONTENT_DISPOSITION, disposition)];
    Ok((headers, body).into_response())
}

/// One of the streams that stand open at once.
fn open_stream(app: &App) -> Result<OwnedSemaphorePermit, Problem> {
    Arc::clone(&app.streams).try_acquire_owned().map_err(|_| {
        let detail = "too many streams are open; come back";
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "busy", detail).retry_after(BUSY_RETRY_SECONDS)
    })
}

/// A stream that keeps its place among those that stand open.
struct Held<S> {
    pieces: S,
    _place: OwnedSemaphorePermit,
}

impl<S: Stream + Unpin> Stream for Held<S> {
    type Item = S::Item;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<S::Item>> {
        std::pin::Pin::new(&mut self.pieces).poll_next(context)
    }
}

/// From where to follow.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct FollowQuery {
    /// An index of the log, `index.line`, or a date or time (RFC 3339); from now on where neither it nor `Last-Event-ID` is given.
    #[param(max_length = 64)]
    from: Option<String>,
}

/// Every event from a place on, and each new one as it comes: an event stream.
///
/// Each event's id is the place to go on from: whoever reconnects sends it as `Last-Event-ID`, and misses nothing.
/// Permitted activity comes with its segment, which is sealed every few seconds while somebody follows.
#[utoipa::path(
    get, path = "/trail/events", tag = "trail", operation_id = "followTrail",
    params(FollowQuery, ("Last-Event-ID" = Option<String>, Header, description = "The id of the last event that was read")),
    responses((status = 200, description = "Events named `trail`", body = super::hold::StreamEvent, content_type = "text/event-stream")),
    security(("session" = []), ("cookie" = []))
)]
async fn follow(
    State(app): State<App>,
    HumanCaller(human): HumanCaller,
    headers: HeaderMap,
    StrictQuery(query): StrictQuery<FollowQuery>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    app.gateway.require_admin(&human)?;
    let place = open_stream(&app)?;
    // Who reconnects asks with the same address and says where it was.
    let last = headers.get("last-event-id").map(|id| id.to_str().unwrap_or("?").to_owned());
    let pieces = app.trail.follow(last.or(query.from).as_deref()).await?;
    let mut recheck = tokio::time::interval_at(Instant::now() + RECHECK, RECHECK);
    recheck.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let following = app.gateway.follow_activity();
    let end = Instant::now() + STREAM_LIMIT;
    let tail = Tail { app, human, pieces, recheck, end, _place: place, _following: following };
    let events = futures_util::stream::unfold(tail, |mut tail| async move {
        let told = tail.next().await?;
        Some((Ok(Event::default().event("trail").id(told.next).data(told.json)), tail))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}

/// One open tail.
struct Tail {
    app: App,
    human: Human,
    pieces: Pieces<Told>,
    recheck: Interval,
    end: Instant,
    _place: OwnedSemaphorePermit,
    /// While it stands, activity is sealed soon.
    _following: Following,
}

impl Tail {
    /// The next event; none when the stream is over: its reader is let in no more, or comes back.
    async fn next(&mut self) -> Option<Told> {
        loop {
            tokio::select! {
                piece = self.pieces.recv() => return match piece? {
                    Ok(told) => Some(told),
                    Err(error) => {
                        tracing::error!(%error, "a tail of the trail broke off");
                        None
                    }
                },
                _ = self.recheck.tick() => {
                    let signed_in = self.app.gateway.is_signed_in(&self.human).await.unwrap_or(false);
                    if !signed_in || self.app.gateway.require_admin(&self.human).is_err() {
                        return None;
                    }
                }
                () = tokio::time::sleep_until(self.end) => return None,
            }
        }
    }
}

/// How far a sink is.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct SinkView {
    /// Its name in the configuration.
    pub name: String,
    /// `file`, `webhook`, `splunk`, `syslog` or `s3`.
    pub kind: String,
    /// `sending`, `waiting` (to try again), `standby` (another gateway sends) or `stopped`.
    pub state: String,
    /// Where the next event to send stands: `index` or `index.line`.
    pub next: String,
    /// The index of the last event that it took, since this gateway's start.
    pub last_index: Option<u64>,
    /// When it took it, in microseconds since 1970.
    pub last_sent: Option<u64>,
    /// How many entries of the log it has not been sent yet.
    pub lag: u64,
    /// How many events it took since this gateway's start.
    pub sent: u64,
    /// How many tries have failed since the last that did not.
    pub failures: u32,
    /// Why the last failed one did.
    pub last_error: Option<String>,
    /// When, in microseconds since 1970.
    pub last_error_at: Option<u64>,
}

impl From<SinkStatus> for SinkView {
    fn from(status: SinkStatus) -> Self {
        Self {
            name: status.name,
            kind: status.kind.to_owned(),
            state: status.state.to_owned(),
            next: status.next,
            last_index: status.last_index,
            last_sent: status.last_sent.map(|time| time.micros()),
            lag: status.lag,
            sent: status.sent,
            failures: status.failures,
            last_error: status.last_error,
            last_error_at: status.last_error_at.map(|time| time.micros()),
        }
    }
}

/// The sinks.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct SinkList {
    /// Each of the configuration's sinks.
    pub sinks: Vec<SinkView>,
}

/// The sinks, and how far each one is.
#[utoipa::path(
    get, path = "/sinks", tag = "trail", operation_id = "listSinks",
    responses((status = 200, description = "The sinks", body = SinkList)),
    security(("session" = []), ("cookie" = []))
)]
async fn sinks(State(app): State<App>, HumanCaller(human): HumanCaller) -> Result<Json<SinkList>, Problem> {
    app.gateway.require_admin(&human)?;
    let sinks = app.trail.sinks().await?.into_iter().map(SinkView::from).collect();
    Ok(Json(SinkList { sinks }))
}
