//! Standard Webhooks (<https://www.standardwebhooks.com>): HMAC-SHA256 over `id.timestamp.body`.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::secret::Secret;

/// The shortest and longest key, in bytes, as the specification has them.
const KEY_LENGTH: std::ops::RangeInclusive<usize> = 24..=64;

/// The key that one receiver checks with. It is not printed, and is wiped when dropped.
pub struct SigningKey(Zeroizing<Vec<u8>>);

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(..)")
    }
}

impl SigningKey {
    /// The key in a secret: `whsec_` and base64.
    ///
    /// # Errors
    /// In words, for anything else.
    pub fn read(secret: &Secret) -> Result<Self, String> {
        let text = secret.expose();
        let key = STANDARD.decode(text.strip_prefix("whsec_").unwrap_or(text)).map(Zeroizing::new);
        key.ok()
            .filter(|key| KEY_LENGTH.contains(&key.len()))
            .map(Self)
            .ok_or_else(|| "the secret is expected to be `whsec_` and 24 to 64 bytes in base64".to_owned())
    }

    /// The value of `webhook-signature`, version `v1`. `id` stands in `webhook-id`, `timestamp` (seconds since 1970) in
    /// `webhook-timestamp`.
    ///
    /// # Errors
    /// None that a key of this type can cause; in words.
    pub fn sign(&self, id: &str, timestamp: &str, body: &str) -> Result<String, String> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).map_err(|error| error.to_string())?;
        for part in [id, ".", timestamp, ".", body] {
            mac.update(part.as_bytes());
        }
        Ok(format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification's reference libraries.
    #[test]
    fn the_signature_is_the_specifications() {
        let key = SigningKey::read(&"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned().into()).unwrap();
        let signed =
            key.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", "{\"test\": 2432232314}").unwrap();
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn a_key_is_of_the_specifications_length() {
        for (bytes, good) in [(23, false), (24, true), (64, true), (65, false)] {
            let secret = format!("whsec_{}", STANDARD.encode(vec![7; bytes]));
            assert_eq!(SigningKey::read(&secret.into()).is_ok(), good, "{bytes}");
        }
    }
}
