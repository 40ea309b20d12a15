//! What people, cards, logs and exports see of a payload: detectors of secrets and personal data, and masking by
//! rules. Pure: bytes in, spans and masks out. Nothing here panics on any bytes, and everything is linear in their
//! number, within [`limits`].
//!
//! A detector errs on the side of masking where a form is unmistakable, and needs a telling word beside what could
//! be anything. `docs/masking.md` says how often either goes wrong.

pub mod limits;

mod masker;
mod trail;
mod masked;
mod class;
mod rules;
mod scan;
mod names;
mod detect;
mod json;
mod table;
mod view;
mod bytes;

#[cfg(test)]
mod tests;

pub use class::{Class, Finding};
pub use masked::{Masked, Piece};
pub use masker::Masker;
pub use rules::{Pattern, Reveal, Rules, RulesError};
pub use trail::TrailMasks;
