//! From the deployment's public URL to whom a passkey must have signed for.

use assertion::RelyingParty;

use crate::error::{IdentityError, shown};

/// The longest host name, in bytes (RFC 1035 §2.3.4).
const HOST_LIMIT_BYTES: usize = 253;
/// The longest label of a host name, in bytes (RFC 1035 §2.3.4).
const LABEL_LIMIT_BYTES: usize = 63;

/// The relying party of a public URL such as `https://countersign.example` or `http://localhost:7676`: its
/// id is the host, its one origin the URL as browsers serialise it.
///
/// # Errors
/// [`IdentityError::PublicUrl`], saying what to write instead, for what browsers do not give passkeys to: an
/// IP address, plain `http` anywhere but at `localhost`; and for what is no bare origin: a path, a
/// user, a query.
pub fn relying_party(public_url: &str) -> Result<RelyingParty, IdentityError> {
    let bad = |why| IdentityError::PublicUrl { url: shown(public_url), why };
    let lower = public_url.to_ascii_lowercase();
    let (secure, rest) = match lower.split_once("://") {
        Some(("https", rest)) => (true, rest),
        Some(("http", rest)) => (false, rest),
        Some(_) | None => return Err(bad("write it as `https://<host>` or `http://localhost:<port>`")),
    };
    let authority = rest.strip_suffix('/').unwrap_or(rest);
    if authority.contains(['/', '?', '#', '@', '\\']) {
        return Err(bad("write only scheme, host and port, without a path, query or user"));
    }
    if authority.starts_with('[') {
        return Err(bad("browsers allow no IP address; use a host name, or `http://localhost:<port>`"));
    }
    let (host, port) = match authority.split_once(':') {
        Some((host, port)) => {
            (host, Some(read_port(port).ok_or_else(|| bad("write the port as 1 to 65535"))?))
        }
        None => (authority, None),
    };
    check_host(host).map_err(bad)?;
    if !secure && host != "localhost" {
        return Err(bad("browsers want TLS; use `https`, or `http://localhost:<port>` to try it out"));
    }
    let (scheme, default) = if secure { ("https", 443) } else { ("http", 80) };
    let origin = match port {
        Some(port) if port != default => format!("{scheme}://{host}:{port}"),
        Some(_) | None => format!("{scheme}://{host}"),
    };
    Ok(RelyingParty { id: host.to_owned(), origins: vec![origin] })
}

fn read_port(text: &str) -> Option<u16> {
    let plain = text.bytes().all(|b| b.is_ascii_digit()) && !text.starts_with('0');
    if plain { text.parse().ok() } else { None }
}

/// A host name of letters, digits and hyphens. A last label that is a number makes an IPv4 address of
/// the whole, however short (WHATWG URL, "ends in a number checker").
fn check_host(host: &str) -> Result<(), &'static str> {
    let label_fits = |label: &str| {
        let plain = label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        let length = (1..=LABEL_LIMIT_BYTES).contains(&label.len());
        plain && length && !label.starts_with('-') && !label.ends_with('-')
    };
    if host.len() > HOST_LIMIT_BYTES || !host.split('.').all(label_fits) {
        return Err("write the host as a name of letters, digits, hyphens and dots, in its ASCII form");
    }
    let last = host.rsplit('.').next().unwrap_or(host);
    let hex = last.strip_prefix("0x").is_some_and(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()));
    if hex || last.bytes().all(|b| b.is_ascii_digit()) {
        return Err("browsers allow no IP address; use a host name, or `http://localhost:<port>`");
    }
    Ok(())
}
