//! Operations out of OpenAPI documents.

use super::*;
use crate::http::config::Operation;

fn lines(json: &str) -> Result<Vec<String>, String> {
    let line = |operation: &Operation| {
        let resource = operation.resource.as_deref().unwrap_or("path");
        format!("{} {} {resource}", operation.title(), operation.verb.unwrap())
    };
    let operations = Route::operations_from_openapi(json).map_err(|error| error.to_string())?;
    Ok(operations.iter().map(line).collect())
}

#[test]
fn each_path_and_method_is_an_operation() {
    let json = r#"{
        "openapi": "3.1.0", "info": { "version": 1.5 }, "servers": [{ "url": "/v1" }],
        "paths": {
            "x-note": "not a path",
            "/queues/{name}": {
                "summary": "a queue", "parameters": [],
                "get": {}, "delete": { "x-countersign-resource": "queues/{name}" }, "trace": {},
                "post": { "x-countersign-verb": "http.destroy" }
            },
            "/reports": { "x-countersign-verb": "http.export", "get": {}, "head": { "x-countersign-verb": "http.read" } }
        }
    }"#;
    let expected = [
        "DELETE /queues/{name} http.delete queues/{name}",
        "GET /queues/{name} http.get path",
        "POST /queues/{name} http.destroy path",
        "GET /reports http.export path",
        "HEAD /reports http.read path",
    ];
    assert_eq!(lines(json).unwrap(), expected);

    // They are a route's operations as they are.
    let mut document: serde_json::Value = serde_json::from_str(&route("").to_document().unwrap()).unwrap();
    document["operations"] = serde_json::to_value(Route::operations_from_openapi(json).unwrap()).unwrap();
    assert_eq!(Route::parse_json(&document.to_string()).unwrap().settings().operations.len(), 5);
}

#[test]
fn what_cannot_be_turned_into_operations_is_told() {
    let many: Vec<_> = (0..2_001).map(|n| format!("\"/{n}\": {{ \"get\": {{}} }}")).collect();
    for (json, words) in [
        ("", "EOF"),
        ("openapi: 3.1.0", "expected"),
        ("{}", "no `paths`"),
        (r#"{"paths":{"/a":{"get":{}},"/a":{"get":{}}}}"#, "twice"),
        (r#"{"paths":{"a":{}}}"#, "begins with `/`"),
        (r#"{"paths":{"/{a}...{b}":{}}}"#, "more than one variable"),
        (r#"{"paths":{"/a":[]}}"#, "no path item"),
        (r##"{"paths":{"/a":{"$ref":"#/x"}}}"##, "bundle"),
        (r#"{"paths":{"/a":{"get":1}}}"#, "no operation"),
        (r#"{"paths":{"/a":{"get":{"x-countersign-verb":"http.erase"}}}}"#, "a verb of the vocabulary"),
        (r#"{"paths":{"/a":{"get":{"x-countersign-verb":1}}}}"#, "no text"),
        (&format!("{{\"paths\":{{{}}}}}", many.join(",")), "2001 operations, and the limit is 2000"),
    ] {
        let error = lines(json).expect_err(words);
        assert!(error.contains(words), "{json:.60}: {error}");
    }
}
