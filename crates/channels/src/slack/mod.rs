//! Slack: cards as Block Kit, clicks over Socket Mode or signed requests.
//!
//! [`render`] writes a card in Block Kit; [`deliver`] posts it and brings it up to date, one message a second into one
//! conversation. Clicks come over [`socket`], a connection that we make, or as signed requests ([`http`], [`verify`]);
//! [`inbound`] reads them, [`standing`] asks whether Slack itself calls the clicker a full member of this workspace, and
//! [`handle`] carries them on and tells the clicker what came of it. [`manifest`] is the app as a workspace installs it.

mod config;
mod render;
mod deliver;
mod verify;
mod inbound;
mod standing;
mod handle;
mod socket;
mod http;
mod api;
mod blocks;
mod text;
mod pace;
mod tls;
mod limits;
mod manifest;
#[cfg(test)]
mod tests;

pub use config::SlackConfig;
pub use manifest::manifest;
