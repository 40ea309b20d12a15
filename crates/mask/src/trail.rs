//! Masking for what many read and nobody opens: the search index, exports, streams, sinks.

use std::collections::BTreeMap;

use crate::{Masker, Rules};

/// What stands where rules cannot be read: then nothing is shown.
const WITHHELD: &str = "(masked)";

/// Every detector, and the names and patterns of all routes.
///
/// Stricter than a card, since nobody reveals anything here: a route's `off` and `keep` do not count. A text whose
/// route is not known is masked by the rules of all routes.
#[derive(Debug)]
pub struct TrailMasks {
    detectors: Option<Masker>,
    /// Those of routes that have names or patterns of their own; none where they cannot be read.
    routes: BTreeMap<String, Option<Masker>>,
}

impl TrailMasks {
    /// The masks of these routes, by name; a route without rules is one whose rules cannot be read.
    #[must_use]
    pub fn new(routes: impl IntoIterator<Item = (String, Option<Rules>)>) -> Self {
        let own = |(name, rules): (String, Option<Rules>)| match rules {
            None => Some((name, None)),
            Some(rules) => {
                let own = Rules { names: rules.names, patterns: rules.patterns, ..Rules::default() };
                (own != Rules::default()).then(|| (name, Masker::new(&own).ok()))
            }
        };
        Self {
            detectors: Masker::new(&Rules::default()).ok(),
            routes: routes.into_iter().filter_map(own).collect(),
        }
    }

    /// A text as it may leave; `route` is where it belongs, when that is known.
    #[must_use]
    pub fn text(&self, route: Option<&str>, text: &str) -> String {
        let Some(detectors) = &self.detectors else { return WITHHELD.to_owned() };
        self.by_routes(route, detectors.text(text))
    }

    /// A text that the detectors have seen, by the routes' own rules alone.
    #[must_use]
    pub fn by_routes(&self, route: Option<&str>, mut text: String) -> String {
        for (name, masker) in &self.routes {
            if route.is_none_or(|route| route == name) {
                text = match masker {
                    Some(masker) => masker.text(&text),
                    None => return WITHHELD.to_owned(),
                };
            }
        }
        text
    }

    /// Whether any route has rules of its own.
    #[must_use]
    pub fn has_routes(&self) -> bool {
        !self.routes.is_empty()
    }
}
