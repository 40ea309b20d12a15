//! Every limit of this crate, with its unit and its reason.

use domain::time::Span;

/// How long an access token is good: 15 minutes. A disabled agent is refused at once all the same,
/// because every request is held against the directory.
pub const ACCESS_TOKEN_LIFETIME: Span = Span::from_seconds(15 * 60);

/// The longest that a client assertion may say that it is good, from `iat` to `exp`: 5 minutes.
pub const ASSERTION_LIFETIME: Span = Span::from_seconds(5 * 60);

/// How far a caller's clock may be from ours, either way: 60 seconds.
pub const CLOCK_SKEW: Span = Span::from_seconds(60);

/// How long a spent `jti` must be remembered: 7 minutes. An assertion may begin one skew in the
/// future, lives its lifetime, and is accepted for one skew more.
pub const ASSERTION_CLAIM: Span = Span::from_seconds(ASSERTION_LIFETIME.seconds() + 2 * CLOCK_SKEW.seconds());

/// How long a session lives without being used: 12 hours.
pub const SESSION_IDLE: Span = Span::from_seconds(12 * 3_600);

/// How long a session lives, used or not: 24 hours.
pub const SESSION_ABSOLUTE: Span = Span::from_seconds(24 * 3_600);

/// How long a passkey's touch counts as fresh for what asks for a step-up: 5 minutes.
pub const STEP_UP_FRESHNESS: Span = Span::from_seconds(5 * 60);

/// How long an enrolment link is good: 1 hour.
pub const INVITE_LIFETIME: Span = Span::from_seconds(3_600);

/// How long a drawn challenge waits for the passkey: 5 minutes.
pub const PASSKEY_CHALLENGE_LIFETIME: Span = Span::from_seconds(5 * 60);

/// How long the owner of a new SSH key has to sign that it is theirs: 5 minutes.
pub const SSH_ENROLMENT_LIFETIME: Span = Span::from_seconds(5 * 60);

/// How long a statement can be submitted after it was shown: 10 minutes.
pub const STATEMENT_LIFETIME: Span = Span::from_seconds(10 * 60);

/// The longest JWT that is read, in bytes. Ours have about 450.
pub const JWT_LIMIT_BYTES: usize = 8 * 1024;

/// The longest `jti` that is read, in bytes. A UUID has 36.
pub const JTI_LIMIT_BYTES: usize = 256;

/// The most access tokens that are remembered as verified. At about 400 bytes each: 13 MiB.
pub const TOKEN_CACHE_LIMIT: usize = 32_768;

/// The longest answer of a browser's passkey call that is read, in bytes: an attestation object of
/// [`assertion::MAX_ATTESTATION_OBJECT_BYTES`] in base64url, and the rest beside it.
pub const BROWSER_RESPONSE_LIMIT_BYTES: usize = 96 * 1024;

/// The length of every secret that we draw, in bytes.
pub const SECRET_BYTES: usize = 32;
