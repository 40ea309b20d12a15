//! Why a registration, an assertion or an SSH signature was refused.

use thiserror::Error;

use crate::limits::{
    MAX_ATTESTATION_OBJECT_BYTES, MAX_AUTHENTICATOR_DATA_BYTES, MAX_CLIENT_DATA_BYTES,
    MAX_CREDENTIAL_ID_BYTES, MAX_SSH_ARMOR_BYTES, MAX_SSH_KEY_BYTES, MAX_SSH_SIGNATURE_BYTES,
    MAX_USER_HANDLE_BYTES, MIN_CHALLENGE_BYTES,
};

/// The one reason why a check refused; there is no partial success. The first failed check wins, in the
/// order of the specification's steps.
///
/// Messages may quote what the client sent, at most [`MAX_CLIENT_DATA_BYTES`] bytes of it: escape them
/// before they reach a page.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Refusal {
    /// The caller expects a challenge that could be guessed: a fault of the caller, not of the client.
    #[error(
        "the expected challenge has {bytes} bytes; draw at least {MIN_CHALLENGE_BYTES} at random or hash a statement"
    )]
    ExpectedChallengeTooShort {
        /// Length of the expected challenge, in bytes.
        bytes: usize,
    },

    /// `clientDataJSON` is longer than [`MAX_CLIENT_DATA_BYTES`].
    #[error("the client data has {bytes} bytes; at most {MAX_CLIENT_DATA_BYTES} are read")]
    ClientDataTooLong {
        /// Length received, in bytes.
        bytes: usize,
    },
    /// `clientDataJSON` is not one JSON object in UTF-8 with the members that WebAuthn requires.
    #[error("the client data is not what a browser writes ({reason}); ask the browser again")]
    ClientDataMalformed {
        /// What was wrong.
        reason: String,
    },
    /// `clientDataJSON` names one key twice, so two readers could read two meanings.
    #[error("the client data names `{key}` twice; ask the browser again")]
    ClientDataDuplicateKey {
        /// The repeated key.
        key: String,
    },
    /// The client data belongs to another ceremony.
    #[error("the client data is of type `{found}`, not `{expected}`; use the matching browser call")]
    WrongType {
        /// The type that the check requires.
        expected: &'static str,
        /// The type that was signed.
        found: String,
    },
    /// The challenge in the client data is not base64url without padding.
    #[error("the challenge is not base64url without padding; ask the browser again")]
    ChallengeMalformed,
    /// Something else was signed than what was asked for.
    #[error("another challenge was signed; ask again with a new one")]
    ChallengeMismatch,
    /// The page that asked is not one of ours.
    #[error(
        "the origin `{origin}` is not allowed; open an allowed address or add this one to the configuration"
    )]
    OriginNotAllowed {
        /// The origin that the browser reported.
        origin: String,
    },
    /// The page that asked was embedded in a page of another origin.
    #[error("the page was embedded in a foreign page; open it in a window of its own")]
    CrossOrigin,
    /// The client data names a top-level page, which only an embedded page has.
    #[error("the page was embedded in a page of `{origin}`; open it in a window of its own")]
    TopOrigin {
        /// The top-level origin that the browser reported.
        origin: String,
    },

    /// The attestation object is longer than [`MAX_ATTESTATION_OBJECT_BYTES`].
    #[error(
        "the attestation object has {bytes} bytes; at most {MAX_ATTESTATION_OBJECT_BYTES} are read; ask for attestation `none`"
    )]
    AttestationObjectTooLong {
        /// Length received, in bytes.
        bytes: usize,
    },
    /// The attestation object is not a strict CBOR map of `fmt`, `attStmt` and `authData`.
    #[error("the attestation object is malformed ({reason}); register the passkey again")]
    AttestationObjectMalformed {
        /// What was wrong.
        reason: &'static str,
    },

    /// The authenticator data is longer than [`MAX_AUTHENTICATOR_DATA_BYTES`].
    #[error("the authenticator data has {bytes} bytes; at most {MAX_AUTHENTICATOR_DATA_BYTES} are read")]
    AuthenticatorDataTooLong {
        /// Length received, in bytes.
        bytes: usize,
    },
    /// The authenticator data ends before its flags say that it does.
    #[error("the authenticator data is cut short; try the passkey again")]
    AuthenticatorDataTruncated,
    /// Bytes follow the authenticator data that its flags do not announce.
    #[error("{bytes} bytes follow the authenticator data; try another authenticator")]
    AuthenticatorDataTrailing {
        /// How many bytes follow.
        bytes: usize,
    },
    /// The extension outputs are not a strict CBOR map with text keys.
    #[error("the authenticator's extension outputs are malformed; ask without extensions")]
    ExtensionsMalformed,
    /// The passkey signed for another relying party.
    #[error("the passkey signed for another relying party id; use the one registered here")]
    RelyingPartyMismatch,
    /// Nobody touched the authenticator.
    #[error("the authenticator reports nobody present; touch it when it asks")]
    UserNotPresent,
    /// The authenticator did not verify who used it.
    #[error("the authenticator did not verify its user; set up a PIN or biometrics for it")]
    UserNotVerified,
    /// The credential claims to be backed up and not to be eligible for it.
    #[error("the passkey claims a backup that it is not eligible for; try another authenticator")]
    BackupStateImpossible,

    /// A registration without a credential.
    #[error("the registration carries no credential; register the passkey again")]
    CredentialMissing,
    /// An assertion that carries a credential; only registrations may (WebAuthn Level 3 §6.1).
    #[error("the assertion carries a credential, as only a registration may; try another authenticator")]
    CredentialUnexpected,
    /// A credential id of a length that no authenticator may choose.
    #[error("the credential id has {bytes} bytes; 1 to {MAX_CREDENTIAL_ID_BYTES} are allowed")]
    CredentialIdLength {
        /// Length received, in bytes.
        bytes: usize,
    },

    /// The credential's key is for an algorithm that we do not offer.
    #[error("the key is for algorithm {algorithm}; only -7 (ES256) and -8 (EdDSA) are allowed")]
    AlgorithmNotAllowed {
        /// The COSE algorithm identifier, as IANA registers it.
        algorithm: i128,
    },
    /// The credential's key is not the one canonical COSE encoding of an allowed key.
    #[error("the public key is malformed ({reason}); register the passkey again")]
    PublicKeyMalformed {
        /// What was wrong.
        reason: &'static str,
    },

    /// A user handle longer than [`MAX_USER_HANDLE_BYTES`].
    #[error("the user handle has {bytes} bytes; at most {MAX_USER_HANDLE_BYTES} are allowed")]
    UserHandleTooLong {
        /// Length received, in bytes.
        bytes: usize,
    },
    /// The SSH key is of a type that no security key holds.
    #[error(
        "the SSH key is on no security key; only `sk-ssh-ed25519@openssh.com` and `sk-ecdsa-sha2-nistp256@openssh.com` are taken (make one with `ssh-keygen -t ed25519-sk -O verify-required`)"
    )]
    SshKeyType,
    /// The SSH key is longer than [`MAX_SSH_KEY_BYTES`].
    #[error("the SSH key has {bytes} bytes; at most {MAX_SSH_KEY_BYTES} are read")]
    SshKeyTooLong {
        /// Length received, in bytes.
        bytes: usize,
    },
    /// The SSH key's application is none of OpenSSH's.
    #[error("the SSH key's application does not begin with `ssh:`; make a key with `ssh-keygen`")]
    SshApplication,
    /// The text around the SSH signature is not the armour of `ssh-keygen`.
    #[error(
        "this is no SSH signature of at most {MAX_SSH_ARMOR_BYTES} bytes in its armour; send what `ssh-keygen -Y sign` wrote, and nothing else"
    )]
    SshArmor,
    /// The SSH signature is longer than [`MAX_SSH_SIGNATURE_BYTES`].
    #[error("the SSH signature has {bytes} bytes; at most {MAX_SSH_SIGNATURE_BYTES} are read")]
    SshSignatureTooLong {
        /// Length received, in bytes.
        bytes: usize,
    },
    /// The SSH signature or key ends before its lengths say that it does.
    #[error("the SSH signature or key is cut short")]
    SshTruncated,
    /// Bytes follow the SSH signature or key.
    #[error("{bytes} bytes follow the SSH signature or key")]
    SshTrailing {
        /// How many bytes follow.
        bytes: usize,
    },
    /// The SSH signature is not of the one shape that is read.
    #[error("the SSH signature is malformed ({reason})")]
    SshSignatureMalformed {
        /// What was wrong.
        reason: &'static str,
    },
    /// The SSH signature carries another key than the enrolled one.
    #[error("the SSH signature is by another key; sign with the key that is enrolled here")]
    SshOtherKey,
    /// The SSH signature was made under another namespace: for something else.
    #[error("the SSH signature was made under another namespace, for something else than this")]
    SshNamespace,
    /// The signature is not in the one encoding that its algorithm has: DER of at most 72 bytes for
    /// ES256 (two integers in an SSH signature), 64 bytes for EdDSA.
    #[error("the signature is malformed; try the passkey again")]
    SignatureMalformed,
    /// The signature is not by this key over these bytes.
    #[error("the signature is not by this key over these bytes; use the passkey registered here")]
    SignatureMismatch,
}
