//! Masking, shown on examples and on any bytes.

mod examples;
mod rules;
mod any_bytes;
