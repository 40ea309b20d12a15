//! The transparency log's arithmetic: what makes a log's entry provable without asking the log.
//!
//! Pure: no I/O, no clock, no async. Leaves are opaque; nothing here knows what an approval is, so
//! that this crate can be checked against other people's verifiers byte for byte. The formats are
//! RFC 6962 / RFC 9162 (tree and proofs) and C2SP (`signed-note`, `tlog-checkpoint`, `tlog-tiles`,
//! `tlog-proof`, `tlog-cosignature`, `tlog-policy`, `tlog-witness`).
//!
//! An entry's way through the rooms: it is hashed ([`leaf_hash`]), appended ([`Frontier`]), its tiles
//! fill up ([`TileHash`]), the tree's root is signed ([`Checkpoint`] over a [`Note`]), tiles are read
//! back and checked ([`TreeReader`]), proofs are made from them ([`inclusion_proof`],
//! [`consistency_proof`]), checked ([`verify_inclusion`], [`verify_consistency`]) and carried away
//! ([`TlogProof`]). Witnesses cosign what extends all that they saw before ([`witness`]), and a
//! [`Policy`] says whose cosignatures make a checkpoint count.

mod hash;
mod tree;

mod reader;
mod tile;

mod proof;

mod key;
mod note;

mod checkpoint;
mod cosignature;
mod policy;
mod tlog_proof;
pub mod witness;

mod error;
mod text;

#[cfg(test)]
mod tests;

pub use checkpoint::{Checkpoint, SignedCheckpoint};
pub use cosignature::{Cosignature, CosignatureTime, CosignerKey, WitnessKey, WitnessSigner};
pub use error::{Error, SignError};
pub use hash::{Hash, empty_root, leaf_hash, node_hash};
pub use key::{Ed25519Signer, KeyId, KeyName, MAX_KEY_NAME_BYTES, NoteSigner, VerifierKey};
pub use note::{MAX_NOTE_BYTES, MAX_NOTE_SIGNATURES, Note, NoteSignature};
pub use policy::{
    MAX_POLICY_BYTES, MAX_POLICY_GROUPS, MAX_POLICY_LOGS, MAX_POLICY_NAME_BYTES, MAX_POLICY_URL_BYTES,
    MAX_POLICY_WITNESSES, Policy, PolicyError, PolicyLog, PolicyProblem, PolicyText, PolicyWitness, Verdict,
    WitnessVerdict,
};
pub use proof::{
    MAX_PROOF_HASHES, consistency_proof, inclusion_proof, root_from_tiles, tiles_for_consistency,
    tiles_for_inclusion, verify_consistency, verify_inclusion,
};
pub use reader::{TreeReader, check_every_tile};
pub use tile::{
    MAX_ENTRY_BYTES, TILE_WIDTH, TileId, TilePath, decode_bundle, decode_tile, encode_bundle, encode_tile,
};
pub use tlog_proof::{MAX_EXTRA_BYTES, MAX_PROOF_FILE_BYTES, TlogProof};
pub use tree::{Frontier, TileHash, Tiles, completed_tile_hashes, tile_root};
