//! Following: the log by index, the segments by file and offset, oldest first, one transaction a batch.
//!
//! No commit waits for the follower, and nothing is lost when it stops: its place stands in the index, in the
//! transaction of what it wrote. Records enter in the order of their times, as far as both sources have been read.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use domain::digest::{Digest, Purpose};
use futures_util::stream::{self, StreamExt as _};
use store::{EntryView, Store, StoreError};
use tokio::sync::watch;

use crate::derive::{self, Effect};
use crate::index::{Batch, Index, Progress, Reset, SearchError};
use crate::limits::{BATCH_RECORDS, ENTRIES_AT_ONCE, REST, REST_AFTER_ERROR};
use crate::masks::Masks;
use crate::record::Record;
use crate::segments::{Read, Segments};

/// Tails one store and one folder of segments into one index.
pub struct Follower {
    index: Arc<Index>,
    store: Arc<dyn Store>,
    masks: Masks,
    segments: Segments,
}

/// What was read of the log.
#[derive(Default)]
struct ReadLog {
    records: Vec<Record>,
    /// What the first entry asks of records before it, done before the place behind it is kept: whatever ends
    /// the process in between, it is done again.
    effect: Option<Effect>,
    to: Option<(u64, Vec<u8>)>,
    /// The segments that entries seal, by name.
    sealed: Vec<(u64, String)>,
}

impl Follower {
    /// Opens the index of a store, and what follows into it; blocking. An index that is ahead of the log, or
    /// whose last entry is another than the log's, is of another past: it is dropped.
    ///
    /// # Errors
    /// When index, folder or store cannot be read.
    pub async fn open(
        path: &Path,
        store: Arc<dyn Store>,
        activity: &Path,
        reset: Reset,
    ) -> Result<Self, SearchError> {
        let mut index = Index::open(path, store.origin(), reset)?;
        if !is_past_of(&index, store.as_ref()).await? {
            tracing::warn!("the search index is not of this log's past; it is built anew");
            index = Index::open(path, store.origin(), Reset::Drop)?;
        }
        Self::onto(index, store, activity)
    }

    /// What follows into an index that is open, and of this store's past.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn onto(index: Arc<Index>, store: Arc<dyn Store>, activity: &Path) -> Result<Self, SearchError> {
        let read = index.writing(|writer| writer.read_so_far())?;
        let segments = Segments::new(activity, read);
        let masks = Masks::of(&store.directory());
        Ok(Self { index, store, masks, segments })
    }

    /// The index.
    #[must_use]
    pub fn index(&self) -> &Arc<Index> {
        &self.index
    }

    /// Follows until it is told to stop. An error is said, and tried again after a rest.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) {
        loop {
            let rest = match self.step().await {
                Ok(true) => None,
                Ok(false) => Some(REST),
                Err(error) => {
                    tracing::warn!(%error, "the search index does not follow");
                    Some(REST_AFTER_ERROR)
                }
            };
            // A sender that is gone means stop as well.
            let stopped = match rest {
                None => *stop.borrow() || stop.has_changed().is_err(),
                Some(rest) => tokio::time::timeout(rest, stop.wait_for(|stop| *stop)).await.is_ok(),
            };
            if stopped {
                return;
            }
        }
    }

    /// Follows until there is nothing more just now; says how far it has come after each step.
    ///
    /// # Errors
    /// As [`Follower::step`].
    pub async fn catch_up(&mut self, mut said: impl FnMut(Progress)) -> Result<(), SearchError> {
        while self.step().await? {
            said(self.index.progress());
        }
        Ok(())
    }

    /// One batch; whether there may be more at once.
    ///
    /// # Errors
    /// When the store, a segment or the index cannot be read or written.
    pub async fn step(&mut self) -> Result<bool, SearchError> {
        self.index.scrub_if_due();
        let directory = self.store.directory();
        if !self.masks.are_of(&directory) {
            self.masks = Masks::of(&directory);
        }
        self.remove_gone()?;
        let log = self.read_log().await?;
        let lines = self.segments.read(BATCH_RECORDS, &self.masks)?;
        if let Some(effect) = log.effect {
            self.apply(effect).await?;
        }
        self.write(log, lines)
    }

    /// Writes what was read, in the order of time.
    fn write(&mut self, log: ReadLog, lines: Read) -> Result<bool, SearchError> {
        if log.to.is_none() && lines.lines.is_empty() {
            return Ok(false);
        }
        // Both are sorted nearly, each by its own; a stable sort keeps what has one time in its order.
        let mut records = log.records;
        records.extend(lines.records);
        records.sort_by_key(|record| record.time);
        let elsewhere = log.sealed.into_iter().filter(|(_, name)| !self.segments.has(name));
        let elsewhere = elsewhere.map(|(index, _)| index).collect();
        let batch = Batch { records, log: log.to, lines: lines.lines, elsewhere };
        self.index.write(&batch)?;
        self.segments.done(&batch.lines);
        Ok(true)
    }

    /// The next entries of the log: up to one that asks something of those before it, or that one first.
    async fn read_log(&self) -> Result<ReadLog, SearchError> {
        let from = self.index.progress().entries;
        let to = self.store.head().await?.size.min(from.saturating_add(BATCH_RECORDS as u64));
        let mut read = ReadLog::default();
        let mut entries = stream::iter(from..to)
            .map(|index| async move { (index, self.entry(index).await) })
            .buffered(ENTRIES_AT_ONCE);
        while let Some((index, view)) = entries.next().await {
            let mut leaf = Vec::new();
            if let Some(view) = view? {
                let derived = derive::entry(&view, &self.masks);
                let derived =
                    derived.map_err(|error| SearchError::Failed(format!("entry {index}: {error}")))?;
                if derived.effect != Effect::None {
                    if read.to.is_some() {
                        break;
                    }
                    read.effect = Some(derived.effect);
                }
                read.records.extend(derived.record);
                read.sealed.extend(derived.segment.map(|name| (index, name)));
                leaf = hash(&view);
            }
            read.to = Some((index + 1, leaf));
            if read.effect.is_some() {
                break;
            }
        }
        Ok(read)
    }

    /// An entry; none where it was pruned.
    async fn entry(&self, index: u64) -> Result<Option<EntryView>, SearchError> {
        match self.store.entry(index).await {
            Ok(view) => Ok(Some(view)),
            Err(StoreError::NotFound(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// What stands in the index of these entries becomes what the store discloses still.
    async fn apply(&mut self, effect: Effect) -> Result<(), SearchError> {
        let entries = match effect {
            Effect::None => return Ok(()),
            Effect::Erased(entry) => entry..entry.saturating_add(1),
            Effect::Pruned(from, below) => {
                self.index.forget_elsewhere(from, below)?;
                from..below
            }
        };
        let mut made_of = BTreeSet::new();
        for entry in entries {
            made_of.extend(self.index.made_of(entry)?);
        }
        let mut anew = Vec::new();
        for entry in made_of {
            let record = match self.entry(entry).await? {
                Some(view) => derive::entry(&view, &self.masks).ok().and_then(|derived| derived.record),
                None => None,
            };
            anew.push((entry, record));
        }
        self.index.replace(&anew)
    }

    fn remove_gone(&mut self) -> Result<(), SearchError> {
        for name in self.segments.gone()? {
            self.index.remove_segment(&name)?;
            self.segments.forget(&name);
        }
        Ok(())
    }
}

/// Whether the index was filled from the past of this log.
async fn is_past_of(index: &Arc<Index>, store: &dyn Store) -> Result<bool, SearchError> {
    let (entries, leaf) = (index.progress().entries, index.writing(|writer| writer.last_leaf())?);
    if entries > store.head().await?.size {
        return Ok(false);
    }
    let Some(last) = entries.checked_sub(1) else { return Ok(true) };
    match store.entry(last).await {
        Ok(view) => Ok(leaf.is_empty() || leaf == hash(&view)),
        // Pruned: the log's own check of its head stands for it.
        Err(StoreError::NotFound(_)) => Ok(true),
        Err(error) => Err(error.into()),
    }
}

/// Tells one leaf from another; it proves nothing.
fn hash(view: &EntryView) -> Vec<u8> {
    Digest::of(Purpose::Segment, &view.leaf).as_bytes().to_vec()
}

impl std::fmt::Debug for Follower {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Follower").field("index", &self.index).finish_non_exhaustive()
    }
}

/// The index's file in the folder of a store.
#[must_use]
pub fn file(folder: &Path) -> PathBuf {
    folder.join("search.db")
}
