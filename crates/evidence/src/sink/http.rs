//! What the sinks over HTTP share: a client that goes nowhere else than it was told, and plain words for failures.

use std::path::Path;

use outbound::http::Patience;
pub(super) use outbound::http::address;
use reqwest::{Client, Response};

use super::Failure;
use crate::limits::{ANSWER_BYTES, CONNECT_PATIENCE, DELIVERY_PATIENCE};

/// A client for one receiver, as [`outbound::http::client`] makes it.
pub(super) fn client(ca: Option<&Path>) -> Result<Client, String> {
    outbound::http::client(ca, Patience { connect: CONNECT_PATIENCE, answer: DELIVERY_PATIENCE })
}

/// What a request that never came to an answer means.
pub(super) fn unreachable(error: reqwest::Error) -> Failure {
    Failure::new(outbound::http::unreachable(error))
}

/// What an answer that is no success means.
pub(super) fn refused(response: &Response) -> Failure {
    let after = outbound::http::retry_after(response);
    Failure { after, ..Failure::new(outbound::http::refused(response)) }
}

/// The whole answer, within [`ANSWER_BYTES`].
pub(super) async fn body(mut response: Response) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > ANSWER_BYTES {
            return Err(Failure::new("the receiver's answer is too long"));
        }
    }
    Ok(bytes)
}
