//! The crate's tests: against an oracle that we did not write, against other people's vectors, and
//! against whoever changes a bit.

mod support;

mod checkpoint;
mod corruption;
mod cosignature;
mod note;
mod policy;
mod proof;
mod tile;
mod tlog_proof;
mod tree;
mod witness;
