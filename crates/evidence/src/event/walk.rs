//! The way over the log, from a place on: each entry, and behind a segment's entry each of its lines.
//!
//! The way is the same whenever it is walked, so that a place is all that has to be remembered.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use domain::canonical;
use domain::digest::Digest;
use domain::entry::{Kind, Leaf};
use domain::id::ActionId;
use domain::time::Timestamp;
use gateway::activity::SealedSegment;
use gateway::reveal::trail_masks;
use mask::TrailMasks;
use serde::{Deserialize, Serialize};
use store::{Store, StoreError};

use super::segment::{self, Opened, SegmentReader};
use super::tell::{self, Around, Brief, Line, LineEffect};
use super::{Standing, TrailEvent, What};
use crate::EvidenceError;
use crate::limits::BRIEFS;

/// A place on the way: the entry of an index (line 0), or a line of its segment, from 1.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// The entry's index.
    pub index: u64,
    /// 0 for the entry itself.
    pub line: u64,
}

impl Place {
    /// The entry of an index.
    #[must_use]
    pub fn entry(index: u64) -> Self {
        Self { index, line: 0 }
    }

    fn following(self) -> Self {
        Self { line: self.line.saturating_add(1), ..self }
    }

    fn next_entry(self) -> Self {
        Self::entry(self.index.saturating_add(1))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}", self.index),
            line => write!(f, "{}.{line}", self.index),
        }
    }
}

impl FromStr for Place {
    type Err = EvidenceError;
    fn from_str(text: &str) -> Result<Self, EvidenceError> {
        let number = |text: &str| {
            let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
            digits.then(|| text.parse::<u64>().ok()).flatten().filter(|n| *n <= canonical::INTEGER_LIMIT)
        };
        let place = match text.split_once('.') {
            Some((index, line)) => number(index).zip(number(line)).map(|(index, line)| Self { index, line }),
            None => number(text).map(Self::entry),
        };
        place.ok_or_else(|| EvidenceError::Place(domain::text::cut(text, 64).to_owned()))
    }
}

/// An event, and the place to go on from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// What happened.
    pub event: TrailEvent,
    /// The place behind it.
    pub next: Place,
}

/// Which part of the trail is walked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Entries, and the lines of their segments.
    All,
    /// Entries only: one gateway of several tells them.
    Entries,
    /// The lines of the segments that lie here: each gateway of several tells its own.
    OwnLines,
}

/// A walk over the trail.
pub struct Walk {
    store: Arc<dyn Store>,
    folder: PathBuf,
    /// This gateway's name among several over the store.
    node: Option<String>,
    part: Part,
    at: Place,
    /// The log's size when it was last looked at.
    size: u64,
    /// The segment that is being read, with its entry's standing.
    segment: Option<(SegmentReader, Standing)>,
    briefs: Briefs,
    /// The masks, and the version of the directory that they are of.
    masks: Option<(u64, TrailMasks)>,
    /// The time of the last entry that had one.
    time: Timestamp,
}

impl fmt::Debug for Walk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Walk").field("at", &self.at).field("part", &self.part).finish_non_exhaustive()
    }
}

impl Walk {
    /// A walk from a place on; segments lie in the folder.
    #[must_use]
    pub fn from(store: Arc<dyn Store>, folder: PathBuf, at: Place, part: Part) -> Self {
        Self {
            store,
            folder,
            node: None,
            part,
            at,
            size: 0,
            segment: None,
            briefs: Briefs::default(),
            masks: None,
            time: Timestamp::ZERO,
        }
    }

    /// The same walk, at the gateway of this name: segments of others are theirs to tell.
    #[must_use]
    pub fn at_node(self, node: Option<String>) -> Self {
        Self { node, ..self }
    }

    /// The place of what is told next.
    #[must_use]
    pub fn place(&self) -> Place {
        self.at
    }

    /// The log's size when it was last looked at.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The next events, at most so many and none from `end` on; fewer where nothing more is there yet.
    ///
    /// # Errors
    /// [`EvidenceError::Ahead`] where the log does not reach to the place, store failures, a segment that cannot be read.
    pub async fn next(&mut self, limit: usize, end: Option<u64>) -> Result<Vec<Told>, EvidenceError> {
        let mut told = Vec::new();
        while told.len() < limit {
            if end.is_some_and(|end| self.at.index >= end) {
                break;
            }
            if self.at.index >= self.size {
                self.size = self.store.head().await?.size;
                if self.at.index > self.size {
                    return Err(EvidenceError::Ahead { at: self.at, size: self.size });
                }
                if self.at.index == self.size {
                    break;
                }
            }
            if self.at.line == 0 {
                self.entry(&mut told).await?;
            } else {
                self.lines(&mut told, limit).await?;
            }
        }
        self.mask(&mut told);
        Ok(told)
    }

    /// By the rules that stand now, whatever stood when it was recorded.
    fn mask(&mut self, told: &mut [Told]) {
        if told.is_empty() {
            return;
        }
        let directory = self.store.directory();
        let masks = match self.masks.take() {
            Some((version, masks)) if version == directory.version() => masks,
            Some(_) | None => trail_masks(&directory),
        };
        for one in told {
            one.event.mask(&masks);
        }
        self.masks = Some((directory.version(), masks));
    }

    async fn entry(&mut self, told: &mut Vec<Told>) -> Result<(), EvidenceError> {
        let (at, view) = (self.at, self.view(self.at.index).await?);
        let mut next = at.next_entry();
        let event = match view {
            View::Whole { leaf, fields, standing } => {
                self.time = leaf.time;
                if leaf.kind == Kind::Activity && tell::segment_of(&fields).is_some() {
                    next = at.following();
                }
                let about = self.about(&leaf, &fields).await?;
                let directory = self.store.directory();
                let around =
                    Around { origin: self.store.origin(), directory: &directory, about: about.as_deref() };
                tell::entry(&leaf, &fields, standing, around)
            }
            View::Pruned(standing) => {
                let note = "the leaf was pruned for its age; its hash stands in the tree";
                self.bare(What::Pruned, standing, note)
            }
        };
        if self.part != Part::OwnLines {
            told.push(Told { event, next });
        }
        self.at = next;
        Ok(())
    }

    /// Lines of the segment at this place.
    async fn lines(&mut self, told: &mut Vec<Told>, limit: usize) -> Result<(), EvidenceError> {
        if self.part == Part::Entries {
            self.at = self.at.next_entry();
            return Ok(());
        }
        let (reader, standing) = match self.segment.take() {
            Some(open) => open,
            None => match self.open(told).await? {
                Some(open) => open,
                None => return Ok(()),
            },
        };
        let room = limit.saturating_sub(told.len());
        let mut reader = reader;
        let (reader, lines) = blocking(move || {
            let lines = reader.read(room)?;
            Ok((reader, lines))
        })
        .await?;
        let finished = lines.len() < room;
        let behind = Place::entry(standing.index.saturating_add(1));
        let directory = self.store.directory();
        let last = lines.last().map(|(number, _)| *number);
        for (number, bytes) in lines {
            let standing = Standing { line: Some(number), ..standing };
            let line = bytes.as_deref().and_then(Line::read);
            let event = match &line {
                Some(line) => {
                    self.briefs.note(line.brief());
                    let about = self.briefs.get(line.id).filter(|_| line.effect == LineEffect::Outcome);
                    let around = Around {
                        origin: self.store.origin(),
                        directory: &directory,
                        about: about.as_deref(),
                    };
                    tell::line(line, Some(standing), around)
                }
                None => self.bare(What::Unreadable, standing, "a line that does not read"),
            };
            let here = Place { index: standing.index, line: number };
            self.at = if finished && last == Some(number) { behind } else { here.following() };
            told.push(Told { event, next: self.at });
        }
        if finished {
            self.at = behind;
        } else {
            self.segment = Some((reader, standing));
        }
        Ok(())
    }

    /// Opens the segment of the entry at this place, and goes to the line where the walk stands.
    async fn open(
        &mut self,
        told: &mut Vec<Told>,
    ) -> Result<Option<(SegmentReader, Standing)>, EvidenceError> {
        let at = self.at;
        let View::Whole { fields, standing, .. } = self.view(at.index).await? else {
            self.at = at.next_entry();
            return Ok(None);
        };
        let Some(sealed) = tell::segment_of(&fields) else {
            self.at = at.next_entry();
            return Ok(None);
        };
        let others = sealed.node.clone().filter(|node| self.node.as_ref() != Some(node));
        let (what, note) = match (self.open_at(sealed, at.line).await?, others) {
            (Opened::Whole(reader), _) => return Ok(Some((reader, standing))),
            (Opened::Altered, _) => {
                (What::Altered, "the segment's bytes are not those that its leaf names".to_owned())
            }
            (Opened::Missing, None) => {
                (What::Missing, "the segment is not in this gateway's folder".to_owned())
            }
            (Opened::Missing, Some(node)) => {
                (What::Elsewhere, format!("the gateway {node} has this segment, and tells its lines"))
            }
        };
        self.at = at.next_entry();
        // Another gateway tells its own.
        if what == What::Elsewhere && self.part == Part::OwnLines {
            return Ok(None);
        }
        if what.is_alarm() {
            tracing::error!(index = at.index, what = what.as_str(), "{note}");
        }
        let standing = Standing { line: Some(at.line), ..standing };
        let event = self.bare(what, standing, &note);
        told.push(Told { event, next: self.at });
        Ok(None)
    }

    /// The segment, behind the lines that were told before. They are read again for what they say of later ones.
    async fn open_at(&mut self, sealed: SealedSegment, line: u64) -> Result<Opened, EvidenceError> {
        let folder = self.folder.clone();
        let skip = usize::try_from(line.saturating_sub(1)).unwrap_or(usize::MAX);
        let (opened, skipped) = blocking(move || {
            let mut opened = segment::open(&folder, &sealed)?;
            let mut briefs = Vec::new();
            if let Opened::Whole(reader) = &mut opened {
                let mut left = skip;
                while left > 0 {
                    let lines = reader.read(left.min(crate::limits::PAGE))?;
                    if lines.is_empty() {
                        break;
                    }
                    left -= lines.len();
                    let read = lines.iter().filter_map(|(_, bytes)| Line::read(bytes.as_deref()?)?.brief());
                    briefs.extend(read);
                }
            }
            Ok((opened, briefs))
        })
        .await?;
        for brief in skipped {
            self.briefs.note(Some(brief));
        }
        Ok(opened)
    }

    async fn view(&self, index: u64) -> Result<View, EvidenceError> {
        let view = self.store.entry(index).await?;
        let size = self.size.max(index.saturating_add(1));
        let mut standing = Standing { index, line: None, leaf: None, size };
        if view.leaf.is_empty() {
            return Ok(View::Pruned(standing));
        }
        standing.leaf = Some(Digest::from_bytes(*audit::leaf_hash(&view.leaf).as_bytes()));
        let leaf: Leaf = canonical::read(&view.leaf)
            .map_err(|error| EvidenceError::Entry(format!("entry {index} does not read: {error}")))?;
        Ok(View::Whole { leaf: Box::new(leaf), fields: view.fields, standing })
    }

    /// The action that an entry is about, where the entry does not carry it.
    async fn about(
        &mut self,
        leaf: &Leaf,
        fields: &[domain::commitment::Disclosure],
    ) -> Result<Option<Arc<Brief>>, EvidenceError> {
        if leaf.kind == Kind::Directory {
            return Ok(None);
        }
        self.briefs.note(tell::brief_of(fields));
        let Some(Ok(id)) = leaf.subject.as_deref().map(str::parse::<ActionId>) else { return Ok(None) };
        if let Some(brief) = self.briefs.get(id) {
            return Ok(Some(brief));
        }
        match self.store.approval(id).await {
            Ok(summary) => {
                self.briefs.note(Some(Brief::of(&summary.action)));
                Ok(self.briefs.get(id))
            }
            // Nobody was asked, or it was erased: the entry is told without.
            Err(StoreError::NotFound(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn bare(&self, what: What, standing: Standing, note: &str) -> TrailEvent {
        let directory = self.store.directory();
        let around = Around { origin: self.store.origin(), directory: &directory, about: None };
        tell::bare(what, self.time, standing, note, around)
    }
}

enum View {
    Whole { leaf: Box<Leaf>, fields: Vec<domain::commitment::Disclosure>, standing: Standing },
    Pruned(Standing),
}

/// The actions that were met last, for the entries and lines that are about them.
#[derive(Debug, Default)]
struct Briefs {
    known: HashMap<ActionId, Arc<Brief>>,
    order: VecDeque<ActionId>,
}

impl Briefs {
    fn note(&mut self, brief: Option<Brief>) {
        let Some(brief) = brief else { return };
        let id = brief.id;
        if self.known.insert(id, Arc::new(brief)).is_none() {
            self.order.push_back(id);
        }
        if self.order.len() > BRIEFS
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }

    fn get(&self, id: ActionId) -> Option<Arc<Brief>> {
        self.known.get(&id).cloned()
    }
}

/// Reads files where nobody waits for the thread.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, EvidenceError> + Send + 'static,
) -> Result<T, EvidenceError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| EvidenceError::Segment(format!("reading was cut off: {error}")))?
}
