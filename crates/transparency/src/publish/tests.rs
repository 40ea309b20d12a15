//! What is published is the log, whatever happens on the way.

mod fake;
mod place;

mod bucket;
mod faults;
mod grows;
mod serves;
mod stops;
