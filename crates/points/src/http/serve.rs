//! Connections: HTTP/1.1 and HTTP/2, plain or over TLS, each with limits, and an orderly end.

use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use http::{Response, StatusCode};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::TlsAcceptor;

use crate::server::{self, ACCEPT_PAUSE, DRAIN_PATIENCE};

use super::forward::Pool;
use super::point::{HttpPoint, Shared};
use super::reply::{Body, Problem};

/// How long a TLS handshake may take.
const HANDSHAKE_PATIENCE: Duration = Duration::from_secs(10);
/// Why the point cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// A certificate or key that cannot be used.
    #[error("cannot use `{file}` for TLS: {why}")]
    Tls {
        /// Which file.
        file: String,
        /// Why.
        why: String,
    },
}

/// The TLS settings for a certificate chain and its key, both PEM.
///
/// # Errors
/// Files that cannot be read, or do not fit each other.
pub fn tls_config(certificate: &Path, key: &Path) -> Result<Arc<rustls::ServerConfig>, ServeError> {
    let bad = |file: &Path, why: String| ServeError::Tls { file: file.display().to_string(), why };
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect)
        .map_err(|error| bad(certificate, error.to_string()))?;
    let private = PrivateKeyDer::from_pem_file(key).map_err(|error| bad(key, error.to_string()))?;
    let mut config = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain, private)
        .map_err(|error| bad(certificate, error.to_string()))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

impl HttpPoint {
    /// Serves until `stop`, then lets open requests finish.
    pub async fn serve(
        self,
        listener: TcpListener,
        tls: Option<Arc<rustls::ServerConfig>>,
        connections: usize,
        stop: impl Future<Output = ()> + Send,
    ) {
        let workers = match workers(&self.shared) {
            Ok(workers) => workers,
            Err(error) => {
                tracing::error!(%error, "cannot start the threads of the HTTP point; it serves nothing");
                return;
            }
        };
        let mut workers = workers.iter().cycle();
        let acceptor = tls.map(TlsAcceptor::from);
        let places = Arc::new(Semaphore::new(connections));
        let graceful = GracefulShutdown::new();
        tokio::pin!(stop);
        loop {
            let Ok(place) = Arc::clone(&places).acquire_owned().await else { break };
            let stream = tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => match stream.into_std() {
                        Ok(stream) => stream,
                        Err(_) => continue,
                    },
                    Err(error) => {
                        tracing::warn!(%error, "cannot accept a connection");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                        continue;
                    }
                },
                () = &mut stop => break,
            };
            let Some(worker) = workers.next() else { break };
            let acceptor = acceptor.clone();
            // One for while it speaks, one for while it is parked.
            let guest = Guest { watchers: (graceful.watcher(), graceful.watcher()), place };
            worker.handle.spawn(greet(worker.clone(), stream, acceptor, guest));
        }
        drop(listener);
        let _ = tokio::time::timeout(DRAIN_PATIENCE, graceful.shutdown()).await;
    }
}

/// One thread that carries whole connections: a request, its decision, its upstream connection and its answer
/// stay on it, so that nothing on the way waits for another thread to wake.
#[derive(Clone)]
struct Worker {
    handle: Handle,
    shared: Arc<Shared>,
    pool: Pool,
}

/// A worker for each core. Their threads end with the process: what runs on them may finish until then.
fn workers(shared: &Arc<Shared>) -> std::io::Result<Vec<Worker>> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    (0..cores)
        .map(|number| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let handle = runtime.handle().clone();
            let name = format!("http-{number}");
            std::thread::Builder::new()
                .name(name)
                .spawn(move || runtime.block_on(std::future::pending::<()>()))?;
            Ok(Worker { handle, shared: Arc::clone(shared), pool: shared.forwarder.pool() })
        })
        .collect()
}

/// What a connection holds as long as it stands.
struct Guest {
    watchers: (Watcher, Watcher),
    place: OwnedSemaphorePermit,
}

async fn greet(worker: Worker, stream: std::net::TcpStream, acceptor: Option<TlsAcceptor>, guest: Guest) {
    // Registered anew, with this thread's reactor.
    let Ok(stream) = TcpStream::from_std(stream) else { return };
    let _ = stream.set_nodelay(true);
    match acceptor {
        None => converse(worker, stream, guest).await,
        Some(acceptor) => match tokio::time::timeout(HANDSHAKE_PATIENCE, acceptor.accept(stream)).await {
            Ok(Ok(stream)) => Box::pin(converse(worker, stream, guest)).await,
            Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
            Err(_) => tracing::debug!("a TLS handshake took too long"),
        },
    }
}

async fn converse<S>(worker: Worker, stream: S, guest: Guest)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let Guest { watchers: (speaking, waiting), place } = guest;
    let worker = Arc::new(worker);
    let parked = server::converse(stream, speaking, move |request| {
        let worker = Arc::clone(&worker);
        // Boxed: its room is large, is moved several times otherwise, and is nothing to a connection that is idle.
        async move { Box::pin(worker.shared.handle(&worker.pool, request)).await }
    })
    .await;
    if let Some(parked) = parked {
        // A task of its own: this one's room is that of a whole conversation.
        tokio::spawn(async move {
            parked.wait(waiting).await;
            drop(place);
        });
    }
}

/// Joins both sides of an upgraded connection, once each has switched.
pub(super) fn join_upgrade(
    mut response: Response<Incoming>,
    caller: Option<hyper::upgrade::OnUpgrade>,
) -> Response<Body> {
    let Some(caller) = caller else {
        let why = "the target switched protocols and the caller's connection cannot";
        return Problem::new(StatusCode::BAD_GATEWAY, "upgrade-failed", why).into_response();
    };
    let target = hyper::upgrade::on(&mut response);
    let upgrade = response.headers().get(http::header::UPGRADE).cloned();
    tokio::spawn(async move {
        match tokio::try_join!(caller, target) {
            Ok((caller, target)) => {
                let (mut caller, mut target) = (TokioIo::new(caller), TokioIo::new(target));
                if let Err(error) = tokio::io::copy_bidirectional(&mut caller, &mut target).await {
                    tracing::debug!(%error, "an upgraded connection ended badly");
                }
            }
            Err(error) => tracing::debug!(%error, "an upgrade failed"),
        }
    });
    let mut response = super::answer::clean(response);
    response.headers_mut().insert(http::header::CONNECTION, http::HeaderValue::from_static("upgrade"));
    if let Some(upgrade) = upgrade {
        response.headers_mut().insert(http::header::UPGRADE, upgrade);
    }
    response
}
