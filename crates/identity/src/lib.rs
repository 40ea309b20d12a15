//! Who is asking: a credential becomes a [`domain::principal::Chain`] of canonical principals, or is refused.
//!
//! Pure: no I/O, no clock, no randomness. Time comes in as [`domain::time::Timestamp`], random bytes
//! as arrays, and what must be remembered (a session, an invite, a drawn challenge, a spent `jti`)
//! goes out as a key and bytes for the store's vault.
//!
//! The files stand in reading order. A program proves its key once ([`agent`]) and then carries a
//! short-lived token ([`token`]); a human is invited ([`invite`]), enrols a passkey and signs in with it
//! ([`passkey`]), and then carries a session ([`session`]). Either becomes the chain that no
//! review of its own action may come from ([`chain`]). [`reviewer`] checks the signature on a verdict.
//!
//! Two classes of credential never meet: no function here turns an agent's token into a person, and
//! only a key with user verification makes a review: a passkey, or an SSH key on a security key ([`ssh`]).

pub mod chain;

pub mod agent;
pub mod token;

pub mod invite;
pub mod passkey;
pub mod session;
pub mod ssh;

pub mod reviewer;

pub mod relying_party;

pub mod agent_key;
pub mod limits;

mod error;
mod jwt;
mod secret;

#[cfg(test)]
mod tests;

pub use agent::{AgentAssertion, ProvenAgent, check_agent_assertion};
pub use agent_key::AgentKey;
pub use chain::{chain_of_agent, chain_of_person, chain_of_session, chain_of_token};
pub use error::IdentityError;
pub use invite::{Invite, InviteToken};
pub use passkey::{Ceremony, Enrolled, Login, Passkeys, Pending, review_proof};
pub use relying_party::relying_party;
pub use reviewer::DirectoryVerifier;
pub use secret::Secret;
pub use session::{Session, SessionKind, SessionToken};
pub use ssh::{SshEnrolment, ssh_review_proof};
pub use token::{AccessToken, Claims, TokenCache, TokenKey};
