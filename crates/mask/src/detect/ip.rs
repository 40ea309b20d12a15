//! IP addresses. Looked for only where a route's rules ask: they stand in every log, and seldom are a secret.

use super::number::Number;
use crate::bytes::{alnum, at, before, part, run, run_back};
use crate::class::{Class, Finding};

/// The address of version 4 that begins a number.
pub(crate) fn v4(text: &[u8], written: &Number) -> Option<Finding> {
    let [a, b, c, d, ..] = written.groups() else { return None };
    let dotted =
        [a, b, c].iter().all(|group| group.sign == b'.') && !matches!(written.sign_behind(4), b'.' | b'-');
    let octet = |group: &super::number::Group| {
        let digits = part(text, group.start..group.end);
        std::str::from_utf8(digits).is_ok_and(|digits| digits.len() <= 3 && digits.parse::<u8>().is_ok())
    };
    (dotted
        && [a, b, c, d].into_iter().all(octet)
        && !alnum(at(text, d.end))
        && before(text, a.start) != b'.')
        .then(|| Finding::new(a.start..d.end, Class::Ip, "ipv4"))
}

/// Every address of version 6 (RFC 4291).
pub(crate) fn v6(text: &[u8], mut found: impl FnMut(Finding)) {
    /// The longest address as text, in bytes.
    const ADDRESS_LIMIT_BYTES: usize = 45;
    let of = |byte: u8| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.');
    let mut after = 0;
    for colon in memchr::memchr_iter(b':', text) {
        if colon < after {
            continue;
        }
        let start = run_back(text, colon, ADDRESS_LIMIT_BYTES, of);
        let end = run(text, colon, ADDRESS_LIMIT_BYTES, of);
        let address = std::str::from_utf8(part(text, start..end)).unwrap_or_default();
        let colons = address.bytes().filter(|byte| *byte == b':').count();
        if colons >= 2
            && address.len() > 4
            && !alnum(before(text, start))
            && address.parse::<std::net::Ipv6Addr>().is_ok()
        {
            found(Finding::new(start..end, Class::Ip, "ipv6"));
        }
        after = end.max(colon + 1);
    }
}
