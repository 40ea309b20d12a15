//! Standard Webhooks (<https://www.standardwebhooks.com>): one request an event, signed with HMAC-SHA256 over
//! `id.timestamp.body`. The id is the event's own, so that a receiver knows one that it has had.

use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::time::Timestamp;
use hmac::{Hmac, KeyInit as _, Mac as _};
use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, Url};
use serde::Deserialize;
use sha2::Sha256;
use zeroize::Zeroizing;

use super::config::{SecretRef, words};
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

/// The shortest and longest secret, in bytes, as the specification has them.
const SECRET_LENGTH: std::ops::RangeInclusive<usize> = 24..=64;

/// Sends webhooks.
pub struct WebhookSink {
    client: Client,
    url: Url,
    key: Zeroizing<Vec<u8>>,
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
        let secret = config.secret.read()?;
        let text = secret.expose();
        let key = STANDARD.decode(text.strip_prefix("whsec_").unwrap_or(text)).map(Zeroizing::new);
        let key = key
            .ok()
            .filter(|key| SECRET_LENGTH.contains(&key.len()))
            .ok_or_else(|| "the secret is expected to be `whsec_` and 24 to 64 bytes in base64".to_owned())?;
        Ok(Self { client: http::client(config.ca.as_deref())?, url: http::address(&config.url)?, key })
    }

    async fn send(&self, parcel: &Parcel, now: Timestamp) -> Result<(), Failure> {
        let event = &parcel.told.event;
        let body = body(parcel)?;
        // The receiver holds it against its own clock: the time of this try, not of the event.
        let timestamp = (now.micros() / 1_000_000).to_string();
        let signature = sign(&self.key, &event.id, &timestamp, &body)?;
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

/// The signature header's value, version `v1`.
fn sign(key: &[u8], id: &str, timestamp: &str, body: &str) -> Result<String, Failure> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).map_err(|error| Failure::new(words(error)))?;
    for part in [id, ".", timestamp, ".", body] {
        mac.update(part.as_bytes());
    }
    Ok(format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes())))
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

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification's reference libraries.
    #[test]
    fn the_signature_is_the_specifications() {
        let key = STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let signed =
            sign(&key, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", "{\"test\": 2432232314}").unwrap();
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }
}
