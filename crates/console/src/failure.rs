//! What a page says when it cannot be shown.

use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Redirect, Response};
use gateway::GatewayError;
use maud::{Markup, html};

use crate::frame;
use crate::sign_in;

/// Why there is no page.
pub(crate) enum Failure {
    /// Nobody is signed in; after signing in, this is where they wanted to go.
    SignIn(String),
    /// There is no such page, or none that this person may see.
    NotFound,
    /// The gateway said no.
    Gateway(GatewayError),
}

impl From<GatewayError> for Failure {
    fn from(error: GatewayError) -> Self {
        Self::Gateway(error)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let error = match self {
            Self::SignIn(next) => return Redirect::to(&sign_in::address(&next)).into_response(),
            Self::NotFound => return nothing_here(),
            Self::Gateway(error) => error,
        };
        let why = error.to_string();
        match error {
            GatewayError::Unauthenticated(_) => Redirect::to(&sign_in::address("/")).into_response(),
            GatewayError::NotFound(_) => nothing_here(),
            GatewayError::Forbidden(_) | GatewayError::StepUp => {
                answer(StatusCode::FORBIDDEN, "You may not do this", &why)
            }
            GatewayError::Malformed(_) => answer(StatusCode::BAD_REQUEST, "This address does not work", &why),
            GatewayError::Refused(_) | GatewayError::Stale(_) => {
                answer(StatusCode::CONFLICT, "This has changed in the meantime", &why)
            }
            GatewayError::Busy | GatewayError::Unavailable(_) => {
                tracing::warn!(why, "a page could not be shown");
                answer(StatusCode::SERVICE_UNAVAILABLE, "Nothing can be shown just now", &why)
            }
        }
    }
}

/// The answer for paths that nobody serves.
pub(crate) async fn nowhere(_: Uri) -> Response {
    nothing_here()
}

fn nothing_here() -> Response {
    let why = "There is no such page, or it is not for you to see. A request can be seen by those who may \
               review it, those who asked for it, and administrators.";
    answer(StatusCode::NOT_FOUND, "Nothing here", why)
}

fn answer(status: StatusCode, title: &str, why: &str) -> Response {
    (status, frame::Page(view(title, why))).into_response()
}

/// The page that says why there is none.
pub(crate) fn view(title: &str, why: &str) -> Markup {
    frame::alone(
        title,
        &[],
        &html! {
            h1 { (title) }
            p.lead { (crate::words::outside(why)) }
            p { a.button href="/" { "Go to the inbox" } }
        },
    )
}
