//! Signed webhooks (Standard Webhooks): a customer's own surface hears of every request and of all that comes of it, and
//! decides through the API as anybody does. A webhook never decides.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use domain::id::TargetName;
use outbound::http::{self, Patience};
use outbound::secret::SecretRef;
use outbound::webhook::SigningKey;
use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, StatusCode, Url};
use serde::Deserialize;

use crate::ChannelError;
use crate::card::Card;
use crate::deliver::{Channel, Delivery, Failed, Fitted, Placed};
use crate::limits::{CONNECT_PATIENCE, TRY_PATIENCE};

mod body;

#[cfg(test)]
mod tests;

/// `[channels.webhooks.NAME]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebhookConfig {
    /// Its address: `https://`, or on this machine.
    pub url: String,
    /// The secret that its receiver checks with: `whsec_` and base64.
    pub secret: SecretRef,
    /// Who vouches for its certificate, PEM; the usual authorities where it is not given.
    pub ca: Option<PathBuf>,
}

impl WebhookConfig {
    pub(crate) fn rebase(&mut self, folder: &Path) {
        self.secret.rebase(folder);
        if let Some(ca) = &mut self.ca {
            *ca = folder.join(&ca);
        }
    }

    pub(crate) fn build(&self, name: &TargetName) -> Result<Fitted, ChannelError> {
        let patience = Patience { connect: CONNECT_PATIENCE, answer: TRY_PATIENCE };
        let built = || -> Result<Webhook, String> {
            Ok(Webhook {
                name: name.clone(),
                client: http::client(self.ca.as_deref(), patience)?,
                url: http::address(&self.url)?,
                key: SigningKey::read(&self.secret.read()?)?,
            })
        };
        let channel = built().map_err(|why| ChannelError::config(name.as_str(), why))?;
        Ok(Fitted { channel: Arc::new(channel), router: axum::Router::new(), task: None })
    }
}

/// One receiver.
struct Webhook {
    name: TargetName,
    client: Client,
    url: Url,
    key: SigningKey,
}

impl Webhook {
    async fn send(&self, kind: &str, card: &Card) -> Result<Placed, Failed> {
        let id = body::id(card, kind);
        let body = body::write(kind, card).map_err(Failed::never)?;
        // The receiver holds it against its own clock: the time of this try.
        let now = (card.made.micros() / 1_000_000).to_string();
        let signature = self.key.sign(&id, &now, &body).map_err(Failed::never)?;
        let sent = self
            .client
            .post(self.url.clone())
            .header(CONTENT_TYPE, "application/json")
            .header("webhook-id", &id)
            .header("webhook-timestamp", &now)
            .header("webhook-signature", signature)
            .body(body)
            .send()
            .await;
        let response = sent.map_err(|error| Failed::later(http::unreachable(error)))?;
        let why = http::refused(&response);
        match response.status() {
            status if status.is_success() => {
                Ok(Placed { team: String::new(), place: self.name.to_string(), message: id, extra: None })
            }
            // The specification: the receiver wants no more.
            StatusCode::GONE => Err(Failed::Never { why }),
            _ => Err(Failed::Later { after: http::retry_after(&response), why }),
        }
    }
}

#[async_trait]
impl Channel for Webhook {
    fn name(&self) -> &TargetName {
        &self.name
    }

    fn decides(&self) -> bool {
        false
    }

    async fn post(&self, _: &Delivery, card: &Card) -> Result<Placed, Failed> {
        self.send("approval.requested", card).await
    }

    async fn update(&self, _: &Placed, card: &Card) -> Result<Placed, Failed> {
        self.send("approval.updated", card).await
    }

    async fn remind(&self, _: &Placed, card: &Card) -> Result<(), Failed> {
        self.send("approval.waiting", card).await.map(|_| ())
    }
}
