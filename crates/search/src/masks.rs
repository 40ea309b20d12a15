//! How texts are masked before they enter the index: by every detector, and by the routes' own patterns.

use domain::directory::Directory;
use mask::{Rules, TrailMasks};

/// The masks of one directory.
#[derive(Debug)]
pub struct Masks {
    version: u64,
    masks: TrailMasks,
}

impl Masks {
    /// As the routes stand now.
    #[must_use]
    pub fn of(directory: &Directory) -> Self {
        let routes = directory.routes().map(|(name, route)| (name.to_string(), rules(&route.text)));
        Self { version: directory.version(), masks: TrailMasks::new(routes) }
    }

    /// Whether these are the directory's still.
    pub(crate) fn are_of(&self, directory: &Directory) -> bool {
        self.version == directory.version()
    }

    /// A text as the index may hold it.
    pub(crate) fn text(&self, target: Option<&str>, text: &str) -> String {
        self.masks.text(target, text)
    }
}

/// A route's own rules; none where they cannot be read.
fn rules(document: &str) -> Option<Rules> {
    let route = domain::canonical::read_value(document.as_bytes()).ok()?;
    match route.get("mask") {
        Some(rules) => serde_json::from_value(rules.clone()).ok(),
        None => Some(Rules::default()),
    }
}
