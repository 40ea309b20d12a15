//! A bundle's first file: what the bundle is of, and every other file with its size and digest.

use std::fmt;

use domain::Malformed;
use domain::canonical;
use domain::commitment::Disclosure;
use domain::digest::Blob;
use domain::id::Origin;
use domain::receipt::Entry;
use domain::time::Timestamp;
use serde::{Deserialize, Serialize};

/// The first file of every bundle.
pub const MANIFEST: &str = "manifest.json";
/// Words of its maker: what was asked for, when and by whom. Nothing proves them.
pub const ABOUT: &str = "about.json";
/// The signed checkpoint (a C2SP signed note, with the witnesses' cosignatures) that all proofs lead to.
pub const CHECKPOINT: &str = "checkpoint";
/// Changes of the log's key, for whoever trusts an older one; only where there were any.
pub const KEYS: &str = "keys.jsonl";
/// Which entries a period has; only in a bundle of one.
pub const PERIOD: &str = "period.json";
/// A period's earlier checkpoint, of its first entry's index as its size; only where its maker had one.
pub const BEFORE: &str = "before";
/// Entries with their inclusion proofs.
pub const ENTRIES: &str = "entries.jsonl";
/// A period's entries, all of them.
pub const LEAVES: &str = "leaves.jsonl";

/// The files behind the manifest, in their only order.
const ORDER: [&str; 7] = [ABOUT, CHECKPOINT, KEYS, PERIOD, BEFORE, ENTRIES, LEAVES];

/// The largest manifest, in bytes: seven files take under 2 KiB.
pub const MANIFEST_LIMIT_BYTES: u64 = 32 << 10;
/// The largest `period.json`, in bytes: two proofs of 65 hashes take under 7 KiB.
pub const PERIOD_LIMIT_BYTES: u64 = 32 << 10;
/// The largest `about.json`, in bytes.
pub const ABOUT_LIMIT_BYTES: u64 = 64 << 10;
/// The most changes of the log's key that one bundle tells.
pub const ROTATIONS_LIMIT: usize = 256;
/// The longest line of a file of lines, in bytes without its newline.
pub const LINE_LIMIT_BYTES: usize = canonical::RECORD_LIMIT_BYTES;
/// The most cases that may be under way at once, or lack something, while a bundle is read; those at their end
/// are let go.
pub const OPEN_CASES_LIMIT: usize = 200_000;

/// What the bundle is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Some cases, each whole. Nothing says that there are no others.
    Cases,
    /// A population: every entry of the log between two places.
    Period,
}

impl Kind {
    /// The kind's word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cases => "cases",
            Self::Period => "period",
        }
    }
}

/// The manifest. Its bytes are canonical JSON and nothing else, so that there is one spelling of each, and it holds
/// nothing that is not held against what the bundle has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// `countersign/bundle/v1`.
    pub format: Format,
    /// The log.
    pub origin: Origin,
    /// What the bundle is of.
    pub kind: Kind,
    /// How many lines `entries.jsonl` and `leaves.jsonl` have together.
    pub entries: u64,
    /// How many requests stand among them.
    pub cases: u64,
    /// The files behind the manifest, in their order.
    pub files: Vec<File>,
}

/// The format's name with its version, which has one value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Format {
    /// Version 1.
    #[serde(rename = "countersign/bundle/v1")]
    V1,
}

/// A file behind the manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// Its name.
    pub name: String,
    /// How long it is, in bytes.
    pub bytes: u64,
    /// Its SHA-256, 32 bytes.
    pub sha256: Blob,
}

/// `period.json`: which entries a period has, and what proves that they are all of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Period {
    /// The index of its first entry.
    pub first: u64,
    /// The index behind its last.
    pub end: u64,
    /// The moment from which on it has every entry; the log's beginning where it is none.
    pub since: Option<Timestamp>,
    /// The moment before which it has every entry; the checkpoint where it is none.
    pub until: Option<Timestamp>,
    /// The tree of the first `first` entries as its right edge: the roots of its perfect subtrees, largest first.
    pub frontier: Vec<Blob>,
    /// The consistency proof (RFC 6962) from the tree of `end` entries to the checkpoint's.
    pub consistency: Vec<Blob>,
}

/// A line of `entries.jsonl`: an entry with its proof, and the payload where it is a request's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EntryLine {
    /// The entry.
    pub entry: Entry,
    /// The payload of a request, each field open or withheld; `None` shows nothing of it.
    pub payload: Option<Vec<Disclosure>>,
}

/// A line of `leaves.jsonl`: the next entry of the period.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeafLine {
    /// The leaf's exact bytes; `None` where they were pruned.
    pub leaf: Option<Blob>,
    /// The leaf's hash, 32 bytes, where its bytes were pruned.
    pub hash: Option<Blob>,
    /// Its fields, each open or withheld; `None` shows nothing of them.
    pub fields: Option<Vec<Disclosure>>,
    /// The payload of a request, as in `entries.jsonl`.
    pub payload: Option<Vec<Disclosure>>,
}

/// A line of `keys.jsonl`: one change of the log's key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RotationLine {
    /// The old key's last checkpoint.
    pub checkpoint: String,
    /// The `rotation/1` entry, the last of that checkpoint's tree, with its proof in it.
    pub entry: Entry,
    /// The consistency proof from that tree to the one of the bundle's checkpoint.
    pub consistency: Vec<Blob>,
}

/// `about.json`: what its maker says of a bundle. Nothing proves it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct About {
    /// What was asked for, in words.
    pub query: String,
    /// When the bundle was made, by its maker's clock.
    pub made: Timestamp,
    /// Who asked for it.
    pub by: Option<String>,
    /// The program that made it, with its version.
    pub maker: String,
}

impl Manifest {
    /// Reads a manifest in its only spelling.
    ///
    /// # Errors
    /// Another format, files that a bundle of this kind has not or in another order, a period where there is none
    /// or none where there is one, and every other spelling.
    pub fn read(bytes: &[u8]) -> Result<Self, Malformed> {
        let manifest: Self = canonical::read(bytes)?;
        if canonical::write(&manifest)? != bytes {
            return Err(Malformed::Json("the manifest is not canonical JSON".to_owned()));
        }
        manifest.check().map_err(|why| Malformed::Json(why.to_owned()))?;
        Ok(manifest)
    }

    fn check(&self) -> Result<(), &'static str> {
        let mut order = ORDER.iter();
        if !self.files.iter().all(|file| order.any(|name| *name == file.name)) {
            return Err("the manifest lists an unknown file, one twice, or one out of its place");
        }
        let has = |name: &str| self.files.iter().any(|file| file.name == name);
        let is_period = self.kind == Kind::Period;
        if !has(ABOUT) || !has(CHECKPOINT) || !has(ENTRIES) {
            return Err("the manifest lacks a file that every bundle has");
        }
        if has(PERIOD) != is_period || has(LEAVES) != is_period || (has(BEFORE) && !is_period) {
            return Err("the manifest has what belongs to a bundle of the other kind");
        }
        if self.files.iter().any(|file| file.bytes > super::tar::FILE_LIMIT_BYTES) {
            return Err("the manifest lists a file that is larger than an archive holds");
        }
        if self.files.iter().any(|file| file.sha256.0.len() != 32) {
            return Err("a digest in the manifest is not 32 bytes");
        }
        Ok(())
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
