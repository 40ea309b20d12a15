//! Bundles made by hand: every part can be bent before it is packed, and the digests are made to fit.

use audit::Frontier;
use domain::canonical;
use domain::commitment::Disclosure;
use domain::digest::Blob;
use domain::id::Origin;
use domain::time::Timestamp;
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use verify::bundle::manifest::{self, About, EntryLine, LeafLine, Period, RotationLine};
use verify::bundle::tar;

use crate::scene::*;

/// A bundle before it is packed.
#[derive(Clone)]
pub(crate) struct Pack {
    pub(crate) origin: Origin,
    pub(crate) kind: &'static str,
    pub(crate) period: Option<Period>,
    pub(crate) checkpoint: String,
    pub(crate) keys: Vec<RotationLine>,
    pub(crate) before: Option<String>,
    pub(crate) entries: Vec<EntryLine>,
    pub(crate) leaves: Vec<LeafLine>,
    /// What the files hold instead of what stands above: name and content.
    pub(crate) instead: Vec<(&'static str, Vec<u8>)>,
    /// What the manifest counts besides what is there.
    pub(crate) counted: (i64, i64),
}

impl Pack {
    /// Every entry of the log, as some cases.
    pub(crate) fn cases(scene: &Scene) -> Self {
        let size = scene.log.len();
        let told: Vec<usize> = scene.told.clone();
        Self {
            origin: origin(),
            kind: "cases",
            period: None,
            checkpoint: scene.checkpoint(size, &log_key(ORIGIN, 1)).note().to_string(),
            keys: Vec::new(),
            before: None,
            entries: told.into_iter().map(|at| entry_line(scene, at, size)).collect(),
            leaves: Vec::new(),
            instead: Vec::new(),
            counted: (0, 0),
        }
    }

    /// The entries `first..end`, with those before them that are told.
    pub(crate) fn period(scene: &Scene, first: usize, end: usize) -> Self {
        let size = scene.log.len();
        let mut edge = Frontier::new();
        for hash in scene.hashes(first) {
            edge.append(hash).unwrap();
        }
        let until = (end < size).then(|| at(u64::try_from(end).unwrap() + 1));
        let mut entries: Vec<_> =
            scene.told.iter().filter(|at| **at < first).map(|at| entry_line(scene, *at, size)).collect();
        let mut neighbours = Vec::new();
        if first > 0 && entries.last().is_none_or(|line| line.entry.index + 1 != first as u64) {
            neighbours.push(first - 1);
        }
        if end < size {
            neighbours.push(end);
        }
        for at in neighbours {
            let mut line = entry_line(scene, at, size);
            line.payload = None;
            entries.push(line);
        }
        let leaf = |index: usize| LeafLine {
            leaf: Some(Blob(scene.log[index].0.clone())),
            hash: None,
            fields: Some(scene.entry(index, size).fields),
            payload: is_request(scene, index).then(|| scene.payload_of(index)),
        };
        Self {
            kind: "period",
            period: Some(Period {
                first: first as u64,
                end: end as u64,
                since: (first > 0).then(|| at(u64::try_from(first).unwrap() + 1)),
                until,
                frontier: blobs(edge.hashes()),
                consistency: blobs(&consistency(end, &scene.hashes(size), true)),
            }),
            before: (first > 0).then(|| scene.checkpoint(first, &log_key(ORIGIN, 1)).note().to_string()),
            entries,
            leaves: (first..end).map(leaf).collect(),
            ..Self::cases(scene)
        }
    }

    /// The files behind the manifest.
    pub(crate) fn files(&self) -> Vec<(String, Vec<u8>)> {
        let about = About {
            query: "the tests' own".to_owned(),
            made: Timestamp::from_micros(1_767_225_600_000_000),
            by: None,
            maker: "tests".to_owned(),
        };
        let mut files = vec![
            (manifest::ABOUT, canonical::write(&about).unwrap()),
            (manifest::CHECKPOINT, self.checkpoint.clone().into_bytes()),
        ];
        if !self.keys.is_empty() {
            files.push((manifest::KEYS, lines(&self.keys)));
        }
        files.extend(self.period.iter().map(|period| (manifest::PERIOD, canonical::write(period).unwrap())));
        files.extend(self.before.iter().map(|note| (manifest::BEFORE, note.clone().into_bytes())));
        files.push((manifest::ENTRIES, lines(&self.entries)));
        if self.kind == "period" {
            files.push((manifest::LEAVES, lines(&self.leaves)));
        }
        for (name, content) in &self.instead {
            match files.iter_mut().find(|(other, _)| other == name) {
                Some((_, place)) => place.clone_from(content),
                None => files.push((name, content.clone())),
            }
        }
        files.into_iter().map(|(name, content)| (name.to_owned(), content)).collect()
    }

    /// The manifest's content, before it is spelt.
    pub(crate) fn manifest(&self, files: &[(String, Vec<u8>)]) -> serde_json::Value {
        let requests = self.entries.iter().map(|line| &line.entry.leaf);
        let requests = requests.chain(self.leaves.iter().filter_map(|line| line.leaf.as_ref()));
        let requests =
            requests.filter(|leaf| leaf.0.windows(11).any(|word| word == b"\"request/1\"")).count();
        let behind = self.period.as_ref().is_some_and(|period| {
            self.entries
                .iter()
                .any(|line| line.entry.index == period.end && is_request_leaf(&line.entry.leaf.0))
        });
        let count = |real: usize, more: i64| i64::try_from(real).unwrap() + more;
        serde_json::json!({
            "format": "countersign/bundle/v1",
            "origin": self.origin,
            "kind": self.kind,
            "entries": count(self.entries.len() + self.leaves.len(), self.counted.0),
            "cases": count(requests - usize::from(behind), self.counted.1),
            "files": files.iter().map(|(name, content)| serde_json::json!({
                "name": name,
                "bytes": content.len(),
                "sha256": Blob(Sha256::digest(content).to_vec()),
            })).collect::<Vec<_>>(),
        })
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let files = self.files();
        let manifest = canonical::write(&self.manifest(&files)).unwrap();
        tarred(&manifest, &files)
    }

    /// With a part changed.
    pub(crate) fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }
}

fn is_request_leaf(leaf: &[u8]) -> bool {
    leaf.windows(11).any(|word| word == b"\"request/1\"")
}

fn is_request(scene: &Scene, index: usize) -> bool {
    is_request_leaf(&scene.log[index].0)
}

pub(crate) fn entry_line(scene: &Scene, index: usize, size: usize) -> EntryLine {
    EntryLine {
        entry: scene.entry(index, size),
        payload: is_request(scene, index).then(|| scene.payload_of(index)),
    }
}

pub(crate) fn lines<T: Serialize>(all: &[T]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for line in all {
        bytes.extend(canonical::write(line).unwrap());
        bytes.push(b'\n');
    }
    bytes
}

/// An archive of these files, whatever they are.
pub(crate) fn tarred(manifest: &[u8], files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let first = (manifest::MANIFEST.to_owned(), manifest.to_vec());
    for (name, content) in std::iter::once(&first).chain(files) {
        let size = content.len() as u64;
        bytes.extend(tar::header(name, size));
        bytes.extend(content);
        bytes.extend(vec![0; tar::padding(size)]);
    }
    bytes.extend([0; tar::END_BYTES]);
    bytes
}

/// The same field, withheld.
pub(crate) fn withhold(field: &mut Disclosure) {
    if let Disclosure::Open(open) = field {
        *field = Disclosure::Withheld(open.commitment().unwrap());
    }
}
