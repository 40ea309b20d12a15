//! Which route answers for a request: by host, then by the longest prefix.

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::action::Point;
use domain::canonical;
use domain::digest::Digest;
use domain::directory::RouteDocument;
use domain::id::TargetName;
use serde_json::Value;

use super::config::Route;
use super::path::CanonicalPath;
use super::refusal::Refusal;
use super::upstream::Authority;

/// A route as it stands: its settings, and the digest that every action on it names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The route.
    pub route: Route,
    /// The digest of its document.
    pub definition: Digest,
}

/// A stored route that answers for nothing until it is set anew.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the route `{name}` is out of order: {reason}; set it anew")]
pub struct RouteError {
    /// Which one.
    pub name: TargetName,
    /// What is wrong.
    pub reason: String,
}

/// All routes of the HTTP point.
///
/// A host that any route names belongs to the routes that name it: a request for it never falls through to a
/// route for any host. A route that is out of order keeps its place, and what is for it is refused. Where
/// even its place cannot be read, the route without host and prefix refuses too, for it would
/// otherwise get requests, and use its own credential on them, that were meant for the other.
#[derive(Debug, Clone, Default)]
pub struct RouteTable {
    /// Prefixes by host; `None` is any host, and the empty prefix is `/`.
    hosts: BTreeMap<Option<Authority>, BTreeMap<String, Claim>>,
}

#[derive(Debug, Clone)]
enum Claim {
    Stands(Arc<Standing>),
    Disabled { route: String, reason: String },
}

/// One route's places.
type Places = (Vec<Option<Authority>>, Option<CanonicalPath>);

impl RouteTable {
    /// The table of the directory's routes. Documents that another point owns are passed over.
    pub fn build<'d>(
        routes: impl IntoIterator<Item = (&'d TargetName, &'d RouteDocument)>,
    ) -> (Self, Vec<RouteError>) {
        let mut table = Self::default();
        let mut errors = Vec::new();
        let mut lost: Option<Claim> = None;
        for (name, document) in routes {
            if is_elsewhere(&document.text) {
                continue;
            }
            match read(name, document) {
                Ok(standing) => {
                    let hosts = standing.route.hosts().iter().cloned().map(Some).collect();
                    let places = (hosts, standing.route.prefix().cloned());
                    table.claim(name, places, &Claim::Stands(Arc::new(standing)), &mut errors);
                }
                Err(reason) => {
                    let claim = Claim::Disabled { route: name.to_string(), reason: reason.clone() };
                    match places(&document.text) {
                        Some(places) => table.claim(name, places, &claim, &mut errors),
                        None => lost = Some(claim),
                    }
                    errors.push(RouteError { name: name.clone(), reason });
                }
            }
        }
        if let Some(claim) = lost {
            table.hosts.entry(None).or_default().insert(String::new(), claim);
        }
        (table, errors)
    }

    /// The route that answers, and the path after its prefix.
    ///
    /// # Errors
    /// No route, or one that is out of order.
    pub fn pick(
        &self,
        host: &Authority,
        path: &CanonicalPath,
    ) -> Result<(Arc<Standing>, CanonicalPath), Refusal> {
        let without_port = host.without_port();
        let prefixes = [Some(host), Some(&without_port), None]
            .into_iter()
            .find_map(|key| self.hosts.get(&key.cloned()))
            .ok_or_else(|| Refusal::NoRoute(host.to_string()))?;
        let longest = prefixes
            .iter()
            .filter_map(|(prefix, claim)| Some((prefix.len(), claim, rest(prefix, path)?)))
            .max_by_key(|(length, ..)| *length);
        match longest {
            Some((_, Claim::Stands(standing), path)) => Ok((Arc::clone(standing), path)),
            Some((_, Claim::Disabled { route, reason }, _)) => {
                Err(Refusal::RouteDisabled { route: route.clone(), reason: reason.clone() })
            }
            None => Err(Refusal::NoRoute(format!("{host}{path}"))),
        }
    }

    /// The route of this name, where it stands: what was held on it is run through it.
    #[must_use]
    pub fn named(&self, name: &TargetName) -> Option<Arc<Standing>> {
        self.hosts.values().flat_map(BTreeMap::values).find_map(|claim| match claim {
            Claim::Stands(standing) if standing.route.name() == name => Some(Arc::clone(standing)),
            Claim::Stands(_) | Claim::Disabled { .. } => None,
        })
    }

    /// Takes a route's places. Where another has one already, neither gets it: which of them was meant
    /// cannot be known.
    fn claim(&mut self, name: &TargetName, places: Places, claim: &Claim, errors: &mut Vec<RouteError>) {
        let (mut hosts, prefix) = places;
        if hosts.is_empty() {
            hosts.push(None);
        }
        let prefix = prefix.map_or_else(String::new, |prefix| prefix.as_str().to_owned());
        for host in hosts {
            let at = host.as_ref().map_or_else(|| "*".to_owned(), ToString::to_string) + &prefix;
            let here = self.hosts.entry(host).or_default();
            match here.get_mut(&prefix) {
                None => {
                    here.insert(prefix.clone(), claim.clone());
                }
                Some(held) => {
                    let other = held.route();
                    let reason = format!("it answers for `{at}`, and so does `{other}`");
                    errors.push(RouteError { name: name.clone(), reason });
                    let reason = format!("both answer for `{at}`");
                    *held = Claim::Disabled { route: format!("{other}, {name}"), reason };
                }
            }
        }
    }
}

impl Claim {
    fn route(&self) -> String {
        match self {
            Self::Stands(standing) => standing.route.name().to_string(),
            Self::Disabled { route, .. } => route.clone(),
        }
    }
}

fn rest(prefix: &str, path: &CanonicalPath) -> Option<CanonicalPath> {
    if prefix.is_empty() {
        return Some(path.clone());
    }
    path.after(&CanonicalPath::read(prefix.as_bytes()).ok()?)
}

fn read(name: &TargetName, document: &RouteDocument) -> Result<Standing, String> {
    let route = Route::parse_json(&document.text).map_err(|error| error.to_string())?;
    if route.name() != name {
        return Err(format!("its document names another route, `{}`", route.name()));
    }
    Ok(Standing { route, definition: document.definition })
}

/// Whether the document says that another point owns it.
fn is_elsewhere(text: &str) -> bool {
    let point = canonical::read_value(text.as_bytes()).ok().and_then(|value| value.get("point").cloned());
    point
        .and_then(|point| serde_json::from_value::<Point>(point).ok())
        .is_some_and(|point| point != Point::Http)
}

/// The places of a document that is otherwise out of order.
fn places(text: &str) -> Option<Places> {
    let value = canonical::read_value(text.as_bytes()).ok()?;
    let settings = value.as_object()?;
    let hosts = match settings.get("hosts") {
        None => Vec::new(),
        Some(Value::Array(hosts)) => hosts
            .iter()
            .map(|host| Authority::read(host.as_str()?.as_bytes()).map(Some))
            .collect::<Option<Vec<_>>>()?,
        Some(_) => return None,
    };
    let prefix = match settings.get("prefix") {
        None => None,
        Some(prefix) => Some(CanonicalPath::read(prefix.as_str()?.trim_end_matches('/').as_bytes()).ok()?),
    };
    Some((hosts, prefix))
}
