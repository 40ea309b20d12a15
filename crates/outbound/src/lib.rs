//! What every room that calls out shares: the HTTP client for one receiver, secrets by reference, and the signature of
//! Standard Webhooks. It knows nothing of what is sent.

pub mod http;
pub mod secret;
pub mod webhook;
