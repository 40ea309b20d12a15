//! What Slack sends and what it is sent, without Slack.

mod config;
mod http;
mod inbound;
mod manifest;
mod pace;
mod render;
mod socket;
mod standing;
mod text;
mod verify;
