//! The way to a database for our own questions: the same server, user and credential that clients' sessions get.

use std::fmt;
use std::time::Duration;

use postgres::config::UpstreamTls;
use postgres::hold::Onward;
use thiserror::Error;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_postgres::config::{SslMode, SslNegotiation};
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{Client, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::limits::CONNECT_LIMIT;

/// Why a database could not be asked.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CatalogError {
    /// The server was not reached, or did not let us in.
    #[error("cannot connect to the database: {0}")]
    Connect(String),
    /// The server is not on this machine, and no TLS is set.
    #[error("the server is not on this machine; set TLS for it")]
    NotLocal,
    /// The server answered with an error, or the connection broke.
    #[error("the database: {0}")]
    Server(String),
    /// It took too long.
    #[error("the database gave no answer in {} s", .0.as_secs())]
    Slow(Duration),
    /// The server is older than PostgreSQL 13, or is none.
    #[error("the server's version is {0}; PostgreSQL 13 or newer is needed")]
    Version(i32),
    /// The catalog is over a limit.
    #[error("the catalog has too many or too large {what}; the limit is {limit}")]
    TooLarge {
        /// Of what.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
    /// The catalog says something that we do not know.
    #[error("the catalog has {0}, which is not known here")]
    Unknown(String),
}

impl From<tokio_postgres::Error> for CatalogError {
    fn from(error: tokio_postgres::Error) -> Self {
        // Its own display leaves out what the server said.
        let said = error.as_db_error().map(|said| format!("{} ({})", said.message(), said.code().code()));
        Self::Server(said.unwrap_or_else(|| error.to_string()))
    }
}

/// Where a database is, and as whom it is asked. Printing it shows no credential.
#[derive(Clone)]
pub struct Source {
    onward: Onward,
}

impl Source {
    /// The database that sessions with this way onward reach.
    #[must_use]
    pub fn new(onward: Onward) -> Self {
        Self { onward }
    }

    /// The database's name.
    #[must_use]
    pub fn database(&self) -> &str {
        self.onward.database.as_str()
    }

    /// The user that signs in.
    #[must_use]
    pub fn user(&self) -> &str {
        self.onward.user.as_str()
    }

    /// A connection that asks under a search path in which only PostgreSQL's own schema is found, and gives up in time.
    pub(crate) async fn connect(&self, patience: Duration, lock: Duration) -> Result<Asker, CatalogError> {
        let asker =
            timeout(CONNECT_LIMIT, self.open()).await.map_err(|_| CatalogError::Slow(CONNECT_LIMIT))??;
        let settings = format!(
            "SET search_path = ''; SET statement_timeout = {}; SET lock_timeout = {}; \
             SET idle_in_transaction_session_timeout = {}; SET standard_conforming_strings = on; \
             SET client_min_messages = error; SET jit = off",
            patience.as_millis(),
            lock.as_millis(),
            patience.as_millis(),
        );
        asker.client.batch_execute(&settings).await?;
        Ok(asker)
    }

    async fn open(&self) -> Result<Asker, CatalogError> {
        let upstream = &self.onward.upstream;
        let failed = |error: &dyn fmt::Display| CatalogError::Connect(error.to_string());
        let stream = TcpStream::connect((upstream.host.as_str(), upstream.port))
            .await
            .map_err(|error| failed(&error))?;
        let mut config = tokio_postgres::Config::new();
        config
            .user(self.onward.user.as_str())
            .dbname(self.onward.database.as_str())
            .password(self.onward.password.expose())
            .application_name("countersign");
        match &upstream.tls {
            UpstreamTls::Loopback => {
                let peer = stream.peer_addr().map_err(|error| failed(&error))?;
                if !peer.ip().is_loopback() {
                    return Err(CatalogError::NotLocal);
                }
                config.ssl_mode(SslMode::Disable);
                let (client, connection) = config.connect_raw(stream, NoTls).await?;
                Ok(Asker::new(client, connection))
            }
            UpstreamTls::VerifyFull { config: tls, name, direct } => {
                let negotiation = if *direct { SslNegotiation::Direct } else { SslNegotiation::Postgres };
                config.ssl_mode(SslMode::Require).ssl_negotiation(negotiation);
                let mut maker = MakeRustlsConnect::new((**tls).clone());
                let connect = MakeTlsConnect::<TcpStream>::make_tls_connect(&mut maker, &name.to_str())
                    .map_err(|error| failed(&error))?;
                let (client, connection) = config.connect_raw(stream, connect).await?;
                Ok(Asker::new(client, connection))
            }
        }
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Onward { upstream, user, database, .. } = &self.onward;
        write!(f, "Source({}@{}:{}/{})", user.as_str(), upstream.host, upstream.port, database.as_str())
    }
}

/// A connection of our own. It ends with this, and what it had begun is rolled back by the server.
pub(crate) struct Asker {
    pub(crate) client: Client,
    driver: JoinHandle<()>,
}

impl Asker {
    fn new<S, T>(client: Client, connection: tokio_postgres::Connection<S, T>) -> Self
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
        T: tokio_postgres::tls::TlsStream + Unpin + Send + 'static,
    {
        let driver = tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection to a database ended");
            }
        });
        Self { client, driver }
    }
}

impl Drop for Asker {
    fn drop(&mut self) {
        self.driver.abort();
    }
}
