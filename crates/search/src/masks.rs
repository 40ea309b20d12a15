//! How texts are masked before they enter the index: by every detector, and by the routes' own patterns.
//!
//! Stricter than a card, since nobody reveals anything here: a route's `off` and `keep` do not count. A text whose
//! route is not known is masked by the patterns of all routes.

use std::collections::BTreeMap;

use domain::directory::Directory;
use mask::{Masker, Rules};

/// What stands where rules cannot be read: then nothing is shown.
const WITHHELD: &str = "(masked)";

/// The masks of one directory.
pub struct Masks {
    version: u64,
    detectors: Option<Masker>,
    /// The patterns of routes that have some; none where they cannot be read.
    routes: BTreeMap<String, Option<Masker>>,
}

impl Masks {
    /// As the routes stand now.
    #[must_use]
    pub fn of(directory: &Directory) -> Self {
        let routes = directory.routes().filter_map(|(name, route)| {
            let masker = match patterns(&route.text) {
                Ok(None) => return None,
                Ok(Some(rules)) => Masker::new(&rules).ok(),
                Err(()) => None,
            };
            Some((name.to_string(), masker))
        });
        let detectors = Masker::new(&Rules::default()).ok();
        Self { version: directory.version(), detectors, routes: routes.collect() }
    }

    /// Whether these are the directory's still.
    pub(crate) fn are_of(&self, directory: &Directory) -> bool {
        self.version == directory.version()
    }

    /// A text as the index may hold it.
    pub(crate) fn text(&self, target: Option<&str>, text: &str) -> String {
        let Some(detectors) = &self.detectors else { return WITHHELD.to_owned() };
        let mut masked = detectors.text(text);
        for (name, masker) in &self.routes {
            if target.is_none_or(|target| target == name) {
                masked = match masker {
                    Some(masker) => masker.text(&masked),
                    None => return WITHHELD.to_owned(),
                };
            }
        }
        masked
    }
}

/// A route's own patterns and names, where it has some.
fn patterns(document: &str) -> Result<Option<Rules>, ()> {
    let route = domain::canonical::read_value(document.as_bytes()).map_err(drop)?;
    let Some(rules) = route.get("mask") else { return Ok(None) };
    let rules: Rules = serde_json::from_value(rules.clone()).map_err(drop)?;
    let own = Rules { names: rules.names, patterns: rules.patterns, ..Rules::default() };
    Ok((own != Rules::default()).then_some(own))
}

impl std::fmt::Debug for Masks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Masks").field("version", &self.version).finish_non_exhaustive()
    }
}
