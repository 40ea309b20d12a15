//! The embedded twin: the conformance suite, and what only a twin on files can be asked.

mod place;

mod ages;
mod backups;
mod conforms;
mod corruption;
mod files;
mod recovery;
