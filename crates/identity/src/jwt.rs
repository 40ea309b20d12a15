//! The compact form of a JWT (RFC 7515 §3.1), taken apart and judged by nobody yet.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::canonical;
use serde::de::DeserializeOwned;

use crate::error::IdentityError;
use crate::limits::JWT_LIMIT_BYTES;

/// The three parts. Text that base64url could have written in no other way, so that equal bytes have
/// one text.
pub(crate) struct Compact<'a> {
    what: &'static str,
    /// What the signature covers: header, dot, payload.
    pub(crate) signed: &'a str,
    /// The header, still encoded.
    pub(crate) header: &'a str,
    payload: &'a str,
    /// The signature.
    pub(crate) signature: Vec<u8>,
}

impl<'a> Compact<'a> {
    /// Takes a JWT apart. `what` names it in errors.
    pub(crate) fn read(what: &'static str, text: &'a str) -> Result<Self, IdentityError> {
        within_limit(what, text)?;
        let bad = || IdentityError::unreadable(what, "three parts with dots between them are expected");
        let (signed, signature) = text.rsplit_once('.').ok_or_else(bad)?;
        let (header, payload) = signed.split_once('.').ok_or_else(bad)?;
        if header.is_empty() || payload.is_empty() || payload.contains('.') {
            return Err(bad());
        }
        let signature = decode(what, signature)?;
        Ok(Self { what, signed, header, payload, signature })
    }

    /// The header, read strictly.
    pub(crate) fn header<T: DeserializeOwned>(&self) -> Result<T, IdentityError> {
        self.json(self.header)
    }

    /// The claims, read strictly.
    pub(crate) fn claims<T: DeserializeOwned>(&self) -> Result<T, IdentityError> {
        self.json(self.payload)
    }

    fn json<T: DeserializeOwned>(&self, part: &str) -> Result<T, IdentityError> {
        canonical::read(&decode(self.what, part)?)
            .map_err(|error| IdentityError::unreadable(self.what, error))
    }
}

/// Refuses what is too long to be looked at.
pub(crate) fn within_limit(what: &'static str, text: &str) -> Result<(), IdentityError> {
    if text.len() > JWT_LIMIT_BYTES {
        return Err(IdentityError::TooLarge { what, actual: text.len(), limit: JWT_LIMIT_BYTES });
    }
    Ok(())
}

/// A part of a JWT that we write.
pub(crate) fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn decode(what: &'static str, part: &str) -> Result<Vec<u8>, IdentityError> {
    URL_SAFE_NO_PAD
        .decode(part)
        .map_err(|_| IdentityError::unreadable(what, "base64url without padding is expected"))
}
