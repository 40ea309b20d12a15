//! The token under which an activity comes in ("Authentication with the Bot Connector API"): who signed it, for whom, and
//! for which service URL. Pure, and there is no way around it.

use std::collections::BTreeSet;

use domain::time::Timestamp;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;

use super::limits::{ENDORSEMENTS, KEYS, SKEW_SECONDS, TOKEN_BYTES, TOKEN_SECONDS};

/// Who signs what the Bot Connector sends.
pub(super) const ISSUER: &str = "https://api.botframework.com";

/// A token that was checked, but for what its activity says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Checked {
    service_url: String,
    endorsements: BTreeSet<String>,
    /// The id of the key that signed it.
    pub(super) kid: String,
}

/// A token and the activity that came with it belong together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Vouched {
    /// The id of the key that signed it.
    pub(super) kid: String,
}

/// Why a token is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refused {
    /// There is none, or not one bearer token.
    #[error("there is no bearer token")]
    Missing,
    /// It is none, or signed by another algorithm than RS256.
    #[error("the token is no RS256 token")]
    Unreadable,
    /// Its key is not in the set.
    #[error("the token names a key that is not in the key set")]
    UnknownKey,
    /// The signature is not of that key.
    #[error("the token's signature is wrong")]
    Signature,
    /// Somebody else signed it.
    #[error("the token is of another issuer")]
    Issuer,
    /// It is for another app.
    #[error("the token is for another app")]
    Audience,
    /// It is over, not yet good, good for too long, or does not say.
    #[error("the token's time is over, not come, or too long")]
    Time,
    /// It is for another service URL.
    #[error("the token is for another service URL than the activity's")]
    ServiceUrl,
    /// Its key may not speak for this channel.
    #[error("the token's key is not endorsed for the activity's channel")]
    Endorsement,
}

impl Refused {
    /// One word, for logs and tests.
    pub(super) fn code(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Unreadable => "unreadable",
            Self::UnknownKey => "unknown-key",
            Self::Signature => "signature",
            Self::Issuer => "issuer",
            Self::Audience => "audience",
            Self::Time => "time",
            Self::ServiceUrl => "service-url",
            Self::Endorsement => "endorsement",
        }
    }
}

/// The key that a token says it is signed with. Nothing of it is checked yet.
///
/// # Errors
/// [`Refused::Unreadable`].
pub(super) fn key_id(token: &str) -> Result<String, Refused> {
    if token.len() > TOKEN_BYTES {
        return Err(Refused::Unreadable);
    }
    let header = jsonwebtoken::decode_header(token).map_err(|_| Refused::Unreadable)?;
    match (header.alg, header.kid) {
        (Algorithm::RS256, Some(kid)) => Ok(kid),
        _ => Err(Refused::Unreadable),
    }
}

/// Checks signature, issuer, audience and time.
///
/// # Errors
/// The first [`Refused`] that applies.
pub(super) fn check(token: &str, keys: &KeySet, app: &str, now: Timestamp) -> Result<Checked, Refused> {
    let kid = key_id(token)?;
    let key = keys.find(&kid).ok_or(Refused::UnknownKey)?;
    let mut validation = Validation::new(Algorithm::RS256);
    validation.set_issuer(&[ISSUER]);
    validation.set_audience(&[app]);
    validation.set_required_spec_claims(&["iss", "aud", "exp"]);
    // Times are held against the clock that was handed in, below.
    validation.validate_exp = false;
    validation.validate_nbf = false;
    let claims: Claims = match jsonwebtoken::decode(token, &key.key, &validation) {
        Ok(data) => data.claims,
        Err(error) => return Err(reason(error.kind())),
    };
    let now = now.micros() / 1_000_000;
    let exp = claims.exp.ok_or(Refused::Time)?;
    let over = exp.saturating_add(SKEW_SECONDS) <= now;
    let too_long = exp > now.saturating_add(TOKEN_SECONDS);
    let early = claims.nbf.is_some_and(|nbf| nbf > now.saturating_add(SKEW_SECONDS));
    if over || too_long || early {
        return Err(Refused::Time);
    }
    Ok(Checked { service_url: claims.serviceurl, endorsements: key.endorsements.clone(), kid })
}

fn reason(kind: &ErrorKind) -> Refused {
    let misses = |name: &str| matches!(kind, ErrorKind::MissingRequiredClaim(claim) if claim == name);
    if matches!(kind, ErrorKind::InvalidSignature) {
        Refused::Signature
    } else if matches!(kind, ErrorKind::InvalidIssuer) || misses("iss") {
        Refused::Issuer
    } else if matches!(kind, ErrorKind::InvalidAudience) || misses("aud") {
        Refused::Audience
    } else if misses("exp") {
        Refused::Time
    } else {
        Refused::Unreadable
    }
}

impl Checked {
    /// Whether the token is for an activity of this service URL and channel.
    ///
    /// # Errors
    /// [`Refused::ServiceUrl`] and [`Refused::Endorsement`].
    pub(super) fn vouch(self, service_url: &str, channel: &str) -> Result<Vouched, Refused> {
        if self.service_url.is_empty() || self.service_url != service_url {
            return Err(Refused::ServiceUrl);
        }
        if channel.is_empty() || !self.endorsements.contains(channel) {
            return Err(Refused::Endorsement);
        }
        Ok(Vouched { kid: self.kid })
    }
}

#[derive(Deserialize)]
struct Claims {
    exp: Option<u64>,
    nbf: Option<u64>,
    #[serde(default)]
    serviceurl: String,
}

/// The keys that sign tokens, as their publisher lists them.
pub(super) struct KeySet {
    keys: Vec<Key>,
}

struct Key {
    kid: String,
    key: DecodingKey,
    endorsements: BTreeSet<String>,
}

impl KeySet {
    /// A key set out of its document (RFC 7517), whose keys carry `endorsements` besides. Keys of other kinds than RSA
    /// are left out: nothing signed by them is taken.
    ///
    /// # Errors
    /// In words: no key set, too many keys, none of use, two of one id.
    pub(super) fn read(document: &[u8]) -> Result<Self, String> {
        let value = domain::canonical::read_foreign(document)?;
        let document: Document = serde_json::from_value(value).map_err(|error| error.to_string())?;
        if document.keys.len() > KEYS {
            return Err(format!("there are more than {KEYS} keys"));
        }
        let (mut keys, mut seen) = (Vec::new(), BTreeSet::new());
        for key in document.keys {
            let (Some(kid), Some(n), Some(e), "RSA") = (key.kid, key.n, key.e, key.kty.as_str()) else {
                continue;
            };
            if key.endorsements.len() > ENDORSEMENTS {
                return Err(format!("a key has more than {ENDORSEMENTS} endorsements"));
            }
            if !seen.insert(kid.clone()) {
                return Err("two keys have one id".to_owned());
            }
            let Ok(decoding) = DecodingKey::from_rsa_components(&n, &e) else { continue };
            keys.push(Key { kid, key: decoding, endorsements: key.endorsements.into_iter().collect() });
        }
        if keys.is_empty() {
            return Err("there is no RSA key".to_owned());
        }
        Ok(Self { keys })
    }

    /// Whether a key is there.
    pub(super) fn has(&self, kid: &str) -> bool {
        self.find(kid).is_some()
    }

    fn find(&self, kid: &str) -> Option<&Key> {
        self.keys.iter().find(|key| key.kid == kid)
    }
}

#[derive(Deserialize)]
struct Document {
    keys: Vec<Listed>,
}

#[derive(Deserialize)]
struct Listed {
    kty: String,
    kid: Option<String>,
    n: Option<String>,
    e: Option<String>,
    #[serde(default)]
    endorsements: Vec<String>,
}
