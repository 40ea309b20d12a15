//! What stands in base64 within a text, one level deep.

use std::ops::Range;

use base64::Engine as _;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use crate::bytes::{alnum, part, run};
use crate::limits::BASE64_MIN_BYTES;

const RELAXED: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_allow_trailing_bits(true)
    .with_decode_padding_mode(DecodePaddingMode::Indifferent);

/// The standard alphabet, padded or not.
pub(crate) const LENIENT: GeneralPurpose = GeneralPurpose::new(&STANDARD, RELAXED);
const LENIENT_URL: GeneralPurpose = GeneralPurpose::new(&URL_SAFE, RELAXED);

/// Every text that stands in base64, and where: what decodes to no text is not looked into.
pub(crate) fn each(text: &[u8], mut found: impl FnMut(Range<usize>, &[u8])) {
    let letter = |byte: u8| alnum(byte) || matches!(byte, b'+' | b'/' | b'-' | b'_');
    let mut position = 0;
    // Steps of the shortest length: a run that long has a letter at one of them.
    while let Some(probe) = text.get(position + BASE64_MIN_BYTES - 1) {
        let last = position + BASE64_MIN_BYTES - 1;
        if !letter(*probe) {
            position = last + 1;
            continue;
        }
        let window = part(text, position..last);
        if let Some(gap) = window.iter().rposition(|byte| !letter(*byte)) {
            position += gap + 1;
            if position + BASE64_MIN_BYTES - 1 > last {
                let end = run(text, last, usize::MAX, letter);
                if end - position < BASE64_MIN_BYTES {
                    position = end + 1;
                    continue;
                }
            } else {
                continue;
            }
        }
        let end = run(text, position, usize::MAX, letter);
        let whole = run(text, end, 2, |byte| byte == b'=');
        try_one(text, position..end, whole, &mut found);
        position = end + 1;
    }
}

fn try_one(text: &[u8], run: Range<usize>, whole: usize, found: &mut impl FnMut(Range<usize>, &[u8])) {
    if let Some(decoded) = decoded(part(text, run.clone())) {
        return found(run.start..whole, &decoded);
    }
    // `/` may be a path's: each of its parts is tried alone.
    let mut start = run.start;
    for piece in part(text, run.clone()).split(|byte| *byte == b'/') {
        let end = start + piece.len();
        if piece.len() >= BASE64_MIN_BYTES
            && piece.len() < run.len()
            && let Some(decoded) = decoded(piece)
        {
            found(start..if end == run.end { whole } else { end }, &decoded);
        }
        start = end + 1;
    }
}

/// The text that it decodes to. UTF-16 comes without its zero bytes.
fn decoded(letters: &[u8]) -> Option<Vec<u8>> {
    const LOOK_BYTES: usize = 64;
    let engine = if letters.iter().any(|byte| matches!(byte, b'-' | b'_')) { &LENIENT_URL } else { &LENIENT };
    // A fifth character alone carries no byte.
    let letters = part(letters, 0..letters.len() - usize::from(letters.len() % 4 == 1));
    let head = engine.decode(part(letters, 0..letters.len().min(LOOK_BYTES))).ok()?;
    if !is_text(&head) {
        return None;
    }
    let mut decoded = engine.decode(letters).ok()?;
    decoded.retain(|byte| *byte != 0);
    is_text(&decoded).then_some(decoded)
}

fn is_text(bytes: &[u8]) -> bool {
    let odd = bytes.iter().filter(|byte| **byte < b' ' && !matches!(byte, b'\t' | b'\n' | b'\r')).count();
    let zeros = bytes.iter().filter(|byte| **byte == 0).count();
    let is_utf16 = zeros * 5 > bytes.len() * 2 && zeros * 5 < bytes.len() * 3;
    let valid = match std::str::from_utf8(bytes) {
        Ok(_) => true,
        Err(error) => error.error_len().is_none(),
    };
    (odd == zeros) && (zeros == 0 || is_utf16) && valid
}
