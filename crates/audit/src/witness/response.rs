//! What a witness answers, as both sides have it.

use crate::text::{from_decimal, quoted};
use crate::{Error, NoteSignature};

use super::{Refusal, Witnessed};

/// The longest answer that is read, in bytes.
pub const MAX_RESPONSE_BYTES: usize = 65_536;

/// The most signature lines of an answer.
pub const MAX_RESPONSE_LINES: usize = 16;

/// The media type of a 409's body.
pub const SIZE_CONTENT_TYPE: &str = "text/x.tlog.size";

/// A witness's answer to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// 200: cosignature lines, unchecked: [`attach`](crate::SignedCheckpoint::attach) checks them.
    Cosigned(Vec<NoteSignature>),
    /// 409: the size that the witness cosigned last, in leaves.
    Conflict {
        /// That size.
        known: u64,
    },
    /// Any other status: the witness did not cosign.
    Refused {
        /// The status code.
        status: u16,
        /// The body's first line, cut to a readable length.
        reason: String,
    },
}

impl Answer {
    /// Reads an answer.
    ///
    /// # Errors
    /// [`Error::TooLarge`] over [`MAX_RESPONSE_BYTES`] or [`MAX_RESPONSE_LINES`];
    /// [`Error::Malformed`] for a 200 that is not signature lines to its end, or a 409 without its
    /// media type or its size.
    pub fn parse(status: u16, content_type: Option<&str>, body: &[u8]) -> Result<Self, Error> {
        Error::check_limit("witness response", body.len(), MAX_RESPONSE_BYTES, "bytes")?;
        let malformed = |why| Error::malformed_bytes("witness response", body, why);
        match status {
            200 => {
                let lines = str::from_utf8(body).ok().and_then(|text| text.strip_suffix('\n'));
                let lines =
                    lines.ok_or_else(|| malformed("expected lines of UTF-8, each ending in a newline"))?;
                Error::check_limit(
                    "witness response",
                    lines.split('\n').count(),
                    MAX_RESPONSE_LINES,
                    "lines",
                )?;
                lines.split('\n').map(str::parse).collect::<Result<_, _>>().map(Self::Cosigned)
            }
            409 => {
                let essence = content_type.and_then(|kind| kind.split(';').next()).map(str::trim);
                if !essence.is_some_and(|kind| kind.eq_ignore_ascii_case(SIZE_CONTENT_TYPE)) {
                    return Err(malformed("a conflict's type is not `text/x.tlog.size`"));
                }
                let size = str::from_utf8(body).ok().and_then(|text| text.strip_suffix('\n'));
                let known = size.and_then(from_decimal);
                let known = known.ok_or_else(|| malformed("expected a tree size and a newline"))?;
                Ok(Self::Conflict { known })
            }
            status => Ok(Self::Refused { status, reason: quoted(&String::from_utf8_lossy(body)) }),
        }
    }

    /// The status code.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            Self::Cosigned(_) => 200,
            Self::Conflict { .. } => 409,
            Self::Refused { status, .. } => *status,
        }
    }

    /// The body's media type.
    #[must_use]
    pub fn content_type(&self) -> &'static str {
        match self {
            Self::Conflict { .. } => SIZE_CONTENT_TYPE,
            Self::Cosigned(_) | Self::Refused { .. } => "text/plain; charset=utf-8",
        }
    }

    /// The body.
    #[must_use]
    pub fn body(&self) -> String {
        match self {
            Self::Cosigned(lines) => lines.iter().map(|line| format!("{line}\n")).collect(),
            Self::Conflict { known } => format!("{known}\n"),
            Self::Refused { reason, .. } => format!("{reason}\n"),
        }
    }
}

impl From<&Witnessed> for Answer {
    fn from(witnessed: &Witnessed) -> Self {
        Self::Cosigned(vec![witnessed.line().clone()])
    }
}

impl From<&Refusal> for Answer {
    fn from(refusal: &Refusal) -> Self {
        if let Refusal::Conflict { known } = refusal {
            return Self::Conflict { known: *known };
        }
        Self::Refused { status: refusal.status(), reason: refusal.to_string() }
    }
}
