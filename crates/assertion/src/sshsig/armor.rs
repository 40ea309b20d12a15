//! The armour around a signature, as `ssh-keygen` writes it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::limits::{MAX_SSH_ARMOR_BYTES, SSH_ARMOR_COLUMNS};
use crate::refusal::Refusal;

const BEGIN: &str = "-----BEGIN SSH SIGNATURE-----";
const END: &str = "-----END SSH SIGNATURE-----";

/// Takes a signature out of its armour: two lines, and nothing but base64 between them. Lines may end in CR LF, and
/// may be of any length.
///
/// # Errors
/// [`Refusal::SshArmor`] for anything else, or more than
/// [`MAX_SSH_ARMOR_BYTES`](crate::MAX_SSH_ARMOR_BYTES) bytes.
pub fn dearmor(text: &str) -> Result<Vec<u8>, Refusal> {
    if text.len() > MAX_SSH_ARMOR_BYTES {
        return Err(Refusal::SshArmor);
    }
    let mut lines = text.trim_end_matches(['\r', '\n']).lines();
    let (Some(BEGIN), Some(END)) = (lines.next(), lines.next_back()) else {
        return Err(Refusal::SshArmor);
    };
    let base64: String = lines.collect();
    STANDARD.decode(base64).map_err(|_| Refusal::SshArmor)
}

/// Puts a signature into its armour, as `ssh-keygen -Y verify` reads it.
#[must_use]
pub fn enarmor(signature: &[u8]) -> String {
    let mut text = format!("{BEGIN}\n");
    for (at, character) in STANDARD.encode(signature).chars().enumerate() {
        if at > 0 && at % SSH_ARMOR_COLUMNS == 0 {
            text.push('\n');
        }
        text.push(character);
    }
    text.push_str(&format!("\n{END}\n"));
    text
}
