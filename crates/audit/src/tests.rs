//! The crate's tests: against an oracle that we did not write, against other people's vectors, and
//! against whoever changes a bit.

mod support;

mod checkpoint;
mod corruption;
mod note;
mod proof;
mod tile;
mod tlog_proof;
mod tree;
