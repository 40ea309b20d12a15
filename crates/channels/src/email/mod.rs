//! E-mail: it notifies and links, and never decides. Scanners open links and send forms, so nothing that a mail holds
//! decides anything.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use domain::id::{PersonId, TargetName};
use jiff::tz::TimeZone;
use lettre::message::Mailbox;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Tokio1Executor};
use outbound::http::is_here;
use outbound::secret::SecretRef;
use serde::Deserialize;

use crate::ChannelError;
use crate::card::Card;
use crate::deliver::{Channel, Delivery, Failed, Fitted, Place, Placed};
use crate::limits::TRY_PATIENCE;

mod message;

#[cfg(test)]
mod tests;

/// The channel's name, as routes have it.
pub const NAME: &str = "email";

/// `[channels.email]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EmailConfig {
    /// The server that takes our mail.
    pub host: String,
    /// Its port; 465 for `tls`, 587 for `starttls`, 25 for `none` where it is not given.
    pub port: Option<u16>,
    /// How the connection is protected.
    #[serde(default)]
    pub security: Security,
    /// Who vouches for its certificate, PEM; the usual authorities where it is not given.
    pub ca: Option<PathBuf>,
    /// As whom we sign in; not at all where it is not given.
    pub user: Option<String>,
    /// With which password.
    pub password: Option<SecretRef>,
    /// Who the mail is from: `Countersign <countersign@example.com>`. Its domain signs with DKIM, at the server.
    pub from: String,
    /// Where people's mail goes, by their ids: for routes to `people`.
    #[serde(default)]
    pub people: BTreeMap<PersonId, String>,
}

/// How the connection to the server is protected.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Security {
    /// TLS from the first byte.
    Tls,
    /// TLS before anything else is said (RFC 3207); without it nothing is sent.
    #[default]
    Starttls,
    /// Nothing: only for a server on this machine.
    None,
}

impl EmailConfig {
    pub(crate) fn rebase(&mut self, folder: &Path) {
        if let Some(password) = &mut self.password {
            password.rebase(folder);
        }
        if let Some(ca) = &mut self.ca {
            *ca = folder.join(&ca);
        }
    }

    pub(crate) fn build(&self, zone: TimeZone) -> Result<Fitted, ChannelError> {
        let channel = self.channel(zone).map_err(|why| ChannelError::config(NAME, why))?;
        Ok(Fitted { channel: Arc::new(channel), router: axum::Router::new(), task: None })
    }

    fn channel(&self, zone: TimeZone) -> Result<Email, String> {
        let from: Mailbox = self.from.parse().map_err(|error| format!("`from`: {error}"))?;
        for address in self.people.values() {
            address.parse::<Mailbox>().map_err(|error| format!("`people`: `{address}`: {error}"))?;
        }
        let name = NAME.parse().map_err(|error: domain::Malformed| error.to_string())?;
        Ok(Email { name, domain: from.email.domain().to_owned(), from, zone, transport: self.transport()? })
    }

    fn transport(&self) -> Result<AsyncSmtpTransport<Tokio1Executor>, String> {
        let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&self.host);
        let (port, tls) = match self.security {
            Security::Tls => (465, Tls::Wrapper(self.tls()?)),
            Security::Starttls => (587, Tls::Required(self.tls()?)),
            Security::None if is_here(&self.host) => (25, Tls::None),
            Security::None => {
                return Err(format!(
                    "`{}` is not this machine: only a server here goes without TLS",
                    self.host
                ));
            }
        };
        builder = builder.port(self.port.unwrap_or(port)).tls(tls).timeout(Some(TRY_PATIENCE));
        builder = match (&self.user, &self.password) {
            (Some(user), Some(password)) => {
                let password = password.read()?;
                builder.credentials(Credentials::new(user.clone(), password.expose().to_owned()))
            }
            (None, None) => builder,
            (Some(_), None) | (None, Some(_)) => {
                return Err("`user` and `password` are given together, or not at all".to_owned());
            }
        };
        Ok(builder.build())
    }

    fn tls(&self) -> Result<TlsParameters, String> {
        let mut builder = TlsParameters::builder(self.host.clone());
        if let Some(path) = &self.ca {
            let pem =
                std::fs::read(path).map_err(|error| format!("cannot read `{}`: {error}", path.display()))?;
            let certificate = Certificate::from_pem(&pem).map_err(|error| error.to_string())?;
            builder = builder
                .certificate_store(lettre::transport::smtp::client::CertificateStore::None)
                .add_root_certificate(certificate);
        }
        builder.build_rustls().map_err(|error| error.to_string())
    }
}

/// Mail through one server.
struct Email {
    name: TargetName,
    from: Mailbox,
    domain: String,
    zone: TimeZone,
    transport: AsyncSmtpTransport<Tokio1Executor>,
}

impl Email {
    /// Sends one mail about a card. The first of a request has the message id that all later ones refer to.
    async fn send(&self, to: &str, card: &Card, kind: message::Kind) -> Result<Placed, Failed> {
        let (mail, id) =
            message::write(&self.from, to, &self.domain, card, kind, &self.zone).map_err(Failed::never)?;
        match self.transport.send(mail).await {
            Ok(_) => Ok(Placed {
                team: String::new(),
                place: to.to_owned(),
                message: id,
                extra: Some(card.state.word.to_owned()),
            }),
            // The server's own words can hold an address, and no secret.
            Err(error) if error.is_permanent() => Err(Failed::never(told(&error))),
            Err(error) => Err(Failed::later(told(&error))),
        }
    }
}

fn told(error: &lettre::transport::smtp::Error) -> String {
    let mut why = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        why = format!("{why}: {cause}");
        source = cause.source();
    }
    why
}

#[async_trait]
impl Channel for Email {
    fn name(&self) -> &TargetName {
        &self.name
    }

    fn decides(&self) -> bool {
        false
    }

    async fn post(&self, delivery: &Delivery, card: &Card) -> Result<Placed, Failed> {
        let to = match &delivery.to {
            Place::Shared(address) | Place::Person { address, .. } => address,
        };
        self.send(to, card, message::Kind::Asked).await
    }

    /// A mail cannot be changed. Another one is sent once it is decided and once it is over, and none for each approval
    /// on the way.
    async fn update(&self, placed: &Placed, card: &Card) -> Result<Placed, Failed> {
        let told = placed.extra.as_deref().unwrap_or("pending");
        let quiet = matches!(card.state.word, "executing" | "approved");
        if card.state.word == told || quiet {
            return Ok(placed.clone());
        }
        let mut now = self.send(&placed.place, card, message::Kind::Moved).await?;
        now.message.clone_from(&placed.message);
        Ok(now)
    }

    async fn remind(&self, placed: &Placed, card: &Card) -> Result<(), Failed> {
        self.send(&placed.place, card, message::Kind::Waiting).await.map(|_| ())
    }
}
