//! Credentials in URLs and connection strings: `scheme://name:password@host`.

use std::ops::Range;

use crate::bytes::{alnum, at, before, part, run};

/// The longest authority of a URL that is looked at, in bytes.
const AUTHORITY_LIMIT_BYTES: usize = 512;

/// The shortest name without a password that is taken for a token, in bytes.
const TOKEN_MIN_BYTES: usize = 16;

/// The password before the host of a URL whose `://` begins at `colon`; where there is only a name, a long one
/// is taken for a token.
pub(crate) fn credential(text: &[u8], colon: usize) -> Option<Range<usize>> {
    if !alnum(before(text, colon)) {
        return None;
    }
    let start = colon + 3;
    // Passwords hold what they should not: only what surely ends the authority does.
    let end = run(text, start, AUTHORITY_LIMIT_BYTES, |byte| {
        byte > b' ' && !matches!(byte, b'"' | b'\'' | b'<' | b'>' | b'`' | b'\\' | 127)
    });
    let authority = part(text, start..end);
    let slash =
        authority.iter().position(|byte| matches!(byte, b'/' | b'?' | b'#')).unwrap_or(authority.len());
    let userinfo = part(authority, 0..slash).iter().rposition(|byte| *byte == b'@').or_else(|| {
        // An unescaped `/` within the password: the host's `@` stands behind it, before the next `/`.
        let colon = part(authority, 0..slash).iter().position(|byte| *byte == b':')?;
        let digits = part(authority, colon + 1..slash);
        let is_port = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
        if is_port { None } else { authority.iter().position(|byte| *byte == b'@') }
    })?;
    match part(authority, 0..userinfo).iter().position(|byte| *byte == b':') {
        Some(colon) => (colon + 1 < userinfo).then_some(start + colon + 1..start + userinfo),
        None => (userinfo >= TOKEN_MIN_BYTES).then_some(start..start + userinfo),
    }
    .filter(|range| !is_placeholder(part(text, range.clone())))
}

/// Whether it stands for a value rather than being one.
pub(crate) fn is_placeholder(value: &[u8]) -> bool {
    const WORDS: &[&[u8]] = &[
        b"null",
        b"none",
        b"nil",
        b"undefined",
        b"true",
        b"false",
        b"redacted",
        b"[redacted]",
        b"string",
        b"...",
        b"<nil>",
        b"(null)",
        b"yes",
        b"no",
        b"todo",
        b"n/a",
        b"optional",
        b"required",
        b"empty",
    ];
    let first = at(value, 0);
    let is_one = |byte: u8| !value.is_empty() && value.iter().all(|other| *other == byte);
    let wrapped = |open: &[u8], close: &[u8]| value.starts_with(open) && value.ends_with(close);
    WORDS.iter().any(|word| value.eq_ignore_ascii_case(word))
        || wrapped(b"${", b"}")
        || wrapped(b"{{", b"}}")
        || wrapped(b"<", b">")
        || wrapped(b"$(", b")")
        || wrapped(b"%", b"%")
        || value.starts_with(b"{{")
        || value.starts_with(b"${")
        || value.starts_with(b"$(")
        || value == b"%s"
        || (value.len() > 2 && matches!(first, b'*' | b'x' | b'X' | b'.' | b'-') && is_one(first))
        || crate::class::mask_end(value, 0) == Some(value.len())
        || is_variable(value)
}

/// `$NAME` of a shell.
fn is_variable(value: &[u8]) -> bool {
    let name = value.strip_prefix(b"$").unwrap_or_default();
    !name.is_empty()
        && name.iter().all(|byte| byte.is_ascii_uppercase() || *byte == b'_' || byte.is_ascii_digit())
        && name.iter().any(u8::is_ascii_uppercase)
}
