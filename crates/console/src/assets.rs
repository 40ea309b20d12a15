//! Style, scripts and the icon, out of the binary. Their address names the version of all of them together,
//! so that modules can import each other by plain names and browsers may keep what they have.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::LazyLock;

use axum::extract::Path;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};

use crate::failure::Failure;
use crate::limits;

const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

/// Every file: its name, type and bytes.
pub(crate) const FILES: [(&str, &str, &str); 14] = [
    ("console.css", CSS, include_str!("assets/console.css")),
    ("favicon.svg", SVG, include_str!("assets/favicon.svg")),
    ("api.js", JS, include_str!("assets/api.js")),
    ("passkey.js", JS, include_str!("assets/passkey.js")),
    ("live.js", JS, include_str!("assets/live.js")),
    ("page.js", JS, include_str!("assets/page.js")),
    ("login.js", JS, include_str!("assets/login.js")),
    ("enrol.js", JS, include_str!("assets/enrol.js")),
    ("cli.js", JS, include_str!("assets/cli.js")),
    ("link.js", JS, include_str!("assets/link.js")),
    ("inbox.js", JS, include_str!("assets/inbox.js")),
    ("request.js", JS, include_str!("assets/request.js")),
    ("directory.js", JS, include_str!("assets/directory.js")),
    ("trail.js", JS, include_str!("assets/trail.js")),
];

/// The version: what all files come to. It tells builds apart and proves nothing.
static VERSION: LazyLock<String> = LazyLock::new(|| {
    let mut hasher = DefaultHasher::new();
    FILES.hash(&mut hasher);
    format!("{:016x}", hasher.finish())
});

/// Where a file lies.
pub(crate) fn address(name: &str) -> String {
    format!("/static/{}/{name}", *VERSION)
}

/// A file. One of another version is not kept, so that a page from before an update heals by itself.
pub(crate) async fn serve(Path((version, name)): Path<(String, String)>) -> Result<Response, Failure> {
    let (_, kind, text) = FILES.into_iter().find(|(known, ..)| *known == name).ok_or(Failure::NotFound)?;
    let keep = if version == *VERSION {
        format!("public, max-age={}, immutable", limits::STATIC_SECONDS)
    } else {
        "no-store".to_owned()
    };
    Ok(([(CONTENT_TYPE, kind.to_owned()), (CACHE_CONTROL, keep)], text).into_response())
}

/// The icon, where browsers ask for it unasked.
pub(crate) async fn favicon() -> Result<Response, Failure> {
    serve(Path((VERSION.clone(), "favicon.svg".to_owned()))).await
}
