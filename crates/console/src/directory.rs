//! People, agents, routes and policy as they stand, and the forms by which an administrator proposes changes.

pub(crate) mod view;

use std::sync::Arc;

use axum::extract::State;
use domain::directory::Directory;
use domain::id::GroupName;
use domain::time::Timestamp;
use gateway::Gateway;
use gateway::policy::{Effect, PolicySet};
use maud::Markup;

use crate::failure::Failure;
use crate::frame::{Frame, Page, Room};
use crate::viewer::{SignedIn, Viewer};

/// What the rooms are rendered from.
pub(crate) struct Look<'a> {
    pub(crate) directory: &'a Directory,
    pub(crate) viewer: &'a Viewer,
    /// Whether another administrator is asked about each change.
    pub(crate) reviewed: bool,
    pub(crate) now: Timestamp,
}

/// A rule of the policy, in words.
pub(crate) struct RuleRow {
    pub(crate) id: String,
    pub(crate) does: String,
    pub(crate) why: String,
    pub(crate) shadow: bool,
    pub(crate) built_in: bool,
}

/// `GET /people`.
pub(crate) async fn people(
    State(gateway): State<Arc<Gateway>>,
    signed_in: SignedIn,
) -> Result<Page, Failure> {
    Ok(room(&gateway, &signed_in, Room::People, "People", view::people))
}

/// `GET /agents`.
pub(crate) async fn agents(
    State(gateway): State<Arc<Gateway>>,
    signed_in: SignedIn,
) -> Result<Page, Failure> {
    Ok(room(&gateway, &signed_in, Room::Agents, "Agents", view::agents))
}

/// `GET /routes`.
pub(crate) async fn routes(
    State(gateway): State<Arc<Gateway>>,
    signed_in: SignedIn,
) -> Result<Page, Failure> {
    Ok(room(&gateway, &signed_in, Room::Routes, "Routes", view::routes))
}

/// `GET /policy`.
pub(crate) async fn policy(
    State(gateway): State<Arc<Gateway>>,
    signed_in: SignedIn,
) -> Result<Page, Failure> {
    let rules = rules(&gateway.directory());
    Ok(room(&gateway, &signed_in, Room::Policy, "Policy", |look| view::policy(look, &rules)))
}

fn room(
    gateway: &Gateway,
    signed_in: &SignedIn,
    room: Room,
    title: &str,
    view: impl FnOnce(&Look<'_>) -> Markup,
) -> Page {
    let (directory, viewer, now) = (gateway.directory(), signed_in.viewer(gateway), gateway.now());
    let group = GroupName::admins();
    let mut admins = directory.members(&group);
    let reviewed = admins.any(|person| !person.keys.is_empty() && person.id != signed_in.0.person);
    let content = view(&Look { directory: &directory, viewer: &viewer, reviewed, now });
    Page(Frame { title, room, viewer: &viewer, scripts: &["directory.js"], now }.around(&content))
}

/// The rules of the policy that stands, with the built-in ones.
pub(crate) fn rules(directory: &Directory) -> Vec<RuleRow> {
    let text = directory.policy().map(|policy| policy.text.as_str()).unwrap_or_default();
    let Ok(set) = PolicySet::load(text) else { return Vec::new() };
    set.rules()
        .map(|rule| RuleRow {
            id: rule.id.to_string(),
            does: match &rule.effect {
                Effect::Permit => "permits".to_owned(),
                Effect::Forbid => "denies".to_owned(),
                Effect::Hold(terms) => {
                    let any: Vec<_> = terms.ways().iter().map(crate::words::way).collect();
                    format!("holds for {}, waits {}", any.join(" or "), crate::words::span(terms.ttl))
                }
            },
            why: rule.why.clone(),
            shadow: rule.shadow,
            built_in: rule.line.is_none(),
        })
        .collect()
}
