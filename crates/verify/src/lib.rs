//! The offline verifier: from the bytes of a receipt or bundle and one trust file that came another way, what happened
//! and whether the evidence holds. No network, no store, no clock.
//!
//! A receipt's way through the rooms: [`verify_receipt`] reads it strictly, `head` checks the checkpoint, `log` proves
//! that its entries stand in that log, `content` reads what the entries say, `replay` keeps cases apart and
//! `case` replays each through the same [`domain::approval::Approval::handle`] that the gateway decided with, `known`
//! answers for keys and groups from the directory entries that stand earlier, and [`Report`] says it to a person.
//! [`bundle`] reads a file of many entries and takes them the same way, one at a time.
//!
//! # What an auditor trusts
//!
//! - The log's verifier key ([`Trust::logs`]), received out of band. Whoever holds its secret half can log what
//!   they like, and can sign two logs, unless the trust file asks for witnesses ([`Trust::witnesses`]).
//! - That the first administrator's key, the bootstrap key, is theirs: nobody could sign for it, and it is told as such,
//!   and as taken on trust unless it was pinned ([`Trust::bootstrap`]). Any other key, and any standing in a group under
//!   which an approval counts, counts only where an administrator signed a review of exactly this change, logged before it
//!   was used ([`report::Countersigned`]); that they looked whose key it is, is trusted. A standing that the only
//!   administrator gave is the log's word, and told as such ([`report::Countersigned::Alone`]).
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
//! - That a bootstrap key is the log's first key: earlier enrolments may have been withheld. A population from the log's
//!   beginning shows it.
//! - Which pixels the reviewer saw; the statement carries the digest of what was displayed.
//!
//! # What a receipt must contain to be valid
//!
//! Every entry of the approval's events from the request on, open in full (a payload's fields may be
//! withheld), and for each person who reviewed the entries that enrolled the key that signed and that put
//! them into the group that they counted under (for a denial or a question: into some group that was asked), with the cases
//! in which administrators signed for that key and that standing, their changes open, and the same again for those
//! administrators.
//! Entries that took such a key or membership away again belong in it too. Entries that name people and agents make
//! it readable and are not required.

mod file;
mod verify;
pub mod bundle;
mod head;
mod log;
mod content;
mod replay;
mod case;
mod known;
mod vouch;
mod summary;
pub mod report;
mod render;
pub mod population;

pub use audit::{Policy, PolicyError, VerifierKey};
pub use bundle::{BundleReport, CaseReport, verify_bundle};
pub use file::{Verified, verify_file};
pub use report::{Report, Summary, Verdict};
pub use verify::{FINGERPRINT_PREFIX, Trust, verify_receipt};
