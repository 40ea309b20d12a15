//! What an action, an approval and a receipt *are*: pure types and total transitions.
//!
//! Nothing here performs I/O, reads a clock or draws randomness; those come in as arguments. The
//! files stand in the order in which an action passes through the house: it is named
//! ([`id`], [`verb`], [`principal`]), sealed into bytes with a digest ([`canonical`], [`commitment`],
//! [`action`]), evaluated ([`evaluation`], [`requirement`]), reviewed ([`statement`], [`review`]),
//! moved through its approval ([`approval`], [`event`], [`grant`]), run ([`outcome`]), looked at afterwards where
//! glass was broken ([`later`]), and written down ([`entry`], [`receipt`]). [`directory`] is who and what the deployment knows, [`key`] the keys
//! that people have besides passkeys, [`account`] their accounts elsewhere.

pub mod id;
pub mod time;
pub mod digest;
pub mod canonical;
pub mod commitment;
pub mod verb;
pub mod principal;
pub mod action;
pub mod evaluation;
pub mod requirement;
pub mod statement;
pub mod review;
pub mod approval;
pub mod later;
pub mod event;
pub mod grant;
pub mod outcome;
pub mod entry;
pub mod receipt;
pub mod directory;
pub mod key;
pub mod account;
pub mod retry;
pub mod text;

mod error;

pub use error::{Malformed, Refusal};
