//! Witnesses, both ways: [`Client`] asks those that a policy names to cosign this log's head, and
//! [`Witness`] is one for the logs of others. The protocol itself is `audit::witness`, without I/O.

mod client;
mod cosigned;
mod peer;
mod source;
mod transport;

mod records;
mod server;

#[cfg(test)]
mod tests;

pub use client::{Client, ClientError, limits};
pub use cosigned::{Cosigned, Standing};
pub use records::RecordError;
pub use server::{Witness, router};
pub use source::{SourceError, Stored, WitnessedLog};
pub use transport::{HttpTransport, Reply, Transport, TransportError};
