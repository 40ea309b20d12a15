//! A bundle: what an auditor takes away, in one file that any `tar` opens. The format is `docs/verifying.md`.
//!
//! It is read once, from front to back, in bounded memory: a line is looked at and let go, and so is a case at its
//! end. Each file's digest is held against the manifest when its end is reached, so the verdict is known at the end
//! and not before; what [`verify_bundle`] hands out on the way stands under that verdict.

mod lines;
pub mod manifest;
mod period;
mod render;
pub mod tar;
mod write;

use std::collections::BTreeMap;
use std::io::Read;

use domain::canonical;
use domain::commitment::Disclosure;
use domain::id::{ActionId, Origin};
use domain::time::Timestamp;
use serde::Serialize;

use crate::head::{self, Head};
use crate::log::{Proven, prove_entry};
use crate::replay::{Closed, Replay, Scope};
use crate::report::{Log, State, Summary, Verdict};
use crate::summary;
use crate::verify::{self, Trust};

pub use write::{Outline, Part, length, write_bundle};

use lines::Files;
use manifest::{About, EntryLine, Kind, Manifest, OPEN_CASES_LIMIT, Period, RotationLine};

/// The most reasons that one report tells; what follows on a broken file is noise.
pub const REASONS_LIMIT: usize = 50;

/// The verdict on a bundle, why, and what it is of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BundleReport {
    /// The verdict on the evidence.
    pub verdict: Verdict,
    /// Why it is not valid, in plain words; empty where it is. Words from the bundle may stand in them: escape them
    /// for whatever shows them, as [`BundleReport::render`] does.
    pub reasons: Vec<String>,
    /// What it is of; absent where nothing that it says can be relied on.
    pub contents: Option<Contents>,
}

/// What a bundle was found to hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Contents {
    /// What it is of.
    pub kind: Kind,
    /// Where its proofs stand.
    pub log: Log,
    /// Which entries it has all of, where it is of a period.
    pub period: Option<Population>,
    /// How many entries of each kind it shows, those of a period that were pruned not counted.
    pub entries: BTreeMap<&'static str, u64>,
    /// How many cases stand in each state; `undetermined` where something of theirs is not shown.
    pub cases: BTreeMap<&'static str, u64>,
    /// What its maker says of it. Nothing proves it.
    pub about: About,
}

/// A period whose entries are all there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Population {
    /// The index of its first entry.
    pub first: u64,
    /// The index behind its last.
    pub end: u64,
    /// The moment from which on it is proven to have every entry; the log's beginning where there is none.
    pub since: Option<Timestamp>,
    /// The moment before which it is proven to have every entry; the checkpoint where there is none.
    pub until: Option<Timestamp>,
    /// How many of its leaves were pruned: that they stood there is proven, and what they said is not shown.
    pub pruned: u64,
    /// The signed checkpoint that it goes on from, where the bundle has it: the root, base64, of the tree of `first`
    /// entries.
    pub before: Option<String>,
}

/// One case of a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CaseReport {
    /// The approval's id.
    pub approval: ActionId,
    /// Valid, or indeterminate where something that is needed is withheld or missing. A case that does not hold makes
    /// its whole bundle invalid and is not handed out.
    pub verdict: Verdict,
    /// What is missing.
    pub reasons: Vec<String>,
    /// What it shows; absent where nothing can be said.
    pub summary: Option<Summary>,
}

/// Verifies a bundle, and hands out each case as it is done with.
///
/// What is handed out holds only if the report, which comes at the end, is not invalid: whoever shows cases keeps
/// them until then, or reads the bundle twice.
pub fn verify_bundle(input: impl Read, trust: &Trust, mut each: impl FnMut(CaseReport)) -> BundleReport {
    let mut check = Check { reasons: Vec::new(), missing: Vec::new(), each: &mut each };
    let read = check.run(input, trust);
    let Check { mut reasons, missing, .. } = check;
    let contents = read.map_err(|reason| reasons.push(reason)).ok();
    if !reasons.is_empty() {
        return BundleReport { verdict: Verdict::Invalid, reasons, contents: None };
    }
    let verdict = if missing.is_empty() { Verdict::Valid } else { Verdict::Indeterminate };
    BundleReport { verdict, reasons: missing, contents }
}

/// A bundle's check under way.
struct Check<'e> {
    /// What speaks against it.
    reasons: Vec<String>,
    /// What is missing for it to be valid.
    missing: Vec<String>,
    each: &'e mut dyn FnMut(CaseReport),
}

/// What was counted.
#[derive(Default)]
struct Counts {
    entries: BTreeMap<&'static str, u64>,
    cases: BTreeMap<&'static str, u64>,
    lines: u64,
    requests: u64,
    pruned: u64,
}

impl Check<'_> {
    /// Reads the whole; an error ends it.
    fn run(&mut self, input: impl Read, trust: &Trust) -> Result<Contents, String> {
        let (mut files, manifest) = Files::open(input)?;
        let origin = manifest.origin.clone();
        let about = files.whole(manifest::ABOUT, manifest::ABOUT_LIMIT_BYTES)?;
        let about: About =
            canonical::read_exact(&about).map_err(|error| format!("`{}`: {error}", manifest::ABOUT))?;
        let note = files.note(manifest::CHECKPOINT)?;
        let mut rotations: Vec<RotationLine> = Vec::new();
        if files.has(manifest::KEYS) {
            files.each_line(manifest::KEYS, |line| {
                if rotations.len() >= manifest::ROTATIONS_LIMIT {
                    return Err("the log's key changes too often to be followed".to_owned());
                }
                rotations.push(canonical::read_exact(line).map_err(|error| error.to_string())?);
                Ok(())
            })?;
        }
        let head = head::open(&note, &origin, trust, &rotations)?;
        self.missing.extend(head.missing.clone());
        let period = match manifest.kind {
            Kind::Cases => None,
            Kind::Period => Some(period::read(&mut files)?),
        };
        let before = match files.has(manifest::BEFORE) {
            false => None,
            true => {
                let note = files.note(manifest::BEFORE)?;
                Some(head::open_earlier(&note, &origin, trust, &rotations)?)
            }
        };
        let scope = match &period {
            Some(period) if period.first > 0 => Scope::Tail,
            Some(_) | None => Scope::All,
        };
        let mut reading = Reading {
            origin: &origin,
            head: &head,
            replay: Replay::new(origin.clone(), trust, scope),
            counts: Counts::default(),
            edges: Edges::default(),
        };
        files.each_line(manifest::ENTRIES, |line| {
            reading.entry(self, line, period.as_ref());
            self.bearable()
        })?;
        let period = match &period {
            None => None,
            Some(period) => Some(reading.population(self, &mut files, period, before.as_ref())?),
        };
        files.end()?;
        let Reading { replay, mut counts, .. } = reading;
        if (counts.lines, counts.requests) != (manifest.entries, manifest.cases) {
            return Err(format!(
                "it has {} entries and {} requests, and its manifest says {} and {}",
                counts.lines, counts.requests, manifest.entries, manifest.cases
            ));
        }
        for closed in replay.close() {
            self.close(closed, &origin, &head, &mut counts);
        }
        let log = verify::at(&origin, &head, Vec::new());
        Ok(Contents { kind: manifest.kind, log, period, entries: counts.entries, cases: counts.cases, about })
    }

    /// Notes what speaks against the bundle.
    fn against(&mut self, reason: String) {
        self.reasons.push(reason);
    }

    /// Whether it is worth reading on.
    fn bearable(&self) -> Result<(), String> {
        if self.reasons.len() < REASONS_LIMIT {
            Ok(())
        } else {
            Err("and more; the rest was not read".to_owned())
        }
    }

    /// Counts a case and hands it out.
    fn close(&mut self, closed: Closed, origin: &Origin, head: &Head, counts: &mut Counts) {
        let report = match closed {
            Closed::Blind(approval, why) => {
                CaseReport { approval, verdict: Verdict::Indeterminate, reasons: vec![why], summary: None }
            }
            Closed::Whole(approval, mut case) => {
                let lines = std::mem::take(&mut case.lines);
                let summary = summary::of(approval, &case, verify::at(origin, head, lines));
                let reasons: Vec<String> = case.missing.into_iter().collect();
                let verdict = if reasons.is_empty() { Verdict::Valid } else { Verdict::Indeterminate };
                CaseReport { approval, verdict, reasons, summary: Some(summary) }
            }
        };
        let state =
            report.summary.as_ref().map_or(State::Undetermined.word(), |summary| summary.state.word());
        *counts.cases.entry(state).or_default() += 1;
        if report.verdict != Verdict::Valid && self.missing.len() < REASONS_LIMIT {
            let why = report.reasons.join("; ");
            self.missing.push(format!("the case {}: {why}", report.approval));
        }
        (self.each)(report);
    }
}

/// The entries of a bundle as they are read.
struct Reading<'t> {
    origin: &'t Origin,
    head: &'t Head,
    replay: Replay<'t>,
    counts: Counts,
    edges: Edges,
}

/// The entries that stand just outside of a period: they show that it ends where it must.
#[derive(Default)]
struct Edges {
    before: Option<Timestamp>,
    behind: Option<Timestamp>,
}

impl Reading<'_> {
    /// A line of `entries.jsonl`.
    fn entry(&mut self, check: &mut Check<'_>, line: &[u8], period: Option<&Period>) {
        let read = canonical::read_exact::<EntryLine>(line).map_err(|error| error.to_string());
        let taken = read.and_then(|EntryLine { entry, payload }| {
            let index = entry.index;
            let told = |reason: String| format!("entry {index}: {reason}");
            let proven = prove_entry(&entry, self.origin, &self.head.checkpoint).map_err(told)?;
            let Some(period) = period else {
                return self.take(check, &proven, payload);
            };
            if index == period.end {
                self.counts.lines += 1;
                return match self.edges.behind.replace(proven.leaf.time) {
                    None if payload.is_none() => Ok(()),
                    None | Some(_) => Err(told("it has no business behind the period's end".to_owned())),
                };
            }
            if index >= period.first {
                return Err(told("it stands within the period, or behind it".to_owned()));
            }
            if index + 1 == period.first {
                self.edges.before = Some(proven.leaf.time);
            }
            self.take(check, &proven, payload)
        });
        if let Err(reason) = taken {
            check.against(reason);
        }
    }

    /// Takes an entry into the replay.
    fn take(
        &mut self,
        check: &mut Check<'_>,
        proven: &Proven,
        payload: Option<Vec<Disclosure>>,
    ) -> Result<(), String> {
        self.counts.lines += 1;
        *self.counts.entries.entry(proven.leaf.kind.as_str()).or_default() += 1;
        self.counts.requests += u64::from(proven.leaf.kind == domain::entry::Kind::Request);
        if let Some(closed) = self.replay.take(proven, payload)? {
            check.close(closed, self.origin, self.head, &mut self.counts);
        } else if self.replay.open() > OPEN_CASES_LIMIT {
            return Err(format!("more than {OPEN_CASES_LIMIT} cases are under way at once"));
        }
        Ok(())
    }
}

/// Reads the manifest at the front of a bundle, without looking at what stands behind it.
///
/// # Errors
/// What is wrong with it, in words.
pub fn read_manifest(input: impl Read) -> Result<Manifest, String> {
    Files::open(input).map(|(_, manifest)| manifest)
}

/// Whether a file begins as a bundle does; `start` is its first bytes, of which thirteen are enough.
#[must_use]
pub fn is_bundle(start: &[u8]) -> bool {
    start.starts_with(manifest::MANIFEST.as_bytes())
}
