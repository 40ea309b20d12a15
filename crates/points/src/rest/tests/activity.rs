//! Reports from outside, and the trail that holds them, over the real gateway.

use axum::http::HeaderMap;
use domain::evaluation::Fact;
use futures_util::StreamExt as _;
use gateway::limits::{REPORTED_BYTES, REPORTED_DATA_BYTES, REPORTED_EVENTS};
use gateway::report::{Data, Reported};
use serde_json::{Value, json};

use super::house::{Answer, House};
use crate::rest::activity::cloudevents::{batch, binary, structured};
use crate::rest::activity::otlp::{self, Wire};

const CE: &str = "application/cloudevents+json";
const CE_BATCH: &str = "application/cloudevents-batch+json";

fn cloud_event(id: &str) -> Value {
    json!({
        "specversion": "1.0", "id": id, "source": "/pipelines/nightly", "type": "com.example.dataset.read",
        "subject": "customers", "time": "2026-01-02T03:04:05.5Z", "data": { "rows": 100, "share": 0.5 },
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "attempt": 2,
    })
}

async fn report(house: &House, kind: &str, body: impl Into<Vec<u8>>) -> Answer {
    let token = house.token("bot").await;
    house.ask("POST", "/v1/activity").bearer(&token).raw(kind, body).send().await
}

/// The lines of the open segment.
fn lines(house: &House) -> Vec<Value> {
    let Ok(folder) = std::fs::read_dir(house.dir.path().join("activity")) else { return Vec::new() };
    let mut text = String::new();
    for file in folder {
        text.push_str(&std::fs::read_to_string(file.unwrap().path()).unwrap());
    }
    text.lines().map(|line| domain::canonical::read_value(line.as_bytes()).unwrap()).collect()
}

#[tokio::test]
async fn a_report_is_on_record_under_its_caller_when_it_is_answered() {
    let house = House::usual().await;
    let one = report(&house, CE, cloud_event("1").to_string()).await;
    assert_eq!(one.status, 200, "{}", one.body);
    let two = report(&house, CE_BATCH, json!([cloud_event("2"), cloud_event("3")]).to_string()).await;
    let session = house.session("bob").await;
    let path = "/v1/activity";
    let three = house.ask("POST", path).bearer(&session).raw(CE, cloud_event("4").to_string()).send().await;
    let lines = lines(&house);
    let ids: Vec<_> = lines.iter().map(|line| line["id"].clone()).collect();
    let answered = [one, two, three].map(|answer| answer.body["ids"].as_array().unwrap().clone());
    assert_eq!(ids, answered.concat());
    let callers: Vec<_> = lines.iter().map(|line| line["caller"].as_str().unwrap().to_owned()).collect();
    assert_eq!(callers[0], format!("agent:{}", house.agent("bot")));
    assert_eq!(callers[3], format!("person:{}", house.person("bob")));
    assert!(lines.iter().all(|line| line["effect"] == "reported"));
    assert_eq!(lines[0]["behind"][0]["role"], "sponsor");
}

#[tokio::test]
async fn nothing_in_a_report_says_who_reported_it() {
    let house = House::usual().await;
    for claim in [json!({ "caller": "person:x" }), json!({ "witnessed": "observed", "effect": "permit" })] {
        let mut event = cloud_event("1");
        event.as_object_mut().unwrap().extend(claim.as_object().unwrap().clone());
        assert_eq!(report(&house, CE, event.to_string()).await.status, 200);
    }
    for line in lines(&house) {
        assert_eq!((line["effect"].as_str(), line.get("witnessed")), (Some("reported"), None));
        assert_eq!(line["caller"], format!("agent:{}", house.agent("bot")));
    }
}

#[tokio::test]
async fn secrets_in_a_report_never_enter_the_log() {
    let house = House::usual().await;
    let mut event = cloud_event("1");
    event["data"] = json!({ "prompt": "my key is AKIAIOSFODNN7EXAMPLE", "password": "hunter2hunter2" });
    event["authorization"] = "Bearer abcdefghijklmnopqrstuvwxyz0123456789".into();
    assert_eq!(report(&house, CE, event.to_string()).await.status, 200);
    let line = lines(&house).remove(0).to_string();
    for secret in ["AKIAIOSFODNN7", "hunter2", "abcdefghijklmnop"] {
        assert!(!line.contains(secret), "{line}");
    }
    assert!(line.contains("my key is "), "{line}");
}

/// A name, an id or an address can hold a secret as well as a value can.
#[tokio::test]
async fn secrets_in_a_reports_names_never_enter_the_log_either() {
    let house = House::usual().await;
    let mut event = cloud_event("order for ann@example.org");
    event["source"] = "https://app:sup3rS3cretPw9@db.example/x".into();
    event["type"] = "ghp_16C7e42F292c6912E7710c838347Ae178B4a".into();
    let answer = report(&house, CE, event.to_string()).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let token = house.token("bot").await;
    let named = |name: &str| json!({ "key": name, "value": { "stringValue": "kept" } });
    let record = json!({
        "severityText": "bob@example.org",
        "attributes": [named("carol@example.org"), named("dan@example.org")],
    });
    let body = json!({ "resourceLogs": [{ "scopeLogs": [{ "logRecords": [record] }] }] }).to_string();
    let answer = house.ask("POST", "/v1/logs").bearer(&token).raw("application/json", body).send().await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let lines = lines(&house);
    let text = json!(lines).to_string();
    for secret in ["ann@example", "sup3rS3cretPw9", "ghp_16C7", "bob@example", "carol@", "dan@"] {
        assert!(!text.contains(secret), "{secret}: {text}");
    }
    assert_eq!(
        text.matches("kept").count(),
        2,
        "two names that are one once masked keep their values: {text}"
    );
}

#[tokio::test]
async fn what_cannot_be_taken_is_refused_whole() {
    let house = House::usual().await;
    let mut large = cloud_event("1");
    large["data"] = "x".repeat(REPORTED_DATA_BYTES + 1).into();
    let mut old = cloud_event("1");
    old["specversion"] = "0.3".into();
    let many = vec![json!({}); REPORTED_EVENTS + 1];
    for (kind, body, code) in [
        (CE, "{".to_owned(), "400 bad-event"),
        (CE, json!([]).to_string(), "400 bad-event"),
        (CE, old.to_string(), "400 bad-event"),
        (CE, large.to_string(), "413 too-large"),
        (CE_BATCH, json!([cloud_event("1"), {}]).to_string(), "400 bad-event"),
        (CE_BATCH, json!(many).to_string(), "400 bad-event"),
        ("text/plain", "x".to_owned(), "415 wrong-content-type"),
        ("application/cloudevents+avro", "x".to_owned(), "415 wrong-content-type"),
    ] {
        assert_eq!(report(&house, kind, body).await.code(), code);
    }
    assert!(lines(&house).is_empty());
}

#[tokio::test]
async fn otlp_is_answered_in_its_own_words() {
    let house = House::usual().await;
    let token = house.token("bot").await;
    let long = json!([{ "key": "k", "value": { "stringValue": "x".repeat(9_000) } }]);
    let records = json!([{ "body": { "stringValue": "a" } }, { "attributes": long }]);
    let body = json!({ "resourceLogs": [{ "scopeLogs": [{ "logRecords": records }] }] }).to_string();
    for path in ["/v1/logs", "/v1/activity"] {
        let answer =
            house.ask("POST", path).bearer(&token).raw("application/json", body.clone()).send().await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert_eq!(answer.body["partialSuccess"]["rejectedLogRecords"], "1");
    }
    assert_eq!(lines(&house).len(), 2);
    let bad = house.ask("POST", "/v1/logs").bearer(&token).raw("application/json", "[]").send().await;
    assert_eq!((bad.status, bad.body["code"].as_u64()), (400, Some(3)));
    let bad =
        house.ask("POST", "/v1/logs").bearer(&token).raw("application/x-protobuf", [255, 255]).send().await;
    assert_eq!((bad.status, bad.header("content-type")), (400, "application/x-protobuf"));
    let nobody = house.ask("POST", "/v1/logs").raw("application/json", "{}").send().await;
    assert_eq!((nobody.status, nobody.body["code"].as_u64()), (401, Some(16)));
    assert!(nobody.header("www-authenticate").starts_with("Bearer"));
}

#[tokio::test]
async fn the_trail_is_for_administrators_and_tells_what_was_reported() {
    let house = House::usual().await;
    assert_eq!(report(&house, CE, cloud_event("1").to_string()).await.status, 200);
    let (admin, other, agent) =
        (house.session("ada").await, house.session("bob").await, house.token("bot").await);
    for path in ["/v1/trail", "/v1/trail/events", "/v1/sinks"] {
        assert_eq!(house.ask("GET", path).bearer(&other).send().await.status, 403);
        assert_eq!(house.ask("GET", path).bearer(&agent).send().await.status, 403);
        assert_eq!(house.ask("GET", path).send().await.status, 401);
    }
    let bad = house.ask("GET", "/v1/trail?format=xml").bearer(&admin).send().await;
    assert_eq!(bad.code(), "400 malformed");
    let csv = house.ask("GET", "/v1/trail?format=csv&to=3").bearer(&admin).send().await;
    assert_eq!(csv.header("content-disposition"), "attachment");
    assert_eq!(csv.body.as_str().unwrap().lines().count(), 4);

    let stream = house.ask("GET", "/v1/trail/events?from=0").bearer(&admin);
    let mut body = stream.with("last-event-id", "2").open().await.into_body().into_data_stream();
    let first = body.next().await.unwrap().unwrap();
    let first = str::from_utf8(&first).unwrap();
    assert!(first.contains("event: trail") && first.contains("\"index\":2,"), "{first}");
    let sinks = house.ask("GET", "/v1/sinks").bearer(&admin).send().await;
    assert_eq!(sinks.body, json!({ "sinks": [] }));
}

#[test]
fn cloud_events_are_read_as_the_specification_says() {
    let read = |change: Value| {
        let mut event = cloud_event("1");
        for (name, value) in change.as_object().unwrap() {
            event[name] = value.clone();
        }
        structured(event.to_string().as_bytes()).map(|mut events| events.remove(0))
    };
    let event = read(json!({})).unwrap();
    assert_eq!(event.trace.as_deref(), Some("0af7651916cd43dd8448eb211c80319c"));
    assert_eq!(event.occurred.unwrap().micros(), 1_767_323_045_500_000);
    assert_eq!(event.attributes["attempt"], Fact::Int(2));
    assert_eq!(event.data, Some(Data::Text("{\"rows\":100,\"share\":0.5}".to_owned())));
    let plain = read(json!({ "datacontenttype": "text/plain", "data": "hello" })).unwrap();
    assert_eq!(plain.data, Some(Data::Text("hello".to_owned())));
    let quoted = read(json!({ "data": "hello" })).unwrap();
    assert_eq!(quoted.data, Some(Data::Text("\"hello\"".to_owned())));
    assert!(read(json!({ "subject": null, "data": null })).unwrap().subject.is_none());
    for bad in [
        json!({ "id": "" }),
        json!({ "id": 1 }),
        json!({ "type": null }),
        json!({ "time": "yesterday" }),
        json!({ "time": "1969-01-01T00:00:00Z" }),
        json!({ "Attempt": 1 }),
        json!({ "attempt": 2_147_483_648_u64 }),
        json!({ "attempt": 0.5 }),
        json!({ "attempt": {} }),
        json!({ "data_base64": "AA==" }),
    ] {
        assert!(read(bad.clone()).is_err(), "{bad}");
    }
    let twice = r#"{"specversion":"1.0","id":"1","id":"2","source":"a","type":"b"}"#;
    assert!(structured(twice.as_bytes()).unwrap_err().contains("twice"));
    assert!(batch(b"[]").unwrap().is_empty());

    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("ce-specversion", "1.0"),
        ("ce-id", "1"),
        ("ce-source", "/a%20b"),
        ("ce-type", "t"),
        ("ce-subject", "Euro%20%E2%82%AC"),
        ("content-type", "application/octet-stream"),
    ] {
        headers.insert(name, value.parse().unwrap());
    }
    let event = binary(&headers, &[0xff, 0]).unwrap().remove(0);
    assert_eq!((event.source.as_str(), event.subject.as_deref()), ("/a b", Some("Euro €")));
    assert!(matches!(event.data, Some(Data::Bytes(_))));
    headers.insert("ce-data", "x".parse().unwrap());
    assert!(binary(&headers, b"").is_err());
}

#[test]
fn both_encodings_of_otlp_read_the_same() {
    let json = json!({ "resourceLogs": [{
        "resource": { "attributes": [{ "key": "service.name", "value": { "stringValue": "bot" } }] },
        "scopeLogs": [{ "scope": { "name": "models" }, "logRecords": [{
            "timeUnixNano": "1700000000000001000", "severityNumber": 9, "traceId": "5b8efff798038103d269b633813fc60c",
            "eventName": "gen_ai.choice", "body": { "kvlistValue": { "values": [{ "key": "a", "value": { "intValue": "1" } }] } },
            "attributes": [
                { "key": "gen_ai.request.model", "value": { "stringValue": "large-1" } },
                { "key": "share", "value": { "doubleValue": 0.25 } },
                { "key": "big", "value": { "intValue": "9223372036854775807" } },
                { "key": "list", "value": { "arrayValue": { "values": [{ "boolValue": true }, {}] } } },
            ],
        }] }],
    }] });
    let records = otlp::read(Wire::Json, json.to_string().as_bytes()).unwrap();
    let event = &records.events[0];
    assert!(event.is_model());
    assert_eq!((event.source.as_str(), event.kind.as_str()), ("bot/models", "gen_ai.choice"));
    assert_eq!(event.subject.as_deref(), Some("large-1"));
    assert_eq!(event.occurred.unwrap().micros(), 1_700_000_000_000_001);
    assert_eq!(event.attributes["share"], Fact::Text("0.25".to_owned()));
    assert_eq!(event.attributes["big"], Fact::Text("9223372036854775807".to_owned()));
    assert_eq!(event.attributes["list"], Fact::Text("[true,null]".to_owned()));
    assert_eq!(event.data, Some(Data::Text("{\"a\":1}".to_owned())));
    let bytes = otlp::protobuf_of_json(json).unwrap();
    assert_eq!(otlp::read(Wire::Protobuf, &bytes).unwrap(), records);
}

/// What many records share stands once in a request, and in each one's line: a request of some kilobytes must not come to
/// gigabytes.
#[test]
fn what_records_share_is_counted_for_each() {
    let resource = |length: usize, count: usize| {
        let pair = |n| json!({ "key": format!("k{n}"), "value": { "stringValue": "x".repeat(length) } });
        json!({ "attributes": (0..count).map(pair).collect::<Vec<_>>() })
    };
    let read = |resource: Value| {
        let records = vec![json!({}); REPORTED_EVENTS];
        let logs = json!({ "resource": resource, "scopeLogs": [{ "logRecords": records }] });
        let body = json!({ "resourceLogs": [logs] });
        otlp::read(Wire::Json, body.to_string().as_bytes()).unwrap()
    };
    let usual = read(resource(100, 5));
    assert_eq!((usual.events.len(), usual.rejected), (REPORTED_EVENTS, 0));
    let large = read(resource(8_000, 30));
    let written: usize = large.events.iter().map(Reported::written).sum();
    assert!(written <= REPORTED_BYTES, "{written}");
    assert_eq!(large.events.len() as u64 + large.rejected, REPORTED_EVENTS as u64);
    assert!(large.why.contains("send fewer"), "{}", large.why);
    for (resource, why) in [
        (resource(8_000, 100), "a resource has at most 262144 bytes"),
        (resource(1, 129), "a resource has at most 128 attributes"),
    ] {
        let refused = read(resource);
        assert_eq!((refused.events.len(), refused.rejected), (0, REPORTED_EVENTS as u64));
        assert_eq!(refused.why, why);
    }
}

/// Escapes make a line six times as long as what it holds; the line is what counts.
#[test]
fn an_event_is_held_against_its_length_as_it_is_written() {
    let control = "\u{1}".repeat(8_000);
    let pairs: Vec<_> =
        (0..6).map(|n| json!({ "key": format!("k{n}"), "value": { "stringValue": control } })).collect();
    let body =
        json!({ "resourceLogs": [{ "scopeLogs": [{ "logRecords": [{ "attributes": pairs }, {}] }] }] });
    let read = otlp::read(Wire::Json, body.to_string().as_bytes()).unwrap();
    assert_eq!((read.events.len(), read.rejected), (1, 1), "{}", read.why);
}

#[test]
fn an_id_that_is_not_hexadecimal_is_refused() {
    for id in ["+f+f+f+f+f+f+f+f", "0g", "abc", "\u{e4}\u{e4}"] {
        let body = json!({ "resourceLogs": [{ "scopeLogs": [{ "logRecords": [{ "spanId": id }] }] }] });
        assert!(otlp::read(Wire::Json, body.to_string().as_bytes()).is_err(), "{id}");
    }
}

#[test]
fn nesting_without_end_is_refused() {
    let deep = |open: &str, close: &str| format!("{}{}", open.repeat(100_000), close.repeat(100_000));
    let list = format!(r#"{{"resourceLogs":{}}}"#, deep("[", "]"));
    assert!(otlp::read(Wire::Json, list.as_bytes()).is_err());
    assert!(structured(deep("{\"data\":", "}").as_bytes()).is_err());
    // A protobuf value within a value within a value: field 5 (list), field 1 (values).
    let mut bytes = Vec::new();
    for _ in 0..5_000 {
        for tag in [0x0a_u8, 0x2a] {
            let mut outer = vec![tag];
            let mut length = bytes.len();
            while length >= 0x80 {
                outer.push(length.to_le_bytes()[0] | 0x80);
                length >>= 7;
            }
            outer.push(length.to_le_bytes()[0]);
            outer.extend_from_slice(&bytes);
            bytes = outer;
        }
    }
    for tag in [0x2a_u8, 0x12, 0x12, 0x0a] {
        let mut outer = vec![tag];
        let mut length = bytes.len();
        while length >= 0x80 {
            outer.push(length.to_le_bytes()[0] | 0x80);
            length >>= 7;
        }
        outer.push(length.to_le_bytes()[0]);
        outer.extend_from_slice(&bytes);
        bytes = outer;
    }
    assert!(otlp::read(Wire::Protobuf, &bytes).is_err());
}

/// A small body of gzip that is a large one of JSON.
#[tokio::test]
async fn what_is_too_large_out_of_its_compression_is_refused() {
    use std::io::Write as _;
    let house = House::usual().await;
    let token = house.token("bot").await;
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    packed.write_all(&vec![b' '; 64 << 20]).unwrap();
    let bomb = packed.finish().unwrap();
    assert!(bomb.len() < 100_000);
    let answer = house
        .ask("POST", "/v1/logs")
        .bearer(&token)
        .with("content-encoding", "gzip")
        .raw("application/json", bomb)
        .send()
        .await;
    assert_eq!(answer.status, 413, "{}", answer.body);
}

proptest::proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300)) {
        let _ = otlp::read(Wire::Protobuf, &bytes);
        let _ = otlp::read(Wire::Json, &bytes);
        let _ = structured(&bytes);
        let _ = batch(&bytes);
    }
}
