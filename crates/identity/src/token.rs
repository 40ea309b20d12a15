//! An agent's access token: a short-lived JWT that the gateway mints and the gateway verifies.
//!
//! HMAC-SHA256, and not a signature: mint and verifier are one program (or several with one key), and
//! each proxied request verifies one. HMAC takes a microsecond or two where Ed25519 takes tens, and nobody
//! else can verify the token, so nobody else can come to accept an agent's token as a credential of
//! their own. The header is one constant text, compared and never parsed: there is no algorithm to confuse.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use domain::Malformed;
use domain::canonical;
use domain::digest::Blob;
use domain::id::{AgentId, Origin};
use domain::time::{Span, Timestamp};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::agent::{ProvenAgent, agent_of_subject, from_seconds, subject_of_agent};
use crate::error::{IdentityError, shown};
use crate::jwt::{self, Compact};
use crate::limits::{ACCESS_TOKEN_LIFETIME, CLOCK_SKEW, TOKEN_CACHE_LIMIT};

const WHAT: &str = "access token";

/// `typ` as RFC 9068 §2.1 says, so that no token of another kind passes for this one.
const HEADER: &[u8] = br#"{"alg":"HS256","typ":"at+jwt"}"#;

/// The key that makes and verifies access tokens, and is used for nothing else.
pub struct TokenKey {
    secret: Zeroizing<[u8; 32]>,
    origin: Origin,
    header: String,
}

impl fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenKey(.., {})", self.origin)
    }
}

impl TokenKey {
    /// The key of a deployment. Gateways of one deployment share the secret.
    #[must_use]
    pub fn new(secret: [u8; 32], origin: Origin) -> Self {
        Self { secret: Zeroizing::new(secret), origin, header: jwt::encode(HEADER) }
    }

    /// A token for an agent that has just proved its key. `random` becomes its `jti`.
    ///
    /// # Errors
    /// None in practice: what canonical JSON refuses does not occur here.
    pub fn mint(
        &self,
        agent: &ProvenAgent,
        now: Timestamp,
        random: &[u8; 16],
    ) -> Result<AccessToken, Malformed> {
        let iat = now.micros() / 1_000_000;
        let record = Record {
            iss: self.origin.to_string(),
            aud: self.origin.to_string(),
            sub: subject_of_agent(agent.agent),
            iat,
            exp: iat + ACCESS_TOKEN_LIFETIME.seconds(),
            jti: jwt::encode(random),
            agent_key: agent.key.clone(),
        };
        let signed = format!("{}.{}", self.header, jwt::encode(&canonical::write(&record)?));
        let code = self.code(&signed).finalize().into_bytes();
        let text = format!("{signed}.{}", jwt::encode(&code));
        Ok(AccessToken { text, expires: from_seconds(record.exp), jti: record.jti })
    }

    /// What a token says, if we said it and its time is now. Whether its agent is still let in is for
    /// [`crate::chain_of_token`] to say, at each request.
    ///
    /// # Errors
    /// [`IdentityError::Signature`] for whatever we did not mint, [`IdentityError::Expired`] and
    /// [`IdentityError::NotYetValid`]; what cannot be read.
    pub fn verify(&self, token: &str, now: Timestamp) -> Result<Claims, IdentityError> {
        let token = Compact::read(WHAT, token)?;
        if token.header != self.header {
            return Err(IdentityError::Signature(WHAT));
        }
        self.code(token.signed).verify_slice(&token.signature).map_err(|_| IdentityError::Signature(WHAT))?;
        let record: Record = token.claims()?;
        for name in [&record.iss, &record.aud] {
            if name != self.origin.as_str() {
                return Err(IdentityError::Audience { what: WHAT, found: shown(name) });
            }
        }
        let agent = agent_of_subject(&record.sub)
            .ok_or_else(|| IdentityError::Subject { iss: shown(&record.iss), sub: shown(&record.sub) })?;
        let claims = Claims {
            agent,
            key: record.agent_key,
            jti: record.jti,
            issued: from_seconds(record.iat),
            expires: from_seconds(record.exp),
        };
        claims.check_time(now)?;
        Ok(claims)
    }

    fn code(&self, signed: &str) -> Hmac<Sha256> {
        // HMAC pads a key to its 64-byte block with zeros (RFC 2104); done here it cannot fail.
        let mut block = Zeroizing::new([0; 64]);
        for (to, from) in block.iter_mut().zip(self.secret.iter()) {
            *to = *from;
        }
        let mut code = Hmac::<Sha256>::new((&*block).into());
        code.update(signed.as_bytes());
        code
    }
}

/// A token, for the one answer that hands it over. Printing it says nothing of it.
#[derive(Clone, PartialEq, Eq)]
pub struct AccessToken {
    text: String,
    expires: Timestamp,
    jti: String,
}

impl AccessToken {
    /// The token itself.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.text
    }

    /// When it ends.
    #[must_use]
    pub fn expires(&self) -> Timestamp {
        self.expires
    }

    /// How long it is good, as `expires_in` tells the agent.
    #[must_use]
    pub fn lifetime(&self) -> Span {
        ACCESS_TOKEN_LIFETIME
    }

    /// Its id, which may be logged.
    #[must_use]
    pub fn jti(&self) -> &str {
        &self.jti
    }
}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AccessToken(.., {})", self.jti)
    }
}

/// What a verified token says. Only [`TokenKey::verify`] makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    agent: AgentId,
    key: Blob,
    jti: String,
    issued: Timestamp,
    expires: Timestamp,
}

impl Claims {
    /// Whose token it is.
    #[must_use]
    pub fn agent(&self) -> AgentId {
        self.agent
    }

    /// The public key that the agent proved for it. The token is good as long as that is the agent's key.
    #[must_use]
    pub fn key(&self) -> &Blob {
        &self.key
    }

    /// Its id, which may be logged.
    #[must_use]
    pub fn jti(&self) -> &str {
        &self.jti
    }

    /// When it was minted.
    #[must_use]
    pub fn issued(&self) -> Timestamp {
        self.issued
    }

    /// When it ends.
    #[must_use]
    pub fn expires(&self) -> Timestamp {
        self.expires
    }

    /// Another gateway of ours may be ahead of our clock; the end is the end.
    pub(crate) fn check_time(&self, now: Timestamp) -> Result<(), IdentityError> {
        if now >= self.expires || self.expires > self.issued.after(ACCESS_TOKEN_LIFETIME) {
            return Err(IdentityError::Expired(WHAT));
        }
        if self.issued > now.after(CLOCK_SKEW) {
            return Err(IdentityError::NotYetValid(WHAT));
        }
        Ok(())
    }
}

/// The claims as they are written (RFC 9068 §2.2). There is no `cnf` (the token is a bearer's) and no
/// `act` (nobody acts for another yet): a token with a claim that does not stand here is refused.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    iss: String,
    aud: String,
    sub: String,
    iat: u64,
    exp: u64,
    jti: String,
    agent_key: Blob,
}

/// Remembers which tokens verified, by their SHA-256, so that most requests pay for one hash. Bounded; a
/// look-up takes the same time however many there are. It holds no token, and what it remembers is
/// held against the clock and the directory at each request like anything fresh.
pub struct TokenCache {
    key: TokenKey,
    limit: usize,
    seen: Mutex<Generations>,
}

/// Two generations: when the young one has half the limit, the old one goes. A token that is asked for
/// moves to the young one.
#[derive(Default)]
struct Generations {
    young: HashMap<[u8; 32], Arc<Claims>>,
    old: HashMap<[u8; 32], Arc<Claims>>,
}

impl fmt::Debug for TokenCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenCache({:?}, {} of {})", self.key, self.len(), self.limit)
    }
}

impl TokenCache {
    /// A cache for the tokens of one key, of at most [`TOKEN_CACHE_LIMIT`].
    #[must_use]
    pub fn new(key: TokenKey) -> Self {
        Self::with_limit(key, TOKEN_CACHE_LIMIT)
    }

    /// A cache of another size, in tokens.
    #[must_use]
    pub fn with_limit(key: TokenKey, limit: usize) -> Self {
        Self { key, limit, seen: Mutex::default() }
    }

    /// The key, to mint with.
    #[must_use]
    pub fn key(&self) -> &TokenKey {
        &self.key
    }

    /// As [`TokenKey::verify`].
    ///
    /// # Errors
    /// As [`TokenKey::verify`].
    pub fn verify(&self, token: &str, now: Timestamp) -> Result<Arc<Claims>, IdentityError> {
        jwt::within_limit(WHAT, token)?;
        let hash = Sha256::digest(token).into();
        let known = self.seen().find(&hash, self.limit);
        if let Some(claims) = known {
            claims.check_time(now)?;
            return Ok(claims);
        }
        let claims = Arc::new(self.key.verify(token, now)?);
        self.seen().insert(hash, Arc::clone(&claims), self.limit);
        Ok(claims)
    }

    /// How many tokens are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        let seen = self.seen();
        seen.young.len() + seen.old.len()
    }

    /// Whether none is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The maps are whole after every step, so a thread that died in between left nothing behind.
    fn seen(&self) -> MutexGuard<'_, Generations> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Generations {
    fn find(&mut self, hash: &[u8; 32], limit: usize) -> Option<Arc<Claims>> {
        if let Some(claims) = self.young.get(hash) {
            return Some(Arc::clone(claims));
        }
        let claims = self.old.remove(hash)?;
        self.insert(*hash, Arc::clone(&claims), limit);
        Some(claims)
    }

    fn insert(&mut self, hash: [u8; 32], claims: Arc<Claims>, limit: usize) {
        if self.young.len() >= limit / 2 {
            self.old = std::mem::take(&mut self.young);
        }
        if limit > 1 {
            self.young.insert(hash, claims);
        }
    }
}
