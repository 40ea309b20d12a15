//! Lets a client in as far as its credential: TLS asked for or begun at once, its parameters, its password.

use std::net::SocketAddr;

use bytes::{Bytes, BytesMut};
use futures_util::FutureExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::{TlsAcceptor, TlsStream};

use crate::config::{Asked, CREDENTIAL_LIMIT_BYTES, FAREWELL_PATIENCE, STARTUP_PATIENCE, Secret, Settings};
use crate::hold::Presented;
use crate::parse::startup::OPTION_PREFIX;
use crate::parse::{Authentication, Backend, Malformed, Opening, Text, Version};
use crate::reply::{Refusal, State};
use crate::stream::{Conversation, Stream};

/// The protocol's name by ALPN.
pub(crate) const ALPN: &[u8] = b"postgresql";
/// The type of TLS's first record, which is no length that a first message of ours can have.
const TLS_HANDSHAKE: u8 = 0x16;
/// The most first messages of one connection: one for GSSAPI, one for TLS, and the real one.
const OPENINGS_LIMIT: usize = 3;

/// What a connection turns out to be.
pub(crate) enum Arrival {
    /// Somebody who wants another connection's work cancelled.
    Cancel { stream: Stream, process: u32, secret: Bytes },
    /// A client who has shown its credential.
    Client(Box<Client>),
}

/// A client before it is let in.
pub(crate) struct Client {
    pub(crate) conversation: Conversation,
    pub(crate) version: Version,
    pub(crate) presented: Presented,
}

/// Takes a connection as far as the credential. A client that does not get there has been told why; nothing comes back.
pub(crate) async fn arrive(stream: TcpStream, peer: SocketAddr, settings: &Settings) -> Option<Arrival> {
    match timeout(STARTUP_PATIENCE, open(stream, peer, settings)).await {
        Ok(Ok(arrival)) => Some(arrival),
        Ok(Err(Turned::Away(mut stream, refusal))) => {
            tracing::debug!(%peer, %refusal, "a client was not let in");
            say_fatal(&mut stream, &refusal).await;
            None
        }
        Ok(Err(Turned::Gone)) | Err(_) => None,
    }
}

/// A connection's last words, as far as they are taken.
pub(crate) async fn say_fatal(stream: &mut Stream, refusal: &Refusal) {
    let mut out = BytesMut::new();
    refusal.write_fatal(&mut out);
    let _ = timeout(FAREWELL_PATIENCE, async {
        stream.write_all(&out).await?;
        stream.shutdown().await
    })
    .await;
}

/// A client that does not come in.
enum Turned {
    /// It is told why.
    Away(Box<Stream>, Refusal),
    /// Nobody is there to be told.
    Gone,
}

impl From<std::io::Error> for Turned {
    fn from(_: std::io::Error) -> Turned {
        Turned::Gone
    }
}

async fn open(stream: TcpStream, peer: SocketAddr, settings: &Settings) -> Result<Arrival, Turned> {
    let mut first = [0];
    stream.peek(&mut first).await?;
    let mut stream = match first {
        [TLS_HANDSHAKE] => begin_tls(stream, settings, true).await?,
        _ => Stream::Plain(stream),
    };
    for _ in 0..OPENINGS_LIMIT {
        let opening = match read_opening(&mut stream).await? {
            Ok(opening) => opening,
            Err(malformed) => return Err(away(stream, State::PROTOCOL, malformed.to_string())),
        };
        stream = match (opening, stream) {
            (Opening::Cancel { process, secret }, stream) => {
                return Ok(Arrival::Cancel { stream, process, secret });
            }
            (Opening::Startup { version, parameters }, stream) => {
                return sign_in(stream, peer, version, &parameters, settings).await;
            }
            (Opening::Tls, Stream::Plain(tcp)) if settings.tls.is_some() => {
                begin_tls(tcp, settings, false).await?
            }
            (Opening::Tls | Opening::Gss, mut stream @ Stream::Plain(_)) => {
                stream.write_all(b"N").await?;
                stream
            }
            (Opening::Tls | Opening::Gss, stream) => {
                return Err(away(stream, State::PROTOCOL, "the connection is encrypted already"));
            }
        };
    }
    Err(away(stream, State::PROTOCOL, "too many requests before the startup message"))
}

/// Reads a first message to its last byte and not further: what follows may be TLS.
async fn read_opening(stream: &mut Stream) -> Result<Result<Opening, Malformed>, Turned> {
    let mut field = [0; 4];
    stream.read_exact(&mut field).await?;
    let length = match Opening::length(field) {
        Ok(length) => length,
        Err(malformed) => return Ok(Err(malformed)),
    };
    let mut body = vec![0; length - field.len()];
    stream.read_exact(&mut body).await?;
    Ok(Opening::read(Bytes::from(body)))
}

async fn begin_tls(mut tcp: TcpStream, settings: &Settings, direct: bool) -> Result<Stream, Turned> {
    let Some(config) = &settings.tls else {
        // Its first bytes were no message of ours, and it does not read ours.
        return Err(Turned::Gone);
    };
    if !direct {
        // Bytes that came before TLS could be anybody's. TLS would not take them for its own either.
        if tcp.peek(&mut [0]).now_or_never().is_some_and(|seen| seen.is_ok_and(|count| count > 0)) {
            return Err(away(Stream::Plain(tcp), State::PROTOCOL, "data came before TLS had begun"));
        }
        tcp.write_all(b"S").await?;
    }
    let tls = TlsAcceptor::from(config.clone()).accept(tcp).await?;
    let named = tls.get_ref().1.alpn_protocol() == Some(ALPN);
    let stream = Stream::Tls(Box::new(TlsStream::Server(tls)));
    if direct && !named {
        return Err(away(
            stream,
            State::PROTOCOL,
            "direct TLS has to name the protocol `postgresql` by ALPN",
        ));
    }
    Ok(stream)
}

async fn sign_in(
    stream: Stream,
    peer: SocketAddr,
    version: Version,
    parameters: &[(Text, Text)],
    settings: &Settings,
) -> Result<Arrival, Turned> {
    if !stream.is_tls() && !peer.ip().to_canonical().is_loopback() {
        let refusal =
            Refusal::new(State::INVALID_AUTHORIZATION, "credentials are taken over TLS only from here")
                .with_hint("connect with sslmode=verify-full");
        return Err(Turned::Away(Box::new(stream), refusal));
    }
    let asked = match Asked::read(parameters) {
        Ok(asked) => asked,
        Err(refusal) => return Err(Turned::Away(Box::new(stream), refusal)),
    };
    let spoken = if version >= Version::V3_2 { Version::V3_2 } else { Version::V3_0 };
    let unknown: Vec<Bytes> = parameters
        .iter()
        .filter(|(name, _)| name.as_str().starts_with(OPTION_PREFIX))
        .map(|(name, _)| Bytes::copy_from_slice(name.as_bytes()))
        .collect();
    let mut out = BytesMut::new();
    if spoken != version || !unknown.is_empty() {
        let version = 3 << 16 | u32::from(spoken.minor);
        Backend::NegotiateProtocolVersion { version, unknown }.write(&mut out);
    }
    let known = settings.certificate_suffices && !stream.certificates().is_empty();
    let mut conversation = Conversation::new(stream);
    let password = if known {
        conversation.write(&out).await?;
        Secret::new(Vec::new())
    } else {
        Backend::Authentication(Authentication::Cleartext).write(&mut out);
        conversation.write(&out).await?;
        let (tag, body) = conversation.next(CREDENTIAL_LIMIT_BYTES).await?;
        let Some(password) = body.strip_suffix(b"\0").filter(|text| tag == b'p' && !text.contains(&0)) else {
            return Err(away(conversation.stream, State::PROTOCOL, "a password message was expected"));
        };
        Secret::new(password.to_vec())
    };
    let presented =
        Presented { asked, password, certificates: conversation.stream.certificates().to_vec(), peer };
    Ok(Arrival::Client(Box::new(Client { conversation, version: spoken, presented })))
}

fn away(stream: Stream, state: State, message: impl Into<String>) -> Turned {
    Turned::Away(Box::new(stream), Refusal::new(state, message))
}
