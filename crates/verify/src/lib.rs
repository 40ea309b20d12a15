//! The offline verifier: from a receipt's bytes and one key that came another way, what happened to one
//! action and whether the evidence holds. No network, no store, no clock.
//!
//! A receipt's way through the rooms: [`verify_receipt`] reads it strictly, `log` proves that its entries stand in
//! the log whose key is trusted, `content` reads what the entries say, `case` replays the approval
//! through the same [`domain::approval::Approval::handle`] that the gateway decided with, `known` answers for keys
//! and groups from the directory entries that stand earlier, and [`Report`] says it to a person.
//!
//! # What an auditor trusts
//!
//! - The log's verifier key ([`Trust::log`]), received out of band. Whoever holds its secret half can log what
//!   they like, and can sign two logs; witnesses and a second receipt from another hand find that, this crate does not.
//! - That the passkeys' enrolment entries are true: that key N was handed to that human. They stand in the
//!   same log, earlier than the review, so they cannot be made up afterwards. Who enrolled the key, and under which
//!   approval, is told ([`report::Key`]); that approval has a receipt of its own.
//! - That each person's id is one human, and that a person, key or group was taken away when it should have been.
//! - That policy gave the answer that the evaluation records. The policy is not run again here.
//!
//! # What a receipt cannot show
//!
//! - That nothing was left out of it. Whoever makes a receipt chooses its entries; each one is proven to be in
//!   the log, but a later entry (an end, a revocation of a key before the review, a departure from a group) may
//!   have been withheld. What must stand for the verdict is demanded; what must *not* stand cannot be. A population
//!   of all leaves between two checkpoints shows it.
//! - That a field which is withheld does not bear the path of one that is shown. Entries of an approval and of
//!   the directory have fixed fields and are exempt; the payload is not.
//! - Which pixels the reviewer saw; the statement carries the digest of what was displayed.
//!
//! # What a receipt must contain to be valid
//!
//! Every entry of the approval's events from the request on, open in full (a payload's fields may be
//! withheld), and for each person who reviewed the entries that enrolled the key that signed and that put
//! them into the group that they counted under (for a denial or a question: into some group that was asked).
//! Entries that took such a key or membership away again belong in it too. Entries that name people and agents make
//! it readable and are not required.

mod verify;
mod log;
mod content;
mod case;
mod known;
mod summary;
pub mod report;
mod render;

pub use audit::VerifierKey;
pub use report::{Report, Summary, Verdict};
pub use verify::{Trust, verify_receipt};
