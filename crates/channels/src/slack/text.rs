//! Texts of Block Kit that cannot be too long or be read as anything but text.

use serde::{Serialize, Serializer, ser::SerializeMap as _};

/// A text of at most `MAX` UTF-16 units, never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Text<const MAX: usize> {
    kind: Kind,
    text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Shown as it is: no formatting, no links, no emoji.
    Plain,
    /// Slack's own markup, with nothing turned into links that is none.
    Markup,
}

impl<const MAX: usize> Text<MAX> {
    /// Words of anybody, shown as they are.
    pub(super) fn plain(words: &str) -> Self {
        let (text, _) = fit(&escaped(if words.is_empty() { "–" } else { words }), MAX);
        Self { kind: Kind::Plain, text }
    }

    /// Markup as [`Markup`] makes it. Where it is too long it is cut, which can only leave formatting open.
    pub(super) fn markup(markup: &Markup) -> Self {
        let (text, _) = fit(if markup.0.is_empty() { "–" } else { &markup.0 }, MAX);
        Self { kind: Kind::Markup, text }
    }
}

impl<const MAX: usize> Serialize for Text<MAX> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(3))?;
        match self.kind {
            Kind::Plain => {
                map.serialize_entry("type", "plain_text")?;
                map.serialize_entry("text", &self.text)?;
                map.serialize_entry("emoji", &false)?;
            }
            Kind::Markup => {
                map.serialize_entry("type", "mrkdwn")?;
                map.serialize_entry("text", &self.text)?;
                map.serialize_entry("verbatim", &true)?;
            }
        }
        map.end()
    }
}

/// Markup in the making: our own words as they are, everybody else's so that they format nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Markup(String);

impl Markup {
    /// Begins with words of ours.
    pub(super) fn new(ours: &str) -> Self {
        Self::default().ours(ours)
    }

    /// Words of this program's, in Slack's markup.
    #[must_use]
    pub(super) fn ours(mut self, markup: &str) -> Self {
        self.0.push_str(markup);
        self
    }

    /// A name or a short value, on one line and set as code, so that nothing in it formats or links.
    #[must_use]
    pub(super) fn code(mut self, words: &str) -> Self {
        let line = words.replace(['\n', '\t', '\r'], " ").replace('`', "ˋ");
        let line = line.trim();
        self.0.push('`');
        self.0.push_str(&escaped(if line.is_empty() { "–" } else { line }));
        self.0.push('`');
        self
    }

    /// Sentences from a policy or a gateway: kept on one line, without what Slack would format by.
    #[must_use]
    pub(super) fn words(mut self, words: &str) -> Self {
        let quiet: String = words
            .chars()
            .map(|c| match c {
                '*' => '∗',
                '_' => '＿',
                '~' => '∼',
                '`' => 'ˋ',
                '\n' | '\t' | '\r' => ' ',
                c => c,
            })
            .collect();
        self.0.push_str(&escaped(&quiet));
        self
    }

    /// A time, which Slack writes in each reader's own zone; whoever cannot gets `fallback`.
    #[must_use]
    pub(super) fn time(mut self, seconds: u64, fallback: &str) -> Self {
        let fallback = escaped(&fallback.replace('|', " "));
        self.0.push_str(&format!("<!date^{seconds}^{{date_short_pretty}} {{time_secs}}|{fallback}>"));
        self
    }

    /// A link of ours. The address is our own; what could end it is percent-encoded.
    #[must_use]
    pub(super) fn link(mut self, url: &str, label: &str) -> Self {
        let url = url.replace('|', "%7C").replace('<', "%3C").replace('>', "%3E").replace('&', "&amp;");
        self.0.push_str(&format!("<{url}|{}>", escaped(label)));
        self
    }
}

/// The lines of a text in code blocks of at most `limit` units each, in order, whole; or nothing, where a code block could
/// not show it as it is.
pub(super) fn code_blocks(text: &str, limit: usize) -> Option<Vec<Markup>> {
    const FENCE: &str = "```";
    // A fence in the text would end the block, and what follows would be read as markup.
    if text.contains(FENCE) || text.ends_with('`') || text.starts_with('`') {
        return None;
    }
    let room = limit.checked_sub(units(FENCE) * 2 + 2)?;
    let (mut blocks, mut block, mut used) = (Vec::new(), String::new(), 0);
    for c in text.chars() {
        let piece = escaped_char(c);
        if used + units(&piece) > room {
            blocks.push(std::mem::take(&mut block));
            used = 0;
        }
        used += units(&piece);
        block.push_str(&piece);
    }
    blocks.push(block);
    // Between two blocks a fence stands where the text has none: a backtick beside it would be read as part of it.
    if blocks.iter().any(|block| block.starts_with('`') || block.ends_with('`')) {
        return None;
    }
    let fenced =
        |block: String| Markup(format!("{FENCE}\n{}\n{FENCE}", if block.is_empty() { "–" } else { &block }));
    Some(blocks.into_iter().map(fenced).collect())
}

/// Words of a stranger, each line marked as theirs.
pub(super) fn quoted(words: &str) -> String {
    words.lines().map(|line| format!("│ {line}")).collect::<Vec<_>>().join("\n")
}

/// Slack's three characters of control as text ("Formatting text", "Escaping text").
pub(super) fn escaped(text: &str) -> String {
    text.chars().map(escaped_char).collect()
}

fn escaped_char(c: char) -> String {
    match c {
        '&' => "&amp;".to_owned(),
        '<' => "&lt;".to_owned(),
        '>' => "&gt;".to_owned(),
        c => c.to_string(),
    }
}

/// How long a text is, in UTF-16 units.
pub(super) fn units(text: &str) -> usize {
    text.chars().map(char::len_utf16).sum()
}

/// An escaped text within `limit` units, and whether that is all of it. It is cut between characters and never within an
/// entity, and ends in `…` where it was cut.
pub(super) fn fit(text: &str, limit: usize) -> (String, bool) {
    if units(text) <= limit {
        return (text.to_owned(), true);
    }
    let room = limit.saturating_sub(1);
    let (mut kept, mut used, mut rest) = (String::new(), 0, text);
    while let Some(first) = rest.chars().next() {
        let entity = ["&amp;", "&lt;", "&gt;"].into_iter().find(|entity| rest.starts_with(entity));
        let taken = entity.map_or(first.len_utf8(), str::len);
        let (piece, after) = rest.split_at_checked(taken).unwrap_or((rest, ""));
        if used + units(piece) > room {
            break;
        }
        used += units(piece);
        kept.push_str(piece);
        rest = after;
    }
    kept.push('…');
    (kept, false)
}
