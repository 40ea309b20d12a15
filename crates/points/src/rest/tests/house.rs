//! The API over the real gateway and the real embedded store, and a client that holds every answer against
//! the API's own document.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use audit::{Ed25519Signer, NoteSigner as _};
use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{HeaderMap, Request, StatusCode};
use domain::directory::{Change, DirectoryEvent};
use domain::id::{ActionId, AgentId, PersonId, TargetName};
use domain::principal::Principal;
use domain::time::Timestamp;
use gateway::change::ConfigRunner;
use gateway::ports::SystemEntropy;
use gateway::store::clock::ManualClock;
use gateway::store::embedded::{EmbeddedConfig, EmbeddedStore};
use gateway::store::seal::SealingKey;
use gateway::{Gateway, Settings, identity};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tempfile::TempDir;
use tower_service::Service as _;

use super::passkey::{Enrolled as _, SoftPasskey};
use crate::peer::TrustedProxies;
use crate::rest::{Parts, openapi, router};

pub(crate) const PUBLIC_URL: &str = "http://localhost:7676";
const ORIGIN: &str = "countersign.example/log";
/// 2027-01-15T08:00:00Z.
const START: u64 = 1_800_000_000_000_000;

/// What `dba` approves, and everything else may be done.
pub(crate) const POLICY: &str = r#"
    @id("all") @why("open house") permit (principal, action, resource);
    @id("deletes") @hold("dba:1") @ttl("30m") @grant("10m") @why("it cannot be brought back")
    forbid (principal, action in Action::"destroy", resource);
    @id("never") @why("no exports") forbid (principal, action in Action::"export", resource);"#;

pub(crate) struct House {
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) clock: Arc<ManualClock>,
    router: Router,
    document: Value,
    names: BTreeMap<String, (Principal, u8)>,
    search: Arc<search::Index>,
    pub(crate) dir: TempDir,
}

/// An answer, whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Answer {
    /// The problem's code, or the status.
    pub(crate) fn code(&self) -> String {
        match self.body.get("type").and_then(Value::as_str) {
            Some(kind) => format!("{} {}", self.status, kind.rsplit('/').next().unwrap()),
            None => self.status.to_string(),
        }
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn text(&self, name: &str) -> String {
        self.body[name].as_str().unwrap_or_else(|| panic!("no `{name}` in {}", self.body)).to_owned()
    }
}

/// A request under way.
pub(crate) struct Sending<'a> {
    house: &'a House,
    method: &'static str,
    path: String,
    headers: Vec<(&'static str, String)>,
    from: Option<SocketAddr>,
    body: Vec<u8>,
}

impl Sending<'_> {
    /// The same over a connection from this address.
    pub(crate) fn from(mut self, address: &str) -> Self {
        self.from = Some(SocketAddr::new(address.parse().unwrap(), 50_000));
        self
    }

    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(crate) fn bearer(self, token: &str) -> Self {
        self.with("authorization", format!("Bearer {token}"))
    }

    pub(crate) fn json(self, body: &Value) -> Self {
        self.raw("application/json", body.to_string())
    }

    pub(crate) fn raw(mut self, kind: &str, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self.with("content-type", kind)
    }

    pub(crate) async fn open(self) -> axum::response::Response {
        let mut request = Request::builder().method(self.method).uri(&self.path);
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        let mut request = request.body(Body::from(self.body)).unwrap();
        if let Some(from) = self.from {
            request.extensions_mut().insert(ConnectInfo(from));
        }
        self.house.router.clone().call(request).await.unwrap()
    }

    /// Sends it, reads the answer, and holds it against the document.
    pub(crate) async fn send(self) -> Answer {
        let (house, method, path) = (self.house, self.method, self.path.clone());
        let response = self.open().await;
        let (status, headers) = (response.status(), response.headers().clone());
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        house.conforms(method, &path, status, &headers, &bytes);
        let body = serde_json::from_str(std::str::from_utf8(&bytes).unwrap_or_default())
            .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&bytes).into_owned()));
        Answer { status: status.as_u16(), headers, body }
    }
}

impl House {
    /// Brings the index up to date, as its follower does beside a gateway.
    pub(crate) async fn follow(&self) {
        let activity = self.dir.path().join("activity");
        let store = Arc::clone(self.gateway.store());
        let mut follower = search::Follower::onto(Arc::clone(&self.search), store, &activity).unwrap();
        follower.catch_up(|_| ()).await.unwrap();
    }

    /// Ada administers and sponsors `bot`; Bob and Cyd are `dba`; nobody else administers.
    pub(crate) async fn usual() -> Self {
        let mut house = Self::empty();
        for (name, groups) in [("ada", &["admins", "dba"][..]), ("bob", &["dba"]), ("cyd", &["dba"])] {
            house.arrives(name, groups).await;
        }
        house.add_agent("bot", "ada").await;
        house.change(DirectoryEvent::PolicyApplied { text: POLICY.to_owned() }).await;
        house.gateway.install(Arc::new(ConfigRunner::new(Arc::clone(house.gateway.store()))));
        house.gateway.start().await.unwrap();
        house
    }

    fn empty() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::new(Timestamp::from_micros(START)));
        let signer = Ed25519Signer::new(ORIGIN.parse().unwrap(), &[9; 32]);
        let log_key = signer.verifier().to_string();
        let store = EmbeddedStore::open(EmbeddedConfig {
            path: dir.path().join("countersign.db"),
            anchor_path: dir.path().join("anchor"),
            origin: ORIGIN.parse().unwrap(),
            signer: Box::new(signer),
            sealing_key: SealingKey::new([8; 32]),
            clock: Arc::clone(&clock) as _,
        })
        .unwrap();
        let gateway = Gateway::new(gateway::Parts {
            store: Arc::new(store),
            entropy: Arc::new(SystemEntropy),
            settings: Settings {
                origin: ORIGIN.parse().unwrap(),
                public_url: PUBLIC_URL.to_owned(),
                relying_party: identity::relying_party(PUBLIC_URL).unwrap(),
                retry_key: [7; 32],
                log_key,
            },
            token_key: [6; 32],
            activity_folder: dir.path().join("activity"),
        })
        .unwrap();
        let check_route = |_: &TargetName, text: &str| match text.contains("upstream") {
            true => Ok(text.to_owned()),
            false => Err("`upstream` is missing; name where the route leads".to_owned()),
        };
        std::fs::create_dir(dir.path().join("backups")).unwrap();
        let index = dir.path().join("search.db");
        let search = search::Index::open(&index, &ORIGIN.parse().unwrap(), search::Reset::Keep).unwrap();
        let sinks = Arc::new(evidence::sink::Sinks::default());
        let activity = dir.path().join("activity");
        let store = Arc::clone(gateway.store());
        let source = evidence::sink::Source { store, activity, ocsf: Default::default(), node: None };
        let trail = Arc::new(evidence::TrailService::new(source, sinks));
        let bundles =
            Arc::new(evidence::BundleService::new(Arc::clone(&gateway), dir.path().to_owned(), None));
        let router = router(Parts {
            gateway: Arc::clone(&gateway),
            check_route: Arc::new(check_route),
            trail,
            bundles,
            search: Arc::clone(&search),
            backup_folder: Some(dir.path().join("backups")),
            trusted_proxies: TrustedProxies::read(["192.0.2.0/24"]).unwrap(),
        });
        let document = serde_json::to_value(openapi()).unwrap();
        Self { gateway, clock, router, document, search, names: BTreeMap::new(), dir }
    }

    pub(crate) async fn arrives(&mut self, name: &str, groups: &[&str]) -> PersonId {
        let id = self.gateway.new_id(PersonId::new).unwrap();
        let number = u8::try_from(self.names.len()).unwrap();
        self.names.insert(name.to_owned(), (Principal::Person(id), number));
        self.change(DirectoryEvent::PersonAdded { id, name: name.to_owned() }).await;
        self.change(DirectoryEvent::KeyEnrolled { person: id, key: self.passkey(name).enrolled() }).await;
        for group in groups {
            self.change(DirectoryEvent::GroupJoined { group: group.parse().unwrap(), person: id }).await;
        }
        id
    }

    async fn add_agent(&mut self, name: &str, sponsor: &str) {
        let id = self.gateway.new_id(AgentId::new).unwrap();
        let number = u8::try_from(self.names.len()).unwrap();
        self.names.insert(name.to_owned(), (Principal::Agent(id), number));
        let key = identity::AgentKey::new(&[number; 32]).public();
        let sponsor = self.person(sponsor);
        self.change(DirectoryEvent::AgentAdded { id, name: name.to_owned(), sponsor, key }).await;
    }

    pub(crate) async fn change(&self, event: DirectoryEvent) {
        let store = self.gateway.store();
        let change = Change { event, by: None, approval: None };
        store.change(store.directory().version(), vec![change]).await.unwrap();
    }

    pub(crate) fn person(&self, name: &str) -> PersonId {
        match self.names[name].0 {
            Principal::Person(id) => id,
            Principal::Agent(_) => panic!("{name} is an agent"),
        }
    }

    pub(crate) fn agent(&self, name: &str) -> AgentId {
        match self.names[name].0 {
            Principal::Agent(id) => id,
            Principal::Person(_) => panic!("{name} is a person"),
        }
    }

    pub(crate) fn passkey(&self, name: &str) -> SoftPasskey {
        SoftPasskey::new(self.names[name].1)
    }

    pub(crate) fn ask(&self, method: &'static str, path: impl Into<String>) -> Sending<'_> {
        Sending { house: self, method, path: path.into(), headers: Vec::new(), from: None, body: Vec::new() }
    }

    /// A fresh assertion of an agent's.
    pub(crate) fn assertion(&self, agent: &str) -> String {
        let random = self.gateway.new_id(ActionId::new).unwrap();
        let key = identity::AgentKey::new(&[self.names[agent].1; 32]);
        key.assertion(self.agent(agent), ORIGIN, self.gateway.now(), random.uuid().as_bytes()).unwrap()
    }

    /// A fresh access token, from the API.
    pub(crate) async fn token(&self, agent: &str) -> String {
        let grant = "urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer";
        let form = format!("grant_type={grant}&assertion={}", self.assertion(agent));
        let answer =
            self.ask("POST", "/v1/token").raw("application/x-www-form-urlencoded", form).send().await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.text("access_token")
    }

    /// A session of somebody who has just signed in, from the API.
    pub(crate) async fn session(&self, name: &str) -> String {
        let options = self.ask("POST", "/v1/login/options").send().await;
        let credential = self.passkey(name).get_json(&options.body);
        let answer = self.ask("POST", "/v1/login").json(&json!({ "credential": credential })).send().await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        let cookie = answer.header("set-cookie").to_owned();
        let value = cookie.split(';').next().unwrap();
        value.strip_prefix("countersign_session=").unwrap().to_owned()
    }

    /// Asks, as an agent, to delete a queue, and does not wait.
    pub(crate) async fn held(&self, token: &str, queue: &str) -> String {
        let asked = self.ask("POST", "/v1/actions").bearer(token).with("prefer", "respond-async");
        let answer = asked.json(&destroy(queue)).send().await;
        assert_eq!(answer.status, 202, "{}", answer.body);
        answer.text("id")
    }

    /// Prepares, signs and submits a verdict.
    pub(crate) async fn review(&self, name: &str, id: &str, verdict: &str, note: Option<&str>) -> Answer {
        let session = self.session(name).await;
        let seen = self.ask("GET", format!("/v1/approvals/{id}")).bearer(&session).send().await;
        let request = json!({ "verdict": verdict, "note": note, "displayed": seen.body["card_digest"] });
        let path = format!("/v1/approvals/{id}/statements");
        let prepared = self.ask("POST", path).bearer(&session).json(&request).send().await;
        if prepared.status != 200 {
            return prepared;
        }
        let credential = self.passkey(name).get_json(&prepared.body["options"]);
        let review = json!({ "statement": prepared.body["statement"], "credential": credential });
        self.ask("POST", format!("/v1/approvals/{id}/reviews")).bearer(&session).json(&review).send().await
    }

    /// Approves as somebody who may, and waits until it has run.
    pub(crate) async fn settle(&self, name: &str, id: &str) {
        let approved = self.review(name, id, "approve", None).await;
        assert_eq!(approved.status, 200, "{}", approved.body);
        let session = self.session(name).await;
        for _ in 0..2_000 {
            let seen = self.ask("GET", format!("/v1/approvals/{id}")).bearer(&session).send().await;
            if seen.text("state") == "finished" {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        panic!("{id} was never run");
    }

    /// Every operation of the document: method, path, and what it says.
    pub(crate) fn operations(&self) -> Vec<(&'static str, String, Value)> {
        let mut operations = Vec::new();
        for (path, item) in self.document["paths"].as_object().unwrap() {
            for (method, name) in [("get", "GET"), ("put", "PUT"), ("post", "POST"), ("delete", "DELETE")] {
                if let Some(operation) = item.get(method) {
                    operations.push((name, path.clone(), operation.clone()));
                }
            }
        }
        assert!(operations.len() > 40, "{}", operations.len());
        operations
    }

    /// What every answer must be: of a documented status and content type, not cached, with an id.
    fn conforms(&self, method: &str, path: &str, status: StatusCode, headers: &HeaderMap, body: &[u8]) {
        let path = path.split('?').next().unwrap();
        let header = |name: &str| headers.get(name).map_or("", |value| value.to_str().unwrap());
        assert_eq!(header("cache-control"), "no-store", "{method} {path}");
        assert_eq!(header("x-content-type-options"), "nosniff", "{method} {path}");
        assert_eq!(header("x-request-id").len(), 36, "{method} {path}");
        if path == "/openapi.json" {
            return;
        }
        let kind = header("content-type").split(';').next().unwrap().to_owned();
        if kind == "application/problem+json" {
            let problem: Value = serde_json::from_str(std::str::from_utf8(body).unwrap()).unwrap();
            assert_eq!(problem["status"], status.as_u16());
            assert!(problem["type"].as_str().unwrap().starts_with("https://countersign.dev/problems/"));
            assert!(
                !problem["title"].as_str().unwrap().is_empty()
                    && !problem["detail"].as_str().unwrap().is_empty()
            );
        } else {
            // Two protocols have their own words for a refusal: OAuth and OTLP.
            let own = ["/v1/token", "/v1/logs", "/v1/activity"].contains(&path);
            assert!(status.is_success() || own, "{method} {path}: {status} as `{kind}`");
        }
        let operations = self.operations();
        let known = operations.iter().find(|(name, template, _)| *name == method && fits(template, path));
        let Some((_, template, operation)) = known else {
            assert!(matches!(status.as_u16(), 404 | 405), "{method} {path} is not documented: {status}");
            return;
        };
        let response = operation["responses"].get(status.as_str());
        let response = response.unwrap_or_else(|| panic!("{method} {template}: {status} is not documented"));
        let kinds: Vec<_> =
            response["content"].as_object().map(|o| o.keys().cloned().collect()).unwrap_or_default();
        assert!(
            kinds.contains(&kind) || (kinds.is_empty() && kind.is_empty()),
            "{template} {status}: {kind} of {kinds:?}"
        );
    }
}

/// Whether a path is of a template; literal paths are listed before their templates.
fn fits(template: &str, path: &str) -> bool {
    let (template, path): (Vec<_>, Vec<_>) = (template.split('/').collect(), path.split('/').collect());
    template.len() == path.len()
        && template.iter().zip(&path).all(|(part, found)| part.starts_with('{') || part == found)
}

pub(crate) fn destroy(queue: &str) -> Value {
    json!({
        "verb": "action.destroy", "resource": format!("queues/{queue}"), "environment": "staging",
        "target": "broker", "parameters": { "if-empty": "true" }, "reason": "it is empty",
    })
}

/// Waits for what must come.
pub(crate) async fn eventually(what: &str, holds: impl AsyncFn() -> bool) {
    for _ in 0..2_000 {
        if holds().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("it never came to this: {what}");
}
