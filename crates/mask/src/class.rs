//! What was found: its class, its detector, and where it stands.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use serde::{Deserialize, Serialize};

/// What kind of thing a span is. Where spans overlap, the one that stands first here names the whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// What could not be scanned in full.
    Unscanned,
    /// What a route's own rules name.
    Rule,
    /// A private key: PEM, OpenSSH, PuTTY, age.
    PrivateKey,
    /// A key of a cloud or a service, known by its form.
    ApiKey,
    /// The credential of a URL or a connection string.
    Connection,
    /// A JWT, a bearer token, basic credentials, a cookie.
    Token,
    /// A password or another secret beside a telling name.
    Secret,
    /// A payment card's number (ISO/IEC 7812, Luhn), or its security code beside its name.
    Card,
    /// An account number (ISO 13616).
    Iban,
    /// A number that a state gives to a person.
    NationalId,
    /// An e-mail address.
    Email,
    /// A telephone number.
    Phone,
    /// An IP address; looked for only where a route's rules ask for it.
    Ip,
}

impl Class {
    /// Every class that rules can switch.
    pub const DETECTED: [Self; 11] = [
        Self::PrivateKey,
        Self::ApiKey,
        Self::Connection,
        Self::Token,
        Self::Secret,
        Self::Card,
        Self::Iban,
        Self::NationalId,
        Self::Email,
        Self::Phone,
        Self::Ip,
    ];

    /// The class's name in rules, as kebab-case.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unscanned => "unscanned",
            Self::Rule => "rule",
            Self::PrivateKey => "private-key",
            Self::ApiKey => "api-key",
            Self::Connection => "connection",
            Self::Token => "token",
            Self::Secret => "secret",
            Self::Card => "card",
            Self::Iban => "iban",
            Self::NationalId => "national-id",
            Self::Email => "email",
            Self::Phone => "phone",
            Self::Ip => "ip",
        }
    }

    /// The class's name in a mask, for people.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Unscanned => "not scanned",
            Self::Rule => "by rule",
            Self::PrivateKey => "private key",
            Self::ApiKey => "API key",
            Self::Connection => "connection credential",
            Self::Token => "token",
            Self::Secret => "secret",
            Self::Card => "card",
            Self::Iban => "IBAN",
            Self::NationalId => "national id",
            Self::Email => "e-mail",
            Self::Phone => "phone",
            Self::Ip => "IP address",
        }
    }

    const ALL: [Self; 13] = [
        Self::Unscanned,
        Self::Rule,
        Self::PrivateKey,
        Self::ApiKey,
        Self::Connection,
        Self::Token,
        Self::Secret,
        Self::Card,
        Self::Iban,
        Self::NationalId,
        Self::Email,
        Self::Phone,
        Self::Ip,
    ];
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One thing that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Where it stands in the original bytes.
    pub range: Range<usize>,
    /// What it is.
    pub class: Class,
    /// Which detector or rule found it.
    pub detector: Cow<'static, str>,
    /// A card's last four digits, which rules may let stand.
    pub(crate) last_four: Option<[u8; 4]>,
}

impl Finding {
    pub(crate) fn new(range: Range<usize>, class: Class, detector: &'static str) -> Self {
        Self { range, class, detector: Cow::Borrowed(detector), last_four: None }
    }

    /// What stands in its place. It says nothing of the length.
    pub(crate) fn mask(&self) -> String {
        match self.last_four {
            Some(digits) if self.class == Class::Card => {
                let digits: String = digits.iter().map(|digit| char::from(*digit)).collect();
                format!("{OPENING}{} …{digits}]", self.class.label())
            }
            Some(_) | None => format!("{OPENING}{}]", self.class.label()),
        }
    }
}

/// How every mask begins.
const OPENING: &str = "[masked: ";

/// The longest mask, in bytes.
const MASK_LIMIT_BYTES: usize = 48;

/// Where a mask that begins at `at` ends: masks are never looked into again.
pub(crate) fn mask_end(text: &[u8], at: usize) -> Option<usize> {
    let inner = crate::bytes::tail(text, at).strip_prefix(OPENING.as_bytes())?;
    let inner = inner.get(..inner.len().min(MASK_LIMIT_BYTES)).unwrap_or_default();
    let label = inner.split(|byte| *byte == b']').next()?;
    let name = match std::str::from_utf8(label).ok()?.split_once(" …") {
        None => std::str::from_utf8(label).ok()?,
        Some((name, digits)) if digits.len() == 4 && digits.bytes().all(|byte| byte.is_ascii_digit()) => name,
        Some(_) => return None,
    };
    let is_ours = label.len() < inner.len() && Class::ALL.iter().any(|class| class.label() == name);
    is_ours.then(|| at + OPENING.len() + label.len() + 1)
}

/// Whether `at` stands within a mask.
pub(crate) fn in_mask(text: &[u8], at: usize) -> bool {
    let from = at.saturating_sub(MASK_LIMIT_BYTES);
    let start = crate::bytes::part(text, from..at).iter().rposition(|byte| *byte == b'[');
    start.and_then(|start| mask_end(text, from + start)).is_some_and(|end| end > at)
}
