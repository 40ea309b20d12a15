//! The PostgreSQL twin: the conformance suite, and what only a shared store can be asked.

mod place;
mod proxy;
mod server;

mod conforms;
mod corruption;
mod faults;
mod outbox;
mod pressure;
mod shared;
