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
use store::clock::SystemClock;
use store::embedded::{EmbeddedConfig, EmbeddedStore};
use store::seal::SealingKey;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::config::{Config, LogFormat};
use crate::keys::{self, KeyRing};

/// How long running actions and open connections get at shutdown.
const SHUTDOWN_PATIENCE: Duration = Duration::from_secs(30);

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

    let house = open(&config, options.accept_loss.as_deref())?;
    let gateway = &house.gateway;
    gateway.install(Arc::new(ConfigRunner::new(Arc::clone(gateway.store()))));
    let point = points::http::HttpPoint::new(Arc::clone(gateway), config.read_secrets()?);
    for secret in point.missing_secrets() {
        tracing::warn!(%secret, "a route names a secret that the configuration does not have");
    }
    gateway.install(Arc::new(point.runner()));
    gateway.start().await?;

    let (stop, stopped) = watch::channel(false);
    let tls =
        config.tls.as_ref().map(|tls| points::http::tls_config(&tls.certificate, &tls.key)).transpose()?;
    // As many descriptors as the system gives, and never so many connections that none is left for the log.
    let open_files =
        rlimit::increase_nofile_limit(u64::MAX).context("cannot raise the limit of open files")?;
    let (agents, people) =
        (points::server::connections(open_files, 55), points::server::connections(open_files, 10));
    let serving_http = tokio::spawn(point.serve(http, tls, agents, wait_for(stopped.clone())));
    let app = router(gateway, metrics);
    let serving_console = tokio::spawn(points::server::serve_router(console, app, people, wait_for(stopped)));

    welcome(&config, gateway, &options.admin).await?;
    asked_to_stop().await?;
    tracing::info!("stopping: no new calls; what runs may finish");
    let _ = stop.send(true);
    let _ = tokio::time::timeout(SHUTDOWN_PATIENCE, async {
        let _ = serving_http.await;
        let _ = serving_console.await;
    })
    .await;
    gateway.stop(SHUTDOWN_PATIENCE).await;
    tracing::info!("stopped");
    Ok(())
}

/// The gateway over the opened store.
pub(crate) struct House {
    pub(crate) gateway: Arc<Gateway>,
}

/// The opened store, with the keys that are not its own.
pub(crate) struct OpenedStore {
    pub(crate) store: Arc<EmbeddedStore>,
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
pub(crate) fn open(config: &Config, accept_loss: Option<&str>) -> anyhow::Result<House> {
    let relying_party = identity::relying_party(&config.public_url)?;
    let OpenedStore { store, origin, log_key, ring } = open_store(config, accept_loss)?;
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
    Ok(House { gateway })
}

/// Opens the keys and the store alone, making both at the first start.
pub(crate) fn open_store(config: &Config, accept_loss: Option<&str>) -> anyhow::Result<OpenedStore> {
    let database = database(config);
    let fresh = !database.exists();
    if fresh
        && config.keys.folder.join("log.key").exists()
        && anchor(config).exists()
        && accept_loss.is_none()
    {
        bail!(
            "the keys are here but the store `{}` is gone; restore it with `countersign backup restore`, \
             or begin anew with another keys folder",
            database.display()
        );
    }
    let StoreParts { embedded, ring, log_key } = store_parts(config, fresh)?;
    let origin = embedded.origin.clone();
    let store = match accept_loss {
        Some(reason) => EmbeddedStore::open_accepting_loss(embedded, reason),
        None => EmbeddedStore::open(embedded),
    }?;
    Ok(OpenedStore { store: Arc::new(store), origin, log_key, ring })
}

/// Opens the keys, making them when `fresh` says that this is a first start.
pub(crate) fn store_parts(config: &Config, fresh: bool) -> anyhow::Result<StoreParts> {
    let ring = KeyRing::open(&config.keys.folder, fresh)?;
    let origin = keys::origin(&config.keys.folder, config.origin.as_ref(), fresh)?;
    let signer = audit::Ed25519Signer::new(origin.as_str().parse()?, &ring.log);
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

/// The last signed checkpoint, beside the store.
pub(crate) fn anchor(config: &Config) -> std::path::PathBuf {
    config.store.anchor.clone().unwrap_or_else(|| config.keys.folder.join("last-checkpoint"))
}

fn router(gateway: &Arc<Gateway>, metrics: PrometheusHandle) -> Router {
    let health = Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready).with_state(Arc::clone(gateway)))
        .route(
            "/metrics",
            get(move || async move {
                ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], metrics.render())
            }),
        );
    // The API takes route documents without knowing what the points that own them make of them.
    let check_route = Arc::new(points::http::check_document);
    let api = points::rest::Parts { gateway: Arc::clone(gateway), check_route };
    health.merge(points::rest::router(api)).merge(console::router(Arc::clone(gateway)))
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

fn logging(config: &Config) -> anyhow::Result<()> {
    let filter = tracing_subscriber::EnvFilter::try_new(&config.log.level)
        .with_context(|| format!("log.level `{}` is not a filter", config.log.level))?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match config.log.format {
        LogFormat::Json => builder.json().init(),
        LogFormat::Pretty => builder.with_ansi(std::io::stderr().is_terminal()).with_target(false).init(),
    }
    Ok(())
}

async fn bind(address: std::net::SocketAddr, key: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address}; free it or set `{key}` in countersign.toml"))
}

async fn wait_for(mut stopped: watch::Receiver<bool>) {
    // A sender that is gone means stop as well.
    let _ = stopped.wait_for(|stop| *stop).await;
}

async fn asked_to_stop() -> anyhow::Result<()> {
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
