//! Where a request comes from: the address at the other end of its connection, or whom a trusted proxy names.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use http::{HeaderMap, HeaderName};
use ipnet::IpNet;

/// The most networks of proxies that are named.
pub const PROXIES_LIMIT: usize = 64;
/// How many trusted proxies may stand one behind the other; what a longer list claims is not believed.
pub const HOPS_LIMIT: usize = 16;
/// The header in which a proxy says whom it heard, each behind the one before.
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Where a request comes from. It says nothing about who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Peer(pub IpAddr);

/// The proxies that are believed when they say for whom they speak. The default is none: then a request comes from
/// whoever holds the connection, whatever its headers claim.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrustedProxies(Vec<IpNet>);

/// Why a list of proxies is not taken.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    /// One of them is no address and no network.
    #[error("`{0}` is no address and no network; write `192.0.2.7` or `192.0.2.0/24`")]
    NoNetwork(String),
    /// One of them is every address that there is.
    #[error("`{0}` trusts everybody to say where they come from; name the proxy's own address")]
    Everybody(String),
    /// They are too many.
    #[error("{0} proxies are named; at most {PROXIES_LIMIT} are taken")]
    TooMany(usize),
}

impl TrustedProxies {
    /// Proxies by address (`192.0.2.7`) or network (`192.0.2.0/24`, `2001:db8::/48`).
    ///
    /// # Errors
    /// Text that is neither, a network of everybody, and more than [`PROXIES_LIMIT`] of them.
    pub fn read<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Self, ProxyError> {
        let networks = texts.into_iter().map(network).collect::<Result<Vec<_>, _>>()?;
        if networks.len() > PROXIES_LIMIT {
            Err(ProxyError::TooMany(networks.len()))
        } else {
            Ok(Self(networks))
        }
    }

    /// Whether nobody is trusted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Where a request comes from that arrived over a connection from `address`.
    ///
    /// `X-Forwarded-For` is read from its end, which the nearest proxy wrote, as long as what wrote it is trusted. What
    /// cannot be read is not believed, nor anything before it: then the request counts as the proxy's own.
    #[must_use]
    pub fn peer(&self, address: SocketAddr, headers: &HeaderMap) -> Peer {
        let mut at = address.ip().to_canonical();
        if self.trusts(at) {
            let lines = headers.get_all(FORWARDED_FOR).iter().rev();
            let hops = lines.flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b','));
            for hop in hops.take(HOPS_LIMIT) {
                let Some(before) = hop_address(hop) else { break };
                at = before;
                if !self.trusts(at) {
                    break;
                }
            }
        }
        Peer(at)
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address))
    }
}

fn network(text: &str) -> Result<IpNet, ProxyError> {
    let address = || IpAddr::from_str(text).map(|address| IpNet::from(address.to_canonical()));
    match IpNet::from_str(text).or_else(|_| address()) {
        Ok(network) if network.prefix_len() == 0 => Err(ProxyError::Everybody(text.to_owned())),
        Ok(network) => Ok(network),
        Err(_) => Err(ProxyError::NoNetwork(text.to_owned())),
    }
}

/// One proxy's word: an address, which some write with the port.
fn hop_address(hop: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(hop).ok()?.trim_matches([' ', '\t']);
    let address =
        IpAddr::from_str(text).or_else(|_| SocketAddr::from_str(text).map(|with_port| with_port.ip()));
    address.ok().map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn peer(proxies: &[&str], from: &str, lines: &[&str]) -> String {
        let proxies = TrustedProxies::read(proxies.iter().copied()).unwrap();
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(FORWARDED_FOR, HeaderValue::from_str(line).unwrap());
        }
        proxies.peer(from.parse().unwrap(), &headers).0.to_string()
    }

    #[test]
    fn whoever_holds_the_connection_is_the_peer_unless_they_are_trusted() {
        assert_eq!(peer(&[], "198.51.100.1:9", &["203.0.113.5"]), "198.51.100.1");
        assert_eq!(peer(&["192.0.2.7"], "198.51.100.1:9", &["203.0.113.5"]), "198.51.100.1");
        assert_eq!(peer(&["192.0.2.7"], "192.0.2.7:9", &["203.0.113.5"]), "203.0.113.5");
        assert_eq!(peer(&["192.0.2.0/24"], "[::ffff:192.0.2.7]:9", &["::ffff:203.0.113.5"]), "203.0.113.5");
    }

    #[test]
    fn a_forged_beginning_is_not_believed() {
        let proxies = ["192.0.2.0/24"];
        assert_eq!(peer(&proxies, "192.0.2.7:9", &["10.0.0.1, 203.0.113.5"]), "203.0.113.5");
        assert_eq!(peer(&proxies, "192.0.2.7:9", &["10.0.0.1", "203.0.113.5"]), "203.0.113.5");
        assert_eq!(peer(&proxies, "192.0.2.7:9", &["203.0.113.5, 192.0.2.8"]), "203.0.113.5");
    }

    #[test]
    fn what_cannot_be_read_counts_as_the_proxys_own() {
        for line in
            ["", "unknown", "203.0.113.5,", "203.0.113.5;", "203.0.113.5 10.0.0.1", "_hidden", "::1::"]
        {
            assert_eq!(peer(&["192.0.2.7"], "192.0.2.7:9", &[line]), "192.0.2.7", "{line}");
        }
        assert_eq!(peer(&["192.0.2.7"], "192.0.2.7:9", &[]), "192.0.2.7");
        let long = vec!["192.0.2.7"; HOPS_LIMIT].join(",");
        let long = format!("203.0.113.5,{long}");
        assert_eq!(peer(&["192.0.2.7"], "192.0.2.7:9", &[&long]), "192.0.2.7");
    }

    #[test]
    fn ports_are_left_out() {
        assert_eq!(peer(&["192.0.2.7"], "192.0.2.7:9", &["203.0.113.5:4711"]), "203.0.113.5");
        assert_eq!(peer(&["192.0.2.7"], "192.0.2.7:9", &["[2001:db8::5]:4711"]), "2001:db8::5");
    }

    #[test]
    fn everybody_is_never_trusted() {
        for refused in ["0.0.0.0/0", "::/0", "proxy.example", "", "192.0.2.7/33", "192.0.2.7:80"] {
            TrustedProxies::read([refused]).expect_err(refused);
        }
        let many = vec!["192.0.2.7"; PROXIES_LIMIT + 1];
        TrustedProxies::read(many).expect_err("too many");
    }

    proptest! {
        /// Whatever stands in the header, an untrusted connection is its own peer.
        #[test]
        fn no_header_moves_an_untrusted_peer(line in "[ -~]{0,80}", last in 1..255_u8) {
            let mut headers = HeaderMap::new();
            headers.insert(FORWARDED_FOR, HeaderValue::from_str(&line).unwrap());
            let from = SocketAddr::from(([198, 51, 100, last], 1));
            let proxies = TrustedProxies::read(["192.0.2.0/24"]).unwrap();
            prop_assert_eq!(proxies.peer(from, &headers).0, from.ip());
        }
    }
}
