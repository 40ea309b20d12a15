//! How a request reaches a witness, and how much of an answer is taken.

use std::time::Duration;

use async_trait::async_trait;
use audit::witness::MAX_RESPONSE_BYTES;

/// How long a connection to a witness may take.
const CONNECT_PATIENCE: Duration = Duration::from_secs(5);

/// How long a witness may take from the request's first byte to the answer's last.
const ANSWER_PATIENCE: Duration = Duration::from_secs(10);

/// The way to a witness: HTTP, or a test.
#[async_trait]
pub trait Transport: Send + Sync + 'static {
    /// Posts a body to a URL and returns the answer, whatever its status. An implementation has its
    /// own limits on time and size, and follows no redirect: a proof belongs to the witness asked.
    ///
    /// # Errors
    /// [`TransportError`] if no whole answer came.
    async fn post(&self, url: &str, body: String) -> Result<Reply, TransportError>;
}

/// An HTTP answer as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The status code.
    pub status: u16,
    /// The `Content-Type`, if there is one and it is text.
    pub content_type: Option<String>,
    /// The body, at most [`MAX_RESPONSE_BYTES`].
    pub body: Vec<u8>,
}

/// Why no answer came.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TransportError(pub String);

/// HTTP and HTTPS, over connections that are kept.
pub struct HttpTransport(reqwest::Client);

impl HttpTransport {
    /// A client of its own.
    ///
    /// # Errors
    /// [`TransportError`] if the system's TLS roots cannot be used.
    pub fn new() -> Result<Self, TransportError> {
        reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_PATIENCE)
            .timeout(ANSWER_PATIENCE)
            .user_agent("countersign")
            .build()
            .map(Self)
            .map_err(|error| said(&error))
    }
}

#[async_trait]
impl Transport for HttpTransport {
    async fn post(&self, url: &str, body: String) -> Result<Reply, TransportError> {
        let request = self.0.post(url).header("content-type", "text/plain; charset=utf-8").body(body);
        let mut answer = request.send().await.map_err(|error| said(&error))?;
        let content_type = answer.headers().get("content-type").and_then(|kind| kind.to_str().ok());
        let (status, content_type) = (answer.status().as_u16(), content_type.map(str::to_owned));
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|error| said(&error))? {
            if body.len() + chunk.len() > MAX_RESPONSE_BYTES {
                let limit = format!("the answer is longer than {MAX_RESPONSE_BYTES} bytes");
                return Err(TransportError(limit));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Reply { status, content_type, body })
    }
}

/// The error and what it came from, in one line, without the URL: it may hold a password.
fn said(error: &reqwest::Error) -> TransportError {
    let mut source: Option<&dyn std::error::Error> = std::error::Error::source(error);
    let kind = match (error.is_timeout(), error.is_connect()) {
        (true, _) => "the witness did not answer in time",
        (_, true) => "the witness cannot be reached",
        _ => "the exchange with the witness failed",
    };
    let mut text = kind.to_owned();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    TransportError(text)
}
