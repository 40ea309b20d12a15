//! The app package: what an administrator of a tenant uploads to install the bot.

use std::io::{Cursor, Write as _};

use reqwest::Url;
use serde_json::{Value, json};
use uuid::Uuid;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// The version of Microsoft's schema that the manifest is written to.
const SCHEMA: &str = "1.17";
/// 192 by 192, in colour.
const COLOUR: &[u8] = include_bytes!("icons/color.png");
/// 32 by 32, white on nothing.
const OUTLINE: &[u8] = include_bytes!("icons/outline.png");

/// Why there is no package.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// The gateway's public address has no host, or Teams takes no such address.
    #[error("`{0}` is no `https://` address: Teams takes no other for the gateway's public address")]
    Address(String),
    /// The archive cannot be written.
    #[error("cannot write the app package")]
    Zip(#[from] zip::result::ZipError),
    /// A file in it cannot be written.
    #[error("cannot write the app package")]
    Io(#[from] std::io::Error),
    /// The manifest cannot be written.
    #[error("cannot write the manifest")]
    Json(#[from] serde_json::Error),
}

/// The package as a ZIP archive: `manifest.json` and two icons, the same bytes for the same bot and address.
///
/// # Errors
/// [`ManifestError::Address`] for a public address that is not `https://`.
pub fn package(bot: Uuid, public_url: &str) -> Result<Vec<u8>, ManifestError> {
    let manifest = manifest(bot, public_url)?;
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    // Stored as it is and without a time: two of the same are one.
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    let written = serde_json::to_vec_pretty(&manifest)?;
    for (name, bytes) in
        [("manifest.json", written.as_slice()), ("color.png", COLOUR), ("outline.png", OUTLINE)]
    {
        archive.start_file(name, options)?;
        archive.write_all(bytes)?;
    }
    Ok(archive.finish()?.into_inner())
}

fn manifest(bot: Uuid, public_url: &str) -> Result<Value, ManifestError> {
    let url: Url = public_url.parse().map_err(|_| ManifestError::Address(public_url.to_owned()))?;
    let (Some(host), "https") = (url.host_str(), url.scheme()) else {
        return Err(ManifestError::Address(public_url.to_owned()));
    };
    let command = |title: &str, description: &str| json!({ "title": title, "description": description });
    Ok(json!({
        "$schema":
            format!("https://developer.microsoft.com/en-us/json-schemas/teams/v{SCHEMA}/MicrosoftTeams.schema.json"),
        "manifestVersion": SCHEMA,
        "version": env!("CARGO_PKG_VERSION"),
        "id": bot,
        "developer": {
            "name": "Countersign",
            "websiteUrl": url.as_str(),
            "privacyUrl": url.as_str(),
            "termsOfUseUrl": url.as_str(),
        },
        "name": { "short": "Countersign", "full": "Countersign: reviews of what agents want to do" },
        "description": {
            "short": "Brings agents' requests that wait for your review.",
            "full": "Countersign holds agents' dangerous actions until people approve them. This app brings what waits \
                     for your review and takes your answer: approve, deny with a reason, or ask. Who may review is \
                     decided by your organisation's gateway, never by this app.",
        },
        "icons": { "color": "color.png", "outline": "outline.png" },
        "accentColor": "#1B365D",
        "bots": [{
            "botId": bot,
            "scopes": ["personal", "team", "groupChat"],
            "isNotificationOnly": false,
            "supportsFiles": false,
            "commandLists": [{
                "scopes": ["personal"],
                "commands": [
                    command("link", "Connect this account with yours in the console"),
                    command("inbox", "What waits for your review"),
                    command("unlink", "Take the connection away"),
                ],
            }],
        }],
        "permissions": ["identity", "messageTeamMembers"],
        "validDomains": [host],
    }))
}
