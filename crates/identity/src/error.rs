//! Why somebody was not let in.

use domain::Malformed;
use domain::id::{AgentId, PersonId};

/// Why a credential was refused. [`std::fmt::Display`] is for the log; outsiders read
/// [`IdentityError::public`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// The bytes are not what they should be.
    #[error("the {what} cannot be read: {why}")]
    Unreadable {
        /// Which credential or answer.
        what: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// The bytes are too many.
    #[error("the {what} has {actual} bytes, and the limit is {limit}")]
    TooLarge {
        /// Which credential or answer.
        what: &'static str,
        /// How many bytes it has.
        actual: usize,
        /// How many it may have.
        limit: usize,
    },
    /// The client assertion's header names another algorithm than an agent's key has.
    #[error("the client assertion names the algorithm `{0}`; sign it with `EdDSA`")]
    Algorithm(String),
    /// The client assertion does not name one agent as issuer and subject.
    #[error("`iss` is `{iss}` and `sub` is `{sub}`; both must be the same agent's id, as `agent:<id>`")]
    Subject {
        /// The issuer that it names, shortened.
        iss: String,
        /// The subject that it names, shortened.
        sub: String,
    },
    /// The directory does not know the agent.
    #[error("there is no agent `{0}`; enrol it first")]
    UnknownAgent(AgentId),
    /// The signature or the code over the credential is not by the key that it should be by.
    #[error("the {0} is not signed by the key that stands here")]
    Signature(&'static str),
    /// The credential was made for somebody else.
    #[error("the {what} is for `{found}`; its audience must be this deployment's alone")]
    Audience {
        /// Which credential.
        what: &'static str,
        /// The audience that it names, shortened.
        found: String,
    },
    /// The credential claims to act for somebody, which nothing here can verify yet.
    #[error("the {what} carries `{claim}`; acting for somebody else is reserved, leave it out")]
    Delegation {
        /// Which credential.
        what: &'static str,
        /// The reserved claim.
        claim: &'static str,
    },
    /// Its time is over.
    #[error("the {0} has expired; get a new one")]
    Expired(&'static str),
    /// Its time has not come.
    #[error("the {0} is not valid yet; check the clock of the machine that made it")]
    NotYetValid(&'static str),
    /// It says that it is good for longer than anybody may ask.
    #[error("the client assertion is good for {seconds} seconds; between 1 and {limit} are allowed")]
    Lifetime {
        /// How long it says that it is good, in seconds.
        seconds: u64,
        /// The limit, in seconds.
        limit: u64,
    },
    /// The client assertion was used before.
    #[error("the client assertion was used before; sign a new one with another `jti`")]
    Replayed,
    /// The agent is let in no more.
    #[error("the agent `{0}` is disabled; ask its sponsor or an administrator")]
    AgentDisabled(AgentId),
    /// The human who answers for the agent has left.
    #[error("the sponsor `{sponsor}` of the agent `{agent}` is not active; an administrator names another")]
    SponsorInactive {
        /// The agent.
        agent: AgentId,
        /// Its sponsor.
        sponsor: PersonId,
    },
    /// The agent's key was replaced since the token was given out.
    #[error("the key of the agent `{0}` was replaced; get a new token with the new key")]
    AgentKeyReplaced(AgentId),
    /// The human is unknown or has left.
    #[error("`{0}` is nobody who is active here; ask an administrator")]
    PersonInactive(PersonId),
    /// The passkey by which the session was opened speaks for its person no more.
    #[error("the passkey of this session is no longer enrolled for `{0}`; sign in with another")]
    PasskeyRevoked(PersonId),
    /// The directory does not know the passkey.
    #[error("the passkey is enrolled for nobody; enrol it first")]
    PasskeyUnknown,
    /// The passkey is enrolled already.
    #[error("the passkey is enrolled already; sign in with it")]
    PasskeyEnrolled,
    /// The passkey speaks for another person than it should.
    #[error("the passkey is another person's; use one of your own")]
    OtherPerson,
    /// The challenge was drawn for another purpose.
    #[error("the challenge was drawn for another purpose; start again")]
    OtherCeremony,
    /// The check of the assertion refused, when signing in.
    #[error("the passkey was refused: {0}")]
    Passkey(assertion::Refusal),
    /// The check of the registration refused.
    #[error("the new passkey was refused: {0}")]
    Enrolment(assertion::Refusal),
    /// The check of an SSH key or of a signature by one refused.
    #[error("the SSH key was refused: {0}")]
    SshKey(assertion::Refusal),
    /// The configured public URL cannot carry passkeys.
    #[error("passkeys do not work at `{url}`: {why}")]
    PublicUrl {
        /// The URL, shortened.
        url: String,
        /// What to do.
        why: &'static str,
    },
    /// A value in the store's vault is not what we put there.
    #[error("the stored {what} cannot be read: {why}")]
    Stored {
        /// What was to be read.
        what: &'static str,
        /// Why it could not be.
        why: Malformed,
    },
}

impl IdentityError {
    /// What an outsider may read. Until somebody has proved a key, every refusal has one and the same
    /// text: whether the agent, the person or the passkey exists is not for them to learn. Whoever
    /// has proved it is told what to do.
    #[must_use]
    pub fn public(&self) -> String {
        match self {
            Self::Unreadable { .. }
            | Self::TooLarge { .. }
            | Self::Algorithm(_)
            | Self::Subject { .. }
            | Self::UnknownAgent(_)
            | Self::Signature(_)
            | Self::PersonInactive(_)
            | Self::PasskeyUnknown
            | Self::OtherPerson
            | Self::OtherCeremony
            | Self::Passkey(_)
            | Self::Stored { .. } => {
                "the credential was not accepted; use one that is enrolled here, or ask an administrator".to_owned()
            }
            // Only a signature, a code, an invite or a session that verified leads here.
            Self::Audience { .. }
            | Self::Delegation { .. }
            | Self::Expired(_)
            | Self::NotYetValid(_)
            | Self::Lifetime { .. }
            | Self::Replayed
            | Self::AgentDisabled(_)
            | Self::SponsorInactive { .. }
            | Self::AgentKeyReplaced(_)
            | Self::PasskeyRevoked(_)
            | Self::PasskeyEnrolled
            | Self::Enrolment(_)
            | Self::SshKey(_)
            // The operator's own configuration.
            | Self::PublicUrl { .. } => self.to_string(),
        }
    }

    /// A stable machine name for metrics and the log; not for outsiders.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => "unreadable",
            Self::TooLarge { .. } => "too-large",
            Self::Algorithm(_) => "algorithm",
            Self::Subject { .. } => "subject",
            Self::UnknownAgent(_) => "unknown-agent",
            Self::Signature(_) => "bad-signature",
            Self::Audience { .. } => "audience",
            Self::Delegation { .. } => "delegation",
            Self::Expired(_) => "expired",
            Self::NotYetValid(_) => "not-yet-valid",
            Self::Lifetime { .. } => "lifetime",
            Self::Replayed => "replayed",
            Self::AgentDisabled(_) => "agent-disabled",
            Self::SponsorInactive { .. } => "sponsor-inactive",
            Self::AgentKeyReplaced(_) => "agent-key-replaced",
            Self::PersonInactive(_) => "person-inactive",
            Self::PasskeyRevoked(_) => "passkey-revoked",
            Self::PasskeyUnknown => "passkey-unknown",
            Self::PasskeyEnrolled => "passkey-enrolled",
            Self::OtherPerson => "other-person",
            Self::OtherCeremony => "other-ceremony",
            Self::Passkey(_) => "passkey",
            Self::Enrolment(_) => "enrolment",
            Self::SshKey(_) => "ssh-key",
            Self::PublicUrl { .. } => "public-url",
            Self::Stored { .. } => "stored",
        }
    }

    pub(crate) fn unreadable(what: &'static str, why: impl ToString) -> Self {
        Self::Unreadable { what, why: shown(&why.to_string()) }
    }
}

/// Text from outside, short and visible, so that a log line stays one line.
pub(crate) fn shown(text: &str) -> String {
    domain::text::visible(domain::text::cut(text, 160))
}
