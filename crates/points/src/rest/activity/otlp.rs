//! OTLP/HTTP logs, as protobuf and as JSON (OTLP specification 1.x, section "OTLP/HTTP"). A record that is over a limit
//! is rejected by itself and counted; the others stand.

use std::collections::BTreeMap;

use axum::http::{HeaderMap, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::canonical::{self, INTEGER_LIMIT};
use domain::evaluation::Fact;
use domain::text::cut;
use domain::time::Timestamp;
use gateway::limits::{
    REPORTED_ATTRIBUTE_BYTES, REPORTED_ATTRIBUTES, REPORTED_BYTES, REPORTED_EVENTS, REPORTED_LINE_BYTES,
    REPORTED_NAME_BYTES,
};
use gateway::report::{Data, Form, Reported};
use prost::Message as _;
use serde_json::{Map, Value, json};

use super::super::parse::media_type;
use super::proto::{
    AnyValue, KeyValue, Kind, List, LogRecord, Pairs, PartialSuccess, Request, Resource, ResourceLogs,
    Response, Scope, ScopeLogs, Status,
};

/// The encoding of a request, and so of its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wire {
    /// `application/x-protobuf`.
    Protobuf,
    /// `application/json`.
    Json,
}

impl Wire {
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        match media_type(headers).as_ref().map(|(essence, utf8)| (essence.as_str(), *utf8)) {
            Some(("application/x-protobuf", _)) => Some(Self::Protobuf),
            Some(("application/json", true)) => Some(Self::Json),
            Some(_) | None => None,
        }
    }

    pub(super) fn media_type(self) -> &'static str {
        match self {
            Self::Protobuf => "application/x-protobuf",
            Self::Json => "application/json",
        }
    }
}

/// What a request came to.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Records {
    /// What is to be put on record.
    pub events: Vec<Reported>,
    /// How many records are not.
    pub rejected: u64,
    /// Why the first of them is not.
    pub why: String,
}

/// Reads a request.
///
/// # Errors
/// In words: what does not read, and more than [`REPORTED_EVENTS`] records.
pub fn read(wire: Wire, bytes: &[u8]) -> Result<Records, String> {
    let request = match wire {
        Wire::Protobuf => Request::decode(bytes).map_err(|error| error.to_string())?,
        Wire::Json => from_json(canonical::read_foreign(bytes)?)?,
    };
    let count: usize = request
        .resource_logs
        .iter()
        .flat_map(|logs| &logs.scope_logs)
        .map(|logs| logs.log_records.len())
        .sum();
    if count > REPORTED_EVENTS {
        return Err(format!("a request has at most {REPORTED_EVENTS} log records"));
    }
    let mut records = Records::default();
    let mut room = REPORTED_BYTES / 2;
    for logs in request.resource_logs {
        let resource = logs.resource.unwrap_or_default();
        for logs in logs.scope_logs {
            let scope = logs.scope.unwrap_or_default();
            let shared = Shared::of(&resource, &scope);
            for record in logs.log_records {
                let taken = shared.as_ref().map_err(Clone::clone).and_then(|shared| {
                    let event = event(record, shared);
                    event.check().map_err(|error| error.to_string())?;
                    room = room.checked_sub(event.written()).ok_or_else(too_much)?;
                    Ok(event)
                });
                match taken {
                    Ok(event) => records.events.push(event),
                    Err(why) => records.reject(why),
                }
            }
        }
    }
    Ok(records)
}

fn too_much() -> String {
    format!("the records come to more than {} bytes; send fewer at a time", REPORTED_BYTES / 2)
}

impl Records {
    /// One record more is not put on record.
    fn reject(&mut self, why: String) {
        self.rejected += 1;
        if self.why.is_empty() {
            self.why = why;
        }
    }

    /// Rejects what is over a limit now that it is masked: a mask can be longer than what it stands for.
    pub(super) fn recheck(&mut self) {
        for event in std::mem::take(&mut self.events) {
            match event.check() {
                Ok(()) => self.events.push(event),
                Err(error) => self.reject(error.to_string()),
            }
        }
    }
}

/// What the records of one resource and scope have in common. Each record's event holds a copy, so that it is held
/// against the limits before any is made: a small request must not become a large one here.
struct Shared {
    attributes: BTreeMap<String, Fact>,
    /// The service and the scope.
    source: String,
}

impl Shared {
    fn of(resource: &Resource, scope: &Scope) -> Result<Self, String> {
        if resource.attributes.len() > REPORTED_ATTRIBUTES {
            return Err(format!("a resource has at most {REPORTED_ATTRIBUTES} attributes"));
        }
        let mut attributes = BTreeMap::new();
        let mut bytes = 0_usize;
        for pair in &resource.attributes {
            let value = fact(pair.value.clone());
            let length = if let Fact::Text(text) = &value { text.len() } else { 0 };
            bytes = bytes.saturating_add(length).saturating_add(pair.key.len());
            if bytes > REPORTED_LINE_BYTES {
                return Err(format!("a resource has at most {REPORTED_LINE_BYTES} bytes"));
            }
            attributes.insert(format!("resource.{}", pair.key), value);
        }
        let service =
            text_of(&attributes, "resource.service.name").unwrap_or_else(|| "unknown_service".to_owned());
        let source = if scope.name.is_empty() { service } else { format!("{service}/{}", scope.name) };
        if !scope.version.is_empty() {
            let version = cut(&scope.version, REPORTED_ATTRIBUTE_BYTES).to_owned();
            attributes.insert("scope.version".to_owned(), Fact::Text(version));
        }
        Ok(Self { attributes, source: cut(&source, REPORTED_NAME_BYTES).to_owned() })
    }
}

fn text_of(attributes: &BTreeMap<String, Fact>, name: &str) -> Option<String> {
    match attributes.get(name) {
        Some(Fact::Text(text)) if !text.is_empty() => Some(text.clone()),
        Some(_) | None => None,
    }
}

/// The answer to a request that was taken, in whole or in part.
pub(super) fn success(wire: Wire, rejected: u64, why: &str) -> Vec<u8> {
    let partial_success = (rejected > 0).then(|| PartialSuccess {
        rejected_log_records: i64::try_from(rejected).unwrap_or(i64::MAX),
        error_message: why.to_owned(),
    });
    match (wire, &partial_success) {
        (Wire::Protobuf, _) => Response { partial_success }.encode_to_vec(),
        (Wire::Json, None) => b"{}".to_vec(),
        // A 64-bit integer is text in protobuf's JSON.
        (Wire::Json, Some(_)) => json!({
            "partialSuccess": { "rejectedLogRecords": rejected.to_string(), "errorMessage": why }
        })
        .to_string()
        .into_bytes(),
    }
}

/// The answer to a request that was not taken: RPC's `Status`.
pub(super) fn status(wire: Wire, status: StatusCode, message: &str) -> Vec<u8> {
    let code = match status {
        StatusCode::BAD_REQUEST | StatusCode::PAYLOAD_TOO_LARGE | StatusCode::UNSUPPORTED_MEDIA_TYPE => 3,
        StatusCode::FORBIDDEN => 7,
        StatusCode::UNAUTHORIZED => 16,
        StatusCode::SERVICE_UNAVAILABLE => 14,
        _ => 13,
    };
    match wire {
        Wire::Protobuf => Status { code, message: message.to_owned() }.encode_to_vec(),
        Wire::Json => json!({ "code": code, "message": message }).to_string().into_bytes(),
    }
}

fn event(record: LogRecord, shared: &Shared) -> Reported {
    let mut attributes = BTreeMap::new();
    for pair in record.attributes {
        attributes.insert(pair.key, fact(pair.value));
    }
    // A record's own attributes cannot pass for its resource's.
    attributes.extend(shared.attributes.clone());
    let text = |name: &str| text_of(&attributes, name);
    let kind = Some(record.event_name).filter(|name| !name.is_empty());
    let kind = kind.or_else(|| text("event.name")).unwrap_or_else(|| "log".to_owned());
    let subject = text("gen_ai.request.model").or_else(|| text("gen_ai.response.model"));
    if record.span_id.len() == 8 {
        attributes.insert("span_id".to_owned(), Fact::Text(hex(&record.span_id)));
    }
    let nanos =
        if record.time_unix_nano > 0 { record.time_unix_nano } else { record.observed_time_unix_nano };
    let severity = if record.severity_text.is_empty() {
        (record.severity_number > 0).then(|| record.severity_number.to_string())
    } else {
        Some(record.severity_text)
    };
    Reported {
        form: Form::Otlp,
        kind,
        source: shared.source.clone(),
        event: None,
        subject,
        // 64 bits of nanoseconds end before 2^53 microseconds do.
        occurred: (nanos > 0).then(|| Timestamp::from_micros((nanos / 1_000).min(INTEGER_LIMIT))),
        severity,
        trace: (record.trace_id.len() == 16 && record.trace_id.iter().any(|b| *b != 0))
            .then(|| hex(&record.trace_id)),
        attributes,
        data: record.body.filter(|body| body.value.is_some()).map(|body| match plain(&body) {
            Value::String(text) => Data::Text(text),
            other
            @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
                Data::Text(other.to_string())
            }
        }),
    }
}

fn fact(value: Option<AnyValue>) -> Fact {
    match value.and_then(|value| value.value) {
        None => Fact::Text(String::new()),
        Some(Kind::Text(text)) => Fact::Text(text),
        Some(Kind::Bool(value)) => Fact::Bool(value),
        Some(Kind::Int(number)) if number.unsigned_abs() <= INTEGER_LIMIT => Fact::Int(number),
        Some(Kind::Int(number)) => Fact::Text(number.to_string()),
        Some(other @ (Kind::Double(_) | Kind::List(_) | Kind::Map(_) | Kind::Bytes(_))) => {
            let text = plain(&AnyValue { value: Some(other) });
            Fact::Text(text.as_str().map_or_else(|| text.to_string(), str::to_owned))
        }
    }
}

/// A value as plain JSON; bytes as base64. How deep it may nest is bounded by what read it.
fn plain(value: &AnyValue) -> Value {
    match &value.value {
        None => Value::Null,
        Some(Kind::Text(text)) => text.as_str().into(),
        Some(Kind::Bool(value)) => (*value).into(),
        Some(Kind::Int(number)) => (*number).into(),
        Some(Kind::Double(number)) => {
            serde_json::Number::from_f64(*number).map_or_else(|| number.to_string().into(), Value::Number)
        }
        Some(Kind::Bytes(bytes)) => STANDARD.encode(bytes).into(),
        Some(Kind::List(list)) => list.values.iter().map(plain).collect(),
        Some(Kind::Map(pairs)) => {
            let members = pairs
                .values
                .iter()
                .map(|pair| (pair.key.clone(), pair.value.as_ref().map_or(Value::Null, plain)));
            Value::Object(members.collect())
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// OTLP's JSON: lower camel case, ids in hexadecimal, 64-bit integers as text or numbers, unknown fields ignored.
fn from_json(value: Value) -> Result<Request, String> {
    let mut request = object(value, "the request")?;
    let resource_logs: Result<_, String> =
        list(&mut request, "resourceLogs")?.into_iter().map(resource_logs).collect();
    Ok(Request { resource_logs: resource_logs? })
}

/// The same request as protobuf, for tests that hold the two encodings against each other.
#[cfg(test)]
pub(crate) fn protobuf_of_json(value: Value) -> Result<Vec<u8>, String> {
    Ok(from_json(value)?.encode_to_vec())
}

fn resource_logs(value: Value) -> Result<ResourceLogs, String> {
    let mut members = object(value, "`resourceLogs`")?;
    let resource = match members.remove("resource") {
        None | Some(Value::Null) => None,
        Some(value) => Some(Resource { attributes: pairs(&mut object(value, "`resource`")?, "attributes")? }),
    };
    let scope_logs: Result<_, String> =
        list(&mut members, "scopeLogs")?.into_iter().map(scope_logs).collect();
    Ok(ResourceLogs { resource, scope_logs: scope_logs? })
}

fn scope_logs(value: Value) -> Result<ScopeLogs, String> {
    let mut members = object(value, "`scopeLogs`")?;
    let scope = match members.remove("scope") {
        None | Some(Value::Null) => None,
        Some(value) => {
            let mut scope = object(value, "`scope`")?;
            Some(Scope { name: text(&mut scope, "name")?, version: text(&mut scope, "version")? })
        }
    };
    let log_records: Result<_, String> = list(&mut members, "logRecords")?.into_iter().map(record).collect();
    Ok(ScopeLogs { scope, log_records: log_records? })
}

fn record(value: Value) -> Result<LogRecord, String> {
    let mut members = object(value, "`logRecords`")?;
    let body = match members.remove("body") {
        None | Some(Value::Null) => None,
        Some(value) => Some(any(value)?),
    };
    Ok(LogRecord {
        time_unix_nano: unsigned(&mut members, "timeUnixNano")?,
        observed_time_unix_nano: unsigned(&mut members, "observedTimeUnixNano")?,
        severity_number: i32::try_from(unsigned(&mut members, "severityNumber")?).unwrap_or(0),
        severity_text: text(&mut members, "severityText")?,
        body,
        attributes: pairs(&mut members, "attributes")?,
        trace_id: unhex(&text(&mut members, "traceId")?)?,
        span_id: unhex(&text(&mut members, "spanId")?)?,
        event_name: text(&mut members, "eventName")?,
    })
}

fn any(value: Value) -> Result<AnyValue, String> {
    let mut members = object(value, "a value")?;
    let mut kinds = members.iter().filter(|(_, value)| !value.is_null()).map(|(name, _)| name.clone());
    let (Some(name), None) = (kinds.next(), kinds.next()) else {
        return if members.values().all(Value::is_null) {
            Ok(AnyValue { value: None })
        } else {
            Err("a value has one kind".to_owned())
        };
    };
    drop(kinds);
    let value = members.remove(&name).unwrap_or_default();
    let wrong = || format!("`{name}` holds another kind of value");
    let value = match name.as_str() {
        "stringValue" => Kind::Text(value.as_str().map(str::to_owned).ok_or_else(wrong)?),
        "boolValue" => Kind::Bool(value.as_bool().ok_or_else(wrong)?),
        "intValue" => {
            let number = value.as_i64().or_else(|| value.as_str()?.parse().ok());
            Kind::Int(number.ok_or_else(wrong)?)
        }
        "doubleValue" => {
            let number = value.as_f64().or_else(|| value.as_str()?.parse().ok());
            Kind::Double(number.ok_or_else(wrong)?)
        }
        "bytesValue" => {
            let bytes = value.as_str().and_then(|text| STANDARD.decode(text).ok());
            Kind::Bytes(bytes.ok_or_else(wrong)?)
        }
        "arrayValue" => {
            let values = list(&mut object(value, "`arrayValue`")?, "values")?;
            Kind::List(List { values: values.into_iter().map(any).collect::<Result<_, String>>()? })
        }
        "kvlistValue" => Kind::Map(Pairs { values: pairs(&mut object(value, "`kvlistValue`")?, "values")? }),
        other => return Err(format!("`{}` is no kind of value", cut(other, 64))),
    };
    Ok(AnyValue { value: Some(value) })
}

fn object(value: Value, what: &str) -> Result<Map<String, Value>, String> {
    match value {
        Value::Object(members) => Ok(members),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Err(format!("{what} is expected to be an object"))
        }
    }
}

fn list(members: &mut Map<String, Value>, name: &str) -> Result<Vec<Value>, String> {
    match members.remove(name) {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(items)) => Ok(items),
        Some(_) => Err(format!("`{name}` is expected to be a list")),
    }
}

fn text(members: &mut Map<String, Value>, name: &str) -> Result<String, String> {
    match members.remove(name) {
        None | Some(Value::Null) => Ok(String::new()),
        Some(Value::String(text)) => Ok(text),
        Some(_) => Err(format!("`{name}` is expected to be text")),
    }
}

fn unsigned(members: &mut Map<String, Value>, name: &str) -> Result<u64, String> {
    let number = match members.remove(name) {
        None | Some(Value::Null) => Some(0),
        Some(Value::Number(number)) => number.as_u64(),
        Some(Value::String(text)) => text.parse().ok(),
        Some(_) => None,
    };
    number.ok_or_else(|| format!("`{name}` is expected to be an unsigned integer"))
}

fn pairs(members: &mut Map<String, Value>, name: &str) -> Result<Vec<KeyValue>, String> {
    let pair = |value| {
        let mut pair = object(value, "an attribute")?;
        let value = match pair.remove("value") {
            None | Some(Value::Null) => None,
            Some(value) => Some(any(value)?),
        };
        Ok(KeyValue { key: text(&mut pair, "key")?, value })
    };
    list(members, name)?.into_iter().map(pair).collect()
}

fn unhex(text: &str) -> Result<Vec<u8>, String> {
    let bad = || "an id is expected to be hexadecimal".to_owned();
    // `from_str_radix` alone would take `+f` for a byte.
    if !text.len().is_multiple_of(2) || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(bad());
    }
    text.as_bytes()
        .chunks(2)
        .map(|pair| {
            str::from_utf8(pair).ok().and_then(|pair| u8::from_str_radix(pair, 16).ok()).ok_or_else(bad)
        })
        .collect()
}
