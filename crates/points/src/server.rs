//! Connections, as every listener of ours takes them: HTTP/1.1 and HTTP/2, each wait with its limit.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::extract::ConnectInfo;
use http::Request;
use http_body::Body;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::park::{Answer, Form, Lent, Parked, Slot};

/// The most connections of one listener at once, where the system allows as many; more wait to be accepted.
pub const CONNECTIONS_LIMIT: usize = 32_768;
/// Descriptors that are left to the store, to upstreams and to the log whatever clients do.
const DESCRIPTORS_RESERVED: usize = 256;
/// How long a client may take until its first request's head has come, and between heads over HTTP/1.
pub const HEAD_PATIENCE: Duration = Duration::from_secs(30);
/// How often a client of HTTP/2 is asked whether it is still there, and how long its answer may take.
const PING: (Duration, Duration) = (Duration::from_secs(20), Duration::from_secs(10));
/// The most streams of one HTTP/2 connection at once.
const STREAMS_LIMIT: u32 = 256;
/// The largest head of a request, in bytes: the first line and all headers.
const HEAD_LIMIT_BYTES: usize = 128 << 10;
/// The pause after the system refused a connection (too many open files, say).
pub(crate) const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How long open connections get when a listener stops.
pub const DRAIN_PATIENCE: Duration = Duration::from_secs(25);

/// How many connections a listener may have that gets `percent` of the `open_files` descriptors of the process. What
/// is left over is for calls under way, each of which has a connection to its upstream too.
#[must_use]
pub fn connections(open_files: u64, percent: usize) -> usize {
    let files = usize::try_from(open_files).unwrap_or(usize::MAX).saturating_sub(DESCRIPTORS_RESERVED);
    (files / 100).saturating_mul(percent).clamp(16, CONNECTIONS_LIMIT)
}

/// Carries one connection to its end, or until it is to be parked. A client that has sent no whole head in
/// [`HEAD_PATIENCE`] is hung up on.
pub(crate) async fn converse<S, F, B>(
    stream: S,
    watcher: Watcher,
    serve: impl Fn(Request<Incoming>) -> F + Send + 'static,
) -> Option<Parked<S, B>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    F: Future<Output = Answer<B>> + Send + 'static,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let spoke = Arc::new(AtomicBool::new(false));
    let heard = Arc::clone(&spoke);
    let slot = Arc::new(Slot::default());
    let word = Arc::clone(&slot);
    let service = service_fn(move |request| {
        heard.store(true, Ordering::Relaxed);
        let form = Form::of(&request);
        let answer = serve(request);
        let slot = Arc::clone(&slot);
        async move {
            let later = match answer.await {
                Answer::Now(response) => return Ok::<_, Infallible>(response),
                Answer::Later(later) => later,
            };
            match form {
                // The connection ends here, and this with it.
                Some(form) => {
                    slot.put(later, form);
                    std::future::pending().await
                }
                None => Ok(later.await),
            }
        }
    });
    let lent = Lent::new(stream);
    let mut builder = Builder::new(TokioExecutor::new());
    limit(&mut builder);
    let connection = builder.serve_connection_with_upgrades(TokioIo::new(lent.again()), service).into_owned();
    let silence = async move {
        tokio::time::sleep(HEAD_PATIENCE).await;
        if spoke.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        ended = watcher.watch(connection) => {
            if let Err(error) = ended {
                tracing::debug!(?error, "a connection ended badly");
            }
            None
        }
        () = silence => {
            tracing::debug!("a connection was silent for too long");
            None
        }
        later = word.taken() => lent.park(later),
    }
}

fn limit(builder: &mut Builder<TokioExecutor>) {
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_PATIENCE)
        .max_buf_size(HEAD_LIMIT_BYTES)
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(PING.0)
        .keep_alive_timeout(PING.1)
        .max_concurrent_streams(STREAMS_LIMIT)
        .max_header_list_size(u32::try_from(HEAD_LIMIT_BYTES).unwrap_or(u32::MAX));
}

/// Serves a router until `stop`, with the limits of every listener, then lets open requests finish. Each request's
/// extensions hold the address at the other end of its connection, as `ConnectInfo<SocketAddr>`.
pub async fn serve_router(
    listener: TcpListener,
    app: axum::Router,
    connections: usize,
    stop: impl Future<Output = ()> + Send,
) {
    let places = Arc::new(Semaphore::new(connections));
    let graceful = GracefulShutdown::new();
    tokio::pin!(stop);
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { break };
        let (stream, address) = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            },
            () = &mut stop => break,
        };
        let (service, watcher) = (TowerToHyperService::new(app.clone()), graceful.watcher());
        tokio::spawn(async move {
            let _ = stream.set_nodelay(true);
            converse(stream, watcher, move |mut request| {
                request.extensions_mut().insert(ConnectInfo(address));
                let answering = hyper::service::Service::call(&service, request);
                async move {
                    match answering.await {
                        Ok(response) => Answer::Now(response),
                        Err(never) => match never {},
                    }
                }
            })
            .await;
            drop(place);
        });
    }
    drop(listener);
    let _ = tokio::time::timeout(DRAIN_PATIENCE, graceful.shutdown()).await;
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use axum::routing::get;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn handlers_know_the_address_at_the_other_end() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let app = axum::Router::new()
            .route("/", get(async |ConnectInfo(from): ConnectInfo<SocketAddr>| from.to_string()));
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = tokio::spawn(serve_router(listener, app, 16, async {
            let _ = stopped.await;
        }));
        let mut stream = TcpStream::connect(at).await.unwrap();
        let here = stream.local_addr().unwrap().to_string();
        stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.ends_with(&here), "{answer}");
        stop.send(()).unwrap();
        serving.await.unwrap();
    }
}
