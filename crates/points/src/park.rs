//! Connections that wait. A call that people are asked about may stand for an hour; what it needs meanwhile is its socket
//! and the answer that is to come, not the buffers and the state of a protocol.
//!
//! So over HTTP/1, where a connection carries one request at a time, it is taken from the server and parked. Once there
//! is an answer, a server is given the connection anew, with a head that asks for nothing in front of it, and writes
//! that answer; then the connection is closed, since what the caller may have sent meanwhile was not kept (RFC 9112,
//! section 9.3.2: a client that pipelines sends again what was not answered).

use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use http::{Method, Request, Response, Version};
use http_body::Body;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::Watcher;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};
use tokio::sync::Notify;

/// How much a caller may send while it waits, in bytes, until it is listened to no more.
const SCRAP_LIMIT_BYTES: usize = 64 << 10;
/// How much of that is read at once, in bytes.
const SCRAP_BYTES: usize = 64;

/// What a request comes to.
pub(crate) enum Answer<B> {
    /// This, now.
    Now(Response<B>),
    /// This, in a while. It is dropped when the caller leaves.
    Later(Later<B>),
}

/// An answer that may take its time.
pub(crate) type Later<B> = Pin<Box<dyn Future<Output = Response<B>> + Send>>;

/// A connection that waits for its answer.
pub(crate) struct Parked<S, B> {
    stream: S,
    later: Later<B>,
    form: Form,
}

impl<S, B> Parked<S, B>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    /// Waits until there is an answer and writes it, or until the caller leaves. An orderly stop waits for the `watcher`.
    pub(crate) async fn wait(self, watcher: Watcher) {
        let Self { mut stream, mut later, form } = self;
        let response = tokio::select! {
            response = &mut later => response,
            () = left(&mut stream) => return,
        };
        drop(later);
        // Boxed: what writing takes is not carried while waiting.
        Box::pin(write(stream, form, response)).await;
        drop(watcher);
    }
}

/// What of a request its answer's form depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Form {
    head: bool,
    old: bool,
}

impl Form {
    /// The form of a request's answer; none where the connection carries other requests at the same time.
    pub(crate) fn of<B>(request: &Request<B>) -> Option<Self> {
        let old = request.version() == Version::HTTP_10;
        let alone = old || request.version() == Version::HTTP_11;
        alone.then_some(Self { head: request.method() == Method::HEAD, old })
    }

    /// A head of the same form, which asks for nothing.
    fn request(self) -> &'static [u8] {
        match (self.head, self.old) {
            (false, false) => b"GET / HTTP/1.1\r\nhost: parked\r\n\r\n",
            (true, false) => b"HEAD / HTTP/1.1\r\nhost: parked\r\n\r\n",
            (false, true) => b"GET / HTTP/1.0\r\n\r\n",
            (true, true) => b"HEAD / HTTP/1.0\r\n\r\n",
        }
    }
}

/// Ends when the caller has gone. What it sends meanwhile is not kept.
async fn left<S: AsyncRead + Unpin>(stream: &mut S) {
    let (mut scrap, mut read) = ([0; SCRAP_BYTES], 0_usize);
    while read < SCRAP_LIMIT_BYTES {
        match stream.read(&mut scrap).await {
            Ok(0) | Err(_) => return,
            Ok(more) => read = read.saturating_add(more),
        }
    }
    std::future::pending().await
}

async fn write<S, B>(stream: S, form: Form, response: Response<B>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let answer = Mutex::new(Some(response));
    let service = service_fn(|_| {
        let taken = answer.lock().unwrap_or_else(PoisonError::into_inner).take();
        async move { taken.ok_or_else(|| io::Error::other("it was answered already")) }
    });
    let stream = TokioIo::new(Rewound { ahead: form.request(), stream });
    let connection =
        http1::Builder::new().timer(TokioTimer::new()).keep_alive(false).serve_connection(stream, service);
    if let Err(error) = connection.await {
        tracing::debug!(?error, "an answer was not written");
    }
}

/// Where a request leaves word that its connection is to be parked.
pub(crate) struct Slot<B> {
    left: Mutex<Option<(Later<B>, Form)>>,
    put: Notify,
}

impl<B> Default for Slot<B> {
    fn default() -> Self {
        Self { left: Mutex::new(None), put: Notify::new() }
    }
}

impl<B> Slot<B> {
    /// Leaves word; whoever does is not heard again.
    pub(crate) fn put(&self, later: Later<B>, form: Form) {
        *self.left.lock().unwrap_or_else(PoisonError::into_inner) = Some((later, form));
        self.put.notify_one();
    }

    /// Waits for word.
    pub(crate) async fn taken(&self) -> (Later<B>, Form) {
        loop {
            let left = self.left.lock().unwrap_or_else(PoisonError::into_inner).take();
            match left {
                Some(left) => return left,
                None => self.put.notified().await,
            }
        }
    }
}

/// A stream that can be taken back from whoever reads and writes it.
pub(crate) struct Lent<S>(Arc<Mutex<Option<S>>>);

impl<S> Lent<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self(Arc::new(Mutex::new(Some(stream))))
    }

    /// The same stream for somebody else.
    pub(crate) fn again(&self) -> Self {
        Self(Arc::clone(&self.0))
    }

    /// Takes it back, with whoever is to have the answer.
    pub(crate) fn park<B>(&self, (later, form): (Later<B>, Form)) -> Option<Parked<S, B>> {
        let stream = self.0.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        Some(Parked { stream, later, form })
    }

    fn with<T>(&self, poll: impl FnOnce(Pin<&mut S>) -> Poll<io::Result<T>>) -> Poll<io::Result<T>>
    where
        S: Unpin,
    {
        match self.0.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            Some(stream) => poll(Pin::new(stream)),
            None => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Lent<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.with(|stream| stream.poll_read(context, buffer))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Lent<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.with(|stream| stream.poll_write(context, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.with(|stream| stream.poll_write_vectored(context, parts))
    }

    fn is_write_vectored(&self) -> bool {
        let stream = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        stream.as_ref().is_some_and(AsyncWrite::is_write_vectored)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.with(|stream| stream.poll_flush(context))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.with(|stream| stream.poll_shutdown(context))
    }
}

/// A stream with something in front of what comes from it.
struct Rewound<S> {
    ahead: &'static [u8],
    stream: S,
}

impl<S: AsyncRead + Unpin> AsyncRead for Rewound<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.ahead.is_empty() {
            return Pin::new(&mut self.stream).poll_read(context, buffer);
        }
        let (now, rest) = self.ahead.split_at(self.ahead.len().min(buffer.remaining()));
        buffer.put_slice(now);
        self.ahead = rest;
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Rewound<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Duration;

    use bytes::Bytes;
    use http_body_util::Full;
    use hyper_util::server::graceful::GracefulShutdown;
    use tokio::io::AsyncWriteExt as _;
    use tokio::net::{TcpListener, TcpStream};
    use tokio::sync::oneshot;

    use super::*;
    use crate::server::converse;

    /// How long a test waits for what must come.
    const PATIENCE: Duration = Duration::from_secs(20);
    /// How long it gives what must not come.
    const A_WHILE: Duration = Duration::from_millis(100);

    /// A server of one connection, whose first request is answered late and whose others at once.
    struct Server {
        caller: TcpStream,
        answer: oneshot::Sender<&'static str>,
        dropped: Arc<AtomicBool>,
        graceful: GracefulShutdown,
        done: tokio::task::JoinHandle<()>,
    }

    struct Noted(Arc<AtomicBool>);

    impl Drop for Noted {
        fn drop(&mut self) {
            self.0.store(true, Ordering::SeqCst);
        }
    }

    async fn server() -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let caller = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        let (answer, answered) = oneshot::channel();
        let (dropped, graceful) = (Arc::new(AtomicBool::new(false)), GracefulShutdown::new());
        let (watchers, noted) = ((graceful.watcher(), graceful.watcher()), Noted(Arc::clone(&dropped)));
        let late = Mutex::new(Some((answered, noted)));
        let done = tokio::spawn(async move {
            let parked = converse(stream, watchers.0, move |request| {
                let late = late.lock().unwrap().take();
                async move {
                    match late {
                        Some((answered, noted)) => Answer::Later(Box::pin(async move {
                            let _noted = noted;
                            Response::new(Full::new(Bytes::from(answered.await.unwrap())))
                        })),
                        None => Answer::Now(Response::new(Full::new(Bytes::from(request.uri().to_string())))),
                    }
                }
            })
            .await;
            if let Some(parked) = parked {
                parked.wait(watchers.1).await;
            }
        });
        Server { caller, answer, dropped, graceful, done }
    }

    /// Sends a head, lets the connection be parked, and answers; what the caller reads until the end.
    async fn answered(head: &str) -> String {
        let mut server = server().await;
        server.caller.write_all(head.as_bytes()).await.unwrap();
        tokio::time::sleep(A_WHILE).await;
        server.answer.send("late").unwrap();
        let mut read = String::new();
        tokio::time::timeout(PATIENCE, server.caller.read_to_string(&mut read)).await.unwrap().unwrap();
        tokio::time::timeout(PATIENCE, server.done).await.unwrap().unwrap();
        read
    }

    #[tokio::test]
    async fn a_late_answer_comes_whole_and_closes_its_connection() {
        let read = answered("DELETE /queue HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n").await;
        let (head, body) = read.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        assert!(head.contains("connection: close") && head.contains("content-length: 4"), "{head}");
        assert_eq!(body, "late");
    }

    #[tokio::test]
    async fn a_late_answer_has_the_form_of_its_request() {
        let read = answered("HEAD /queue HTTP/1.1\r\nHost: x\r\n\r\n").await;
        assert!(read.contains("content-length: 4") && read.ends_with("\r\n\r\n"), "{read}");
        let read = answered("GET /queue HTTP/1.0\r\n\r\n").await;
        assert!(read.starts_with("HTTP/1.0 200 OK\r\n") && read.ends_with("\r\n\r\nlate"), "{read}");
    }

    /// What is sent behind a request that waits is not answered, and does not disturb its answer.
    #[tokio::test]
    async fn a_second_request_on_a_waiting_connection_is_left_to_its_client() {
        let both = "GET /first HTTP/1.1\r\nHost: x\r\n\r\nGET /second HTTP/1.1\r\nHost: x\r\n\r\n";
        let read = answered(both).await;
        assert!(read.ends_with("\r\n\r\nlate") && read.matches("HTTP/1.1").count() == 1, "{read}");
    }

    #[tokio::test]
    async fn a_caller_that_leaves_is_waited_for_no_more() {
        let mut server = server().await;
        server.caller.write_all(b"GET /queue HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        tokio::time::sleep(A_WHILE).await;
        assert!(!server.dropped.load(Ordering::SeqCst));
        drop(server.caller);
        tokio::time::timeout(PATIENCE, server.done).await.unwrap().unwrap();
        assert!(server.dropped.load(Ordering::SeqCst));
    }

    #[tokio::test]
    async fn an_orderly_stop_waits_for_a_parked_connection() {
        let mut server = server().await;
        server.caller.write_all(b"GET /queue HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        tokio::time::sleep(A_WHILE).await;
        let mut stopping = tokio::spawn(server.graceful.shutdown());
        assert!(tokio::time::timeout(A_WHILE, &mut stopping).await.is_err());
        server.answer.send("late").unwrap();
        let mut read = String::new();
        server.caller.read_to_string(&mut read).await.unwrap();
        assert!(read.ends_with("late"), "{read}");
        tokio::time::timeout(PATIENCE, stopping).await.unwrap().unwrap();
    }

    /// Over HTTP/2 other requests go on beside the one that waits: it is not parked.
    #[test]
    fn a_connection_of_many_streams_is_not_parked() {
        let form = |version| Form::of(&Request::builder().version(version).body(()).unwrap());
        assert!(form(Version::HTTP_2).is_none());
        assert!(form(Version::HTTP_11).is_some() && form(Version::HTTP_10).is_some());
    }
}
