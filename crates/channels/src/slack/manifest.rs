//! The app's manifest: what an administrator of a workspace pastes to make the app.

use reqwest::Url;
use serde_json::{Value, json};

/// What the app may do in a workspace, and why.
const SCOPES: [&str; 4] = [
    "chat:write", // cards, and answers to whoever clicked
    "commands",   // `/countersign`
    "im:write",   // cards to people
    "users:read", // whether whoever clicked is a full member, at each click
];

/// The command that people type.
pub(super) const COMMAND: &str = "/countersign";

/// The manifest, as Slack takes it in JSON. With an address it is for signed requests to it, without one for Socket Mode.
///
/// # Errors
/// In words, for an address that is none or goes without TLS: Slack calls no such.
pub fn manifest(request_url: Option<&str>) -> Result<Value, String> {
    let request_url = request_url.map(address).transpose()?;
    let mut command = json!({
        "command": COMMAND,
        "description": "What waits for your review",
        "usage_hint": " ",
        "should_escape": false,
    });
    let mut interactivity = json!({ "is_enabled": true });
    let mut events = json!({ "bot_events": ["app_home_opened"] });
    if let Some(url) = &request_url {
        let url = json!(url.as_str());
        for (place, name) in
            [(&mut command, "url"), (&mut interactivity, "request_url"), (&mut events, "request_url")]
        {
            if let Some(place) = place.as_object_mut() {
                place.insert(name.to_owned(), url.clone());
            }
        }
    }
    Ok(json!({
        "display_information": {
            "name": "Countersign",
            "description": "Holds agents' dangerous actions until people approve them",
            "background_color": "#1f2937",
        },
        "features": {
            "app_home": {
                "home_tab_enabled": true,
                "messages_tab_enabled": true,
                "messages_tab_read_only_enabled": true,
            },
            "bot_user": { "display_name": "countersign", "always_online": true },
            "slash_commands": [command],
        },
        "oauth_config": { "scopes": { "bot": SCOPES } },
        "settings": {
            "interactivity": interactivity,
            "event_subscriptions": events,
            "org_deploy_enabled": false,
            "socket_mode_enabled": request_url.is_none(),
            "token_rotation_enabled": false,
        },
    }))
}

fn address(text: &str) -> Result<Url, String> {
    let url: Url = text.parse().map_err(|error| format!("`{text}` is no address: {error}"))?;
    if url.scheme() == "https" { Ok(url) } else { Err(format!("`{text}` is not `https://`")) }
}
