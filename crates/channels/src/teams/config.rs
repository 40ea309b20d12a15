//! What the bootstrap file says of Teams.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::post;
use domain::id::TargetName;
use outbound::http::{self, Patience};
use outbound::secret::SecretRef;
use serde::Deserialize;
use tokio::sync::{Mutex, Semaphore};
use uuid::Uuid;

use super::NAME;
use super::connector::{Connector, ServiceHosts};
use super::deliver::Teams;
use super::handle::{Bot, receive};
use super::keys::{Keys, METADATA_URL};
use super::limits::{AT_ONCE, BODY_BYTES, CALL_PATIENCE, CONNECT_PATIENCE, SERVICE_HOSTS};
use super::memory::Memory;
use crate::ChannelError;
use crate::click::Clicks;
use crate::deliver::Fitted;

/// Where Teams sends activities, below the gateway's public address: the bot's messaging endpoint.
pub const ENDPOINT: &str = "/channels/teams/messages";
/// Where the public cloud's bots answer to.
const SERVICE_URL: &str = "https://smba.trafficmanager.net/teams/";
/// Its host.
const SERVICE_HOST: &str = "smba.trafficmanager.net";

/// `[channels.teams]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TeamsConfig {
    /// The bot's app id (client id) in Entra.
    pub app: Uuid,
    /// The tenant whose people it serves. All others are refused.
    pub tenant: Uuid,
    /// The app's client secret.
    pub secret: SecretRef,
    /// The OpenID metadata of who signs what comes in; the Bot Framework's where it is not given.
    pub metadata_url: Option<String>,
    /// Where access tokens come from; the tenant's at `login.microsoftonline.com` where it is not given.
    pub token_url: Option<String>,
    /// The service URL for the first message to anybody; the public cloud's where it is not given.
    pub service_url: Option<String>,
    /// The hosts that messages and the access token may go to, with a port where it is not the usual one; the public
    /// cloud's where it is not given.
    pub service_hosts: Option<BTreeSet<String>>,
    /// Who vouches for the certificates of all of them, PEM; the usual authorities where it is not given.
    pub ca: Option<PathBuf>,
}

impl TeamsConfig {
    /// Makes relative paths relative to the file's folder.
    pub(crate) fn rebase(&mut self, folder: &Path) {
        self.secret.rebase(folder);
        if let Some(ca) = &mut self.ca {
            *ca = folder.join(&ca);
        }
    }

    /// The channel, ready; its secret is read. `clicks` is where clicks go.
    ///
    /// # Errors
    /// [`ChannelError::Config`] in words.
    pub(crate) fn build(&self, clicks: &Arc<dyn Clicks>) -> Result<Fitted, ChannelError> {
        self.fit(clicks).map_err(|why| ChannelError::config(NAME, why))
    }

    fn fit(&self, clicks: &Arc<dyn Clicks>) -> Result<Fitted, String> {
        let name: TargetName = NAME.parse().map_err(|error: domain::Malformed| error.to_string())?;
        let tenant = self.tenant.to_string();
        let patience = Patience { connect: CONNECT_PATIENCE, answer: CALL_PATIENCE };
        let client = http::client(self.ca.as_deref(), patience)?;
        let metadata = http::address(self.metadata_url.as_deref().unwrap_or(METADATA_URL))?;
        let token_url = match &self.token_url {
            Some(url) => http::address(url)?,
            None => http::address(&format!("https://login.microsoftonline.com/{tenant}/oauth2/v2.0/token"))?,
        };
        let hosts = self.service_hosts.clone().unwrap_or_else(|| BTreeSet::from([SERVICE_HOST.to_owned()]));
        if hosts.is_empty() || hosts.len() > SERVICE_HOSTS {
            return Err(format!("`service_hosts` names 1 to {SERVICE_HOSTS} hosts"));
        }
        let hosts = ServiceHosts(hosts);
        let first = hosts.allow(self.service_url.as_deref().unwrap_or(SERVICE_URL))?;
        let connector = Arc::new(Connector {
            client: client.clone(),
            app: self.app.to_string(),
            tenant,
            secret: self.secret.read()?,
            token_url,
            hosts,
            access: Mutex::new(None),
        });
        let memory = Arc::new(Memory::default());
        let bot = Bot {
            name: name.clone(),
            keys: Keys::new(client, metadata),
            connector: Arc::clone(&connector),
            memory: Arc::clone(&memory),
            clicks: Arc::clone(clicks),
            room: Arc::new(Semaphore::new(AT_ONCE)),
        };
        let router = Router::new()
            .route(ENDPOINT, post(receive))
            .layer(DefaultBodyLimit::max(BODY_BYTES))
            .with_state(Arc::new(bot));
        Ok(Fitted { channel: Arc::new(Teams { name, connector, memory, first }), router, task: None })
    }
}
