//! What the gate says in its own name: errors and notices, as PostgreSQL words them.

use bytes::{Bytes, BytesMut};

use crate::config::TOLD_LIMIT_BYTES;
use crate::parse::Backend;
use crate::parse::backend::Fields;

/// A SQLSTATE: five characters that programs look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct State([u8; 5]);

impl State {
    /// The client may not do this. What a denial says.
    pub const DENIED: State = State(*b"42501");
    /// People have to approve this first.
    pub const HELD: State = State(*b"55000");
    /// The credential is not good.
    pub const INVALID_PASSWORD: State = State(*b"28P01");
    /// The client is not let in.
    pub const INVALID_AUTHORIZATION: State = State(*b"28000");
    /// A parameter that is not taken.
    pub const INVALID_PARAMETER: State = State(*b"22023");
    /// Something that the gate does not pass on.
    pub const NOT_SUPPORTED: State = State(*b"0A000");
    /// Messages that are no protocol.
    pub const PROTOCOL: State = State(*b"08P01");
    /// The server cannot be reached, or was lost.
    pub const CONNECTION: State = State(*b"08006");
    /// The user cancelled.
    pub const CANCELLED: State = State(*b"57014");
    /// The gate ends.
    pub const SHUTDOWN: State = State(*b"57P01");
    /// More than a limit allows.
    pub const LIMIT: State = State(*b"54000");
    /// A name longer than the server keeps.
    pub const NAME_TOO_LONG: State = State(*b"42622");
    /// No place for another session.
    pub const TOO_MANY: State = State(*b"53300");
    /// No such prepared statement.
    pub const NO_STATEMENT: State = State(*b"26000");
    /// A prepared statement with this name is there already.
    pub const STATEMENT_EXISTS: State = State(*b"42P05");
    /// No such portal.
    pub const NO_PORTAL: State = State(*b"34000");
    /// Something that is worth knowing.
    pub const WARNING: State = State(*b"01000");
    /// What was approved is not what is there now, or not what came of it. Programs try again, and ask anew.
    pub const CHANGED: State = State(*b"40001");
    /// The transaction has failed, and waits for its end.
    pub const FAILED: State = State(*b"25P02");
    /// What the server says when it does not say what it is.
    pub const INTERNAL: State = State(*b"XX000");
    /// Text that is no UTF-8.
    pub const ENCODING: State = State(*b"22021");

    /// A state from its five characters: digits and capital letters.
    #[must_use]
    pub fn new(code: &str) -> Option<State> {
        let code: [u8; 5] = code.as_bytes().try_into().ok()?;
        code.iter().all(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase()).then_some(State(code))
    }

    /// Its five characters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// Why something is not done, in PostgreSQL's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// For programs.
    pub state: State,
    /// What it is, in one line.
    pub message: String,
    /// More of it.
    pub detail: Option<String>,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Refusal {
    /// A refusal without detail and hint.
    #[must_use]
    pub fn new(state: State, message: impl Into<String>) -> Refusal {
        Refusal { state, message: message.into(), detail: None, hint: None }
    }

    /// With what to do about it.
    #[must_use]
    pub fn with_hint(self, hint: impl Into<String>) -> Refusal {
        Refusal { hint: Some(hint.into()), ..self }
    }

    /// With more of it.
    #[must_use]
    pub fn with_detail(self, detail: impl Into<String>) -> Refusal {
        Refusal { detail: Some(detail.into()), ..self }
    }

    /// Writes it as the error of one statement, after which the session goes on.
    pub(crate) fn write_error(&self, out: &mut BytesMut) {
        Backend::ErrorResponse(self.fields("ERROR")).write(out);
    }

    /// Writes it as the connection's end.
    pub(crate) fn write_fatal(&self, out: &mut BytesMut) {
        Backend::ErrorResponse(self.fields("FATAL")).write(out);
    }

    /// Writes it as a notice.
    pub(crate) fn write_notice(&self, out: &mut BytesMut) {
        Backend::NoticeResponse(self.fields("NOTICE")).write(out);
    }

    fn fields(&self, severity: &'static str) -> Fields {
        // A zero byte would end the field early.
        let clean = |text: &str| Bytes::from(text.replace('\0', "\u{fffd}"));
        let mut fields = vec![
            (b'S', Bytes::from_static(severity.as_bytes())),
            (b'V', Bytes::from_static(severity.as_bytes())),
            (b'C', Bytes::copy_from_slice(&self.state.0)),
            (b'M', clean(&self.message)),
        ];
        fields.extend(self.detail.as_deref().map(|detail| (b'D', clean(detail))));
        fields.extend(self.hint.as_deref().map(|hint| (b'H', clean(hint))));
        Fields(fields)
    }
}

/// What an error says, as far as it is looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) state: State,
    pub(crate) message: String,
    /// It is the connection's end.
    pub(crate) fatal: bool,
}

impl Told {
    /// Reads the beginning of an error's body, which may be cut off anywhere. The server puts first what is read here.
    pub(crate) fn read(body: &[u8]) -> Told {
        let mut told = Told { state: State::INTERNAL, message: String::new(), fatal: false };
        for field in body.split(|byte| *byte == 0) {
            let Some((letter, value)) = field.split_first() else { break };
            let text = String::from_utf8_lossy(value);
            match letter {
                b'V' => told.fatal = matches!(text.as_ref(), "FATAL" | "PANIC"),
                b'C' => told.state = State::new(&text).unwrap_or(State::INTERNAL),
                b'M' => {
                    let end = text.floor_char_boundary(TOLD_LIMIT_BYTES);
                    text.get(..end).unwrap_or_default().clone_into(&mut told.message);
                }
                _ => {}
            }
        }
        told
    }
}

impl From<&Refusal> for Told {
    fn from(refusal: &Refusal) -> Told {
        Told { state: refusal.state, message: refusal.message.clone(), fatal: false }
    }
}
