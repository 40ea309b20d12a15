//! Values at rest are sealed, each to its place: a value that is moved to another row does not open.

use std::fmt;

use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use domain::id::ActionId;
use domain::time::{Span, Timestamp};
use uuid::Uuid;
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::{RunWhenGone, StoreError};

/// The first byte of every sealed value: XChaCha20-Poly1305 with the nonce in front.
const XCHACHA20_POLY1305: u8 = 1;

/// The nonce's length, in bytes; at 24, random ones never meet.
const NONCE_BYTES: usize = 24;

/// The key under which the store seals values at rest. Printing it shows nothing; dropping it wipes it.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct SealingKey([u8; 32]);

/// Where a sealed value stands. It is part of what is authenticated, so that whoever can write to the
/// database but has no key can neither forge a value nor pass one off as another.
#[derive(Debug, Clone, Copy)]
pub enum Place<'a> {
    /// A field of a log entry.
    Field {
        /// The entry's index.
        entry: u64,
        /// The field's place in the order of the paths.
        position: usize,
        /// The field's path.
        path: &'a str,
    },
    /// A field of a log entry that was sealed before the entry had its index.
    Entry {
        /// The entry's id.
        id: Uuid,
        /// The hash of its leaf.
        leaf: [u8; 32],
        /// Which of an approval's events it is, from 1; 0 for what is none.
        event: u64,
        /// The field's place in the order of the paths.
        position: usize,
        /// The field's path.
        path: &'a str,
    },
    /// An entry as a whole while it waits for its index: an empty value, whose seal says that a holder of the key wrote it.
    Waiting {
        /// The entry's id.
        id: Uuid,
        /// The hash of its leaf.
        leaf: [u8; 32],
    },
    /// A field of a request's payload.
    Payload {
        /// The request's approval.
        approval: ActionId,
        /// The field's place in the order of the paths.
        position: usize,
        /// The field's path.
        path: &'a str,
    },
    /// What of an approval's row its events do not repeat: an empty value, whose seal says that a holder of the key wrote
    /// the row so. Whoever edits the row can neither give it another's retry key nor have it run unattended.
    Row {
        /// The approval.
        approval: ActionId,
        /// By which an identical call finds it.
        retry: &'a [u8; 32],
        /// How long after its end an identical call still finds it.
        retry_window: Span,
        /// Whether it runs though its caller has gone.
        run_when_gone: RunWhenGone,
        /// Its shape.
        shape: &'a str,
    },
    /// What a room keeps of a delivery.
    Parcel {
        /// The delivery's id.
        id: Uuid,
        /// The request.
        approval: ActionId,
        /// By which channel.
        channel: &'a str,
    },
    /// A value of the vault.
    Vault {
        /// Its key.
        key: &'a str,
        /// When it lapses: a session cannot be made longer by editing its row.
        expires: Timestamp,
    },
}

impl SealingKey {
    /// A key from its 32 bytes. The caller wipes its own copy.
    #[must_use]
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Seals a value to its place: `01 ‖ nonce[24] ‖ ciphertext ‖ tag[16]`.
    ///
    /// # Errors
    /// [`StoreError::Failed`] when the system has no randomness, or for a value beyond what the cipher takes.
    pub fn seal(&self, place: Place<'_>, value: &[u8]) -> Result<Vec<u8>, StoreError> {
        let mut nonce = [0; NONCE_BYTES];
        getrandom::fill(&mut nonce).map_err(|error| StoreError::Failed(error.to_string()))?;
        let aad = place.bytes();
        let payload = Payload { msg: value, aad: &aad };
        let sealed = self
            .cipher()
            .encrypt(&XNonce::from(nonce), payload)
            .map_err(|_| StoreError::Failed("a value is too large to be sealed".to_owned()))?;
        let mut out = Vec::with_capacity(1 + NONCE_BYTES + sealed.len());
        out.push(XCHACHA20_POLY1305);
        out.extend_from_slice(&nonce);
        out.extend_from_slice(&sealed);
        Ok(out)
    }

    /// Opens a value at its place.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] when the value was altered or moved, or was sealed under another key.
    pub fn open(&self, place: Place<'_>, sealed: &[u8]) -> Result<Vec<u8>, StoreError> {
        let corrupt = || {
            StoreError::Corrupt(format!(
                "{place} does not open: it was altered or moved, or the sealing key is another"
            ))
        };
        let (version, rest) = sealed.split_first().ok_or_else(corrupt)?;
        let (nonce, rest) = rest.split_first_chunk::<NONCE_BYTES>().ok_or_else(corrupt)?;
        if *version != XCHACHA20_POLY1305 {
            return Err(corrupt());
        }
        let aad = place.bytes();
        let payload = Payload { msg: rest, aad: &aad };
        self.cipher().decrypt(&XNonce::from(*nonce), payload).map_err(|_| corrupt())
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new(&self.0.into())
    }
}

impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealingKey(..)")
    }
}

impl Place<'_> {
    /// The associated data. Everything before the text has a fixed length, so no two places read alike.
    fn bytes(&self) -> Vec<u8> {
        let fixed = |kind: u8, parts: &[&[u8]], text: &str| {
            let mut bytes = b"countersign/sealed/v1".to_vec();
            bytes.push(kind);
            parts.iter().for_each(|part| bytes.extend_from_slice(part));
            bytes.extend_from_slice(text.as_bytes());
            bytes
        };
        match self {
            Self::Field { entry, position, path } => {
                fixed(1, &[&entry.to_be_bytes(), &(*position as u64).to_be_bytes()], path)
            }
            Self::Payload { approval, position, path } => {
                fixed(2, &[approval.uuid().as_bytes(), &(*position as u64).to_be_bytes()], path)
            }
            Self::Vault { key, expires } => fixed(3, &[&expires.micros().to_be_bytes()], key),
            Self::Entry { id, leaf, event, position, path } => {
                let numbers = [event.to_be_bytes(), (*position as u64).to_be_bytes()];
                fixed(4, &[id.as_bytes(), leaf, numbers.as_flattened()], path)
            }
            Self::Waiting { id, leaf } => fixed(5, &[id.as_bytes(), leaf], ""),
            Self::Row { approval, retry, retry_window, run_when_gone, shape } => {
                let window = retry_window.seconds().to_be_bytes();
                let gone = u8::from(*run_when_gone == RunWhenGone::Yes);
                fixed(6, &[approval.uuid().as_bytes(), *retry, &window, &[gone]], shape)
            }
            Self::Parcel { id, approval, channel } => {
                fixed(7, &[id.as_bytes(), approval.uuid().as_bytes()], channel)
            }
        }
    }
}

/// For messages: says where, and never what. A vault key may be half a secret, so it stays unsaid.
impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field { entry, path, .. } => write!(f, "field `{path}` of entry {entry}"),
            Self::Entry { id, path, .. } => write!(f, "field `{path}` of the entry with id {id}"),
            Self::Waiting { id, .. } => write!(f, "the mark of the waiting entry {id}"),
            Self::Payload { approval, path, .. } => {
                write!(f, "field `{path}` of the payload of {approval}")
            }
            Self::Row { approval, .. } => write!(f, "the row of approval {approval}"),
            Self::Parcel { approval, channel, .. } => {
                write!(f, "a delivery of {approval} by `{channel}`")
            }
            Self::Vault { .. } => f.write_str("a value in the vault"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(entry: u64, position: usize, path: &str) -> Place<'_> {
        Place::Field { entry, position, path }
    }

    #[test]
    fn a_value_opens_at_its_place_only() {
        let key = SealingKey::new([7; 32]);
        let sealed = key.seal(field(1, 0, "event"), b"value").unwrap();
        assert_eq!(key.open(field(1, 0, "event"), &sealed).unwrap(), b"value".to_vec());
        for elsewhere in [field(2, 0, "event"), field(1, 1, "event"), field(1, 0, "events")] {
            assert!(key.open(elsewhere, &sealed).is_err(), "{elsewhere}");
        }
        let vault = |key, micros| Place::Vault { key, expires: Timestamp::from_micros(micros) };
        let session = key.seal(vault("s", 10), b"alice").unwrap();
        assert!(key.open(vault("s", 10), &session).is_ok());
        assert!(key.open(vault("s", 11), &session).is_err(), "a later end is another place");
        assert!(key.open(vault("t", 10), &session).is_err());
    }

    #[test]
    fn a_value_sealed_before_its_index_opens_beside_its_own_leaf_only() {
        let key = SealingKey::new([7; 32]);
        let place = |id, leaf, event, position, path| Place::Entry {
            id: Uuid::from_u128(id),
            leaf: [leaf; 32],
            event,
            position,
            path,
        };
        let sealed = key.seal(place(1, 1, 1, 0, "event"), b"value").unwrap();
        assert!(key.open(place(1, 1, 1, 0, "event"), &sealed).is_ok());
        for elsewhere in [
            place(2, 1, 1, 0, "event"),
            place(1, 2, 1, 0, "event"),
            place(1, 1, 2, 0, "event"),
            place(1, 1, 1, 1, "event"),
            place(1, 1, 1, 0, "events"),
            Place::Waiting { id: Uuid::from_u128(1), leaf: [1; 32] },
        ] {
            assert!(key.open(elsewhere, &sealed).is_err(), "{elsewhere}");
        }
    }

    #[test]
    fn a_row_is_sealed_as_it_was_written() {
        let key = SealingKey::new([7; 32]);
        let id = |n| ActionId::from_uuid(Uuid::from_u128(n));
        let (yes, no) = (RunWhenGone::Yes, RunWhenGone::No);
        let row = |approval, retry, seconds, run_when_gone, shape| Place::Row {
            approval: id(approval),
            retry,
            retry_window: Span::from_seconds(seconds),
            run_when_gone,
            shape,
        };
        let sealed = key.seal(row(1, &[1; 32], 600, no, "delete queue"), b"").unwrap();
        assert!(key.open(row(1, &[1; 32], 600, no, "delete queue"), &sealed).is_ok());
        for other in [
            row(2, &[1; 32], 600, no, "delete queue"),
            row(1, &[2; 32], 600, no, "delete queue"),
            row(1, &[1; 32], 601, no, "delete queue"),
            row(1, &[1; 32], 600, yes, "delete queue"),
            row(1, &[1; 32], 600, no, "delete queues"),
        ] {
            assert!(key.open(other, &sealed).is_err());
        }
    }

    #[test]
    fn every_flipped_byte_and_every_other_key_is_refused() {
        let key = SealingKey::new([7; 32]);
        let sealed = key.seal(field(1, 0, "event"), b"value").unwrap();
        for at in 0..sealed.len() {
            let mut flipped = sealed.clone();
            flipped[at] ^= 1;
            assert!(key.open(field(1, 0, "event"), &flipped).is_err(), "byte {at}");
            assert!(key.open(field(1, 0, "event"), &sealed[..at]).is_err(), "cut at {at}");
        }
        assert!(SealingKey::new([8; 32]).open(field(1, 0, "event"), &sealed).is_err());
    }

    #[test]
    fn a_key_does_not_print_itself() {
        assert_eq!(format!("{:?}", SealingKey::new([0x41; 32])), "SealingKey(..)");
    }
}
