//! Signs in to the server, with a credential that no client sees.

use std::io;

use bytes::{BufMut as _, Bytes, BytesMut};
use postgres_protocol::authentication::md5_hash;
use postgres_protocol::authentication::sasl::{
    ChannelBinding, SCRAM_SHA_256, SCRAM_SHA_256_PLUS, ScramSha256,
};
use sha2::{Digest as _, Sha256, Sha384, Sha512};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::{TlsConnector, TlsStream};
use x509_cert::Certificate;
use x509_cert::der::Decode as _;
use x509_cert::der::oid::db::rfc5912 as oid;

use crate::config::{
    Asked, CANCEL_PATIENCE, CONNECT_PATIENCE, PINNED, STARTUP_PATIENCE, Secret, Upstream, UpstreamTls,
    is_as_pinned,
};
use crate::hold::Onward;
use crate::parse::{Authentication, BACKEND_LIMIT_BYTES, Backend, Frontend, Malformed, Opening, Text};
use crate::reply::{Refusal, State};
use crate::startup::ALPN;
use crate::stream::{Conversation, Stream, tune};

/// A server that is ready for the first statement.
pub(crate) struct Server {
    pub(crate) conversation: Conversation,
    /// What it told of itself, in its order.
    pub(crate) settings: Vec<(Bytes, Bytes)>,
    pub(crate) process: u32,
    pub(crate) secret: Bytes,
}

/// Connects and signs in, with the client's settings.
pub(crate) async fn sign_in(onward: &Onward, asked: &Asked) -> Result<Server, Refusal> {
    let Onward { upstream, user, database, password } = onward;
    let stream = connect(upstream).await?;
    let startup =
        Opening::Startup { version: upstream.version, parameters: parameters(user, database, asked)? };
    let mut signing = SigningIn {
        upstream,
        user,
        password,
        binding: binding(&stream),
        conversation: Conversation::new(stream),
        proven: false,
    };
    match timeout(STARTUP_PATIENCE, signing.run(&startup)).await {
        Ok(Ok((settings, process, secret))) => {
            Ok(Server { conversation: signing.conversation, settings, process, secret })
        }
        Ok(Err(Failed::Refused(refusal))) => Err(refusal),
        Ok(Err(Failed::Lost)) => Err(unreachable("it closed the connection while we signed in")),
        Err(_) => Err(unreachable("it takes too long to sign in")),
    }
}

/// Has the server cancel what a session of ours does. Errors are nobody's: the statement has ended, say.
pub(crate) async fn cancel(upstream: &Upstream, process: u32, secret: Bytes) {
    let work = async {
        let mut stream = connect(upstream).await.ok()?;
        let mut out = BytesMut::new();
        Opening::Cancel { process, secret }.write(&mut out);
        stream.write_all(&out).await.ok()?;
        stream.flush().await.ok()?;
        // The server closes the connection when the request is with the other process.
        stream.read(&mut [0]).await.ok()
    };
    let _ = timeout(CANCEL_PATIENCE, work).await;
}

/// Connects, as far as TLS.
async fn connect(upstream: &Upstream) -> Result<Stream, Refusal> {
    let work = async {
        let tcp = TcpStream::connect((upstream.host.as_str(), upstream.port)).await?;
        let peer = tune(&tcp)?;
        match &upstream.tls {
            UpstreamTls::Loopback if peer.ip().to_canonical().is_loopback() => Ok(Stream::Plain(tcp)),
            UpstreamTls::Loopback => Err(io::Error::other("without TLS it has to be on this machine")),
            UpstreamTls::VerifyFull { config, name, direct } => {
                let tcp = if *direct { tcp } else { ask_for_tls(tcp).await? };
                let tls = TlsConnector::from(config.clone()).connect(name.clone(), tcp).await?;
                if *direct && tls.get_ref().1.alpn_protocol() != Some(ALPN) {
                    return Err(io::Error::other("it does not speak PostgreSQL over direct TLS"));
                }
                Ok(Stream::Tls(Box::new(TlsStream::Client(tls))))
            }
        }
    };
    match timeout(CONNECT_PATIENCE, work).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(error)) => Err(unreachable(&error.to_string())),
        Err(_) => Err(unreachable("it does not answer")),
    }
}

async fn ask_for_tls(mut tcp: TcpStream) -> io::Result<TcpStream> {
    let mut out = BytesMut::new();
    Opening::Tls.write(&mut out);
    tcp.write_all(&out).await?;
    // One byte and not further: what follows has to be TLS.
    match tcp.read_u8().await? {
        b'S' => Ok(tcp),
        _ => Err(io::Error::other("it does not offer TLS")),
    }
}

fn parameters(user: &Text, database: &Text, asked: &Asked) -> Result<Vec<(Text, Text)>, Refusal> {
    let text = |word: &str| Text::try_from(word.to_owned()).map_err(|error| unreachable(&error.to_string()));
    let mut all = vec![(text("user")?, user.clone()), (text("database")?, database.clone())];
    let free = asked
        .settings
        .iter()
        .filter(|(name, _)| !PINNED.iter().any(|(pinned, _)| name.as_str().eq_ignore_ascii_case(pinned)));
    all.extend(free.cloned());
    for (name, value) in PINNED {
        all.push((text(name)?, text(value)?));
    }
    Ok(all)
}

fn unreachable(why: &str) -> Refusal {
    Refusal::new(State::CONNECTION, "the server behind the gate cannot be used").with_detail(why)
}

/// Why signing in came to nothing.
enum Failed {
    Refused(Refusal),
    Lost,
}

impl From<io::Error> for Failed {
    fn from(_: io::Error) -> Failed {
        Failed::Lost
    }
}

impl From<Malformed> for Failed {
    fn from(malformed: Malformed) -> Failed {
        Failed::Refused(unreachable(&malformed.to_string()))
    }
}

struct SigningIn<'a> {
    upstream: &'a Upstream,
    user: &'a Text,
    password: &'a Secret,
    /// What binds SCRAM to this TLS connection.
    binding: Option<Vec<u8>>,
    conversation: Conversation,
    /// We have shown our password, and with SCRAM the server has shown that it knows it.
    proven: bool,
}

impl SigningIn<'_> {
    async fn run(&mut self, startup: &Opening) -> Result<(Vec<(Bytes, Bytes)>, u32, Bytes), Failed> {
        let mut out = BytesMut::new();
        startup.write(&mut out);
        self.conversation.write(&out).await?;
        let (mut settings, mut key) = (Vec::new(), None);
        loop {
            #[expect(clippy::wildcard_enum_match_arm, reason = "whatever is not named is refused")]
            match self.next().await? {
                Backend::Authentication(Authentication::Ok) if self.proven || self.upstream.proofs.none => {
                    self.proven = true;
                }
                Backend::Authentication(step) => {
                    self.prove(step).await?;
                }
                // It speaks an older version than we asked for, which we speak too.
                Backend::NegotiateProtocolVersion { .. } | Backend::NoticeResponse(_) => {}
                Backend::ParameterStatus { name, value } if is_as_pinned(&name, &value) => {
                    settings.push((name, value));
                }
                Backend::BackendKeyData { process, secret } => {
                    key = Some((process, secret));
                }
                Backend::ReadyForQuery(_) if self.proven => break,
                other => return Err(odd(&other)),
            }
        }
        let told = |pinned: &str| settings.iter().any(|(name, _)| name.as_ref() == pinned.as_bytes());
        let Some((process, secret)) = key.filter(|_| PINNED.iter().all(|(name, _)| told(name))) else {
            return refused("it does not tell of its settings");
        };
        Ok((settings, process, secret))
    }

    async fn next(&mut self) -> Result<Backend, Failed> {
        let (tag, body) = self.conversation.next(BACKEND_LIMIT_BYTES).await?;
        let message = Backend::read(tag, body)?;
        let Backend::ErrorResponse(fields) = &message else { return Ok(message) };
        let word = |letter| fields.get(letter).map(|text| String::from_utf8_lossy(text).into_owned());
        let code = word(b'C').unwrap_or_default();
        // What it says of our credential stays here.
        match State::new(&code) {
            Some(state) if !code.starts_with("28") => {
                Err(Failed::Refused(Refusal::new(state, word(b'M').unwrap_or_default())))
            }
            Some(_) | None => refused("it does not take the gate's credential"),
        }
    }

    async fn prove(&mut self, step: Authentication) -> Result<(), Failed> {
        match step {
            Authentication::Sasl(mechanisms) => self.scram(&mechanisms).await,
            Authentication::Md5(salt) if self.upstream.proofs.md5 => {
                let hash = md5_hash(self.user.as_bytes(), self.password.expose(), salt);
                self.answer(|out| {
                    out.put_slice(hash.as_bytes());
                    out.put_u8(0);
                })
                .await?;
                self.proven = true;
                Ok(())
            }
            Authentication::Md5(_) => refused("it asks for MD5, which is not allowed here"),
            Authentication::Cleartext => refused("it asks for the password itself"),
            Authentication::Ok => refused("it asks for no proof, which is not allowed here"),
            Authentication::SaslContinue(_) | Authentication::SaslFinal(_) | Authentication::Other(_) => {
                refused("it asks for a proof that we do not have")
            }
        }
    }

    async fn scram(&mut self, mechanisms: &[Bytes]) -> Result<(), Failed> {
        let offers = |name: &str| mechanisms.iter().any(|offer| offer.as_ref() == name.as_bytes());
        let (name, binding) = match self.binding.clone() {
            Some(hash) if offers(SCRAM_SHA_256_PLUS) => {
                (SCRAM_SHA_256_PLUS, ChannelBinding::tls_server_end_point(hash))
            }
            // A server that could bind and was kept from offering it finds out by this.
            Some(_) if offers(SCRAM_SHA_256) => (SCRAM_SHA_256, ChannelBinding::unrequested()),
            None if offers(SCRAM_SHA_256) => (SCRAM_SHA_256, ChannelBinding::unsupported()),
            Some(_) | None => return refused("it offers no SCRAM-SHA-256"),
        };
        let mut scram = ScramSha256::new(self.password.expose(), binding);
        self.answer(|out| {
            out.put_slice(name.as_bytes());
            out.put_u8(0);
            out.put_u32(u32::try_from(scram.message().len()).unwrap_or(u32::MAX));
            out.put_slice(scram.message());
        })
        .await?;
        let Backend::Authentication(Authentication::SaslContinue(challenge)) = self.next().await? else {
            return refused("it does not go on with SCRAM");
        };
        // Thousands of hashes, as many as the server likes: not on a thread that carries connections.
        let hashed = tokio::task::spawn_blocking(move || scram.update(&challenge).map(|()| scram)).await;
        let Ok(Ok(mut scram)) = hashed else { return refused("its SCRAM challenge cannot be answered") };
        self.answer(|out| out.put_slice(scram.message())).await?;
        let Backend::Authentication(Authentication::SaslFinal(proof)) = self.next().await? else {
            return refused("it does not finish SCRAM");
        };
        if scram.finish(&proof).is_err() {
            return refused("it does not know our password either: it is another server");
        }
        self.proven = true;
        Ok(())
    }

    async fn answer(&mut self, put: impl FnOnce(&mut BytesMut)) -> Result<(), Failed> {
        let mut body = BytesMut::new();
        put(&mut body);
        let mut out = BytesMut::new();
        Frontend::Credential(body.freeze()).write(&mut out);
        Ok(self.conversation.write(&out).await?)
    }
}

fn odd(message: &Backend) -> Failed {
    tracing::debug!(?message, "the server said something odd while we signed in");
    Failed::Refused(unreachable("it does not keep to the protocol, or to our settings"))
}

fn refused<T>(why: &str) -> Result<T, Failed> {
    Err(Failed::Refused(unreachable(why)))
}

/// What binds SCRAM to this connection: the hash of the server's certificate (RFC 5929, `tls-server-end-point`).
fn binding(stream: &Stream) -> Option<Vec<u8>> {
    let der = stream.certificates().first()?;
    let algorithm = Certificate::from_der(der).ok()?.signature_algorithm.oid;
    match algorithm {
        // RFC 5929: SHA-256 stands in for the weaker two.
        oid::ID_SHA_1
        | oid::ID_SHA_256
        | oid::SHA_1_WITH_RSA_ENCRYPTION
        | oid::SHA_256_WITH_RSA_ENCRYPTION
        | oid::ECDSA_WITH_SHA_256 => Some(Sha256::digest(der).to_vec()),
        oid::ID_SHA_384 | oid::SHA_384_WITH_RSA_ENCRYPTION | oid::ECDSA_WITH_SHA_384 => {
            Some(Sha384::digest(der).to_vec())
        }
        oid::ID_SHA_512 | oid::SHA_512_WITH_RSA_ENCRYPTION | oid::ECDSA_WITH_SHA_512 => {
            Some(Sha512::digest(der).to_vec())
        }
        // No hash is defined for the others.
        _ => None,
    }
}
