//! E-mail addresses (RFC 5321's mailbox as people write it; RFC 6531 for letters beyond ASCII).

use crate::bytes::{alnum, at, before, part, run, run_back};
use crate::class::{Class, Finding};

/// The longest part before the `@`, in bytes (RFC 5321, section 4.5.3.1.1).
const LOCAL_LIMIT_BYTES: usize = 64;
/// The longest domain, in bytes (RFC 5321, section 4.5.3.1.2).
const DOMAIN_LIMIT_BYTES: usize = 255;

/// Ends of names of files and units that are no top-level domain.
const NO_DOMAIN: &[&[u8]] = &[
    b"png",
    b"jpg",
    b"jpeg",
    b"gif",
    b"svg",
    b"webp",
    b"css",
    b"js",
    b"ts",
    b"jsx",
    b"tsx",
    b"json",
    b"html",
    b"xml",
    b"yaml",
    b"yml",
    b"txt",
    b"log",
    b"service",
    b"timer",
    b"socket",
    b"target",
    b"mount",
    b"local",
    b"internal",
    b"map",
    b"git",
];

/// Every address.
pub(crate) fn find(text: &[u8], mut found: impl FnMut(Finding)) {
    for sign in memchr::memchr_iter(b'@', text) {
        let local = |byte: u8| alnum(byte) || byte >= 0x80 || b"._%+'-!#$&*=^`{|}~".contains(&byte);
        let mut start = run_back(text, sign, LOCAL_LIMIT_BYTES, local);
        // A name's own sign: `email=a@b.c`, `'a@b.c'`, `{a@b.c}`.
        let lead = part(text, start..sign)
            .iter()
            .rposition(|byte| matches!(byte, b'=' | b'\'' | b'{' | b'`' | b'|' | b'*' | b'&' | b'$'));
        start += lead.map_or(0, |lead| lead + 1);
        start = run(text, start, LOCAL_LIMIT_BYTES, |byte| matches!(byte, b'.' | b'-' | b'!' | b'#'));
        let domain = |byte: u8| alnum(byte) || byte >= 0x80 || matches!(byte, b'-' | b'.');
        let mut end = run(text, sign + 1, DOMAIN_LIMIT_BYTES, domain);
        while end > sign + 1 && matches!(before(text, end), b'.' | b'-') {
            end -= 1;
        }
        if start >= sign || end <= sign + 1 || !is_domain(part(text, sign + 1..end)) {
            continue;
        }
        let is_remote = part(text, start..sign) == b"git" && at(text, end) == b':';
        if !is_remote && !in_authority(text, start) {
            found(Finding::new(start..end, Class::Email, "email"));
        }
    }
}

fn is_domain(domain: &[u8]) -> bool {
    let mut labels = domain.split(|byte| *byte == b'.').rev();
    let last = labels.next().unwrap_or_default();
    let is_top = last.len() >= 2 && !last.iter().any(u8::is_ascii_digit)
        || last.len() > 4 && part(last, 0..4).eq_ignore_ascii_case(b"xn--");
    let others = labels.clone().count();
    is_top
        && others > 0
        && labels.all(|label| !label.is_empty() && label.len() < 64)
        && !NO_DOMAIN.iter().any(|word| last.eq_ignore_ascii_case(word))
}

/// Whether it stands before the host of a URL: then it is a name and a password.
fn in_authority(text: &[u8], start: usize) -> bool {
    let from = run_back(text, start, DOMAIN_LIMIT_BYTES, |byte| {
        byte > b' ' && !matches!(byte, b'/' | b'?' | b'#' | b'"' | b'\'')
    });
    before(text, from) == b'/' && before(text, from.saturating_sub(1)) == b'/'
}
