//! The log's head, and how anybody verifies it without us.

use std::sync::Arc;

use axum::extract::State;
use domain::time::Timestamp;
use gateway::store::Head;
use gateway::{Gateway, GatewayError};
use maud::{Markup, html};

use crate::failure::Failure;
use crate::frame::{Frame, Page, Room};
use crate::marks::copy_button;
use crate::viewer::SignedIn;
use crate::words;

/// `GET /activity`.
pub(crate) async fn page(State(gateway): State<Arc<Gateway>>, signed_in: SignedIn) -> Result<Page, Failure> {
    let head = gateway.store().head().await.map_err(GatewayError::from)?;
    let (viewer, now) = (signed_in.viewer(&gateway), gateway.now());
    let settings = gateway.settings();
    let content = view(&head, settings.origin.as_str(), &settings.log_key, now);
    Ok(Page(Frame { title: "Log", room: Room::Log, viewer: &viewer, scripts: &[], now }.around(&content)))
}

/// The page.
pub(crate) fn view(head: &Head, origin: &str, log_key: &str, now: Timestamp) -> Markup {
    html! {
        h1 { "Log" }
        p.lead { "Every request, verdict, run and change is an entry of one Merkle tree. Nothing in it is ever rewritten." }
        dl.facts {
            dt { "Entries" } dd { span.big { (head.size) } }
            dt { "Last commit" } dd { (words::ago(head.time, now)) " " span.dim { "(" (words::moment(head.time)) ")" } }
            dt { "Origin" } dd { code { (words::outside(origin)) } }
            dt { "Verifier key" }
            dd { code.long id="log-key" { (log_key) } (copy_button("log-key")) }
        }
        h2 { "Signed checkpoint" }
        pre.block id="checkpoint" tabindex="0" { (words::pieces(&gateway::card::Shown::new(&head.checkpoint))) }
        p { (copy_button("checkpoint")) }
        p.dim {
            "Keep the verifier key and, now and then, a checkpoint somewhere that this server cannot reach: whoever holds "
            "both can tell when the log was rewritten. A receipt is verified offline, with "
            code { "countersign audit verify" } "."
        }
    }
}
