//! Channels: ways to reach reviewers where they are.
//!
//! A channel delivers a card and reports what somebody clicked. It never decides who may review: [`click`] carries what
//! was clicked to the gateway, which looks up who that was, and asks the same questions as at any other door.
//!
//! [`card`] is the one model of what a reviewer sees, and each channel writes it in its own way. [`deliver`] says what a
//! channel is; its outbox keeps what is to be delivered in the store, tries again, and brings every place up to date in
//! which a card stands. [`config`] is what the bootstrap file says. The rooms behind it are the channels; they know
//! nothing of each other.

pub mod card;
pub mod config;
pub mod deliver;
pub mod click;

pub mod slack;
pub mod teams;
pub mod webhook;
pub mod email;

pub mod limits;

mod error;
mod run;
#[cfg(test)]
mod tests;

pub use error::ChannelError;
pub use run::{Running, start};
