//! Teams without Teams: what is written, what is read, and which tokens are taken.

mod inbound;
mod manifest;
mod memory;
mod render;
mod stands;
mod token;
