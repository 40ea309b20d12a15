//! The three spellings that all C2SP text formats share. Each value has exactly one spelling, so
//! that what parses writes back byte for byte and no two files say the same thing.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// How much of a refused text an error message repeats, in characters.
const MAX_QUOTED_CHARS: usize = 80;

/// Standard base64 with padding, RFC 4648 §4.
pub(crate) fn to_base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// Canonical base64 only: padding present, unused bits zero, no white space (RFC 4648 §3.5).
pub(crate) fn from_base64(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

/// ASCII decimal without sign or leading zeros; `0` is zero.
pub(crate) fn from_decimal(text: &str) -> Option<u64> {
    let canonical = text == "0" || !text.starts_with('0');
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    (canonical && digits).then(|| text.parse().ok()).flatten()
}

/// A refused text's first line, cut to a length that an error message can carry, and without the
/// control characters that a terminal or a log file would obey.
pub(crate) fn quoted(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default().chars().take(MAX_QUOTED_CHARS);
    line.map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}
