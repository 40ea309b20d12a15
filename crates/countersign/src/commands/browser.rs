//! The user's browser, where there is one.

use std::process::{Command, Stdio};

/// Opens a page. Whether that worked nobody can say; the address is printed anyway.
pub(crate) fn open(url: &str) {
    let opener = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    // What is opened came from the gateway: an address, never an option or another scheme.
    if url.starts_with("http://") || url.starts_with("https://") {
        let command = Command::new(opener)
            .arg(url)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        drop(command);
    }
}
