//! Changes of people, groups, agents, routes and policy take the same way as any action: an administrator
//! proposes, another one reviews, and the gateway applies exactly what was reviewed.
//!
//! Until there is a second administrator with a passkey, an administrator's change applies at once; its log
//! entry then names no approval, which is what `separation: none` looks like for configuration.
//!
//! Keys are apart. After the first administrator's own, no key speaks for anybody before an administrator has signed
//! a review of exactly this key, alone where there is no second one; the entry that enrols it names that approval.
//!
//! An administrator who revokes somebody's key signs for that in the same way, and alone: the doubt counts against the
//! key, so nobody else is waited for. Its owner revokes it at once and signs nothing, since it may be the key that they
//! lost; so may an administrator who cannot wait until the request is through. Then the entry names no approval, and
//! whoever reads it is told that nobody signed.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use domain::action::{Action, Level, Point, Resource, Target};
use domain::commitment::Fields;
use domain::digest::{Blob, Digest, Purpose};
use domain::directory::{CHANGE_PATH, Change, Directory, DirectoryEvent, KEY_VERB, Passkey};
use domain::evaluation::{Fact, Facts};
use domain::grant::Redemption;
use domain::id::{GroupName, PersonId};
use domain::outcome::{Ending, Outcome, Witnessed};
use domain::principal::{Chain, Link, Principal, Role};
use store::{Recorded, RunWhenGone, Store, StoreError};

use crate::admit::Caller;
use crate::decide::{Ask, Decided, Denied, RecordPermit};
use crate::hold::Held;
use crate::people::Human;
use crate::ports::{Ran, RunResult, Runner};
use crate::{Gateway, GatewayError, limits};

/// The target of changes of the deployment itself.
const TARGET: &str = policy::schema::CONFIG_TARGET;
/// How often applying an approved change that met another one is tried again.
const APPLY_TRIES: usize = 8;

/// What a proposal came to.
#[derive(Debug)]
pub enum Proposed {
    /// It stands: there is no second administrator yet.
    Applied {
        /// The directory's version with it.
        version: u64,
    },
    /// Another administrator is asked.
    Held(Held),
    /// Policy refuses it.
    Denied(Denied),
}

/// How a key is revoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Revoking {
    /// By a request that an administrator signs.
    Signed,
    /// At once: nobody signs for it, and its entry names no approval.
    AtOnce,
}

impl Gateway {
    /// Proposes a change on behalf of an administrator whose passkey was checked just now.
    ///
    /// # Errors
    /// [`GatewayError::Forbidden`] for everybody else, [`GatewayError::StepUp`], [`GatewayError::Malformed`] for a change that
    /// makes no sense on what stands, or a policy set that does not load.
    pub async fn propose(
        self: &Arc<Self>,
        human: &Human,
        event: DirectoryEvent,
    ) -> Result<Proposed, GatewayError> {
        self.require_admin(human)?;
        self.require_step_up(human)?;
        if is_enrolment(&event) {
            return Err(GatewayError::Forbidden("a key is enrolled by its owner, in the console".to_owned()));
        }
        self.propose_on(Chain::person(human.person), event).await
    }

    /// Proposes the enrolment of an invited person's first key: the inviter stands on the chain, so that another
    /// administrator must look, where there is one.
    pub(crate) async fn propose_first_key(
        self: &Arc<Self>,
        inviter: PersonId,
        invited: PersonId,
        key: Passkey,
    ) -> Result<Held, GatewayError> {
        // A leftover link must not put a second key on somebody who has one.
        let directory = self.store.directory();
        if directory.person(invited).is_none_or(|known| !known.keys.is_empty()) {
            return Err(GatewayError::Forbidden(
                "this person has a passkey already; the invitation is void".to_owned(),
            ));
        }
        let behind = vec![Link { party: Principal::Person(invited), role: Role::Subject }];
        let chain = Chain { caller: Principal::Person(inviter), behind };
        self.propose_key(chain, DirectoryEvent::KeyEnrolled { person: invited, key }).await
    }

    /// Proposes a further key of somebody's own, who has just proved to hold it.
    pub(crate) async fn propose_own_key(
        self: &Arc<Self>,
        owner: PersonId,
        event: DirectoryEvent,
    ) -> Result<Held, GatewayError> {
        self.propose_key(Chain::person(owner), event).await
    }

    async fn propose_key(
        self: &Arc<Self>,
        chain: Chain,
        event: DirectoryEvent,
    ) -> Result<Held, GatewayError> {
        match self.propose_on(chain, event).await? {
            Proposed::Held(held) => Ok(held),
            Proposed::Denied(_) => Err(GatewayError::Forbidden("policy refuses this enrolment".to_owned())),
            Proposed::Applied { .. } => {
                Err(GatewayError::Unavailable("a key was enrolled without a review".to_owned()))
            }
        }
    }

    /// Revokes a key: one's own at once, or as an administrator anybody's, by a request that the administrator signs
    /// alone, or at once without a signature where it cannot wait. An administrator who would be the only one left by it
    /// waits for the other one's signature, since nobody gets rid of the second person alone. A command line, whose
    /// session may be in other hands, only ever asks.
    ///
    /// # Errors
    /// [`GatewayError::Forbidden`] for somebody else's key where one is no administrator, [`GatewayError::StepUp`],
    /// [`GatewayError::Malformed`] for a key that is not there, or the last administrator's last passkey.
    pub async fn revoke_key(
        self: &Arc<Self>,
        human: &Human,
        person: PersonId,
        key: Blob,
        how: Revoking,
    ) -> Result<Proposed, GatewayError> {
        let own = person == human.person;
        if !own {
            self.require_admin(human)?;
        }
        self.require_step_up(human)?;
        let event = DirectoryEvent::KeyRevoked { person, credential_id: key };
        let directory = self.store.directory();
        directory.check(&event)?;
        let mut without = Directory::clone(&directory);
        without.apply(&event, self.store.now())?;
        let caller = Principal::Person(human.person);
        let alone = !own && has_second_admin(&directory, caller) && !has_second_admin(&without, caller);
        let signed = how == Revoking::Signed && !own;
        if alone || signed || self.require_console(human).is_err() {
            return self.propose_on(Chain::person(human.person), event).await;
        }
        let change = Change { event, by: Some(caller), approval: None };
        let recorded = self.store.change(directory.version(), vec![change]).await?;
        Ok(Proposed::Applied { version: recorded.into_inner() })
    }

    async fn propose_on(
        self: &Arc<Self>,
        chain: Chain,
        event: DirectoryEvent,
    ) -> Result<Proposed, GatewayError> {
        let directory = self.store.directory();
        directory.check(&event)?;
        directory.check_looks(&event)?;
        self.check_documents(&event).await?;
        if !is_of_a_key(&event) && !has_second_admin(&directory, chain.caller) {
            let change = Change { event, by: Some(chain.caller), approval: None };
            let recorded = self.store.change(directory.version(), vec![change]).await?;
            return Ok(Proposed::Applied { version: recorded.into_inner() });
        }
        let labels =
            says_of(&event).map(|(label, value)| (label.to_owned(), value.to_owned())).into_iter().collect();
        let resource = Resource { name: event.subject(), environment: "control".parse()?, labels };
        let target = target()?;
        let caller = Caller::of(chain);
        let bytes = domain::canonical::write(&event)?;
        let ask = Ask {
            caller: &caller,
            point: Point::Config,
            level: Level::Enforced,
            verb: event.verb().parse()?,
            shape: Cow::Owned(format!("{} {}", event.verb(), event.subject())),
            resource: Cow::Owned(resource),
            parts: &[],
            target: &target,
            credential: None,
            session: BTreeMap::new(),
            run: None,
            reason: None,
            facts: understood(),
            operation: 0,
            idempotency: None,
            retry_parts: None,
            holdable: true,
            retry_window: limits::RETRY_WINDOW,
            run_when_gone: RunWhenGone::Yes,
            record: RecordPermit::BeforeRun,
            same: None,
        };
        match self.decide(ask, move || vec![(CHANGE_PATH.to_owned(), bytes)]).await? {
            Decided::Held(held) => Ok(Proposed::Held(held)),
            Decided::Denied(denied) => Ok(Proposed::Denied(denied)),
            // The built-in rule holds every change; whoever loosened it must not slip through here.
            Decided::Permitted(_) => Err(GatewayError::Forbidden(
                "a change of configuration is never permitted unreviewed".to_owned(),
            )),
        }
    }

    async fn check_documents(&self, event: &DirectoryEvent) -> Result<(), GatewayError> {
        match event {
            DirectoryEvent::PolicyApplied { text } => {
                let (text, directory) = (text.clone(), self.store.directory());
                self.hard_work(move || check_policy(&text, &directory)).await?
            }
            DirectoryEvent::RouteSet { name, .. } if name.as_str() == TARGET => {
                let why = "this name is the deployment's own";
                Err(GatewayError::Forbidden(format!("a route cannot be called `{name}`: {why}")))
            }
            DirectoryEvent::RouteSet { document, .. } => {
                domain::canonical::read_value(document.as_bytes())?;
                Ok(())
            }
            DirectoryEvent::PersonAdded { .. }
            | DirectoryEvent::PersonDeactivated { .. }
            | DirectoryEvent::KeyEnrolled { .. }
            | DirectoryEvent::SshKeyEnrolled { .. }
            | DirectoryEvent::KeyRevoked { .. }
            | DirectoryEvent::AccountLinked { .. }
            | DirectoryEvent::AccountUnlinked { .. }
            | DirectoryEvent::GroupJoined { .. }
            | DirectoryEvent::GroupLeft { .. }
            | DirectoryEvent::AgentAdded { .. }
            | DirectoryEvent::AgentKeyReplaced { .. }
            | DirectoryEvent::AgentSponsorChanged { .. }
            | DirectoryEvent::AgentDisabled { .. }
            | DirectoryEvent::RouteRemoved { .. } => Ok(()),
        }
    }

    /// Does work that takes a processor for long (a large policy set, a large route), one piece at a time and away
    /// from the threads that carry requests.
    ///
    /// # Errors
    /// [`GatewayError::Busy`] when the work came to no end.
    pub async fn hard_work<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, GatewayError> {
        let _one_at_a_time = self.hard_work.acquire().await.map_err(|_| GatewayError::Busy)?;
        tokio::task::spawn_blocking(work).await.map_err(|_| GatewayError::Busy)
    }

    /// Whether this human administers the deployment.
    ///
    /// # Errors
    /// [`GatewayError::Forbidden`] where they do not.
    pub fn require_admin(&self, human: &Human) -> Result<(), GatewayError> {
        let directory = self.store.directory();
        let admin = directory
            .person(human.person)
            .is_some_and(|p| p.active && p.groups.contains(&GroupName::admins()));
        if admin {
            Ok(())
        } else {
            Err(GatewayError::Forbidden("this is for members of `admins` only".to_owned()))
        }
    }
}

/// Refuses a policy set that does not load, and one under which nobody could ever apply another.
fn check_policy(text: &str, directory: &Directory) -> Result<(), GatewayError> {
    let refuse = |lines: Vec<String>| Err(GatewayError::Malformed(domain::Malformed::Json(lines.join("\n"))));
    let set = match policy::PolicySet::load(text) {
        Ok(set) => set,
        Err(errors) => return refuse(errors.iter().map(ToString::to_string).collect()),
    };
    let locks_out =
        |finding: &policy::Finding| finding.severity == policy::Severity::Error && finding.rule.is_none();
    let findings: Vec<String> =
        set.check(directory).into_iter().filter(locks_out).map(|finding| finding.message).collect();
    if findings.is_empty() { Ok(()) } else { refuse(findings) }
}

/// Whether the change lets a key speak for somebody.
fn is_enrolment(event: &DirectoryEvent) -> bool {
    matches!(event, DirectoryEvent::KeyEnrolled { .. } | DirectoryEvent::SshKeyEnrolled { .. })
}

/// Whether the change lets a key speak for somebody, or no more: then an administrator signs for exactly this key.
fn is_of_a_key(event: &DirectoryEvent) -> bool {
    is_enrolment(event) || matches!(event, DirectoryEvent::KeyRevoked { .. })
}

/// What an action's resource says of the change where it takes a key away: policy and reviewers see the action, and the
/// change itself stands in its payload.
const REVOCATION: (&str, &str) = ("change", "key-revoked");

fn says_of(event: &DirectoryEvent) -> Option<(&'static str, &'static str)> {
    matches!(event, DirectoryEvent::KeyRevoked { .. }).then_some(REVOCATION)
}

/// Whether an action's resource says that it takes a key away.
fn says_revocation(action: &Action) -> bool {
    let (label, value) = REVOCATION;
    action.parts().resource.labels.get(label).is_some_and(|said| said == value)
}

/// Whether whoever asks may sign for it alone, for the record then to say `separation: none`: the action is about a key,
/// and no administrator with a passkey stands apart from those who ask; or it takes a key away, and one is left whose
/// key it is not.
pub(crate) fn is_one_administrators_key(action: &Action, directory: &Directory) -> bool {
    let parts = action.parts();
    if parts.point != Point::Config || parts.verb.as_str() != KEY_VERB {
        return false;
    }
    let apart = |owner: Option<&str>| {
        directory.members(&GroupName::admins()).any(|person| {
            let subject = Principal::Person(person.id).to_string();
            !person.keys.is_empty() && !parts.chain.contains(person.id) && owner != Some(subject.as_str())
        })
    };
    !apart(None) || (says_revocation(action) && apart(Some(&parts.resource.name)))
}

/// A change is one of our own types: nothing of it is left to guess.
fn understood() -> Facts {
    Facts::from([("matched".to_owned(), Fact::Bool(true)), ("parsed".to_owned(), Fact::Bool(true))])
}

/// Whether there is an administrator with a passkey besides whoever asks. Whether they stand on the chain is for
/// the review to say: somebody who may not review makes a change wait, and never lets it through.
fn has_second_admin(directory: &Directory, caller: Principal) -> bool {
    directory
        .members(&GroupName::admins())
        .any(|person| !person.keys.is_empty() && Principal::Person(person.id) != caller)
}

fn target() -> Result<Target, GatewayError> {
    let definition = Digest::of(Purpose::Definition, b"countersign configuration v1");
    Ok(Target { name: TARGET.parse()?, definition })
}

/// Applies approved changes of the configuration.
pub struct ConfigRunner {
    store: Arc<dyn Store>,
}

impl ConfigRunner {
    /// A runner over the store whose directory it changes.
    #[must_use]
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self { store }
    }

    async fn apply(
        &self,
        redemption: &Recorded<Redemption>,
        action: &Action,
        payload: &Fields,
    ) -> Result<u64, String> {
        let bytes = payload.get(CHANGE_PATH).ok_or("the change is missing from the payload")?;
        let event: DirectoryEvent = domain::canonical::read(bytes).map_err(|error| error.to_string())?;
        // Whoever signed alone did so for a key that is taken away, and for nothing else.
        if says_revocation(action) && says_of(&event).is_none() {
            return Err("the action says that it takes a key away, and its change is another one".to_owned());
        }
        let approval = Some(redemption.get().approval());
        for _ in 0..APPLY_TRIES {
            let directory = self.store.directory();
            let version = directory.version();
            // Two changes that were proposed side by side may bring names that look alike.
            directory.check_looks(&event).map_err(|error| error.to_string())?;
            let change = Change { event: event.clone(), by: Some(action.chain().caller), approval };
            match self.store.change(version, vec![change]).await {
                Ok(recorded) => return Ok(recorded.into_inner()),
                Err(StoreError::Stale) => {}
                Err(error) => return Err(error.to_string()),
            }
        }
        Err("the directory kept changing; propose it again".to_owned())
    }
}

#[async_trait]
impl Runner for ConfigRunner {
    fn point(&self) -> Point {
        Point::Config
    }

    fn stands(&self, _action: &Action) -> Result<(), String> {
        Ok(())
    }

    async fn run(&self, redemption: Recorded<Redemption>, action: &Action, payload: &Fields) -> Ran {
        let outcome = match self.apply(&redemption, action, payload).await {
            Ok(version) => Outcome::new(
                Ending::Succeeded,
                Witnessed::Observed,
                &format!("applied as directory version {version}"),
            ),
            Err(why) => Outcome::new(Ending::Failed, Witnessed::Observed, &why),
        };
        Ran { outcome, result: RunResult::Nothing }
    }
}

impl std::fmt::Debug for ConfigRunner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ConfigRunner")
    }
}
