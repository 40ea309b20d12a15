//! Data in, answer out.

mod codec;
mod words;
mod startup;
mod flow;
mod places;
mod made;
