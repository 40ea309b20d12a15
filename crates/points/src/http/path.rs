//! Paths and queries, made canonical once (RFC 3986, section 6.2.2). The canonical text is what is
//! matched, hashed, shown and forwarded; what two servers could read differently is refused.
//!
//! Canonical means: escapes of unreserved characters are decoded, all other escapes stand in capital
//! hexadecimal, and characters that a URL may not hold raw (`"<>[]^{|}` and the backtick) are encoded.
//! Canonical text reads back to itself.

use std::fmt;

use super::refusal::Refusal;

/// The longest target that is read, in bytes, before and after it is made canonical. With a resource
/// template's own text it stays under the domain's limit for the name of a resource.
pub const TARGET_LIMIT_BYTES: usize = 8_000;
/// The longest canonical path, in bytes.
pub const PATH_LIMIT_BYTES: usize = 4_096;
/// The most segments of a path.
pub const SEGMENTS_LIMIT: usize = 256;
/// The most parameters of a query.
pub const QUERY_PAIRS_LIMIT: usize = 512;
/// How often an opaque segment is decoded in search of what it hides, in rounds.
const DECODE_ROUNDS: usize = 8;

/// A path in its one form: it begins with `/`, has no empty segment and no dot segment.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CanonicalPath {
    text: String,
    opaque: bool,
}

impl CanonicalPath {
    /// Makes a path canonical. Encoded slashes are kept as data, and [`CanonicalPath::is_opaque`] tells
    /// of them: whether they may stand is for the route to say.
    ///
    /// # Errors
    /// Everything that has two readings: empty segments, dot segments in any encoding, `;`, backslashes,
    /// control characters, raw bytes outside ASCII, broken escapes, bytes that are not UTF-8, characters
    /// that servers turn into path syntax; and a path over a limit.
    pub fn read(raw: &[u8]) -> Result<Self, Refusal> {
        let rest = raw.strip_prefix(b"/").ok_or(Refusal::TargetForm)?;
        let count = rest.split(|byte| *byte == b'/').count();
        if rest.split(|byte| *byte == b'/').filter(|part| !part.is_empty()).count() > SEGMENTS_LIMIT {
            return Err(Refusal::TargetTooLong("number of segments", SEGMENTS_LIMIT));
        }
        let mut text = String::with_capacity(raw.len());
        let mut opaque = false;
        for (at, part) in rest.split(|byte| *byte == b'/').enumerate() {
            text.push('/');
            if part.is_empty() {
                if at + 1 < count {
                    return Err(Refusal::EmptySegment);
                }
                break;
            }
            let (part, is_opaque) = segment(part)?;
            text.push_str(&part);
            opaque |= is_opaque;
        }
        if text.len() > PATH_LIMIT_BYTES {
            return Err(Refusal::TargetTooLong("path", PATH_LIMIT_BYTES));
        }
        Ok(Self { text, opaque })
    }

    /// The canonical text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether a segment holds an encoded `/`, `\` or `;`, or an escape that is itself escaped.
    #[must_use]
    pub fn is_opaque(&self) -> bool {
        self.opaque
    }

    /// The segments, without the slashes; none for `/`.
    pub fn segments(&self) -> impl Iterator<Item = &str> {
        self.text.split('/').filter(|part| !part.is_empty())
    }

    /// Whether the path ends with a slash and is more than that.
    #[must_use]
    pub fn has_trailing_slash(&self) -> bool {
        self.text.len() > 1 && self.text.ends_with('/')
    }

    /// What follows a prefix of whole segments; `/` where nothing does.
    #[must_use]
    pub fn after(&self, prefix: &Self) -> Option<Self> {
        let rest = self.text.strip_prefix(prefix.text.trim_end_matches('/'))?;
        match rest {
            "" => Some(Self { text: "/".to_owned(), opaque: false }),
            rest if rest.starts_with('/') => Self::read(rest.as_bytes()).ok(),
            _ => None,
        }
    }

    /// This path below a base path.
    #[must_use]
    pub fn below(&self, base: Option<&Self>) -> Self {
        let base = base.map_or("", |base| base.text.trim_end_matches('/'));
        Self { text: format!("{base}{}", self.text), opaque: self.opaque }
    }
}

impl fmt::Display for CanonicalPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for CanonicalPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CanonicalPath({})", self.text)
    }
}

/// A query in its one form: the canonical text, and its parameters decoded, in order, none merged.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Query {
    text: String,
    pairs: Vec<(String, String)>,
}

impl Query {
    /// Makes a query (what follows `?`) canonical. A raw `;` becomes `%3B`: to some servers it divides
    /// parameters, and what is forwarded leaves them no choice.
    ///
    /// # Errors
    /// Broken escapes, control characters (encoded ones but NUL are data), raw bytes outside ASCII, bytes
    /// that are not UTF-8, more than [`QUERY_PAIRS_LIMIT`] parameters.
    pub fn read(raw: &[u8]) -> Result<Self, Refusal> {
        let mut text = String::with_capacity(raw.len());
        let mut rest = raw;
        while let Some((&byte, tail)) = rest.split_first() {
            rest = tail;
            match byte {
                b'%' => {
                    let (value, tail) = escape(rest).ok_or(Refusal::BadPercent)?;
                    rest = tail;
                    match value {
                        0 => return Err(Refusal::ControlCharacter),
                        value if is_unreserved(value) => text.push(char::from(value)),
                        value => push_escape(&mut text, value),
                    }
                }
                b'#' => return Err(Refusal::Fragment),
                b'/' | b'?' => text.push(char::from(byte)),
                b';' | b'\\' => push_escape(&mut text, byte),
                byte => push_raw(&mut text, byte)?,
            }
        }
        let parts = || text.split('&').filter(|part| !part.is_empty());
        if parts().count() > QUERY_PAIRS_LIMIT {
            return Err(Refusal::QueryPairs(QUERY_PAIRS_LIMIT));
        }
        let pairs = parts()
            .map(|part| {
                let (name, value) = part.split_once('=').unwrap_or((part, ""));
                Ok((form_text(name)?, form_text(value)?))
            })
            .collect::<Result<_, Refusal>>()?;
        Ok(Self { text, pairs })
    }

    /// The canonical text, without the `?`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The parameters, decoded as forms are (`+` is a space), in order, duplicates kept.
    #[must_use]
    pub fn pairs(&self) -> &[(String, String)] {
        &self.pairs
    }
}

/// Path and query as one text, as it stands in a request's first line.
#[must_use]
pub fn target_text(path: &CanonicalPath, query: &Query) -> String {
    if query.text.is_empty() { path.text.clone() } else { format!("{}?{}", path.text, query.text) }
}

/// One segment's canonical text, and whether it is opaque.
pub(crate) fn segment(raw: &[u8]) -> Result<(String, bool), Refusal> {
    let mut text = String::with_capacity(raw.len());
    let mut opaque = false;
    let mut rest = raw;
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        match byte {
            b'%' => {
                let (value, tail) = escape(rest).ok_or(Refusal::BadPercent)?;
                rest = tail;
                match value {
                    0..=0x1f | 0x7f => return Err(Refusal::ControlCharacter),
                    value if is_unreserved(value) => text.push(char::from(value)),
                    value => {
                        opaque |= matches!(value, b'/' | b'\\' | b';');
                        push_escape(&mut text, value);
                    }
                }
            }
            b'#' => return Err(Refusal::Fragment),
            b';' => return Err(Refusal::Parameters),
            b'\\' => return Err(Refusal::Backslash),
            byte => push_raw(&mut text, byte)?,
        }
    }
    let twice = is_encoded_twice(&text);
    check_decoded(&text)?;
    Ok((text, opaque || twice))
}

/// Whether canonical text holds `%25` and two hexadecimal digits.
pub(crate) fn is_encoded_twice(text: &str) -> bool {
    text.match_indices("%25").any(|(at, _)| {
        let next = text.as_bytes().get(at + 3..at + 5);
        next.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    })
}

/// A segment's text with every escape decoded once.
pub(crate) fn decoded(text: &str) -> Vec<u8> {
    percent_encoding::percent_decode_str(text).collect()
}

/// Looks at what the segment decodes to, once and, where it is encoded more than once, again: no dot
/// segment, control character or look-alike may come out in any round.
fn check_decoded(text: &str) -> Result<(), Refusal> {
    let mut now = decoded(text);
    for round in 0..DECODE_ROUNDS {
        let Ok(plain) = std::str::from_utf8(&now) else { return Err(Refusal::NotUtf8) };
        if let Some(c) = plain.chars().find(|c| is_path_look_alike(*c)) {
            return Err(Refusal::LookAlike(c as u32));
        }
        if plain.chars().any(char::is_control) {
            return Err(Refusal::ControlCharacter);
        }
        // Windows takes trailing spaces off a name before it looks.
        if plain.split(['/', '\\', ';']).any(|part| matches!(part.trim_matches(' '), "." | "..")) {
            return Err(Refusal::DotSegment);
        }
        let next: Vec<u8> = percent_encoding::percent_decode(&now).collect();
        if next == now {
            return Ok(());
        }
        now = next;
        if round + 1 == DECODE_ROUNDS {
            return Err(Refusal::DoubleEncoding);
        }
    }
    Ok(())
}

/// Characters that NFKC or a Windows best-fit table turns into `.`, `/`, `\`, `%` or `;`.
fn is_path_look_alike(c: char) -> bool {
    matches!(
        c,
        '\u{2024}'
            | '\u{2025}'
            | '\u{2044}'
            | '\u{2215}'
            | '\u{2216}'
            | '\u{29f5}'
            | '\u{29f8}'
            | '\u{fe52}'
            | '\u{fe54}'
            | '\u{fe68}'
            | '\u{fe6a}'
            | '\u{ff05}'
            | '\u{ff0e}'
            | '\u{ff0f}'
            | '\u{ff1b}'
            | '\u{ff3c}'
    )
}

fn form_text(part: &str) -> Result<String, Refusal> {
    let spaced = part.replace('+', " ");
    String::from_utf8(decoded(&spaced)).map_err(|_| Refusal::NotUtf8)
}

/// A byte that stands raw: kept where a segment may hold it (RFC 3986 `pchar`), encoded where it is
/// merely not allowed, refused where it is worse.
fn push_raw(text: &mut String, byte: u8) -> Result<(), Refusal> {
    match byte {
        0..=0x1f | 0x7f => Err(Refusal::ControlCharacter),
        b' ' | 0x80.. => Err(Refusal::RawByte(byte)),
        b'"' | b'<' | b'>' | b'[' | b']' | b'^' | b'`' | b'{' | b'|' | b'}' => {
            push_escape(text, byte);
            Ok(())
        }
        byte => {
            text.push(char::from(byte));
            Ok(())
        }
    }
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// The value of two hexadecimal digits, and what follows them.
fn escape(rest: &[u8]) -> Option<(u8, &[u8])> {
    let (digits, rest) = rest.split_first_chunk::<2>()?;
    let [high, low] = digits.map(|digit| char::from(digit).to_digit(16));
    Some((u8::try_from(high? * 16 + low?).ok()?, rest))
}

fn push_escape(text: &mut String, byte: u8) {
    text.push('%');
    for nibble in [byte >> 4, byte & 15] {
        text.push(char::from_digit(u32::from(nibble), 16).unwrap_or('0').to_ascii_uppercase());
    }
}
