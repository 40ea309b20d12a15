//! Enforcement points: where calls are intercepted, one folder each. No point imports another.

pub mod server;

pub mod http;
pub mod rest;
