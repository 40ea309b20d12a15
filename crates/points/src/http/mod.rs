//! The HTTP reverse proxy.
//!
//! The files stand in the order of a request's way: the route ([`config`], [`table`], [`openapi`]) says what
//! it may be; the head is read ([`parse`], out of [`path`], [`template`], [`headers`]), then the body
//! ([`body`]); [`payload`] makes the fields that the digest covers and, later, the request from them.

pub mod config;
pub mod table;
pub mod upstream;
mod openapi;
pub mod parse;
pub mod path;
pub mod template;
pub mod headers;
pub mod body;
mod graphql;
pub mod payload;
pub mod refusal;

#[cfg(test)]
mod tests;
