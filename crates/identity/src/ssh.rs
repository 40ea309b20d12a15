//! A human's SSH key on a security key: its owner signs once that it is theirs, and later signs reviews with it at a
//! terminal. It lets nobody in.

pub use assertion::{
    ENROLMENT_NAMESPACE, LATER_NAMESPACE, STATEMENT_NAMESPACE, later_message, statement_message,
};
use assertion::{SshPublicKey, check_ssh_signature, claimed_key, dearmor};
use domain::Malformed;
use domain::canonical;
use domain::digest::Blob;
use domain::id::{Origin, PersonId};
use domain::key::{SshKey, ssh_key_id};
use domain::review::{Proof, SshSigProof};
use domain::time::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::error::IdentityError;
use crate::limits::{SECRET_BYTES, SSH_ENROLMENT_LIFETIME};

const WHAT: &str = "SSH key's enrolment";

/// What stands before an enrolment's bytes in the message that is signed.
const PREFIX: &[u8] = b"countersign/key-enrolment/v1\n";

/// What the owner of a new SSH key signs with it, under the namespace `key-enrolment@countersign`: whose it becomes,
/// and where. The vault keeps it until it is signed; whoever takes it out has spent it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SshEnrolment {
    /// The version of this record: 1.
    pub v: u8,
    /// The deployment.
    pub origin: Origin,
    /// For whom it will speak.
    pub person: PersonId,
    /// The key, and what its owner calls it.
    pub key: SshKey,
    /// 32 random bytes.
    pub nonce: Blob,
    /// When it can no longer be signed.
    pub expires: Timestamp,
}

impl SshEnrolment {
    /// The enrolment of the key in a `.pub` file's line. It speaks for nobody until the directory has it.
    ///
    /// # Errors
    /// [`IdentityError::SshKey`] for a key that is on no security key, or none at all.
    pub fn begin(
        origin: &Origin,
        person: PersonId,
        line: &str,
        label: &str,
        now: Timestamp,
        random: [u8; SECRET_BYTES],
    ) -> Result<Self, IdentityError> {
        let key = SshPublicKey::from_line(line).map_err(IdentityError::SshKey)?;
        Ok(Self {
            v: 1,
            origin: origin.clone(),
            person,
            key: SshKey { public_key: Blob(key.as_bytes().to_vec()), label: label.to_owned() },
            nonce: Blob(random.to_vec()),
            expires: now.after(SSH_ENROLMENT_LIFETIME),
        })
    }

    /// The canonical bytes, for the vault and for the command line.
    ///
    /// # Errors
    /// None in practice: what canonical JSON refuses does not occur here.
    pub fn write(&self) -> Result<Vec<u8>, Malformed> {
        canonical::write(self)
    }

    /// Reads what [`SshEnrolment::write`] wrote.
    ///
    /// # Errors
    /// [`IdentityError::Unreadable`].
    pub fn read(bytes: &[u8]) -> Result<Self, IdentityError> {
        let enrolment: Self = canonical::read(bytes).map_err(|why| IdentityError::unreadable(WHAT, why))?;
        if enrolment.v != 1 || enrolment.nonce.0.len() != SECRET_BYTES {
            return Err(IdentityError::unreadable(WHAT, "version 1 with a nonce of 32 bytes is expected"));
        }
        Ok(enrolment)
    }

    /// The vault's key, for [`SSH_ENROLMENT_LIFETIME`].
    #[must_use]
    pub fn vault_key(&self) -> String {
        let nonce: String = Sha256::digest(&self.nonce.0).iter().map(|byte| format!("{byte:02x}")).collect();
        format!("ssh-enrolment/{nonce}")
    }

    /// What `ssh-keygen -Y sign -n key-enrolment@countersign` is given.
    ///
    /// # Errors
    /// As [`SshEnrolment::write`].
    pub fn message(&self) -> Result<Vec<u8>, Malformed> {
        Ok([PREFIX, &self.write()?].concat())
    }

    /// Checks the signature that `ssh-keygen` made: by this very key, its user present and verified, in time.
    ///
    /// # Errors
    /// [`IdentityError::Expired`], [`IdentityError::SshKey`] with the reason of the check.
    pub fn finish(self, signature: &str, now: Timestamp) -> Result<SshKey, IdentityError> {
        if now >= self.expires {
            return Err(IdentityError::Expired(WHAT));
        }
        let message = self.message().map_err(|why| IdentityError::unreadable(WHAT, why))?;
        let check = || {
            let key = SshPublicKey::from_bytes(&self.key.public_key.0)?;
            check_ssh_signature(&key, ENROLMENT_NAMESPACE, &message, &dearmor(signature)?)
        };
        check().map_err(IdentityError::SshKey)?;
        Ok(self.key)
    }
}

/// The proof on a review, out of what `ssh-keygen -Y sign -n approval-statement@countersign` wrote. It is checked
/// with the review: see [`crate::DirectoryVerifier`].
///
/// # Errors
/// [`IdentityError::SshKey`] for what is no signature by a security key.
pub fn ssh_review_proof(signature: &str) -> Result<Proof, IdentityError> {
    let signature = dearmor(signature).map_err(IdentityError::SshKey)?;
    let key = claimed_key(&signature).map_err(IdentityError::SshKey)?;
    Ok(Proof::SshSig(SshSigProof { key: ssh_key_id(&key), signature: Blob(signature) }))
}
