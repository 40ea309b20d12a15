//! What may stand in the index, of an entry and of a line: pure.
//!
//! Facets are ids, names of rules, routes and verbs, and words of fixed vocabularies. Texts are the resource's name,
//! reasons, notes, answers, a target's own word on an outcome and a run's id, all masked. Nothing of a payload,
//! no result, no key, no person's name, no policy and no route's document enters.

use std::collections::BTreeMap;

use domain::Malformed;
use domain::action::{Action, Draft};
use domain::canonical;
use domain::commitment::Disclosure;
use domain::directory::Change;
use domain::entry::{Kind, Leaf};
use domain::evaluation::{Decision, Evaluation};
use domain::event::Event;
use domain::later::LaterStatement;
use domain::outcome::{Ending, Outcome, Witnessed};
use domain::principal::{Chain, Link, Principal};
use domain::statement::Verdict;
use domain::time::Timestamp;
use domain::verb::Verb;
use serde_json::Value;
use store::EntryView;

use crate::limits::TEXT_LIMIT_BYTES;
use crate::masks::Masks;
use crate::record::{Facet, Place, Record};

/// What an entry comes to.
#[derive(Debug)]
pub struct Derived {
    /// Its record. A heartbeat has none, nor has an entry of which every value is gone.
    pub record: Option<Record>,
    /// What it asks of records that stand already.
    pub effect: Effect,
    /// The name, without its ending, of the segment of activity that it seals.
    pub segment: Option<String>,
}

/// What an entry asks of records that stand already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Nothing.
    None,
    /// Values of this entry were erased.
    Erased(u64),
    /// Values of the entries from the first index and below the second were dropped for their age.
    Pruned(u64, u64),
}

/// The record of a log entry, from what the store discloses of it. What does not read is left out: an altered
/// or erased field never keeps an entry from being found by its kind, time and subject.
///
/// # Errors
/// A leaf that is none.
pub fn entry(view: &EntryView, masks: &Masks) -> Result<Derived, Malformed> {
    const NOTHING: Derived = Derived { record: None, effect: Effect::None, segment: None };
    // A pruning dropped it.
    if view.leaf.is_empty() {
        return Ok(NOTHING);
    }
    let leaf: Leaf = canonical::read(&view.leaf)?;
    let fields: BTreeMap<&str, &[u8]> = view
        .fields
        .iter()
        .filter_map(|field| match field {
            Disclosure::Open(open) => Some((open.path.as_str(), open.value.0.as_slice())),
            Disclosure::Withheld(_) => None,
        })
        .collect();
    if leaf.kind == Kind::Heartbeat || (leaf.count > 0 && fields.is_empty()) {
        return Ok(NOTHING);
    }
    let record = Record::new(leaf.time, Place::Log(view.index));
    let mut made = Making { record, masks, target: None };
    made.record.add(Facet::Kind, kind_name(leaf.kind));
    made.subject(leaf.subject.as_deref());
    made.fields(&fields);
    let number = |name: &str| text(&fields, name).and_then(|text| text.parse().ok());
    let effect = if leaf.kind == Kind::Erasure {
        number("entry").map(Effect::Erased)
    } else if leaf.kind == Kind::Pruning {
        number("from").zip(number("below")).map(|(from, below)| Effect::Pruned(from, below))
    } else {
        None
    };
    let effect = effect.unwrap_or(Effect::None);
    let mut record = made.record;
    record.origin = matches!(leaf.kind, Kind::Request | Kind::Decision) && record.action.is_some();
    if leaf.kind == Kind::Request {
        record.add(Facet::Held, "yes");
    }
    let segment = fields.get("segment").and_then(|bytes| canonical::read_value(bytes).ok());
    let segment = segment.as_ref().and_then(|segment| segment.get("file")?.as_str()?.strip_suffix(".jsonl"));
    Ok(Derived { record: Some(record), effect, segment: segment.map(str::to_owned) })
}

/// The record of a segment's line; none where it is no record of ours. It tolerates what it does not know.
#[must_use]
pub fn line(bytes: &[u8], segment: &str, offset: u64, masks: &Masks) -> Option<Record> {
    let value = canonical::read_value(bytes).ok()?;
    let time = value.get("time")?.as_u64().map(Timestamp::from_micros)?;
    let record = Record::new(time, Place::Activity { segment: segment.to_owned(), offset });
    let mut made = Making { record, masks, target: None };
    let word = |name: &str| value.get(name).and_then(Value::as_str);
    made.record.action = word("id").and_then(|id| id.parse().ok());
    let effect = word("effect").unwrap_or("event");
    match effect {
        "permit" | "deny" => {
            made.record.origin = made.record.action.is_some();
            made.record.add(Facet::Kind, "decision");
            made.record.add(Facet::Verdict, effect);
        }
        "outcome" => made.record.add(Facet::Kind, "outcome"),
        other => {
            made.record.add(Facet::Kind, other);
            made.record.add(Facet::Said, "reported");
            value.get("event").iter().for_each(|event| made.reported(event));
        }
    }
    for (facet, name) in [(Facet::Point, "point"), (Facet::Level, "level")] {
        word(name).iter().for_each(|word| made.record.add(facet, word));
    }
    if let Some(caller) = word("caller").and_then(|caller| caller.parse().ok()) {
        let behind: Option<Vec<Link>> =
            value.get("behind").and_then(|links| serde_json::from_value(links.clone()).ok());
        made.chain(&Chain { caller, behind: behind.unwrap_or_default() });
    }
    word("by").and_then(|by| by.parse().ok()).iter().for_each(|by| made.by(*by));
    word("verb").iter().for_each(|verb| made.verb(verb));
    let target = value.get("target").and_then(|target| target.get("name").unwrap_or(target).as_str());
    target.iter().for_each(|target| made.at(target));
    if let Some(resource) = value.get("resource") {
        let part = |name: &str| resource.get(name).and_then(Value::as_str);
        made.resource(part("name").or(resource.as_str()).unwrap_or_default());
        part("environment").iter().for_each(|word| made.record.add(Facet::Environment, word));
    }
    for rule in value.get("rules").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str) {
        made.record.add(Facet::Rule, rule);
    }
    word("reason").iter().for_each(|reason| made.words(reason));
    word("run").iter().for_each(|run| made.detail(run));
    let outcome: Option<Outcome> =
        value.get("outcome").and_then(|outcome| serde_json::from_value(outcome.clone()).ok());
    outcome.iter().for_each(|outcome| made.outcome(outcome));
    Some(made.record)
}

/// A record in the making.
struct Making<'a> {
    record: Record,
    masks: &'a Masks,
    /// The route, where it is known before the texts are.
    target: Option<String>,
}

impl Making<'_> {
    fn subject(&mut self, subject: Option<&str>) {
        let Some(subject) = subject else { return };
        if let Ok(action) = subject.parse() {
            self.record.action = Some(action);
        } else if let Ok(principal) = subject.parse::<Principal>() {
            self.record.add(Facet::Who, principal.to_string());
        } else if let Some(route) = subject.strip_prefix("route:") {
            self.at(route);
        }
    }

    fn fields(&mut self, fields: &BTreeMap<&str, &[u8]>) {
        if let Some(action) = fields.get("action").and_then(|bytes| Action::read(bytes.to_vec()).ok()) {
            self.action(action.parts());
        }
        if let Some(evaluation) = read::<Evaluation>(fields, "evaluation") {
            self.evaluation(&evaluation);
        }
        read::<Event>(fields, "event").iter().for_each(|event| self.event(event));
        read::<Change>(fields, "change").iter().for_each(|change| self.change(change));
        read::<Outcome>(fields, "outcome").iter().for_each(|outcome| self.outcome(outcome));
        text(fields, "by").and_then(|by| by.parse().ok()).iter().for_each(|by| self.by(*by));
        text(fields, "why").iter().for_each(|why| self.words(why));
        text(fields, "reason").iter().for_each(|reason| self.words(reason));
        if let Some(segment) = fields.get("segment").and_then(|bytes| canonical::read_value(bytes).ok()) {
            segment.get("file").and_then(Value::as_str).iter().for_each(|file| self.detail(file));
        }
    }

    fn action(&mut self, action: &Draft) {
        self.record.action = Some(action.id);
        self.record.add(Facet::Point, action.point.as_str());
        self.record.add(Facet::Level, serde_word(&action.level));
        self.chain(&action.chain);
        self.verb(action.verb.as_str());
        self.record.add(Facet::Environment, action.resource.environment.to_string());
        self.at(action.target.name.as_str());
        self.resource(&action.resource.name);
        action.reason.as_deref().iter().for_each(|reason| self.words(reason));
        action.run.as_deref().iter().for_each(|run| self.detail(run));
    }

    fn chain(&mut self, chain: &Chain) {
        for party in chain.parties() {
            self.record.add(Facet::Who, party.to_string());
        }
        self.record.add(Facet::By, chain.caller.to_string());
        if let Principal::Agent(_) = chain.caller {
            self.record.add(Facet::Agent, chain.caller.to_string());
        }
        if let Some(sponsor) = chain.sponsor() {
            self.record.add(Facet::Sponsor, Principal::Person(sponsor).to_string());
        }
    }

    fn verb(&mut self, verb: &str) {
        self.record.add(Facet::Verb, verb);
        if let Ok(verb) = verb.parse::<Verb>() {
            self.record.add(Facet::Group, verb.group().as_str());
        }
    }

    fn at(&mut self, target: &str) {
        self.record.add(Facet::Target, target);
        self.target = Some(target.to_owned());
    }

    fn by(&mut self, principal: Principal) {
        self.record.add(Facet::By, principal.to_string());
        self.record.add(Facet::Who, principal.to_string());
    }

    fn evaluation(&mut self, evaluation: &Evaluation) {
        let word = match evaluation.decision {
            Decision::Permit => "permit",
            Decision::NeedsReview(_) => "needs-review",
            Decision::Deny => "deny",
        };
        self.record.add(Facet::Verdict, word);
        evaluation.rules.iter().for_each(|rule| self.record.add(Facet::Rule, rule.id.as_str()));
    }

    fn event(&mut self, event: &Event) {
        match event {
            Event::Requested { chain, evaluation, .. } => {
                self.chain(chain);
                self.evaluation(evaluation);
            }
            Event::Reviewed { review } | Event::Asked { review, .. } => {
                let Ok(statement) = review.read_statement() else { return };
                self.by(Principal::Person(statement.reviewer));
                let verdict = match statement.verdict {
                    Verdict::Approve => "approve",
                    Verdict::Deny => "deny",
                    Verdict::Ask => "ask",
                };
                self.record.add(Facet::Verdict, verdict);
                statement.note.as_deref().iter().for_each(|note| self.words(note));
            }
            Event::Answered { by, text, .. } => {
                self.by(*by);
                self.words(text);
            }
            Event::Withdrawn { by, .. } => self.by(Principal::Person(*by)),
            Event::Reevaluated { evaluation } => self.evaluation(evaluation),
            Event::Dismissed { reviews } => {
                for dismissed in reviews {
                    self.record.add(Facet::Who, Principal::Person(dismissed.reviewer).to_string());
                    self.detail(&dismissed.why);
                }
            }
            Event::Expired {} => self.detail("expired"),
            Event::Cancelled { by, reason } => {
                self.by(*by);
                self.detail("cancelled");
                self.words(reason);
            }
            Event::Redeemed { evaluation, counted, .. } => {
                self.evaluation(evaluation);
                for person in counted {
                    self.record.add(Facet::Who, Principal::Person(*person).to_string());
                }
            }
            Event::Finished { outcome } => self.outcome(outcome),
            Event::LaterReviewed { review } => {
                let Ok(statement) = LaterStatement::read(&review.statement.0) else { return };
                self.by(Principal::Person(statement.reviewer));
                self.record.add(Facet::Verdict, statement.finding.as_str());
                self.words(&statement.note);
            }
        }
    }

    /// A change of the directory, by its verb and subject: no name, no key and no document.
    fn change(&mut self, change: &Change) {
        change.by.iter().for_each(|by| self.by(*by));
        self.record.action = self.record.action.or(change.approval);
        self.verb(change.event.verb());
        let kind = serde_json::to_value(&change.event).ok();
        let kind = kind.as_ref().and_then(|event| event.get("type")).and_then(Value::as_str);
        kind.iter().for_each(|kind| self.detail(kind));
    }

    /// What somebody outside reported: its kind, source and subject. Its attributes and data stay out.
    fn reported(&mut self, event: &Value) {
        let word = |name: &str| event.get(name).and_then(Value::as_str);
        if let Some(kind) = word("kind") {
            let kind = self.masked(kind);
            self.record.add(Facet::Verb, kind);
        }
        word("source").iter().for_each(|source| self.resource(source));
        word("subject").iter().for_each(|subject| self.resource(subject));
        word("trace").iter().for_each(|trace| self.detail(trace));
    }

    fn outcome(&mut self, outcome: &Outcome) {
        let ending = match outcome.ending {
            Ending::Succeeded => "succeeded",
            Ending::Failed => "failed",
            Ending::Unknown => "unknown",
        };
        let said = match outcome.witnessed {
            Witnessed::Observed => "observed",
            Witnessed::Reported => "reported",
        };
        self.record.add(Facet::Outcome, ending);
        self.record.add(Facet::Said, said);
        self.detail(&outcome.detail);
    }

    fn resource(&mut self, name: &str) {
        let masked = self.masked(name);
        join(&mut self.record.words.resource, &masked);
    }

    fn words(&mut self, text: &str) {
        let masked = self.masked(text);
        join(&mut self.record.words.words, &masked);
    }

    fn detail(&mut self, text: &str) {
        let masked = self.masked(text);
        join(&mut self.record.words.detail, &masked);
    }

    /// Masked before it is cut, so that no cut secret passes for none.
    fn masked(&self, text: &str) -> String {
        domain::text::cut(&self.masks.text(self.target.as_deref(), text), TEXT_LIMIT_BYTES).to_owned()
    }
}

fn join(into: &mut Option<String>, text: &str) {
    if text.trim().is_empty() {
        return;
    }
    match into {
        Some(whole) => {
            whole.push('\n');
            whole.push_str(text);
        }
        None => *into = Some(text.to_owned()),
    }
}

fn text<'a>(fields: &BTreeMap<&str, &'a [u8]>, name: &str) -> Option<&'a str> {
    fields.get(name).and_then(|bytes| std::str::from_utf8(bytes).ok())
}

fn read<T: serde::de::DeserializeOwned>(fields: &BTreeMap<&str, &[u8]>, name: &str) -> Option<T> {
    canonical::read(fields.get(name)?).ok()
}

/// The kind's name without its version.
fn kind_name(kind: Kind) -> &'static str {
    kind.as_str().split('/').next().unwrap_or_default()
}

fn serde_word(value: &impl serde::Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}
