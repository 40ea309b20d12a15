//! A deployment in few lines: people with groups and passkeys, agents with sponsors, one policy text.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use audit::{Ed25519Signer, NoteSigner as _};
use domain::action::{Level, Point, Resource, Target};
use domain::commitment::Field;
use domain::digest::{Blob, Digest, Purpose};
use domain::directory::{Change, DirectoryEvent};
use domain::entry::{Kind, Leaf};
use domain::evaluation::{Fact, Facts};
use domain::id::{ActionId, AgentId, GroupName, Origin, PersonId};
use domain::principal::Principal;
use domain::requirement::Separation;
use domain::statement::{Statement, Verdict};
use domain::time::{Span, Timestamp};
use gateway::admit::Caller;
use gateway::change::ConfigRunner;
use gateway::decide::{Ask, Decided, Denied, Part, RecordPermit};
use gateway::hold::{Heard, Held};
use gateway::people::Human;
use gateway::ports::{Entropy, SystemEntropy};
use gateway::review::Prepared;
use gateway::store::clock::ManualClock;
use gateway::store::embedded::{EmbeddedConfig, EmbeddedStore};
use gateway::store::seal::{Place, SealingKey};
use gateway::store::{RunWhenGone, Store, StoreError, Summary};
use gateway::{Gateway, GatewayError, Parts, Settings, identity};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::between::Between;
use crate::passkey::{Enrolled as _, SoftPasskey};
use crate::runner::CountingRunner;
use crate::ssh::SecurityKey;

pub(crate) const ORIGIN: &str = "countersign.example/log";
pub(crate) const PUBLIC_URL: &str = "http://localhost:7676";
const SEALING_KEY: [u8; 32] = [5; 32];
/// 2027-01-15T08:00:00Z.
const START: u64 = 1_800_000_000_000_000;
/// How long a test waits for what must come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Everything may be done, and whatever removes something needs these people: `dba:1`.
pub(crate) fn held_by(hold: &str) -> String {
    format!(
        r#"{PERMIT}
        @id("deletes") @hold("{hold}") @ttl("30m") @grant("10m") @why("it cannot be brought back")
        forbid (principal, action in Action::"destroy", resource);"#
    )
}

/// Everything may be done.
pub(crate) const PERMIT: &str = r#"@id("all") @why("open house") permit (principal, action, resource);"#;
/// Nothing may be removed.
pub(crate) const DENIED: &str = r#"
    @id("all") @why("open house") permit (principal, action, resource);
    @id("never") @why("deletions are frozen") forbid (principal, action in Action::"destroy", resource);"#;

/// Who the usual people are: Ada administers and sponsors `bot`; Bob, Cyd and Eve are `dba`, Eve `ops` too; Dan
/// administers; Fay is `dev` and sponsors `other`.
pub(crate) const USUAL_PEOPLE: &[(&str, &[&str])] = &[
    ("ada", &["admins", "dba"]),
    ("bob", &["dba"]),
    ("cyd", &["dba"]),
    ("dan", &["admins"]),
    ("eve", &["dba", "ops"]),
    ("fay", &["dev"]),
];
pub(crate) const USUAL_AGENTS: &[(&str, &str)] = &[("bot", "ada"), ("other", "fay")];

/// A deployment that runs.
pub(crate) struct House {
    pub(crate) gateway: Arc<Gateway>,
    /// The store as the gateway has it.
    pub(crate) between: Arc<Between>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) runner: Arc<CountingRunner>,
    pub(crate) entropy: Arc<Source>,
    /// What the gateway does by itself runs here, so that a test can kill it.
    runtime: Option<Runtime>,
    names: HashMap<String, (Principal, u8)>,
    dir: TempDir,
}

impl Drop for House {
    fn drop(&mut self) {
        self.fall_still();
    }
}

impl House {
    /// The usual people and agents under a policy.
    pub(crate) async fn usual(policy: &str) -> Self {
        Self::open(policy, USUAL_PEOPLE, USUAL_AGENTS).await
    }

    /// People with their groups, each with a passkey, and agents with their sponsors.
    pub(crate) async fn open(policy: &str, people: &[(&str, &[&str])], agents: &[(&str, &str)]) -> Self {
        let mut house = Self::empty();
        let mut events = Vec::new();
        for (name, groups) in people {
            events.extend(house.arrival(name, groups));
            events.push(house.enrolment(name));
        }
        for (name, sponsor) in agents {
            events.push(house.agents_arrival(name, sponsor));
        }
        events.push(DirectoryEvent::PolicyApplied { text: policy.to_owned() });
        house.change_all(events).await;
        house.start().await;
        house
    }

    /// Nobody is known, and nothing moves by itself yet.
    pub(crate) fn empty() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::new(Timestamp::from_micros(START)));
        let between = Arc::new(Between::new(open_store(&dir, &clock).unwrap()));
        let entropy = Arc::new(Source::default());
        let gateway = open_gateway(&dir, &between, &entropy).unwrap();
        let runner = Arc::new(CountingRunner::new(Point::Http));
        Self { gateway, between, clock, runner, entropy, runtime: None, names: HashMap::new(), dir }
    }

    /// Lets the gateway move by itself.
    pub(crate) async fn start(&mut self) {
        self.gateway.install(Arc::clone(&self.runner) as _);
        self.gateway.install(Arc::new(ConfigRunner::new(Arc::clone(self.gateway.store()))));
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let gateway = Arc::clone(&self.gateway);
        runtime.spawn(async move { gateway.start().await }).await.unwrap().unwrap();
        self.runtime = Some(runtime);
    }

    /// `kill -9` and another start: whatever ran stops where it is.
    pub(crate) async fn restart(&mut self) {
        self.kill().await;
        self.reopen().unwrap();
        self.start().await;
    }

    pub(crate) async fn kill(&mut self) {
        self.fall_still();
        self.between.inner.close(PATIENCE).await;
    }

    /// Nothing moves by itself any more; the store is open still.
    pub(crate) fn fall_still(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }

    /// Opens what [`House::kill`] left behind, with a fresh runner; nothing moves yet.
    pub(crate) fn reopen(&mut self) -> Result<(), GatewayError> {
        self.between = Arc::new(Between::new(open_store(&self.dir, &self.clock)?));
        self.gateway = open_gateway(&self.dir, &self.between, &self.entropy)?;
        self.runner = Arc::new(CountingRunner::new(Point::Http));
        Ok(())
    }

    /// The store itself.
    pub(crate) fn store(&self) -> &Arc<dyn Store> {
        &self.between.inner
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.dir.path().join("countersign.db")
    }

    pub(crate) fn activity_folder(&self) -> PathBuf {
        self.dir.path().join("activity")
    }

    /// What somebody with a hand on the database does to it.
    pub(crate) fn tamper(&self, statements: &str) {
        let connection = rusqlite::Connection::open(self.database()).unwrap();
        connection.execute_batch(statements).unwrap();
        assert!(connection.total_changes() > 0, "nothing was altered by {statements}");
    }

    /// What somebody does to it who has the sealing key too: another value for a field of an entry, sealed well.
    pub(crate) fn forge(&self, entry: u64, path: &str, change: impl FnOnce(Vec<u8>) -> Vec<u8>) {
        self.reseal("field", entry, path, |position| Place::Field { entry, position, path }, change);
    }

    /// The same for a part of a request's payload.
    pub(crate) fn forge_payload(
        &self,
        entry: u64,
        id: ActionId,
        path: &str,
        change: impl FnOnce(Vec<u8>) -> Vec<u8>,
    ) {
        self.reseal(
            "payload",
            entry,
            path,
            |position| Place::Payload { approval: id, position, path },
            change,
        );
    }

    fn reseal<'a>(
        &self,
        table: &str,
        entry: u64,
        path: &str,
        place: impl Fn(usize) -> Place<'a>,
        change: impl FnOnce(Vec<u8>) -> Vec<u8>,
    ) {
        let key = SealingKey::new(SEALING_KEY);
        let connection = rusqlite::Connection::open(self.database()).unwrap();
        let (id, sealed): (i64, Vec<u8>) = connection
            .query_row(
                &format!("SELECT id, sealed FROM {table} WHERE id >> 10 = ?1 AND path = ?2"),
                rusqlite::params![i64::try_from(entry).unwrap(), path],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )
            .unwrap();
        let place = place(usize::try_from(id & 1023).unwrap());
        let open = key.open(place, &sealed).unwrap();
        let (salt, value) = open.split_at(32);
        let value = change(value.to_vec());
        let commitment = Field::new(path, salt.try_into().unwrap(), value.clone()).commitment().unwrap();
        let sealed = key.seal(place, &[salt, &value].concat()).unwrap();
        let statement = format!("UPDATE {table} SET sealed = ?2, commitment = ?3 WHERE id = ?1");
        let changed =
            connection.execute(&statement, rusqlite::params![id, sealed, commitment.as_bytes()]).unwrap();
        assert_eq!(changed, 1);
    }

    /// Where in the log this approval's `n`th event stands.
    pub(crate) async fn event_at(&self, id: ActionId, n: usize) -> u64 {
        self.store().history(id).await.unwrap()[n].1.index
    }

    pub(crate) fn later(&self, seconds: u64) {
        self.clock.forward(Duration::from_secs(seconds));
    }

    // Who there is.

    /// Somebody comes, without a passkey yet.
    pub(crate) async fn arrives(&mut self, name: &str, groups: &[&str]) -> PersonId {
        let events = self.arrival(name, groups);
        self.change_all(events).await;
        self.person(name)
    }

    /// Somebody comes whom the only administrator brings, and into groups for which nobody has to sign yet.
    pub(crate) async fn brought(&mut self, by: &str, name: &str, groups: &[&str]) -> PersonId {
        let events = self.arrival(name, groups);
        self.change_by(Some(self.principal(by)), events).await;
        self.person(name)
    }

    fn arrival(&mut self, name: &str, groups: &[&str]) -> Vec<DirectoryEvent> {
        let id = self.gateway.new_id(PersonId::new).unwrap();
        self.call(name, Principal::Person(id));
        let joins = groups.iter().map(|group| self.joining(name, group));
        std::iter::once(DirectoryEvent::PersonAdded { id, name: name.to_owned() }).chain(joins).collect()
    }

    pub(crate) fn agents_arrival(&mut self, name: &str, sponsor: &str) -> DirectoryEvent {
        let id = self.gateway.new_id(AgentId::new).unwrap();
        self.call(name, Principal::Agent(id));
        let (sponsor, key) = (self.person(sponsor), agent_key(self.names[name].1).public());
        DirectoryEvent::AgentAdded { id, name: name.to_owned(), sponsor, key }
    }

    fn call(&mut self, name: &str, principal: Principal) {
        let number = u8::try_from(self.names.len()).unwrap();
        self.names.insert(name.to_owned(), (principal, number));
    }

    pub(crate) fn principal(&self, name: &str) -> Principal {
        self.names[name].0
    }

    pub(crate) fn person(&self, name: &str) -> PersonId {
        match self.principal(name) {
            Principal::Person(id) => id,
            Principal::Agent(_) => panic!("{name} is an agent"),
        }
    }

    pub(crate) fn agent(&self, name: &str) -> AgentId {
        match self.principal(name) {
            Principal::Agent(id) => id,
            Principal::Person(_) => panic!("{name} is a person"),
        }
    }

    pub(crate) fn passkey(&self, name: &str) -> SoftPasskey {
        SoftPasskey::new(self.names[name].1)
    }

    // What changes, past all review: as if it had been approved.

    pub(crate) async fn change(&self, event: DirectoryEvent) {
        self.change_all(vec![event]).await;
    }

    async fn change_all(&self, events: Vec<DirectoryEvent>) {
        self.change_by(None, events).await;
    }

    async fn change_by(&self, by: Option<Principal>, events: Vec<DirectoryEvent>) {
        let changes = events.into_iter().map(|event| Change { event, by, approval: None }).collect();
        self.store().change(self.store().directory().version(), changes).await.unwrap();
    }

    pub(crate) async fn apply(&self, policy: &str) {
        self.change(DirectoryEvent::PolicyApplied { text: policy.to_owned() }).await;
    }

    pub(crate) async fn enrol(&self, name: &str) {
        self.change(self.enrolment(name)).await;
    }

    fn enrolment(&self, name: &str) -> DirectoryEvent {
        DirectoryEvent::KeyEnrolled { person: self.person(name), key: self.passkey(name).enrolled() }
    }

    pub(crate) fn ssh_key(&self, name: &str) -> SecurityKey {
        SecurityKey::new(self.names[name].1)
    }

    pub(crate) async fn enrol_ssh(&self, name: &str) {
        let (person, key) = (self.person(name), self.ssh_key(name).enrolled());
        self.change(DirectoryEvent::SshKeyEnrolled { person, key }).await;
    }

    pub(crate) async fn join(&self, name: &str, group: &str) {
        self.change(self.joining(name, group)).await;
    }

    pub(crate) fn joining(&self, name: &str, group: &str) -> DirectoryEvent {
        DirectoryEvent::GroupJoined { group: group.parse().unwrap(), person: self.person(name) }
    }

    pub(crate) async fn leave(&self, name: &str, group: &str) {
        self.change(self.leaving(name, group)).await;
    }

    pub(crate) fn leaving(&self, name: &str, group: &str) -> DirectoryEvent {
        DirectoryEvent::GroupLeft { group: group.parse().unwrap(), person: self.person(name) }
    }

    pub(crate) async fn revoke_key(&self, name: &str) {
        let (person, credential_id) = (self.person(name), self.passkey(name).enrolled().credential_id);
        self.change(DirectoryEvent::KeyRevoked { person, credential_id }).await;
    }

    // What agents do.

    /// An agent with a fresh token.
    pub(crate) async fn caller(&self, agent: &str) -> Caller {
        self.gateway.admit_agent(&self.token(agent).await).unwrap()
    }

    pub(crate) async fn token(&self, agent: &str) -> String {
        let number = self.names[agent].1;
        let random = self.gateway.new_id(ActionId::new).unwrap();
        let now = self.gateway.now();
        let assertion =
            agent_key(number).assertion(self.agent(agent), ORIGIN, now, random.uuid().as_bytes()).unwrap();
        self.gateway.trade_assertion(&assertion).await.unwrap().expose().to_owned()
    }

    pub(crate) async fn decide(&self, caller: &Caller, call: &Call) -> Result<Decided, GatewayError> {
        self.decide_with(caller, call, || {}).await
    }

    /// The same, and this happens when the payload is read.
    pub(crate) async fn decide_with(
        &self,
        caller: &Caller,
        call: &Call,
        read: impl FnOnce() + Send,
    ) -> Result<Decided, GatewayError> {
        self.decide_shown(caller, call, read, None).await
    }

    /// The same, with fields that are made where people are asked.
    pub(crate) async fn decide_shown(
        &self,
        caller: &Caller,
        call: &Call,
        read: impl FnOnce() + Send,
        shown: Option<gateway::decide::Shown<'_>>,
    ) -> Result<Decided, GatewayError> {
        let retry = call.retry_parts.clone().unwrap_or_default();
        let retry = move || retry.clone();
        let ask = Ask {
            caller,
            point: call.point,
            level: Level::Enforced,
            verb: call.verb.parse().unwrap(),
            resource: Cow::Borrowed(&call.resource),
            parts: &call.parts,
            target: &call.target,
            credential: None,
            session: call.session.clone(),
            run: None,
            reason: call.reason.as_deref(),
            facts: call.facts.clone(),
            operation: call.operation,
            shape: Cow::Borrowed(call.verb),
            idempotency: call.idempotency,
            retry_parts: if call.retry_parts.is_some() { Some(&retry) } else { None },
            holdable: call.holdable,
            retry_window: Span::from_seconds(600),
            run_when_gone: call.run_when_gone,
            record: call.record,
            same: call.same,
        };
        let payload = || {
            read();
            call.payload.clone()
        };
        Box::pin(self.gateway.decide_shown(ask, payload, shown)).await
    }

    /// Asks as `bot`, and is held.
    pub(crate) async fn held(&self, call: &Call) -> Held {
        match self.decide(&self.caller("bot").await, call).await.unwrap() {
            Decided::Held(held) => held,
            other => panic!("not held: {other:?}"),
        }
    }

    /// Asks as `bot`, and is denied.
    pub(crate) async fn denied(&self, call: &Call) -> Denied {
        match self.decide(&self.caller("bot").await, call).await.unwrap() {
            Decided::Denied(denied) => denied,
            other => panic!("not denied: {other:?}"),
        }
    }

    /// Asks as `bot`, and may run at once.
    pub(crate) async fn permitted(&self, call: &Call) {
        match self.decide(&self.caller("bot").await, call).await.unwrap() {
            Decided::Permitted(_) => {}
            other => panic!("not permitted: {other:?}"),
        }
    }

    /// What its caller hears in the end.
    pub(crate) async fn hear(&self, id: ActionId) -> Heard {
        match self.gateway.wait(id, PATIENCE).await.unwrap() {
            Heard::Waiting => panic!("nothing was heard of {id}"),
            heard => heard,
        }
    }

    // What people do.

    /// Somebody who has just signed in at the console.
    pub(crate) async fn human(&self, name: &str) -> Human {
        let options = self.gateway.begin_login(None).await.unwrap();
        let signed_in = self.gateway.finish_login(&self.passkey(name).get(&options)).await.unwrap();
        self.gateway.admit_session(&signed_in.token.expose()).await.unwrap()
    }

    /// The same human at the command line.
    pub(crate) async fn at_cli(&self, name: &str) -> Human {
        let human = self.human(name).await;
        let (secret, code) = self.gateway.begin_cli_login().await.unwrap();
        self.gateway.confirm_cli_login(&human, &code).await.unwrap();
        let token = self.gateway.poll_cli_login(&secret).await.unwrap().unwrap();
        self.gateway.admit_session(&token).await.unwrap()
    }

    pub(crate) async fn prepare(
        &self,
        human: &Human,
        id: ActionId,
        verdict: Verdict,
        note: Option<&str>,
    ) -> Result<Prepared, GatewayError> {
        let displayed = self.gateway.card(&self.summary(id).await).await?.digest()?;
        self.gateway.prepare_review(id, human, verdict, note.map(str::to_owned), displayed).await
    }

    /// Signs and submits a verdict, as the page would.
    pub(crate) async fn review(
        &self,
        name: &str,
        id: ActionId,
        verdict: Verdict,
        note: Option<&str>,
    ) -> Result<Summary, GatewayError> {
        let human = self.human(name).await;
        let prepared = self.prepare(&human, id, verdict, note).await?;
        let response = self.passkey(name).get(&prepared.options);
        self.gateway.submit_review(id, &human, &prepared.statement, &response).await
    }

    pub(crate) async fn approve(&self, name: &str, id: ActionId) -> Result<Summary, GatewayError> {
        self.review(name, id, Verdict::Approve, None).await
    }

    pub(crate) async fn deny(&self, name: &str, id: ActionId, why: &str) -> Result<Summary, GatewayError> {
        self.review(name, id, Verdict::Deny, Some(why)).await
    }

    // What stands.

    pub(crate) async fn summary(&self, id: ActionId) -> Summary {
        self.store().approval(id).await.unwrap()
    }

    pub(crate) async fn state(&self, id: ActionId) -> &'static str {
        self.summary(id).await.approval.word()
    }

    pub(crate) async fn separation(&self, id: ActionId) -> Option<Separation> {
        let summary = self.summary(id).await;
        summary.approval.case().evaluation.requirement().map(|requirement| requirement.separation)
    }

    /// Waits until it stands so.
    pub(crate) async fn until(&self, id: ActionId, state: &str) {
        eventually(&format!("{id} is {state}"), async || self.state(id).await == state).await;
    }

    /// A call that `bot` asked for and Bob has approved, and that waits for its caller.
    pub(crate) async fn approved(&self, call: &Call) -> ActionId {
        let held = self.held(call).await;
        let summary = self.approve("bob", held.id).await.unwrap();
        assert_eq!(summary.approval.word(), "approved");
        held.id
    }

    /// Gives what the gateway does by itself time to go wrong, and says that nothing was run.
    pub(crate) async fn never_runs(&self, id: ActionId) {
        // Somebody waits for it all the while, which is what makes an approved one run.
        let heard = self.gateway.wait(id, Duration::from_millis(120)).await.unwrap();
        assert!(!matches!(heard, Heard::Ran { .. }), "{heard:?}");
        assert_eq!(self.runner.runs_of(id), 0);
        assert!(!matches!(self.state(id).await, "executing" | "finished"));
    }

    /// The log's leaves in order.
    pub(crate) async fn leaves(&self) -> Vec<Leaf> {
        let size = self.store().head().await.unwrap().size;
        let mut leaves = Vec::new();
        while (leaves.len() as u64) < size {
            leaves.extend(self.store().leaves(leaves.len() as u64, size).await.unwrap());
        }
        leaves.iter().map(|leaf| domain::canonical::read(leaf).unwrap()).collect()
    }

    /// The kinds of the log's entries about this approval, in order.
    pub(crate) async fn told(&self, id: ActionId) -> Vec<Kind> {
        let about = Some(id.to_string());
        self.leaves().await.into_iter().filter(|leaf| leaf.subject == about).map(|leaf| leaf.kind).collect()
    }

    /// Reads and hashes the whole log again.
    pub(crate) async fn audit(&self) {
        self.store().audit().await.unwrap();
    }
}

/// Waits for what must come.
pub(crate) async fn eventually(what: &str, holds: impl AsyncFn() -> bool) {
    let end = tokio::time::Instant::now() + PATIENCE;
    while !holds().await {
        assert!(tokio::time::Instant::now() < end, "it never came to this: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The word of a refusal by the domain.
pub(crate) fn refusal<T: std::fmt::Debug>(result: Result<T, GatewayError>) -> &'static str {
    match result {
        Err(GatewayError::Refused(refusal)) => refusal.code(),
        other => panic!("not refused: {other:?}"),
    }
}

/// The words of a refusal by the gateway.
pub(crate) fn forbidden<T: std::fmt::Debug>(result: Result<T, GatewayError>) -> String {
    match result {
        Err(GatewayError::Forbidden(why)) => why,
        other => panic!("not forbidden: {other:?}"),
    }
}

/// The system's randomness, until it dries up.
#[derive(Default)]
pub(crate) struct Source {
    dry: AtomicBool,
}

impl Source {
    pub(crate) fn dry_up(&self) {
        self.dry.store(true, Ordering::SeqCst);
    }
}

impl Entropy for Source {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), GatewayError> {
        if self.dry.load(Ordering::SeqCst) {
            return Err(GatewayError::Unavailable("no randomness".to_owned()));
        }
        SystemEntropy.fill(bytes)
    }
}

/// One call of an agent's.
#[derive(Clone)]
pub(crate) struct Call {
    pub(crate) verb: &'static str,
    pub(crate) point: Point,
    pub(crate) resource: Resource,
    pub(crate) target: Target,
    pub(crate) session: BTreeMap<String, String>,
    pub(crate) reason: Option<String>,
    pub(crate) payload: Vec<(String, Vec<u8>)>,
    pub(crate) facts: Facts,
    pub(crate) operation: u32,
    pub(crate) idempotency: Option<&'static str>,
    pub(crate) retry_parts: Option<Vec<(String, Vec<u8>)>>,
    pub(crate) holdable: bool,
    pub(crate) run_when_gone: RunWhenGone,
    pub(crate) record: RecordPermit,
    pub(crate) parts: Vec<Part>,
    pub(crate) same: Option<Digest>,
}

impl Call {
    /// Deletes a queue in staging.
    pub(crate) fn delete(queue: &str) -> Self {
        Self::new("http.delete", "DELETE", queue)
    }

    /// Looks at a queue in staging.
    pub(crate) fn get(queue: &str) -> Self {
        Self::new("http.get", "GET", queue)
    }

    fn new(verb: &'static str, method: &str, queue: &str) -> Self {
        let name = format!("queues/{queue}");
        let part = |path: &str, value: &str| (path.to_owned(), value.as_bytes().to_vec());
        Self {
            verb,
            point: Point::Http,
            payload: vec![part("http.method", method), part("http.path", &name)],
            resource: Resource { name, environment: "staging".parse().unwrap(), labels: BTreeMap::new() },
            target: Target {
                name: "broker".parse().unwrap(),
                definition: Digest::of(Purpose::Definition, b"the broker's route"),
            },
            session: BTreeMap::new(),
            reason: Some("it is empty".to_owned()),
            facts: Facts::from([
                ("matched".to_owned(), Fact::Bool(true)),
                ("parsed".to_owned(), Fact::Bool(true)),
            ]),
            operation: 1,
            idempotency: None,
            retry_parts: None,
            holdable: true,
            run_when_gone: RunWhenGone::No,
            record: RecordPermit::Segment,
            parts: Vec::new(),
            same: None,
        }
    }

    pub(crate) fn in_production(mut self) -> Self {
        self.resource.environment = "prod".parse().unwrap();
        self
    }

    pub(crate) fn though_gone(mut self) -> Self {
        self.run_when_gone = RunWhenGone::Yes;
        self
    }

    pub(crate) fn with(mut self, path: &str, value: impl Into<Vec<u8>>) -> Self {
        self.payload.push((path.to_owned(), value.into()));
        self
    }
}

pub(crate) fn group(name: &str) -> GroupName {
    name.parse().unwrap()
}

/// A prepared statement, read.
pub(crate) fn read(prepared: &Prepared) -> Statement {
    Statement::read(&prepared.statement.0).unwrap()
}

/// A statement with something else in it, as bytes.
pub(crate) fn altered(prepared: &Prepared, change: impl FnOnce(&mut Statement)) -> Blob {
    let mut statement = read(prepared);
    change(&mut statement);
    Blob(domain::canonical::write(&statement).unwrap())
}

pub(crate) fn log_key() -> audit::VerifierKey {
    signer().verifier().clone()
}

pub(crate) fn signer() -> Ed25519Signer {
    Ed25519Signer::new(ORIGIN.parse().unwrap(), &[3; 32])
}

fn agent_key(number: u8) -> identity::AgentKey {
    identity::AgentKey::new(&[100 + number; 32])
}

fn open_store(dir: &TempDir, clock: &Arc<ManualClock>) -> Result<Arc<dyn Store>, StoreError> {
    let store = EmbeddedStore::open(EmbeddedConfig {
        path: dir.path().join("countersign.db"),
        anchor_path: dir.path().join("anchor"),
        origin: ORIGIN.parse().unwrap(),
        signer: Box::new(signer()),
        sealing_key: SealingKey::new(SEALING_KEY),
        clock: Arc::clone(clock) as _,
    })?;
    Ok(Arc::new(store))
}

pub(crate) fn open_gateway(
    dir: &TempDir,
    between: &Arc<Between>,
    entropy: &Arc<Source>,
) -> Result<Arc<Gateway>, GatewayError> {
    let origin: Origin = ORIGIN.parse().unwrap();
    Gateway::new(Parts {
        store: Arc::clone(between) as _,
        entropy: Arc::clone(entropy) as _,
        settings: Settings {
            origin,
            public_url: PUBLIC_URL.to_owned(),
            relying_party: identity::relying_party(PUBLIC_URL).unwrap(),
            retry_key: [7; 32],
            log_key: log_key().to_string(),
        },
        token_key: [9; 32],
        activity_folder: dir.path().join("activity"),
    })
}
