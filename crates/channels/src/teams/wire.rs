//! Answers over HTTP, read within a limit.

use reqwest::{Client, Response, Url};

/// What stands at an address.
///
/// # Errors
/// In words: nobody answers, a refusal, more than `limit` bytes.
pub(super) async fn get(client: &Client, url: Url, limit: usize) -> Result<Vec<u8>, String> {
    let answer = client.get(url).send().await.map_err(outbound::http::unreachable)?;
    if !answer.status().is_success() {
        return Err(outbound::http::refused(&answer));
    }
    body(answer, limit).await
}

/// An answer's body.
///
/// # Errors
/// In words: it broke off, or is over `limit` bytes.
pub(super) async fn body(mut answer: Response, limit: usize) -> Result<Vec<u8>, String> {
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(outbound::http::unreachable)? {
        if body.len().saturating_add(chunk.len()) > limit {
            return Err(format!("the answer is over {limit} bytes"));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}
