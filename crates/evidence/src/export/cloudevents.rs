//! CloudEvents 1.0 in its JSON format, structured. The place in the log stands in extension attributes too, so that
//! a router sees it without reading the data. They are strings: CloudEvents' integers end at 2^31.

use serde_json::{Value, json};

use crate::EvidenceError;
use crate::event::TrailEvent;
use crate::export::{json as whole, rfc3339};

/// With what every event's type begins.
pub const TYPE_PREFIX: &str = "dev.countersign.";

/// The event's type, such as `dev.countersign.request.v1`.
#[must_use]
pub fn kind(event: &TrailEvent) -> String {
    format!("{TYPE_PREFIX}{}.v1", event.kind.as_str())
}

/// The event as a CloudEvent.
///
/// # Errors
/// None that a value of this type can cause.
pub fn value(event: &TrailEvent) -> Result<Value, EvidenceError> {
    let mut value = json!({
        "specversion": "1.0",
        "id": event.id,
        // A URI-reference: the deployment's name is a host and a path.
        "source": format!("//{}", event.origin),
        "type": kind(event),
        "time": rfc3339(event.time),
        "datacontenttype": "application/json",
        "data": whole(event)?,
    });
    let Value::Object(members) = &mut value else { return Ok(value) };
    let mut put = |name: &str, text: Option<String>| {
        if let Some(text) = text.filter(|text| !text.is_empty()) {
            members.insert(name.to_owned(), Value::String(text));
        }
    };
    put("subject", event.approval.clone().or_else(|| event.resource.clone()));
    put("logindex", event.log.map(|log| log.index.to_string()));
    put("logline", event.log.and_then(|log| log.line).map(|line| line.to_string()));
    put("leafhash", event.log.and_then(|log| log.leaf).map(|leaf| leaf.to_string()));
    put("checkpointsize", event.log.map(|log| log.size.to_string()));
    Ok(value)
}
