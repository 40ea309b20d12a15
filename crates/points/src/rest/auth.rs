//! Who calls. Two classes of credential that never meet: an agent's access token (a JWT, two dots), and a
//! human's session (one dot), in the cookie or as a bearer's token.

use axum::extract::{FromRequestParts, MatchedPath};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, COOKIE, ORIGIN, SET_COOKIE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method};
use axum::response::{IntoResponse, Response};
use domain::id::PersonId;
use domain::principal::Principal;
use gateway::admit::Caller;
use gateway::identity::SessionToken;
use gateway::identity::limits::SESSION_ABSOLUTE;
use gateway::people::Human;
use gateway::{Gateway, GatewayError};

use super::parse::{is_json, wrong_type};
use super::reply::Problem;
use super::{App, Rest};

/// The cookie that carries a session.
pub const COOKIE_NAME: &str = "countersign_session";

/// An agent or a human.
#[derive(Debug)]
pub(super) struct AnyCaller {
    /// Who calls, and for whom.
    pub(super) caller: Caller,
    /// The human, where it is one.
    pub(super) human: Option<Human>,
    token: Option<AgentToken>,
}

/// A human with a session.
#[derive(Debug)]
pub(super) struct HumanCaller(pub(super) Human);

/// An agent's token, kept for a stream that asks again. It is not printed.
struct AgentToken(String);

impl std::fmt::Debug for AgentToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AgentToken(..)")
    }
}

impl AnyCaller {
    pub(super) fn principal(&self) -> Principal {
        self.caller.principal()
    }

    /// Whether this caller would be let in still.
    pub(super) async fn still_in(&self, gateway: &Gateway) -> Result<bool, GatewayError> {
        match (&self.human, &self.token) {
            (Some(human), _) => gateway.is_signed_in(human).await,
            (None, Some(token)) => Ok(gateway.admit_agent(&token.0).is_ok()),
            (None, None) => Ok(false),
        }
    }
}

impl FromRequestParts<App> for AnyCaller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        match credential(&parts.headers)? {
            Credential::Agent(token) => {
                let caller = app.gateway.admit_agent(token)?;
                Ok(Self { caller, human: None, token: Some(AgentToken(token.to_owned())) })
            }
            Credential::Session(token) => Ok(Self::of(app, app.gateway.admit_session(token).await?)),
            Credential::Cookie(token) => {
                let human = app.gateway.admit_session(token).await?;
                same_origin(parts, app)?;
                Ok(Self::of(app, human))
            }
        }
    }
}

impl AnyCaller {
    fn of(app: &Rest, human: Human) -> Self {
        Self { caller: app.gateway.caller_of(&human), human: Some(human), token: None }
    }
}

impl FromRequestParts<App> for HumanCaller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        match AnyCaller::from_request_parts(parts, app).await?.human {
            Some(human) => Ok(Self(human)),
            None => {
                let path = parts.extensions.get::<MatchedPath>().map_or("", MatchedPath::as_str);
                Err(agent_cannot(path))
            }
        }
    }
}

/// What an agent tried that only people do.
fn agent_cannot(path: &str) -> Problem {
    let detail =
        "an agent's credential never does this; a human does it, in the console or with their own session";
    let is_about = |words: &[&str]| words.iter().any(|word| path.split('/').any(|part| part == *word));
    let code = if is_about(&["statements", "reviews", "later-review", "withdraw", "payload"]) {
        "agent-cannot-review"
    } else if is_about(&["people", "groups", "agents", "routes", "policy"]) {
        "agent-cannot-administer"
    } else {
        "people-only"
    };
    Problem::forbidden(code, detail)
}

enum Credential<'a> {
    Agent(&'a str),
    Session(&'a str),
    Cookie(&'a str),
}

/// The one credential of a request.
fn credential(headers: &HeaderMap) -> Result<Credential<'_>, Problem> {
    let mut found = Vec::new();
    for value in headers.get_all(AUTHORIZATION) {
        let token = value.to_str().ok().and_then(bearer).ok_or_else(|| {
            Problem::unauthenticated("`Authorization` is expected to be `Bearer` and one token")
        })?;
        found.push(match token.matches('.').count() {
            1 => Credential::Session(token),
            _ => Credential::Agent(token),
        });
    }
    for value in headers.get_all(COOKIE) {
        let pairs =
            value.to_str().unwrap_or_default().split(';').filter_map(|pair| pair.trim().split_once('='));
        found.extend(
            pairs.filter(|(name, _)| *name == COOKIE_NAME).map(|(_, token)| Credential::Cookie(token)),
        );
    }
    let (one, another) = (found.pop(), found.pop());
    match (one, another) {
        (Some(one), None) => Ok(one),
        (Some(_), Some(_)) => Err(Problem::unauthenticated("the request carries two credentials; send one")),
        (None, _) => {
            let detail = "sign in: send an agent's access token or a session as `Authorization: Bearer`";
            Err(Problem::unauthenticated(detail))
        }
    }
}

fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    let token = token.trim_start_matches(' ');
    (scheme.eq_ignore_ascii_case("bearer")
        && !token.is_empty()
        && token.bytes().all(|b| b.is_ascii_graphic()))
    .then_some(token)
}

/// A browser sends the cookie whoever asked it to; so whatever changes something must come from a page of
/// ours, in a form that no other page can send unasked (Fetch, "CORS-safelisted request-header").
fn same_origin(parts: &Parts, app: &Rest) -> Result<(), Problem> {
    if is_safe(&parts.method) {
        return Ok(());
    }
    if !parts.headers.contains_key(ORIGIN) {
        return Err(cross_origin());
    }
    from_elsewhere(&parts.headers, app)?;
    if parts.headers.contains_key(CONTENT_TYPE) && is_json(&parts.headers) {
        Ok(())
    } else {
        Err(wrong_type("application/json"))
    }
}

/// Refuses a request that says it comes from another origin's page, whatever its credential.
pub(super) fn from_elsewhere(headers: &HeaderMap, app: &Rest) -> Result<(), Problem> {
    let mut origins = headers.get_all(ORIGIN).iter();
    if origins.all(|origin| origin.as_bytes() == app.web_origin.as_bytes()) {
        Ok(())
    } else {
        Err(cross_origin())
    }
}

fn cross_origin() -> Problem {
    let detail = "this did not come from a page of this deployment; open the console at its public URL";
    Problem::forbidden("cross-origin", detail)
}

pub(super) fn is_safe(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

/// A public URL's origin, as browsers send it: scheme and authority.
pub(super) fn web_origin(public_url: &str) -> String {
    let after_scheme = public_url.find("://").map_or(0, |at| at + 3);
    let end = public_url.get(after_scheme..).and_then(|rest| rest.find('/'));
    let end = end.map_or(public_url.len(), |at| after_scheme + at);
    public_url.get(..end).unwrap_or_default().to_ascii_lowercase()
}

/// An answer that hands over a session, in the cookie and nowhere else.
pub(super) fn with_session(
    app: &Rest,
    token: &SessionToken,
    body: impl IntoResponse,
) -> Result<Response, Problem> {
    let secure = if app.web_origin.starts_with("https://") { "; Secure" } else { "" };
    let age = SESSION_ABSOLUTE.seconds();
    set_cookie(
        body,
        format!("{COOKIE_NAME}={}; Path=/; HttpOnly; SameSite=Strict; Max-Age={age}{secure}", token.expose()),
    )
}

/// An answer that takes the cookie away.
pub(super) fn without_session(body: impl IntoResponse) -> Result<Response, Problem> {
    set_cookie(body, format!("{COOKIE_NAME}=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0"))
}

fn set_cookie(body: impl IntoResponse, cookie: String) -> Result<Response, Problem> {
    let mut value = HeaderValue::try_from(cookie).map_err(|_| Problem::not_found("session"))?;
    value.set_sensitive(true);
    let mut response = body.into_response();
    response.headers_mut().append(SET_COOKIE, value);
    Ok(response)
}

/// The name of somebody as the directory has it.
pub(super) fn name_of(app: &Rest, person: PersonId) -> String {
    gateway::card::name_of(Principal::Person(person), &app.gateway.directory())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_scheme_and_authority() {
        assert_eq!(web_origin("http://localhost:7676"), "http://localhost:7676");
        assert_eq!(web_origin("https://Countersign.example/console/"), "https://countersign.example");
    }

    #[test]
    fn a_request_has_one_credential() {
        let check = |pairs: &[(&'static str, &'static str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                headers.append(*name, HeaderValue::from_static(value));
            }
            match credential(&headers) {
                Ok(Credential::Agent(token)) => format!("agent {token}"),
                Ok(Credential::Session(token)) => format!("session {token}"),
                Ok(Credential::Cookie(token)) => format!("cookie {token}"),
                Err(problem) => problem.status().to_string(),
            }
        };
        assert_eq!(check(&[("authorization", "Bearer a.b.c")]), "agent a.b.c");
        assert_eq!(check(&[("authorization", "bearer a.b")]), "session a.b");
        assert_eq!(check(&[("cookie", "x=1; countersign_session=a.b; y=2")]), "cookie a.b");
        for refused in [
            &[][..],
            &[("authorization", "Basic YTpi")],
            &[("authorization", "Bearer")],
            &[("authorization", "Bearer a b")],
            &[("authorization", "Bearer a.b"), ("authorization", "Bearer a.b")],
            &[("authorization", "Bearer a.b"), ("cookie", "countersign_session=a.b")],
            &[("cookie", "countersign_session=a.b; countersign_session=c.d")],
            &[("cookie", "other=a.b")],
        ] {
            assert_eq!(check(refused), "401 Unauthorized", "{refused:?}");
        }
    }
}
