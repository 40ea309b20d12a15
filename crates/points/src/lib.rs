//! Enforcement points: where calls are intercepted, one folder each. No point imports another.

pub mod server;
mod park;
pub mod peer;

pub mod http;
pub mod rest;
