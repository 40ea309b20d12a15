//! Where a route leads, and the names of hosts.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::path::CanonicalPath;

/// The longest host name, in bytes (RFC 1035, section 2.3.4, without the final dot).
pub const HOST_LIMIT_BYTES: usize = 253;

/// A host and perhaps a port, in small letters: RFC 3986's authority without a user.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Authority {
    host: String,
    port: Option<u16>,
}

impl Authority {
    /// Reads `host`, `host:port` or `[v6]:port`. Nothing for a user, an empty host, a final dot, an encoded
    /// name, a port that is zero or has leading zeros: each of them has two readings somewhere.
    #[must_use]
    pub fn read(raw: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(raw).ok()?;
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (address, rest) = rest.split_once(']')?;
                let address: Ipv6Addr = address.parse().ok()?;
                (
                    format!("[{address}]"),
                    rest.strip_prefix(':').or(if rest.is_empty() { None } else { Some("") }),
                )
            }
            None => match text.split_once(':') {
                Some((host, port)) => (host.to_ascii_lowercase(), Some(port)),
                None => (text.to_ascii_lowercase(), None),
            },
        };
        if !host.starts_with('[') && !is_name(&host) {
            return None;
        }
        let port = match port {
            None => None,
            Some(digits) if digits.starts_with('0') || !digits.bytes().all(|b| b.is_ascii_digit()) => {
                return None;
            }
            Some(digits) => Some(digits.parse().ok()?),
        };
        Some(Self { host, port })
    }

    /// The host: a name, an IPv4 address, or an IPv6 address in brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, where one is named.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// The same host without the port.
    #[must_use]
    pub fn without_port(&self) -> Self {
        Self { host: self.host.clone(), port: None }
    }

    /// The address, where the host is one.
    #[must_use]
    pub fn address(&self) -> Option<IpAddr> {
        self.host.trim_start_matches('[').trim_end_matches(']').parse().ok()
    }
}

impl fmt::Display for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Some(port) => write!(f, "{}:{port}", self.host),
            None => f.write_str(&self.host),
        }
    }
}

fn is_name(host: &str) -> bool {
    let label = |label: &str| {
        !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    };
    host.len() <= HOST_LIMIT_BYTES && host.split('.').all(label)
}

/// A route's upstream: scheme, host and port, and perhaps a base path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upstream {
    tls: bool,
    authority: Authority,
    /// The same, as a request's address has it.
    wire: http::uri::Authority,
    /// The same, as the header `Host` has it.
    host: http::HeaderValue,
    base: Option<CanonicalPath>,
}

impl Upstream {
    /// Reads `http://host[:port][/base]` or the same with `https`.
    ///
    /// # Errors
    /// In words: another scheme, a user, a query, a fragment, a path that is not canonical or ends with a
    /// slash, an address that [`may_connect`] refuses.
    pub fn read(text: &str) -> Result<Self, String> {
        let (tls, rest) = match text.split_once("://") {
            Some(("https", rest)) => (true, rest),
            Some(("http", rest)) => (false, rest),
            _ => return Err("`http://` or `https://` is expected in front".to_owned()),
        };
        if rest.contains(['@', '?', '#']) {
            return Err(
                "no user, query or fragment may stand in it; a credential has its own setting".to_owned()
            );
        }
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let authority = Authority::read(authority.as_bytes())
            .ok_or_else(|| "a host name or address with an optional port is expected".to_owned())?;
        if authority.address().is_some_and(|address| !may_connect(address)) {
            return Err(
                "no upstream is at this address (link-local, metadata, multicast or unspecified)".to_owned()
            );
        }
        let base = match path {
            "" | "/" => None,
            path => {
                let base = CanonicalPath::read(path.as_bytes()).map_err(|refusal| refusal.to_string())?;
                if base.as_str() != path || base.is_opaque() || base.has_trailing_slash() {
                    return Err(format!(
                        "the base path is expected as `{}`",
                        base.as_str().trim_end_matches('/')
                    ));
                }
                Some(base)
            }
        };
        let none = || "a host name or address with an optional port is expected".to_owned();
        let name = authority.to_string();
        let wire = name.parse().map_err(|_| none())?;
        let host = name.parse().map_err(|_| none())?;
        Ok(Self { tls, authority, wire, host, base })
    }

    /// Whether it is reached over TLS.
    #[must_use]
    pub fn tls(&self) -> bool {
        self.tls
    }

    /// What stands in `Host`, and in the payload as `http.authority`.
    #[must_use]
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// The address of a target on it; the target is a path and query in canonical form.
    ///
    /// # Errors
    /// When the target is no path and query.
    pub(super) fn uri(&self, target: &str) -> Result<http::Uri, http::Error> {
        let scheme = if self.tls { http::uri::Scheme::HTTPS } else { http::uri::Scheme::HTTP };
        http::Uri::builder().scheme(scheme).authority(self.wire.clone()).path_and_query(target).build()
    }

    /// What stands in `Host`.
    #[must_use]
    pub fn host(&self) -> &http::HeaderValue {
        &self.host
    }

    /// The port to connect to.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.authority.port.unwrap_or(if self.tls { 443 } else { 80 })
    }

    /// The path in front of every path, if any.
    #[must_use]
    pub fn base(&self) -> Option<&CanonicalPath> {
        self.base.as_ref()
    }
}

/// Whether an upstream may stand at this address. Look a name up once, ask this of every address that came
/// back, and connect to one of those: a second look-up could answer otherwise.
///
/// Refused: unspecified, multicast, broadcast, link-local (clouds serve credentials at 169.254.169.254), and
/// the metadata addresses of AWS over IPv6 (`fd00:ec2::254`) and of Alibaba (100.100.100.200), also where
/// they hide in IPv6 (mapped, compatible, 6to4, NAT64). Private and loopback addresses are where upstreams
/// usually stand.
#[must_use]
pub fn may_connect(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => may_connect_v4(address),
        IpAddr::V6(address) => {
            let aws = Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x0254);
            let refused = address.is_unspecified()
                || address.is_multicast()
                || address.is_unicast_link_local()
                || address == aws
                || embedded(address).is_some_and(|address| !may_connect_v4(address));
            !refused
        }
    }
}

fn may_connect_v4(address: Ipv4Addr) -> bool {
    let alibaba = Ipv4Addr::new(100, 100, 100, 200);
    let [first, ..] = address.octets();
    !(first == 0
        || address.is_multicast()
        || address.is_broadcast()
        || address.is_link_local()
        || address == alibaba)
}

/// The IPv4 address that an IPv6 address stands for, where it does.
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let v4 = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match address.segments() {
        // ::1 is itself and nothing hidden.
        [0, 0, 0, 0, 0, 0, 0, 1] => None,
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => Some(v4(high, low)),
        [0x2002, high, low, ..] => Some(v4(high, low)),
        _ => None,
    }
}
