//! What the sinks over HTTP share: a client that goes nowhere else than it was told, and plain words for failures.

use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use reqwest::{Client, Response, StatusCode, Url};

use super::Failure;
use super::config::words;
use crate::limits::{ANSWER_BYTES, CONNECT_PATIENCE, DELIVERY_PATIENCE};

/// A client for one receiver: no redirects, no proxy of the environment, nobody else's certificate.
pub(super) fn client(ca: Option<&Path>) -> Result<Client, String> {
    let mut builder = Client::builder()
        .connect_timeout(CONNECT_PATIENCE)
        .timeout(DELIVERY_PATIENCE)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .user_agent(concat!("countersign/", env!("CARGO_PKG_VERSION")));
    if let Some(path) = ca {
        let pem =
            std::fs::read(path).map_err(|error| format!("cannot read `{}`: {error}", path.display()))?;
        let certificates = reqwest::Certificate::from_pem_bundle(&pem).map_err(words)?;
        builder = builder.tls_certs_only(certificates);
    }
    builder.build().map_err(words)
}

/// The receiver's address. Without TLS it is on this machine: what is sent names resources and people.
pub(super) fn address(text: &str) -> Result<Url, String> {
    let url: Url = text.parse().map_err(|error| format!("`{text}` is no address: {error}"))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("a credential stands in the address; name it as a secret instead".to_owned());
    }
    let host = url.host_str().ok_or_else(|| format!("`{text}` names no host"))?;
    let here = host == "localhost"
        || host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    match url.scheme() {
        "https" => Ok(url),
        "http" if here => Ok(url),
        _ => Err(format!("`{text}` is not `https://`; only a receiver on this machine goes without TLS")),
    }
}

/// What a request that never came to an answer means. The address is left out: a path can be a secret.
pub(super) fn unreachable(error: reqwest::Error) -> Failure {
    let error = error.without_url();
    let mut why = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        why = cause.to_string();
        source = cause.source();
    }
    Failure::new(format!("the receiver does not answer: {why}"))
}

/// What an answer that is no success means.
pub(super) fn refused(response: &Response) -> Failure {
    let status = response.status();
    let after = response
        .headers()
        .get(reqwest::header::RETRY_AFTER)
        .and_then(|value| value.to_str().ok()?.parse().ok())
        .map(Duration::from_secs);
    let hint = match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => "; look at the secret",
        StatusCode::GONE => "; the receiver wants no more: remove the sink",
        StatusCode::NOT_FOUND => "; look at the address",
        _ => "",
    };
    Failure { after, ..Failure::new(format!("the receiver answered {status}{hint}")) }
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
