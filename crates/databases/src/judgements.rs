//! Judgements that were made, kept: the same text comes again and again, from many sessions.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use crate::judge::Judged;
use crate::limits::JUDGEMENTS_LIMIT;

/// Everything that a judgement depends on, as one digest.
pub(crate) type Key = [u8; 32];

/// Judgements over one picture of the catalog, by what they depend on.
#[derive(Debug, Default)]
pub(crate) struct Judgements {
    kept: RwLock<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    /// The picture that they were made over.
    generation: u64,
    /// Nothing for a text without any statement.
    judged: HashMap<Key, Option<Arc<Judged>>>,
}

impl Judgements {
    pub(crate) fn get(&self, generation: u64, key: &Key) -> Option<Option<Arc<Judged>>> {
        let kept = self.kept.read().unwrap_or_else(PoisonError::into_inner);
        if kept.generation == generation { kept.judged.get(key).cloned() } else { None }
    }

    pub(crate) fn put(&self, generation: u64, key: Key, judged: Option<Arc<Judged>>) {
        let mut kept = self.kept.write().unwrap_or_else(PoisonError::into_inner);
        if kept.generation != generation || kept.judged.len() >= JUDGEMENTS_LIMIT {
            *kept = Kept { generation, judged: HashMap::new() };
        }
        kept.judged.insert(key, judged);
    }
}
