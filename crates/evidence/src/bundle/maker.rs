//! A bundle's files, from the store.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use domain::canonical;
use domain::commitment::Disclosure;
use domain::digest::Blob;
use domain::entry::{Kind as EntryKind, Leaf};
use domain::id::ActionId;
use domain::principal::Principal;
use domain::receipt::Entry;
use gateway::people::Human;
use gateway::ports::{BundleOf, BundleOrder, OpenFields, Range};
use gateway::receipt::shown;
use gateway::{Gateway, GatewayError};
use store::{EntryView, Store, StoreError, Summary};
use verify::bundle::manifest::{
    ABOUT, About, BEFORE, CHECKPOINT, ENTRIES, EntryLine, KEYS, Kind, LEAVES, LeafLine, PERIOD, Period,
    RotationLine,
};
use verify::bundle::{Outline, Part};

use super::place::{self, Place};
use super::spool::{Spool, Spooled};
use super::{BundleError, CASES_LIMIT};

/// The longest `query` of an `about.json`, in bytes; what is longer is cut.
const QUERY_LIMIT_BYTES: usize = 16 << 10;

/// Makes one bundle.
pub(super) struct Maker {
    gateway: Arc<Gateway>,
    folder: PathBuf,
    cosigned: Option<String>,
}

/// The tree that all proofs of the bundle lead to.
struct Tree {
    note: String,
    size: u64,
}

/// What goes into `entries.jsonl`.
#[derive(Default)]
struct Wanted {
    indices: BTreeSet<u64>,
    /// How many lines were written, and how many requests among them.
    entries: u64,
    cases: u64,
}

type Made = (Outline, Vec<Part<Spooled>>);

impl Maker {
    pub(super) fn new(gateway: Arc<Gateway>, folder: PathBuf, cosigned: Option<String>) -> Self {
        Self { gateway, folder, cosigned }
    }

    fn store(&self) -> &dyn Store {
        self.gateway.store().as_ref()
    }

    pub(super) async fn make(&self, order: BundleOrder) -> Result<Made, GatewayError> {
        let tree = self.tree(&order).await?;
        Ok(match &order.of {
            BundleOf::Cases(ids) => self.cases(ids, &order, &tree).await?,
            BundleOf::Period(range) => self.period(range, None, &order, &tree).await?,
            BundleOf::Since { checkpoint, to } => {
                let first = place::size_of(checkpoint)?;
                let range = Range { from: Some(first.to_string()), to: to.clone() };
                self.period(&range, Some(checkpoint), &order, &tree).await?
            }
        })
    }

    /// The newest tree that has its cosignatures. A case that went on since then is shown as it stood in it.
    async fn tree(&self, order: &BundleOrder) -> Result<Tree, BundleError> {
        if order.open != OpenFields::Nothing {
            // What opens payloads is on record before anybody has them, and need not stand in the bundle itself.
            self.gateway.require_admin(&order.by)?;
        }
        match &self.cosigned {
            Some(note) => Ok(Tree { size: place::size_of(note)?, note: note.clone() }),
            None => {
                let head = self.store().head().await?;
                Ok(Tree { note: head.checkpoint, size: head.size })
            }
        }
    }

    async fn cases(&self, ids: &[ActionId], order: &BundleOrder, tree: &Tree) -> Result<Made, BundleError> {
        if ids.len() > CASES_LIMIT {
            let limit = CASES_LIMIT;
            return Err(domain::Malformed::TooLarge {
                what: "the bundle",
                actual: ids.len(),
                limit,
                unit: "cases",
            }
            .into());
        }
        let mut wanted = Wanted::default();
        for id in ids {
            let summary = self.store().approval(*id).await?;
            wanted.indices.extend(self.events(*id, tree.size).await?);
            wanted.indices.extend(self.people(&summary, tree.size).await?);
            wanted.indices.extend(self.gateway.key_cases(&summary, tree.size).await?.entries);
        }
        let query = format!("{} approvals by id", ids.len());
        let mut parts = self.head(order, query, tree).await?;
        parts.push(self.entries(&mut wanted, order, tree).await?);
        Ok((self.outline(Kind::Cases, wanted.entries, wanted.cases), parts))
    }

    async fn period(
        &self,
        range: &Range,
        before: Option<&str>,
        order: &BundleOrder,
        tree: &Tree,
    ) -> Result<Made, BundleError> {
        let nowhere = |index, moment| Place { index, moment };
        let from = match &range.from {
            Some(text) => place::read(self.store(), text, tree.size).await?,
            None => nowhere(0, None),
        };
        let to = match &range.to {
            Some(text) => place::read(self.store(), text, tree.size).await?,
            None => nowhere(tree.size, None),
        };
        if from.index >= to.index {
            return Err(domain::Malformed::Value {
                what: "period",
                value: format!("{}..{}", from.index, to.index),
                why: "there are no entries in it",
            }
            .into());
        }
        let mut leaves = Spool::new(&self.folder, LEAVES)?;
        let (ids, requests) = self.leaves(&mut leaves, &from, &to, order).await?;
        let mut wanted = Wanted::default();
        for id in ids {
            match self.store().approval(id).await {
                Ok(summary) => {
                    wanted.indices.extend(self.events(id, from.index).await?);
                    wanted.indices.extend(self.people(&summary, from.index).await?);
                    if from.index > 0 {
                        wanted.indices.extend(self.gateway.key_cases(&summary, from.index).await?.entries);
                    }
                }
                // A decision on which nobody was asked, or a case whose events were erased.
                Err(StoreError::NotFound(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        // The neighbours show that the period leaves nothing out that its moments ask for.
        if from.moment.is_some() {
            wanted.indices.extend(from.index.checked_sub(1));
        }
        if to.moment.is_some() && to.index < tree.size {
            wanted.indices.insert(to.index);
        }
        let query = format!(
            "every entry from {} to {}",
            range.from.as_deref().unwrap_or("the beginning"),
            range.to.as_deref().unwrap_or("the checkpoint")
        );
        let mut parts = self.head(order, query, tree).await?;
        let period = Period {
            first: from.index,
            end: to.index,
            since: from.moment,
            until: to.moment,
            frontier: place::frontier(self.store(), from.index)
                .await?
                .hashes()
                .iter()
                .map(|hash| Blob(hash.as_bytes().to_vec()))
                .collect(),
            consistency: blobs(self.store().consistency(to.index, tree.size).await?),
        };
        parts.push(Spool::of(&self.folder, PERIOD, &canonical::write(&period)?)?);
        if let Some(note) = before {
            parts.push(Spool::of(&self.folder, BEFORE, note.as_bytes())?);
        }
        parts.push(self.entries_around(&mut wanted, to.index, order, tree).await?);
        parts.push(leaves.finish()?);
        let entries = wanted.entries + (to.index - from.index);
        Ok((self.outline(Kind::Period, entries, wanted.cases + requests), parts))
    }

    /// Every leaf of the period; answers the approvals that it has entries of, and how many requests.
    async fn leaves(
        &self,
        spool: &mut Spool,
        from: &Place,
        to: &Place,
        order: &BundleOrder,
    ) -> Result<(BTreeSet<ActionId>, u64), BundleError> {
        let (mut ids, mut requests) = (BTreeSet::new(), 0);
        for index in from.index..to.index {
            let view = match self.store().entry(index).await {
                Ok(view) => view,
                // A pruning dropped its leaf: its hash stands for it, and the verifiers say that it is not shown.
                Err(StoreError::NotFound(_)) => {
                    let hash = place::hash(self.store(), index).await?;
                    let hash = Some(Blob(hash.as_bytes().to_vec()));
                    spool.line(&LeafLine { leaf: None, hash, fields: None, payload: None })?;
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            let leaf: Leaf = canonical::read(&view.leaf)?;
            let id = leaf.subject.as_deref().and_then(|subject| subject.parse::<ActionId>().ok());
            ids.extend(id.filter(|_| is_of_a_case(leaf.kind)));
            let payload = match (leaf.kind, id) {
                (EntryKind::Request, Some(id)) => {
                    requests += 1;
                    self.payload(id, order).await?
                }
                _ => None,
            };
            let fields = is_told(leaf.kind, order).then_some(view.fields);
            spool.line(&LeafLine { leaf: Some(Blob(view.leaf)), hash: None, fields, payload })?;
        }
        Ok((ids, requests))
    }

    /// The files that every bundle begins with.
    async fn head(
        &self,
        order: &BundleOrder,
        query: String,
        tree: &Tree,
    ) -> Result<Vec<Part<Spooled>>, BundleError> {
        let Human { person, name, .. } = &order.by;
        let about = About {
            query: match &order.open {
                OpenFields::Nothing => query,
                OpenFields::Everything => format!("{query}, payloads open"),
                OpenFields::Paths(paths) => {
                    let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
                    let more = format!("{query}, open: {}", paths.join(", "));
                    domain::text::cut(&more, QUERY_LIMIT_BYTES).to_owned()
                }
            },
            made: self.store().now(),
            by: Some(format!("{name} ({})", Principal::Person(*person))),
            maker: concat!("countersign ", env!("CARGO_PKG_VERSION")).to_owned(),
        };
        let mut parts = vec![
            Spool::of(&self.folder, ABOUT, &canonical::write(&about)?)?,
            Spool::of(&self.folder, CHECKPOINT, tree.note.as_bytes())?,
        ];
        let rotations = self.store().rotations().await?;
        let told: Vec<_> = rotations.into_iter().filter(|rotation| rotation.index < tree.size).collect();
        if !told.is_empty() {
            let mut spool = Spool::new(&self.folder, KEYS)?;
            for rotation in told {
                let old = rotation.index + 1;
                spool.line(&RotationLine {
                    checkpoint: rotation.checkpoint,
                    entry: self.entry(rotation.index, old).await?,
                    consistency: blobs(self.store().consistency(old, tree.size).await?),
                })?;
            }
            parts.push(spool.finish()?);
        }
        Ok(parts)
    }

    async fn entries(
        &self,
        wanted: &mut Wanted,
        order: &BundleOrder,
        tree: &Tree,
    ) -> Result<Part<Spooled>, BundleError> {
        self.entries_around(wanted, u64::MAX, order, tree).await
    }

    /// The entries that are wanted, with their proofs. The one at `behind` shows its time and nothing of a case.
    async fn entries_around(
        &self,
        wanted: &mut Wanted,
        behind: u64,
        order: &BundleOrder,
        tree: &Tree,
    ) -> Result<Part<Spooled>, BundleError> {
        let mut spool = Spool::new(&self.folder, ENTRIES)?;
        for index in std::mem::take(&mut wanted.indices) {
            let entry = self.entry(index, tree.size).await?;
            let leaf: Leaf = canonical::read(&entry.leaf.0)?;
            let id = leaf.subject.as_deref().and_then(|subject| subject.parse::<ActionId>().ok());
            let payload = match (leaf.kind, id) {
                (EntryKind::Request, Some(id)) if index != behind => {
                    wanted.cases += 1;
                    self.payload(id, order).await?
                }
                _ => None,
            };
            wanted.entries += 1;
            spool.line(&EntryLine { entry, payload })?;
        }
        spool.finish()
    }

    async fn entry(&self, index: u64, size: u64) -> Result<Entry, BundleError> {
        let EntryView { leaf, fields, .. } = self.store().entry(index).await?;
        let proof = blobs(self.store().inclusion(index, size).await?);
        Ok(Entry { index, leaf: Blob(leaf), proof, fields })
    }

    /// A request's payload: open where that was asked for, which is logged; else withheld field by field.
    async fn payload(
        &self,
        id: ActionId,
        order: &BundleOrder,
    ) -> Result<Option<Vec<Disclosure>>, BundleError> {
        let fields = match &order.open {
            OpenFields::Everything => self.gateway.open_payload(id, &order.by).await,
            OpenFields::Paths(paths) => self.gateway.open_fields(id, &order.by, paths).await,
            OpenFields::Nothing => self.store().payload(id).await.map_err(GatewayError::from),
        };
        let fields = match fields {
            Ok(fields) => fields,
            Err(GatewayError::NotFound(_)) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        if order.open != OpenFields::Nothing {
            return Ok(Some(fields));
        }
        Ok(Some(match self.store().approval(id).await {
            Ok(summary) => shown(&summary, fields)?,
            Err(StoreError::NotFound(_)) => return Ok(None),
            Err(error) => return Err(error.into()),
        }))
    }

    /// Where an approval's events stand, below an index.
    async fn events(&self, id: ActionId, below: u64) -> Result<Vec<u64>, BundleError> {
        let history = self.store().history(id).await?;
        Ok(history.into_iter().map(|(_, position)| position.index).filter(|index| *index < below).collect())
    }

    /// Where the directory's entries of everybody stand who asked or reviewed, below an index.
    async fn people(&self, summary: &Summary, below: u64) -> Result<BTreeSet<u64>, BundleError> {
        let case = summary.approval.case();
        let reviews = case.reviews.iter().chain(case.questions.iter().map(|question| &question.asked));
        let reviewers = reviews.map(|record| Principal::Person(record.statement.reviewer));
        let people: BTreeSet<Principal> = summary.action.chain().parties().chain(reviewers).collect();
        let mut indices = BTreeSet::new();
        for principal in people {
            let entries = self.store().directory_entries(&principal.to_string()).await?;
            indices.extend(entries.into_iter().filter(|index| *index < below));
        }
        Ok(indices)
    }

    fn outline(&self, kind: Kind, entries: u64, cases: u64) -> Outline {
        Outline { origin: self.gateway.settings().origin.clone(), kind, entries, cases }
    }
}

/// Whether an entry's fields stand open in a period. What others reported may hold anything, and comes with payloads.
fn is_told(kind: EntryKind, order: &BundleOrder) -> bool {
    kind != EntryKind::Reported || order.open == OpenFields::Everything
}

fn is_of_a_case(kind: EntryKind) -> bool {
    match kind {
        EntryKind::Request
        | EntryKind::Review
        | EntryKind::Question
        | EntryKind::Answer
        | EntryKind::Reevaluation
        | EntryKind::End
        | EntryKind::Execution
        | EntryKind::Outcome
        | EntryKind::LaterReview => true,
        EntryKind::Genesis
        | EntryKind::Decision
        | EntryKind::Directory
        | EntryKind::Activity
        | EntryKind::Refusal
        | EntryKind::Reveal
        | EntryKind::Erasure
        | EntryKind::Heartbeat
        | EntryKind::Gap
        | EntryKind::Rotation
        | EntryKind::Pruning
        | EntryKind::Reported
        | EntryKind::Backup => false,
    }
}

fn blobs(hashes: Vec<[u8; 32]>) -> Vec<Blob> {
    hashes.into_iter().map(|hash| Blob(hash.to_vec())).collect()
}
