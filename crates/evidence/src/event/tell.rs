//! From what was recorded to what is told: pure functions over an entry or a line, and a snapshot of names.

use domain::action::{Action, Level, Point, Resource, Target};
use domain::canonical;
use domain::commitment::Disclosure;
use domain::digest::Digest;
use domain::directory::{Change, Directory};
use domain::entry::{Kind, Leaf};
use domain::evaluation::{Decision, Evaluation};
use domain::event::Event;
use domain::id::{ActionId, Origin, PersonId};
use domain::later::LaterStatement;
use domain::outcome::{Outcome, Witnessed};
use domain::principal::{Chain, Link, Principal};
use domain::statement::Verdict;
use domain::time::Timestamp;
use domain::verb::Verb;
use gateway::activity::SealedSegment;
use gateway::report::Reported;
use serde::Deserialize;

use super::{Standing, TrailEvent, Untrusted, What, Who, event_id};

/// What an action was, for the events that come after it and do not repeat it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Brief {
    /// Its id.
    pub id: ActionId,
    /// Where it was intercepted.
    pub point: Point,
    /// Whether the caller could have gone round.
    pub level: Level,
    /// Who asked, and for whom.
    pub chain: Chain,
    /// What.
    pub verb: Verb,
    /// To what.
    pub resource: Resource,
    /// Where.
    pub target: Target,
    /// In which run, as the caller claims.
    pub run: Option<String>,
    /// Its digest, where it was sealed.
    pub digest: Option<Digest>,
}

impl Brief {
    /// The brief of a sealed action.
    #[must_use]
    pub fn of(action: &Action) -> Self {
        let parts = action.parts();
        Self {
            id: parts.id,
            point: parts.point,
            level: parts.level,
            chain: parts.chain.clone(),
            verb: parts.verb,
            resource: parts.resource.clone(),
            target: parts.target.clone(),
            run: parts.run.clone(),
            digest: Some(action.digest()),
        }
    }
}

/// What telling may look at beside the record itself.
#[derive(Debug, Clone, Copy)]
pub struct Around<'a> {
    /// The deployment.
    pub origin: &'a Origin,
    /// The names.
    pub directory: &'a Directory,
    /// The action that the record is about, where it is known.
    pub about: Option<&'a Brief>,
}

/// An entry's action, where it carries its record.
#[must_use]
pub fn brief_of(fields: &[Disclosure]) -> Option<Brief> {
    Action::read(open(fields, "action")?.to_vec()).ok().map(|action| Brief::of(&action))
}

/// The segment that an activity entry names.
#[must_use]
pub fn segment_of(fields: &[Disclosure]) -> Option<SealedSegment> {
    canonical::read(open(fields, "segment")?).ok()
}

/// Tells an entry whose leaf has been read.
#[must_use]
pub fn entry(leaf: &Leaf, fields: &[Disclosure], standing: Standing, around: Around<'_>) -> TrailEvent {
    let mut told = blank(What::Entry(leaf.kind), leaf.time, Some(standing), around);
    told.withheld = fields
        .iter()
        .filter(|field| matches!(field, Disclosure::Withheld(_)))
        .count()
        .try_into()
        .unwrap_or(u32::MAX);
    let own = brief_of(fields);
    if let Some(brief) = own.as_ref().or(around.about) {
        told.about(brief, around.directory);
    }
    match leaf.kind {
        Kind::Request
        | Kind::Review
        | Kind::Question
        | Kind::Answer
        | Kind::Reevaluation
        | Kind::End
        | Kind::Execution
        | Kind::Outcome
        | Kind::LaterReview => {
            told.approval = leaf.subject.clone();
            if let Some(event) = open(fields, "event").and_then(|bytes| canonical::read(bytes).ok()) {
                told.event(&event, around.directory);
            }
        }
        Kind::Decision => {
            told.approval = leaf.subject.clone();
            if let Some(evaluation) = open(fields, "evaluation").and_then(|bytes| canonical::read(bytes).ok())
            {
                told.evaluation(&evaluation);
            }
        }
        Kind::Directory => {
            told.resource = leaf.subject.clone();
            if let Some(change) = open(fields, "change").and_then(|bytes| canonical::read(bytes).ok()) {
                told.change(&change, around.directory);
            }
        }
        Kind::Activity => {
            if let Some(segment) = segment_of(fields) {
                let recovered = if segment.recovered { ", recovered after a stop" } else { "" };
                told.note = Some(format!("a segment of {} lines{recovered}", segment.records));
                told.detail = Some(segment.file);
                told.action = Some(segment.digest);
            }
        }
        Kind::Refusal | Kind::Reveal | Kind::Erasure | Kind::Backup => {
            told.approval = leaf.subject.clone();
            if let Some(by) = text(fields, "by").and_then(|by| by.parse().ok()) {
                told.by(by, around.directory);
            }
            told.note = text(fields, "why").or_else(|| text(fields, "entry").map(|at| format!("entry {at}")));
        }
        Kind::Genesis | Kind::Heartbeat | Kind::Gap | Kind::Rotation | Kind::Pruning | Kind::Reported => {
            told.note =
                text(fields, "reason").or_else(|| text(fields, "log_key")).or_else(|| text(fields, "policy"));
        }
    }
    told
}

/// Tells an entry of which only the place is left, or whose leaf does not read.
#[must_use]
pub fn bare(what: What, time: Timestamp, standing: Standing, note: &str, around: Around<'_>) -> TrailEvent {
    let mut told = blank(what, time, Some(standing), around);
    told.note = Some(note.to_owned());
    told
}

/// A line of a segment, as the gateway writes it; each effect has its own fields.
#[derive(Debug, Clone, Deserialize)]
pub struct Line {
    /// The action's id, or the report's.
    pub id: ActionId,
    /// When.
    pub time: Timestamp,
    /// What it tells.
    pub effect: LineEffect,
    point: Option<Point>,
    level: Option<Level>,
    caller: Option<Principal>,
    #[serde(default)]
    behind: Vec<Link>,
    verb: Option<Verb>,
    resource: Option<Resource>,
    target: Option<Target>,
    run: Option<String>,
    reason: Option<String>,
    #[serde(default)]
    rules: Vec<String>,
    policy: Option<Digest>,
    action: Option<Digest>,
    outcome: Option<Outcome>,
    event: Option<Reported>,
}

/// What a line tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LineEffect {
    /// Permitted at once.
    Permit,
    /// Denied at once.
    Deny,
    /// What came of a permitted action.
    Outcome,
    /// What somebody reported.
    Reported,
}

impl Line {
    /// Reads a line; none where it does not read.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Option<Self> {
        canonical::read(bytes).ok()
    }

    /// The brief of the action, where the line carries it.
    #[must_use]
    pub fn brief(&self) -> Option<Brief> {
        Some(Brief {
            id: self.id,
            point: self.point?,
            level: self.level?,
            chain: self.chain()?,
            verb: self.verb?,
            resource: self.resource.clone()?,
            target: self.target.clone()?,
            run: self.run.clone(),
            digest: self.action,
        })
    }

    fn chain(&self) -> Option<Chain> {
        Some(Chain { caller: self.caller?, behind: self.behind.clone() })
    }
}

/// Tells a line of activity. Without a standing its segment has no leaf yet.
#[must_use]
pub fn line(line: &Line, standing: Option<Standing>, around: Around<'_>) -> TrailEvent {
    let what = match line.effect {
        LineEffect::Permit => What::Permit,
        LineEffect::Deny => What::Denial,
        LineEffect::Outcome => What::Outcome,
        LineEffect::Reported => What::Report,
    };
    let mut told = blank(what, line.time, standing, around);
    told.approval = Some(line.id.to_string());
    match line.brief() {
        Some(brief) => told.about(&brief, around.directory),
        None => {
            if let Some(brief) = around.about.filter(|_| line.effect == LineEffect::Outcome) {
                told.about(brief, around.directory);
            }
        }
    }
    if let Some(chain) = line.chain() {
        told.chain(&chain, around.directory);
    }
    told.rules.clone_from(&line.rules);
    told.policy = line.policy;
    told.reason = line.reason.as_deref().map(Untrusted::new);
    match line.effect {
        LineEffect::Permit => told.verdict = Some("permit"),
        LineEffect::Deny => told.verdict = Some("deny"),
        LineEffect::Outcome => {
            if let Some(outcome) = &line.outcome {
                told.outcome(outcome);
            }
        }
        LineEffect::Reported => {
            told.witnessed = Witnessed::Reported;
            if let Some(event) = &line.event {
                if event.is_model() {
                    told.verb("model.call");
                }
                told.resource.clone_from(&event.subject);
                told.run.clone_from(&event.trace);
                told.reported = Some(event.clone());
            }
        }
    }
    told
}

fn blank(what: What, time: Timestamp, standing: Option<Standing>, around: Around<'_>) -> TrailEvent {
    let id = standing.map(|at| event_id(around.origin, at.index, at.line));
    TrailEvent {
        v: 1,
        id: id.unwrap_or_default(),
        origin: around.origin.clone(),
        time,
        log: standing,
        kind: what,
        who: Who::default(),
        verb: None,
        group: None,
        resource: None,
        environment: None,
        target: None,
        point: None,
        level: None,
        run: None,
        verdict: None,
        rules: Vec::new(),
        policy: None,
        approval: None,
        action: None,
        outcome: None,
        detail: None,
        reason: None,
        witnessed: Witnessed::Observed,
        separation: None,
        note: None,
        reported: None,
        withheld: 0,
        cut: false,
    }
}

impl TrailEvent {
    fn about(&mut self, brief: &Brief, directory: &Directory) {
        self.chain(&brief.chain, directory);
        self.verb(brief.verb.as_str());
        self.resource = Some(brief.resource.name.clone());
        self.environment = Some(brief.resource.environment.to_string());
        self.target = Some(brief.target.name.to_string());
        self.point = Some(brief.point);
        self.level = Some(brief.level);
        self.run.clone_from(&brief.run);
        self.action = brief.digest;
    }

    fn verb(&mut self, name: &str) {
        self.verb = Some(name.to_owned());
        self.group = name.parse::<Verb>().ok().map(Verb::group);
    }

    fn chain(&mut self, chain: &Chain, directory: &Directory) {
        self.by(chain.caller, directory);
        if let Some(sponsor) = chain.sponsor() {
            self.who.sponsor = Some(sponsor);
            self.who.sponsor_name = person_name(sponsor, directory);
        }
    }

    fn by(&mut self, by: Principal, directory: &Directory) {
        match by {
            Principal::Agent(agent) => {
                self.who.agent = Some(agent);
                self.who.agent_name = directory.agent(agent).map(|agent| agent.name.clone());
            }
            Principal::Person(person) => {
                self.who.person = Some(person);
                self.who.person_name = person_name(person, directory);
            }
        }
    }

    fn evaluation(&mut self, evaluation: &Evaluation) {
        self.verdict = Some(match evaluation.decision {
            Decision::Permit => "permit",
            Decision::NeedsReview(_) => "needs-review",
            Decision::Deny => "deny",
        });
        self.rules = evaluation.rules.iter().map(|rule| rule.id.to_string()).collect();
        self.policy = Some(evaluation.policy);
        self.action = Some(evaluation.action);
        self.separation = evaluation.requirement().map(|requirement| requirement.separation);
    }

    fn outcome(&mut self, outcome: &Outcome) {
        self.outcome = Some(outcome.ending);
        self.witnessed = outcome.witnessed;
        self.detail = Some(outcome.detail.clone());
    }

    fn event(&mut self, event: &Event, directory: &Directory) {
        match event {
            Event::Requested { chain, evaluation, .. } => {
                self.chain(chain, directory);
                self.evaluation(evaluation);
            }
            Event::Reviewed { review } | Event::Asked { review, .. } => {
                let Ok(statement) = review.read_statement() else { return };
                self.by(Principal::Person(statement.reviewer), directory);
                self.verdict = Some(match statement.verdict {
                    Verdict::Approve => "approve",
                    Verdict::Deny => "deny",
                    Verdict::Ask => "ask",
                });
                self.policy = Some(statement.evaluation.policy);
                self.action = Some(statement.action);
                self.separation = Some(statement.evaluation.requirement.separation);
                self.reason = statement.note.as_deref().map(Untrusted::new);
                self.note = statement.group.map(|group| format!("for the group {group}"));
            }
            Event::Answered { by, text, .. } => {
                self.by(*by, directory);
                self.reason = Some(Untrusted::new(text));
            }
            Event::Withdrawn { by, .. } => {
                self.by(Principal::Person(*by), directory);
                self.note = Some("the question was taken back".to_owned());
            }
            Event::Dismissed { reviews } => {
                let whose: Vec<_> =
                    reviews.iter().map(|one| format!("{} ({})", one.reviewer, one.why)).collect();
                self.note = Some(format!("approvals that count no more: {}", whose.join(", ")));
            }
            Event::Reevaluated { evaluation } => self.evaluation(evaluation),
            Event::Expired {} => self.verdict = Some("expired"),
            Event::Cancelled { by, reason } => {
                self.by(*by, directory);
                self.verdict = Some("cancelled");
                self.reason = Some(Untrusted::new(reason));
            }
            Event::Redeemed { evaluation, counted, .. } => {
                self.evaluation(evaluation);
                let whose: Vec<_> = counted.iter().map(ToString::to_string).collect();
                self.note = Some(format!("approved by {}", whose.join(", ")));
            }
            Event::Finished { outcome } => self.outcome(outcome),
            Event::LaterReviewed { review } => {
                let Ok(statement) = LaterStatement::read(&review.statement.0) else { return };
                self.by(Principal::Person(statement.reviewer), directory);
                self.verdict = Some(statement.finding.as_str());
                self.action = Some(statement.action);
                self.reason = Some(Untrusted::new(&statement.note));
                self.note =
                    Some(format!("broken glass, looked at afterwards for the group {}", statement.group));
            }
        }
    }

    fn change(&mut self, change: &Change, directory: &Directory) {
        self.verb(change.event.verb());
        self.target = Some("config".to_owned());
        self.point = Some(Point::Config);
        if let Some(by) = change.by {
            self.by(by, directory);
        }
        self.approval = change.approval.map(|approval| approval.to_string());
        self.note = Some(change_word(change));
    }
}

/// The change's own name, as its record has it.
fn change_word(change: &Change) -> String {
    serde_json::to_value(&change.event)
        .ok()
        .and_then(|event| event.get("type").and_then(serde_json::Value::as_str).map(str::to_owned))
        .unwrap_or_default()
}

fn person_name(person: PersonId, directory: &Directory) -> Option<String> {
    directory.person(person).map(|person| person.name.clone())
}

fn open<'a>(fields: &'a [Disclosure], path: &str) -> Option<&'a [u8]> {
    fields.iter().find_map(|field| match field {
        Disclosure::Open(open) if open.path == path => Some(open.value.0.as_slice()),
        Disclosure::Open(_) | Disclosure::Withheld(_) => None,
    })
}

fn text(fields: &[Disclosure], path: &str) -> Option<String> {
    open(fields, path).and_then(|bytes| str::from_utf8(bytes).ok()).map(str::to_owned)
}
