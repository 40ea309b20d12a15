//! The point: one request's way through it.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use domain::action::{Level, Point, Target};
use domain::id::{CredentialRef, TargetName};
use domain::outcome::{Ending, Outcome, Witnessed};
use gateway::admit::Caller;
use gateway::decide::{Ask, Decided, Permitted, RecordPermit};
use gateway::store::RunWhenGone;
use gateway::{Gateway, GatewayError};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::Incoming;

use super::answer;
use super::config::{Record, Route};
use super::forward::{Failure, Forwarder, Outgoing, Pool};
use super::parse::{ParsedRequest, RequestHead, Understood, parse};
use super::payload::{payload_parts, retry_parts};
use super::refusal::Refusal;
use super::reply::{self, Body, BoxError, Problem};
use super::table::RouteTable;
use super::{hold, run};
use crate::park::Answer;

/// How long a body that is read whole may take.
const BODY_PATIENCE: Duration = Duration::from_secs(60);

/// The HTTP enforcement point.
pub struct HttpPoint {
    pub(super) shared: Arc<Shared>,
}

pub(super) struct Shared {
    pub(super) gateway: Arc<Gateway>,
    pub(super) forwarder: Forwarder,
    /// The routes, made over one version of the directory.
    table: RwLock<(u64, Arc<RouteTable>)>,
}

impl HttpPoint {
    /// The point over a gateway, with the secrets that routes name.
    #[must_use]
    pub fn new(gateway: Arc<Gateway>, secrets: BTreeMap<CredentialRef, String>) -> Self {
        let table = build(&gateway);
        Self {
            shared: Arc::new(Shared {
                forwarder: Forwarder::new(secrets),
                table: RwLock::new(table),
                gateway,
            }),
        }
    }

    /// What runs this point's actions once they are approved.
    #[must_use]
    pub fn runner(&self) -> impl gateway::ports::Runner + use<> {
        run::HttpRunner::new(Arc::clone(&self.shared))
    }

    /// Names of secrets that a route wants and the bootstrap configuration does not have.
    #[must_use]
    pub fn missing_secrets(&self) -> BTreeSet<CredentialRef> {
        let directory = self.shared.gateway.directory();
        directory
            .routes()
            .filter_map(|(_, document)| Route::parse_json(&document.text).ok()?.settings().credential.clone())
            .map(|credential| credential.secret)
            .filter(|secret| !self.shared.forwarder.knows(secret))
            .collect()
    }
}

/// Checks a route's document, TOML or JSON, and returns it as the directory keeps it.
///
/// # Errors
/// What is wrong, in words.
pub fn check_document(name: &TargetName, text: &str) -> Result<String, String> {
    let parsed =
        if text.trim_start().starts_with('{') { Route::parse_json(text) } else { Route::parse_toml(text) };
    let route = parsed.map_err(|error| error.to_string())?;
    if route.name() != name {
        return Err(format!("the document names the route `{}`, not `{name}`", route.name()));
    }
    route.to_document().map_err(|error| error.to_string())
}

impl Shared {
    /// The routes as the directory has them now.
    pub(super) fn table(&self) -> Arc<RouteTable> {
        let version = self.gateway.directory().version();
        {
            let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
            if table.0 == version {
                return Arc::clone(&table.1);
            }
        }
        let fresh = build(&self.gateway);
        let table = Arc::clone(&fresh.1);
        *self.table.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        table
    }

    /// One request, whole: understood, admitted, decided, and then forwarded, held or refused.
    pub(super) async fn handle(&self, pool: &Pool, mut request: Request<Incoming>) -> Answer<Body> {
        let upgrade = request.extensions_mut().remove::<hyper::upgrade::OnUpgrade>();
        let (parts, body) = request.into_parts();
        let parsed = parse(&RequestHead::from(&parts), &self.table());
        // They are slices of the connection's buffer, which a request that waits for people would keep alive.
        drop(parts);
        let parsed = match parsed {
            Ok(parsed) => parsed,
            Err(refusal) => return Answer::Now(refused(&refusal)),
        };
        let caller = match self.admit(&parsed) {
            Ok(caller) => caller,
            Err(error) => return Answer::Now(Problem::gateway(&error).into_response()),
        };
        let streams = parsed.standing().route.settings().opaque && !hyper::body::Body::is_end_stream(&body);
        if streams {
            let understood = parsed.unread_body();
            let body = body.map_err(|error| -> BoxError { Box::new(error) }).boxed_unsync();
            // What few requests need is boxed: the room of the rest is what every request carries.
            return Box::pin(self.act(pool, &caller, &parsed, understood, Content::Streams(body), upgrade))
                .await;
        }
        let whole = if hyper::body::Body::is_end_stream(&body) {
            Ok(Bytes::new())
        } else {
            Box::pin(read_whole(body, parsed.standing().route.settings().body_limit)).await
        };
        match whole.map(|whole| (parsed.read_body(&whole), whole)) {
            Ok((Ok(understood), whole)) => {
                self.act(pool, &caller, &parsed, understood, Content::Whole(whole), upgrade).await
            }
            Ok((Err(refusal), _)) => Answer::Now(refused(&refusal)),
            Err(problem) => Answer::Now(problem.into_response()),
        }
    }

    fn admit(&self, parsed: &ParsedRequest) -> Result<Caller, GatewayError> {
        let unauthenticated = || {
            let how = "send `Authorization: Bearer <access token>`; an agent gets one at /v1/token";
            GatewayError::Unauthenticated(how.to_owned())
        };
        let presented = parsed.credential().ok_or_else(unauthenticated)?;
        let text = std::str::from_utf8(presented.expose()).map_err(|_| unauthenticated())?;
        let (scheme, token) = text.split_once(' ').ok_or_else(unauthenticated)?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(unauthenticated());
        }
        self.gateway.admit_agent(token.trim())
    }

    async fn act(
        &self,
        pool: &Pool,
        caller: &Caller,
        parsed: &ParsedRequest,
        understood: Understood,
        content: Content,
        upgrade: Option<hyper::upgrade::OnUpgrade>,
    ) -> Answer<Body> {
        let whole = content.whole().cloned();
        let retry = || retry_parts(parsed, whole.as_deref());
        let standing = parsed.standing();
        let target = Target { name: standing.route.name().clone(), definition: standing.definition };
        let ask = ask(caller, parsed, &target, understood, &retry, whole.is_some());
        let decided = self.gateway.decide(ask, || payload_parts(parsed, whole.as_deref())).await;
        match decided {
            Ok(Decided::Permitted(permitted)) => {
                let mut response = self.forward(pool, &permitted, parsed, content.into_body(), upgrade).await;
                reply::name_action(&mut response, permitted.id());
                Answer::Now(response)
            }
            Ok(Decided::Held(held)) => Box::pin(hold::answer(&self.gateway, held, parsed)).await,
            Ok(Decided::Denied(denied)) => {
                let why: Vec<_> = denied.rules.iter().map(|rule| rule.why.as_str()).collect();
                let mut response = Problem::denied(denied.id, why.join("; "), &denied.rules).into_response();
                reply::name_action(&mut response, denied.id);
                Answer::Now(response)
            }
            Err(error) => Answer::Now(Problem::gateway(&error).into_response()),
        }
    }

    /// Sends what was permitted, and streams the answer back. Taking the permit is what makes this possible.
    async fn forward(
        &self,
        pool: &Pool,
        permitted: &Permitted,
        parsed: &ParsedRequest,
        body: Body,
        upgrade: Option<hyper::upgrade::OnUpgrade>,
    ) -> Response<Body> {
        let outgoing = Outgoing {
            method: parsed.method(),
            target: parsed.target(),
            headers: parsed.headers(),
            upgrade: parsed.upgrade(),
            body,
        };
        let (outcome, response) = match self.forwarder.send(pool, &parsed.standing().route, outgoing).await {
            Ok(response) if response.status() == StatusCode::SWITCHING_PROTOCOLS => {
                (answer::outcome(response.status()), super::serve::join_upgrade(response, upgrade))
            }
            Ok(response) => (answer::outcome(response.status()), answer::clean(response)),
            Err(Failure::NotSent(why)) => {
                let problem = Problem::new(StatusCode::BAD_GATEWAY, "target-unreachable", why.clone());
                (Outcome::new(Ending::Failed, Witnessed::Observed, &why), problem.into_response())
            }
            Err(Failure::Unknown(why)) => {
                let problem = Problem::new(StatusCode::BAD_GATEWAY, "outcome-unknown", why.clone());
                (Outcome::unknown(&why), problem.into_response())
            }
        };
        if let Err(error) = self.gateway.finish_permitted(permitted, &outcome) {
            tracing::error!(%error, "an outcome was not recorded");
        }
        response
    }
}

fn ask<'a>(
    caller: &'a Caller,
    parsed: &'a ParsedRequest,
    target: &'a Target,
    understood: Understood,
    retry: &'a (dyn Fn() -> Vec<(String, Vec<u8>)> + Send + Sync),
    whole: bool,
) -> Ask<'a> {
    let settings = parsed.standing().route.settings();
    Ask {
        caller,
        point: Point::Http,
        // Where the route has no credential of its own, nothing keeps the caller from going round us.
        level: if settings.credential.is_some() { Level::Enforced } else { Level::Cooperative },
        verb: understood.verb,
        resource: Cow::Borrowed(parsed.resource()),
        parts: &[],
        target,
        credential: settings.credential.as_ref().map(|credential| &credential.secret),
        session: BTreeMap::new(),
        run: parsed.run(),
        reason: parsed.reason(),
        facts: understood.facts,
        operation: parsed.operation_number(),
        shape: Cow::Owned(format!("{} {}", target.name, parsed.shape())),
        idempotency: parsed.idempotency(),
        retry_parts: Some(retry),
        holdable: whole && parsed.upgrade().is_none(),
        retry_window: settings.retry_window,
        run_when_gone: if settings.run_when_gone { RunWhenGone::Yes } else { RunWhenGone::No },
        record: match settings.record {
            Record::Segment => RecordPermit::Segment,
            Record::BeforeRun => RecordPermit::BeforeRun,
        },
        same: None,
    }
}

/// A request's body: read whole, or streaming through unread.
enum Content {
    Whole(Bytes),
    Streams(Body),
}

impl Content {
    fn whole(&self) -> Option<&Bytes> {
        match self {
            Self::Whole(bytes) => Some(bytes),
            Self::Streams(_) => None,
        }
    }

    fn into_body(self) -> Body {
        match self {
            Self::Whole(bytes) => reply::full(bytes),
            Self::Streams(body) => body,
        }
    }
}

async fn read_whole(body: Incoming, limit: u64) -> Result<Bytes, Problem> {
    let most = usize::try_from(limit).unwrap_or(usize::MAX);
    let reading = Limited::new(body, most).collect();
    let Ok(read) = tokio::time::timeout(BODY_PATIENCE, reading).await else {
        let why = format!("the body took longer than {} s", BODY_PATIENCE.as_secs());
        return Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "body-too-slow", why));
    };
    match read {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(Problem::refusal(&Refusal::BodyTooLarge(limit))),
        Err(error) => Err(Problem::new(StatusCode::BAD_REQUEST, "body-broke-off", error.to_string())),
    }
}

fn refused(refusal: &Refusal) -> Response<Body> {
    metrics::counter!("countersign_http_refused_total", "reason" => refusal.code()).increment(1);
    Problem::refusal(refusal).into_response()
}

fn build(gateway: &Gateway) -> (u64, Arc<RouteTable>) {
    let directory = gateway.directory();
    let (table, errors) = RouteTable::build(directory.routes());
    for error in errors {
        tracing::error!(%error, "a route is out of order; what is for it is refused");
    }
    (directory.version(), Arc::new(table))
}

impl std::fmt::Debug for HttpPoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("HttpPoint")
    }
}
