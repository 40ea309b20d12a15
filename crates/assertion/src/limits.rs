//! Every limit of this crate, with its unit and its reason.

/// Longest `clientDataJSON` that is read, in bytes. Browsers write about 200.
pub const MAX_CLIENT_DATA_BYTES: usize = 4 * 1024;

/// Longest authenticator data that is read, in bytes. A credential id of full length with its key
/// needs 1,155; the rest is room for extension outputs.
pub const MAX_AUTHENTICATOR_DATA_BYTES: usize = 4 * 1024;

/// Longest attestation object that is read, in bytes. We ask for attestation `none` (under 300 bytes);
/// a client that sends a certificate chain all the same is still read.
pub const MAX_ATTESTATION_OBJECT_BYTES: usize = 32 * 1024;

/// Longest credential id, in bytes (WebAuthn Level 3 §7.1 step 25).
pub const MAX_CREDENTIAL_ID_BYTES: usize = 1023;

/// Longest user handle, in bytes (WebAuthn Level 3 §5.4.3).
pub const MAX_USER_HANDLE_BYTES: usize = 64;

/// Shortest challenge that a caller may expect, in bytes (WebAuthn Level 3 §13.4.3).
pub const MIN_CHALLENGE_BYTES: usize = 16;

/// Longest SSH public key that is read, in bytes. A security key's has under 150.
pub const MAX_SSH_KEY_BYTES: usize = 1024;

/// Longest application of an SSH key, in bytes. OpenSSH's own is `ssh:`.
pub const MAX_SSH_APPLICATION_BYTES: usize = 255;

/// Longest SSH signature that is read, in bytes. A security key's has about 330.
pub const MAX_SSH_SIGNATURE_BYTES: usize = 2 * 1024;

/// Longest SSH signature in its armour, in bytes: a third more, and its lines.
pub const MAX_SSH_ARMOR_BYTES: usize = 4 * 1024;

/// The length of a line of base64 in an SSH signature's armour, in characters, as OpenSSH writes it.
pub(crate) const SSH_ARMOR_COLUMNS: usize = 70;

/// Deepest nesting of CBOR that is read, in levels.
pub const MAX_CBOR_DEPTH: usize = 16;
