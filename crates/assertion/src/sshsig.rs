//! The check of an SSH signature (OpenSSH's `PROTOCOL.sshsig` and `PROTOCOL.u2f`) by a key on a security key: what
//! a reviewer at a terminal makes with `ssh-keygen -Y sign`.
//!
//! Only `sk-ssh-ed25519@openssh.com` and `sk-ecdsa-sha2-nistp256@openssh.com` are read. Their signatures say
//! whether somebody touched the authenticator (UP) and whether it verified who (UV), and both are demanded: any other
//! key is used by whatever reaches it, an agent that found the human's ssh-agent included.
//!
//! What it does not prove: which text stood in the terminal, and that the key lives in hardware. OpenSSH's keys carry
//! no attestation here, as passkeys carry none: whoever countersigns an enrolment vouches for it.

mod armor;
mod key;
mod wire;

use sha2::{Digest as _, Sha256, Sha512};

use crate::authenticator_data::Flags;
use crate::limits::MAX_SSH_SIGNATURE_BYTES;
use crate::refusal::Refusal;
use wire::Reader;

pub use armor::{dearmor, enarmor};
pub use key::SshPublicKey;

/// The namespace under which approval statements are signed. A signature made for anything else (a commit, an
/// e-mail, a file) stands under another one.
pub const STATEMENT_NAMESPACE: &str = "approval-statement@countersign";

/// The namespace under which statements of later reviews of broken glass are signed.
pub const LATER_NAMESPACE: &str = "later-review-statement@countersign";

/// The namespace under which the owner of a new key signs that it is theirs.
pub const ENROLMENT_NAMESPACE: &str = "key-enrolment@countersign";

/// What `ssh-keygen -Y sign` is given for an approval statement: the preimage of the passkey's challenge, so that both
/// kinds of proof are over the same bytes.
#[must_use]
pub fn statement_message(statement: &[u8]) -> Vec<u8> {
    [crate::STATEMENT_CHALLENGE_PREFIX, statement].concat()
}

/// The same for the statement of a later review of broken glass, signed under [`LATER_NAMESPACE`].
#[must_use]
pub fn later_message(statement: &[u8]) -> Vec<u8> {
    [crate::LATER_CHALLENGE_PREFIX, statement].concat()
}

/// Checks that this key signed this message under this namespace, with its user present and verified.
///
/// `signature` is the blob within the armour, at most [`MAX_SSH_SIGNATURE_BYTES`](crate::MAX_SSH_SIGNATURE_BYTES)
/// bytes; [`dearmor`] takes it out. The key that it carries must be `key`, byte for byte, application included.
///
/// # Errors
/// The [`Refusal`] of the first check that fails.
pub fn check_ssh_signature(
    key: &SshPublicKey,
    namespace: &str,
    message: &[u8],
    signature: &[u8],
) -> Result<CheckedSshSignature, Refusal> {
    let signature = SshSignature::parse(signature)?;
    if signature.public_key != key.as_bytes() {
        return Err(Refusal::SshOtherKey);
    }
    if signature.namespace != namespace.as_bytes() {
        return Err(Refusal::SshNamespace);
    }
    let flags = Flags::new(signature.flags);
    if flags.attested() || flags.extensions() {
        return Err(malformed("its flags announce data that an SSH signature has no room for"));
    }
    if !flags.user_present() {
        return Err(Refusal::UserNotPresent);
    }
    if !flags.user_verified() {
        return Err(Refusal::UserNotVerified);
    }
    key.verify(&signature.signed_bytes(key, message), signature.algorithm, &signature.signature)?;
    Ok(CheckedSshSignature { counter: signature.counter })
}

/// An SSH signature that passed [`check_ssh_signature`]; nothing else makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CheckedSshSignature {
    /// The authenticator's signature counter, in signatures; 0 for ever if it keeps none.
    pub counter: u32,
}

/// The public key that a signature says it is by, in OpenSSH's binary form. Not checked: it only finds the key.
///
/// # Errors
/// What [`check_ssh_signature`] refuses in the form of a signature.
pub fn claimed_key(signature: &[u8]) -> Result<Vec<u8>, Refusal> {
    SshSignature::parse(signature).map(|signature| signature.public_key.to_vec())
}

/// The hash that a signature is over.
#[derive(Debug, Clone, Copy)]
enum Hash {
    Sha256,
    Sha512,
}

impl Hash {
    fn named(name: &[u8]) -> Result<Self, Refusal> {
        match name {
            b"sha256" => Ok(Self::Sha256),
            b"sha512" => Ok(Self::Sha512),
            _ => Err(malformed("its hash is neither `sha256` nor `sha512`")),
        }
    }

    fn name(self) -> &'static [u8] {
        match self {
            Self::Sha256 => b"sha256",
            Self::Sha512 => b"sha512",
        }
    }

    fn of(self, message: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha256 => Sha256::digest(message).to_vec(),
            Self::Sha512 => Sha512::digest(message).to_vec(),
        }
    }
}

/// A signature's parts, read to the last byte.
struct SshSignature<'a> {
    public_key: &'a [u8],
    namespace: &'a [u8],
    hash: Hash,
    algorithm: &'a [u8],
    signature: Vec<u8>,
    flags: u8,
    counter: u32,
}

impl<'a> SshSignature<'a> {
    fn parse(bytes: &'a [u8]) -> Result<Self, Refusal> {
        if bytes.len() > MAX_SSH_SIGNATURE_BYTES {
            return Err(Refusal::SshSignatureTooLong { bytes: bytes.len() });
        }
        let mut outer = Reader::new(bytes);
        if outer.array::<6>()? != *MAGIC || outer.u32()? != VERSION {
            return Err(malformed("it does not begin as version 1 does"));
        }
        let public_key = outer.string()?;
        let namespace = outer.string()?;
        // Nothing stands there in version 1, and what verifiers sign over is the empty string.
        if !outer.string()?.is_empty() {
            return Err(malformed("its reserved field is not empty"));
        }
        let hash = Hash::named(outer.string()?)?;
        let mut inner = Reader::new(outer.string()?);
        outer.end()?;
        let algorithm = inner.string()?;
        key::check_algorithm(algorithm)?;
        let signature = inner.string()?.to_vec();
        let [flags] = inner.array::<1>()?;
        let counter = inner.u32()?;
        inner.end()?;
        Ok(Self { public_key, namespace, hash, algorithm, signature, flags, counter })
    }

    /// What the authenticator signed: `SHA-256(application) ‖ flags ‖ counter ‖ SHA-256(signed data)`
    /// (`PROTOCOL.u2f`), where the signed data is `PROTOCOL.sshsig`'s.
    fn signed_bytes(&self, key: &SshPublicKey, message: &[u8]) -> Vec<u8> {
        let mut data = MAGIC.to_vec();
        let hashed = self.hash.of(message);
        for part in [self.namespace, b"", self.hash.name(), hashed.as_slice()] {
            wire::put_string(&mut data, part);
        }
        let application = Sha256::digest(key.application());
        let counter = self.counter.to_be_bytes();
        let data = Sha256::digest(&data);
        [application.as_slice(), &[self.flags], &counter, data.as_slice()].concat()
    }
}

/// What a signature and the data that it is over begin with.
const MAGIC: &[u8; 6] = b"SSHSIG";
const VERSION: u32 = 1;

fn malformed(reason: &'static str) -> Refusal {
    Refusal::SshSignatureMalformed { reason }
}
