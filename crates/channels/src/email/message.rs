//! One mail: plain text and HTML of the same card, with headers that make a thread of a request and ask machines not to
//! answer.

use jiff::tz::TimeZone;
use lettre::Message;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart, SinglePart};

use crate::card::{self, Card};

/// What a mail is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Somebody asks.
    Asked,
    /// It waits still.
    Waiting,
    /// It was decided, or is over.
    Moved,
}

/// The mail, and its message id.
///
/// # Errors
/// In words: an address that is none.
pub(super) fn write(
    from: &Mailbox,
    to: &str,
    domain: &str,
    card: &Card,
    kind: Kind,
    zone: &TimeZone,
) -> Result<(Message, String), String> {
    let first = format!("<{}.asked@{domain}>", card.approval);
    let id = match kind {
        Kind::Asked => first.clone(),
        Kind::Waiting => format!("<{}.{}.waiting@{domain}>", card.approval, card.made.micros()),
        Kind::Moved => format!("<{}.{}.{}@{domain}>", card.approval, card.version, card.state.word),
    };
    let subject = match kind {
        Kind::Asked => format!("[review] {}", card.title()),
        Kind::Waiting => format!("[still waiting] {}", card.title()),
        Kind::Moved => format!("[{}] {}", card.state.word, card.title()),
    };
    let mut builder = Message::builder()
        .from(from.clone())
        .to(to.parse().map_err(|error| format!("`{to}` is no address: {error}"))?)
        .subject(domain::text::cut(&subject, SUBJECT_BYTES))
        .message_id(Some(id.clone()))
        .date(date(card));
    if kind != Kind::Asked {
        builder = builder.in_reply_to(first.clone()).references(first);
    }
    // RFC 3834: no answering machine answers it. The list's id lets people sort it.
    for (name, value) in [
        ("Auto-Submitted", "auto-generated".to_owned()),
        ("X-Auto-Response-Suppress", "All".to_owned()),
        ("List-Id", format!("Countersign requests <requests.{domain}>")),
    ] {
        let name = HeaderName::new_from_ascii(name.to_owned()).map_err(|error| error.to_string())?;
        builder = builder.raw_header(HeaderValue::new(name, value));
    }
    let parts = MultiPart::alternative()
        .singlepart(SinglePart::plain(card::text::render(card, zone)))
        .singlepart(SinglePart::html(card::html::document(card, zone).into_string()));
    let mail = builder.multipart(parts).map_err(|error| error.to_string())?;
    Ok((mail, id))
}

/// The longest subject, in bytes.
const SUBJECT_BYTES: usize = 180;

fn date(card: &Card) -> std::time::SystemTime {
    std::time::UNIX_EPOCH + std::time::Duration::from_micros(card.made.micros())
}
