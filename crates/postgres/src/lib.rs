//! The PostgreSQL enforcement point: a gate that clients take for the server.
//!
//! The files stand in the order of a connection's way: [`config`] says what may connect and to where; [`parse`] reads
//! messages; `stream` carries them; `startup` lets a client in, `upstream` signs in to the server; `session` is the pure core that follows
//! both sides and asks about every text before it runs; [`hold`] is what it asks; `forward` moves the bytes; [`reply`]
//! speaks for ourselves; `cancel` knows who may cancel what; [`serve`] accepts connections.

pub mod config;
pub mod parse;
mod stream;
mod startup;
mod upstream;
mod track;
mod session;
pub mod hold;
mod forward;
pub mod reply;
mod cancel;
pub mod serve;

#[cfg(test)]
mod tests;
