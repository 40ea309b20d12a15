//! What a mail looks like on its way.

use jiff::tz::TimeZone;
use lettre::message::Mailbox;

use super::message::{Kind, write};
use crate::card::Card;
use crate::tests::{card, denied};

fn mail(to: &str, card: &Card, kind: Kind) -> Result<(String, String), String> {
    let from: Mailbox = "Countersign <cs@example.com>".parse().unwrap();
    let (mail, id) = write(&from, to, "example.com", card, kind, &TimeZone::UTC)?;
    Ok((String::from_utf8(mail.formatted()).unwrap(), id))
}

/// The headers alone; the border of the parts is made at random.
fn headers(mail: &str) -> String {
    let head = mail.split("\r\n\r\n").next().unwrap().replace("\r\n ", " ").replace("\r\n", "\n");
    let lines = head.lines().map(|line| line.split("boundary=").next().unwrap().trim_end());
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn headers_make_a_thread_and_ask_no_machine_to_answer() {
    let (asked, id) = mail("ann@example.com", &card(), Kind::Asked).unwrap();
    let (moved, other) = mail("ann@example.com", &denied(), Kind::Moved).unwrap();
    assert_ne!(id, other);
    assert!(headers(&moved).contains(&format!("In-Reply-To: {id}")), "{moved}");
    insta::assert_snapshot!("asked", headers(&asked));
    insta::assert_snapshot!("moved", headers(&moved));
}

#[test]
fn nothing_in_a_mail_decides() {
    let (asked, _) = mail("ann@example.com", &card(), Kind::Asked).unwrap();
    // In plain text a payload's words are words.
    let html = asked.split("text/html").nth(1).unwrap();
    for word in ["<form", "<script", "<input", "<button", "<img", "/v1/approvals/1/reviews"] {
        assert!(!html.contains(word), "{word}");
    }
}

#[test]
fn words_from_outside_make_no_header() {
    let mut card = card();
    card.what.resource = gateway::card::Shown::new("x\r\nBcc: eve@example.com\r\n\r\nbody");
    let (asked, _) = mail("ann@example.com", &card, Kind::Asked).unwrap();
    assert!(!headers(&asked).lines().any(|line| line.starts_with("Bcc")), "{asked}");
    assert!(mail("ann@example.com\r\nBcc: eve@example.com", &card, Kind::Asked).is_err());
    assert!(mail("nobody", &card, Kind::Asked).is_err());
}
