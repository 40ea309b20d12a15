//! The client against witnesses that lie, lag and fail, and the server against logs that do.

mod client;
mod server;
mod support;
