//! What the demo and the tests share: people with passkeys in software. The gateway never links this crate, and
//! this crate links nothing of the gateway's: it meets Countersign over HTTP only, as a stranger would.

mod person;

pub use person::{Person, Problem};
