//! Operations out of an `OpenAPI` (or Swagger) document. The route's document keeps the operations, not the
//! document they came from: what decides is what was reviewed, and its digest covers it.

use std::collections::BTreeMap;

use domain::verb::Verb;
use serde_json::{Map, Value};

use super::body::{JsonProblem, check_json};
use super::config::{BadRoute, OPERATIONS_LIMIT, Operation, Route};
use super::template::Template;

/// The largest `OpenAPI` document that is read, in bytes; GitHub's has 12 million.
pub const OPENAPI_LIMIT_BYTES: usize = 32 << 20;

/// The methods that an `OpenAPI` path item may have, but `trace`, which is never passed on.
const METHODS: [&str; 7] = ["get", "put", "post", "delete", "options", "head", "patch"];

impl Route {
    /// The operations of an `OpenAPI` document in JSON: each path and method is one, its verb is what the
    /// method says, its resource is the path. `x-countersign-verb`, at the operation or its path, says
    /// another verb, and `x-countersign-resource` another resource. Servers' base paths are not looked at:
    /// they belong into the route's `upstream` or `prefix`.
    ///
    /// # Errors
    /// No JSON, no `paths`, a path that is no template of ours, an unknown verb, or more operations than a
    /// route may have.
    pub fn operations_from_openapi(json: &str) -> Result<Vec<Operation>, BadRoute> {
        let bad = |why: String| BadRoute::OpenApi(why);
        if json.len() > OPENAPI_LIMIT_BYTES {
            return Err(bad(format!("it has {} bytes, and the limit is {OPENAPI_LIMIT_BYTES}", json.len())));
        }
        match check_json(json) {
            Ok(()) | Err(JsonProblem::Alike) => {}
            Err(problem @ (JsonProblem::Twice(_) | JsonProblem::Syntax(_))) => {
                return Err(bad(problem.to_string()));
            }
        }
        let document: Value = serde_json::from_str(json).map_err(|error| bad(error.to_string()))?;
        let paths = document
            .get("paths")
            .and_then(Value::as_object)
            .ok_or_else(|| bad("it has no `paths`; convert YAML to JSON first".to_owned()))?;
        let mut operations = Vec::new();
        for (path, item) in paths.iter().filter(|(path, _)| !path.starts_with("x-")) {
            Template::read(path).map_err(|why| bad(format!("`{path}`: {why}")))?;
            let item = item.as_object().ok_or_else(|| bad(format!("`{path}` is no path item")))?;
            if item.contains_key("$ref") {
                return Err(bad(format!("`{path}` is a `$ref`; bundle the document first")));
            }
            for (method, operation) in item.iter().filter(|(key, _)| METHODS.contains(&key.as_str())) {
                let operation =
                    operation.as_object().ok_or_else(|| bad(format!("`{method} {path}` is no operation")))?;
                operations.push(read(path, method, item, operation)?);
            }
        }
        // Whatever order the reader of JSON keeps: one document gives one route, and so one digest.
        operations.sort_by(|one, two| (&one.path, &one.method).cmp(&(&two.path, &two.method)));
        if operations.len() > OPERATIONS_LIMIT {
            return Err(BadRoute::TooMany {
                setting: "operations".to_owned(),
                actual: operations.len(),
                limit: OPERATIONS_LIMIT,
                unit: "operations",
            });
        }
        Ok(operations)
    }
}

fn read(
    path: &str,
    method: &str,
    item: &Map<String, Value>,
    operation: &Map<String, Value>,
) -> Result<Operation, BadRoute> {
    let extension = |name: &str| match operation.get(name).or_else(|| item.get(name)) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(BadRoute::OpenApi(format!("`{name}` of `{method} {path}` is no text"))),
    };
    let method = method.to_ascii_uppercase();
    let verb = match extension("x-countersign-verb")? {
        None => Verb::of_method(&method),
        Some(text) => {
            text.parse().map_err(|error| BadRoute::OpenApi(format!("`{method} {path}`: {error}")))?
        }
    };
    Ok(Operation {
        method,
        path: path.to_owned(),
        query: BTreeMap::new(),
        verb: Some(verb),
        resource: extension("x-countersign-resource")?,
        labels: BTreeMap::new(),
        graphql: false,
    })
}
