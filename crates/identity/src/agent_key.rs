//! The agent's side: its key, and the client assertion that proves it. For the command line, the demo
//! and tests; the gateway knows only public keys.

use domain::Malformed;
use domain::canonical;
use domain::digest::Blob;
use domain::id::AgentId;
use domain::time::Timestamp;
use ed25519_dalek::{Signer as _, SigningKey};
use serde_json::json;

use crate::agent::subject_of_agent;
use crate::jwt;
use crate::limits::CLOCK_SKEW;

/// An agent's Ed25519 key. Printing it says nothing of it; it leaves memory when dropped.
pub struct AgentKey(SigningKey);

impl std::fmt::Debug for AgentKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AgentKey(..)")
    }
}

impl AgentKey {
    /// The key of a 32-byte secret (RFC 8032 §5.1.5).
    #[must_use]
    pub fn new(secret: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(secret))
    }

    /// The public key, as the directory enrols it.
    #[must_use]
    pub fn public(&self) -> Blob {
        Blob(self.0.verifying_key().to_bytes().to_vec())
    }

    /// A client assertion (RFC 7523) for one audience, good for 60 seconds and for one use. `random`
    /// becomes its `jti`.
    ///
    /// # Errors
    /// None in practice: what canonical JSON refuses does not occur here.
    pub fn assertion(
        &self,
        agent: AgentId,
        audience: &str,
        now: Timestamp,
        random: &[u8; 16],
    ) -> Result<String, Malformed> {
        let issued = now.micros() / 1_000_000;
        let subject = subject_of_agent(agent);
        let claims = canonical::write(&json!({
            "iss": subject,
            "sub": subject,
            "aud": audience,
            "iat": issued,
            "exp": issued + CLOCK_SKEW.seconds(),
            "jti": jwt::encode(random),
        }))?;
        let header = jwt::encode(br#"{"alg":"EdDSA","typ":"JWT"}"#);
        let signed = format!("{header}.{}", jwt::encode(&claims));
        let signature = self.0.sign(signed.as_bytes()).to_bytes();
        Ok(format!("{signed}.{}", jwt::encode(&signature)))
    }
}
