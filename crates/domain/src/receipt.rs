//! A receipt: the proof, in one file, of what happened to one action.
//!
//! It carries the leaves with their inclusion proofs under one checkpoint, the fields that its holder may
//! see, the directory entries that enrolled the reviewers' keys, and the cases in which administrators signed for
//! these keys. It verifies without us; the checks are in the crate `verify`.

use serde::{Deserialize, Serialize};

use crate::commitment::Disclosure;
use crate::digest::Blob;
use crate::id::{ActionId, Origin};

/// The file's shape.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    /// The version of this shape: 1.
    #[serde(deserialize_with = "crate::canonical::version_one")]
    pub v: u8,
    /// The deployment.
    pub origin: Origin,
    /// The action's and approval's id.
    pub approval: ActionId,
    /// The signed checkpoint, a C2SP signed note.
    pub checkpoint: String,
    /// The entries of the approval's events, and of the keys that signed, in the log's order.
    pub entries: Vec<Entry>,
    /// The action's payload, each field open or withheld, in the order of the paths.
    pub payload: Vec<Disclosure>,
    /// What was signed for each key whose own case is among the entries, in the log's order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<KeyPayload>,
}

/// The payload of a case in which a key was signed for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyPayload {
    /// Where that case's request stands in the log.
    pub entry: u64,
    /// Its payload, each field open or withheld, in the order of the paths.
    pub payload: Vec<Disclosure>,
}

/// One entry with its proof.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Where it stands in the log.
    pub index: u64,
    /// The leaf's exact bytes.
    pub leaf: Blob,
    /// The inclusion proof to the checkpoint's root, RFC 6962, from the leaf up.
    pub proof: Vec<Blob>,
    /// The leaf's fields, each open or withheld, in the order of the paths.
    pub fields: Vec<Disclosure>,
}
