//! Enforcement points: where calls are intercepted, one folder each. No point imports another.

pub mod http;
pub mod rest;
