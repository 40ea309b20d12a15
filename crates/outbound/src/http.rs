//! HTTP to one receiver: a client that goes nowhere else than it was told, and plain words for failures.

use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use reqwest::{Client, Response, StatusCode, Url};

/// How long one receiver is waited for.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// Until a connection stands.
    pub connect: Duration,
    /// Until the whole answer is there.
    pub answer: Duration,
}

/// A client for one receiver: no redirects, no proxy of the environment, and where a file of certificates is given,
/// nobody else's.
///
/// # Errors
/// In words: a file that cannot be read, or holds no certificates.
pub fn client(ca: Option<&Path>, patience: Patience) -> Result<Client, String> {
    let mut builder = Client::builder()
        .connect_timeout(patience.connect)
        .timeout(patience.answer)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .user_agent(concat!("countersign/", env!("CARGO_PKG_VERSION")));
    if let Some(path) = ca {
        let pem =
            std::fs::read(path).map_err(|error| format!("cannot read `{}`: {error}", path.display()))?;
        let certificates = reqwest::Certificate::from_pem_bundle(&pem).map_err(|error| error.to_string())?;
        builder = builder.tls_certs_only(certificates);
    }
    builder.build().map_err(|error| error.to_string())
}

/// A receiver's address. Without TLS it is on this machine: what is sent names resources and people.
///
/// # Errors
/// In words: no address, one with a credential in it, one elsewhere without TLS.
pub fn address(text: &str) -> Result<Url, String> {
    let url: Url = text.parse().map_err(|error| format!("`{text}` is no address: {error}"))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("a credential stands in the address; name it as a secret instead".to_owned());
    }
    let host = url.host_str().ok_or_else(|| format!("`{text}` names no host"))?;
    let here = is_here(host);
    match url.scheme() {
        "https" => Ok(url),
        "http" if here => Ok(url),
        _ => Err(format!("`{text}` is not `https://`; only a receiver on this machine goes without TLS")),
    }
}

/// Whether a host is this machine, by its name or address.
#[must_use]
pub fn is_here(host: &str) -> bool {
    host == "localhost"
        || host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// What a request that never came to an answer means. The address is left out: a path can be a secret.
#[must_use]
pub fn unreachable(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut why = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        why = cause.to_string();
        source = cause.source();
    }
    format!("the receiver does not answer: {why}")
}

/// What an answer that is no success means.
#[must_use]
pub fn refused(response: &Response) -> String {
    let status = response.status();
    let hint = match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => "; look at the secret",
        StatusCode::GONE => "; the receiver wants no more: take it out of the configuration",
        StatusCode::NOT_FOUND => "; look at the address",
        _ => "",
    };
    format!("the receiver answered {status}{hint}")
}

/// How long an answer asks to be left alone, where it says so in seconds (RFC 9110, section 10.2.3).
#[must_use]
pub fn retry_after(response: &Response) -> Option<Duration> {
    let value = response.headers().get(reqwest::header::RETRY_AFTER)?;
    value.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}
