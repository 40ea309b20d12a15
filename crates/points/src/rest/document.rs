//! The API's document: its head, and the refusals that follow from an operation's shape, so that each
//! operation states every status it can answer with.

use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::{ContentBuilder, OpenApi, Ref, RefOr, ResponseBuilder};
use utoipa::{Modify, OpenApi as _};

use super::auth::COOKIE_NAME;
use super::reply::{PROBLEM_JSON, ProblemBody};

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Countersign",
        description = "Holds dangerous actions until the right humans approve.\n\nTimes are microseconds since \
                       1970-01-01T00:00:00Z. Bodies are strict JSON: a key stands once, numbers are integers within \
                       2^53, and unknown fields are refused. Refusals are `application/problem+json` (RFC 9457) whose \
                       `type` ends in a stable code.",
    ),
    components(schemas(ProblemBody)),
    modifiers(&Credentials),
    tags(
        (name = "actions", description = "Actions that their caller runs itself"),
        (name = "approvals", description = "Held actions, as those who wait or review see them"),
        (name = "reviews", description = "Verdicts by passkey, questions and answers, later reviews of broken glass"),
        (name = "people", description = "People, groups and passkeys"),
        (name = "agents", description = "Agents, their sponsors and keys"),
        (name = "routes", description = "What stands behind the HTTP proxy"),
        (name = "policy", description = "The Cedar policy set"),
        (name = "sessions", description = "Signing in"),
        (name = "log", description = "The transparency log"),
        (name = "activity", description = "What others report that they did"),
        (name = "trail", description = "What happened, for other systems"),
    )
)]
struct Head;

struct Credentials;

impl Modify for Credentials {
    fn modify(&self, document: &mut OpenApi) {
        let components = document.components.get_or_insert_default();
        let bearer = |format: &str, what: &str| {
            let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format(format);
            SecurityScheme::Http(scheme.description(Some(what)).build())
        };
        let agent = bearer("JWT", "An agent's access token, from `POST /v1/token`");
        components.add_security_scheme("agent", agent);
        let session = bearer("session", "A human's session, as the command line holds it");
        components.add_security_scheme("session", session);
        let what = "A human's session in the browser. What changes something carries `Origin` and JSON too";
        let cookie = ApiKey::Cookie(ApiKeyValue::with_description(COOKIE_NAME, what));
        components.add_security_scheme("cookie", SecurityScheme::ApiKey(cookie));
    }
}

pub(super) fn head() -> OpenApi {
    Head::openapi()
}

/// Adds to each operation the refusals that its shape brings with it, where it does not state them itself.
pub(super) fn complete(document: &mut OpenApi) {
    for (path, item) in &mut document.paths.paths {
        let PathItem { get, put, post, delete, .. } = item;
        for (operation, changes) in [(get, false), (put, true), (post, true), (delete, true)] {
            if let Some(operation) = operation {
                complete_one(operation, path.contains('{'), changes);
            }
        }
    }
}

fn complete_one(operation: &mut Operation, has_path: bool, changes: bool) {
    // An empty requirement is how "nobody has to be signed in" is written.
    let anybody = SecurityRequirement::default();
    let open = operation.security.iter().flatten().all(|requirement| *requirement == anybody);
    let has_parameters = operation.parameters.as_ref().is_some_and(|parameters| !parameters.is_empty());
    let has_body = operation.request_body.is_some();
    let mut add = |applies: bool, status: &str, what: &str| {
        if applies && !operation.responses.responses.contains_key(status) {
            operation.responses.responses.insert(status.to_owned(), problem(what));
        }
    };
    add(has_parameters || has_body, "400", "The request is not as it must be");
    add(!open, "401", "No credential, or none that is good");
    add(!open || changes, "403", "This caller may not do this, or not from here");
    add(has_path, "404", "There is no such thing, or none that this caller may see");
    add(!open && changes, "409", "What stands does not allow this; the code says why");
    add(has_body || !open, "413", "The request, or a part of it, is too large");
    add(has_body || changes, "415", "The body is of another content type");
    add(open && changes, "429", "Too many tries; retry after `Retry-After` seconds");
    add(true, "500", "What is stored was altered; an operator must look");
    add(true, "503", "Busy, or nothing can be recorded now; retry after `Retry-After` seconds");
}

fn problem(what: &str) -> RefOr<utoipa::openapi::Response> {
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
    ResponseBuilder::new().description(what).content(PROBLEM_JSON, content).build().into()
}
