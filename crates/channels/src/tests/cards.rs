//! The card as text and as HTML.

use domain::text::Piece;
use gateway::card::Shown;
use jiff::tz::TimeZone;
use proptest::prelude::*;

use super::{card, denied, finished, metadata};
use crate::card::{self as cards, Card};

fn berlin() -> TimeZone {
    TimeZone::get("Europe/Berlin").unwrap()
}

#[test]
fn as_plain_text() {
    insta::assert_snapshot!("text_pending", cards::text::render(&card(), &berlin()));
    insta::assert_snapshot!("text_metadata", cards::text::render(&metadata(), &TimeZone::UTC));
    insta::assert_snapshot!("text_finished", cards::text::render(&finished(), &berlin()));
    insta::assert_snapshot!("text_denied", cards::text::render(&denied(), &berlin()));
}

#[test]
fn as_html() {
    let written = |card: &Card| cards::html::document(card, &berlin()).into_string().replace("><", ">\n<");
    insta::assert_snapshot!("html_pending", written(&card()));
    insta::assert_snapshot!("html_metadata", written(&metadata()));
    insta::assert_snapshot!("html_finished", written(&finished()));
    insta::assert_snapshot!("html_denied", written(&denied()));
}

#[test]
fn a_title_is_one_line() {
    let mut card = card();
    card.what.resource = Shown::new("a\nSubject: b\r\nBcc: c");
    assert!(!card.title().contains(['\n', '\r']), "{}", card.title());
}

proptest! {
    /// Whatever an agent writes, no line of it stands where ours stand, no character of it is hidden, and no mark of it
    /// is markup.
    #[test]
    fn words_from_outside_stay_words(text in "[ -~\\n\u{202e}\u{200b}<>&\"'|]{0,200}") {
        let mut card = card();
        card.reason = Some(Shown::new(&text));
        let plain = cards::text::render(&card, &TimeZone::UTC);
        let before = cards::text::render(&Card { reason: None, ..card.clone() }, &TimeZone::UTC);
        for line in plain.lines().filter(|line| !before.lines().any(|ours| ours == *line)) {
            prop_assert!(line.starts_with("           |") || line.starts_with("Reason "), "{line:?}");
        }
        let hidden = |c: char| c == '\u{202e}' || c == '\u{200b}';
        prop_assert!(!plain.contains(hidden));
        let html = cards::html::render(&card, &TimeZone::UTC).into_string();
        prop_assert!(!html.contains(hidden));
        let marks = |html: &str| html.matches('<').count();
        let shown = Shown::new(&text);
        let pieces = shown.pieces.iter().filter(|piece| !matches!(piece, Piece::Plain(_))).count();
        let plain_words = Card { reason: Some(Shown::new("words")), ..card.clone() };
        let ours = cards::html::render(&plain_words, &TimeZone::UTC).into_string();
        prop_assert_eq!(marks(&html), marks(&ours) + 2 * pieces);
    }
}
