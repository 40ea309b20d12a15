//! The witness protocol (C2SP `tlog-witness`) without its network: what a log asks, what a witness
//! decides, and what it answers. Both sides parse hostile bytes here, and nowhere else.

mod decision;
mod request;
mod response;

pub use decision::{Refusal, TrustedLogs, Update, Witnessed};
pub use request::{AddCheckpoint, MAX_REQUEST_BYTES, MAX_REQUEST_HASHES};
pub use response::{Answer, MAX_RESPONSE_BYTES, MAX_RESPONSE_LINES, SIZE_CONTENT_TYPE};
