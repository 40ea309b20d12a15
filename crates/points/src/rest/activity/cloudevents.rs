//! CloudEvents 1.0: the JSON event format, its batch, and the HTTP binding's binary mode.

use std::collections::BTreeMap;

use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::canonical::{self, INTEGER_LIMIT};
use domain::digest::Blob;
use domain::evaluation::Fact;
use domain::time::Timestamp;
use gateway::limits::REPORTED_EVENTS;
use gateway::report::{Data, Form, Reported};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// A structured CloudEvent, as the document describes it. Further members are its extensions.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({
    "specversion": "1.0", "id": "42", "source": "/pipelines/nightly", "type": "com.example.dataset.read",
    "subject": "customers", "data": { "rows": 100 }
}))]
pub struct CloudEvent {
    /// `1.0`.
    #[schema(pattern = "^1\\.0$")]
    pub specversion: String,
    /// The sender's id; with `source` it names the event.
    #[schema(min_length = 1, max_length = 1024)]
    pub id: String,
    /// Where it comes from, a URI reference.
    #[schema(min_length = 1, max_length = 1024)]
    pub source: String,
    /// What kind of thing.
    #[serde(rename = "type")]
    #[schema(min_length = 1, max_length = 1024)]
    pub kind: String,
}

/// Whether attributes stand in headers.
pub(super) fn is_binary(headers: &HeaderMap) -> bool {
    headers.contains_key("ce-specversion")
}

/// Reads one structured event.
///
/// # Errors
/// In words, what is not as CloudEvents 1.0 has it.
pub fn structured(bytes: &[u8]) -> Result<Vec<Reported>, String> {
    Ok(vec![event(canonical::read_foreign(bytes)?)?])
}

/// Reads a batch.
///
/// # Errors
/// In words, for the first event that is not as CloudEvents 1.0 has it.
pub fn batch(bytes: &[u8]) -> Result<Vec<Reported>, String> {
    let Value::Array(events) = canonical::read_foreign(bytes)? else {
        return Err("a batch is a list of events".to_owned());
    };
    if events.len() > REPORTED_EVENTS {
        return Err(format!("a batch has at most {REPORTED_EVENTS} events"));
    }
    let numbered = events.into_iter().enumerate();
    numbered.map(|(at, one)| event(one).map_err(|why| format!("event {at}: {why}"))).collect()
}

/// Reads an event whose attributes stand in headers; the body is its data.
///
/// # Errors
/// As [`structured`].
pub fn binary(headers: &HeaderMap, body: &[u8]) -> Result<Vec<Reported>, String> {
    let mut members = Map::new();
    for (name, value) in headers {
        let Some(name) = name.as_str().strip_prefix("ce-") else { continue };
        let value = value.to_str().map_err(|_| format!("the header `ce-{name}` is not plain text"))?;
        let value = percent_encoding::percent_decode_str(value)
            .decode_utf8()
            .map_err(|_| format!("the header `ce-{name}` is not UTF-8 behind its percent signs"))?;
        if matches!(name, "data" | "data_base64" | "datacontenttype") {
            return Err(format!("`{name}` is no attribute that stands in a header"));
        }
        if members.insert(name.to_owned(), Value::String(value.into_owned())).is_some() {
            return Err(format!("the header `ce-{name}` stands twice"));
        }
    }
    if let Some(kind) = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()) {
        members.insert("datacontenttype".to_owned(), kind.into());
    }
    let mut event = event(Value::Object(members))?;
    if !body.is_empty() {
        event.data = Some(data(body));
    }
    Ok(vec![event])
}

fn event(value: Value) -> Result<Reported, String> {
    let Value::Object(mut members) = value else { return Err("an event is an object".to_owned()) };
    // A member that is null is as if it were not there (JSON format, section 2.2).
    members.retain(|name, value| name == "data" || !value.is_null());
    match take(&mut members, "specversion")?.as_deref() {
        Some("1.0") => {}
        Some(_) => return Err("`specversion` is expected to be `1.0`".to_owned()),
        None => return Err("`specversion` is missing".to_owned()),
    }
    let mut required = |name: &str| {
        let text = take(&mut members, name)?.ok_or_else(|| format!("`{name}` is missing"))?;
        if text.is_empty() { Err(format!("`{name}` is empty")) } else { Ok(text) }
    };
    let (id, source, kind) = (required("id")?, required("source")?, required("type")?);
    let subject = take(&mut members, "subject")?.filter(|subject| !subject.is_empty());
    let occurred = take(&mut members, "time")?.map(|time| moment(&time)).transpose()?;
    let content_type = take(&mut members, "datacontenttype")?;
    let schema = take(&mut members, "dataschema")?;
    let data = payload(&mut members, content_type.as_deref())?;
    let mut attributes = BTreeMap::new();
    let named = [("datacontenttype", content_type), ("dataschema", schema)];
    for (name, text) in named {
        if let Some(text) = text {
            attributes.insert(name.to_owned(), Fact::Text(text));
        }
    }
    for (name, value) in members {
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()) {
            return Err(format!("`{}` is no name of an attribute: a-z and 0-9 are expected", shown(&name)));
        }
        attributes.insert(name.clone(), extension(&name, value)?);
    }
    let trace = match attributes.get("traceparent") {
        Some(Fact::Text(parent)) => trace_of(parent),
        Some(Fact::Bool(_) | Fact::Int(_)) | None => None,
    };
    let form = Form::CloudEvents;
    Ok(Reported {
        form,
        kind,
        source,
        event: Some(id),
        subject,
        occurred,
        severity: None,
        trace,
        attributes,
        data,
    })
}

fn shown(name: &str) -> String {
    domain::text::visible(domain::text::cut(name, 64))
}

fn take(members: &mut Map<String, Value>, name: &str) -> Result<Option<String>, String> {
    match members.remove(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(format!("`{name}` is expected to be text")),
    }
}

/// An extension's value: CloudEvents knows truth values, integers of 32 bits, and text.
fn extension(name: &str, value: Value) -> Result<Fact, String> {
    match value {
        Value::Bool(value) => Ok(Fact::Bool(value)),
        Value::String(text) => Ok(Fact::Text(text)),
        Value::Number(number) => number
            .as_i64()
            .filter(|number| i32::try_from(*number).is_ok())
            .map(Fact::Int)
            .ok_or_else(|| format!("the attribute `{name}` is no integer of 32 bits")),
        Value::Null | Value::Array(_) | Value::Object(_) => {
            Err(format!("the attribute `{name}` is neither text, an integer, nor true or false"))
        }
    }
}

fn payload(members: &mut Map<String, Value>, kind: Option<&str>) -> Result<Option<Data>, String> {
    match (members.remove("data"), members.remove("data_base64")) {
        (Some(_), Some(_)) => Err("`data` and `data_base64` stand both".to_owned()),
        (None, None) => Ok(None),
        (None, Some(Value::String(text))) => {
            let bytes = STANDARD.decode(text).map_err(|_| "`data_base64` is no base64".to_owned())?;
            Ok(Some(data(&bytes)))
        }
        (None, Some(_)) => Err("`data_base64` is expected to be text".to_owned()),
        // Text that is said to be something else than JSON is that text (JSON format, section 3.1).
        (Some(Value::String(text)), None) if !kind.is_none_or(is_json) => Ok(Some(Data::Text(text))),
        (Some(value), None) => Ok(Some(Data::Text(value.to_string()))),
    }
}

fn is_json(kind: &str) -> bool {
    let essence = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence.ends_with("/json") || essence.ends_with("+json")
}

fn data(bytes: &[u8]) -> Data {
    match str::from_utf8(bytes) {
        Ok(text) => Data::Text(text.to_owned()),
        Err(_) => Data::Bytes(Blob(bytes.to_vec())),
    }
}

fn moment(text: &str) -> Result<Timestamp, String> {
    let bad = || "`time` is expected to be a time of RFC 3339 after 1970".to_owned();
    let time: jiff::Timestamp = text.parse().map_err(|_| bad())?;
    let micros = u64::try_from(time.as_microsecond()).map_err(|_| bad())?;
    if micros > INTEGER_LIMIT { Err(bad()) } else { Ok(Timestamp::from_micros(micros)) }
}

/// The trace's id in a `traceparent` (W3C Trace Context, section 3.2).
fn trace_of(parent: &str) -> Option<String> {
    let id = parent.split('-').nth(1)?;
    let fits = id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit()) && id.bytes().any(|b| b != b'0');
    fits.then(|| id.to_ascii_lowercase())
}
