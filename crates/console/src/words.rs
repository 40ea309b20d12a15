//! How words, times and numbers stand on pages. Whatever comes from outside passes here, so that nothing of
//! it is invisible.

use std::time::Duration;

use domain::requirement::Quorum;
use domain::text::Piece;
use domain::time::{Span, Timestamp};
use gateway::card::Shown;
use maud::{Markup, html};

use crate::limits;

/// Words from outside, in a line of ours.
pub(crate) fn outside(text: &str) -> Markup {
    shown(&Shown::new(text))
}

/// Words from outside whose marks are known already. They keep to themselves: whatever direction they run
/// in, they turn nothing around them.
pub(crate) fn shown(text: &Shown) -> Markup {
    html! { bdi { (pieces(text)) } }
}

/// One way to lift a hold.
pub(crate) fn way(quorum: &Quorum) -> String {
    let emergency = if quorum.break_glass { " by break-glass" } else { "" };
    format!("{} of {}{emergency}", quorum.count, quorum.group)
}

/// The pieces alone, for a place that isolates them itself.
pub(crate) fn pieces(text: &Shown) -> Markup {
    html! {
        @for piece in &text.pieces {
            @match piece {
                Piece::Plain(text) => (plain(text)),
                Piece::Hidden(name) => {
                    mark.hidden title=(meaning(name).unwrap_or("a character that does not show")) { (name) }
                },
                Piece::Mixed(word) => {
                    mark.mixed title=(scalars(word)) { (word) }
                    span.mixed-note { "mixed scripts" }
                },
            }
        }
    }
}

/// How many marks stand in texts, in words; none where all are what they look like.
pub(crate) fn warning<'a>(texts: impl IntoIterator<Item = &'a Shown>) -> Option<String> {
    let pieces: Vec<&Piece> = texts.into_iter().flat_map(|text| &text.pieces).collect();
    let count = |wanted: fn(&Piece) -> bool| pieces.iter().filter(|piece| wanted(piece)).count();
    let hidden = count(|piece| matches!(piece, Piece::Hidden(_)));
    let mixed = count(|piece| matches!(piece, Piece::Mixed(_)));
    match (hidden, mixed) {
        (0, 0) => None,
        (hidden, 0) => Some(counted(hidden, "hidden character")),
        (0, mixed) => Some(counted(mixed, "word in mixed scripts")),
        (hidden, mixed) => Some(format!(
            "{} and {}",
            counted(hidden, "hidden character"),
            counted(mixed, "word in mixed scripts")
        )),
    }
}

/// The text that these pieces came from; none where a name does not read back.
pub(crate) fn original(text: &Shown) -> Option<String> {
    let mut original = String::new();
    for piece in &text.pieces {
        match piece {
            Piece::Plain(text) | Piece::Mixed(text) => original.push_str(text),
            Piece::Hidden(name) => {
                let scalar = u32::from_str_radix(name.strip_prefix("U+")?, 16).ok()?;
                original.push(char::from_u32(scalar)?);
            }
        }
    }
    Some(original)
}

/// Plain text, with long runs of white space as a count: nothing is pushed out of sight by padding.
fn plain(text: &str) -> Markup {
    html! {
        @for (run, padding) in runs(text) {
            @if padding {
                @let name = match run.chars().next() { Some('\n') => "line break", Some('\t') => "tab", _ => "space" };
                mark.padding title="a long run of white space, shown as a count" {
                    (counted(run.chars().count(), name))
                }
                @if name == "line break" { "\n" }
            } @else { (run) }
        }
    }
}

/// The text cut into runs, each with whether it is padding.
fn runs(text: &str) -> Vec<(&str, bool)> {
    let mut runs = Vec::new();
    let (mut start, mut at) = (0, 0);
    let mut rest = text.chars().peekable();
    while let Some(first) = rest.next() {
        let begin = at;
        at += first.len_utf8();
        if !matches!(first, ' ' | '\n' | '\t') {
            continue;
        }
        let mut length = 1;
        while rest.next_if_eq(&first).is_some() {
            at += first.len_utf8();
            length += 1;
        }
        if length >= limits::PADDING_CHARS {
            runs.push((text.get(start..begin).unwrap_or_default(), false));
            runs.push((text.get(begin..at).unwrap_or_default(), true));
            start = at;
        }
    }
    runs.push((text.get(start..).unwrap_or_default(), false));
    runs.retain(|(run, _)| !run.is_empty());
    runs
}

fn scalars(word: &str) -> String {
    let one = |c: char| if c.is_ascii() { c.to_string() } else { format!("{c} (U+{:04X})", u32::from(c)) };
    let letters: Vec<_> = word.chars().map(one).collect();
    format!("letters of several scripts: {}", letters.join(" "))
}

/// What the hidden characters that attacks use do.
fn meaning(name: &str) -> Option<&'static str> {
    Some(match name {
        "U+0000" => "null",
        "U+0007" => "bell",
        "U+0008" => "backspace: takes back what stands before it",
        "U+000D" => "carriage return: what follows may overwrite the line",
        "U+001B" => "escape: begins a terminal's command",
        "U+007F" => "delete",
        "U+00A0" => "a space that is no space",
        "U+00AD" => "soft hyphen: does not show",
        "U+200B" => "zero-width space: does not show",
        "U+200C" | "U+200D" => "zero-width joiner: does not show",
        "U+200E" | "U+200F" => "direction mark: does not show",
        "U+2028" | "U+2029" => "line or paragraph separator",
        "U+202A" | "U+202B" | "U+202C" => "turns the direction of what follows",
        "U+202D" | "U+202E" => "overrides the direction of what follows",
        "U+2060" => "word joiner: does not show",
        "U+2066" | "U+2067" | "U+2068" | "U+2069" => "isolates a run with its own direction",
        "U+FEFF" => "byte order mark: does not show",
        _ => return None,
    })
}

/// `1 byte`, `2 bytes`.
pub(crate) fn counted(n: usize, what: &str) -> String {
    let s = if n == 1 { "" } else { "s" };
    match what.split_once(' ') {
        // `1 word in mixed scripts`, `2 words in mixed scripts`.
        Some(("word", rest)) => format!("{n} word{s} {rest}"),
        Some(_) | None => format!("{n} {what}{s}"),
    }
}

/// A size as people read it.
pub(crate) fn size(bytes: u64) -> String {
    const KIB: u64 = 1 << 10;
    const MIB: u64 = 1 << 20;
    match bytes {
        1 => "1 byte".to_owned(),
        n if n < KIB => format!("{n} bytes"),
        n if n < MIB => format!("{}.{} KiB", n / KIB, n % KIB * 10 / KIB),
        n => format!("{}.{} MiB", n / MIB, n % MIB * 10 / MIB),
    }
}

/// A length of time in its two largest units; `page.js` says it in the same words.
pub(crate) fn length(duration: Duration) -> String {
    let s = duration.as_secs();
    let (d, h, m) = (s / 86_400, s / 3_600 % 24, s / 60 % 60);
    match (d, h, m) {
        (0, 0, 0) => format!("{s} s"),
        (0, 0, m) if m < 10 => two(m, "min", s % 60, "s"),
        (0, 0, m) => format!("{m} min"),
        (0, h, m) => two(h, "h", m, "min"),
        (d, h, _) => two(d, "d", h, "h"),
    }
}

fn two(large: u64, unit: &str, small: u64, smaller: &str) -> String {
    if small == 0 { format!("{large} {unit}") } else { format!("{large} {unit} {small} {smaller}") }
}

/// How long ago something was, in the largest unit; `page.js` says it in the same words.
pub(crate) fn past(duration: Duration) -> String {
    match duration.as_secs() {
        s if s < 5 => "just now".to_owned(),
        s if s < 60 => format!("{s} s ago"),
        s if s < 3_600 => format!("{} min ago", s / 60),
        s if s < 172_800 => format!("{} h ago", s / 3_600),
        s => format!("{} d ago", s / 86_400),
    }
}

/// A span of a policy or a route.
pub(crate) fn span(span: Span) -> String {
    length(span.duration())
}

/// How long until a moment; scripts count it down.
pub(crate) fn until(moment: Timestamp, now: Timestamp) -> Markup {
    html! {
        time.until datetime=(iso(moment)) data-until=(millis(moment)) title=(exact(moment)) {
            (length(moment.since(now)))
        }
    }
}

/// How long ago a moment was; scripts keep it up.
pub(crate) fn ago(moment: Timestamp, now: Timestamp) -> Markup {
    html! {
        time datetime=(iso(moment)) data-since=(millis(moment)) title=(exact(moment)) {
            (past(now.since(moment)))
        }
    }
}

/// A moment as it stands in the log.
pub(crate) fn moment(moment: Timestamp) -> Markup {
    html! { time datetime=(iso(moment)) { (exact(moment)) } }
}

fn millis(moment: Timestamp) -> u64 {
    moment.micros() / 1_000
}

fn civil(moment: Timestamp, format: &str) -> String {
    let micros = i64::try_from(moment.micros()).unwrap_or(i64::MAX);
    jiff::Timestamp::from_microsecond(micros)
        .map_or_else(|_| micros.to_string(), |at| at.strftime(format).to_string())
}

fn iso(moment: Timestamp) -> String {
    civil(moment, "%Y-%m-%dT%H:%M:%SZ")
}

fn exact(moment: Timestamp) -> String {
    civil(moment, "%-d %b %Y, %H:%M:%S UTC")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padding_is_counted_and_nothing_is_lost() {
        let padded = format!("a{}b  c{}", " ".repeat(200), "\n".repeat(40));
        let shown = outside(&padded).into_string();
        assert!(
            shown.contains("200 spaces") && shown.contains("40 line breaks") && shown.contains("b  c"),
            "{shown}"
        );
        let whole: String = runs(&padded).into_iter().map(|(run, _)| run).collect();
        assert_eq!(whole, padded);
    }

    #[test]
    fn pieces_read_back_to_what_they_came_from() {
        for text in ["", "plain", "rm\u{202e}\u{200b} p\u{430}y \u{1b}[2J", "{\"a\":\"\u{e0041}\"}"] {
            assert_eq!(original(&Shown::new(text)).as_deref(), Some(text));
        }
    }

    #[test]
    fn lengths_are_said_in_two_units() {
        let said = |s| length(Duration::from_secs(s));
        let over = |s| past(Duration::from_secs(s));
        assert_eq!(
            [over(1), over(9), over(130), over(7_300), over(200_000)],
            ["just now", "9 s ago", "2 min ago", "2 h ago", "2 d ago"]
        );
        assert_eq!(
            [said(9), said(130), said(180), said(700), said(3_660), said(90_000)],
            ["9 s", "2 min 10 s", "3 min", "11 min", "1 h 1 min", "1 d 1 h"]
        );
    }
}
