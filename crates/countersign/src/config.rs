//! The one bootstrap file, `countersign.toml`. Every key has a default, so no file at all is a working
//! deployment on this machine. People, agents, routes and policy are not here: they live in the store and
//! change by logged actions.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use domain::id::{CredentialRef, Origin};
use points::peer::TrustedProxies;
use serde::Deserialize;
use store::postgres::DatabaseUrl;

use crate::public::Transparency;
use crate::retention::Retention;

/// What the file says.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    /// The deployment's one name, in every statement, token and checkpoint. It cannot change later.
    /// Made up at the first start where it is not given.
    pub(crate) origin: Option<Origin>,
    /// Where people reach the console. Passkeys need a host name: `localhost` or one with TLS.
    pub(crate) public_url: String,
    /// Addresses to listen on.
    pub(crate) listen: Listen,
    /// The store.
    pub(crate) store: StoreConfig,
    /// The keys.
    pub(crate) keys: Keys,
    /// TLS for the HTTP point; plain HTTP where it is not given.
    pub(crate) tls: Option<Tls>,
    /// The PostgreSQL point, which agents connect to as to a server; none where it is not given.
    pub(crate) postgres: Option<Postgres>,
    /// Credentials of targets, by the names that routes use.
    pub(crate) secrets: BTreeMap<CredentialRef, Secret>,
    /// Where the trail is sent, event by event.
    pub(crate) sinks: Vec<evidence::sink::SinkConfig>,
    /// Ways to reach reviewers where they are, and which requests go where.
    pub(crate) channels: channels::config::ChannelsConfig,
    /// How events are written for OCSF.
    pub(crate) ocsf: evidence::export::Ocsf,
    /// What of the transparency log is public, and where. Nothing is where it is not given.
    pub(crate) transparency: Transparency,
    /// How long values are kept; for good where it is not given.
    pub(crate) retention: Option<Retention>,
    /// Logging.
    pub(crate) log: Log,
    /// The file's folder.
    #[serde(skip)]
    base: PathBuf,
}

/// Addresses to listen on.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Listen {
    /// Console and API.
    pub(crate) console: SocketAddr,
    /// The HTTP enforcement point, which agents call.
    pub(crate) http: SocketAddr,
    /// The proxies before console and API, by address or network, that are believed when `X-Forwarded-For` says for whom
    /// they speak. Nobody is where it is not given, and then everybody behind a proxy is one peer to the limits on tries.
    pub(crate) trusted_proxies: Vec<String>,
}

/// The store.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct StoreConfig {
    /// The folder of the embedded store and of activity segments.
    pub(crate) folder: PathBuf,
    /// Where the last signed checkpoint is kept beside the store, best on another disk; in the keys' folder where
    /// it is not given.
    pub(crate) anchor: Option<PathBuf>,
    /// A PostgreSQL database that several gateways share, as `postgres://user@host/database?sslmode=verify-full`; without
    /// it the store is a file in the folder. Its password is never in this file.
    pub(crate) postgres: Option<DatabasePlace>,
    /// Where the database's password comes from.
    pub(crate) password: Option<Secret>,
    /// Where administrators' copies of the running store go; none are made where it is not given.
    pub(crate) backups: Option<PathBuf>,
}

/// A database's URL as it was written. Printing it shows nothing: somebody may have put a password into it.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub(crate) struct DatabasePlace(String);

impl std::fmt::Debug for DatabasePlace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DatabasePlace(..)")
    }
}

/// The keys.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Keys {
    /// The folder of the key files, readable by this user alone; made at the first start.
    pub(crate) folder: PathBuf,
}

/// The PostgreSQL point.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Postgres {
    /// Where it listens.
    pub(crate) listen: SocketAddr,
    /// Its TLS. An access token is shown in the clear, so that without it only clients on this machine are let in.
    pub(crate) tls: Option<Tls>,
    /// The most sessions at once.
    pub(crate) connections: usize,
    /// Whether a client hears by a notice that its statement waits for people.
    pub(crate) notices: bool,
}

/// TLS for the HTTP point.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tls {
    /// The certificate chain, PEM.
    pub(crate) certificate: PathBuf,
    /// The private key, PEM.
    pub(crate) key: PathBuf,
}

/// Where a target's credential comes from. Its value is never in this file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "lowercase")]
pub(crate) enum Secret {
    /// An environment variable of the gateway.
    Env(String),
    /// A file, read at start.
    File(PathBuf),
}

/// Logging.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Log {
    /// `pretty` for people, `json` for machines.
    pub(crate) format: LogFormat,
    /// What is logged: `info`, or a filter such as `info,gateway=debug`.
    pub(crate) level: String,
}

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    Pretty,
    Json,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            origin: None,
            public_url: "http://localhost:7676".to_owned(),
            listen: Listen::default(),
            store: StoreConfig::default(),
            keys: Keys::default(),
            tls: None,
            postgres: None,
            secrets: BTreeMap::new(),
            sinks: Vec::new(),
            channels: channels::config::ChannelsConfig::default(),
            ocsf: evidence::export::Ocsf::default(),
            transparency: Transparency::default(),
            retention: None,
            log: Log::default(),
            base: PathBuf::new(),
        }
    }
}

impl Default for Listen {
    fn default() -> Self {
        Self {
            console: SocketAddr::from(([127, 0, 0, 1], 7676)),
            http: SocketAddr::from(([127, 0, 0, 1], 7677)),
            trusted_proxies: Vec::new(),
        }
    }
}

impl Default for Postgres {
    fn default() -> Self {
        Self { listen: SocketAddr::from(([127, 0, 0, 1], 6432)), tls: None, connections: 1024, notices: true }
    }
}

impl Default for StoreConfig {
    fn default() -> Self {
        Self {
            folder: "countersign-data".into(),
            anchor: None,
            postgres: None,
            password: None,
            backups: None,
        }
    }
}

impl Default for Keys {
    fn default() -> Self {
        Self { folder: "countersign-keys".into() }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self { format: LogFormat::Pretty, level: "info".to_owned() }
    }
}

impl Config {
    /// Reads the file; the default file may be missing, a named one may not. Relative paths are relative to the
    /// file's folder.
    pub(crate) fn read(named: Option<&Path>) -> anyhow::Result<Self> {
        let path = named.unwrap_or(Path::new("countersign.toml"));
        if named.is_none() && !path.exists() {
            return Ok(Self::default());
        }
        let text =
            std::fs::read_to_string(path).with_context(|| format!("cannot read `{}`", path.display()))?;
        let mut config: Self = toml::from_str(&text).with_context(|| format!("in `{}`", path.display()))?;
        let folder = path.parent().unwrap_or(Path::new("")).to_owned();
        let rebase = |path: &mut PathBuf| *path = folder.join(&path);
        rebase(&mut config.store.folder);
        rebase(&mut config.keys.folder);
        config.store.anchor.as_mut().map(rebase);
        config.store.backups.as_mut().map(rebase);
        if let Some(Secret::File(path)) = &mut config.store.password {
            rebase(path);
        }
        config.base = folder.clone();
        config.transparency.rebase(rebase);
        for tls in
            config.tls.iter_mut().chain(config.postgres.iter_mut().filter_map(|point| point.tls.as_mut()))
        {
            rebase(&mut tls.certificate);
            rebase(&mut tls.key);
        }
        for secret in config.secrets.values_mut() {
            if let Secret::File(path) = secret {
                rebase(path);
            }
        }
        for sink in &mut config.sinks {
            sink.rebase(&folder);
        }
        config.channels.rebase(&folder);
        if let Some(retention) = &config.retention {
            retention.check()?;
        }
        config.public_url = config.public_url.trim_end_matches('/').to_owned();
        Ok(config)
    }

    /// The shared database with its password, where one is named.
    pub(crate) fn database_url(&self) -> anyhow::Result<Option<DatabaseUrl>> {
        let Some(DatabasePlace(text)) = &self.store.postgres else {
            if self.store.password.is_some() {
                bail!("`store.password` is given, and no `store.postgres` that it is for");
            }
            return Ok(None);
        };
        let url = DatabaseUrl::parse(text).context("store.postgres")?.relative_to(&self.base);
        if url.has_password() {
            bail!("store.postgres: a password does not stand in this file; name it in `store.password`");
        }
        Ok(Some(match &self.store.password {
            Some(password) => url.with_password(&password.read("store.password")?),
            None => url,
        }))
    }

    /// The proxies that are believed when they say for whom they speak.
    pub(crate) fn trusted_proxies(&self) -> anyhow::Result<TrustedProxies> {
        TrustedProxies::read(self.listen.trusted_proxies.iter().map(String::as_str))
            .context("listen.trusted_proxies")
    }

    /// Whether people come through a proxy, as they must where the public URL is HTTPS, and none is trusted.
    pub(crate) fn hides_its_peers(&self) -> bool {
        self.public_url.starts_with("https://") && self.listen.trusted_proxies.is_empty()
    }

    /// The secrets' values, read once at start.
    pub(crate) fn read_secrets(&self) -> anyhow::Result<BTreeMap<CredentialRef, String>> {
        let mut values = BTreeMap::new();
        for (name, source) in &self.secrets {
            values.insert(name.clone(), source.read(name.as_str())?);
        }
        Ok(values)
    }
}

impl Secret {
    /// The secret's value.
    pub(crate) fn read(&self, name: &str) -> anyhow::Result<String> {
        let value = match self {
            Self::Env(variable) => std::env::var(variable)
                .with_context(|| format!("secret `{name}`: the variable `{variable}` is not set"))?,
            Self::File(path) => std::fs::read_to_string(path)
                .with_context(|| format!("secret `{name}`: cannot read `{}`", path.display()))?,
        };
        let value = value.trim_end_matches(['\r', '\n']).to_owned();
        if value.is_empty() || value.chars().any(char::is_control) {
            bail!("secret `{name}` is empty or holds control characters");
        }
        Ok(value)
    }
}
