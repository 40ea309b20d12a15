//! The proof that entries stand in the log whose key is trusted, at their indices, unaltered.
//!
//! Nothing is read out of an entry before this has passed.

use audit::{Checkpoint, Hash, leaf_hash, verify_inclusion};
use domain::canonical;
use domain::commitment::{Disclosure, disclosed_root};
use domain::entry::Leaf;
use domain::id::Origin;
use domain::receipt::{Entry, Receipt};
use domain::time::Timestamp;

/// An entry that stands in the log.
#[derive(Debug)]
pub(crate) struct Proven {
    /// Where.
    pub(crate) index: u64,
    /// What the leaf says.
    pub(crate) leaf: Leaf,
    /// The fields that the leaf commits to.
    pub(crate) fields: Vec<Disclosure>,
}

/// Proves every entry of a receipt, or says everything that is wrong.
pub(crate) fn prove(receipt: &Receipt, checkpoint: &Checkpoint) -> Result<Vec<Proven>, Vec<String>> {
    let mut reasons = Vec::new();
    let mut entries: Vec<Proven> = Vec::new();
    if receipt.entries.is_empty() {
        reasons.push("it has no entries".to_owned());
    }
    for entry in &receipt.entries {
        match prove_entry(entry, &receipt.origin, checkpoint) {
            Ok(proven) => entries.push(proven),
            Err(reason) => reasons.push(format!("entry {}: {reason}", entry.index)),
        }
    }
    let mut order = Order::default();
    reasons.extend(entries.iter().filter_map(|entry| order.next(entry.index, entry.leaf.time).err()));
    if reasons.is_empty() { Ok(entries) } else { Err(reasons) }
}

/// Proves one entry by its inclusion in the checkpoint's tree.
pub(crate) fn prove_entry(entry: &Entry, origin: &Origin, checkpoint: &Checkpoint) -> Result<Proven, String> {
    let proof = hashes(&entry.proof).map_err(|error| format!("its proof: {error}"))?;
    verify_inclusion(leaf_hash(&entry.leaf.0), entry.index, checkpoint.size(), &proof, checkpoint.root())
        .map_err(|error| format!("it is not proven to be in the log: {error}"))?;
    let leaf: Leaf =
        canonical::read_exact(&entry.leaf.0).map_err(|error| format!("its leaf cannot be read: {error}"))?;
    belongs(&leaf, origin)?;
    fits(&leaf, &entry.fields)?;
    Ok(Proven { index: entry.index, leaf, fields: entry.fields.clone() })
}

/// A proof's hashes.
pub(crate) fn hashes(blobs: &[domain::digest::Blob]) -> Result<Vec<Hash>, audit::Error> {
    blobs.iter().map(|hash| Hash::try_from(hash.0.as_slice())).collect()
}

/// Whether the leaf is of this log.
pub(crate) fn belongs(leaf: &Leaf, origin: &Origin) -> Result<(), String> {
    if leaf.origin == *origin {
        Ok(())
    } else {
        Err(format!("its leaf names another log, `{}`", leaf.origin))
    }
}

/// Whether these are the fields that the leaf commits to.
pub(crate) fn fits(leaf: &Leaf, fields: &[Disclosure]) -> Result<(), String> {
    if u64::from(leaf.count) != fields.len() as u64 {
        return Err(format!("it shows {} fields where its leaf counts {}", fields.len(), leaf.count));
    }
    let root = disclosed_root(fields).map_err(|error| format!("its fields: {error}"))?;
    if root == leaf.fields {
        Ok(())
    } else {
        Err("its fields are not those that its leaf commits to".to_owned())
    }
}

/// The order of a log: indices rise, and time never falls.
#[derive(Debug, Default)]
pub(crate) struct Order {
    last: Option<(u64, Timestamp)>,
}

impl Order {
    /// Takes the next entry, or says what is out of order.
    pub(crate) fn next(&mut self, index: u64, time: Timestamp) -> Result<(), String> {
        let last = self.last.replace((index, time));
        match last {
            Some((earlier, _)) if index <= earlier => {
                Err(format!("entry {index} stands behind entry {earlier}: indices rise"))
            }
            Some((earlier, before)) if time < before => {
                Err(format!("entry {index} is dated before entry {earlier}: time never falls"))
            }
            Some(_) | None => Ok(()),
        }
    }
}
