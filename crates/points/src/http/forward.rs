//! The way to upstreams: built from what was parsed, with the route's credential, to an address that was
//! checked. Redirects are handed to the caller and never followed.

use std::collections::BTreeMap;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use domain::id::CredentialRef;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, Response};
use hyper::body::Incoming;
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::{GaiResolver, Name};
use hyper_util::client::legacy::{Client, Error};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tower_service::Service;

use super::config::Route;
use super::headers::Header;
use super::payload::Rebuilt;
use super::reply::Body;
use super::upstream::may_connect;

/// How long connecting to an upstream may take.
const CONNECT_PATIENCE: Duration = Duration::from_secs(10);
/// How long an upstream may take until its answer begins.
const ANSWER_PATIENCE: Duration = Duration::from_secs(600);
/// How long an idle connection to an upstream is kept.
const IDLE: Duration = Duration::from_secs(60);
/// How many idle connections are kept to one upstream.
const IDLE_PER_HOST: usize = 256;

type Connector = HttpsConnector<HttpConnector<Resolver>>;

/// Kept connections to upstreams, of one thread: a request and its answer never leave it.
pub(super) type Pool = Client<Connector, Body>;

/// The way to upstreams, and the secrets that are put in.
pub(super) struct Forwarder {
    connector: Connector,
    /// For redeemed approvals: each on a connection of its own, so that a stale one can never make a run's
    /// fate unclear, and nothing is ever sent twice.
    single: Client<Connector, Body>,
    secrets: BTreeMap<CredentialRef, Secret>,
}

/// A target's credential. It goes into requests and nowhere else.
pub(super) struct Secret(String);

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Failure {
    /// Nothing was sent: the target was never reached, or the request cannot be built.
    NotSent(String),
    /// Something was sent, and no answer came: what happened there is unknown.
    Unknown(String),
}

/// A request to an upstream before its credential is put in.
pub(super) struct Outgoing<'r> {
    pub(super) method: &'r str,
    pub(super) target: &'r str,
    pub(super) headers: &'r [Header],
    pub(super) upgrade: Option<&'r str>,
    pub(super) body: Body,
}

impl Forwarder {
    pub(super) fn new(secrets: BTreeMap<CredentialRef, String>) -> Self {
        let connector = connector();
        let mut builder = Client::builder(TokioExecutor::new());
        builder.pool_max_idle_per_host(0).retry_canceled_requests(false);
        let single = builder.build(connector.clone());
        let secrets = secrets.into_iter().map(|(name, value)| (name, Secret(value))).collect();
        Self { connector, single, secrets }
    }

    /// A pool of connections for what policy permits.
    pub(super) fn pool(&self) -> Pool {
        let mut builder = Client::builder(TokioExecutor::new());
        builder.pool_idle_timeout(IDLE).pool_max_idle_per_host(IDLE_PER_HOST).pool_timer(TokioTimer::new());
        builder.build(self.connector.clone())
    }

    /// Whether the secret that a route names is there.
    pub(super) fn knows(&self, name: &CredentialRef) -> bool {
        self.secrets.contains_key(name)
    }

    /// Sends what policy permitted.
    pub(super) async fn send(
        &self,
        pool: &Pool,
        route: &Route,
        outgoing: Outgoing<'_>,
    ) -> Result<Response<Incoming>, Failure> {
        let request = self.request(route, outgoing).map_err(Failure::NotSent)?;
        answer(pool.request(request)).await
    }

    /// Runs what people approved, from the stored fields.
    pub(super) async fn run(&self, route: &Route, rebuilt: &Rebuilt) -> Result<Response<Incoming>, Failure> {
        let outgoing = Outgoing {
            method: &rebuilt.method,
            target: &rebuilt.target,
            headers: &rebuilt.headers,
            upgrade: None,
            body: super::reply::full(rebuilt.body.clone().unwrap_or_default()),
        };
        let request = self.request(route, outgoing).map_err(Failure::NotSent)?;
        answer(self.single.request(request)).await
    }

    fn request(&self, route: &Route, outgoing: Outgoing<'_>) -> Result<Request<Body>, String> {
        let uri = route.upstream().uri(outgoing.target).map_err(|_| "the target is no address".to_owned())?;
        let method: Method = outgoing.method.parse().map_err(|_| "the method is none".to_owned())?;
        let mut request = Request::new(outgoing.body);
        *request.method_mut() = method;
        *request.uri_mut() = uri;
        let headers = request.headers_mut();
        headers.reserve(outgoing.headers.len().saturating_add(3));
        headers.insert(header::HOST, route.upstream().host().clone());
        for Header { name, value } in outgoing.headers {
            let name = HeaderName::from_bytes(name.as_bytes())
                .map_err(|_| format!("the header `{name}` is none"))?;
            let value =
                HeaderValue::from_bytes(value).map_err(|_| format!("the header `{name}` has no value"))?;
            headers.append(name, value);
        }
        if let Some(protocol) = outgoing.upgrade {
            headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
            let protocol = HeaderValue::from_str(protocol).map_err(|_| "the protocol is none".to_owned())?;
            headers.insert(header::UPGRADE, protocol);
        }
        self.put_credential(route, headers)?;
        Ok(request)
    }

    fn put_credential(&self, route: &Route, headers: &mut HeaderMap) -> Result<(), String> {
        let Some(credential) = &route.settings().credential else { return Ok(()) };
        let missing = || {
            format!("the gateway has no secret named `{}`; an operator must configure it", credential.secret)
        };
        let Secret(secret) = self.secrets.get(&credential.secret).ok_or_else(missing)?;
        let mut value = credential.render(secret).map_err(|error| error.to_string())?;
        value.set_sensitive(true);
        let name = HeaderName::from_bytes(credential.header.as_bytes())
            .map_err(|_| format!("the header `{}` is none", credential.header))?;
        headers.insert(name, value);
        Ok(())
    }
}

async fn answer(
    sending: impl Future<Output = Result<Response<Incoming>, Error>>,
) -> Result<Response<Incoming>, Failure> {
    match tokio::time::timeout(ANSWER_PATIENCE, sending).await {
        Ok(Ok(response)) => Ok(response),
        Ok(Err(error)) if error.is_connect() => {
            Err(Failure::NotSent(format!("the target cannot be reached: {}", root(&error))))
        }
        Ok(Err(error)) => Err(Failure::Unknown(format!("the target gave no answer: {}", root(&error)))),
        Err(_) => {
            Err(Failure::Unknown(format!("the target gave no answer in {} s", ANSWER_PATIENCE.as_secs())))
        }
    }
}

/// The innermost reason, which is the one that helps.
fn root(error: &dyn std::error::Error) -> String {
    let mut inner = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    inner.to_string()
}

fn connector() -> Connector {
    let mut http = HttpConnector::new_with_resolver(Resolver(GaiResolver::new()));
    http.enforce_http(false);
    http.set_connect_timeout(Some(CONNECT_PATIENCE));
    http.set_nodelay(true);
    let builder = match hyper_rustls::HttpsConnectorBuilder::new().with_native_roots() {
        Ok(native) => native,
        // A machine without certificates of its own trusts Mozilla's list.
        Err(_) => hyper_rustls::HttpsConnectorBuilder::new().with_webpki_roots(),
    };
    builder.https_or_http().enable_all_versions().wrap_connector(http)
}

/// Looks a name up once and lets through only addresses at which an upstream may stand: one of those is
/// what is connected to, so a second look-up cannot answer otherwise.
#[derive(Clone)]
pub(super) struct Resolver<R = GaiResolver>(pub(super) R);

impl<R> Service<Name> for Resolver<R>
where
    R: Service<Name, Error = std::io::Error, Future: Send + 'static>,
    R::Response: Iterator<Item = SocketAddr>,
{
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = std::io::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let looking = self.0.call(name);
        Box::pin(async move {
            let allowed: Vec<_> = looking.await?.filter(|address| may_connect(address.ip())).collect();
            if allowed.is_empty() {
                return Err(std::io::Error::other(
                    "the name leads to no address at which an upstream may stand",
                ));
            }
            Ok(allowed.into_iter())
        })
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(..)")
    }
}
