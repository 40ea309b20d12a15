//! `countersign up`: the gateway in one process, from the bootstrap file to the last sealed segment.

use std::io::IsTerminal as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use domain::id::Origin;
use gateway::change::ConfigRunner;
use gateway::ports::SystemEntropy;
use gateway::{Gateway, Parts, Settings};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use store::Store;
use store::clock::SystemClock;
use store::embedded::{EmbeddedConfig, EmbeddedStore};
use store::postgres::{self, DatabaseUrl, PostgresConfig, PostgresStore};
use store::seal::SealingKey;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use transparency::publish::Notes;
use transparency::witness::ClientError;

use crate::behind;
use crate::config::{Config, LogFormat};
use crate::keys::{self, KeyRing};
use crate::witnesses::Witnesses;

/// How long running actions and open connections get at shutdown.
const SHUTDOWN_PATIENCE: Duration = Duration::from_secs(30);

/// How long deliveries to sinks that are under way get at shutdown; what is not noted by then is sent again.
const SINK_PATIENCE: Duration = Duration::from_secs(5);

/// What an operator adds on the command line.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Options {
    /// The first administrator's name, used once.
    #[arg(long, default_value = "admin")]
    admin: String,
    /// Go on although the store has lost entries that this log had signed; the reason enters the log.
    #[arg(long, value_name = "REASON")]
    accept_loss: Option<String>,
}

/// Runs until the process is asked to stop.
pub(crate) async fn up(config: Config, options: Options) -> anyhow::Result<()> {
    logging(&config)?;
    let metrics = PrometheusBuilder::new().install_recorder().context("cannot set up metrics")?;
    // Bound before anything else, so that a taken address is said at once.
    let console = bind(config.listen.console, "listen.console").await?;
    let http = bind(config.listen.http, "listen.http").await?;
    let databases = crate::postgres::bind(&config).await?;
    let trusted_proxies = config.trusted_proxies()?;
    if config.hides_its_peers() {
        tracing::warn!(
            "everybody behind the proxy is one peer to the limits on tries; name it in `listen.trusted_proxies`"
        );
    }

    let house = open(&config, options.accept_loss.as_deref()).await?;
    let gateway = &house.gateway;
    gateway.install(Arc::new(ConfigRunner::new(Arc::clone(gateway.store()))));
    let point = points::http::HttpPoint::new(Arc::clone(gateway), config.read_secrets()?);
    for secret in point.missing_secrets() {
        tracing::warn!(%secret, "a route names a secret that the configuration does not have");
    }
    gateway.install(Arc::new(point.runner()));
    let databases = crate::postgres::Point::new(&config, gateway, config.read_secrets()?, databases)?;
    let log_key = &gateway.settings().log_key;
    // Before anything is accepted: a witness that has seen more than the store holds stops the start.
    let witnesses = match &config.transparency.witnesses {
        Some(policy) => Some(Witnesses::ask(policy, Arc::clone(gateway.store()), log_key).await?),
        None => None,
    };
    // The same of what was published before.
    let ledger: Arc<dyn store::Ledger> = gateway.store().clone();
    let publishers = config.transparency.publishers(&ledger, log_key)?;
    publishers.check(options.accept_loss.is_some()).await?;
    gateway.start().await?;

    let (stop, stopped) = watch::channel(false);
    let notes = witnesses.as_ref().map_or(Notes::Head, Witnesses::notes);
    let witnessed = witnesses.map(|witnesses| witnesses.run(wait_for(stopped.clone())));
    let publishing = publishers.follow(&notes, &stopped);
    if let Some(retention) = config.retention.clone() {
        tokio::spawn(retention.keep(Arc::clone(&ledger), stopped.clone()));
    }
    if let Some(backups) = &config.store.backups {
        keys::make_folder(backups).context("store.backups")?;
    }
    let follower = follower(&config, Arc::clone(gateway.store()), search::Reset::Keep).await?;
    let index = Arc::clone(follower.index());
    let following = behind::spawn("search", follower.run(stopped.clone()))?;
    let (trail, sinks) = trail(&config, gateway)?;
    let channels = channels::start(&config.channels, gateway, &stopped)?;
    let tls =
        config.tls.as_ref().map(|tls| points::http::tls_config(&tls.certificate, &tls.key)).transpose()?;
    // As many descriptors as the system gives, and never so many connections that none is left for the log.
    let open_files =
        rlimit::increase_nofile_limit(u64::MAX).context("cannot raise the limit of open files")?;
    let (agents, people) =
        (points::server::connections(open_files, 55), points::server::connections(open_files, 10));
    let serving_http = tokio::spawn(point.serve(http, tls, agents, wait_for(stopped.clone())));
    let serving_databases = databases.serve(wait_for(stopped.clone()));
    let cosigned = match &notes {
        Notes::Head => None,
        Notes::Cosigned(newest) => Some(Arc::clone(newest)),
    };
    let bundles = evidence::BundleService::new(Arc::clone(gateway), config.store.folder.clone(), cosigned);
    let app = router(
        metrics,
        points::rest::Parts {
            gateway: Arc::clone(gateway),
            // The API takes route documents without knowing what the points that own them make of them.
            check_route: Arc::new(crate::postgres::check_document),
            search: Arc::clone(&index),
            trail,
            bundles: Arc::new(bundles),
            backup_folder: config.store.backups.clone(),
            trusted_proxies,
        },
    )
    .merge(config.transparency.router(Arc::clone(&ledger), notes))
    .merge(channels.router);
    let serving_console = tokio::spawn(points::server::serve_router(console, app, people, wait_for(stopped)));

    welcome(&config, gateway, &options.admin).await?;
    tokio::select! {
        asked = asked_to_stop() => asked?,
        // At once, without the last segment's entry: nothing more is signed. The next start finds what is open.
        alarm = alarm(witnessed) => return Err(alarm),
    }
    tracing::info!("stopping: no new calls; what runs may finish");
    let _ = stop.send(true);
    let _ = tokio::time::timeout(SHUTDOWN_PATIENCE, async {
        let _ = serving_http.await;
        if let Some(serving) = serving_databases {
            let _ = serving.await;
        }
        let _ = serving_console.await;
        let _ = following.await;
        for publishing in publishing {
            let _ = publishing.await;
        }
        for channel in channels.tasks {
            let _ = channel.await;
        }
    })
    .await;
    sinks.stop(SINK_PATIENCE).await;
    gateway.stop(SHUTDOWN_PATIENCE).await;
    tracing::info!("stopped");
    Ok(())
}

/// Waits for witnesses to contradict the log, which they never should. Then nothing more may be signed.
async fn alarm(witnessed: Option<JoinHandle<Result<(), ClientError>>>) -> anyhow::Error {
    let why = match witnessed {
        None => return std::future::pending().await,
        Some(asking) => match asking.await {
            Ok(Ok(())) => return std::future::pending().await,
            Ok(Err(alarm)) => anyhow::Error::new(alarm),
            Err(ended) => anyhow::Error::new(ended).context("the witnesses are asked no more"),
        },
    };
    tracing::error!(error = format!("{why:#}"), "the log is stopped");
    why
}

/// The gateway over the opened store.
pub(crate) struct House {
    pub(crate) gateway: Arc<Gateway>,
}

/// The opened store, with the keys that are not its own.
pub(crate) struct OpenedStore {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) origin: Origin,
    pub(crate) log_key: String,
    ring: KeyRing,
}

/// What the embedded store is opened or restored with, and the rest of the keys.
pub(crate) struct StoreParts {
    pub(crate) embedded: EmbeddedConfig,
    ring: KeyRing,
    log_key: String,
}

/// Opens keys and store, making both at the first start.
pub(crate) async fn open(config: &Config, accept_loss: Option<&str>) -> anyhow::Result<House> {
    let relying_party = identity::relying_party(&config.public_url)?;
    let OpenedStore { store, origin, log_key, ring } = open_store(config, accept_loss).await?;
    let gateway = Gateway::new(Parts {
        store,
        entropy: Arc::new(SystemEntropy),
        settings: Settings {
            origin,
            public_url: config.public_url.clone(),
            relying_party,
            retry_key: ring.retry,
            log_key,
        },
        token_key: ring.token,
        activity_folder: config.store.folder.join("activity"),
    })?;
    if gateway.store().is_shared() {
        gateway.bear_name(node_name(&config.store.folder)?);
    }
    Ok(House { gateway })
}

/// Opens the keys and the store alone, making both at the first start.
pub(crate) async fn open_store(config: &Config, accept_loss: Option<&str>) -> anyhow::Result<OpenedStore> {
    let keyless = !config.keys.folder.join(keys::LOG_KEY).exists();
    let shared = config.database_url()?;
    let fresh = match &shared {
        Some(_) => keyless,
        None => !database(config).exists(),
    };
    match &shared {
        Some(url) if keyless && postgres::holds_log(url).await? => bail!(
            "the database `{url}` holds a log already, and `{}` has no keys: copy the keys' folder of another gateway, \
             and its `{}` to `{}`",
            config.keys.folder.display(),
            anchor(config).file_name().unwrap_or_default().display(),
            anchor(config).display()
        ),
        None if fresh && !keyless && anchor(config).exists() && accept_loss.is_none() => bail!(
            "the keys are here but the store `{}` is gone; restore it with `countersign backup restore`, \
             or begin anew with another keys folder",
            database(config).display()
        ),
        Some(_) | None => {}
    }
    let folder = &config.keys.folder;
    let ring = KeyRing::open(folder, fresh)?;
    let refused = match open_with(config, ring, fresh, accept_loss).await {
        Ok(opened) => return Ok(opened),
        Err(refused) => refused,
    };
    // The log may have a new key already, and the process ended before its file was put in place.
    let Some(next) = keys::next_log_key(folder)? else { return Err(refused) };
    let ring = KeyRing::open(folder, false)?;
    let old = log_signer(config, &ring, false)?;
    let Ok(opened) = open_with(config, KeyRing { log: next, ..ring }, false, accept_loss).await else {
        return Err(refused);
    };
    keys::promote_next_log_key(folder, &audit::NoteSigner::verifier(&old).to_string())?;
    Ok(opened)
}

async fn open_with(
    config: &Config,
    ring: KeyRing,
    fresh: bool,
    accept_loss: Option<&str>,
) -> anyhow::Result<OpenedStore> {
    let StoreParts { embedded, ring, log_key } = parts_with(config, ring, fresh)?;
    let origin = embedded.origin.clone();
    let store: Arc<dyn Store> = match (config.database_url()?, accept_loss) {
        (None, Some(reason)) => Arc::new(EmbeddedStore::open_accepting_loss(embedded, reason)?),
        (None, None) => Arc::new(EmbeddedStore::open(embedded)?),
        (Some(url), Some(reason)) => {
            Arc::new(PostgresStore::open_accepting_loss(shared_config(url, embedded), reason).await?)
        }
        (Some(url), None) => Arc::new(PostgresStore::open(shared_config(url, embedded)).await?),
    };
    Ok(OpenedStore { store, origin, log_key, ring })
}

/// What a shared store is opened with: the same, and where its database is.
fn shared_config(url: DatabaseUrl, parts: EmbeddedConfig) -> PostgresConfig {
    let EmbeddedConfig { path: _, anchor_path, origin, signer, sealing_key, clock } = parts;
    let skew_limit = Some(postgres::SKEW_LIMIT);
    PostgresConfig { url, anchor_path, origin, signer, sealing_key, clock, skew_limit }
}

fn log_signer(config: &Config, ring: &KeyRing, fresh: bool) -> anyhow::Result<audit::Ed25519Signer> {
    let origin = keys::origin(&config.keys.folder, config.origin.as_ref(), fresh)?;
    Ok(audit::Ed25519Signer::new(origin.as_str().parse()?, &ring.log))
}

/// Opens the keys, making them when `fresh` says that this is a first start.
pub(crate) fn store_parts(config: &Config, fresh: bool) -> anyhow::Result<StoreParts> {
    parts_with(config, KeyRing::open(&config.keys.folder, fresh)?, fresh)
}

fn parts_with(config: &Config, ring: KeyRing, fresh: bool) -> anyhow::Result<StoreParts> {
    let signer = log_signer(config, &ring, fresh)?;
    let origin = keys::origin(&config.keys.folder, config.origin.as_ref(), fresh)?;
    let log_key = audit::NoteSigner::verifier(&signer).to_string();
    let embedded = EmbeddedConfig {
        path: database(config),
        anchor_path: anchor(config),
        origin,
        signer: Box::new(signer),
        sealing_key: SealingKey::new(ring.seal),
        clock: Arc::new(SystemClock::new()),
    };
    Ok(StoreParts { embedded, ring, log_key })
}

/// The embedded store's database.
pub(crate) fn database(config: &Config) -> std::path::PathBuf {
    config.store.folder.join("countersign.db")
}

/// Whether there is a store to be opened, as far as this machine knows.
pub(crate) fn require_store(config: &Config) -> anyhow::Result<()> {
    let database = database(config);
    if config.store.postgres.is_none() && !database.exists() {
        bail!("there is no store at `{}`; name its bootstrap file with `--config`", database.display());
    }
    Ok(())
}

/// The last signed checkpoint, beside the store. Gateways that share a store may share the keys' folder; each has an
/// anchor of its own.
pub(crate) fn anchor(config: &Config) -> std::path::PathBuf {
    let folder = if config.store.postgres.is_some() { &config.store.folder } else { &config.keys.folder };
    config.store.anchor.clone().unwrap_or_else(|| folder.join("last-checkpoint"))
}

/// What follows the store and its segments into the search index, beside them.
pub(crate) async fn follower(
    config: &Config,
    store: Arc<dyn store::Store>,
    reset: search::Reset,
) -> anyhow::Result<search::Follower> {
    let folder = &config.store.folder;
    let path = search::follow::file(folder);
    search::Follower::open(&path, store, &folder.join("activity"), reset)
        .await
        .with_context(|| format!("cannot open the search index `{}`", path.display()))
}

/// This gateway's name among those that share a store. It belongs to the segments beside it, and is made up once.
fn node_name(folder: &Path) -> anyhow::Result<String> {
    let path = folder.join("node");
    if let Ok(text) = std::fs::read_to_string(&path) {
        let name = text.trim().to_owned();
        let plain = !name.is_empty() && name.len() <= 64 && name.bytes().all(|b| b.is_ascii_alphanumeric());
        return if plain { Ok(name) } else { bail!("`{}` does not hold a gateway's name", path.display()) };
    }
    let mut random = [0; 8];
    gateway::ports::Entropy::fill(&SystemEntropy, &mut random)?;
    let name: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    keys::write_private(&path, &name)?;
    Ok(name)
}

/// The trail for other systems, and the sinks that it feeds.
fn trail(
    config: &Config,
    gateway: &Gateway,
) -> anyhow::Result<(Arc<evidence::TrailService>, Arc<evidence::sink::Sinks>)> {
    let source = evidence::sink::Source {
        store: Arc::clone(gateway.store()),
        activity: config.store.folder.join("activity"),
        ocsf: config.ocsf.clone(),
        node: gateway.name().map(str::to_owned),
    };
    if !config.sinks.is_empty() {
        gateway.send_activity();
    }
    let sinks = Arc::new(evidence::sink::Sinks::start(&config.sinks, &source)?);
    Ok((Arc::new(evidence::TrailService::new(source, Arc::clone(&sinks))), sinks))
}

fn router(metrics: PrometheusHandle, api: points::rest::Parts) -> Router {
    let gateway = &api.gateway;
    let health = Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready).with_state(Arc::clone(gateway)))
        .route(
            "/metrics",
            get(move || async move {
                ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], metrics.render())
            }),
        );
    let console = console::router(Arc::clone(gateway), Arc::clone(&api.search));
    health.merge(points::rest::router(api)).merge(console)
}

async fn ready(State(gateway): State<Arc<Gateway>>) -> impl IntoResponse {
    if !gateway.is_recording() {
        return (
            StatusCode::SERVICE_UNAVAILABLE,
            "not ready: what happens does not reach the log\n".to_owned(),
        );
    }
    match gateway.store().head().await {
        Ok(head) => (StatusCode::OK, format!("ready at log size {}\n", head.size)),
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {error}\n")),
    }
}

async fn welcome(config: &Config, gateway: &Arc<Gateway>, admin: &str) -> anyhow::Result<()> {
    let settings = gateway.settings();
    tracing::info!(origin = %settings.origin, log_key = settings.log_key, "ready");
    let scheme = if config.tls.is_some() { "https" } else { "http" };
    say(&format!("console and API   {}", settings.public_url));
    say(&format!("HTTP point        {scheme}://{}", config.listen.http));
    if let Some(point) = &config.postgres {
        say(&format!("PostgreSQL point  {}", point.listen));
    }
    say(&format!("log key           {}", settings.log_key));
    if let Some(link) = gateway.first_invite(admin).await? {
        say("");
        say("Nobody administers this deployment yet. Enrol your passkey within the hour, once, at");
        say(&format!("  {link}"));
    }
    Ok(())
}

/// What the operator is told goes to standard output; the log goes to standard error.
#[allow(clippy::print_stdout, reason = "the command's own output")]
fn say(line: &str) {
    println!("{line}");
}

pub(crate) fn logging(config: &Config) -> anyhow::Result<()> {
    let filter = tracing_subscriber::EnvFilter::try_new(&config.log.level)
        .with_context(|| format!("log.level `{}` is not a filter", config.log.level))?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match config.log.format {
        LogFormat::Json => builder.json().init(),
        LogFormat::Pretty => builder.with_ansi(std::io::stderr().is_terminal()).with_target(false).init(),
    }
    Ok(())
}

pub(crate) async fn bind(address: std::net::SocketAddr, key: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address}; free it or set `{key}` in countersign.toml"))
}

async fn wait_for(mut stopped: watch::Receiver<bool>) {
    // A sender that is gone means stop as well.
    let _ = stopped.wait_for(|stop| *stop).await;
}

pub(crate) async fn asked_to_stop() -> anyhow::Result<()> {
    #[cfg(unix)]
    {
        let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
        tokio::select! {
            signal = tokio::signal::ctrl_c() => signal?,
            _ = terminate.recv() => {}
        }
    }
    #[cfg(not(unix))]
    tokio::signal::ctrl_c().await?;
    Ok(())
}

/// Reads the bootstrap file.
pub(crate) fn config(path: Option<&Path>) -> anyhow::Result<Config> {
    Config::read(path)
}
