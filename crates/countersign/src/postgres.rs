//! The PostgreSQL point, wired in: a feature of the build, since PostgreSQL's own parser wants libclang to be built.
//!
//! What a document is, HTTP's or a database's, is told apart here too, for the API and the command line.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Context as _;
use domain::id::{CredentialRef, TargetName};
use gateway::Gateway;
use points::http::config::Route;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::config::Config;

/// A document of what stands behind the gateway, as it is written or kept.
pub(crate) enum Document {
    /// Behind the HTTP point.
    Route(Box<Route>),
    /// Behind the PostgreSQL point.
    #[cfg(feature = "postgres")]
    Database(Box<databases::config::Database>),
}

impl Document {
    /// Reads it as people write it, in TOML.
    pub(crate) fn parse_toml(text: &str) -> anyhow::Result<Self> {
        #[cfg(feature = "postgres")]
        if databases::is_database(text) {
            return Ok(Self::Database(Box::new(databases::config::Database::parse_toml(text)?)));
        }
        Ok(Self::Route(Box::new(Route::parse_toml(text)?)))
    }

    /// Reads it as the directory keeps it.
    pub(crate) fn parse_json(text: &str) -> anyhow::Result<Self> {
        #[cfg(feature = "postgres")]
        if databases::is_database(text) {
            return Ok(Self::Database(Box::new(databases::config::Database::parse_json(text)?)));
        }
        Ok(Self::Route(Box::new(Route::parse_json(text)?)))
    }

    /// Its name.
    pub(crate) fn name(&self) -> &TargetName {
        match self {
            Self::Route(route) => route.name(),
            #[cfg(feature = "postgres")]
            Self::Database(database) => database.name(),
        }
    }

    /// As the directory keeps it.
    pub(crate) fn to_document(&self) -> anyhow::Result<String> {
        Ok(match self {
            Self::Route(route) => route.to_document()?,
            #[cfg(feature = "postgres")]
            Self::Database(database) => database.to_document()?,
        })
    }

    /// As people write it.
    pub(crate) fn to_table(&self) -> anyhow::Result<toml::Table> {
        let table = match self {
            Self::Route(route) => toml::Table::try_from(route.settings()),
            #[cfg(feature = "postgres")]
            Self::Database(database) => toml::Table::try_from(database.settings()),
        };
        table.context("it does not write as TOML")
    }

    /// The secret that it wants.
    pub(crate) fn secret(&self) -> Option<&CredentialRef> {
        match self {
            Self::Route(route) => route.settings().credential.as_ref().map(|credential| &credential.secret),
            #[cfg(feature = "postgres")]
            Self::Database(database) => {
                database.settings().credential.as_ref().map(|credential| &credential.secret)
            }
        }
    }

    /// What stands behind it: host and port, and the name of the setting that says so.
    pub(crate) fn place(&self) -> (String, &'static str) {
        match self {
            Self::Route(route) => {
                let upstream = route.upstream();
                (format!("{}:{}", upstream.authority().host(), upstream.port()), "upstream")
            }
            #[cfg(feature = "postgres")]
            Self::Database(database) => {
                let (host, port) = database.server();
                let place =
                    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
                (place, "server")
            }
        }
    }
}

/// Checks a document for whichever point owns it, and returns it as the directory keeps it.
pub(crate) fn check_document(name: &TargetName, text: &str) -> Result<String, String> {
    #[cfg(feature = "postgres")]
    if databases::is_database(text) {
        return databases::check_document(name, text);
    }
    points::http::check_document(name, text)
}

/// The address, where there is one: taken before anything else, so that one that is taken is said at once.
pub(crate) async fn bind(config: &Config) -> anyhow::Result<Option<TcpListener>> {
    let Some(settings) = &config.postgres else { return Ok(None) };
    if !cfg!(feature = "postgres") {
        anyhow::bail!(
            "this build has no PostgreSQL point, and `[postgres]` asks for one; build it with that feature"
        );
    }
    Ok(Some(crate::up::bind(settings.listen, "postgres.listen").await?))
}

/// The point, and what serves it.
#[cfg(feature = "postgres")]
pub(crate) struct Point {
    point: databases::PostgresPoint,
    serving: Option<(TcpListener, databases::WireSettings)>,
}

#[cfg(feature = "postgres")]
impl Point {
    /// The point over a gateway. It can run what was approved whether or not it listens.
    pub(crate) fn new(
        config: &Config,
        gateway: &Arc<Gateway>,
        secrets: BTreeMap<CredentialRef, String>,
        listener: Option<TcpListener>,
    ) -> anyhow::Result<Self> {
        let point = databases::PostgresPoint::new(Arc::clone(gateway), secrets);
        for secret in point.missing_secrets() {
            tracing::warn!(%secret, "a database names a secret that the configuration does not have");
        }
        gateway.install(Arc::new(point.runner()));
        let serving = match (&config.postgres, listener) {
            (Some(settings), Some(listener)) => {
                let tls = settings
                    .tls
                    .as_ref()
                    .map(|tls| databases::tls_config(&tls.certificate, &tls.key))
                    .transpose()?;
                let wire = databases::WireSettings {
                    tls,
                    connections: settings.connections,
                    notices: settings.notices,
                    ..databases::WireSettings::default()
                };
                Some((listener, wire))
            }
            _ => None,
        };
        Ok(Self { point, serving })
    }

    /// Serves clients until `stop`, where it listens.
    pub(crate) fn serve(self, stop: impl Future<Output = ()> + Send + 'static) -> Option<JoinHandle<()>> {
        let (listener, settings) = self.serving?;
        Some(tokio::spawn(self.point.serve(listener, settings, stop)))
    }
}

/// A build without the point.
#[cfg(not(feature = "postgres"))]
pub(crate) struct Point;

#[cfg(not(feature = "postgres"))]
impl Point {
    /// Nothing.
    #[expect(clippy::unnecessary_wraps, reason = "the same as with the point")]
    pub(crate) fn new(
        _: &Config,
        _: &Arc<Gateway>,
        _: BTreeMap<CredentialRef, String>,
        _: Option<TcpListener>,
    ) -> anyhow::Result<Self> {
        Ok(Self)
    }

    /// Nothing.
    pub(crate) fn serve(self, _: impl Future<Output = ()> + Send + 'static) -> Option<JoinHandle<()>> {
        None
    }
}
