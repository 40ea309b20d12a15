//! Retention: what may go for its age, and how the log says that it went.
//!
//! A `pruning/1` entry names a range of entries and which of them are kept; of all others the values are gone, and with
//! `leaves` = `dropped` the leaves as well. So whoever audits the log later can tell what was pruned from
//! what was taken away.

use std::collections::BTreeSet;

use audit::TILE_WIDTH;
use domain::canonical;
use domain::commitment::Disclosure;
use domain::directory::{Change, DirectoryEvent};
use domain::entry::{Draft, Kind, Leaf};
use domain::id::ActionId;

use crate::{Leaves, Pruning, StoreError, open_fields};

/// The approvals under which people's keys, accounts and standings in groups changed: without their cases nobody could say later who
/// signed for the key or the standing that a review rests on, however young that review is. Such changes
/// are few, so their cases stay for good.
#[derive(Debug, Default)]
pub(crate) struct Vouching(BTreeSet<ActionId>);

impl Vouching {
    /// Takes in a change of the directory.
    pub(crate) fn add(&mut self, change: &Change) {
        match &change.event {
            DirectoryEvent::KeyEnrolled { .. }
            | DirectoryEvent::SshKeyEnrolled { .. }
            | DirectoryEvent::KeyRevoked { .. }
            | DirectoryEvent::AccountLinked { .. }
            | DirectoryEvent::AccountUnlinked { .. }
            | DirectoryEvent::GroupJoined { .. }
            | DirectoryEvent::GroupLeft { .. } => self.0.extend(change.approval),
            DirectoryEvent::PersonAdded { .. }
            | DirectoryEvent::PersonDeactivated { .. }
            | DirectoryEvent::AgentAdded { .. }
            | DirectoryEvent::AgentKeyReplaced { .. }
            | DirectoryEvent::AgentSponsorChanged { .. }
            | DirectoryEvent::AgentDisabled { .. }
            | DirectoryEvent::RouteSet { .. }
            | DirectoryEvent::RouteRemoved { .. }
            | DirectoryEvent::PolicyApplied { .. } => {}
        }
    }

    /// Whether an entry stays for good.
    pub(crate) fn keeps(&self, leaf: &Leaf) -> bool {
        stays(leaf.kind) || (is_of_a_case(leaf.kind) && self.names(leaf.subject.as_deref()))
    }

    fn names(&self, subject: Option<&str>) -> bool {
        subject.and_then(|subject| subject.parse().ok()).is_some_and(|id| self.0.contains(&id))
    }
}

/// Whether entries of this kind are what an approval replays from.
fn is_of_a_case(kind: Kind) -> bool {
    match kind {
        Kind::Request
        | Kind::Review
        | Kind::Question
        | Kind::Answer
        | Kind::Reevaluation
        | Kind::End
        | Kind::Execution
        | Kind::Outcome
        | Kind::LaterReview => true,
        Kind::Genesis
        | Kind::Decision
        | Kind::Directory
        | Kind::Activity
        | Kind::Reported
        | Kind::Backup
        | Kind::Refusal
        | Kind::Reveal
        | Kind::Erasure
        | Kind::Heartbeat
        | Kind::Gap
        | Kind::Rotation
        | Kind::Pruning => false,
    }
}

/// Whether entries of this kind stay for good: whoever opens, audits or verifies the log reads them.
pub(crate) fn stays(kind: Kind) -> bool {
    match kind {
        Kind::Genesis | Kind::Directory | Kind::Erasure | Kind::Gap | Kind::Rotation | Kind::Pruning => true,
        Kind::Request
        | Kind::Decision
        | Kind::Review
        | Kind::Question
        | Kind::Answer
        | Kind::Reevaluation
        | Kind::End
        | Kind::Execution
        | Kind::Outcome
        | Kind::Activity
        | Kind::Reported
        | Kind::Backup
        | Kind::LaterReview
        | Kind::Refusal
        | Kind::Reveal
        | Kind::Heartbeat => false,
    }
}

/// The largest multiple of a tile's width that is not above an index.
pub(crate) fn whole_tiles(index: u64) -> u64 {
    index - index % u64::from(TILE_WIDTH)
}

/// What one pruning did, as its entry says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Range {
    /// The first entry.
    pub(crate) from: u64,
    /// The first entry behind it.
    pub(crate) below: u64,
    /// Which of them are kept, in order.
    pub(crate) kept: Vec<u64>,
    /// Whether the leaves went too.
    pub(crate) leaves: Leaves,
}

impl Range {
    /// The entry that says so.
    ///
    /// # Errors
    /// None that a value of this type can cause; see [`canonical::write`].
    pub(crate) fn draft(&self, pruning: &Pruning) -> Result<Draft, StoreError> {
        let kept = canonical::write(&self.kept).map_err(domain::Refusal::from)?;
        let fields = [
            ("before", pruning.before.micros().to_string().into_bytes()),
            ("below", self.below.to_string().into_bytes()),
            ("by", pruning.by.clone().into_bytes()),
            ("from", self.from.to_string().into_bytes()),
            ("kept", kept),
            ("leaves", leaves_word(self.leaves).as_bytes().to_vec()),
            ("policy", pruning.policy.clone().into_bytes()),
        ];
        let fields = fields.into_iter().map(|(path, value)| (path.to_owned(), value)).collect();
        Ok(Draft { kind: Kind::Pruning, subject: None, fields })
    }

    /// What the entry at `index` says.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] where it does not say it.
    pub(crate) fn read(index: u64, fields: &[Disclosure]) -> Result<Self, StoreError> {
        Self::parse(fields)
            .filter(|range| range.from < range.below && range.below <= index)
            .ok_or_else(|| StoreError::Corrupt(format!("entry {index} does not say what was pruned")))
    }

    fn parse(fields: &[Disclosure]) -> Option<Self> {
        let open = open_fields(fields);
        let value = |path: &str| Some(open.iter().find(|field| field.path == path)?.value.0.as_slice());
        let number = |path: &str| str::from_utf8(value(path)?).ok()?.parse().ok();
        let leaves = match value("leaves")? {
            b"kept" => Leaves::Keep,
            b"dropped" => Leaves::Drop,
            _ => return None,
        };
        let kept = canonical::read::<Vec<u64>>(value("kept")?).ok()?;
        Some(Self { from: number("from")?, below: number("below")?, kept, leaves })
    }

    fn took(&self, index: u64) -> bool {
        (self.from..self.below).contains(&index) && self.kept.binary_search(&index).is_err()
    }
}

/// Everything that the log says was pruned.
#[derive(Debug, Default)]
pub(crate) struct Ranges(Vec<Range>);

impl Ranges {
    /// Another pruning.
    pub(crate) fn add(&mut self, range: Range) {
        self.0.push(range);
    }

    /// How many prunings there were.
    pub(crate) fn count(&self) -> u64 {
        self.0.len() as u64
    }

    /// Brings them into the order in which [`took`](Self::took) looks: by their beginning.
    pub(crate) fn sort(&mut self) {
        self.0.sort_by_key(|range| range.from);
    }

    /// Whether an entry's values went, or with [`Leaves::Drop`] its leaf. Ranges of one kind do not overlap, so at most
    /// a few are looked at.
    pub(crate) fn took(&self, index: u64, what: Leaves) -> bool {
        let end = self.0.partition_point(|range| range.from <= index);
        let mut near = self
            .0
            .iter()
            .take(end)
            .rev()
            .take_while(|range| index < range.from.saturating_add(crate::limits::PRUNE_LIMIT));
        near.any(|range| (what == Leaves::Keep || range.leaves == Leaves::Drop) && range.took(index))
    }
}

/// As the entry spells it.
pub(crate) fn leaves_word(leaves: Leaves) -> &'static str {
    match leaves {
        Leaves::Keep => "kept",
        Leaves::Drop => "dropped",
    }
}
