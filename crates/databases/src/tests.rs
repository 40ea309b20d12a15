//! What goes in, and what comes of it, without a server; `tests/postgres/gate.py` has the whole with one.

mod config;
mod judging;
mod keeping;
mod waiting;
