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

/// Deepest nesting of CBOR that is read, in levels.
pub const MAX_CBOR_DEPTH: usize = 16;
