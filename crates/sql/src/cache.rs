//! The classifier, which keeps what it parsed: the same text comes again and again.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use crate::catalog::Catalog;
use crate::classify::{self, unread};
use crate::limits::{CACHE_ENTRIES_LIMIT, CACHE_LIMIT_BYTES, CACHED_TEXT_LIMIT_BYTES};
use crate::parse::{self, Parsed, Unread};
use crate::reason;
use crate::statement::Classified;

/// Classifies texts. Trees are kept by exact text within [`CACHE_ENTRIES_LIMIT`] and [`CACHE_LIMIT_BYTES`]; what they
/// mean is asked of the catalog each time, since that changes.
#[derive(Debug, Default)]
pub struct Classifier {
    cache: Mutex<Cache>,
}

impl Classifier {
    /// Tells what the text of a simple query, or of a Parse message, would do.
    ///
    /// `standard_conforming_strings` is the session's, as the server last reported it. A text that cannot be read is one
    /// opaque statement over all of it, and says why: nothing is ever left out.
    #[must_use]
    pub fn classify(&self, text: &[u8], standard_conforming_strings: bool, catalog: &Catalog) -> Classified {
        let read = parse::checked(text).and_then(|text| {
            if standard_conforming_strings || !text.contains('\\') { Ok(text) } else { Err(Unread::Strings) }
        });
        match read.and_then(|text| Ok((text, self.parsed(text)?))) {
            Ok((text, parsed)) => Classified {
                statements: classify::statements(&parsed, catalog, &|text| self.parsed(text)),
                reason: reason::leading(text),
                unread: None,
            },
            Err(why) => unread(why, text.len()),
        }
    }

    fn parsed(&self, text: &str) -> Result<Arc<Parsed>, Unread> {
        let keep = text.len() <= CACHED_TEXT_LIMIT_BYTES;
        if keep && let Some(found) = self.cache().find(text) {
            return Ok(found);
        }
        let parsed = Arc::new(parse::parse(text)?);
        if keep {
            self.cache().keep(&parsed);
        }
        Ok(parsed)
    }

    fn cache(&self) -> std::sync::MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many trees are kept, and about how many bytes they take.
    #[must_use]
    pub fn kept(&self) -> (usize, usize) {
        let cache = self.cache();
        (cache.trees.len(), cache.bytes)
    }
}

/// Trees by text; the oldest goes first, unless it was asked for since it came to the front.
#[derive(Debug, Default)]
struct Cache {
    trees: HashMap<Arc<str>, Kept>,
    order: VecDeque<Arc<str>>,
    bytes: usize,
}

#[derive(Debug)]
struct Kept {
    tree: Arc<Parsed>,
    weight: usize,
    again: bool,
}

impl Cache {
    fn find(&mut self, text: &str) -> Option<Arc<Parsed>> {
        let kept = self.trees.get_mut(text)?;
        kept.again = true;
        Some(Arc::clone(&kept.tree))
    }

    fn keep(&mut self, tree: &Arc<Parsed>) {
        let text: Arc<str> = Arc::from(&*tree.text);
        if self.trees.contains_key(&text) {
            return;
        }
        // The text stands in the tree, in the map and in the order, of which the last two are one.
        let weight = tree.weight() + text.len() + size_of::<Kept>() + 4 * size_of::<usize>();
        self.bytes += weight;
        self.order.push_back(Arc::clone(&text));
        self.trees.insert(text, Kept { tree: Arc::clone(tree), weight, again: false });
        while self.trees.len() > CACHE_ENTRIES_LIMIT || self.bytes > CACHE_LIMIT_BYTES {
            if !self.drop_one() {
                return;
            }
        }
    }

    /// Drops the oldest that was not asked for again; those that were go to the back, once.
    fn drop_one(&mut self) -> bool {
        while let Some(text) = self.order.pop_front() {
            match self.trees.get_mut(&text) {
                Some(kept) if kept.again => {
                    kept.again = false;
                    self.order.push_back(text);
                }
                Some(kept) => {
                    self.bytes = self.bytes.saturating_sub(kept.weight);
                    self.trees.remove(&text);
                    return true;
                }
                None => {}
            }
        }
        false
    }
}
