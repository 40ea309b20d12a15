//! Signing in with a passkey, enrolling one from an invite, and confirming the command line's sign-in.

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Redirect, Response};
use gateway::Gateway;
use maud::{Markup, html};
use serde::Deserialize;

use crate::frame::{self, Frame, Page, Room};
use crate::viewer::{SignedIn, anybody};
use crate::{limits, words};

/// Where to go after signing in.
#[derive(Deserialize)]
pub(crate) struct Next {
    next: Option<String>,
}

/// `GET /login`.
pub(crate) async fn login(
    State(gateway): State<Arc<Gateway>>,
    headers: HeaderMap,
    Query(query): Query<Next>,
) -> Response {
    let next = local(query.next.as_deref());
    if anybody(&gateway, &headers).await.is_some() {
        return Redirect::to(next).into_response();
    }
    Page(login_view(next, gateway.settings().origin.as_str())).into_response()
}

/// `GET /enrol`: the same page for everybody; the invite stands in the fragment, which no server sees.
pub(crate) async fn enrol() -> Page {
    Page(enrol_view())
}

/// `GET /cli`.
pub(crate) async fn cli(State(gateway): State<Arc<Gateway>>, signed_in: SignedIn) -> Page {
    let viewer = signed_in.viewer(&gateway);
    let content = cli_view(&viewer.name);
    let (title, scripts) = ("Sign in the command line", &["cli.js"][..]);
    Page(Frame { title, room: Room::Inbox, viewer: &viewer, scripts, now: gateway.now() }.around(&content))
}

/// The address of the sign-in page that leads back.
pub(crate) fn address(next: &str) -> String {
    let next = local(Some(next));
    if next == "/" {
        return "/login".to_owned();
    }
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'-' | b'_' | b'.');
    let escaped: String = next
        .bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect();
    format!("/login?next={escaped}")
}

/// The path, where it is one of ours; the inbox otherwise. Browsers read `//host`, `/\host` and
/// tabs or line breaks within as ways out.
fn local(next: Option<&str>) -> &str {
    let ours = |path: &&str| {
        let outward = path.starts_with("//") || path.contains('\\');
        let odd = path.bytes().any(|byte| !byte.is_ascii_graphic());
        path.starts_with('/') && path.len() <= limits::NEXT_BYTES && !outward && !odd
    };
    next.filter(ours).unwrap_or("/")
}

/// The sign-in page.
pub(crate) fn login_view(next: &str, origin: &str) -> Markup {
    frame::alone(
        "Sign in",
        &["login.js"],
        &html! {
            h1 { "Sign in" }
            p.lead { "Your passkey is your signature here. Every decision that you make is signed with it." }
            form id="login" data-next=(next) {
                button.primary.wide type="submit" { "Sign in with a passkey" }
            }
            p.dim { "No passkey yet? An administrator sends you a one-time link." }
            p.dim.fine { "This deployment is " code { (words::outside(origin)) } "." }
        },
    )
}

/// The enrolment page. The script fills in who is meant, once it has shown the invite.
pub(crate) fn enrol_view() -> Markup {
    frame::alone(
        "Enrol your passkey",
        &["enrol.js"],
        &html! {
            section id="invited" {
                h1 { "Welcome" span id="invited-name" {} }
                p.lead {
                    "Make a passkey on this device, or on a security key. It never leaves it; we keep only its public half."
                }
                form id="enrol" {
                    label for="label" { "What do you call this device?" }
                    input id="label" name="label" type="text" required maxlength="64" autocomplete="off" value="My passkey";
                    button.primary.wide type="submit" disabled { "Make the passkey" }
                }
            }
            section id="held" hidden {
                h1 { "Almost done" }
                p.lead { "Your passkey is made. An administrator signs for it before it counts." }
                p { "Tell them its fingerprint, which they see too: " code.long id="held-key" {} }
                p { "Send them this link, then come back and " a href="/login" { "sign in" } "." }
                p { a.button id="held-link" href="/" { "The request for review" } }
            }
            section id="spent" hidden {
                h1 { "This link does not work" }
                p.lead id="spent-why" {}
                p.dim { "Links work once and for an hour. Ask for a new one." }
            }
        },
    )
}

/// The page on which a human lets their command line act for them. The code is typed from the terminal and never
/// prefilled: a link that somebody else sends must not carry it.
pub(crate) fn cli_view(name: &str) -> Markup {
    html! {
        div.narrow {
            h1 { "Sign in the command line" }
            p.lead { "Type the code that your own terminal shows." }
            form id="cli" {
                label for="code" { "The code" }
                input.mono id="code" name="code" type="text" required minlength="8" maxlength="9" autocomplete="off"
                    autocapitalize="characters" spellcheck="false";
                p {
                    "It will list and propose as " strong { (words::outside(name)) } " for the rest of this session. While there is no \
                    second administrator, what an administrator's command line proposes applies at once. It never reviews."
                }
                button.primary.wide type="submit" { "Let it in with your passkey" }
            }
            p.dim { "Did somebody send you here, or read you a code? Close the page: whoever has that code would act as you." }
            section.banner.good id="confirmed" hidden tabindex="-1" {
                h2 { "Done" }
                p { "Go back to your terminal." }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_paths_are_led_to() {
        for ours in ["/", "/approvals/0190", "/?tab=all", "/cli?code=BCDFGHJK"] {
            assert_eq!(local(Some(ours)), ours);
        }
        let long = format!("/{}", "a".repeat(600));
        for bad in [
            "",
            "//evil.example",
            "/\\evil.example",
            "https://evil.example",
            "/a\tb",
            "/a b",
            "/é",
            "x",
            &long,
        ] {
            assert_eq!(local(Some(bad)), "/", "{bad:?}");
        }
        assert_eq!(local(None), "/");
        assert_eq!(address("/"), "/login");
        assert_eq!(address("/cli?code=BCDF&x=1"), "/login?next=/cli%3Fcode%3DBCDF%26x%3D1");
        assert_eq!(address("//evil.example"), "/login");
    }
}
