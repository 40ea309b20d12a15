//! From a proved identity to the chain of everybody behind it, as the directory knows them now.
//!
//! These four functions are the only makers of a chain out of a credential, so that nobody who has left,
//! and no agent that is disabled or answers to nobody, is let in anywhere.
//!
//! **Acting for a human** (RFC 8693, nested `act`: the subject is the human, the outermost `act` the
//! current agent) has its place here: a fifth function, which takes the checked proof of that human's
//! consent beside the agent and adds a link with [`domain::principal::Role::Subject`], and one with
//! [`domain::principal::Role::Delegate`] for each agent between. The proof is the point. An agent that could
//! merely *name* the human it acts for would take that human's review away from itself, and so choose its
//! reviewers. Until such a proof is checked, the claims `act` and `may_act` are refused rather than
//! passed over: a chain that lost a link would let that human review.

use domain::directory::Directory;
use domain::id::{AgentId, PersonId};
use domain::principal::Chain;
use domain::time::Timestamp;

use crate::error::IdentityError;
use crate::session::Session;
use crate::token::Claims;

/// The chain of an access token that verified, for this request: the token's time, the agent's key,
/// the agent and its sponsor are held against the clock and the directory as they stand now.
///
/// # Errors
/// [`IdentityError::Expired`], [`IdentityError::AgentKeyReplaced`], and as [`chain_of_agent`].
pub fn chain_of_token(
    claims: &Claims,
    directory: &Directory,
    now: Timestamp,
) -> Result<Chain, IdentityError> {
    claims.check_time(now)?;
    let chain = chain_of_agent(claims.agent(), directory)?;
    if directory.agent(claims.agent()).is_none_or(|agent| agent.key != *claims.key()) {
        return Err(IdentityError::AgentKeyReplaced(claims.agent()));
    }
    Ok(chain)
}

/// The chain of a session, for this request: the session's time, its person and the passkey by which
/// it was opened are held against the clock and the directory as they stand now.
///
/// # Errors
/// [`IdentityError::Expired`], [`IdentityError::PasskeyRevoked`], and as [`chain_of_person`].
pub fn chain_of_session(
    session: &Session,
    directory: &Directory,
    now: Timestamp,
) -> Result<Chain, IdentityError> {
    if !session.is_live(now) {
        return Err(IdentityError::Expired("session"));
    }
    let chain = chain_of_person(session.person, directory)?;
    match directory.key(&session.key) {
        Some((owner, _)) if owner.id == session.person => Ok(chain),
        Some(_) | None => Err(IdentityError::PasskeyRevoked(session.person)),
    }
}

/// An agent and its sponsor, both active.
///
/// # Errors
/// [`IdentityError::UnknownAgent`], [`IdentityError::AgentDisabled`],
/// [`IdentityError::SponsorInactive`].
pub fn chain_of_agent(agent: AgentId, directory: &Directory) -> Result<Chain, IdentityError> {
    let known = directory.agent(agent).ok_or(IdentityError::UnknownAgent(agent))?;
    if !known.active {
        return Err(IdentityError::AgentDisabled(agent));
    }
    let sponsor = known.sponsor;
    if !directory.person(sponsor).is_some_and(|person| person.active) {
        return Err(IdentityError::SponsorInactive { agent, sponsor });
    }
    Ok(Chain::agent(agent, sponsor))
}

/// A human acting for themself, active.
///
/// # Errors
/// [`IdentityError::PersonInactive`].
pub fn chain_of_person(person: PersonId, directory: &Directory) -> Result<Chain, IdentityError> {
    if directory.person(person).is_some_and(|known| known.active) {
        return Ok(Chain::person(person));
    }
    Err(IdentityError::PersonInactive(person))
}
