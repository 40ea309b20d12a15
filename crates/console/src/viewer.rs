//! Who looks at a page: the session in the cookie, checked anew for each request.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::header::COOKIE;
use axum::http::request::Parts;
use domain::id::{GroupName, PersonId};
use gateway::people::Human;
use gateway::{Gateway, GatewayError};

use crate::failure::Failure;

/// The cookie that carries the session.
const COOKIE_NAME: &str = "countersign_session";

/// Somebody who is signed in.
pub(crate) struct SignedIn(pub(crate) Human);

/// What pages say of whoever looks.
pub(crate) struct Viewer {
    /// Who.
    pub(crate) person: PersonId,
    /// Their name.
    pub(crate) name: String,
    /// Whether they administer the deployment; the gateway asks again before anything changes.
    pub(crate) admin: bool,
    /// What their scripts send beside the cookie.
    pub(crate) csrf: String,
}

impl SignedIn {
    /// Whoever looks, as pages name them.
    pub(crate) fn viewer(&self, gateway: &Gateway) -> Viewer {
        let directory = gateway.directory();
        let groups = directory.person(self.0.person).map(|person| &person.groups);
        Viewer {
            person: self.0.person,
            name: self.0.name.clone(),
            admin: groups.is_some_and(|groups| groups.contains(&GroupName::admins())),
            csrf: self.0.session.csrf.expose(),
        }
    }
}

impl FromRequestParts<Arc<Gateway>> for SignedIn {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, gateway: &Arc<Gateway>) -> Result<Self, Failure> {
        let here = || parts.uri.path_and_query().map_or_else(|| "/".to_owned(), ToString::to_string);
        let Some(token) = session_cookie(&parts.headers) else { return Err(Failure::SignIn(here())) };
        match gateway.admit_session(token).await {
            Ok(human) => Ok(Self(human)),
            Err(GatewayError::Unauthenticated(_)) => Err(Failure::SignIn(here())),
            Err(error) => Err(error.into()),
        }
    }
}

/// Whoever is signed in, for pages that do not need it.
pub(crate) async fn anybody(gateway: &Gateway, headers: &HeaderMap) -> Option<Human> {
    gateway.admit_session(session_cookie(headers)?).await.ok()
}

/// The one session cookie. Two of them are none: somebody else may have set one.
fn session_cookie(headers: &HeaderMap) -> Option<&str> {
    let lines = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
    let mut found = lines
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .filter_map(|(name, value)| (name == COOKIE_NAME).then_some(value));
    match (found.next(), found.next()) {
        (Some(token), None) => Some(token),
        (None | Some(_), _) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_session_is_read_only_where_it_stands_once() {
        let check = |lines: &[&str], expected: Option<&str>| {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(COOKIE, line.parse().unwrap());
            }
            assert_eq!(session_cookie(&headers), expected, "{lines:?}");
        };
        check(&["a=1; countersign_session=x.y; b=2"], Some("x.y"));
        check(&["countersign_session=x.y"], Some("x.y"));
        check(&["xcountersign_session=x.y"], None);
        check(&["countersign_session=x.y; countersign_session=z"], None);
        check(&["countersign_session=x.y", "countersign_session=z"], None);
        check(&[], None);
    }
}
