//! The PostgreSQL enforcement point: what stands between the wire (`postgres`), the classifier (`sql`) and the gateway.
//!
//! The files stand in the order of a statement's way: [`config`] says where a database is; `point` has those that stand;
//! `admit` lets an agent in; [`catalog`] keeps a picture of what names mean, and `names` asks the session for its own;
//! `judge` says in the gateway's words what a text would do, `judgements` remembers it, `payload` makes the fields that the
//! digest covers; `session` asks the gateway; `hold` knows who waits, `run` hands over what was approved, [`preview`] says
//! beforehand what it would do; `reply` speaks to clients. Every limit stands in [`limits`].

pub mod config;
pub mod limits;
mod point;
mod admit;
pub mod catalog;
mod names;
mod judge;
mod judgements;
mod payload;
mod session;
mod hold;
mod run;
pub mod preview;
mod reply;

#[cfg(test)]
mod tests;

pub use config::{check_document, is_database};
pub use point::PostgresPoint;
pub use postgres::config::Settings as WireSettings;
pub use postgres::serve::tls_config;
