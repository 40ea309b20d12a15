//! Standard Webhooks (<https://www.standardwebhooks.com>): one request an event, signed with HMAC-SHA256 over
//! `id.timestamp.body`. The id is the event's own, so that a receiver knows one that it has had.

use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use domain::time::Timestamp;
use outbound::webhook::SigningKey;
use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, Url};
use serde::Deserialize;

use super::config::SecretRef;
use super::{Appetite, Delivered, Failure, Parcel, Sink, http};
use crate::export::{cloudevents, rfc3339};
use crate::limits::{BATCH_BYTES, BATCH_EVENTS};

/// An endpoint.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebhookConfig {
    /// Its address.
    pub url: String,
    /// The secret that its receiver checks with: `whsec_` and base64.
    pub secret: SecretRef,
    /// Who vouches for its certificate, PEM; the usual authorities where it is not given.
    pub ca: Option<PathBuf>,
}

/// Sends webhooks.
pub struct WebhookSink {
    client: Client,
    url: Url,
    key: SigningKey,
}

impl std::fmt::Debug for WebhookSink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("WebhookSink(..)")
    }
}

impl WebhookSink {
    /// Webhooks to the configured endpoint.
    ///
    /// # Errors
    /// In words: an address without TLS, a secret that is none.
    pub fn new(config: &WebhookConfig) -> Result<Self, String> {
        let key = SigningKey::read(&config.secret.read()?)?;
        Ok(Self { client: http::client(config.ca.as_deref())?, url: http::address(&config.url)?, key })
    }

    async fn send(&self, parcel: &Parcel, now: Timestamp) -> Result<(), Failure> {
        let event = &parcel.told.event;
        let body = body(parcel)?;
        // The receiver holds it against its own clock: the time of this try, not of the event.
        let timestamp = (now.micros() / 1_000_000).to_string();
        let signature = self.key.sign(&event.id, &timestamp, &body).map_err(Failure::new)?;
        let response = self
            .client
            .post(self.url.clone())
            .header(CONTENT_TYPE, "application/json")
            .header("webhook-id", &event.id)
            .header("webhook-timestamp", &timestamp)
            .header("webhook-signature", signature)
            .body(body)
            .send()
            .await
            .map_err(http::unreachable)?;
        if response.status().is_success() { Ok(()) } else { Err(http::refused(&response)) }
    }
}

/// The payload as the specification recommends it: type, timestamp, data.
fn body(parcel: &Parcel) -> Result<String, Failure> {
    let event = &parcel.told.event;
    let quoted = |text: String| serde_json::to_string(&text).map_err(Failure::new);
    let (kind, time) = (quoted(cloudevents::kind(event))?, quoted(rfc3339(event.time))?);
    Ok(format!("{{\"type\":{kind},\"timestamp\":{time},\"data\":{}}}", parcel.text))
}

#[async_trait]
impl Sink for WebhookSink {
    fn appetite(&self) -> Appetite {
        // One after the other, in their order: few at a time, so that the place is kept often.
        Appetite { events: BATCH_EVENTS / 8, bytes: BATCH_BYTES, linger: Duration::ZERO }
    }

    async fn deliver(&mut self, batch: &[Parcel], now: Timestamp) -> Delivered {
        for (count, parcel) in batch.iter().enumerate() {
            if let Err(failure) = self.send(parcel, now).await {
                return Delivered::partly(count, failure);
            }
        }
        Delivered::all(batch)
    }
}
