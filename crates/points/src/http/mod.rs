//! The HTTP reverse proxy.
//!
//! The files stand in the order of a request's way: the route ([`config`], [`table`], [`openapi`]) says what
//! it may be; the head is read ([`parse`], out of [`path`], [`template`], [`headers`]), then the body
//! ([`body`]); [`payload`] makes the fields that the digest covers and, later, the request from them.
//! `point` asks the gateway about it; `forward` sends what was permitted, `hold` waits for people, `run` sends
//! what they approved; `answer` brings the target's answer back and `reply` speaks for ourselves.

pub mod config;
pub mod table;
pub mod upstream;
pub mod openapi;
pub mod parse;
pub mod path;
pub mod template;
pub mod headers;
pub mod body;
mod graphql;
pub mod payload;
pub mod refusal;

mod point;
mod hold;
mod forward;
mod answer;
mod reply;
mod run;
mod serve;

pub use point::{HttpPoint, check_document};
pub use serve::{ServeError, tls_config};

#[cfg(test)]
mod tests;
