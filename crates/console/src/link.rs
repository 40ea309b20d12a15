//! Linking an account elsewhere, such as in a chat service: its owner reads which account it is, confirms with a passkey,
//! and gets a code that is good in that account alone.

use maud::{Markup, html};

use crate::frame::{self, Page};

/// `GET /link`: the same page for everybody; the link's token stands in the fragment, which no server sees.
pub(crate) async fn page() -> Page {
    Page(view())
}

/// The page. The script fills in which account is meant.
pub(crate) fn view() -> Markup {
    frame::alone(
        "Link an account",
        &["link.js"],
        &html! {
            section id="asked" {
                h1 { "Is this your account?" }
                p.lead {
                    strong id="account-name" { "…" } " in " strong id="account-provider" { "…" }
                    " (" code id="account-id" {} ") asks to stand for you."
                }
                p {
                    "What is clicked in it then counts as yours, where policy lets a click suffice. You can take the link \
                    away at any time."
                }
                p {
                    "Go on only if " strong { "you yourself" } " asked for this, there, just now. Did somebody send you here? \
                    Close the page."
                }
                form id="link" {
                    button.primary.wide type="submit" disabled { "It is mine: show me the code" }
                }
            }
            section id="coded" hidden tabindex="-1" {
                h1 { "Bring this code back" }
                p.lead { code.long id="link-code" {} }
                p { "Type it in the account that asked, within ten minutes. It is good nowhere else; tell it to nobody." }
            }
            section id="spent" hidden {
                h1 { "This link does not work" }
                p.lead id="spent-why" {}
                p.dim { "Links work once and for ten minutes. Ask for a new one in the account." }
            }
        },
    )
}
