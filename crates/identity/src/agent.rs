//! An agent proves its key: the check of a JWT bearer client assertion (RFC 7523 §2.2 and §3).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::digest::Blob;
use domain::directory::{Agent, Directory};
use domain::id::AgentId;
use domain::principal::Principal;
use domain::time::{Span, Timestamp};
use ed25519_dalek::{Signature, VerifyingKey};
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::chain::chain_of_agent;
use crate::error::{IdentityError, shown};
use crate::jwt::Compact;
use crate::limits::{ASSERTION_CLAIM, ASSERTION_LIFETIME, CLOCK_SKEW, JTI_LIMIT_BYTES};

const WHAT: &str = "client assertion";

/// Checks a client assertion: signed with `EdDSA` by the enrolled key of the one agent that it names
/// as issuer and subject, for one of `audiences` alone, in its time; the agent and its sponsor are active.
///
/// `audiences` are the names under which this deployment is asked for tokens: its origin and its
/// token endpoint's URL, compared byte for byte. None allows nothing. Nothing of the claims but the
/// agent's name is believed before the signature has verified.
///
/// Whether it was used before only the store can say: see [`AgentAssertion::claimed`].
///
/// # Errors
/// The [`IdentityError`] of the first check that fails.
pub fn check_agent_assertion(
    jwt: &str,
    directory: &Directory,
    audiences: &[&str],
    now: Timestamp,
) -> Result<AgentAssertion, IdentityError> {
    let jwt = Compact::read(WHAT, jwt)?;
    check_header(&jwt)?;
    let claims: Claims = jwt.claims()?;
    let id = claims.agent()?;
    let agent = directory.agent(id).ok_or(IdentityError::UnknownAgent(id))?;
    check_signature(&jwt, agent)?;

    chain_of_agent(id, directory)?;
    claims.check_audience(audiences)?;
    claims.check_delegation()?;
    let expires = claims.check_time(now)?;
    claims.check_jti()?;
    Ok(AgentAssertion { agent: id, key: agent.key.clone(), jti: claims.jti, expires })
}

/// A client assertion that passed [`check_agent_assertion`] and may have been used before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentAssertion {
    agent: AgentId,
    key: Blob,
    jti: String,
    expires: Timestamp,
}

impl AgentAssertion {
    /// Who signed it.
    #[must_use]
    pub fn agent(&self) -> AgentId {
        self.agent
    }

    /// Its id, which the agent chose: untrusted text.
    #[must_use]
    pub fn jti(&self) -> &str {
        &self.jti
    }

    /// When it says that it ends.
    #[must_use]
    pub fn expires(&self) -> Timestamp {
        self.expires
    }

    /// The key to claim in the store's vault, once, for [`AgentAssertion::claim_lifetime`]. Two
    /// assertions of one agent with one `jti` have one key; no agent can spend another's.
    #[must_use]
    pub fn claim_key(&self) -> String {
        let hash = URL_SAFE_NO_PAD.encode(Sha256::digest(&self.jti));
        format!("assertion/{}/{hash}", self.agent)
    }

    /// How long the claim must stand: as long as any assertion could be accepted.
    #[must_use]
    pub fn claim_lifetime(&self) -> Span {
        ASSERTION_CLAIM
    }

    /// Takes the answer of the store's claim: `first` is true for the first and false for everybody
    /// after.
    ///
    /// # Errors
    /// [`IdentityError::Replayed`] unless this was the first.
    pub fn claimed(self, first: bool) -> Result<ProvenAgent, IdentityError> {
        if first {
            Ok(ProvenAgent { agent: self.agent, key: self.key })
        } else {
            Err(IdentityError::Replayed)
        }
    }
}

/// An agent that has just proved its key with an assertion that nobody used before. A token is
/// minted for nothing else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProvenAgent {
    pub(crate) agent: AgentId,
    pub(crate) key: Blob,
}

impl ProvenAgent {
    /// Who.
    #[must_use]
    pub fn agent(&self) -> AgentId {
        self.agent
    }
}

/// All that a header may say. What names or carries a key (`jwk`, `jku`, `x5u`, `x5c`), what must be
/// understood (`crit`) and whatever else is unknown is refused: the key is the enrolled one.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    alg: String,
    typ: Option<String>,
    #[serde(rename = "kid")]
    _kid: Option<String>,
}

/// `JWT`, or the explicit type that RFC 7523's revision gives to client assertions. Not `at+jwt`.
const TYPES: [&str; 2] = ["jwt", "client-authentication+jwt"];

fn check_header(jwt: &Compact<'_>) -> Result<(), IdentityError> {
    let header: Header = jwt.header()?;
    if header.alg != "EdDSA" {
        return Err(IdentityError::Algorithm(shown(&header.alg)));
    }
    match header.typ {
        Some(typ) if !TYPES.iter().any(|known| typ.eq_ignore_ascii_case(known)) => {
            Err(IdentityError::unreadable(WHAT, format_args!("its type is `{typ}`; `JWT` is expected")))
        }
        Some(_) | None => Ok(()),
    }
}

/// RFC 8032 with the strict rules: canonical `s`, no point of small order, no cofactor.
fn check_signature(jwt: &Compact<'_>, agent: &Agent) -> Result<(), IdentityError> {
    let refused = || IdentityError::Signature(WHAT);
    let key = <[u8; 32]>::try_from(agent.key.0.as_slice()).map_err(|_| refused())?;
    let key = VerifyingKey::from_bytes(&key).map_err(|_| refused())?;
    let signature = Signature::from_slice(&jwt.signature).map_err(|_| refused())?;
    key.verify_strict(jwt.signed.as_bytes(), &signature).map_err(|_| refused())
}

/// The claims that are read. Others are passed over, as RFC 7519 §4 demands.
#[derive(Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    aud: Audience,
    exp: u64,
    iat: u64,
    nbf: Option<u64>,
    jti: String,
    act: Option<Value>,
    may_act: Option<Value>,
}

/// One audience. An array is read if it holds one: an assertion that is good in two places can be
/// replayed from one to the other.
#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Array([String; 1]),
}

impl Claims {
    fn agent(&self) -> Result<AgentId, IdentityError> {
        let bad = || IdentityError::Subject { iss: shown(&self.iss), sub: shown(&self.sub) };
        if self.iss != self.sub {
            return Err(bad());
        }
        let text = self.sub.strip_prefix("agent:").unwrap_or(&self.sub);
        canonical_agent(text).ok_or_else(bad)
    }

    fn check_audience(&self, audiences: &[&str]) -> Result<(), IdentityError> {
        let (Audience::One(found) | Audience::Array([found])) = &self.aud;
        if audiences.contains(&found.as_str()) {
            return Ok(());
        }
        Err(IdentityError::Audience { what: WHAT, found: shown(found) })
    }

    /// A chain that lost a link would let that human review: see [`crate::chain`].
    fn check_delegation(&self) -> Result<(), IdentityError> {
        let claim = match (&self.act, &self.may_act) {
            (Some(_), _) => "act",
            (None, Some(_)) => "may_act",
            (None, None) => return Ok(()),
        };
        Err(IdentityError::Delegation { what: WHAT, claim })
    }

    fn check_time(&self, now: Timestamp) -> Result<Timestamp, IdentityError> {
        let (from, expires) = (from_seconds(self.iat.max(self.nbf.unwrap_or(0))), from_seconds(self.exp));
        let (seconds, limit) = (self.exp.saturating_sub(self.iat), ASSERTION_LIFETIME.seconds());
        if seconds == 0 || seconds > limit {
            return Err(IdentityError::Lifetime { seconds, limit });
        }
        if from > now.after(CLOCK_SKEW) {
            return Err(IdentityError::NotYetValid(WHAT));
        }
        if now >= expires.after(CLOCK_SKEW) {
            return Err(IdentityError::Expired(WHAT));
        }
        Ok(expires)
    }

    fn check_jti(&self) -> Result<(), IdentityError> {
        if self.jti.is_empty() || self.jti.len() > JTI_LIMIT_BYTES {
            let why = format_args!("`jti` has {} bytes; 1 to {JTI_LIMIT_BYTES} are expected", self.jti.len());
            return Err(IdentityError::unreadable(WHAT, why));
        }
        Ok(())
    }
}

/// An agent's id in the one text that we write ourselves; `Uuid` reads several.
fn canonical_agent(text: &str) -> Option<AgentId> {
    let id: AgentId = text.parse().ok()?;
    (id.to_string() == text).then_some(id)
}

/// The agent in a `sub` of ours.
pub(crate) fn agent_of_subject(text: &str) -> Option<AgentId> {
    canonical_agent(text.strip_prefix("agent:")?)
}

/// An agent as `sub` and `iss` name it.
pub(crate) fn subject_of_agent(agent: AgentId) -> String {
    Principal::Agent(agent).to_string()
}

/// RFC 7519's `NumericDate`; the end of time where it would overflow.
pub(crate) fn from_seconds(seconds: u64) -> Timestamp {
    Timestamp::from_micros(seconds.saturating_mul(1_000_000))
}
