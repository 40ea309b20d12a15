//! The Open Cybersecurity Schema Framework: executions, their outcomes and reports are API Activity (6003); requests,
//! decisions, reviews and changes are Entity Management (3004); what is about the log itself is the Base Event (0).
//!
//! `record_integrity` and `ai_agent` come with OCSF 1.9; until it is released they stand under `unmapped`.

use domain::entry::Kind;
use domain::later::Finding;
use domain::outcome::Ending;
use domain::verb::VerbGroup;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::EvidenceError;
use crate::event::{TrailEvent, What};
use crate::export::{json as whole, word};

/// How OCSF events are written.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Ocsf {
    /// The schema's version that events claim.
    pub version: String,
}

impl Default for Ocsf {
    fn default() -> Self {
        Self { version: "1.8.0".to_owned() }
    }
}

/// A class with its category.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Class {
    uid: u32,
    name: &'static str,
    category: u32,
    category_name: &'static str,
}

const API_ACTIVITY: Class =
    Class { uid: 6003, name: "API Activity", category: 6, category_name: "Application Activity" };
const ENTITY_MANAGEMENT: Class = Class {
    uid: 3004,
    name: "Entity Management",
    category: 3,
    category_name: "Identity & Access Management",
};
const BASE_EVENT: Class = Class { uid: 0, name: "Base Event", category: 0, category_name: "Uncategorized" };

/// An activity of a class: its id and caption.
type Activity = (u32, &'static str);

const OTHER: Activity = (99, "Other");
const UNKNOWN: Activity = (0, "Unknown");

impl Ocsf {
    /// The event in OCSF.
    ///
    /// # Errors
    /// None that a value of this type can cause.
    pub fn value(&self, event: &TrailEvent) -> Result<Value, EvidenceError> {
        let class = class(event.kind);
        let activity = activity(event, class);
        let (severity, severity_name) = severity(event);
        let mut members = Map::new();
        let mut put = |name: &str, value: Value| {
            if !value.is_null() {
                members.insert(name.to_owned(), value);
            }
        };
        put("class_uid", class.uid.into());
        put("class_name", class.name.into());
        put("category_uid", class.category.into());
        put("category_name", class.category_name.into());
        put("activity_id", activity.0.into());
        put("activity_name", activity.1.into());
        put("type_uid", (u64::from(class.uid) * 100 + u64::from(activity.0)).into());
        put("type_name", format!("{}: {}", class.name, activity.1).into());
        put("severity_id", severity.into());
        put("severity", severity_name.into());
        put("time", (event.time.micros() / 1_000).into());
        put("message", event.sentence().into());
        let (status, status_name) = status(event);
        put("status_id", status.into());
        put("status", status_name.into());
        put("status_detail", option(event.detail.clone()));
        put("metadata", self.metadata(event));
        put("unmapped", unmapped(event)?);
        if class == API_ACTIVITY {
            put("actor", actor(event));
            put("api", api(event));
            put("src_endpoint", source(event));
            put("resources", resources(event));
        }
        if class == ENTITY_MANAGEMENT {
            put("actor", actor(event));
            put("entity", entity(event));
            put("comment", option(event.reason.as_ref().map(|reason| reason.untrusted.clone())));
        }
        Ok(Value::Object(members))
    }

    fn metadata(&self, event: &TrailEvent) -> Value {
        let mut metadata = json!({
            "version": self.version,
            "uid": event.id,
            "event_code": event.kind.as_str(),
            "log_name": event.origin,
            "log_provider": "countersign",
            "product": {
                "name": "Countersign",
                "vendor_name": "Countersign",
                "version": env!("CARGO_PKG_VERSION"),
            },
        });
        if let Value::Object(members) = &mut metadata {
            if let Some(approval) = &event.approval {
                members.insert("correlation_uid".to_owned(), approval.as_str().into());
            }
            if let Some(log) = &event.log {
                members.insert("sequence".to_owned(), log.index.into());
            }
        }
        metadata
    }
}

fn option(text: Option<String>) -> Value {
    text.map_or(Value::Null, Value::String)
}

fn class(what: What) -> Class {
    match what {
        What::Entry(kind) => match kind {
            Kind::Execution | Kind::Outcome => API_ACTIVITY,
            Kind::Request
            | Kind::Decision
            | Kind::Review
            | Kind::Question
            | Kind::Answer
            | Kind::Reevaluation
            | Kind::End
            | Kind::LaterReview
            | Kind::Directory
            | Kind::Refusal
            | Kind::Reveal
            | Kind::Erasure => ENTITY_MANAGEMENT,
            Kind::Genesis
            | Kind::Activity
            | Kind::Heartbeat
            | Kind::Gap
            | Kind::Rotation
            | Kind::Pruning
            | Kind::Reported
            | Kind::Backup => BASE_EVENT,
        },
        What::Outcome | What::Report => API_ACTIVITY,
        What::Permit | What::Denial => ENTITY_MANAGEMENT,
        What::Pruned | What::Unreadable | What::Altered | What::Missing | What::Elsewhere => BASE_EVENT,
    }
}

fn activity(event: &TrailEvent, class: Class) -> Activity {
    if class == BASE_EVENT {
        return OTHER;
    }
    if class == API_ACTIVITY {
        return match event.group {
            Some(VerbGroup::Read | VerbGroup::Export) => (2, "Read"),
            Some(VerbGroup::Write | VerbGroup::Admin) => (3, "Update"),
            Some(VerbGroup::Destroy) => (4, "Delete"),
            Some(VerbGroup::Exec) => OTHER,
            None => UNKNOWN,
        };
    }
    match (event.kind, event.verdict) {
        (What::Entry(Kind::Request), _) => (1, "Create"),
        (What::Entry(Kind::Reveal), _) => (2, "Read"),
        (What::Entry(Kind::Erasure), _) => (4, "Delete"),
        (What::Entry(Kind::Directory), _) => (3, "Update"),
        (_, Some("permit" | "approve")) => (10, "Activate"),
        (_, Some("deny" | "expired" | "cancelled")) => (11, "Deactivate"),
        _ => OTHER,
    }
}

/// Informational, unless something destructive ran, was refused, or evidence was lost, or glass was broken in vain.
fn severity(event: &TrailEvent) -> (u32, &'static str) {
    if event.kind.is_alarm() {
        return (5, "Critical");
    }
    let grave = matches!(event.group, Some(VerbGroup::Destroy | VerbGroup::Admin | VerbGroup::Export));
    let kind = event.kind;
    if kind == What::Entry(Kind::Refusal) || event.verdict == Some(Finding::NotJustified.as_str()) {
        (4, "High")
    } else if matches!(kind, What::Entry(Kind::Erasure | Kind::Rotation | Kind::Pruning))
        || (grave && matches!(kind, What::Entry(Kind::Execution | Kind::Outcome | Kind::Request)))
    {
        (3, "Medium")
    } else if event.verdict == Some("deny") {
        (2, "Low")
    } else {
        (1, "Informational")
    }
}

fn status(event: &TrailEvent) -> (u32, &'static str) {
    match (event.outcome, event.verdict) {
        (Some(Ending::Succeeded), _) => (1, "Success"),
        (Some(Ending::Failed), _) => (2, "Failure"),
        (Some(Ending::Unknown), _) => (0, "Unknown"),
        (None, Some("permit" | "approve")) => (1, "Success"),
        (None, Some("deny" | "expired" | "cancelled")) => (2, "Failure"),
        (None, Some(_)) => (99, "Other"),
        (None, None) => (0, "Unknown"),
    }
}

/// Who did it: a human as a user; a program as an application, with the human who answers for it as its user.
fn actor(event: &TrailEvent) -> Value {
    let mut actor = Map::new();
    let mut user = |id: String, name: &Option<String>| {
        let name = name.clone().unwrap_or_else(|| id.clone());
        actor.insert(
            "user".to_owned(),
            json!({
                "uid": id,
                "name": name,
                "type_id": 1,
                "type": "User",
                "account": { "uid": event.origin, "name": event.origin, "type_id": 99, "type": "Countersign" },
            }),
        );
    };
    match (event.who.person, event.who.sponsor) {
        (Some(person), _) => user(person.to_string(), &event.who.person_name),
        (None, Some(sponsor)) => user(sponsor.to_string(), &event.who.sponsor_name),
        (None, None) => {}
    }
    if let Some(agent) = event.who.agent {
        let name = event.who.agent_name.clone().unwrap_or_else(|| agent.to_string());
        actor.insert("app_name".to_owned(), name.into());
        actor.insert("app_uid".to_owned(), agent.to_string().into());
    }
    if actor.is_empty() {
        actor.insert("app_name".to_owned(), "Countersign".into());
    }
    Value::Object(actor)
}

fn api(event: &TrailEvent) -> Value {
    let operation = event
        .verb
        .clone()
        .or_else(|| event.reported.as_ref().map(|reported| reported.kind.clone()))
        .unwrap_or_else(|| "unknown".to_owned());
    let uid = event.approval.clone().unwrap_or_else(|| event.id.clone());
    let mut api = json!({ "operation": operation, "request": { "uid": uid } });
    let service =
        event.target.clone().or_else(|| event.reported.as_ref().map(|reported| reported.source.clone()));
    if let (Value::Object(members), Some(name)) = (&mut api, service) {
        let version = "1";
        members.insert("service".to_owned(), json!({ "name": name, "uid": name, "version": version }));
    }
    api
}

/// The network address is not in the trail: the caller is named as whom it was admitted.
fn source(event: &TrailEvent) -> Value {
    let who = event.who.agent.map(|agent| agent.to_string());
    let who = who.or_else(|| event.who.person.map(|person| person.to_string()));
    let name = event.who.agent_name.clone().or_else(|| event.who.person_name.clone());
    let uid = who.unwrap_or_else(|| "unknown".to_owned());
    json!({ "uid": uid, "name": name.unwrap_or_else(|| uid.clone()) })
}

fn resources(event: &TrailEvent) -> Value {
    let Some(name) = &event.resource else { return Value::Null };
    let mut resource = json!({ "name": name, "uid": name });
    if let Value::Object(members) = &mut resource {
        if let Some(environment) = &event.environment {
            members.insert("labels".to_owned(), json!([format!("environment:{environment}")]));
        }
        if let Some(target) = &event.target {
            members.insert("namespace".to_owned(), target.as_str().into());
        }
    }
    json!([resource])
}

/// What is managed: an approval, a person, an agent, a route, the policy.
fn entity(event: &TrailEvent) -> Value {
    let change = event.kind == What::Entry(Kind::Directory);
    let uid = if change { event.resource.clone() } else { event.approval.clone() };
    let name = event.resource.clone().or_else(|| event.verb.clone());
    let uid = uid.unwrap_or_else(|| event.id.clone());
    let kind = if change {
        "configuration"
    } else if matches!(event.kind, What::Permit | What::Denial | What::Entry(Kind::Decision)) {
        "decision"
    } else {
        "approval"
    };
    json!({ "uid": uid, "name": name.unwrap_or_else(|| uid.clone()), "type_id": 99, "type": kind })
}

fn unmapped(event: &TrailEvent) -> Result<Value, EvidenceError> {
    let mut unmapped = Map::new();
    if let Some(log) = &event.log {
        unmapped.insert(
            "record_integrity".to_owned(),
            json!({
                "log": event.origin,
                "log_index": log.index,
                "line": log.line,
                "leaf_hash": log.leaf,
                "checkpoint_size": log.size,
                "algorithm": "RFC 6962 SHA-256",
            }),
        );
    }
    if let Some(agent) = event.who.agent {
        unmapped.insert(
            "ai_agent".to_owned(),
            json!({
                "uid": agent,
                "name": event.who.agent_name,
                "sponsor": event.who.sponsor,
                "witnessed": word(&event.witnessed),
            }),
        );
    }
    unmapped.insert("countersign".to_owned(), whole(event)?);
    Ok(Value::Object(unmapped))
}
