//! The proof that the receipt's entries stand in the log whose key is trusted, at their indices, unaltered.
//!
//! Nothing is read out of an entry before this has passed.

use audit::{Checkpoint, Hash, leaf_hash, verify_inclusion};
use domain::canonical;
use domain::commitment::{Disclosure, disclosed_root};
use domain::entry::Leaf;
use domain::receipt::{Entry, Receipt};

use crate::verify::Trust;

/// The log as the receipt proves it.
pub(crate) struct ProvenLog {
    /// What the trusted key signed.
    pub(crate) checkpoint: Checkpoint,
    /// The entries, in the log's order.
    pub(crate) entries: Vec<Proven>,
}

/// An entry that stands in the log.
pub(crate) struct Proven {
    /// Where.
    pub(crate) index: u64,
    /// What the leaf says.
    pub(crate) leaf: Leaf,
    /// The fields that the leaf commits to.
    pub(crate) fields: Vec<Disclosure>,
}

/// Proves every entry, or says everything that is wrong.
pub(crate) fn prove(receipt: &Receipt, trust: &Trust) -> Result<ProvenLog, Vec<String>> {
    let checkpoint = checkpoint(receipt, trust).map_err(|reason| vec![reason])?;
    let mut reasons = Vec::new();
    let mut entries: Vec<Proven> = Vec::new();
    if receipt.entries.is_empty() {
        reasons.push("it has no entries".to_owned());
    }
    for entry in &receipt.entries {
        match prove_entry(entry, receipt, &checkpoint) {
            Ok(proven) => entries.push(proven),
            Err(reason) => reasons.push(format!("entry {}: {reason}", entry.index)),
        }
    }
    for (earlier, later) in entries.iter().zip(entries.iter().skip(1)) {
        if later.index <= earlier.index {
            reasons
                .push(format!("entry {} stands behind entry {}: indices rise", later.index, earlier.index));
        }
        if later.leaf.time < earlier.leaf.time {
            reasons.push(format!(
                "entry {} is dated before entry {}: time never falls",
                later.index, earlier.index
            ));
        }
    }
    if reasons.is_empty() { Ok(ProvenLog { checkpoint, entries }) } else { Err(reasons) }
}

fn checkpoint(receipt: &Receipt, trust: &Trust) -> Result<Checkpoint, String> {
    let trusted = trust.log.name().as_str();
    if receipt.origin.as_str() != trusted {
        return Err(format!(
            "the receipt is of the log `{}`; the trusted key is of `{trusted}`",
            receipt.origin
        ));
    }
    let signed = Checkpoint::open(receipt.checkpoint.as_bytes(), std::slice::from_ref(&trust.log))
        .map_err(|error| format!("the checkpoint: {error}"))?;
    Ok(signed.checkpoint().clone())
}

fn prove_entry(entry: &Entry, receipt: &Receipt, checkpoint: &Checkpoint) -> Result<Proven, String> {
    let proof: Result<Vec<Hash>, _> =
        entry.proof.iter().map(|hash| Hash::try_from(hash.0.as_slice())).collect();
    let proof = proof.map_err(|error| format!("its proof: {error}"))?;
    verify_inclusion(leaf_hash(&entry.leaf.0), entry.index, checkpoint.size(), &proof, checkpoint.root())
        .map_err(|error| format!("it is not proven to be in the log: {error}"))?;

    let leaf: Leaf =
        canonical::read(&entry.leaf.0).map_err(|error| format!("its leaf cannot be read: {error}"))?;
    if leaf.origin != receipt.origin {
        return Err(format!("its leaf names another log, `{}`", leaf.origin));
    }
    if u64::from(leaf.count) != entry.fields.len() as u64 {
        return Err(format!("it shows {} fields where its leaf counts {}", entry.fields.len(), leaf.count));
    }
    let root = disclosed_root(&entry.fields).map_err(|error| format!("its fields: {error}"))?;
    if root != leaf.fields {
        return Err("its fields are not those that its leaf commits to".to_owned());
    }
    Ok(Proven { index: entry.index, leaf, fields: entry.fields.clone() })
}
