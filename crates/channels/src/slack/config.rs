//! What the bootstrap file says of Slack.

use std::path::Path;
use std::sync::Arc;

use domain::id::TargetName;
use outbound::http::is_here;
use outbound::secret::{Secret, SecretRef};
use reqwest::Url;
use serde::Deserialize;

use super::api::Api;
use super::deliver::Slack;
use super::handle::Desk;
use super::limits::ID_BYTES;
use super::socket::{self, Hosts};
use super::verify::Verifier;
use super::{http, tls};
use crate::ChannelError;
use crate::click::Clicks;
use crate::deliver::Fitted;

/// `[channels.slack]`: one app in one workspace.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SlackConfig {
    /// The app's id, `A…`, from its page "Basic Information". A click through another app is nobody's.
    pub app: String,
    /// The workspace's id, `T…`, from its address in a browser. A click in another workspace is nobody's.
    pub team: String,
    /// The bot's token, `xoxb-…`.
    pub bot_token: SecretRef,
    /// The app-level token, `xapp-…`, with `connections:write`: clicks come over a connection that we make (Socket Mode).
    pub app_token: Option<SecretRef>,
    /// The signing secret: clicks come as signed requests to `/channels/slack` instead.
    pub signing_secret: Option<SecretRef>,
    /// Slack's Web API; another address is for tests.
    #[serde(default = "api_url")]
    pub api_url: String,
}

fn api_url() -> String {
    "https://slack.com/api/".to_owned()
}

/// What counts as ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Workspace {
    /// The app's id, `A…`.
    pub(super) app: String,
    /// The workspace's id, `T…`.
    pub(super) team: String,
}

/// How clicks come in.
enum Transport {
    Socket(Secret),
    Requests(Secret),
}

impl SlackConfig {
    /// Makes relative paths relative to the file's folder.
    pub fn rebase(&mut self, folder: &Path) {
        let optional = self.app_token.iter_mut().chain(&mut self.signing_secret);
        for secret in std::iter::once(&mut self.bot_token).chain(optional) {
            secret.rebase(folder);
        }
    }

    /// Slack, ready; its secrets are read. `clicks` is where clicks go. Nothing is asked of Slack yet.
    ///
    /// # Errors
    /// [`ChannelError::Config`] in words: an id that is none, a secret that cannot be read or is of another kind, both or
    /// neither way for clicks, an address without TLS.
    pub fn build(&self, clicks: &Arc<dyn Clicks>) -> Result<Fitted, ChannelError> {
        let name: TargetName = NAME.parse().map_err(|error| ChannelError::config(NAME, error))?;
        self.fit(name, clicks).map_err(|why| ChannelError::config(NAME, why))
    }

    fn fit(&self, name: TargetName, clicks: &Arc<dyn Clicks>) -> Result<Fitted, String> {
        let workspace = Workspace::new(&self.app, &self.team)?;
        let url = address(&self.api_url)?;
        let transport = self.transport()?;
        let slack =
            Slack::new(name, Api::new(&url, &token("bot_token", &self.bot_token, "xoxb-")?)?, workspace);
        let channel = Arc::clone(&slack);
        Ok(match transport {
            Transport::Socket(token) => {
                let desk = Desk::new(slack, Arc::clone(clicks), "socket");
                let api = Api::new(&url, &token)?;
                let hosts =
                    if url.scheme() == "http" { Hosts::Here } else { Hosts::Slack(tls::connector()?) };
                let task = Box::new(move |mut stop: tokio::sync::watch::Receiver<bool>| {
                    let work: std::pin::Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(async move {
                        tokio::select! {
                            () = socket::run(api, Arc::new(desk), hosts) => {}
                            _ = stop.wait_for(|stop| *stop) => {}
                        }
                    });
                    work
                });
                Fitted { channel, router: axum::Router::new(), task: Some(task) }
            }
            Transport::Requests(secret) => {
                let desk = Desk::new(slack, Arc::clone(clicks), "signed request");
                let router = http::router(REQUESTS_PATH, Verifier::new(secret), desk);
                Fitted { channel, router, task: None }
            }
        })
    }

    fn transport(&self) -> Result<Transport, String> {
        match (&self.app_token, &self.signing_secret) {
            (Some(reference), None) => Ok(Transport::Socket(token("app_token", reference, "xapp-")?)),
            (None, Some(reference)) => {
                let secret = reference.read().map_err(|why| format!("`signing_secret`: {why}"))?;
                Ok(Transport::Requests(secret))
            }
            (Some(_), Some(_)) => {
                Err("`app_token` and `signing_secret` are two ways for clicks: name one".to_owned())
            }
            (None, None) => {
                Err("clicks have no way in: name `app_token` (Socket Mode) or `signing_secret`".to_owned())
            }
        }
    }
}

/// The channel's name, in routes too.
pub(super) const NAME: &str = "slack";

/// Where signed requests come in.
pub(super) const REQUESTS_PATH: &str = "/channels/slack";

impl Workspace {
    /// The two ids.
    ///
    /// # Errors
    /// In words, where one is none of Slack's.
    pub(super) fn new(app: &str, team: &str) -> Result<Self, String> {
        let id = |what: &str, text: &str, first: char| {
            let good = text.starts_with(first)
                && (2..=ID_BYTES).contains(&text.len())
                && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
            let why = || format!("`{what}` is expected to be an id like `{first}0123ABCD`");
            good.then(|| text.to_owned()).ok_or_else(why)
        };
        Ok(Self { app: id("app", app, 'A')?, team: id("team", team, 'T')? })
    }
}

/// A token of one kind: the other kinds open other doors.
fn token(what: &str, reference: &SecretRef, prefix: &str) -> Result<Secret, String> {
    let secret = reference.read().map_err(|why| format!("`{what}`: {why}"))?;
    if secret.expose().starts_with(prefix) {
        Ok(secret)
    } else {
        Err(format!("`{what}` is expected to begin with `{prefix}`"))
    }
}

/// The API's address: with TLS, or on this machine.
fn address(text: &str) -> Result<Url, String> {
    let url = outbound::http::address(text)?;
    let here = url.scheme() == "https" || url.host_str().is_some_and(is_here);
    if here && url.path().ends_with('/') {
        Ok(url)
    } else {
        Err(format!("`{text}` is expected to end in `/`"))
    }
}
