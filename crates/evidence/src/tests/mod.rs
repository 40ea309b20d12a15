//! The trail over a real store and real segments: told the same from every place, delivered whole whatever fails.

mod bundles;
mod formats;
mod house;
mod sinks;
mod telling;
mod walking;
