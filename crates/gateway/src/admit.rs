//! **admit**: the caller's credential becomes a caller with their whole chain. Everybody who calls passes here.

use domain::digest::Blob;
use domain::id::AgentId;
use domain::principal::{Chain, Principal};

use crate::{Gateway, GatewayError};

/// Somebody whose credential was checked for this very request. Only admitting makes one.
#[derive(Debug, Clone)]
pub struct Caller {
    chain: Chain,
}

impl Caller {
    pub(crate) fn of(chain: Chain) -> Self {
        Self { chain }
    }

    /// Who calls, and for whom.
    #[must_use]
    pub fn chain(&self) -> &Chain {
        &self.chain
    }

    /// Who calls.
    #[must_use]
    pub fn principal(&self) -> Principal {
        self.chain.caller
    }
}

impl Gateway {
    /// Trades an agent's signed assertion (RFC 7523) for an access token. An assertion is good once.
    ///
    /// # Errors
    /// [`GatewayError::Unauthenticated`], in the same words whatever was wrong; the log says what.
    pub async fn trade_assertion(&self, assertion: &str) -> Result<identity::AccessToken, GatewayError> {
        let directory = self.store.directory();
        let now = self.store.now();
        let audiences =
            [self.settings.origin.as_str().to_owned(), format!("{}/v1/token", self.settings.public_url)];
        let audiences: Vec<&str> = audiences.iter().map(String::as_str).collect();
        let checked =
            identity::check_agent_assertion(assertion, &directory, &audiences, now).map_err(refused)?;
        let first = self.store.claim(&checked.claim_key(), checked.claim_lifetime()).await?;
        let proven = checked.claimed(first).map_err(refused)?;
        tracing::info!(agent = %proven.agent(), "traded an assertion for an access token");
        Ok(self.tokens.key().mint(&proven, now, &self.draw()?)?)
    }

    /// Admits an agent by its access token. The agent and its sponsor are looked up anew each time: whoever
    /// was disabled a moment ago is out.
    ///
    /// # Errors
    /// [`GatewayError::Unauthenticated`], in the same words whatever was wrong.
    pub fn admit_agent(&self, token: &str) -> Result<Caller, GatewayError> {
        let now = self.store.now();
        let claims = self.tokens.verify(token, now).map_err(refused)?;
        let chain = identity::chain_of_token(&claims, &self.store.directory(), now).map_err(refused)?;
        Ok(Caller::of(chain))
    }
}

/// What a session is held against that outlives the access token it began with: its agent, and the key that the agent
/// proved.
#[derive(Debug, Clone)]
pub struct Lasting {
    agent: AgentId,
    key: Blob,
}

impl Gateway {
    /// Admits an agent by its access token to a session that may outlive it; [`Gateway::still_admits`] says for how long.
    ///
    /// # Errors
    /// As [`Gateway::admit_agent`].
    pub fn admit_session_of_agent(&self, token: &str) -> Result<(Caller, Lasting), GatewayError> {
        let now = self.store.now();
        let claims = self.tokens.verify(token, now).map_err(refused)?;
        let chain = identity::chain_of_token(&claims, &self.store.directory(), now).map_err(refused)?;
        Ok((Caller::of(chain), Lasting { agent: claims.agent(), key: claims.key().clone() }))
    }

    /// The caller of a lasting session, looked up anew: whoever was disabled a moment ago is out, and so is an agent whose
    /// key is another, or whose sponsor has left.
    ///
    /// # Errors
    /// [`GatewayError::Unauthenticated`].
    pub fn still_admits(&self, lasting: &Lasting) -> Result<Caller, GatewayError> {
        let directory = self.store.directory();
        let chain = identity::chain_of_agent(lasting.agent, &directory).map_err(refused)?;
        if directory.agent(lasting.agent).is_none_or(|agent| agent.key != lasting.key) {
            return Err(refused(identity::IdentityError::AgentKeyReplaced(lasting.agent)));
        }
        Ok(Caller::of(chain))
    }
}

pub(crate) fn refused(error: identity::IdentityError) -> GatewayError {
    tracing::info!(reason = %error, "refused a credential");
    metrics::counter!("countersign_credentials_refused_total").increment(1);
    GatewayError::Unauthenticated(error.public())
}
