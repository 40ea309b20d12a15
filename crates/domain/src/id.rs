//! Every id is its own type, so that none can stand where another belongs.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::Malformed;
use crate::time::Timestamp;

/// Sixteen random bytes for the tail of a `UUIDv7`; the edge draws them.
pub type Entropy = [u8; 10];

fn uuid_v7(at: Timestamp, entropy: &Entropy) -> Uuid {
    uuid::Builder::from_unix_timestamp_millis(at.micros() / 1_000, entropy).into_uuid()
}

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// A new id (`UUIDv7`, RFC 9562) from the given time and ten random bytes.
            #[must_use]
            pub fn new(at: Timestamp, entropy: &Entropy) -> Self {
                Self(uuid_v7(at, entropy))
            }

            /// The id as its UUID.
            #[must_use]
            pub fn uuid(self) -> Uuid {
                self.0
            }

            /// The id that a stored UUID stands for.
            #[must_use]
            pub fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }

        impl FromStr for $name {
            type Err = Malformed;
            fn from_str(text: &str) -> Result<Self, Malformed> {
                Uuid::parse_str(text)
                    .map(Self)
                    .map_err(|_| Malformed::value($what, text, "a UUID is expected"))
            }
        }
    };
}

uuid_id!(
    /// One action, and the approval that may stand on it: one case, one id.
    ActionId, "action id");
uuid_id!(
    /// One human, however many accounts, keys and groups they have.
    PersonId, "person id");
uuid_id!(
    /// One agent: a program with a key and a human sponsor.
    AgentId, "agent id");
uuid_id!(
    /// One question that a reviewer asked.
    QuestionId, "question id");
uuid_id!(
    /// The right to run one action once.
    GrantId, "grant id");

macro_rules! name_id {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The name's text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }

        impl FromStr for $name {
            type Err = Malformed;
            fn from_str(text: &str) -> Result<Self, Malformed> {
                check_name($what, text)?;
                Ok(Self(text.to_owned()))
            }
        }

        impl TryFrom<String> for $name {
            type Error = Malformed;
            fn try_from(text: String) -> Result<Self, Malformed> {
                check_name($what, &text)?;
                Ok(Self(text))
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0
            }
        }
    };
}

/// The longest name of a group, rule, route, secret or environment, in bytes.
pub const NAME_LIMIT: usize = 64;

fn check_name(what: &'static str, text: &str) -> Result<(), Malformed> {
    let ok = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_' | b'.');
    if text.is_empty() || text.len() > NAME_LIMIT || !text.bytes().all(ok) {
        return Err(Malformed::value(what, text, "1 to 64 of a-z, 0-9, `-`, `_` and `.` are expected"));
    }
    Ok(())
}

name_id!(
    /// A group of reviewers, such as `dba`.
    GroupName, "group name");
name_id!(
    /// A policy's `@id`.
    RuleId, "rule id");
name_id!(
    /// A route, and the target behind it.
    TargetName, "target name");
name_id!(
    /// A secret that the bootstrap configuration names; never its value.
    CredentialRef, "credential reference");
name_id!(
    /// Where an action would land: `prod`, `staging`, `dev`.
    Environment, "environment");

impl Environment {
    /// Whether this environment's name says production. A resource may say so by its label
    /// `production=true` too; see [`crate::action::Resource::is_production`].
    #[must_use]
    pub fn is_production(&self) -> bool {
        matches!(self.0.as_str(), "prod" | "production")
    }
}

impl GroupName {
    /// The group whose members administer the deployment.
    pub const ADMINS: &'static str = "admins";

    /// The administrators' group.
    #[must_use]
    pub fn admins() -> Self {
        Self(Self::ADMINS.to_owned())
    }
}

/// A deployment's one log origin, named in every statement, token and checkpoint.
///
/// C2SP signed-note key names: no white space, no `+`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Origin(String);

/// The longest origin, in bytes.
pub const ORIGIN_LIMIT: usize = 255;

impl Origin {
    /// The origin's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Origin({})", self.0)
    }
}

impl TryFrom<String> for Origin {
    type Error = Malformed;
    fn try_from(text: String) -> Result<Self, Malformed> {
        let bad = |c: char| !c.is_ascii_graphic() || c == '+';
        if text.is_empty() || text.len() > ORIGIN_LIMIT || text.contains(bad) {
            return Err(Malformed::value(
                "origin",
                &text,
                "visible ASCII without spaces or `+`, such as `countersign.example.com/log`, is expected",
            ));
        }
        Ok(Self(text))
    }
}

impl FromStr for Origin {
    type Err = Malformed;
    fn from_str(text: &str) -> Result<Self, Malformed> {
        Self::try_from(text.to_owned())
    }
}

impl From<Origin> for String {
    fn from(origin: Origin) -> String {
        origin.0
    }
}
