//! Socket Mode: Slack's envelopes over a connection that we make, so that nothing of ours is open to the world.
//!
//! One connection stands; before one that Slack tells to go is gone, the next one stands beside it, and both take
//! envelopes ("Using Socket Mode", "Disconnecting"). Every envelope is acknowledged within three seconds.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::{SinkExt as _, StreamExt as _};
use outbound::http::is_here;
use reqwest::Url;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant as Clock, sleep, timeout};
use tokio_rustls::TlsConnector;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{Message, protocol::WebSocketConfig};

use super::api::{Api, ApiError};
use super::inbound::Kind;
use super::limits::{
    CONNECT_PATIENCE, FRAME_BYTES, HELLO_PATIENCE, OVERLAP, PAUSE_FIRST, PAUSE_LONGEST, PING_EVERY, SILENCE,
    STOOD,
};

/// What takes envelopes. It says nothing where an envelope must not be acknowledged.
#[async_trait::async_trait]
pub(super) trait Taker: Send + Sync + 'static {
    /// Takes one envelope and answers with what its acknowledgement carries, in time for that.
    async fn take(&self, kind: Kind, id: &str, payload: &Value) -> Option<Value>;
}

/// Keeps a connection for as long as it is polled.
pub(super) async fn run(api: Api, taker: Arc<dyn Taker>, hosts: Hosts) {
    let mut failures = 0_u32;
    // Those that were told to go, and the one that stands. Dropped together with this future.
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let began = Instant::now();
        let why = match connect(&api, &hosts).await {
            Ok(link) => {
                let (leaving, left) = oneshot::channel();
                connections.spawn(serve(link, Arc::clone(&taker), leaving));
                // An end without a word drops the sender.
                left.await.unwrap_or(Left::Lost)
            }
            Err(why) => why,
        };
        if matches!(why, Left::ToldToGo) {
            tracing::debug!("Slack moves the connection; the next one is made beside it");
            failures = 0;
            continue;
        }
        failures = if began.elapsed() >= STOOD { 1 } else { failures.saturating_add(1) };
        let pause = pause(failures, &why);
        tracing::warn!(%why, seconds = pause.as_secs(), "no connection to Slack; trying again");
        metrics::counter!("countersign_slack_reconnects_total").increment(1);
        sleep(pause).await;
    }
}

/// Why there is no connection any more.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum Left {
    #[error("Slack told the connection to go")]
    ToldToGo,
    #[error("Socket Mode is switched off in the app's settings")]
    SwitchedOff,
    #[error("the app has as many connections as Slack allows")]
    TooMany,
    #[error("the connection was lost")]
    Lost,
    #[error("nothing was heard for {} s", SILENCE.as_secs())]
    Silent,
    #[error("{0}")]
    Api(#[from] ApiError),
    #[error("the address that Slack named is not one of Slack's")]
    Elsewhere,
    #[error("no connection: {0}")]
    Refused(String),
}

/// The pause before the next try: doubling, with a random half, and never shorter than Slack asked for.
fn pause(failures: u32, why: &Left) -> Duration {
    let whole = PAUSE_FIRST.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(PAUSE_LONGEST);
    let part = (whole / 2).mul_f64(f64::from(getrandom::u32().unwrap_or(u32::MAX)) / f64::from(u32::MAX));
    let asked = match why {
        Left::Api(ApiError::Limited(after)) => *after,
        Left::SwitchedOff | Left::TooMany => PAUSE_LONGEST,
        Left::ToldToGo | Left::Lost | Left::Silent | Left::Api(_) | Left::Elsewhere | Left::Refused(_) => {
            Duration::ZERO
        }
    };
    (whole / 2 + part).max(asked)
}

/// Which hosts a connection may go to.
#[derive(Clone)]
pub(super) enum Hosts {
    /// Slack's own, with TLS.
    Slack(TlsConnector),
    /// This machine, without TLS: the API's address was set to one here.
    Here,
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

type Link = WebSocketStream<Box<dyn Stream>>;

async fn connect(api: &Api, hosts: &Hosts) -> Result<Link, Left> {
    let address = api.open_connection().await?;
    let url: Url = address.parse().map_err(|_| Left::Elsewhere)?;
    let host = url.host_str().ok_or(Left::Elsewhere)?.to_owned();
    let port = url.port_or_known_default().ok_or(Left::Elsewhere)?;
    let refused = |error: &dyn std::fmt::Display| Left::Refused(error.to_string());
    let made = async {
        let stream: Box<dyn Stream> = match hosts {
            Hosts::Slack(tls) if url.scheme() == "wss" && is_slack(&host) => {
                let name = host.clone().try_into().map_err(|_| Left::Elsewhere)?;
                let tcp = TcpStream::connect((host.as_str(), port)).await.map_err(|error| refused(&error))?;
                Box::new(tls.connect(name, tcp).await.map_err(|error| refused(&error))?)
            }
            Hosts::Here if url.scheme() == "ws" && is_here(&host) => {
                Box::new(TcpStream::connect((host.as_str(), port)).await.map_err(|error| refused(&error))?)
            }
            Hosts::Slack(_) | Hosts::Here => return Err(Left::Elsewhere),
        };
        let mut config = WebSocketConfig::default();
        config.max_message_size = Some(FRAME_BYTES);
        config.max_frame_size = Some(FRAME_BYTES);
        let (mut link, _) =
            tokio_tungstenite::client_async_with_config(address.as_str(), stream, Some(config))
                .await
                .map_err(|error| refused(&error))?;
        hello(&mut link).await?;
        Ok(link)
    };
    timeout(CONNECT_PATIENCE + HELLO_PATIENCE, made).await.map_err(|_| Left::Silent)?
}

/// Waits for Slack's first word: before it nothing else comes.
async fn hello(link: &mut Link) -> Result<(), Left> {
    while let Some(Ok(message)) = link.next().await {
        let Message::Text(text) = message else { continue };
        match Envelope::read(&text) {
            Ok(envelope) if envelope.kind == "hello" => return Ok(()),
            Ok(envelope) if envelope.kind == "disconnect" => return Err(envelope.left()),
            _ => {}
        }
    }
    Err(Left::Lost)
}

pub(super) fn is_slack(host: &str) -> bool {
    host == "slack.com" || host.ends_with(".slack.com")
}

/// What comes on a connection.
#[derive(Deserialize)]
struct Envelope {
    #[serde(rename = "type")]
    kind: String,
    envelope_id: Option<String>,
    reason: Option<String>,
    #[serde(default)]
    payload: Value,
}

impl Envelope {
    fn read(text: &str) -> Result<Self, String> {
        let value = domain::canonical::read_foreign(text.as_bytes())?;
        serde_json::from_value(value).map_err(|error| error.to_string())
    }

    fn left(&self) -> Left {
        match self.reason.as_deref() {
            Some("link_disabled") => Left::SwitchedOff,
            Some("too_many_websockets") => Left::TooMany,
            _ => Left::ToldToGo,
        }
    }
}

/// An acknowledgement.
#[derive(Serialize)]
struct Ack<'a> {
    envelope_id: &'a str,
    #[serde(skip_serializing_if = "Value::is_null")]
    payload: Value,
}

/// Takes envelopes until the connection ends, and says so once, as soon as it must not be relied on.
async fn serve(mut link: Link, taker: Arc<dyn Taker>, leaving: oneshot::Sender<Left>) {
    let mut leaving = Some(leaving);
    let mut say = |why: Left| leaving.take().map(|leaving| leaving.send(why));
    let (acks, mut to_send) = mpsc::channel::<String>(super::limits::AT_ONCE);
    let mut heard = Clock::now();
    let mut ping = tokio::time::interval(PING_EVERY);
    let mut until = None;
    loop {
        let deadline = until.unwrap_or(heard + SILENCE);
        tokio::select! {
            message = link.next() => {
                let Some(Ok(message)) = message else {
                    say(Left::Lost);
                    return;
                };
                heard = Clock::now();
                match message {
                    Message::Text(text) => if let Some(why) = envelope(&text, &taker, &acks) {
                        say(why);
                        until = Some(Clock::now() + OVERLAP);
                    },
                    Message::Close(_) => say(Left::Lost).map_or((), drop),
                    // A ping is answered by the library as it is read.
                    Message::Ping(_) | Message::Pong(_) | Message::Binary(_) | Message::Frame(_) => {}
                }
            }
            Some(ack) = to_send.recv() => if link.send(Message::text(ack)).await.is_err() {
                say(Left::Lost);
                return;
            },
            _ = ping.tick() => if link.send(Message::Ping(Vec::new().into())).await.is_err() {
                say(Left::Lost);
                return;
            },
            () = tokio::time::sleep_until(deadline) => {
                say(Left::Silent);
                let _ = link.close(None).await;
                return;
            }
        }
    }
}

/// Hands an envelope on; or says that the connection was told to go.
fn envelope(text: &str, taker: &Arc<dyn Taker>, acks: &mpsc::Sender<String>) -> Option<Left> {
    let envelope = match Envelope::read(text) {
        Ok(envelope) => envelope,
        Err(error) => {
            tracing::warn!(%error, "a message on the connection to Slack is not understood");
            return None;
        }
    };
    if envelope.kind == "disconnect" {
        return Some(envelope.left());
    }
    let (kind, id) = Kind::of(&envelope.kind).zip(envelope.envelope_id)?;
    let (taker, acks) = (Arc::clone(taker), acks.clone());
    // The work outlives the connection: a click that was acknowledged is worked on whatever becomes of the line.
    tokio::spawn(async move {
        if let Some(payload) = taker.take(kind, &id, &envelope.payload).await
            && let Ok(ack) = serde_json::to_string(&Ack { envelope_id: &id, payload })
        {
            // The connection may be gone; Slack then tells whoever clicked, or sends an event again.
            let _ = acks.send(ack).await;
        }
    });
    None
}
