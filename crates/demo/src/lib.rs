//! What the demo and the tests share: people with passkeys in software. The gateway never links this crate, and
//! this crate links nothing of ours: it meets Countersign over HTTP only, as a stranger would.

mod passkey;
mod person;

pub use passkey::SoftPasskey;
pub use person::{Person, Problem};
