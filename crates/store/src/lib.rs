//! The store: its contract, the embedded and the PostgreSQL twin, and the conformance suite that every twin passes.
//!
//! The contract is five small traits, one for each room of what is kept: [`Approvals`] (cases and
//! their events), [`Directories`] (who and what is known), [`Ledger`] (the log), [`Vault`] (sealed values that
//! are claimed once or lapse) and [`Deliveries`] (what is to be brought to people). [`Store`] is all five over one
//! database, because a state change, its log entry, the tree's new frontier and the signed checkpoint are one transaction.

pub mod clock;
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
mod contract;
pub mod deliveries;
pub mod embedded;
pub mod postgres;
pub mod seal;

mod audited;
mod bound;
mod failure;
mod keys;
mod retention;
mod since;

pub use contract::{
    Advance, Approvals, Attached, Clock, Cursor, Directories, Effect, EntryView, Filter, Head, Leaves,
    Ledger, Opened, Page, Position, Prior, Pruned, Pruning, Recorded, Request, Rotation, RunWhenGone, Store,
    StoreError, Summary, Vault, Wake, limits, open_fields,
};
pub use deliveries::{Deliveries, Parcel, ParcelCursor, ParcelFilter};
pub use since::first_since;
