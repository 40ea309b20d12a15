//! Whether a request comes from Slack, and has not come before.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use hmac::{Hmac, KeyInit as _, Mac as _};
use outbound::secret::Secret;
use sha2::{Digest as _, Sha256};

use super::limits::{REMEMBERED, REMEMBERED_COUNT, SKEW_SECONDS};

/// Checks signed requests by the app's signing secret.
#[derive(Debug)]
pub(super) struct Verifier {
    secret: Secret,
}

/// A request that bears the app's signature over exactly these bytes, made within five minutes of now.
#[derive(Debug)]
pub(super) struct Signed<'a> {
    /// The body.
    pub(super) body: &'a [u8],
    /// What it is remembered by.
    pub(super) id: String,
}

/// Why a request is not taken for Slack's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Forged {
    /// A header is missing or cannot be read.
    #[error("it is not signed as Slack signs")]
    Unsigned,
    /// The time is too far away, in either direction.
    #[error("its time is more than {SKEW_SECONDS} s from ours")]
    Stale,
    /// The signature is none of ours.
    #[error("its signature is not made with this app's secret")]
    Signature,
}

impl Verifier {
    pub(super) fn new(secret: Secret) -> Self {
        Self { secret }
    }

    /// The request, if Slack signed it: `v0=HMAC-SHA256("v0:" timestamp ":" body)` in lower-case hexadecimal
    /// ("Verifying requests from Slack"). The comparison takes the same time whatever differs. `now` is in seconds since 1970.
    ///
    /// # Errors
    /// [`Forged`], with the first reason found.
    pub(super) fn check<'a>(
        &self,
        timestamp: Option<&str>,
        signature: Option<&str>,
        body: &'a [u8],
        now: u64,
    ) -> Result<Signed<'a>, Forged> {
        let (timestamp, signature) = timestamp.zip(signature).ok_or(Forged::Unsigned)?;
        let digits = !timestamp.is_empty() && timestamp.bytes().all(|byte| byte.is_ascii_digit());
        let at: u64 = timestamp.parse().ok().filter(|_| digits).ok_or(Forged::Unsigned)?;
        if at.abs_diff(now) > SKEW_SECONDS {
            return Err(Forged::Stale);
        }
        let claimed = signature.strip_prefix("v0=").and_then(unhex).ok_or(Forged::Unsigned)?;
        let mut mac =
            Hmac::<Sha256>::new_from_slice(self.secret.expose().as_bytes()).map_err(|_| Forged::Signature)?;
        for part in [b"v0:", timestamp.as_bytes(), b":", body] {
            mac.update(part);
        }
        mac.verify_slice(&claimed).map_err(|_| Forged::Signature)?;
        Ok(Signed { body, id: hex(&Sha256::digest(body)) })
    }
}

/// What has come before: ids of envelopes and digests of bodies, each for a while.
#[derive(Debug, Default)]
pub(super) struct Seen(Mutex<Ids>);

#[derive(Debug, Default)]
struct Ids {
    until: HashMap<String, Instant>,
    order: VecDeque<(Instant, String)>,
}

/// Whether something came before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum First {
    /// It is the first of its kind, and is remembered from now on.
    Yes,
    /// It came before.
    No,
    /// Nobody can tell: too much is remembered already.
    Unknown,
}

impl Seen {
    /// Whether this id comes for the first time.
    pub(super) fn first(&self, id: &str, now: Instant) -> First {
        let mut ids = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while ids.order.front().is_some_and(|(until, _)| *until <= now) {
            if let Some((_, id)) = ids.order.pop_front() {
                ids.until.remove(&id);
            }
        }
        if ids.until.contains_key(id) {
            return First::No;
        }
        if ids.order.len() >= REMEMBERED_COUNT {
            return First::Unknown;
        }
        let until = now + REMEMBERED;
        ids.until.insert(id.to_owned(), until);
        ids.order.push_back((until, id.to_owned()));
        First::Yes
    }
}

/// A request can be replayed for as long as its time is accepted, and is remembered for longer.
const _: () = assert!(REMEMBERED.as_secs() > 2 * SKEW_SECONDS);

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Lower-case hexadecimal, in pairs.
fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
        return None;
    }
    let pairs = text.as_bytes().chunks_exact(2);
    pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}
