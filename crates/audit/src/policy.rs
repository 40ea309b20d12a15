//! The trust file (C2SP `tlog-policy`): which logs somebody trusts, which witnesses, and how many of
//! them must have cosigned a checkpoint before it counts. The same file tells a log whom to ask.

mod error;
mod parse;

use std::collections::BTreeSet;
use std::fmt;

pub use error::{PolicyError, PolicyProblem};

use crate::{
    Checkpoint, CosignatureTime, CosignerKey, Error, Note, SignedCheckpoint, VerifierKey, WitnessKey,
};

/// The longest policy file that is read, in bytes.
pub const MAX_POLICY_BYTES: usize = 262_144;

/// The most logs of a policy; C2SP recommends at least 32. Witnesses and groups likewise.
pub const MAX_POLICY_LOGS: usize = 64;

/// The most witnesses of a policy. Fewer than a note's signatures.
pub const MAX_POLICY_WITNESSES: usize = 64;

/// The most groups of a policy, which also bounds how deep they nest.
pub const MAX_POLICY_GROUPS: usize = 64;

/// The longest name of a witness or group, in bytes.
pub const MAX_POLICY_NAME_BYTES: usize = 255;

/// The longest URL in a policy, in bytes.
pub const MAX_POLICY_URL_BYTES: usize = 2_048;

/// A policy as its file says it. Every name that it uses is defined, and each at most once a member,
/// so that a witness counts in one way only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    logs: Vec<PolicyLog>,
    witnesses: Vec<PolicyWitness>,
    quorum: Option<Rule>,
}

impl Policy {
    /// Reads a policy file.
    ///
    /// # Errors
    /// [`PolicyError`], with the line's number.
    pub fn parse(bytes: &[u8]) -> Result<Self, PolicyError> {
        parse::policy(bytes)
    }

    /// Judges a checkpoint of the log that is named `origin`: checks the signature of one of the
    /// policy's logs, and every cosignature by one of its witnesses. Whether enough of them cosigned
    /// is for [`Verdict::require`].
    ///
    /// # Errors
    /// [`Error::UntrustedLog`] if the policy has no such log; otherwise those of
    /// [`check_with`](Self::check_with).
    pub fn check(&self, note: &Note, origin: &str) -> Result<Verdict, Error> {
        let logs: Vec<VerifierKey> = self
            .logs
            .iter()
            .filter_map(PolicyLog::key)
            .filter(|key| key.name().as_str() == origin)
            .cloned()
            .collect();
        if logs.is_empty() {
            return Err(Error::UntrustedLog { origin: crate::text::quoted(origin) });
        }
        self.check_with(note, &logs)
    }

    /// [`check`](Self::check) for logs that are known from elsewhere, by these keys. The policy's own
    /// logs do not count.
    ///
    /// # Errors
    /// What [`Checkpoint::open`] and [`SignedCheckpoint::cosignatures`] refuse.
    pub fn check_with(&self, note: &Note, logs: &[VerifierKey]) -> Result<Verdict, Error> {
        let checkpoint = Checkpoint::open_note(note.clone(), logs)?;
        let keys: Vec<WitnessKey> =
            self.witnesses.iter().filter_map(|witness| witness.key.readable()).cloned().collect();
        let cosignatures = checkpoint.cosignatures(&keys)?;
        let time_of = |witness: &PolicyWitness| {
            let key = witness.key.readable()?;
            cosignatures.iter().find(|cosignature| cosignature.key == key).map(|cosignature| cosignature.time)
        };
        let witnesses: Vec<WitnessVerdict> = self
            .witnesses
            .iter()
            .map(|witness| WitnessVerdict {
                name: witness.name.clone(),
                key: witness.key.clone(),
                time: time_of(witness),
            })
            .collect();
        let cosigned = witnesses.iter().filter(|witness| witness.time.is_some());
        let cosigned: BTreeSet<&PolicyText> = cosigned.map(|witness| &witness.name).collect();
        let met = self.quorum.as_ref().is_none_or(|quorum| quorum.is_met_by(&cosigned));
        let quorum = self.quorum.as_ref().map(|quorum| quorum.name().clone());
        Ok(Verdict { checkpoint, witnesses, quorum, met })
    }

    /// Whether the quorum would be met if these witnesses, and no others, cosigned: how a log finds
    /// at its start that it never will be. Witnesses whose keys are not read here do not count.
    pub fn could_be_met_by(&self, mut who: impl FnMut(&PolicyWitness) -> bool) -> bool {
        let readable = self.witnesses.iter().filter(|witness| witness.key.readable().is_some());
        let cosigned = readable.filter(|witness| who(witness)).map(|witness| &witness.name).collect();
        self.quorum.as_ref().is_none_or(|quorum| quorum.is_met_by(&cosigned))
    }

    /// The logs, in the file's order.
    #[must_use]
    pub fn logs(&self) -> &[PolicyLog] {
        &self.logs
    }

    /// The witnesses, in the file's order.
    #[must_use]
    pub fn witnesses(&self) -> &[PolicyWitness] {
        &self.witnesses
    }

    /// The name of the witness or group that must have cosigned; nothing for `quorum none`.
    #[must_use]
    pub fn quorum(&self) -> Option<&PolicyText> {
        self.quorum.as_ref().map(Rule::name)
    }
}

/// What a policy says of a checkpoint whose log's signature, and whose witnesses' cosignatures, as
/// far as there are any, are good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    checkpoint: SignedCheckpoint,
    witnesses: Vec<WitnessVerdict>,
    quorum: Option<PolicyText>,
    met: bool,
}

impl Verdict {
    /// The checkpoint, if the quorum is met.
    ///
    /// # Errors
    /// [`Error::QuorumMissed`].
    pub fn require(self) -> Result<SignedCheckpoint, Error> {
        if self.met {
            return Ok(self.checkpoint);
        }
        Err(Error::QuorumMissed {
            cosigned: self.witnesses.iter().filter(|witness| witness.time.is_some()).count(),
            known: self.witnesses.len(),
            quorum: self.quorum.map(|name| name.to_string()).unwrap_or_default(),
        })
    }

    /// Whether enough witnesses cosigned. Always so for `quorum none`.
    #[must_use]
    pub fn quorum_is_met(&self) -> bool {
        self.met
    }

    /// The checkpoint, signed by its log, whatever the witnesses say.
    #[must_use]
    pub fn checkpoint(&self) -> &SignedCheckpoint {
        &self.checkpoint
    }

    /// Each of the policy's witnesses, in the file's order.
    #[must_use]
    pub fn witnesses(&self) -> &[WitnessVerdict] {
        &self.witnesses
    }
}

/// Whether one witness cosigned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WitnessVerdict {
    /// The witness's name in the policy.
    pub name: PolicyText,
    /// Its key. One that cannot be read here never counts as having cosigned.
    pub key: CosignerKey,
    /// When it cosigned, by its own clock; nothing if it did not.
    pub time: Option<CosignatureTime>,
}

/// A log that the policy trusts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyLog {
    key: LogKey,
    url: Option<PolicyText>,
}

/// A log's key by its signature type.
#[derive(Debug, Clone, PartialEq, Eq)]
enum LogKey {
    Ed25519(VerifierKey),
    /// ML-DSA-44: known to exist, never found to have signed.
    Unread(CosignerKey),
}

impl PolicyLog {
    /// The log's key; nothing if it is of a type that is not checked here (ML-DSA-44), so that no
    /// checkpoint counts as signed by it.
    #[must_use]
    pub fn key(&self) -> Option<&VerifierKey> {
        match &self.key {
            LogKey::Ed25519(key) => Some(key),
            LogKey::Unread(_) => None,
        }
    }

    /// The log's origin: its key's name.
    #[must_use]
    pub fn origin(&self) -> &str {
        match &self.key {
            LogKey::Ed25519(key) => key.name().as_str(),
            LogKey::Unread(key) => key.name().as_str(),
        }
    }

    /// Where the log is found, in whatever way the application means it.
    #[must_use]
    pub fn url(&self) -> Option<&PolicyText> {
        self.url.as_ref()
    }
}

/// A witness that the policy knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyWitness {
    name: PolicyText,
    key: CosignerKey,
    url: Option<PolicyText>,
}

impl PolicyWitness {
    /// Its name within the policy, which need not be its key's.
    #[must_use]
    pub fn name(&self) -> &PolicyText {
        &self.name
    }

    /// Its key.
    #[must_use]
    pub fn key(&self) -> &CosignerKey {
        &self.key
    }

    /// Its submission prefix (C2SP `tlog-witness`).
    #[must_use]
    pub fn url(&self) -> Option<&PolicyText> {
        self.url.as_ref()
    }
}

/// A name or URL as the file has it: bytes without spaces and control characters, not all of them
/// UTF-8. Display replaces what is not.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PolicyText(Vec<u8>);

impl PolicyText {
    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The text, if it is UTF-8.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        str::from_utf8(&self.0).ok()
    }
}

impl fmt::Display for PolicyText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&crate::text::quoted(&String::from_utf8_lossy(&self.0)))
    }
}

impl fmt::Debug for PolicyText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PolicyText({self})")
    }
}

/// What a quorum comes down to. A group owns its members, which it alone may have.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Rule {
    Witness(PolicyText),
    Group { name: PolicyText, threshold: usize, members: Vec<Rule> },
}

impl Rule {
    fn name(&self) -> &PolicyText {
        match self {
            Self::Witness(name) | Self::Group { name, .. } => name,
        }
    }

    fn is_met_by(&self, cosigned: &BTreeSet<&PolicyText>) -> bool {
        match self {
            Self::Witness(name) => cosigned.contains(name),
            Self::Group { threshold, members, .. } => {
                members.iter().filter(|member| member.is_met_by(cosigned)).count() >= *threshold
            }
        }
    }
}
