//! The command line's side of the API.

use std::time::Duration;

use anyhow::{Context as _, bail};
use domain::text::visible;
use reqwest::header::CONTENT_TYPE;
use reqwest::{Method, StatusCode};
use serde_json::Value;

use crate::sessions::{DEFAULT_URL, Sessions};

/// How long reaching the gateway may take.
const CONNECT_PATIENCE: Duration = Duration::from_secs(5);
/// How long an answer may take: longer than the longest wait that is asked of the gateway.
const ANSWER_PATIENCE: Duration = Duration::from_secs(70);
/// The longest answer that is read, in bytes: a receipt with its payload.
const ANSWER_LIMIT_BYTES: usize = 64 << 20;

/// A gateway, and who asks.
#[derive(Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    url: String,
    bearer: Option<String>,
}

/// The pieces of an answer, as they come.
pub(crate) struct Pieces {
    client: Client,
    response: reqwest::Response,
}

impl Pieces {
    /// The next piece; none at the answer's end. An answer that breaks off is an error.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<u8>>, ClientError> {
        match self.response.chunk().await {
            Ok(piece) => Ok(piece.map(|piece| piece.to_vec())),
            Err(error) => Err(self.client.unreachable(&error)),
        }
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    /// Nobody answers there.
    #[error(
        "cannot reach the gateway at `{url}`: {why}; start it with `countersign up`, or name another with `--url`"
    )]
    Unreachable { url: String, why: String },
    /// The gateway says no.
    #[error("{0}")]
    Refused(Refused),
    /// Something answers that is no gateway.
    #[error("what answers at `{url}` is no Countersign gateway ({what}); name the gateway with `--url`")]
    Stranger { url: String, what: String },
}

/// A problem (RFC 9457), as the gateway states it.
#[derive(Debug, Clone)]
pub(crate) struct Refused {
    pub(crate) status: StatusCode,
    /// The problem's stable code.
    pub(crate) code: String,
    /// What happened.
    detail: String,
    /// The whole problem.
    pub(crate) body: Value,
}

impl Refused {
    fn read(status: StatusCode, body: Value) -> Self {
        let text = |name: &str| body.get(name).and_then(Value::as_str).map(visible);
        let code = text("type").and_then(|kind| kind.rsplit('/').next().map(ToOwned::to_owned));
        let detail = text("detail").or_else(|| text("error_description")).or_else(|| text("title"));
        Self {
            status,
            code: code.or_else(|| text("error")).unwrap_or_default(),
            detail: detail.unwrap_or_else(|| format!("the gateway answered {status}")),
            body,
        }
    }

    /// What the person does next, where the gateway's own words do not say it.
    fn next(&self) -> Option<&'static str> {
        match self.code.as_str() {
            "step-up-required" => Some("sign in again with `countersign login`"),
            _ if self.status == StatusCode::TOO_MANY_REQUESTS => Some("wait a moment and try again"),
            _ => None,
        }
    }
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The gateway speaks of tokens here; who sits at a terminal signs in.
        if self.code == "unauthenticated" {
            return f.write_str("nobody is signed in, or not any more; sign in with `countersign login`");
        }
        f.write_str(self.detail.trim_end_matches('.'))?;
        self.next().map_or(Ok(()), |next| write!(f, "; {next}"))
    }
}

impl Client {
    /// The gateway that the options, the environment or the last sign-in name, as whoever is signed in there.
    pub(crate) fn signed_in(url: Option<&str>) -> anyhow::Result<Self> {
        let client = Self::anonymous(url)?;
        let saved = Sessions::of_this_user()?.read(&client.url)?;
        Ok(Self { bearer: saved.map(|saved| saved.token), ..client })
    }

    /// The same gateway, as nobody.
    pub(crate) fn anonymous(url: Option<&str>) -> anyhow::Result<Self> {
        let url = match url {
            Some(url) => url.to_owned(),
            None => Sessions::of_this_user()?.last_url().unwrap_or_else(|| DEFAULT_URL.to_owned()),
        };
        let url = url.trim_end_matches('/').to_owned();
        if !url.starts_with("http://") && !url.starts_with("https://") {
            bail!("`{}` is no gateway's address; write it like `{DEFAULT_URL}`", visible(&url));
        }
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT_PATIENCE)
            .timeout(ANSWER_PATIENCE)
            // A credential follows nobody elsewhere.
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("countersign/", env!("CARGO_PKG_VERSION")))
            .build()
            .context("cannot set up HTTP")?;
        Ok(Self { http, url, bearer: None })
    }

    /// The same gateway, by this token.
    pub(crate) fn with_bearer(&self, token: &str) -> Self {
        Self { bearer: Some(token.to_owned()), ..self.clone() }
    }

    /// The gateway's address.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Whether a credential is at hand.
    pub(crate) fn has_bearer(&self) -> bool {
        self.bearer.is_some()
    }

    pub(crate) async fn get(&self, path: &str) -> Result<Value, ClientError> {
        self.send(Method::GET, path, None, &[]).await
    }

    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        headers: &[(&str, &str)],
    ) -> Result<Value, ClientError> {
        let mut request = self.http.request(method, format!("{}{path}", self.url));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.header(CONTENT_TYPE, "application/json").body(body.to_string());
        }
        self.answer(request).await
    }

    /// A form, as OAuth's token endpoint takes it.
    pub(crate) async fn form(&self, path: &str, fields: &[(&str, &str)]) -> Result<Value, ClientError> {
        let body =
            fields.iter().map(|(name, value)| format!("{name}={}", escaped(value))).collect::<Vec<_>>();
        let request = self
            .http
            .post(format!("{}{path}", self.url))
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(body.join("&"));
        self.answer(request).await
    }

    /// An answer that is text.
    pub(crate) async fn text(&self, path: &str) -> Result<String, ClientError> {
        let (status, text) = self.exchange(self.http.get(format!("{}{path}", self.url))).await?;
        if status.is_success() {
            return Ok(text);
        }
        let body = serde_json::from_str(&text).map_err(|_| self.no_json(status))?;
        Err(ClientError::Refused(Refused::read(status, body)))
    }

    /// An answer that comes in pieces, and may come for long.
    pub(crate) async fn stream(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        patience: Duration,
    ) -> Result<Pieces, ClientError> {
        let mut request = self.http.get(format!("{}{path}", self.url)).timeout(patience);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(bearer) = &self.bearer {
            request = request.bearer_auth(bearer);
        }
        let response = request.send().await.map_err(|error| self.unreachable(&error))?;
        let status = response.status();
        if status.is_success() {
            return Ok(Pieces { client: self.clone(), response });
        }
        let mut pieces = Pieces { client: self.clone(), response };
        let mut bytes = Vec::new();
        while let Some(piece) = pieces.next().await? {
            bytes.extend_from_slice(&piece);
            if bytes.len() > ANSWER_LIMIT_BYTES {
                return Err(self.stranger(&format!("its answer is larger than {ANSWER_LIMIT_BYTES} bytes")));
            }
        }
        let body = String::from_utf8(bytes).ok().and_then(|text| serde_json::from_str(&text).ok());
        Err(ClientError::Refused(Refused::read(status, body.ok_or_else(|| self.no_json(status))?)))
    }

    /// An answer that is a file, of any length: it goes into `out` as it comes, and `progress` is told how much of how
    /// much is there. It is whole, or an error.
    pub(crate) async fn download(
        &self,
        path: &str,
        body: &Value,
        patience: Duration,
        mut out: impl std::io::Write,
        mut progress: impl FnMut(u64, Option<u64>),
    ) -> anyhow::Result<u64> {
        let request = self.http.post(format!("{}{path}", self.url)).timeout(patience);
        let mut request = request.header(CONTENT_TYPE, "application/json").body(body.to_string());
        if let Some(bearer) = &self.bearer {
            request = request.bearer_auth(bearer);
        }
        let mut response = request.send().await.map_err(|error| self.unreachable(&error))?;
        let (status, length) = (response.status(), response.content_length());
        if !status.is_success() {
            let text = response.text().await.map_err(|error| self.unreachable(&error))?;
            let body = serde_json::from_str(&text).map_err(|_| self.no_json(status))?;
            return Err(ClientError::Refused(Refused::read(status, body)).into());
        }
        let mut received = 0;
        while let Some(chunk) = response.chunk().await.map_err(|error| self.unreachable(&error))? {
            out.write_all(&chunk)?;
            received += chunk.len() as u64;
            progress(received, length);
        }
        out.flush()?;
        if length.is_some_and(|length| length != received) {
            bail!("the answer broke off after {received} bytes; try again");
        }
        Ok(received)
    }

    /// Whether a gateway of ours answers there.
    pub(crate) async fn is_gateway(&self) -> bool {
        self.get("/v1/info").await.is_ok_and(|info| info.get("origin").is_some())
    }

    async fn answer(&self, request: reqwest::RequestBuilder) -> Result<Value, ClientError> {
        let (status, text) = self.exchange(request).await?;
        if text.is_empty() && status.is_success() {
            return Ok(Value::Null);
        }
        let body: Value = serde_json::from_str(&text).map_err(|_| self.no_json(status))?;
        if status.is_success() {
            return Ok(body);
        }
        Err(ClientError::Refused(Refused::read(status, body)))
    }

    async fn exchange(
        &self,
        mut request: reqwest::RequestBuilder,
    ) -> Result<(StatusCode, String), ClientError> {
        if let Some(bearer) = &self.bearer {
            request = request.bearer_auth(bearer);
        }
        let mut response = request.send().await.map_err(|error| self.unreachable(&error))?;
        let status = response.status();
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.unreachable(&error))? {
            bytes.extend_from_slice(&chunk);
            if bytes.len() > ANSWER_LIMIT_BYTES {
                return Err(self.stranger(&format!("its answer is larger than {ANSWER_LIMIT_BYTES} bytes")));
            }
        }
        let text = String::from_utf8(bytes).map_err(|_| self.stranger("its answer is no text"))?;
        Ok((status, text))
    }

    fn no_json(&self, status: StatusCode) -> ClientError {
        self.stranger(&format!("it answered {status} without JSON"))
    }

    fn unreachable(&self, error: &reqwest::Error) -> ClientError {
        let mut why = if error.is_timeout() { "no answer in time".to_owned() } else { String::new() };
        let mut source = std::error::Error::source(error);
        // The innermost cause is the one that a person knows: `connection refused`.
        while let Some(cause) = source.filter(|_| !error.is_timeout()) {
            why = cause.to_string();
            source = cause.source();
        }
        let why = if why.is_empty() { error.to_string() } else { why };
        ClientError::Unreachable { url: self.url.clone(), why: visible(&why) }
    }

    fn stranger(&self, what: &str) -> ClientError {
        ClientError::Stranger { url: self.url.clone(), what: what.to_owned() }
    }
}

/// A text for a place in a path, a query or a form.
pub(crate) fn escaped(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~');
    text.bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}
