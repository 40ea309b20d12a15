//! The way to the server: the URL, TLS, a pool of connections, and what each must promise before it is used.

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::{
    Client, ClientWrapper, Hook, HookError, Manager, ManagerConfig, Pool, PoolError, RecyclingMethod,
    Runtime, TimeoutType,
};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};
use tokio_postgres::{AsyncMessage, Connection, NoTls, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::link::{Fault, is_suspicious};
use crate::StoreError;

/// The oldest server that is used, as `server_version_num` says it: PostgreSQL 13.
const OLDEST_SERVER: i32 = 130_000;
/// How many connections one process holds for those who write and read.
pub(super) const CONNECTIONS: usize = 16;
/// How many it holds for its own tasks, beside the one that listens.
pub(super) const OWN_CONNECTIONS: usize = 3;
/// How long opening a connection may take.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// How long a connection that is tried out may take to answer.
const TRIAL_LIMIT: Duration = Duration::from_secs(2);
/// How long somebody waits for a free connection.
const POOL_WAIT: Duration = Duration::from_secs(10);
/// How long the system waits for the server's word that bytes arrived before it gives a connection up.
const UNANSWERED_LIMIT: Duration = Duration::from_secs(10);
/// How long a connection may be silent before the system asks whether the other side lives.
const SILENCE_LIMIT: Duration = Duration::from_secs(5);
/// How often it asks, and how many times.
const PROBE_EVERY: Duration = Duration::from_secs(2);
const PROBES: u32 = 3;

/// What every session is told. A statement that hangs ends, and so does a transaction whose gateway went away in the
/// midst of it: what it locked, others wait for. Every look-up goes by an index: which way to take must not hang on
/// statistics, which a new database does not have and which an old plan outlives. `deadlock_timeout` is left to the
/// server.
const SESSION: &str = "
SET statement_timeout = '12s';
SET lock_timeout = '10s';
SET idle_in_transaction_session_timeout = '5s';
SET search_path = countersign;
SET client_min_messages = warning;
SET jit = off;
SET enable_seqscan = off;
SET enable_hashjoin = off;
SET enable_mergejoin = off;
SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off';
";

/// Where the database is and how it is reached. Printing it shows no password.
#[derive(Clone)]
pub struct DatabaseUrl {
    config: tokio_postgres::Config,
    tls: bool,
    authority: Option<PathBuf>,
}

impl DatabaseUrl {
    /// Reads `postgres://user@host/database?sslmode=…`.
    ///
    /// `sslmode` is `disable`, `require` or `verify-full`; the last two are the same here: the certificate is checked
    /// against `sslrootcert`, or against the web's authorities where that is not given, and must bear the host's
    /// name. Only a server on this machine may be reached without an `sslmode`.
    ///
    /// # Errors
    /// [`StoreError::Failed`] with what is wrong, never with the URL itself: it may hold a password.
    pub fn parse(url: &str) -> Result<Self, StoreError> {
        let bad = |why: &str| StoreError::Failed(format!("the database's URL: {why}"));
        if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
            return Err(bad("it must begin with `postgres://`"));
        }
        let (place, query) = url.split_once('?').unwrap_or((url, ""));
        let (mut mode, mut authority, mut rest) = (None, None, Vec::new());
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            match pair.split_once('=') {
                Some(("sslmode", value)) => mode = Some(value.to_owned()),
                Some(("sslrootcert", value)) => authority = Some(PathBuf::from(decoded(value))),
                _ => rest.push(pair),
            }
        }
        let plain = if rest.is_empty() { place.to_owned() } else { format!("{place}?{}", rest.join("&")) };
        let mut config: tokio_postgres::Config = plain
            .parse()
            .map_err(|_| bad("it does not read; it looks like `postgres://user@host/database`"))?;
        let tls = match mode.as_deref() {
            Some("disable") => false,
            Some("require" | "verify-full") => true,
            None if is_local(&config) => false,
            None => return Err(bad("say `sslmode=verify-full`, or `sslmode=disable` if you must")),
            Some(_) => return Err(bad("`sslmode` is `verify-full`, `require` or `disable`")),
        };
        config
            .ssl_mode(if tls { SslMode::Require } else { SslMode::Disable })
            .application_name("countersign")
            .target_session_attrs(TargetSessionAttrs::ReadWrite)
            .connect_timeout(CONNECT_LIMIT)
            .tcp_user_timeout(UNANSWERED_LIMIT)
            .keepalives_idle(SILENCE_LIMIT)
            .keepalives_interval(PROBE_EVERY)
            .keepalives_retries(PROBES);
        Ok(Self { config, tls, authority })
    }

    /// Whether the URL itself holds a password.
    #[must_use]
    pub fn has_password(&self) -> bool {
        self.config.get_password().is_some()
    }

    /// Gives the password that came another way.
    #[must_use]
    pub fn with_password(mut self, password: &str) -> Self {
        self.config.password(password);
        self
    }

    /// A pool of so many connections.
    pub(super) fn pool(&self, size: usize) -> Result<Pool, StoreError> {
        let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let manager = if self.tls {
            Manager::from_config(self.config.clone(), self.connector()?, recycling)
        } else {
            Manager::from_config(self.config.clone(), NoTls, recycling)
        };
        Pool::builder(manager)
            .max_size(size)
            .runtime(Runtime::Tokio1)
            .wait_timeout(Some(POOL_WAIT))
            .create_timeout(Some(CONNECT_LIMIT))
            .recycle_timeout(Some(CONNECT_LIMIT))
            .pre_recycle(Hook::async_fn(|client, _| {
                Box::pin(async move {
                    if !is_suspicious() {
                        return Ok(());
                    }
                    let tried = tokio::time::timeout(TRIAL_LIMIT, client.simple_query("")).await;
                    match tried {
                        Ok(Ok(_)) => Ok(()),
                        Ok(Err(error)) => Err(HookError::Backend(error)),
                        Err(_) => Err(HookError::message("the connection gives no answer")),
                    }
                })
            }))
            .post_create(Hook::async_fn(|client, _| {
                Box::pin(async move { client.batch_execute(SESSION).await.map_err(HookError::Backend) })
            }))
            .build()
            .map_err(|error| StoreError::Failed(format!("cannot set up the pool of connections: {error}")))
    }

    /// A connection of its own that listens, and what drives it.
    pub(super) async fn listener(&self) -> Result<(tokio_postgres::Client, Driver), Fault> {
        if self.tls {
            let (client, connection) = self.config.connect(self.connector()?).await?;
            Ok((client, Driver::Tls(Box::new(connection))))
        } else {
            let (client, connection) = self.config.connect(NoTls).await?;
            Ok((client, Driver::Plain(Box::new(connection))))
        }
    }

    fn connector(&self) -> Result<MakeRustlsConnect, StoreError> {
        let failed = |why: &dyn fmt::Display| StoreError::Failed(format!("TLS to the database: {why}"));
        let mut roots = rustls::RootCertStore::empty();
        match &self.authority {
            None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
            Some(path) => {
                let certificates = CertificateDer::pem_file_iter(path).map_err(|error| failed(&error))?;
                for certificate in certificates {
                    let certificate = certificate.map_err(|error| failed(&error))?;
                    roots.add(certificate).map_err(|error| failed(&error))?;
                }
            }
        }
        if roots.is_empty() {
            return Err(failed(&"`sslrootcert` holds no certificate"));
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| failed(&error))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(MakeRustlsConnect::new(config))
    }

    /// Makes `sslrootcert` relative to this folder, where it is not absolute.
    #[must_use]
    pub fn relative_to(mut self, folder: &Path) -> Self {
        self.authority = self.authority.map(|path| folder.join(path));
        self
    }
}

/// Where it is, without user and password.
impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hosts: Vec<_> = self
            .config
            .get_hosts()
            .iter()
            .map(|host| match host {
                Host::Tcp(name) => name.clone(),
                #[cfg(unix)]
                Host::Unix(path) => path.display().to_string(),
            })
            .collect();
        write!(f, "{}/{}", hosts.join(","), self.config.get_dbname().unwrap_or_default())
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DatabaseUrl({self})")
    }
}

/// What reads the listening connection's socket.
pub(super) enum Driver {
    Plain(Box<Connection<Socket, tokio_postgres::tls::NoTlsStream>>),
    Tls(Box<Connection<Socket, <MakeRustlsConnect as tokio_postgres::tls::MakeTlsConnect<Socket>>::Stream>>),
}

impl Driver {
    /// The server's next message; `None` once the connection has ended.
    pub(super) async fn next(&mut self) -> Option<Result<AsyncMessage, tokio_postgres::Error>> {
        std::future::poll_fn(|context| match self {
            Self::Plain(connection) => connection.poll_message(context),
            Self::Tls(connection) => connection.poll_message(context),
        })
        .await
    }
}

/// A free connection.
pub(super) async fn connection(pool: &Pool) -> Result<Client, Fault> {
    pool.get().await.map_err(|error| match error {
        PoolError::Timeout(TimeoutType::Wait) => Fault::Store(StoreError::Busy),
        PoolError::Backend(error) => error.into(),
        PoolError::PostCreateHook(HookError::Backend(error)) => error.into(),
        error @ (PoolError::Timeout(_)
        | PoolError::Closed
        | PoolError::NoRuntimeSpecified
        | PoolError::PostCreateHook(_)) => Fault::Passing(format!("no connection to the database: {error}")),
    })
}

/// Refuses a server on which a commit could be lost, and one that is too old.
pub(super) async fn check_server(client: &ClientWrapper) -> Result<(), Fault> {
    let row = client
        .query_one(
            "SELECT current_setting('server_version_num')::int, pg_is_in_recovery(),
                    current_setting('fsync')::bool, current_setting('full_page_writes')::bool,
                    current_setting('synchronous_commit'), current_setting('server_encoding')",
            &[],
        )
        .await?;
    let stopped = |why: &str| Err(Fault::Store(StoreError::LogStopped(why.to_owned())));
    if row.get::<_, i32>(0) < OLDEST_SERVER {
        return stopped("the database's server is older than PostgreSQL 13; bring it up to date");
    }
    if row.get::<_, bool>(1) {
        return stopped("the database's server is a standby, which takes no writes; name the primary");
    }
    if !row.get::<_, bool>(2) || !row.get::<_, bool>(3) {
        return stopped(
            "the database's server runs without `fsync` or `full_page_writes`: a power cut would lose what was \
             acknowledged; turn them on",
        );
    }
    if row.get::<_, String>(4) == "off" {
        return stopped("`synchronous_commit` cannot be turned on; a commit must be on disk when it returns");
    }
    if row.get::<_, String>(5) != "UTF8" {
        return stopped("the database's encoding is not UTF8; make one that is");
    }
    Ok(())
}

fn is_local(config: &tokio_postgres::Config) -> bool {
    let hosts = config.get_hosts();
    !hosts.is_empty()
        && hosts.iter().all(|host| match host {
            Host::Tcp(name) => {
                name == "localhost" || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
            }
            #[cfg(unix)]
            Host::Unix(_) => true,
        })
}

/// Percent-decoding, as far as a path needs it.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        let digits = after.get(..2).filter(|_| *byte == b'%').and_then(|two| str::from_utf8(two).ok());
        let decoded = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(decoded.unwrap_or(*byte));
        rest = if decoded.is_some() { after.get(2..).unwrap_or_default() } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_says_how_it_is_to_be_trusted() {
        for (url, tls) in [
            ("postgres://ada@localhost/log", false),
            ("postgres://ada@127.0.0.1:5433/log", false),
            ("postgres://ada@%2Frun%2Fpostgresql/log", false),
            ("postgresql://ada@db.example.com/log?sslmode=disable", false),
            ("postgres://ada@db.example.com/log?sslmode=require", true),
            ("postgres://ada@db.example.com/log?sslmode=verify-full&sslrootcert=%2Fetc%2Fca.pem", true),
        ] {
            assert_eq!(DatabaseUrl::parse(url).unwrap().tls, tls, "{url}");
        }
        for url in [
            "postgres://ada@db.example.com/log",
            "postgres://ada@10.0.0.1/log",
            "postgres://ada@db.example.com/log?sslmode=prefer",
            "postgres://ada@db.example.com/log?sslmode=verify-ca",
            "mysql://ada@localhost/log",
            "host=localhost",
            "postgres://ada@localhost:port/log",
        ] {
            let refused = DatabaseUrl::parse(url).unwrap_err().to_string();
            assert!(!refused.contains("ada"), "{refused}");
        }
        let url = DatabaseUrl::parse("postgres://a@db/log?sslmode=require&sslrootcert=%2Fetc%2Fmy%20ca.pem");
        assert_eq!(url.unwrap().authority.unwrap(), Path::new("/etc/my ca.pem"));
    }

    #[test]
    fn a_password_is_not_printed() {
        let url = DatabaseUrl::parse("postgres://ada:secret@localhost/log").unwrap();
        assert!(url.has_password());
        assert_eq!(format!("{url:?} {url}"), "DatabaseUrl(localhost/log) localhost/log");
        let url = DatabaseUrl::parse("postgres://ada@localhost/log").unwrap();
        assert!(!url.has_password());
        assert!(url.with_password("secret").has_password());
    }
}
