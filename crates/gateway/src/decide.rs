//! **decide**: policy answers `permit`, `needs review` or `deny`. An error is a denial.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::pin::Pin;
use std::sync::{Arc, RwLock};

use domain::action::{Action, Draft, Level, Point, Resource, Target};
use domain::commitment::{Field, Fields};
use domain::digest::Digest;
use domain::directory::Directory;
use domain::entry;
use domain::evaluation::{DecidingRule, Decision, Evaluation, Fact, Facts};
use domain::id::{ActionId, CredentialRef, Environment, TargetName};
use domain::principal::{Chain, Principal};
use domain::requirement::Separation;
use domain::time::{Span, Timestamp};
use domain::verb::Verb;
use policy::PolicySet;
use serde::{Deserialize, Serialize};
use store::{Recorded, RunWhenGone};

use crate::activity::Line;
use crate::admit::Caller;
use crate::hold::Held;
use crate::reveal::logged;
use crate::{Gateway, GatewayError, limits, risk};

/// What a point asks about one action. The payload is not here: it is asked for only when it is needed.
#[derive(Clone)]
pub struct Ask<'a> {
    /// Who calls, and for whom.
    pub caller: &'a Caller,
    /// Where it was intercepted.
    pub point: Point,
    /// Whether the caller could have gone round.
    pub level: Level,
    /// What would be done.
    pub verb: Verb,
    /// To what.
    pub resource: Cow<'a, Resource>,
    /// Everything that it does, where that is more than one thing: each is decided on, and the strictest answer counts.
    /// `verb` and `resource` then name the one that people see first. Empty where there is one thing.
    pub parts: &'a [Part],
    /// Where, as defined now.
    pub target: &'a Target,
    /// With which credential.
    pub credential: Option<&'a CredentialRef>,
    /// Session state that changes what the bytes mean.
    pub session: BTreeMap<String, String>,
    /// The run that it belongs to, as the caller claims.
    pub run: Option<&'a str>,
    /// Why, in the caller's words.
    pub reason: Option<&'a str>,
    /// What the point knows of the action beyond its digest.
    pub facts: Facts,
    /// Which of the target's operations it is.
    pub operation: u32,
    /// Groups actions of one shape.
    pub shape: Cow<'a, str>,
    /// Tells two intended identical calls apart.
    pub idempotency: Option<&'a str>,
    /// The parts by which a second try of the same call is known, where they are not the payload's: without
    /// what differs from try to try and does not change what the call does, such as a trace id.
    pub retry_parts: Option<RetryParts<'a>>,
    /// Whether its bytes can be shown and run later. One that cannot is denied where it would be held.
    pub holdable: bool,
    /// How long after its end an identical call finds the approval.
    pub retry_window: Span,
    /// Whether it runs once approved though its caller has gone.
    pub run_when_gone: RunWhenGone,
    /// How its permit is recorded.
    pub record: RecordPermit,
    /// A digest over everything that this question tells of the action, by which a permit may be remembered although
    /// policy reads the action's own values. None where no two questions are the same.
    pub same: Option<Digest>,
}

/// One of the things that an action does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// What is done.
    pub verb: Verb,
    /// To what: a resource's name in the target, with the action's environment and labels.
    pub resource: String,
    /// What the point knows of it.
    pub facts: Facts,
}

/// The path of the payload's field in which an action's parts stand, as canonical JSON: what is approved covers them,
/// and policy is asked about each again when it is redeemed.
pub const PARTS_PATH: &str = "parts";

/// Makes the parts by which a second try of the same call is known.
pub type RetryParts<'a> = &'a (dyn Fn() -> Vec<(String, Vec<u8>)> + Send + Sync);

/// Fields of the payload that are made only where people are asked.
pub type Shown<'a> = Pin<Box<dyn Future<Output = Vec<(String, Vec<u8>)>> + Send + 'a>>;

/// How a permit is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordPermit {
    /// In a hashed segment, one leaf a segment.
    Segment,
    /// As a log entry of its own, durable before it runs.
    BeforeRun,
}

/// What deciding came to.
#[derive(Debug)]
pub enum Decided {
    /// It may run now.
    Permitted(Permitted),
    /// People are asked; the caller may wait.
    Held(Held),
    /// It may not run.
    Denied(Denied),
}

/// The proof that policy permitted an action and that this is on record. Only deciding makes one.
#[derive(Debug)]
pub struct Permitted {
    id: ActionId,
    _recorded: Option<Recorded<()>>,
}

impl Permitted {
    /// The action's id.
    #[must_use]
    pub fn id(&self) -> ActionId {
        self.id
    }
}

/// Why an action may not run.
#[derive(Debug, Clone)]
pub struct Denied {
    /// The action's id.
    pub id: ActionId,
    /// The rules that decided.
    pub rules: Vec<DecidingRule>,
}

/// The policy set that decides, compiled.
#[derive(Debug)]
pub(crate) struct Deciding {
    /// The directory's policy digest it was compiled from.
    source: Option<Digest>,
    set: PolicySet,
}

impl Deciding {
    /// The compiled set.
    pub(crate) fn set(&self) -> &PolicySet {
        &self.set
    }

    pub(crate) fn load(directory: &Directory) -> Result<Self, GatewayError> {
        let text = directory.policy().map_or("", |policy| policy.text.as_str());
        let set = PolicySet::load(text).map_err(|errors| {
            let lines: Vec<_> = errors.iter().map(ToString::to_string).collect();
            GatewayError::Unavailable(format!("the stored policy set does not load: {}", lines.join("; ")))
        })?;
        Ok(Self { source: directory.policy().map(|policy| policy.digest), set })
    }
}

/// Everything that a decision may depend on beside the request's own values and the directory's version; see
/// [`policy::MemoKey`], which says the same of a sealed action.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Key {
    chain: Chain,
    target: TargetName,
    verb: Verb,
    operation: u32,
    environment: Environment,
    labels: BTreeMap<String, String>,
    point: Point,
    level: Level,
    has_reason: bool,
    matched: bool,
    parsed: bool,
    same: Option<Digest>,
}

/// What memory says of a question.
enum Remembrance {
    /// It is permitted, and that is on record.
    Permits(Permitted),
    /// Nothing; the answer would be remembered under this.
    Nothing(Key),
}

/// Under what a permit may be remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Memory {
    /// Under what actions of one kind share.
    Kind,
    /// Under that, and everything that the question told.
    Question,
    /// Not at all.
    Never,
}

impl std::hash::Hash for Key {
    /// What most decisions differ in; equality looks at all of it.
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.chain.caller.hash(state);
        self.target.hash(state);
        self.operation.hash(state);
        self.same.hash(state);
    }
}

/// Decisions that cannot depend on a request's own values, remembered for one directory version.
#[derive(Debug, Default)]
pub(crate) struct Remembered {
    permits: RwLock<Permits>,
}

#[derive(Debug, Default)]
struct Permits {
    /// The directory's version that they were made over.
    version: u64,
    lines: HashMap<Key, Arc<[u8]>>,
}

impl Remembered {
    /// What every line of such a permit says, as it is written.
    fn get(&self, version: u64, key: &Key) -> Option<Arc<[u8]>> {
        let permits = self.permits.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        if permits.version == version { permits.lines.get(key).cloned() } else { None }
    }

    fn put(&self, version: u64, key: Key, line: Arc<[u8]>) {
        let mut permits = self.permits.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        if permits.version != version || permits.lines.len() >= limits::REMEMBERED_DECISIONS {
            *permits = Permits { version, lines: HashMap::new() };
        }
        permits.lines.insert(key, line);
    }
}

/// A line of a segment: a decision that people were not asked about. It is written as one object: first what is this
/// action's own, then what every action of its kind shares.
struct ActivityRecord<'a> {
    own: OwnPart<'a>,
    shared: &'a [u8],
}

/// What is one action's own.
#[derive(Serialize)]
struct OwnPart<'a> {
    v: u8,
    id: ActionId,
    time: Timestamp,
    resource: &'a Resource,
    run: Option<&'a str>,
    reason: Option<&'a str>,
    /// Present where the payload was read and sealed.
    action: Option<Digest>,
}

/// What is the same for every action that a remembered decision answers for; see [`Key`].
#[derive(Serialize)]
struct SharedPart<'a> {
    effect: &'static str,
    point: Point,
    level: Level,
    caller: Principal,
    behind: &'a [domain::principal::Link],
    verb: Verb,
    target: &'a Target,
    rules: Vec<&'a str>,
    policy: Digest,
}

impl<'a> SharedPart<'a> {
    fn of(ask: &'a Ask<'_>, effect: &'static str, rules: &'a [DecidingRule], policy: Digest) -> Self {
        let chain = ask.caller.chain();
        Self {
            effect,
            point: ask.point,
            level: ask.level,
            caller: chain.caller,
            behind: &chain.behind,
            verb: ask.verb,
            target: ask.target,
            rules: rules.iter().map(|rule| rule.id.as_str()).collect(),
            policy,
        }
    }

    fn write(&self) -> Result<Vec<u8>, GatewayError> {
        serde_json::to_vec(self).map_err(|error| {
            GatewayError::Unavailable(format!("the activity record cannot be written: {error}"))
        })
    }
}

impl Line for ActivityRecord<'_> {
    fn write(&self, line: &mut Vec<u8>) -> serde_json::Result<()> {
        serde_json::to_writer(&mut *line, &self.own)?;
        // Two objects become one: `{a}` and `{b}` are `{a,b}`; neither is ever empty.
        line.pop();
        line.push(b',');
        line.extend_from_slice(self.shared.get(1..).unwrap_or_default());
        Ok(())
    }
}

/// A line of a segment: what came of a permitted action.
#[derive(Serialize)]
struct OutcomeRecord<'a> {
    v: u8,
    id: ActionId,
    time: Timestamp,
    effect: &'static str,
    outcome: &'a domain::outcome::Outcome,
}

impl Gateway {
    /// Decides about an action, and records the decision before anything runs. A held one is durable
    /// in the log before anybody is asked.
    ///
    /// `payload` gives the exact parts that will run, by path; it is not called where the decision is
    /// remembered and cannot depend on them.
    ///
    /// # Errors
    /// [`GatewayError::Unavailable`] when it cannot be recorded, [`GatewayError::Malformed`] over a limit: nothing
    /// runs either way.
    pub async fn decide(
        self: &Arc<Self>,
        ask: Ask<'_>,
        payload: impl FnOnce() -> Vec<(String, Vec<u8>)> + Send,
    ) -> Result<Decided, GatewayError> {
        self.decide_shown(ask, payload, None).await
    }

    /// The same, with fields that only reviewers need, such as a preview: they are asked for when people will be, and
    /// enter the payload and its digest then. What differs from try to try among them is kept out of
    /// [`Ask::retry_parts`] by the caller.
    ///
    /// # Errors
    /// As [`Gateway::decide`].
    pub async fn decide_shown(
        self: &Arc<Self>,
        ask: Ask<'_>,
        payload: impl FnOnce() -> Vec<(String, Vec<u8>)> + Send,
        shown: Option<Shown<'_>>,
    ) -> Result<Decided, GatewayError> {
        self.room_for_activity().await?;
        let id = ActionId::new(self.store.now(), &self.draw()?);
        let key = match self.remembered(&ask, id)? {
            Remembrance::Permits(permitted) => return Ok(Decided::Permitted(permitted)),
            Remembrance::Nothing(key) => key,
        };
        // Boxed, so that what is remembered does not carry the room that asking people takes.
        Box::pin(self.decide_whole(ask, payload(), shown, id, key)).await
    }

    /// Permits at once what is permitted by memory alone, and records that; nothing where policy has to be asked, or where
    /// recording has to wait: then [`Gateway::decide`] does. For points that cannot wait where they ask.
    ///
    /// # Errors
    /// [`GatewayError::Unavailable`] when it cannot be recorded.
    pub fn permit_at_once(&self, ask: &Ask<'_>) -> Result<Option<Permitted>, GatewayError> {
        if !self.has_room_for_activity() {
            return Ok(None);
        }
        let id = ActionId::new(self.store.now(), &self.draw()?);
        Ok(match self.remembered(ask, id)? {
            Remembrance::Permits(permitted) => Some(permitted),
            Remembrance::Nothing(_) => None,
        })
    }

    fn remembered(&self, ask: &Ask<'_>, id: ActionId) -> Result<Remembrance, GatewayError> {
        let directory = self.store.directory();
        let mut key = Key {
            chain: ask.caller.chain().clone(),
            target: ask.target.name.clone(),
            verb: ask.verb,
            operation: ask.operation,
            environment: ask.resource.environment.clone(),
            labels: ask.resource.labels.clone(),
            point: ask.point,
            level: ask.level,
            has_reason: ask.reason.is_some_and(|reason| !reason.trim().is_empty()),
            matched: ask.facts.get("matched") == Some(&Fact::Bool(true)),
            parsed: ask.facts.get("parsed") == Some(&Fact::Bool(true)),
            same: None,
        };
        if ask.record == RecordPermit::Segment {
            // First as one of its kind: where policy reads no values, the first of them answers for all.
            let mut known = None;
            if ask.parts.is_empty() {
                known = self.remembered.get(directory.version(), &key);
            }
            if known.is_none() && ask.same.is_some() {
                key.same = ask.same;
                known = self.remembered.get(directory.version(), &key);
            }
            if let Some(shared) = known {
                self.log_activity(id, ask, &shared, None)?;
                return Ok(Remembrance::Permits(Permitted { id, _recorded: None }));
            }
        }
        Ok(Remembrance::Nothing(key))
    }

    async fn decide_whole(
        self: &Arc<Self>,
        ask: Ask<'_>,
        payload: Vec<(String, Vec<u8>)>,
        mut shown: Option<Shown<'_>>,
        id: ActionId,
        key: Key,
    ) -> Result<Decided, GatewayError> {
        let kept = if shown.is_some() { payload.clone() } else { Vec::new() };
        let (mut action, mut fields) = self.seal_action(&ask, payload, id)?;
        let parts = ask.parts;
        let prior = self.store.prior(ask.caller.chain().caller, &ask.shape).await?;
        let facts = risk::facts(action.parts(), ask.facts.clone(), prior);
        for _ in 0..limits::OPEN_TRIES {
            let directory = self.store.directory();
            let (evaluation, memory) = self.evaluate(&action, facts.clone(), parts, &directory)?;
            match evaluation.decision {
                Decision::Permit => {
                    let recorded = match ask.record {
                        RecordPermit::BeforeRun => Some(self.record_decision(&action, &evaluation).await?),
                        RecordPermit::Segment => {
                            let shared = SharedPart::of(&ask, "permit", &evaluation.rules, evaluation.policy)
                                .write()?;
                            self.log_activity(id, &ask, &shared, Some(action.digest()))?;
                            let same = match memory {
                                Memory::Kind if parts.is_empty() => Some(None),
                                Memory::Kind | Memory::Question => ask.same.map(Some),
                                Memory::Never => None,
                            };
                            if let Some(same) = same {
                                let key = Key { same, ..key };
                                self.remembered.put(directory.version(), key, shared.into());
                            }
                            None
                        }
                    };
                    return Ok(Decided::Permitted(Permitted { id, _recorded: recorded }));
                }
                Decision::Deny => {
                    let shared =
                        SharedPart::of(&ask, "deny", &evaluation.rules, evaluation.policy).write()?;
                    self.log_activity(id, &ask, &shared, Some(action.digest()))?;
                    metrics::counter!("countersign_decisions_total", "effect" => "deny").increment(1);
                    return Ok(Decided::Denied(Denied { id, rules: evaluation.rules }));
                }
                Decision::NeedsReview(_) if !ask.holdable => {
                    let why =
                        "it would need review, and its bytes cannot be shown to anybody before they run";
                    let rules =
                        vec![DecidingRule { id: "countersign.not-holdable".parse()?, why: why.to_owned() }];
                    let shared = SharedPart::of(&ask, "deny", &rules, evaluation.policy).write()?;
                    self.log_activity(id, &ask, &shared, Some(action.digest()))?;
                    return Ok(Decided::Denied(Denied { id, rules }));
                }
                // Sealed anew with what reviewers are shown, and asked about once more: the evaluation names the digest.
                Decision::NeedsReview(_) if shown.is_some() => {
                    let mut whole = kept.clone();
                    if let Some(shown) = shown.take() {
                        whole.extend(shown.await);
                    }
                    (action, fields) = self.seal_action(&ask, whole, id)?;
                }
                Decision::NeedsReview(_) => match self.hold(&ask, &action, &fields, evaluation).await {
                    Err(GatewayError::Stale(_)) => {}
                    other => return other.map(Decided::Held),
                },
            }
        }
        Err(GatewayError::Busy)
    }

    /// Asks policy about a sealed action and each of its parts, over a directory and facts; what history adds to the
    /// facts is each part's too. Solo evaluation is applied here.
    pub(crate) fn evaluate(
        &self,
        action: &Action,
        facts: Facts,
        parts: &[Part],
        directory: &Directory,
    ) -> Result<(Evaluation, Memory), GatewayError> {
        let deciding = self.deciding(directory)?;
        let digest = action.digest();
        let question = policy::Question { action: action.parts(), digest, facts: &facts, directory };
        let mut answers = Vec::with_capacity(1 + parts.len());
        answers.push(deciding.set.answer(&question));
        for part in parts {
            let mut draft = action.parts().clone();
            draft.verb = part.verb;
            draft.resource.name.clone_from(&part.resource);
            let mut own = part.facts.clone();
            for name in risk::OF_HISTORY {
                own.extend(facts.get(name).map(|fact| (name.to_owned(), fact.clone())));
            }
            let question = policy::Question { action: &draft, digest, facts: &own, directory };
            answers.push(deciding.set.answer(&question));
        }
        let answer = policy::strictest(answers);
        let memory = match (answer.depends_on_values, answer.depends_on_history) {
            (false, _) => Memory::Kind,
            (true, false) => Memory::Question,
            (true, true) => Memory::Never,
        };
        let mut evaluation = deciding.set.record(&question, answer);
        if let Decision::NeedsReview(requirement) = &mut evaluation.decision
            && (directory.is_solo() || crate::change::is_one_administrators_key(action, directory))
            && !action.parts().resource.is_production()
        {
            requirement.separation = Separation::None;
        }
        Ok((evaluation, memory))
    }

    /// Records what came of a permitted action.
    ///
    /// # Errors
    /// When the line cannot be written. The action has run; the caller is told all the same.
    pub fn finish_permitted(
        &self,
        permitted: &Permitted,
        outcome: &domain::outcome::Outcome,
    ) -> Result<(), GatewayError> {
        let time = self.store.now();
        let record = OutcomeRecord { v: 1, id: permitted.id, time, effect: "outcome", outcome };
        self.activity.append(time, &record)
    }

    /// The policy set for this directory; a set that does not load never replaces the last good one.
    pub(crate) fn deciding(&self, directory: &Directory) -> Result<Arc<Deciding>, GatewayError> {
        let source = directory.policy().map(|policy| policy.digest);
        let current = Arc::clone(&self.deciding.read().unwrap_or_else(std::sync::PoisonError::into_inner));
        if current.source == source {
            return Ok(current);
        }
        // Only a text that loads is ever applied, so this fails on an altered store: then nothing runs.
        let fresh = Arc::new(Deciding::load(directory)?);
        *self.deciding.write().unwrap_or_else(std::sync::PoisonError::into_inner) = Arc::clone(&fresh);
        Ok(fresh)
    }

    fn seal_action(
        &self,
        ask: &Ask<'_>,
        payload: Vec<(String, Vec<u8>)>,
        id: ActionId,
    ) -> Result<(Action, Fields), GatewayError> {
        let mut fields = Vec::with_capacity(payload.len());
        for (path, value) in payload {
            fields.push(Field::new(path, self.draw()?, value));
        }
        if !ask.parts.is_empty() {
            let parts = domain::canonical::write(&ask.parts)?;
            fields.push(Field::new(PARTS_PATH, self.draw()?, parts));
        }
        let fields = Fields::new(fields)?;
        let action = Action::seal(Draft {
            v: 1,
            id,
            point: ask.point,
            level: ask.level,
            chain: ask.caller.chain().clone(),
            verb: ask.verb,
            resource: ask.resource.clone().into_owned(),
            target: ask.target.clone(),
            credential: ask.credential.cloned(),
            session: ask.session.clone(),
            run: ask.run.map(str::to_owned),
            reason: ask.reason.map(str::to_owned),
            payload: fields.root()?,
        })?;
        Ok((action, fields))
    }

    async fn record_decision(
        &self,
        action: &Action,
        evaluation: &Evaluation,
    ) -> Result<Recorded<()>, GatewayError> {
        let fields = vec![
            ("action".to_owned(), action.bytes().to_vec()),
            ("evaluation".to_owned(), domain::canonical::write(evaluation)?),
        ];
        let draft =
            entry::Draft { kind: entry::Kind::Decision, subject: Some(action.id().to_string()), fields };
        Ok(self.store.record(draft).await?)
    }

    fn log_activity(
        &self,
        id: ActionId,
        ask: &Ask<'_>,
        shared: &[u8],
        action: Option<Digest>,
    ) -> Result<(), GatewayError> {
        let time = self.store.now();
        let resource = ask.resource.as_ref();
        // Segments are not sealed as values of the store are: what agents write freely stands in them masked.
        let reason = ask.reason.map(logged);
        let run = ask.run.map(logged);
        let (run, reason) = (run.as_deref(), reason.as_deref());
        let own = OwnPart { v: 1, id, time, resource, run, reason, action };
        self.activity.append(time, &ActivityRecord { own, shared })
    }
}
