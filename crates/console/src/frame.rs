//! What all pages share: the frame around them, and the navigation.

use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use domain::time::Timestamp;
use maud::{DOCTYPE, Markup, html};

use crate::assets;
use crate::viewer::Viewer;
use crate::words;

/// A rendered page as an answer.
pub(crate) struct Page(pub(crate) Markup);

impl IntoResponse for Page {
    fn into_response(self) -> Response {
        ([(CONTENT_TYPE, "text/html; charset=utf-8")], self.0.into_string()).into_response()
    }
}

/// The rooms that the navigation leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Room {
    Inbox,
    People,
    Agents,
    Routes,
    Policy,
    Trail,
    Log,
}

impl Room {
    const ALL: [(Self, &'static str, &'static str); 7] = [
        (Self::Inbox, "/", "Inbox"),
        (Self::People, "/people", "People"),
        (Self::Agents, "/agents", "Agents"),
        (Self::Routes, "/routes", "Routes"),
        (Self::Policy, "/policy", "Policy"),
        (Self::Trail, "/trail", "Trail"),
        (Self::Log, "/activity", "Log"),
    ];
}

/// The frame of a page for somebody who is signed in.
pub(crate) struct Frame<'a> {
    pub(crate) title: &'a str,
    pub(crate) room: Room,
    pub(crate) viewer: &'a Viewer,
    pub(crate) scripts: &'a [&'a str],
    pub(crate) now: Timestamp,
}

impl Frame<'_> {
    pub(crate) fn around(&self, content: &Markup) -> Markup {
        html! {
            (DOCTYPE)
            html lang="en" data-now=(self.now.micros() / 1_000) {
                (head(self.title, self.scripts, Some(&self.viewer.csrf)))
                body {
                    a.skip href="#main" { "Skip to the content" }
                    header.top {
                        a.brand href="/" { (mark()) span { "Countersign" } }
                        nav aria-label="Rooms" {
                            @for (room, address, name) in Room::ALL {
                                @if room != Room::Trail || self.viewer.admin {
                                    a href=(address) aria-current=[(room == self.room).then_some("page")] { (name) }
                                }
                            }
                        }
                        div.who {
                            span.name { (words::outside(&self.viewer.name)) }
                            button.quiet type="button" data-do="sign-out" { "Sign out" }
                        }
                    }
                    (notices())
                    main id="main" tabindex="-1" { (content) }
                }
            }
        }
    }
}

/// A page without navigation, for whoever is not signed in, or nowhere.
pub(crate) fn alone(title: &str, scripts: &[&str], content: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            (head(title, scripts, None))
            body.alone {
                header.top { a.brand href="/" { (mark()) span { "Countersign" } } }
                (notices())
                main id="main" tabindex="-1" { (content) }
            }
        }
    }
}

fn head(title: &str, scripts: &[&str], csrf: Option<&str>) -> Markup {
    html! {
        head {
            meta charset="utf-8";
            meta name="viewport" content="width=device-width, initial-scale=1, viewport-fit=cover";
            meta name="color-scheme" content="light dark";
            @if let Some(csrf) = csrf { meta name="csrf" content=(csrf); }
            title { (title) " · Countersign" }
            link rel="icon" type="image/svg+xml" href=(assets::address("favicon.svg"));
            link rel="stylesheet" href=(assets::address("console.css"));
            script type="module" src=(assets::address("page.js")) {}
            @for script in scripts { script type="module" src=(assets::address(script)) {} }
        }
    }
}

/// Where scripts say what happened, and what the page says without them.
fn notices() -> Markup {
    html! {
        div.notice id="notice" role="status" aria-live="polite" hidden {}
        noscript { p.notice data-kind="bad" { "Deciding takes a passkey, and a passkey takes JavaScript: switch it on for this site." } }
    }
}

/// Two strokes of a pen: a signature, and its countersignature.
fn mark() -> Markup {
    html! {
        svg.mark viewBox="0 0 24 24" width="24" height="24" aria-hidden="true" {
            path d="M3 12.5l4.2 4.2L15 8" fill="none" stroke="currentColor" stroke-width="2.6" stroke-linecap="round" stroke-linejoin="round" {}
            path d="M10.5 14.8l2.2 2.2L21 8" fill="none" stroke="currentColor" stroke-width="2.6" stroke-linecap="round" stroke-linejoin="round" opacity="0.5" {}
        }
    }
}
