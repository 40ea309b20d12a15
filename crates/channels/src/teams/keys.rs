//! The Bot Framework's signing keys: found through its OpenID metadata, kept, and fetched again in time.

use std::sync::Arc;
use std::time::Instant;

use reqwest::{Client, Url};
use serde::Deserialize;
use tokio::sync::Mutex;

use super::limits::{KEYS_BYTES, KEYS_FRESH, KEYS_OLDEST, KEYS_PAUSE};
use super::token::{ISSUER, KeySet};
use super::wire;

/// Where the metadata stands, unless the configuration says otherwise.
pub(super) const METADATA_URL: &str = "https://login.botframework.com/v1/.well-known/openidconfiguration";

/// The keys, and where they come from.
pub(super) struct Keys {
    client: Client,
    metadata: Url,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    keys: Option<(Arc<KeySet>, Instant)>,
    tried: Option<Instant>,
}

impl Keys {
    pub(super) fn new(client: Client, metadata: Url) -> Self {
        tracing::info!(%metadata, "Teams: tokens are checked with the keys that this metadata names");
        Self { client, metadata, held: Mutex::default() }
    }

    /// The key set to check a token with that names this key; nothing where there is none fresh enough. An unknown key
    /// and an old set are fetched again, but never more often than once in [`KEYS_PAUSE`].
    pub(super) async fn for_key(&self, kid: &str) -> Option<Arc<KeySet>> {
        let mut held = self.held.lock().await;
        let now = Instant::now();
        let known = held
            .keys
            .as_ref()
            .is_some_and(|(keys, at)| keys.has(kid) && now.saturating_duration_since(*at) < KEYS_FRESH);
        let may_try = held.tried.is_none_or(|tried| now.saturating_duration_since(tried) >= KEYS_PAUSE);
        if !known && may_try {
            held.tried = Some(now);
            match self.fetch().await {
                Ok(keys) => held.keys = Some((Arc::new(keys), now)),
                Err(why) => {
                    tracing::warn!(metadata = %self.metadata, why, "Teams: cannot fetch the signing keys")
                }
            }
        }
        let (keys, at) = held.keys.as_ref()?;
        (now.saturating_duration_since(*at) < KEYS_OLDEST).then(|| Arc::clone(keys))
    }

    async fn fetch(&self) -> Result<KeySet, String> {
        #[derive(Deserialize)]
        struct Metadata {
            issuer: String,
            jwks_uri: String,
        }
        let body = wire::get(&self.client, self.metadata.clone(), KEYS_BYTES).await?;
        let value = domain::canonical::read_foreign(&body)?;
        let metadata: Metadata = serde_json::from_value(value).map_err(|error| error.to_string())?;
        if metadata.issuer != ISSUER {
            return Err(format!("the metadata is of the issuer `{}`, not `{ISSUER}`", metadata.issuer));
        }
        let keys = outbound::http::address(&metadata.jwks_uri)?;
        KeySet::read(&wire::get(&self.client, keys, KEYS_BYTES).await?)
    }
}
