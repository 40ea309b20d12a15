//! Accepts connections, within limits, and ends them in order.

use std::future::Future;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use futures_util::FutureExt as _;
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::cancel::{Key, Keys, Request};
use crate::config::{
    ACCEPT_PAUSE, ARRIVING_LIMIT, Asked, DRAIN_PATIENCE, FAREWELL_PATIENCE, STARTUP_PATIENCE, Settings,
};
use crate::forward::{Carriage, Side};
use crate::hold::{Admission, Admit, Facts, Presented};
use crate::made::{Made, Sweeps};
use crate::parse::{Authentication, Backend, Status, Version};
use crate::places::{Place, Places};
use crate::reply::{Refusal, State};
use crate::session::{Out, Session};
use crate::startup::{self, ALPN, Arrival, Client};
use crate::stream::{Conversation, tune};
use crate::upstream::{self, Server};
use crate::workers::Workers;

/// Why the gate cannot be served.
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
    tls_config_for(certificate, key, None)
}

/// The same, and clients may show a certificate that leads to one of those in `clients`, PEM too.
///
/// # Errors
/// Files that cannot be read, or do not fit each other.
pub fn tls_config_for(
    certificate: &Path,
    key: &Path,
    clients: Option<&Path>,
) -> Result<Arc<rustls::ServerConfig>, ServeError> {
    let bad = |file: &Path, why: String| ServeError::Tls { file: file.display().to_string(), why };
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect)
        .map_err(|error| bad(certificate, error.to_string()))?;
    let private = PrivateKeyDer::from_pem_file(key).map_err(|error| bad(key, error.to_string()))?;
    let verifier = match clients {
        None => WebPkiClientVerifier::no_client_auth(),
        Some(file) => {
            let mut roots = RootCertStore::empty();
            let found: Vec<_> = CertificateDer::pem_file_iter(file)
                .and_then(Iterator::collect)
                .map_err(|error| bad(file, error.to_string()))?;
            for root in found {
                roots.add(root).map_err(|error| bad(file, error.to_string()))?;
            }
            WebPkiClientVerifier::builder(Arc::new(roots))
                .allow_unauthenticated()
                .build()
                .map_err(|error| bad(file, error.to_string()))?
        }
    };
    let mut config = rustls::ServerConfig::builder()
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, private)
        .map_err(|error| bad(certificate, error.to_string()))?;
    config.alpn_protocols = vec![ALPN.to_vec()];
    Ok(Arc::new(config))
}

/// The enforcement point.
#[derive(Clone)]
pub struct Gate {
    settings: Arc<Settings>,
    admit: Arc<dyn Admit>,
    keys: Arc<Keys>,
    /// Of sessions: whoever has one of these is let in.
    places: Arc<Semaphore>,
    /// Of each principal's sessions.
    principals: Arc<Places>,
    sweeps: Arc<Sweeps>,
    stop: CancellationToken,
}

impl Gate {
    /// A gate that lets in whom `admit` lets in.
    #[must_use]
    pub fn new(settings: Settings, admit: Arc<dyn Admit>) -> Gate {
        let places = Arc::new(Semaphore::new(settings.connections));
        Gate {
            settings: Arc::new(settings),
            admit,
            keys: Arc::default(),
            places,
            principals: Arc::default(),
            sweeps: Arc::default(),
            stop: CancellationToken::new(),
        }
    }

    /// Serves until `stop`. Then sessions end as soon as they do nothing, and all after [`DRAIN_PATIENCE`].
    pub async fn serve(&self, listener: TcpListener, stop: impl Future<Output = ()> + Send) {
        let places = Arc::new(Semaphore::new(self.settings.connections + ARRIVING_LIMIT));
        let (tasks, cut) = (TaskTracker::new(), CancellationToken::new());
        let workers = match Workers::start() {
            Ok(workers) => workers,
            Err(error) => {
                tracing::error!(%error, "cannot start the threads of the PostgreSQL point; it serves nothing");
                return;
            }
        };
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
            let Some(worker) = workers.idlest() else { break };
            let (gate, cut) = (self.clone(), cut.clone());
            let session = async move {
                // Registered anew, with this thread's reactor.
                let Ok(stream) = TcpStream::from_std(stream) else { return };
                tokio::select! {
                    () = gate.converse(stream) => {}
                    () = cut.cancelled() => {}
                }
                drop(place);
            };
            tasks.spawn_on(session, worker);
        }
        drop(listener);
        self.stop.cancel();
        tasks.close();
        if timeout(DRAIN_PATIENCE, tasks.wait()).await.is_err() {
            cut.cancel();
            tasks.wait().await;
        }
    }

    async fn converse(&self, stream: TcpStream) {
        let Ok(peer) = tune(&stream) else { return };
        match Box::pin(startup::arrive(stream, peer, &self.settings)).await {
            Some(Arrival::Cancel { mut stream, process, secret }) => {
                let _ = timeout(STARTUP_PATIENCE, self.keys.cancel(process, &secret)).await;
                // TLS says that it ends; a client takes anything else for an error.
                let _ = timeout(FAREWELL_PATIENCE, stream.shutdown()).await;
            }
            Some(Arrival::Client(client)) => Box::pin(self.let_in(client, peer)).await,
            None => {}
        }
    }

    async fn let_in(&self, client: Box<Client>, peer: SocketAddr) {
        let Client { mut conversation, version, presented } = *client;
        let Ok(_place) = self.places.try_acquire() else {
            let refusal = Refusal::new(State::TOO_MANY, "sorry, too many clients already");
            return startup::say_fatal(&mut conversation.stream, &refusal).await;
        };
        match Box::pin(self.begin(version, presented)).await {
            Ok(mut begun) => {
                let made = begun.made.take();
                Box::pin(self.carriage(begun, conversation, made.is_none()).run()).await;
                if let Some(made) = made {
                    made.end().await;
                }
            }
            Err(refusal) => {
                tracing::debug!(%peer, %refusal, "a client was not let in");
                startup::say_fatal(&mut conversation.stream, &refusal).await;
            }
        }
    }

    /// Asks who it is, and signs in to the server for it.
    async fn begin(&self, version: Version, presented: Presented) -> Result<Begun, Refusal> {
        let odd = |_| Refusal::new(State::CONNECTION, "the gate has no randomness");
        let mut asked = presented.asked.clone();
        let Ok(admitted) = timeout(STARTUP_PATIENCE, self.admit.admit(presented)).await else {
            return Err(Refusal::new(State::CONNECTION, "the credential could not be looked at in time"));
        };
        let mut admission = admitted?;
        let most = self.settings.connections_each;
        let place = self.principals.take(admission.principal.clone(), most).ok_or_else(|| {
            Refusal::new(
                State::TOO_MANY,
                format!("sorry, {} has {most} connections already", admission.principal),
            )
        })?;
        let made = match &admission.acts_as {
            None => None,
            Some(acts_as) => {
                let (onward, made) = Made::make(&admission.onward, acts_as, &self.sweeps, &mut asked).await?;
                admission.onward = onward;
                Some(made)
            }
        };
        let server = match upstream::sign_in(&admission.onward, &asked).await {
            Ok(server) => server,
            Err(refusal) => {
                if let Some(made) = made {
                    made.end().await;
                }
                return Err(refusal);
            }
        };
        let (key, cancels) = self.keys.make(version).map_err(odd)?;
        let mut random = [0; 16];
        getrandom::fill(&mut random).map_err(odd)?;
        Ok(Begun { admission, asked, server, made, key, cancels, random, place })
    }

    fn carriage(&self, begun: Begun, client: Conversation, leaves: bool) -> Carriage {
        let Begun { admission, asked, server, key, cancels, random, place, made: _ } = begun;
        let mut out = Out::default();
        Backend::Authentication(Authentication::Ok).write(&mut out.client);
        for (name, value) in &server.settings {
            Backend::ParameterStatus { name: name.clone(), value: value.clone() }.write(&mut out.client);
        }
        Backend::BackendKeyData { process: key.process, secret: key.secret.clone() }.write(&mut out.client);
        Backend::ReadyForQuery(Status::Idle).write(&mut out.client);
        let facts = Facts { settings: server.settings.into_iter().collect() };
        let stop = self.stop.clone();
        let holds_inside = self.settings.hold_inside_transaction || admission.hold_inside_transaction;
        Carriage {
            client: Side::new(client),
            backend: Side::new(server.conversation),
            session: Session::new(facts, random, holds_inside),
            out,
            decide: admission.decide,
            notices: self.settings.notices,
            onward: Arc::new(admission.onward),
            asked: Arc::new(asked),
            process: server.process,
            secret: server.secret,
            cancels,
            _key: key,
            _place: place,
            ended: Some(admission.ended),
            stop: Some(async move { stop.cancelled().await }.boxed()),
            holding: None,
            returning: None,
            leaves,
            away: false,
            errand: None,
            said_error: false,
        }
    }
}

/// A client that was let in, and the server that waits for it.
struct Begun {
    admission: Admission,
    asked: Asked,
    place: Place,
    server: Server,
    made: Option<Made>,
    key: Key,
    cancels: mpsc::Receiver<Request>,
    random: [u8; 16],
}
