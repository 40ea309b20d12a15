//! Passkeys in software, for the demo and the tests. The gateway never links this crate, and this crate links nothing of
//! ours: it takes options as JSON and answers as a browser would.
//!
//! [`SoftBrowser`] is a browser and an authenticator that we did not write. [`HandMade`] is ours, and lies wherever a test
//! wants it to.

mod browser;
mod hand_made;

pub use browser::SoftBrowser;
pub use hand_made::{HandMade, USER_PRESENT, USER_VERIFIED, options};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

fn base64url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
