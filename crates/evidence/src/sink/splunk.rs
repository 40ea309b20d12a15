//! Splunk's HTTP Event Collector: many events a request, and where the token has indexer acknowledgement switched
//! on, a request counts only once it is acknowledged.

use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use domain::canonical;
use domain::id::Origin;
use domain::time::Timestamp;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::{Client, Url};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::config::{SecretRef, words};
use super::{Appetite, Delivered, Failure, Parcel, Sink, http};
use crate::limits::{ACK_EVERY, ACK_PATIENCE, BATCH_BYTES, BATCH_EVENTS};

/// A collector.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SplunkConfig {
    /// Its address, such as `https://splunk.example:8088`.
    pub url: String,
    /// Its token.
    pub token: SecretRef,
    /// The index; the token's own where it is not given.
    pub index: Option<String>,
    /// The source type.
    #[serde(default = "source_type")]
    pub source_type: String,
    /// Whether the token has indexer acknowledgement switched on.
    #[serde(default)]
    pub acknowledge: bool,
    /// Who vouches for its certificate, PEM; the usual authorities where it is not given.
    pub ca: Option<PathBuf>,
}

fn source_type() -> String {
    "countersign:trail".to_owned()
}

/// Sends to a collector.
pub struct SplunkSink {
    client: Client,
    events: Url,
    acknowledgements: Option<Url>,
    authorization: HeaderValue,
    /// One channel a run: acknowledgements are counted within it.
    channel: String,
    host: String,
    index: Option<String>,
    source_type: String,
}

impl std::fmt::Debug for SplunkSink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SplunkSink(..)")
    }
}

impl SplunkSink {
    /// Events to the configured collector.
    ///
    /// # Errors
    /// In words: an address without TLS, a token that cannot be read or sent.
    pub fn new(config: &SplunkConfig, origin: &Origin) -> Result<Self, String> {
        let base = http::address(&config.url)?;
        let at = |path: &str| base.join(path).map_err(words);
        let token = config.token.read()?;
        let mut authorization = HeaderValue::try_from(format!("Splunk {}", token.expose())).map_err(words)?;
        authorization.set_sensitive(true);
        let mut random = [0; 16];
        getrandom::fill(&mut random).map_err(words)?;
        let channel = uuid::Builder::from_random_bytes(random).into_uuid().to_string();
        Ok(Self {
            client: http::client(config.ca.as_deref())?,
            events: at("/services/collector/event")?,
            acknowledgements: config.acknowledge.then(|| at("/services/collector/ack")).transpose()?,
            authorization,
            channel,
            host: origin.to_string(),
            index: config.index.clone(),
            source_type: config.source_type.clone(),
        })
    }

    async fn send(&self, batch: &[Parcel]) -> Result<(), Failure> {
        let mut body = String::new();
        for parcel in batch {
            body.push_str(&self.envelope(parcel)?);
            body.push('\n');
        }
        let answer = self.post(&self.events, body).await?;
        let answer = canonical::read_value(&answer)
            .map_err(|_| Failure::new("what answers is no collector of Splunk's"))?;
        if answer.get("code").and_then(Value::as_u64) != Some(0) {
            let text = answer.get("text").and_then(Value::as_str).unwrap_or("no reason given");
            return Err(Failure::new(format!("Splunk refused: {}", domain::text::visible(text))));
        }
        match &self.acknowledgements {
            None => Ok(()),
            Some(url) => {
                let id = answer.get("ackId").and_then(Value::as_u64).ok_or_else(|| {
                    Failure::new("Splunk names no acknowledgement; switch it on for the token, or off here")
                })?;
                self.acknowledged(url, id).await
            }
        }
    }

    async fn acknowledged(&self, url: &Url, id: u64) -> Result<(), Failure> {
        let end = Instant::now() + ACK_PATIENCE;
        while Instant::now() < end {
            let answer = self.post(url, json!({ "acks": [id] }).to_string()).await?;
            let answer = canonical::read_value(&answer).map_err(|error| Failure::new(words(error)))?;
            let known = answer.get("acks").and_then(|acks| acks.get(id.to_string())).and_then(Value::as_bool);
            if known == Some(true) {
                return Ok(());
            }
            tokio::time::sleep(ACK_EVERY).await;
        }
        Err(Failure::new("Splunk did not acknowledge in time"))
    }

    async fn post(&self, url: &Url, body: String) -> Result<Vec<u8>, Failure> {
        let response = self
            .client
            .post(url.clone())
            .header(AUTHORIZATION, self.authorization.clone())
            .header("x-splunk-request-channel", &self.channel)
            .header(CONTENT_TYPE, "application/json")
            .body(body)
            .send()
            .await
            .map_err(http::unreachable)?;
        if !response.status().is_success() {
            return Err(http::refused(&response));
        }
        http::body(response).await
    }

    /// The collector's envelope; the place in the log stands in indexed fields.
    fn envelope(&self, parcel: &Parcel) -> Result<String, Failure> {
        let event = &parcel.told.event;
        let micros = event.time.micros();
        let text = |text: &str| serde_json::to_string(text).map_err(Failure::new);
        let mut envelope = format!(
            "{{\"time\":{}.{:06},\"host\":{},\"source\":\"countersign\",\"sourcetype\":{}",
            micros / 1_000_000,
            micros % 1_000_000,
            text(&self.host)?,
            text(&self.source_type)?,
        );
        if let Some(index) = &self.index {
            envelope.push_str(&format!(",\"index\":{}", text(index)?));
        }
        let mut fields = json!({ "event_id": event.id, "kind": event.kind.as_str() });
        if let (Value::Object(members), Some(log)) = (&mut fields, event.log) {
            members.insert("log_index".to_owned(), log.index.to_string().into());
            members.insert("checkpoint_size".to_owned(), log.size.to_string().into());
            if let Some(leaf) = log.leaf {
                members.insert("leaf_hash".to_owned(), leaf.to_string().into());
            }
        }
        Ok(format!("{envelope},\"fields\":{fields},\"event\":{}}}", parcel.text))
    }
}

#[async_trait]
impl Sink for SplunkSink {
    fn appetite(&self) -> Appetite {
        Appetite { events: BATCH_EVENTS, bytes: BATCH_BYTES, linger: Duration::ZERO }
    }

    async fn deliver(&mut self, batch: &[Parcel], _now: Timestamp) -> Delivered {
        match self.send(batch).await {
            Ok(()) => Delivered::all(batch),
            Err(failure) => Delivered::partly(0, failure),
        }
    }
}
