//! Microsoft Teams: cards as Adaptive Cards, clicks as invokes of the Bot Framework.
//!
//! [`render`] writes a card, of [`elements`], in one view for all and one for each reader; [`deliver`] posts it through
//! the [`connector`] and replaces it where it stands. Activities come in through [`handle`]: their token is checked
//! ([`token`], with [`keys`]), what they say is read ([`inbound`]), Teams is asked whether whoever clicked is a user of our
//! tenant, and the click is carried on. [`memory`] is what is learned on the way, [`manifest`] the app as a tenant
//! installs it.

mod config;
mod render;
mod elements;
mod deliver;
mod connector;
mod token;
mod keys;
mod inbound;
mod handle;
mod words;
mod memory;
mod wire;
mod manifest;
mod limits;
#[cfg(test)]
mod tests;

pub use config::{ENDPOINT, TeamsConfig};
pub use manifest::{ManifestError, package};

/// The channel's name, and the provider's in accounts.
const NAME: &str = "teams";
