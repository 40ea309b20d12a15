//! The log in public: tiles published and served, checkpoints cosigned by witnesses, and a witness for others.

pub mod witness;

pub mod publish;
