//! An agent's own side: its key file, and the access token that it trades for.

use std::path::Path;

use anyhow::{Context as _, bail};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::id::AgentId;
use domain::time::Timestamp;
use gateway::ports::{Entropy as _, SystemEntropy};
use identity::AgentKey;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::client::Client;
use crate::commands::now_micros;
use crate::keys;

/// RFC 7523's grant type.
const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

/// What `agent new` writes, for the agent alone: whoever has it is the agent.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AgentFile {
    /// The agent.
    pub(crate) id: AgentId,
    /// Its name.
    pub(crate) name: String,
    /// The gateway's address.
    pub(crate) url: String,
    /// The deployment, for which its assertions are made.
    pub(crate) origin: String,
    /// The secret half of its Ed25519 key, 32 bytes in base64url.
    key: String,
}

/// A new key's secret half.
pub(crate) struct NewKey([u8; 32]);

impl NewKey {
    pub(crate) fn draw() -> anyhow::Result<Self> {
        let mut secret = [0; 32];
        SystemEntropy.fill(&mut secret)?;
        Ok(Self(secret))
    }

    /// The public half, as the directory takes it.
    pub(crate) fn public(&self) -> String {
        URL_SAFE_NO_PAD.encode(AgentKey::new(&self.0).public().0)
    }

    /// The file of the agent that has this key.
    pub(crate) fn file(&self, id: AgentId, name: &str, url: &str, origin: &str) -> AgentFile {
        let key = URL_SAFE_NO_PAD.encode(self.0);
        AgentFile { id, name: name.to_owned(), url: url.to_owned(), origin: origin.to_owned(), key }
    }
}

impl AgentFile {
    /// Reads a key file that nobody else can.
    pub(crate) fn read(path: &Path) -> anyhow::Result<Self> {
        let text =
            std::fs::read_to_string(path).with_context(|| format!("cannot read `{}`", path.display()))?;
        keys::check_private(path)?;
        let wrong =
            || format!("`{}` is no agent's key file; `countersign agent new` writes one", path.display());
        serde_json::from_str(&text).with_context(wrong)
    }

    /// Writes a new key file, for this user alone.
    pub(crate) fn write(&self, path: &Path) -> anyhow::Result<()> {
        keys::write_private(path, &serde_json::to_string_pretty(self)?)
    }

    /// Trades a signed assertion for an access token, good for a quarter of an hour.
    pub(crate) async fn token(&self, client: &Client) -> anyhow::Result<Value> {
        let secret =
            URL_SAFE_NO_PAD.decode(&self.key).ok().and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
        let Some(secret) = secret else { bail!("the key file of `{}` does not hold a key", self.name) };
        let mut random = [0; 16];
        SystemEntropy.fill(&mut random)?;
        let now = Timestamp::from_micros(now_micros());
        let assertion = AgentKey::new(&secret).assertion(self.id, &self.origin, now, &random)?;
        let answer = client.form("/v1/token", &[("grant_type", GRANT_TYPE), ("assertion", &assertion)]).await;
        answer.with_context(|| format!("the agent `{}` gets no token", self.name))
    }

    /// The gateway, as this agent.
    pub(crate) async fn sign_in(&self, url: Option<&str>) -> anyhow::Result<Client> {
        let client = Client::anonymous(Some(url.unwrap_or(&self.url)))?;
        let answer = self.token(&client).await?;
        let token = answer
            .get("access_token")
            .and_then(Value::as_str)
            .context("the gateway's answer has no token")?;
        Ok(client.with_bearer(token))
    }
}
