//! Text from outside, made safe to look at: nothing invisible, nothing that turns direction, nothing
//! that only looks like something else goes unmarked.

use serde::Serialize;

/// A piece of text as a reader must see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase", tag = "kind", content = "text")]
pub enum Piece {
    /// Text that is what it looks like.
    Plain(String),
    /// A character that does not show, or changes how others show: its name, such as `U+202E`.
    Hidden(String),
    /// A word in which letters of several scripts stand together, so that one may pass for another.
    Mixed(String),
}

/// The text in pieces, in order; the plain and mixed pieces and the named characters are all of it.
#[must_use]
pub fn pieces(text: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut run = String::new();
    for c in text.chars() {
        if is_hidden(c) {
            words(&mut pieces, &std::mem::take(&mut run));
            pieces.push(Piece::Hidden(format!("U+{:04X}", c as u32)));
        } else {
            run.push(c);
        }
    }
    words(&mut pieces, &run);
    pieces
}

/// Whether the text is what it looks like: no piece of it would be marked.
#[must_use]
pub fn is_plain(text: &str) -> bool {
    pieces(text).iter().all(|piece| matches!(piece, Piece::Plain(_))) && !text.contains(['\n', '\t'])
}

/// The text on one line for terminals and plain-text cards: marked characters as `⟨U+202E⟩`.
#[must_use]
pub fn visible(text: &str) -> String {
    pieces(text)
        .into_iter()
        .map(|piece| match piece {
            Piece::Plain(text) => text,
            Piece::Hidden(name) => format!("⟨{name}⟩"),
            Piece::Mixed(word) => format!("⟨mixed scripts: {word}⟩"),
        })
        .collect()
}

/// Cuts a text to at most `limit` bytes on a character border.
#[must_use]
pub fn cut(text: &str, limit: usize) -> &str {
    let mut end = text.len().min(limit);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

/// Characters that do not show, or that change how others show: controls (C0, C1, DEL) but line feed and
/// tab, format characters (Unicode Cf), variation selectors, line and paragraph separators, unusual
/// spaces, blank letters, private use and non-characters.
fn is_hidden(c: char) -> bool {
    let u = c as u32;
    (c.is_control() && c != '\n' && c != '\t')
        || (c.is_whitespace() && !matches!(c, ' ' | '\n' | '\t'))
        || matches!(u,
            0x00AD | 0x034F | 0x061C | 0x115F | 0x1160 | 0x17B4 | 0x17B5 | 0x180B..=0x180F
            | 0x200B..=0x200F | 0x2028..=0x202E | 0x2060..=0x206F | 0x2800 | 0x3164
            | 0x0600..=0x0605 | 0x06DD | 0x070F | 0x08E2 | 0xFE00..=0xFE0F | 0xFEFF | 0xFFA0
            | 0xFFF0..=0xFFFB | 0x110BD | 0x110CD | 0x13430..=0x1345F | 0x1BCA0..=0x1BCA3
            | 0x1D173..=0x1D17A | 0xE000..=0xF8FF | 0xE0000..=0xE0FFF | 0xF0000..=0x10_FFFF)
}

fn words(pieces: &mut Vec<Piece>, run: &str) {
    let mut plain = String::new();
    for word in run.split_inclusive(|c: char| !c.is_alphanumeric()) {
        let letters = word.trim_end_matches(|c: char| !c.is_alphanumeric());
        if is_mixed(letters) {
            if !plain.is_empty() {
                pieces.push(Piece::Plain(std::mem::take(&mut plain)));
            }
            pieces.push(Piece::Mixed(letters.to_owned()));
            plain.push_str(word.get(letters.len()..).unwrap_or_default());
        } else {
            plain.push_str(word);
        }
    }
    if !plain.is_empty() {
        pieces.push(Piece::Plain(plain));
    }
}

/// Latin letters beside letters of the scripts that hold its look-alikes, or letters that only mimic Latin.
fn is_mixed(word: &str) -> bool {
    let latin = word.chars().any(|c| c.is_ascii_alphabetic() || matches!(c as u32, 0xC0..=0x24F));
    let alike = word.chars().any(|c| {
        matches!(c as u32,
            0x0370..=0x058F   // Greek, Cyrillic, Armenian
            | 0x10A0..=0x10FF // Georgian
            | 0x13A0..=0x13FF // Cherokee
            | 0x1C80..=0x1C8F | 0x1F00..=0x1FFF | 0x2DE0..=0x2DFF | 0xA640..=0xA69F | 0xAB70..=0xABBF)
    });
    let mimic = word.chars().any(|c| {
        matches!(c as u32,
            0x1D00..=0x1DBF | 0x2100..=0x214F | 0x2160..=0x218B // phonetic, letter-like, Roman numerals
            | 0xFF01..=0xFF5E | 0x1D400..=0x1D7FF | 0x1F110..=0x1F189) // full width, mathematical, enclosed
    });
    mimic || (latin && alike)
}

/// Whether two names can be taken for each other: they are the same but for case and for confusable characters, by
/// the skeletons of UTS 39, section 4.
#[must_use]
pub fn looks_like(one: &str, other: &str) -> bool {
    let skeleton = |text: &str| -> String { unicode_security::skeleton(text.trim()).collect() };
    // Case goes first (`ANA`, `ana`) and last too: a capital `I` looks like an `l` only while it is one.
    let folded = |text: &str| skeleton(&text.to_lowercase());
    let drawn = |text: &str| skeleton(&skeleton(text).to_lowercase());
    folded(one) == folded(other) || drawn(one) == drawn(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_reader_could_be_fooled_by_is_marked() {
        assert_eq!(visible("rm -rf /\u{202e}txt.exe"), "rm -rf /⟨U+202E⟩txt.exe");
        assert_eq!(visible("adm\u{200b}in"), "adm⟨U+200B⟩in");
        assert_eq!(visible("\u{1b}[2Jhello"), "⟨U+001B⟩[2Jhello");
        assert_eq!(visible("p\u{0430}ypal.com"), "⟨mixed scripts: p\u{0430}ypal⟩.com");
        assert_eq!(visible("ｄｒｏｐ table"), "⟨mixed scripts: ｄｒｏｐ⟩ table");
        assert_eq!(visible("a\u{a0}b"), "a⟨U+00A0⟩b");
        assert_eq!(visible("\u{e0041}"), "⟨U+E0041⟩");
        for honest in ["Zoë Müller", "удалить всё", "删除队列", "línea\nnueva", "Ω"] {
            assert_eq!(visible(honest), honest);
        }
    }

    #[test]
    fn cutting_keeps_characters_whole() {
        assert_eq!(cut("zoë", 3), "zo");
        assert_eq!(cut("zoë", 4), "zoë");
        assert_eq!(cut("", 4), "");
    }
}
