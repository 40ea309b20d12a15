//! The PostgreSQL enforcement point: a gate that clients take for the server.
//!
//! The files stand in the order of a connection's way: [`config`] says what may connect and to where; [`parse`] reads
//! messages; `stream` carries them; `startup` lets a client in, `upstream` signs in to the server, and `made`
//! makes roles for that; `session` is the pure core that follows
//! both sides and asks about every text before it runs; [`hold`] is what it asks, and [`permit`] what it is told; `forward`
//! moves the bytes; [`reply`] speaks for ourselves; `cancel` knows who may cancel what, and `places` how many sessions each has; [`serve`] accepts
//! connections, and `workers` are the threads that carry them.

pub mod config;
pub mod parse;
mod stream;
mod startup;
mod upstream;
mod made;
mod watched;
mod terms;
mod track;
mod session;
pub mod hold;
pub mod permit;
mod forward;
pub mod reply;
mod cancel;
mod places;
mod workers;
pub mod serve;

#[cfg(test)]
mod tests;
