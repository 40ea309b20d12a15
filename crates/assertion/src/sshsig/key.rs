//! The public key of a key on a security key, in OpenSSH's forms.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::wire::Reader;
use crate::limits::{MAX_SSH_APPLICATION_BYTES, MAX_SSH_KEY_BYTES};
use crate::public_key::PublicKey;
use crate::refusal::Refusal;

const ED25519: &str = "sk-ssh-ed25519@openssh.com";
const ECDSA: &str = "sk-ecdsa-sha2-nistp256@openssh.com";
/// What the application of every key of OpenSSH's begins with. No relying party's id does, so that a passkey's
/// assertion is never an SSH signature, nor the other way about.
const APPLICATION_PREFIX: &str = "ssh:";

/// A public key of one of the two kinds, on its curve and not weak; the application is what its signatures are
/// bound to.
#[derive(Clone, PartialEq, Eq)]
pub struct SshPublicKey {
    key: PublicKey,
    application: String,
    bytes: Vec<u8>,
}

impl SshPublicKey {
    /// Reads a key in binary form (`PROTOCOL.u2f`), to its last byte.
    ///
    /// # Errors
    /// [`Refusal::SshKeyType`] for a key that no security key holds, [`Refusal::SshKeyTooLong`],
    /// [`Refusal::SshTruncated`], [`Refusal::SshTrailing`], [`Refusal::SshApplication`],
    /// [`Refusal::PublicKeyMalformed`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Refusal> {
        if bytes.len() > MAX_SSH_KEY_BYTES {
            return Err(Refusal::SshKeyTooLong { bytes: bytes.len() });
        }
        let mut reader = Reader::new(bytes);
        let algorithm = reader.string()?;
        check_algorithm(algorithm)?;
        let key = if algorithm == ED25519.as_bytes() {
            PublicKey::ed25519(reader.string()?)?
        } else {
            if reader.string()? != b"nistp256" {
                return Err(Refusal::PublicKeyMalformed { reason: "its curve is not `nistp256`" });
            }
            PublicKey::p256(reader.string()?)?
        };
        let application = String::from_utf8(reader.string()?.to_vec()).ok().filter(|application| {
            application.starts_with(APPLICATION_PREFIX)
                && application.len() <= MAX_SSH_APPLICATION_BYTES
                && application.bytes().all(|byte| byte.is_ascii_graphic())
        });
        reader.end()?;
        let application = application.ok_or(Refusal::SshApplication)?;
        Ok(Self { key, application, bytes: bytes.to_vec() })
    }

    /// Reads a line of a `.pub` file: the type, the key in base64, and perhaps a comment, which is passed over.
    ///
    /// # Errors
    /// As [`SshPublicKey::from_bytes`].
    pub fn from_line(line: &str) -> Result<Self, Refusal> {
        let mut words = line.split_ascii_whitespace();
        let (kind, base64) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        check_algorithm(kind.as_bytes())?;
        let malformed = || Refusal::PublicKeyMalformed { reason: "its second word is not base64" };
        let key = Self::from_bytes(&STANDARD.decode(base64).map_err(|_| malformed())?)?;
        if key.algorithm() != kind {
            return Err(Refusal::PublicKeyMalformed {
                reason: "its first word is another type than its own",
            });
        }
        Ok(key)
    }

    /// The key in binary form.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What its signatures are bound to, such as `ssh:`.
    #[must_use]
    pub fn application(&self) -> &str {
        &self.application
    }

    /// OpenSSH's name of its type.
    #[must_use]
    pub fn algorithm(&self) -> &'static str {
        match self.key {
            PublicKey::EdDsa(_) => ED25519,
            PublicKey::Es256(_) => ECDSA,
        }
    }

    /// Verifies a signature of this key's own type.
    pub(super) fn verify(&self, message: &[u8], algorithm: &[u8], signature: &[u8]) -> Result<(), Refusal> {
        if algorithm != self.algorithm().as_bytes() {
            return Err(Refusal::SshKeyType);
        }
        match self.key {
            PublicKey::EdDsa(_) => self.key.verify(message, signature),
            PublicKey::Es256(_) => {
                let mut reader = Reader::new(signature);
                let (r, s) = (reader.scalar()?, reader.scalar()?);
                reader.end()?;
                let signature =
                    p256::ecdsa::Signature::from_scalars(r, s).map_err(|_| Refusal::SignatureMalformed)?;
                self.key.verify(message, signature.to_der().as_bytes())
            }
        }
    }
}

/// Refuses every type but the two of security keys.
pub(super) fn check_algorithm(algorithm: &[u8]) -> Result<(), Refusal> {
    if [ED25519.as_bytes(), ECDSA.as_bytes()].contains(&algorithm) {
        Ok(())
    } else {
        Err(Refusal::SshKeyType)
    }
}

/// As a line of a `.pub` file without a comment.
impl fmt::Display for SshPublicKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.algorithm(), STANDARD.encode(&self.bytes))
    }
}

impl fmt::Debug for SshPublicKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "SshPublicKey({self})")
    }
}
