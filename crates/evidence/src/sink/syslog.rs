//! Syslog: RFC 5424 messages in RFC 5425's octet counting, over TLS.
//!
//! Syslog acknowledges nothing, and a connection that breaks has swallowed what was on its way. So each batch has a
//! connection of its own, which we end and the receiver then ends too: that it did says that it has read all of it.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use domain::id::Origin;
use domain::time::Timestamp;
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use serde::Deserialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::config::words;
use super::{Appetite, Delivered, Failure, Parcel, Sink};
use crate::event::TrailEvent;
use crate::export::{Ocsf, Shape, rfc3339};
use crate::limits::{
    BATCH_BYTES, BATCH_EVENTS, CONNECT_PATIENCE, SYSLOG_CLOSE_PATIENCE, SYSLOG_MESSAGE_BYTES,
    SYSLOG_MESSAGE_LEAST_BYTES,
};

/// A receiver.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SyslogConfig {
    /// Its name, which its certificate must bear.
    pub host: String,
    /// Its port.
    #[serde(default = "port")]
    pub port: u16,
    /// Who vouches for its certificate, PEM; the usual authorities where it is not given.
    pub ca: Option<PathBuf>,
    /// Our certificate, PEM, where it asks for one.
    pub certificate: Option<PathBuf>,
    /// The key of our certificate, PEM.
    pub key: Option<PathBuf>,
    /// The largest message, in bytes.
    #[serde(default = "message_bytes")]
    pub message_bytes: usize,
    /// The facility's number (RFC 5424, table 1).
    #[serde(default = "facility")]
    pub facility: u8,
    /// Our structured data's number. Without one registered with IANA it is that of examples (RFC 5612).
    #[serde(default = "enterprise")]
    pub enterprise: u32,
}

fn port() -> u16 {
    6_514
}

fn message_bytes() -> usize {
    SYSLOG_MESSAGE_BYTES
}

/// "Log audit".
fn facility() -> u8 {
    13
}

fn enterprise() -> u32 {
    32_473
}

/// Sends to a receiver.
pub struct SyslogSink {
    host: String,
    port: u16,
    name: ServerName<'static>,
    tls: TlsConnector,
    format: MessageFormat,
}

/// How messages are written.
#[derive(Debug, Clone)]
pub struct MessageFormat {
    /// The facility.
    pub facility: u8,
    /// The enterprise's number.
    pub enterprise: u32,
    /// Who sends.
    pub host: String,
    /// The largest message, in bytes.
    pub limit: usize,
    /// The shape of the event in it.
    pub shape: Shape,
}

impl std::fmt::Debug for SyslogSink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SyslogSink")
            .field("host", &self.host)
            .field("port", &self.port)
            .finish_non_exhaustive()
    }
}

impl SyslogSink {
    /// Messages to the configured receiver.
    ///
    /// # Errors
    /// In words: certificates that cannot be read, limits that no receiver has.
    pub fn new(config: &SyslogConfig, origin: &Origin, shape: Shape) -> Result<Self, String> {
        if config.message_bytes < SYSLOG_MESSAGE_LEAST_BYTES {
            return Err(format!("`message_bytes` is at least {SYSLOG_MESSAGE_LEAST_BYTES}"));
        }
        if config.facility > 23 {
            return Err("`facility` is 0 to 23".to_owned());
        }
        let name = ServerName::try_from(config.host.clone())
            .map_err(|_| format!("`{}` is no host's name", config.host))?;
        Ok(Self {
            host: config.host.clone(),
            port: config.port,
            name,
            tls: TlsConnector::from(Arc::new(tls(config)?)),
            format: MessageFormat {
                facility: config.facility,
                enterprise: config.enterprise,
                host: origin.to_string(),
                limit: config.message_bytes,
                shape,
            },
        })
    }

    async fn send(&self, batch: &[Parcel]) -> Result<(), Failure> {
        let mut frames = Vec::new();
        for parcel in batch {
            frames.extend_from_slice(&frame(&self.format.message(&parcel.told.event, &parcel.text)?));
        }
        let connecting = async {
            let tcp = TcpStream::connect((self.host.as_str(), self.port)).await?;
            self.tls.connect(self.name.clone(), tcp).await
        };
        let connected = tokio::time::timeout(CONNECT_PATIENCE, connecting).await;
        let mut stream = connected
            .map_err(|_| Failure::new("the receiver cannot be reached in time"))?
            .map_err(|error| Failure::new(format!("the receiver cannot be reached: {error}")))?;
        let broke = |error: std::io::Error| Failure::new(format!("the connection broke: {error}"));
        stream.write_all(&frames).await.map_err(broke)?;
        stream.flush().await.map_err(broke)?;
        stream.shutdown().await.map_err(broke)?;
        let mut rest = [0; 256];
        let closing = async {
            // It has nothing to say; whatever it says, its end is what we wait for.
            while stream.read(&mut rest).await? > 0 {}
            Ok::<(), std::io::Error>(())
        };
        match tokio::time::timeout(SYSLOG_CLOSE_PATIENCE, closing).await {
            Ok(Ok(())) => Ok(()),
            // An end without TLS' own farewell is an end: by then it had read ours.
            Ok(Err(error)) if error.kind() == std::io::ErrorKind::UnexpectedEof => Ok(()),
            Ok(Err(error)) => Err(broke(error)),
            Err(_) => Err(Failure::new("the receiver did not close: nobody knows what it has read")),
        }
    }
}

fn tls(config: &SyslogConfig) -> Result<rustls::ClientConfig, String> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(words)?;
    let mut roots = RootCertStore::empty();
    match &config.ca {
        Some(path) => {
            for certificate in certificates(path)? {
                roots.add(certificate).map_err(words)?;
            }
        }
        None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
    }
    let builder = builder.with_root_certificates(roots);
    match (&config.certificate, &config.key) {
        (Some(certificate), Some(key)) => {
            let private = PrivateKeyDer::from_pem_file(key)
                .map_err(|error| format!("cannot read `{}`: {error}", key.display()))?;
            builder.with_client_auth_cert(certificates(certificate)?, private).map_err(words)
        }
        (None, None) => Ok(builder.with_no_client_auth()),
        (Some(_), None) | (None, Some(_)) => {
            Err("`certificate` and `key` go together; give both or none".to_owned())
        }
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let unread = |error| format!("cannot read `{}`: {error}", path.display());
    CertificateDer::pem_file_iter(path).map_err(unread)?.collect::<Result<Vec<_>, _>>().map_err(unread)
}

impl MessageFormat {
    /// One message (RFC 5424, section 6). One that is too large carries the event without its free text; what finds
    /// it in the log stays.
    ///
    /// # Errors
    /// An event that is too large even so.
    pub fn message(&self, event: &TrailEvent, text: &str) -> Result<Vec<u8>, Failure> {
        let head = self.head(event);
        // The byte order mark says that the text is UTF-8 (section 6.4).
        let whole = format!("{head} \u{feff}{text}");
        if whole.len() <= self.limit {
            return Ok(whole.into_bytes());
        }
        let cut = self.shape.text(&event.cut_down(), &Ocsf::default()).map_err(Failure::new)?;
        let cut = format!("{head} \u{feff}{cut}");
        if cut.len() <= self.limit {
            return Ok(cut.into_bytes());
        }
        // The structured data alone still names the entry.
        let sentence = format!("{head} \u{feff}{}", domain::text::cut(&event.sentence(), CUT_SENTENCE_BYTES));
        if sentence.len() <= self.limit {
            return Ok(sentence.into_bytes());
        }
        Err(Failure::new(format!("the event {} does not fit into {} bytes", event.id, self.limit)))
    }

    fn head(&self, event: &TrailEvent) -> String {
        let severity = if event.kind.is_alarm() { 2 } else { 6 };
        let mut head = format!(
            "<{}>1 {} {} countersign - {} [countersign@{}",
            u32::from(self.facility) * 8 + severity,
            rfc3339(event.time),
            printable(&self.host, 255),
            printable(event.kind.as_str(), 32),
            self.enterprise,
        );
        let mut put = |name: &str, value: &str| {
            let _ = write!(head, " {name}=\"{}\"", escaped(value));
        };
        put("id", &event.id);
        if let Some(log) = event.log {
            put("index", &log.index.to_string());
            if let Some(line) = log.line {
                put("line", &line.to_string());
            }
            if let Some(leaf) = log.leaf {
                put("leaf", &leaf.to_string());
            }
            put("size", &log.size.to_string());
        }
        head.push(']');
        head
    }
}

/// The longest sentence that stands for an event that is too large, in bytes.
const CUT_SENTENCE_BYTES: usize = 1_024;

/// A header's field: visible ASCII, at most so long, never empty.
fn printable(text: &str, limit: usize) -> String {
    let plain = |c: char| if c.is_ascii_graphic() { c } else { '?' };
    let text: String = text.chars().take(limit).map(plain).collect();
    if text.is_empty() { "-".to_owned() } else { text }
}

/// A parameter's value: `"`, `\` and `]` are escaped (section 6.3.3), controls are named.
#[must_use]
pub fn escaped(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    for c in domain::text::visible(value).chars() {
        if matches!(c, '"' | '\\' | ']') {
            text.push('\\');
        }
        text.push(if c == '\n' { ' ' } else { c });
    }
    text
}

/// A message behind its length (RFC 5425, section 4.3).
#[must_use]
pub fn frame(message: &[u8]) -> Vec<u8> {
    let mut frame = format!("{} ", message.len()).into_bytes();
    frame.extend_from_slice(message);
    frame
}

#[async_trait]
impl Sink for SyslogSink {
    fn appetite(&self) -> Appetite {
        Appetite { events: BATCH_EVENTS, bytes: BATCH_BYTES, linger: Duration::from_millis(200) }
    }

    async fn deliver(&mut self, batch: &[Parcel], _now: Timestamp) -> Delivered {
        match self.send(batch).await {
            Ok(()) => Delivered::all(batch),
            Err(failure) => Delivered::partly(0, failure),
        }
    }
}
