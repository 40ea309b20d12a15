//! A key of OpenSSH's that speaks for a human at a terminal, how people tell keys apart by eye, and who signed for a
//! key, or for somebody's standing in a group, before it came to count.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::action::{Action, Point};
use crate::approval::Approval;
use crate::canonical;
use crate::commitment::{Disclosure, disclosed_root};
use crate::digest::Blob;
use crate::directory::{CHANGE_PATH, Change, Passkey};
use crate::id::PersonId;
use crate::statement::Verdict;

/// The longest SSH public key, in bytes. A security key's has under 150.
pub const SSH_KEY_LIMIT_BYTES: usize = 1_024;

/// An SSH key on a security key, as it was enrolled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SshKey {
    /// The public key as OpenSSH writes it in binary (`PROTOCOL.u2f`): type, key and application.
    pub public_key: Blob,
    /// What its owner calls it.
    pub label: String,
}

impl SshKey {
    /// What finds the key: the SHA-256 of its public key, 32 bytes, which are the fingerprint's.
    #[must_use]
    pub fn id(&self) -> Blob {
        ssh_key_id(&self.public_key.0)
    }

    /// The fingerprint, as `ssh-keygen -l` prints it.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        fingerprint(&self.public_key.0)
    }
}

impl Passkey {
    /// The fingerprint of the public key (COSE), written as OpenSSH writes its own.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        fingerprint(&self.public_key.0)
    }
}

/// The [`SshKey::id`] of a public key in OpenSSH's binary form.
#[must_use]
pub fn ssh_key_id(public_key: &[u8]) -> Blob {
    Blob(Sha256::digest(public_key).to_vec())
}

/// Who signed for a change of a key or a group: those whose reviews of exactly this change stand in the case that its
/// entry names. `approval` is that case, replayed with every signature checked; `payload` is its action's, as disclosed.
///
/// Whoever asks sees to it that the case's execution stands before the change in the log. Of the first administrator's
/// key there is no such case: the entry names neither anybody nor an approval.
///
/// # Errors
/// [`NotCountersigned`], which tells what is wrong from what is only withheld.
pub fn countersigners(
    change: &Change,
    approval: &Approval,
    action: &Action,
    payload: &[Disclosure],
) -> Result<Vec<PersonId>, NotCountersigned> {
    let named = change.approval.ok_or(NotCountersigned::NoApproval)?;
    let (case, parts) = (approval.case(), action.parts());
    let of_such = parts.point == Point::Config && parts.verb.as_str() == change.event.verb();
    if case.id != named || action.id() != named || action.digest() != case.action || !of_such {
        return Err(NotCountersigned::OtherCase);
    }
    if !matches!(approval, Approval::Executing(_) | Approval::Finished(_)) {
        return Err(NotCountersigned::NotRun);
    }
    if disclosed_root(payload).ok() != Some(parts.payload) {
        return Err(NotCountersigned::OtherChange);
    }
    let open = payload.iter().find_map(|field| match field {
        Disclosure::Open(open) if open.path == CHANGE_PATH => Some(&open.value.0),
        Disclosure::Open(_) | Disclosure::Withheld(_) => None,
    });
    let signed = open.ok_or(NotCountersigned::Withheld)?;
    if canonical::write(&change.event).ok().as_ref() != Some(signed) {
        return Err(NotCountersigned::OtherChange);
    }
    let counting = case.reviews.iter().filter(|review| review.dismissed.is_none());
    let approving = counting.filter(|review| review.statement.verdict == Verdict::Approve);
    let people: Vec<PersonId> = approving.map(|review| review.statement.reviewer).collect();
    if people.is_empty() { Err(NotCountersigned::NotRun) } else { Ok(people) }
}

/// Why nobody can be said to have signed for a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotCountersigned {
    /// The entry names no approval.
    #[error("the entry names no approval under which the change was made")]
    NoApproval,
    /// The case is another one than the entry names, or not about such a change.
    #[error("the approval is not the one under which the change was made")]
    OtherCase,
    /// The case was not approved and run.
    #[error("the approval under which the change was made was never given")]
    NotRun,
    /// What was approved is another change.
    #[error("what was approved is another change than the one that was made")]
    OtherChange,
    /// What was approved is withheld, so nobody can say.
    #[error("what was approved is withheld, so nobody can say whether it was this change")]
    Withheld,
}

fn fingerprint(public_key: &[u8]) -> String {
    format!("SHA256:{}", STANDARD_NO_PAD.encode(Sha256::digest(public_key)))
}
