//! What leaves the house as evidence: bundles for auditors, events for other systems, and the sinks that carry them.

pub mod bundle;
pub mod event;
pub mod export;
pub mod sink;

pub mod limits;

mod error;
mod moment;
mod trail;

#[cfg(test)]
mod tests;

pub use bundle::BundleService;
pub use error::EvidenceError;
pub use trail::TrailService;
